"""An interval for a win rate that holds however often one looks, and whenever one stops.

Each prompt gives an outcome x in [0, 1]: 1 a win, ½ a tie, 0 a loss. To test whether the true rate is m, a gambler bets against it
with a fixed share of the capital: a bet that would be right if the rate were θ multiplies the capital by

    x·θ/m + (1 − x)·(1 − θ)/(1 − m),

whose mean is 1 if the rate is m. Spreading the first coin evenly over all θ in [0, 1] (here: over the nodes of a Gauss–Legendre
rule, an honest prior itself) gives

    K(m) = ∫ ∏ᵢ (xᵢ·θ/m + (1 − xᵢ)·(1 − θ)/(1 − m)) dθ,

a non-negative martingale under m, so by Ville's inequality the chance that K(m) ever reaches 1/α is at most α. The interval is
every m with K(m) < 1/α: it covers the truth at all times together with probability 1 − α. Without ties it is the beta-binomial
mixture of Robbins (1970); the bets are those of Waudby-Smith & Ramdas (2024, "Estimating means of bounded random variables by
betting"), mixed as a universal portfolio (Orabona & Jun, 2024). log K is convex in m and K is at most 1 at the sample mean, so the
set is an interval around it.

Left out: the running intersection of the intervals. It would be narrower at times, but depend on the order of the judgements; so
the same judgements give the same interval, also after an undo or a merge of two people's work. Outcomes must be fair draws:
prompts chosen beforehand, never by how the answers turned out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rlhf_desktop.core.words import count

Decision = Literal["better", "worse", "undecided"]

METHOD = (
    "A confidence sequence: 95% sure at every moment at once, so you may look after each judgement and stop as soon as the "
    "interval leaves 50%. A tie counts half. It is made by betting against each possible rate with a mixture of bets "
    "(Robbins 1970; Waudby-Smith and Ramdas 2024) and needs no assumption but that the prompts were not chosen by their answers."
)

NODES = 128
"""Bets the first coin is spread over; enough for many thousands of judgements."""

MOST_MORE = 2000
"""A decision that needs more judgements than this is not worth foreseeing: the models are close."""

CLOSE = 200
"""From so many judgements still needed, the sentence says that the models are close."""

_THETA = (np.polynomial.legendre.leggauss(NODES)[0] + 1) / 2  # (J,) in (0, 1)
_LOG_SHARE = np.log(np.polynomial.legendre.leggauss(NODES)[1] / 2)  # (J,) shares that add up to 1
_HALVINGS = 40


@dataclass(frozen=True)
class WinInterval:
    """A win rate, ties as half, with its anytime-valid interval and what it decides.

    `more` is how many further judgements a decision needs if the rate holds: 0 when it is decided, None when the two are too close
    to say. `ties` is a share.
    """

    rate: float
    low: float
    high: float
    n: int
    ties: float
    decision: Decision
    more: int | None
    confidence: float = 0.95


def interval(outcomes: Sequence[float], confidence: float = 0.95) -> WinInterval:
    """The interval of a sequence of outcomes, each in [0, 1]; a prompt judged several times counts once, with its mean.

    Args:
        outcomes: 1, ½ or 0 a prompt; their order does not matter.
        confidence: Of the whole sequence of intervals.

    Raises:
        ValueError: an outcome is out of [0, 1].
    """
    if not outcomes:
        return WinInterval(0.5, 0.0, 1.0, 0, 0.0, "undecided", None, confidence)
    values, counts = np.unique(np.asarray(outcomes, dtype=float), return_counts=True)
    if values[0] < 0 or values[-1] > 1:
        raise ValueError("an outcome lies between 0 and 1")
    rate = float(np.dot(values, counts) / len(outcomes))
    limit = -float(np.log(1 - confidence))
    low, high = _bound(values, counts, rate, 0.0, limit), _bound(values, counts, rate, 1.0, limit)
    decision: Decision = "better" if low > 0.5 else "worse" if high < 0.5 else "undecided"
    more = 0 if decision != "undecided" else _more(values, counts, limit)
    return WinInterval(rate, low, high, len(outcomes), float(np.mean(np.asarray(outcomes) == 0.5)), decision, more, confidence)


def log_capital(values: np.ndarray, counts: np.ndarray, rate: float) -> np.ndarray:
    """The logarithm of K(rate): how much the evidence speaks against a true rate of `rate`.

    Args:
        values: (U,) the different outcomes.
        counts: (..., U) how often each was seen; need not be whole.
        rate: In (0, 1).

    Returns:
        (...) natural logarithms.
    """
    gain = values[:, None] * (_THETA / rate) + (1 - values[:, None]) * ((1 - _THETA) / (1 - rate))  # (U, J)
    exponents = np.asarray(counts, dtype=float) @ np.log(gain) + _LOG_SHARE  # (..., J)
    top = exponents.max(axis=-1, keepdims=True)
    capital: np.ndarray = top[..., 0] + np.log(np.exp(exponents - top).sum(axis=-1))
    return capital


def _bound(values: np.ndarray, counts: np.ndarray, inside: float, outside: float, limit: float) -> float:
    """Where K reaches its limit between the sample mean, where it is at most 1, and an end of [0, 1]; by halving."""
    if inside == outside:
        return outside
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if log_capital(values, counts, middle) < limit:
            inside = middle
        else:
            outside = middle
    return outside


def _more(values: np.ndarray, counts: np.ndarray, limit: float) -> int | None:
    """The least number of further judgements, in the proportions seen so far, after which the interval leaves ½."""
    seen = counts.sum()
    extra = np.arange(1, MOST_MORE + 1)
    grown = counts * (1 + extra / seen)[:, None]  # (MOST_MORE, U)
    decided = np.flatnonzero(log_capital(values, grown, 0.5) >= limit)
    return int(extra[decided[0]]) if len(decided) else None


def sentence(win: WinInterval, new: str, old: str, left: int | None = None) -> str:
    """The verdict as one reads it: the rate, its interval, and what follows from it.

    Args:
        win: What was found.
        new: The new model's name.
        old: The old one's.
        left: How many prompts can still be judged, so that no more are asked for than there are; None: any number.
    """
    if win.n == 0:
        return f"Nothing is judged yet: {new} against {old}."
    said = f"On {count(win.n, 'prompt')} you preferred {new} to {old} {win.rate:.0%} of the time ({win.low:.0%}–{win.high:.0%})."
    if win.decision != "undecided":
        return f"{said} It is {win.decision}."
    return f"{said} Not decided yet: {_undecided(win, left)}"


def _undecided(win: WinInterval, left: int | None) -> str:
    """What a decision would take; never a number of prompts that do not exist."""
    if win.more is None or (win.more > CLOSE and left is not None and win.more > left):
        return "the two are close."
    many = count(about(win.more), "more judgement", "more judgements")
    if left is not None and win.more > left:
        there = f"only {count(left, 'prompt is', 'prompts are')} left" if left else "no prompt is left"
        return f"about {many} if this holds, and {there}: add some."
    if win.more > CLOSE:
        return f"the two are close; telling them apart would take about {many}."
    return f"about {many} if this holds."


def about(n: int) -> int:
    """A foreseen number at the precision it has: two digits."""
    unit: int = 10 ** max(0, len(str(n)) - 2)
    return round(n / unit) * unit
