"""How far a reward model's scores can be trusted, on comparisons from prompts it never saw: the `report.json` of a reward run.

Everything is computed from the members' raw scores, averaged. The model's own probability that one answer is preferred to another,
a tie apart, is σ(difference of their scores): Bradley–Terry's, and Davidson's given that there is no tie. Answers to one prompt
resemble each other, so whole prompts are resampled for every interval (percentile bootstrap, seeded; Wilson's interval on the
number of prompts where nothing varies). A temperature is fitted on one half of the prompts and judged on the other, both ways round
(Guo et al., 2017), so that no pair judges a number it has helped to choose.

Keys of the file (`RewardReport`; a value that the feedback cannot give is null):

v                   1
prompts, answers    how many were held out
pairs, ties         decided comparisons, and ties
members             scorers in the ensemble
accuracy            {value, low, high, pairs}: decided pairs that the model orders as the expert did; equal scores count half
member_accuracy     the same for each member, a number each
spread              mean over answers of the members' standard deviation; null for one member
tie_lead            {ties, decided}: mean difference of scores in absolute value; ties should be closer
calibration         {ece, nll, ece_tempered, nll_tempered, temperature, reliability, reliability_tempered}: expected calibration
                    error and mean −log p; reliability is a list of {low, high, predicted, observed, pairs}, one a bin of the
                    probability of the answer that the model prefers: predicted ≈ observed is calibrated
by_lead             [{low, high, value, pairs}]: accuracy by the model's own difference of scores, up to five equal parts
by_clarity          [{low, high, value, pairs}]: accuracy by how clear the expert called the preference (−1 to 1)
length              {correlation, longer_preferred, longer_scored, accuracy_longer, accuracy_shorter, accuracy_alike, balanced}:
                    the correlation of score and log length within prompts; how often the expert, and the model, prefer the longer
                    one of two answers; accuracy where the preferred answer is longer, shorter, and within a tenth as long (each
                    {value, pairs}); and the mean of the first two: the accuracy that length alone cannot lift above one half
attributes          {name: {value, low, high, pairs}}: accuracy of each attribute's head on the marks
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rlhf_desktop.core.runs import Value
from rlhf_desktop.evaluation.winrate import wilson

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]

RESAMPLES = 2000
BINS = 10  # of probabilities from one half to one
ALIKE = 1.1  # lengths whose ratio is at most this count as alike
TEMPERATURES = (0.01, 100.0)


@dataclass(frozen=True)
class Judged:
    """P comparisons between answers, by the answers' places."""

    pairs: Ints  # (P, 2) preferred, other (either order when tied)
    tied: Bools  # (P,)
    clarity: Floats  # (P,) −1 a guess, 0 usual or unsaid, 1 beyond doubt


@dataclass(frozen=True)
class Heldout:
    """C held-out answers, what M members score them, and what the expert said of them."""

    prompts: Sequence[str]  # C: which prompt each answer belongs to
    lengths: Ints  # (C,) tokens
    scores: Floats  # (M, C) raw
    overall: Judged
    attributes: Mapping[str, tuple[Floats, Judged]] = field(default_factory=dict)  # name → scores (C,) and comparisons


class Rate(Value):
    """A share of some pairs."""

    value: float
    pairs: int


class Interval(Rate):
    """A share with its 95% interval."""

    low: float
    high: float


class Band(Rate):
    """Accuracy on the pairs between two values of something."""

    low: float
    high: float


class Bin(Value):
    """One point of a reliability diagram."""

    low: float
    high: float
    predicted: float
    observed: float
    pairs: int


class TieLead(Value):
    """Mean absolute difference of scores."""

    ties: float | None
    decided: float


class Calibration(Value):
    """Whether a probability of 0.8 is right eight times in ten."""

    ece: float
    nll: float
    ece_tempered: float | None
    nll_tempered: float | None
    temperature: float
    reliability: list[Bin]
    reliability_tempered: list[Bin]


class LengthBias(Value):
    """Whether the model takes length for quality."""

    correlation: float | None
    longer_preferred: float | None
    longer_scored: float | None
    accuracy_longer: Rate | None
    accuracy_shorter: Rate | None
    accuracy_alike: Rate | None
    balanced: float | None


