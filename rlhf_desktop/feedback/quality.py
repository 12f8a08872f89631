"""How good the judgements are: agreement with oneself and with others, position bias, haste, ties, pace. Pure numbers.

Intervals are 95%. Shares have Wilson's interval with one trial an item, however many answers it had: the pairs of one ranking are
not independent. Krippendorff's α (https://en.wikipedia.org/wiki/Krippendorff's_alpha) has a bootstrap interval over items.
"""

import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Literal

import krippendorff
import numpy as np
from numpy.typing import NDArray

from rlhf_desktop.feedback.judgements import AllBad, Judgement, Labels, Ranking, Ratings, Thumbs

_Z = 1.959964
_RESAMPLES = 200
_MAX_UNITS = 5000  # that a bootstrap draws from; more would not narrow the interval noticeably
REPEAT_GAP = 10  # judgements that lie between an item and its return
_FASTEST_CHARS_PER_S = 200.0  # several times the speed of skimming
_FASTEST_S = 1.0
Level = Literal["nominal", "ordinal"]  # of measurement
Relation = Literal[-1, 0, 1]  # of the answer with the smaller id to the other: worse, alike, better


@dataclass(frozen=True)
class Share:
    """A share of `n` items, with its interval. Without items everything is 0 to 1."""

    value: float
    low: float
    high: float
    n: int


def share(outcomes: Sequence[float]) -> Share:
    """The mean of outcomes from 0 to 1, one an item, with Wilson's interval (exact coverage for outcomes that are 0 or 1)."""
    n = len(outcomes)
    if n == 0:
        return Share(0.0, 0.0, 1.0, 0)
    p = sum(outcomes) / n
    centre = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * (p * (1 - p) / n + _Z**2 / (4 * n**2)) ** 0.5
    return Share(p, max(0.0, centre - half), min(1.0, centre + half), n)


def item_of(judgement: Judgement) -> frozenset[str]:
    """What was judged, in whatever order it was shown."""
    return frozenset(judgement.displayed)


def relations(judgement: Judgement) -> dict[tuple[str, str], Relation]:
    """How each two answers compare: by the ranking, or all alike when none would do. Empty when nothing compares them."""
    ranking = next((v for v in judgement.verdicts if isinstance(v, Ranking)), None)
    if ranking is None:
        return {}
    found: dict[tuple[str, str], Relation] = {}
    for (a, rank_a), (b, rank_b) in combinations(sorted(zip(judgement.displayed, ranking.ranks, strict=True)), 2):
        found[a, b] = 1 if rank_a < rank_b else -1 if rank_a > rank_b else 0
    return found


def _refused(judgement: Judgement) -> bool:
    return any(isinstance(verdict, AllBad) for verdict in judgement.verdicts)


def likeness(one: Judgement, other: Judgement) -> float | None:
    """How alike two judgements of the same answers are: the share of pairs they order alike; None when they cannot be compared."""
    if _refused(one) or _refused(other):
        return float(_refused(one) and _refused(other)) if relations(one) or relations(other) or _refused(one) else None
    first, second = relations(one), relations(other)
    common = first.keys() & second.keys()
    return sum(first[pair] == second[pair] for pair in common) / len(common) if common else None


# --- one annotator ------------------------------------------------------------------------------------------------------------


def self_agreement(judgements: Iterable[Judgement]) -> Share:
    """How often an item that silently came back was judged as before, by the same person."""
    earlier: dict[tuple[str, frozenset[str]], Judgement] = {}
    outcomes = []
    for judgement in judgements:
        key = (judgement.who, item_of(judgement))
        if judgement.purpose != "repeat":
            earlier.setdefault(key, judgement)
        elif key in earlier and (alike := likeness(earlier[key], judgement)) is not None:
            outcomes.append(alike)
    return share(outcomes)


def position_bias(judgements: Iterable[Judgement]) -> Share:
    """How often the answer shown first beat the one shown later; 0.5 is no bias. Ties do not count."""
    outcomes = []
    for judgement in judgements:
        ranking = next((v for v in judgement.verdicts if isinstance(v, Ranking)), None)
        if ranking:
            decided = [a < b for a, b in combinations(ranking.ranks, 2) if a != b]
            if decided:
                outcomes.append(sum(decided) / len(decided))
    return share(outcomes)


def tie_rate(judgements: Iterable[Judgement]) -> Share:
    """The share of pairs called equally good."""
    ranked = [list(relations(judgement).values()) for judgement in judgements]
    return share([sum(value == 0 for value in values) / len(values) for values in ranked if values])


