"""Rankings and marks as tensors: each row of feedback is one batch element, all its pairs together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import torch
from torch import Tensor

from rlhf_desktop.core.thoughts import split_thought
from rlhf_desktop.feedback.snapshot import MarkedAnswer, RankedAnswers, RatedAnswers, RatedText, Split, with_their_marks
from rlhf_desktop.feedback.split import prompt_hash
from rlhf_desktop.inference.device import send
from rlhf_desktop.inference.template import mark_tokens
from rlhf_desktop.training.batch import Group
from rlhf_desktop.training.encoding import ALIKE, Encoder

Pair = tuple[int, int]


@dataclass(frozen=True)
class Pairs:
    """Which answers beat which, and which are as good as each other (indices into the answers of a group)."""

    wins: list[Pair]  # (better, worse)
    ties: list[Pair]


@dataclass(frozen=True)
class RankedGroup:
    """A prompt with its compared answers: overall, and by attribute where they were marked."""

    group: Group
    wins: list[Pair]
    ties: list[Pair]
    prompt: str = ""  # the hash that the project's split goes by: the unit of a bootstrap
    margin: float = 0.0  # how clear the preferences were, −1 to 1
    marks: Mapping[str, Pairs] = field(default_factory=dict)
    penalties: list[float] = field(default_factory=list)  # of each token of the one answer whose bad parts were marked


@dataclass(frozen=True)
class Comparisons:
    """P pairs of a batch's C answers under H heads (0 is overall), as indices into scores (C, H) flattened."""

    pairs: Tensor  # (P, 2) preferred, other
    tied: Tensor  # (P,)
    heads: Tensor  # (P,)
    margins: Tensor  # (P,) 0 for ties and marks

    def to(self, device: torch.device) -> "Comparisons":
        """The same, made on the CPU, on another device."""
        pairs, tied, heads, margins = (send(part, device) for part in (self.pairs, self.tied, self.heads, self.margins))
        return Comparisons(pairs, tied, heads, margins)


def encode_rankings(
    encoder: Encoder, rows: Sequence[RankedAnswers | RatedAnswers | MarkedAnswer], split: Split
) -> list[RankedGroup]:
    """Token ids and pairs of the rows in one half of the split, but for those set aside. Answers get their end-of-turn token.

    Marks of answers that were ranked too join the ranking: one batch element, and the ranking alone says what is better overall.
    """
    groups = []
    for row, marks in with_their_marks([row for row in rows if row.split == split]):
        group = _encode(encoder, row)
        for marked in marks:
            part = _encode(encoder, marked) if group else None
            group = replace(group, marks=_joined(group, part)) if group and part else group
        if group:
            groups.append(group)
    return groups


def _joined(ranked: RankedGroup, marked: RankedGroup) -> dict[str, Pairs]:
    """The marks of both, as pairs of the ranked answers."""
    places = {tuple(answer): i for i, answer in enumerate(ranked.group.answers)}
    to = [places[tuple(answer)] for answer in marked.group.answers]
    marks = dict(ranked.marks)
    for name, pairs in marked.marks.items():
        before = marks.get(name, Pairs([], []))
        wins, ties = ([(to[i], to[j]) for i, j in part] for part in (pairs.wins, pairs.ties))
        marks[name] = Pairs(before.wins + wins, before.ties + ties)
    return marks


def _encode(encoder: Encoder, row: RankedAnswers | RatedAnswers | MarkedAnswer) -> RankedGroup | None:
    if isinstance(row, MarkedAnswer):
        return _encode_marked(encoder, row)
    texts = [split_thought(answer.text)[1] for answer in row.completions]
    if len(set(texts)) == 1:
        encoder.set_aside(row, ALIKE)
        return None
    group, key = encoder.compared(row, texts), prompt_hash(row.prompt)
    if group is None:
        return None
    if isinstance(row, RatedAnswers):
        wins = _unlike(group, Pairs(dominating(row.completions), [])).wins
        return RankedGroup(group, wins, [], key, marks=_marks(group, row.completions))
    order = _unlike(group, _ordered({i: -c.rank for i, c in enumerate(row.completions)}))
    return RankedGroup(group, order.wins, order.ties, key, row.margin)