class RewardReport(Value):
    """See the module's docstring."""

    v: Literal[1] = 1
    prompts: int
    answers: int
    pairs: int
    ties: int
    members: int
    accuracy: Interval
    member_accuracy: list[float]
    spread: float | None
    tie_lead: TieLead
    calibration: Calibration
    by_lead: list[Band]
    by_clarity: list[Band]
    length: LengthBias
    attributes: dict[str, Interval]

    def metrics(self) -> dict[str, float]:
        """The main numbers, by the names that a run's metrics have."""
        c, length = self.calibration, self.length
        found: dict[str, float | None] = {
            "eval/pairs": self.pairs,
            "eval/prompts": self.prompts,
            "eval/accuracy_low": self.accuracy.low,
            "eval/accuracy_high": self.accuracy.high,
            "eval/ece": c.ece,
            "eval/ece_tempered": c.ece_tempered,
            "eval/temperature": c.temperature,
            "eval/length_correlation": length.correlation,
            "eval/accuracy_length_balanced": length.balanced,
            "eval/ensemble_spread": self.spread,
            **{f"eval/attributes/{name}": interval.value for name, interval in self.attributes.items()},
        }
        return {name: float(value) for name, value in found.items() if value is not None}


def reward_report(heldout: Heldout, *, seed: int = 0) -> RewardReport:
    """Judge a reward model's held-out scores.

    Raises:
        ValueError: no comparison is decided.
    """
    judged = heldout.overall
    if not np.any(~judged.tied):
        raise ValueError("a report needs a decided comparison")
    scores, decided = heldout.scores.mean(axis=0), judged.pairs[~judged.tied]
    lead = _lead(scores, decided)
    prompts = _numbered(heldout.prompts)[decided[:, 0]]
    ties = np.abs(_lead(scores, judged.pairs[judged.tied]))
    return RewardReport(
        prompts=len(np.unique(prompts)),
        answers=len(heldout.prompts),
        pairs=len(decided),
        ties=len(ties),
        members=len(heldout.scores),
        accuracy=interval(lead, prompts, seed),
        member_accuracy=[float(_right(_lead(member, decided)).mean()) for member in heldout.scores],
        spread=float(heldout.scores.std(axis=0).mean()) if len(heldout.scores) > 1 else None,
        tie_lead=TieLead(ties=float(ties.mean()) if len(ties) else None, decided=float(np.abs(lead).mean())),
        calibration=calibration(lead, prompts, seed),
        by_lead=_bands(np.abs(lead), lead, np.unique(np.quantile(np.abs(lead), np.linspace(0, 1, min(5, len(lead)) + 1)))),
        by_clarity=_bands(judged.clarity[~judged.tied], lead, np.array([-1.0, -1 / 3, 1 / 3, 1.0])),
        length=length_bias(heldout, scores, decided),
        attributes={name: _attribute(heldout, name, seed) for name in heldout.attributes if _is_decided(heldout, name)},
    )


def _numbered(names: Sequence[str]) -> Ints:
    return np.unique(np.asarray(names), return_inverse=True)[1]


def _lead(scores: Floats, pairs: Ints) -> Floats:
    """By how much each pair's first answer is scored above its second."""
    return np.asarray(scores[pairs[:, 0]] - scores[pairs[:, 1]], dtype=float)


def _right(lead: Floats) -> Floats:
    """1 where the preferred answer is scored higher, one half where the scores are equal."""
    return np.where(lead == 0, 0.5, lead > 0)


def _is_decided(heldout: Heldout, name: str) -> bool:
    return bool(np.any(~heldout.attributes[name][1].tied))


def _attribute(heldout: Heldout, name: str, seed: int) -> Interval:
    scores, judged = heldout.attributes[name]
    pairs = judged.pairs[~judged.tied]
    return interval(_lead(scores, pairs), _numbered(heldout.prompts)[pairs[:, 0]], seed)


# --- accuracy -----------------------------------------------------------------------------------------------------------------


def interval(lead: Floats, prompts: Ints, seed: int = 0) -> Interval:
    """Accuracy over pairs with a 95% interval that resamples prompts.

    Args:
        lead: (P,) by how much the preferred answer is scored higher.
        prompts: (P,) which prompt each pair belongs to.
        seed: of the bootstrap.
    """
    right = _right(lead)
    _, where = np.unique(prompts, return_inverse=True)
    hits, counts = np.bincount(where, weights=right), np.bincount(where)  # by prompt
    value = float(right.mean())
    if np.ptp(hits / counts) == 0:
        low, high = wilson(value, len(counts))
    else:
        generator = np.random.default_rng(seed)
        draws = [generator.integers(0, len(counts), len(counts)) for _ in range(RESAMPLES)]
        low, high = np.quantile([hits[d].sum() / counts[d].sum() for d in draws], [0.025, 0.975])
    return Interval(value=value, low=float(low), high=float(high), pairs=len(right))


def _bands(by: Floats, lead: Floats, edges: Floats) -> list[Band]:
    """Accuracy between neighbouring edges, the last one included; empty bands are left out."""
    found = []
    for low, high in pairwise(edges if len(edges) > 1 else np.repeat(edges, 2)):
        inside = (by >= low) & ((by < high) | (high == edges[-1]))
        if inside.any():
            found.append(Band(low=float(low), high=float(high), value=float(_right(lead[inside]).mean()), pairs=int(inside.sum())))
    return found