def refusal_rate(judgements: Iterable[Judgement]) -> Share:
    """How often none of the answers would do."""
    return share([float(_refused(j)) for j in judgements if _refused(j) or relations(j)])


def too_fast(judgements: Iterable[Judgement], chars: Mapping[str, int]) -> list[str]:
    """Ids of judgements made faster than anyone can have looked at the answers.

    Args:
        judgements: Those with a time are considered.
        chars: The length of all that was shown, by judgement id; what is missing counts as nothing.
    """
    return [
        j.id
        for j in judgements
        if j.seconds_spent is not None and j.seconds_spent < max(_FASTEST_S, chars.get(j.id, 0) / _FASTEST_CHARS_PER_S)
    ]


@dataclass(frozen=True)
class DayPace:
    """One day's work of one person."""

    day: str
    who: str
    judgements: int
    median_s: float | None


def pace(judgements: Iterable[Judgement]) -> list[DayPace]:
    """Judgements a day and how long one took, by person, oldest first."""
    days: dict[tuple[str, str], list[float | None]] = {}
    for judgement in judgements:
        days.setdefault((judgement.created_at[:10], judgement.who), []).append(judgement.seconds_spent)
    found = []
    for (day, who), times in sorted(days.items()):
        known = [time for time in times if time is not None]
        found.append(DayPace(day, who, len(times), median(known) if known else None))
    return found


def distributions(judgements: Iterable[Judgement]) -> dict[str, tuple[int, ...]]:
    """How often each step of each attribute's scale was given, worst first. Scales of different lengths are kept apart."""
    found: dict[str, list[int]] = {}
    for rating in (r for j in judgements for v in j.verdicts if isinstance(v, Ratings) for r in v.ratings):
        counts = found.setdefault(f"{rating.attribute} (of {rating.levels})", [0] * rating.levels)
        for score in rating.scores:
            if score is not None:
                counts[score - 1] += 1
    return {name: tuple(counts) for name, counts in found.items()}


@dataclass(frozen=True)
class Repeat:
    """An item to show again: which judgement it repeats, and in which order its answers are shown now."""

    of: Judgement
    displayed: tuple[str, ...]


def choose_repeat(mine: Sequence[Judgement], repeat_share: float, chance: random.Random) -> Repeat | None:
    """The item to return now, if one is due: judged some time ago, not repeated before, in another order.

    Args:
        mine: One person's judgements in effect, oldest first.
        repeat_share: The share of all items that are to be repeats.
        chance: Draws the item and the order.
    """
    repeats = sum(j.purpose == "repeat" for j in mine)
    if not mine or repeats >= repeat_share * (len(mine) + 1) or any(j.purpose == "repeat" for j in mine[-REPEAT_GAP:]):
        return None
    done = {item_of(j) for j in mine if j.purpose == "repeat"}
    old = [j for j in mine[:-REPEAT_GAP] if j.purpose == "label" and len(j.displayed) > 1 and item_of(j) not in done]
    compared = [j for j in old if relations(j) or _refused(j)]
    if not compared:
        return None
    of = chance.choice(compared)
    return Repeat(of, _reordered(of.displayed, chance))


def _reordered(displayed: Sequence[str], chance: random.Random) -> tuple[str, ...]:
    """Another order, with the first answer no longer first."""
    order = list(displayed)
    while order[0] == displayed[0]:
        chance.shuffle(order)
    return tuple(order)


# --- several annotators -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Alpha:
    """Krippendorff's α of one kind of answer: 1 is perfect, 0 is chance. `units` were judged by two people or more."""

    what: str
    value: float | None
    low: float | None
    high: float | None
    units: int


@dataclass(frozen=True)
class PairAgreement:
    """How often two people ordered the same answers alike."""

    one: str
    other: str
    agreement: Share


@dataclass(frozen=True)
class Disagreement:
    """Answers that people judged differently and nobody has settled. `likeness` is their mean agreement, 0 to 1."""

    judgements: tuple[Judgement, ...]
    likeness: float


def _by_item(judgements: Iterable[Judgement]) -> dict[frozenset[str], dict[str, Judgement]]:
    """For each item the newest judgement of each person; repeats and adjudications are not independent opinions."""
    found: dict[frozenset[str], dict[str, Judgement]] = {}
    for judgement in judgements:
        if judgement.purpose == "label" and judgement.kind not in ("skip", "flag", "withdrawn", "demonstration"):
            found.setdefault(item_of(judgement), {})[judgement.who] = judgement
    return found


