"""How often one model's answers are preferred to another's, and how sure that is.

A comparison counts 1 for a win, 0.5 for a tie, 0 for a loss. Answers to one prompt resemble each other, so prompts, not
comparisons, are the independent draws. Two intervals, by what there is:

* one comparison a prompt: Wilson's score interval (Wilson 1927) on the rate with ties as half. Ties vary less than wins and losses,
  so with ties it is a little too wide, never too narrow;
* several a prompt: the percentile bootstrap that resamples whole prompts (Efron 1979; a cluster bootstrap), seeded, so the same
  answers give the same interval. Where all prompts agree it has nothing to resample, and Wilson's interval on the number of prompts
  is given.

`WinRate.method` says which it was. Left out: a correction for looking at many models and quoting the best.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt
from statistics import NormalDist
from typing import Literal

import numpy as np

RESAMPLES = 4000
EXACT = 500  # draws: up to so many are counted out, beyond they are as good as normal


@dataclass(frozen=True)
class WinRate:
    """A win rate, ties as half, with its interval."""

    rate: float
    low: float
    high: float
    prompts: int
    comparisons: int
    ties: float  # the share of comparisons that tied
    method: Literal["wilson", "bootstrap"]


def win_rate(outcomes: Sequence[Sequence[float]], *, confidence: float = 0.95, seed: int = 0) -> WinRate:
    """The mean over prompts of each prompt's mean outcome.

    Args:
        outcomes: For each prompt its comparisons: 1, 0.5 or 0.
        confidence: Of the interval.
        seed: Of the bootstrap.

    Raises:
        ValueError: there is no prompt, or one without a comparison.
    """
    if not outcomes or not all(outcomes):
        raise ValueError("a win rate needs prompts, each with at least one comparison")
    means = np.array([np.mean(row) for row in outcomes])  # (prompts,)
    every = np.concatenate([np.asarray(row, dtype=float) for row in outcomes])
    rate = float(means.mean())
    resampled = max(len(row) for row in outcomes) > 1 and bool(np.ptp(means) > 0)
    low, high = cluster_bootstrap(means, confidence, seed) if resampled else wilson(rate, len(means), confidence)
    ties = float(np.mean(every == 0.5))
    return WinRate(rate, low, high, len(means), len(every), ties, "bootstrap" if resampled else "wilson")


def all_pairs(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """Every answer of one model against every answer of the other to the same prompt, by their points."""
    return [0.5 if x == y else float(x > y) for x in a for y in b]


def wilson(rate: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion seen in `n` independent draws."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def beats_a_coin(rate: float, n: int, confidence: float = 0.95) -> bool:
    """Whether a coin would come out so well in `n` independent draws less often than the interval leaves out above.

    Exact (the sign test), so it holds for a handful of draws too, where other intervals are too narrow.
    """
    if n > EXACT:
        return wilson(rate, n, confidence)[0] > 0.5
    least = int(rate * n + 1e-9)  # rounded down: a part of a win is none
    return n > 0 and sum(comb(n, wins) for wins in range(least, n + 1)) / 2**n <= (1 - confidence) / 2


def cluster_bootstrap(means: np.ndarray, confidence: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Percentile interval of the mean of per-prompt means, prompts drawn with replacement."""
    draws = np.random.default_rng(seed).integers(0, len(means), size=(RESAMPLES, len(means)))
    tail = (1 - confidence) / 2
    low, high = np.quantile(means[draws].mean(axis=1), [tail, 1 - tail])
    return float(low), float(high)