def _unlike(group: Group, pairs: Pairs) -> Pairs:
    """The pairs without those of one text with itself, which say nothing."""
    wins, ties = ([(i, j) for i, j in part if group.answers[i] != group.answers[j]] for part in (pairs.wins, pairs.ties))
    return Pairs(wins, ties)


def _encode_marked(encoder: Encoder, row: MarkedAnswer) -> RankedGroup | None:
    """An answer with a penalty for each token: that of the worst part it touches."""
    group = encoder.compared(row, [row.text])
    if group is None:
        return None
    penalties = mark_tokens(encoder.base.tokenizer, row.text, [(span.start, span.end, span.penalty) for span in row.spans])
    ended = [*penalties, *[0.0] * (len(group.answers[0]) - len(penalties))]  # what ends the turn is no part of the text
    return RankedGroup(group, [], [], prompt_hash(row.prompt), penalties=ended)


def _ordered(values: Mapping[int, float]) -> Pairs:
    """All pairs of some answers; the higher value is better."""
    wins = [(i, j) for i in values for j in values if values[i] > values[j]]
    return Pairs(wins, [(i, j) for i, j in combinations(values, 2) if values[i] == values[j]])


def _marks(group: Group, answers: Sequence[RatedText]) -> dict[str, Pairs]:
    names = sorted({name for answer in answers for name in answer.ratings})
    orders = {name: _ordered({i: a.ratings[name] for i, a in enumerate(answers) if name in a.ratings}) for name in names}
    found = {name: _unlike(group, order) for name, order in orders.items()}
    return {name: pairs for name, pairs in found.items() if pairs.wins or pairs.ties}


def dominating(answers: Sequence[RatedText]) -> list[Pair]:
    """What marks say of answers as a whole: one is better that is at least as good in everything and better in something."""
    wins = []
    for i, a in enumerate(answers):
        for j, b in enumerate(answers):
            gains = [a.ratings[name] - b.ratings[name] for name in a.ratings.keys() & b.ratings.keys()]
            if gains and min(gains) >= 0 < max(gains):
                wins.append((i, j))
    return wins


def attributes_of(items: Sequence[RankedGroup]) -> list[str]:
    """The attributes that some answers were marked by, in alphabetical order."""
    return sorted({name for item in items for name in item.marks})


def comparisons(items: Sequence[RankedGroup], attributes: Sequence[str], *, with_ties: bool) -> Comparisons:
    """All pairs of some groups, overall and by attribute."""
    rows: list[tuple[int, int, bool, int, float]] = []
    at, width = 0, 1 + len(attributes)
    for item in items:
        judged = [Pairs(item.wins, item.ties), *(item.marks.get(name, Pairs([], [])) for name in attributes)]
        for head, pairs in enumerate(judged):
            margin = 0.0 if head else item.margin
            rows += [((at + i) * width + head, (at + j) * width + head, False, head, margin) for i, j in pairs.wins]
            if with_ties:
                rows += [((at + i) * width + head, (at + j) * width + head, True, head, 0.0) for i, j in pairs.ties]
        at += len(item.group.answers)
    first, second, tied, heads, margins = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    pairs_tensor = torch.tensor([first, second], dtype=torch.long).t().reshape(-1, 2)
    return Comparisons(
        pairs_tensor,
        torch.tensor(tied, dtype=torch.bool),
        torch.tensor(heads, dtype=torch.long),
        torch.tensor(margins, dtype=torch.float32),
    )


def margin_metrics(margins: Tensor, count: int, prefix: str = "") -> dict[str, Tensor]:
    """Mean margin and share of pairs in the right order (a margin of 0 counts half), as parts of a mean over `count` pairs."""
    right = (margins > 0).float() + (margins == 0).float() / 2
    return {f"{prefix}rewards/margins": margins.sum() / count, f"{prefix}rewards/accuracies": right.sum() / count}
