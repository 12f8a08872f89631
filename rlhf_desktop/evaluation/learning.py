"""How much more a reward model would learn from more comparisons: a learning curve through what earlier runs reached.

Held-out accuracy is taken to rise from one half, where nothing is known, towards a ceiling (how often the expert agrees with
himself):

    a(n) = c − (c − ½)·(1 + n/n₀)^(−½),

the power law with exponent ½ that error curves of classifiers commonly follow (Hestness et al. 2017 find exponents of 0.07 to 0.5:
so it is a hopeful guess). n₀ is fitted by weighted least squares over a grid, each run weighing as many comparisons as it was
measured on. With no run yet n₀ has a typical value, and the curve is said to be a guess.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TYPICAL_N0 = 60.0
TYPICAL_CEILING = 0.85
WORTH = 0.01
"""Accuracy that a hundred more comparisons must bring to be worth asking for."""


@dataclass(frozen=True)
class CurvePoint:
    """What one run reached: comparisons learned from, accuracy on unseen prompts, comparisons it was measured on."""

    comparisons: int
    accuracy: float
    measured_on: int


@dataclass(frozen=True)
class LearningCurve:
    """A fitted curve. `points` is how many runs it rests on; 0 means typical values."""

    n0: float
    ceiling: float
    points: int

    def accuracy(self, comparisons: float) -> float:
        """Foreseen held-out accuracy."""
        return float(self.ceiling - (self.ceiling - 0.5) * (1 + comparisons / self.n0) ** -0.5)

    def gain(self, have: int, more: int) -> float:
        """What so many more comparisons would add."""
        return self.accuracy(have + more) - self.accuracy(have)

    @property
    def enough(self) -> int:
        """From how many comparisons on another hundred bring less than a point, in steps of 50."""
        return next((n for n in range(50, 5000, 50) if self.gain(n, 100) < WORTH), 5000)


def fit_curve(points: Sequence[CurvePoint], ceiling: float = TYPICAL_CEILING) -> LearningCurve:
    """The curve through the points.

    Args:
        points: Earlier runs; those measured on nothing are left out.
        ceiling: The expert's self-agreement, when it is known. A run that did better raises it.
    """
    used = [p for p in points if p.measured_on > 0 and p.comparisons > 0]
    if not used:
        return LearningCurve(TYPICAL_N0, ceiling, 0)
    ceiling = min(0.99, max(ceiling, *(p.accuracy + 0.02 for p in used)))
    n = np.array([p.comparisons for p in used], dtype=float)
    seen = np.array([p.accuracy for p in used])
    weight = np.array([p.measured_on for p in used], dtype=float)
    grid = np.geomspace(2, 2000, 400)  # n₀
    foreseen = ceiling - (ceiling - 0.5) * (1 + n[None] / grid[:, None]) ** -0.5  # (grid, runs)
    prior = 4 * (np.log(grid / TYPICAL_N0) * 0.05) ** 2  # four comparisons' worth of belief in the typical value
    loss = (weight * (foreseen - seen) ** 2).sum(1) + prior
    return LearningCurve(float(grid[int(loss.argmin())]), ceiling, len(used))