def for_everyone(item: Iterable[str], share_of_items: float) -> bool:
    """Whether an item (the ids of its answers) is among those that everybody judges: the same ones on every computer."""
    drawn = int.from_bytes(hashlib.sha256(" ".join(sorted(item)).encode()).digest()[:8])
    return drawn < share_of_items * 2**64


def overlap(judgements: Iterable[Judgement]) -> Share:
    """The share of items that more than one person judged."""
    return share([float(len(people) > 1) for people in _by_item(judgements).values()])


def pairwise_agreement(judgements: Iterable[Judgement]) -> list[PairAgreement]:
    """Each two people who judged the same answers, by name."""
    outcomes: dict[tuple[str, str], list[float]] = {}
    for people in _by_item(judgements).values():
        for (one, a), (other, b) in combinations(sorted(people.items()), 2):
            if (alike := likeness(a, b)) is not None:
                outcomes.setdefault((one, other), []).append(alike)
    return [PairAgreement(one, other, share(found)) for (one, other), found in sorted(outcomes.items())]


def disagreements(judgements: Iterable[Judgement]) -> list[Disagreement]:
    """Items to settle, the greatest disagreement first."""
    events = list(judgements)
    settled = {item_of(j) for j in events if j.purpose == "adjudication"}
    found = []
    for item, people in _by_item(events).items():
        alike = [x for a, b in combinations(people.values(), 2) if (x := likeness(a, b)) is not None]
        if item not in settled and alike and (mean := sum(alike) / len(alike)) < 1:
            found.append(Disagreement(tuple(people.values()), mean))
    return sorted(found, key=lambda one: (one.likeness, one.judgements[0].id))


def alphas(judgements: Iterable[Judgement], seed: int = 0) -> list[Alpha]:
    """Krippendorff's α for the order of answers, for thumbs, and for each attribute and question."""
    units: dict[tuple[str, Level], dict[object, dict[str, float | str]]] = {}
    for people in _by_item(judgements).values():
        if len(people) > 1:
            for who, judgement in people.items():
                for what, level, unit, value in _answers(judgement):
                    units.setdefault((what, level), {}).setdefault(unit, {})[who] = value
    return [_alpha(what, level, list(found.values()), seed) for (what, level), found in units.items()]


def _answers(judgement: Judgement) -> Iterator[tuple[str, Level, object, float | str]]:
    """What was answered: of what, on which level of measurement, about which unit, the value."""
    for pair, relation in relations(judgement).items():
        yield "order", "ordinal", pair, float(relation)
    for verdict in judgement.verdicts:
        if isinstance(verdict, Thumbs):
            yield "thumbs", "nominal", judgement.displayed[verdict.index], str(verdict.up)
        elif isinstance(verdict, Ratings):
            for rating in verdict.ratings:
                for message, score in zip(judgement.displayed, rating.scores, strict=True):
                    if score is not None:
                        yield rating.attribute, "ordinal", message, float(score)
        elif isinstance(verdict, Labels):
            for choice in verdict.choices:
                for message, labels in zip(judgement.displayed, choice.chosen, strict=True):
                    yield choice.question, "nominal", message, "+".join(sorted(labels))


def _alpha(what: str, level: Level, units: list[dict[str, float | str]], seed: int) -> Alpha:
    shared = [list(unit.values()) for unit in units if len(unit) > 1]
    domain = sorted({value for unit in shared for value in unit}, key=lambda value: (isinstance(value, str), value))
    if not shared or len(domain) < 2:
        return Alpha(what, 1.0 if shared else None, None, None, len(shared))  # all the same: nobody disagreed
    counts = np.array([[unit.count(value) for value in domain] for unit in shared])
    value = _measure(counts, domain, level)
    drawn = counts[np.random.default_rng(seed).choice(len(counts), min(len(counts), _MAX_UNITS), replace=False)]
    low, high = _interval(drawn, domain, level, seed)
    return Alpha(what, value, low, high, len(shared))


def _measure(counts: NDArray[np.int64], domain: Sequence[float | str], level: Level) -> float:
    return float(krippendorff.alpha(value_counts=counts, value_domain=list(domain), level_of_measurement=level))


def _interval(counts: NDArray[np.int64], domain: Sequence[float | str], level: Level, seed: int) -> tuple[float, float]:
    """The middle 95% of α over resampled units."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(_RESAMPLES):
        sample = counts[draw.integers(0, len(counts), len(counts))]
        varied = np.count_nonzero(sample.sum(axis=0)) > 1
        found.append(_measure(sample, domain, level) if varied else 1.0)
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)