# --- calibration --------------------------------------------------------------------------------------------------------------


def calibration(lead: Floats, prompts: Ints, seed: int = 0) -> Calibration:
    """How true the probabilities are, as they stand and with a temperature fitted on other prompts."""
    tempered = np.empty_like(lead)
    fold = _halves(prompts, seed)
    for half in (0, 1):
        if np.any(fold != half):
            tempered[fold == half] = lead[fold == half] / temperature(lead[fold != half])
    crossed = len(np.unique(fold)) == 2
    bins, bins_tempered = reliability(lead), reliability(tempered) if crossed else []
    return Calibration(
        ece=_ece(bins),
        nll=_nll(lead),
        ece_tempered=_ece(bins_tempered) if crossed else None,
        nll_tempered=_nll(tempered) if crossed else None,
        temperature=temperature(lead),
        reliability=bins,
        reliability_tempered=bins_tempered,
    )


def _halves(prompts: Ints, seed: int) -> Ints:
    """0 or 1 for each pair, the same for all pairs of a prompt; half of the prompts each."""
    names, where = np.unique(prompts, return_inverse=True)
    return (np.random.default_rng(seed).permutation(len(names)) % 2)[where]


def temperature(lead: Floats) -> float:
    """The T within `TEMPERATURES` that makes mean −log σ(lead / T) least; above 1 the model is too sure of itself.

    The loss is convex in 1/T, hence has one valley in log T: golden-section search.
    """
    low, high = np.log(TEMPERATURES)
    ratio = (np.sqrt(5) - 1) / 2
    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if _nll(lead / np.exp(left)) <= _nll(lead / np.exp(right)):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def _nll(lead: Floats) -> float:
    return float(np.logaddexp(0, -lead).mean())


def reliability(lead: Floats) -> list[Bin]:
    """Pairs by the probability of the answer that the model prefers, in equal steps from one half to one; empty ones left out."""
    sure = 1 / (1 + np.exp(-np.abs(lead)))
    right = _right(lead)
    place = np.minimum(((sure - 0.5) * 2 * BINS).astype(int), BINS - 1)
    found = []
    for b in np.unique(place):
        inside = place == b
        found.append(
            Bin(
                low=0.5 + b / (2 * BINS),
                high=0.5 + (b + 1) / (2 * BINS),
                predicted=float(sure[inside].mean()),
                observed=float(right[inside].mean()),
                pairs=int(inside.sum()),
            )
        )
    return found


def _ece(bins: Sequence[Bin]) -> float:
    """Expected calibration error: the bins' |observed − predicted|, weighted by their pairs."""
    return sum(b.pairs * abs(b.observed - b.predicted) for b in bins) / max(1, sum(b.pairs for b in bins))


# --- length -------------------------------------------------------------------------------------------------------------------


def length_bias(heldout: Heldout, scores: Floats, pairs: Ints) -> LengthBias:
    """Whether length explains the scores, and what accuracy is left without it.

    Args:
        heldout: the answers.
        scores: (C,) their scores.
        pairs: (P, 2) decided comparisons.
    """
    size = np.log(np.maximum(heldout.lengths, 1))
    ratio = size[pairs[:, 0]] - size[pairs[:, 1]]  # above 0: the preferred answer is the longer one
    lead = _lead(scores, pairs)
    alike = np.abs(ratio) <= np.log(ALIKE) + 1e-9
    longer, shorter = ~alike & (ratio > 0), ~alike & (ratio < 0)
    parts = [_rate(lead, chosen) for chosen in (longer, shorter, alike)]
    apart = longer | shorter
    return LengthBias(
        correlation=_within(scores, size, _numbered(heldout.prompts)),
        longer_preferred=float(longer[apart].mean()) if apart.any() else None,
        longer_scored=float(_right(np.where(longer, lead, -lead)[apart]).mean()) if apart.any() else None,
        accuracy_longer=parts[0],
        accuracy_shorter=parts[1],
        accuracy_alike=parts[2],
        balanced=(parts[0].value + parts[1].value) / 2 if parts[0] and parts[1] else None,
    )


def _rate(lead: Floats, chosen: Bools) -> Rate | None:
    return Rate(value=float(_right(lead[chosen]).mean()), pairs=int(chosen.sum())) if chosen.any() else None


def _within(x: Floats, y: Floats, groups: Ints) -> float | None:
    """Pearson's correlation of deviations from each group's mean; None when either does not vary within groups."""
    counts = np.bincount(groups)
    x, y = (v - (np.bincount(groups, weights=v) / counts)[groups] for v in (x, y))
    spread = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / spread if spread > 1e-12 else None
