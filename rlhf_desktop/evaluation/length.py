"""The win rate as it would be if both models wrote equally long answers.

Judges tend to like longer answers, so a model can win by writing more. A logistic regression of the outcome on the difference in
length says how much of the winning goes with length:

    P(new preferred) = σ(β₀ + β₁·tanh((words_new − words_old)/s)),   s the spread of the differences,

and the length-controlled win rate is σ(β₀): the same prompts, no difference in length (Dubois et al. 2024, "Length-controlled
AlpacaEval"). A tie is an outcome of ½. Weak normal priors (standard deviation 2.5 on both) keep the fit finite where one model wins
everything. The interval is a percentile bootstrap over prompts; it is for one look, not for looking after every judgement.

It describes, it does not prove: where every new answer is longer, nothing can tell length from quality, and the interval is wide.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAST_PROMPTS = 12
RESAMPLES = 1000
PRIOR_SD = 2.5
_NEWTON_STEPS = 25
METHOD = (
    "Length-controlled: a logistic regression of the outcome on the difference in words (Dubois et al. 2024), read off at "
    "equal length; 95% bootstrap interval over prompts."
)


@dataclass(frozen=True)
class LengthControlled:
    """The win rate at equal length, its interval, and how strongly winning goes with length (`slope`, positive: longer wins)."""

    rate: float
    low: float
    high: float
    slope: float
    mean_words_new: float
    mean_words_old: float
    method: str = METHOD


def length_controlled(
    outcomes: Sequence[float], words_new: Sequence[int], words_old: Sequence[int], *, confidence: float = 0.95, seed: int = 0
) -> LengthControlled | None:
    """The length-controlled win rate of the new model; None with fewer than `LEAST_PROMPTS` prompts.

    Args:
        outcomes: 1, ½ or 0 a prompt.
        words_new: Words of the new model's answers.
        words_old: Words of the old model's.
        confidence: Of the interval.
        seed: Of the bootstrap.
    """
    if len(outcomes) < LEAST_PROMPTS:
        return None
    x = np.asarray(outcomes, dtype=float)
    difference = np.asarray(words_new, dtype=float) - np.asarray(words_old, dtype=float)
    spread = float(difference.std())
    z = np.tanh(difference / spread) if spread > 0 else np.zeros_like(difference)
    intercept, slope = _fit(x[None], z[None])
    picks = np.random.default_rng(seed).integers(0, len(x), size=(RESAMPLES, len(x)))
    resampled, _ = _fit(x[picks], z[picks])
    tail = (1 - confidence) / 2
    low, high = np.quantile(_sigmoid(resampled), [tail, 1 - tail])
    rate = float(_sigmoid(intercept)[0])
    return LengthControlled(
        rate=rate,
        low=min(float(low), rate),
        high=max(float(high), rate),
        slope=float(slope[0]),
        mean_words_new=float(np.mean(words_new)),
        mean_words_old=float(np.mean(words_old)),
    )


def _sigmoid(value: np.ndarray) -> np.ndarray:
    out: np.ndarray = 1 / (1 + np.exp(-value))
    return out


def _fit(x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maximum-a-posteriori (β₀, β₁), each (R,), of R regressions of outcomes x on z, both (R, n), by Newton's method."""
    b0, b1 = np.zeros(len(x)), np.zeros(len(x))
    prior = PRIOR_SD**-2
    for _ in range(_NEWTON_STEPS):
        p = _sigmoid(b0[:, None] + b1[:, None] * z)
        w = p * (1 - p)
        g0, g1 = (x - p).sum(1) - prior * b0, ((x - p) * z).sum(1) - prior * b1
        h00, h01, h11 = w.sum(1) + prior, (w * z).sum(1), (w * z * z).sum(1) + prior
        determinant = h00 * h11 - h01**2
        step0, step1 = (h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant
        # At most 1 a step: Newton overshoots where p is near 0 or 1.
        size = np.maximum(1.0, np.maximum(np.abs(step0), np.abs(step1)))
        b0, b1 = b0 + step0 / size, b1 + step1 / size
    return b0, b1
