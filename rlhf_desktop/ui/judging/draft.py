"""A judgement while it is made: every key and click gives another value of this. Qt-free; survives as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from rlhf_desktop.feedback.judgements import (
    AllBad,
    Choice,
    Correction,
    Judgement,
    Labels,
    Ranking,
    Ratings,
    Span,
    Spans,
    Thumbs,
    Verdict,
)
from rlhf_desktop.feedback.protocol import Protocol
from rlhf_desktop.ui import words
from rlhf_desktop.ui.judging.ranking import RankingState

V = TypeVar("V")
STRENGTHS = ("slightly", "clearly", "much")
CONFIDENCES = (("a guess", 0.4), ("fairly sure", 0.7), ("certain", 1.0))


@dataclass(frozen=True)
class Draft:
    """What has been said so far about `count` answers, in displayed order.

    Attributes:
        ranking: The order, for protocols that compare freely.
        groups: The group of each answer from 1, for protocols that sort into groups; 0 for none yet.
        strength: How much better the better of two is, 1 to 3; 0 when not said.
        thumbs: Up, down or neither, for each answer.
        scores: By attribute, the mark of each answer.
        chosen: By question, the labels of each answer.
        corrections: By answer, what it should have said.
        spans: Marked parts.
        why: The reason.
        confidence: 0 to 1, when given.
        own: An answer of the user's own, begun and not saved.
    """

    ranking: RankingState
    groups: tuple[int, ...]
    strength: int = 0
    thumbs: tuple[bool | None, ...] = ()
    scores: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict)
    chosen: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    corrections: Mapping[int, str] = field(default_factory=dict)
    spans: tuple[Span, ...] = ()
    why: str = ""
    confidence: float | None = None
    own: str = ""

    @classmethod
    def blank(cls, count: int) -> "Draft":
        """Nothing said yet."""
        return cls(RankingState(count), (0,) * count, 0, (None,) * count)

    @property
    def count(self) -> int:
        """How many answers there are."""
        return self.ranking.count

    @property
    def empty(self) -> bool:
        """Whether there is nothing to lose."""
        return self == Draft.blank(self.count)

    # --- what keys and clicks do

    def press(self, answer: int, protocol: Protocol) -> "Draft":
        """An answer's number was pressed: it is the next best. Of a decided pair it is the better one now, or better by more."""
        pair = self.count == 2
        if pair and self.ranking.buckets == ((answer,), (1 - answer,)):
            return replace(self, strength=self.strength % len(STRENGTHS) + 1) if protocol.strength else self
        before = RankingState(2) if pair and self.ranking.complete else self.ranking
        return replace(self, ranking=before.place(answer), strength=1 if pair and protocol.strength else self.strength)

    def ranked(self, ranking: RankingState) -> "Draft":
        """Another order; a tie or "none will do" has no strength."""
        decided = len(ranking.buckets) == 2 and ranking.count == 2
        return replace(self, ranking=ranking, strength=self.strength if decided else 0)

    def grouped(self, answer: int, group: int) -> "Draft":
        """Put an answer into a group."""
        return replace(self, groups=_put(self.groups, answer, group), ranking=replace(self.ranking, all_bad=False))

    def thumbed(self, answer: int, up: bool | None) -> "Draft":
        """A thumb for an answer."""
        return replace(self, thumbs=_put(self.thumbs, answer, up))

    def scored(self, attribute: str, answer: int, score: int | None) -> "Draft":
        """A mark for an answer, or none."""
        marks = self.scores.get(attribute, (None,) * self.count)
        return replace(self, scores={**self.scores, attribute: _put(marks, answer, score)})

    def labelled(self, question: str, answer: int, labels: tuple[str, ...]) -> "Draft":
        """An answer's labels to a question."""
        given = self.chosen.get(question, ((),) * self.count)
        return replace(self, chosen={**self.chosen, question: _put(given, answer, labels)})

    def corrected(self, answer: int, text: str | None) -> "Draft":
        """What an answer should have said; None: nothing to correct."""
        rest = {place: kept for place, kept in self.corrections.items() if place != answer}
        return replace(self, corrections={**rest, answer: text} if text else rest)

    def marked(self, span: Span) -> "Draft":
        """One more marked part; the same part marked again replaces the old mark."""
        rest = tuple(old for old in self.spans if (old.index, old.start, old.end) != (span.index, span.start, span.end))
        return replace(self, spans=tuple(sorted((*rest, span), key=lambda s: (s.index, s.start, s.end))))

    def unmarked(self, span: Span) -> "Draft":
        """Without a mark."""
        return replace(self, spans=tuple(old for old in self.spans if old != span))

    # --- what it means

    def compared(self, protocol: Protocol) -> bool:
        """Whether the comparison the protocol asks for has been made."""
        if protocol.comparison == "none" or self.ranking.all_bad:
            return True
        return all(self.groups) if protocol.comparison == "buckets" else self.ranking.complete

    def best(self, protocol: Protocol) -> int:
        """The place of the best answer; -1 when none will do or nothing says which."""
        if self.ranking.all_bad or protocol.comparison == "none":
            return -1
        if protocol.comparison == "buckets":
            return self.groups.index(min(self.groups)) if all(self.groups) else -1
        return self.ranking.buckets[0][0] if self.ranking.complete else -1

    def verdicts(self, protocol: Protocol) -> list[Verdict]:
        """Everything said, as the store keeps it."""
        made: list[Verdict] = []
        if self.ranking.all_bad:
            made.append(AllBad())
        elif protocol.comparison == "buckets" and all(self.groups):
            made.append(Ranking(self.groups))
        elif protocol.comparison in ("pairwise", "ranking") and self.ranking.complete:
            made.append(Ranking.of(self.ranking.ranks(), self.strength or None))
        made += [Thumbs(up, place) for place, up in enumerate(self.thumbs) if up is not None]
        ratings = [a.rating(self.scores[a.name]) for a in protocol.attributes if any(self.scores.get(a.name, ()))]
        choices = [Choice(q.name, self.chosen[q.name]) for q in protocol.labels if any(self.chosen.get(q.name, ()))]
        made += [Ratings(tuple(ratings))] if ratings else []
        made += [Labels(tuple(choices))] if choices else []
        made += [Spans(self.spans)] if self.spans else []
        made += [Correction(text, place) for place, text in sorted(self.corrections.items())]
        return made

    def outcome(self, protocol: Protocol) -> str:
        """What saving means to the trainers: "3 comparisons, 1 tie, 2 marks"."""
        parts = []
        if protocol.comparison == "buckets" and not self.ranking.all_bad:
            parts.append(RankingState.from_ranks(self.groups).outcome())
        elif protocol.comparison != "none":
            parts.append(self.ranking.outcome())
        for n, noun in (
            (sum(up is not None for up in self.thumbs), "thumb"),
            (sum(score is not None for scores in self.scores.values() for score in scores), "rating"),
            (sum(len(labels) for given in self.chosen.values() for labels in given), "label"),
            (len(self.spans), "mark"),
            (len(self.corrections), "correction"),
        ):
            parts += [words.count(n, noun)] if n else []
        return ", ".join(parts)

    # --- kept

    def to_json(self) -> dict[str, Any]:
        """For the store of drafts."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Draft":
        """The inverse of `to_json`."""
        ranking = value["ranking"]
        placed = tuple((answer, tied) for answer, tied in ranking["placed"])
        return cls(
            ranking=RankingState(**{**ranking, "placed": placed}),
            groups=tuple(value["groups"]),
            strength=value["strength"],
            thumbs=tuple(value["thumbs"]),
            scores={name: tuple(marks) for name, marks in value["scores"].items()},
            chosen={name: tuple(tuple(labels) for labels in given) for name, given in value["chosen"].items()},
            corrections={int(place): text for place, text in value["corrections"].items()},
            spans=tuple(Span(**span) for span in value["spans"]),
            why=value["why"],
            confidence=value["confidence"],
            own=value.get("own", ""),
        )

    @classmethod
    def of(cls, judgement: Judgement) -> "Draft":
        """What a stored judgement said, to be revised."""
        made = replace(cls.blank(len(judgement.displayed)), why=judgement.critique, confidence=judgement.confidence)
        for verdict in judgement.verdicts:
            made = made._with(verdict)
        return made

    def _with(self, verdict: Verdict) -> "Draft":
        if isinstance(verdict, Ranking):
            ranking = RankingState.from_ranks(verdict.ranks)
            return replace(self, ranking=ranking, groups=verdict.ranks, strength=verdict.strength or 0)
        if isinstance(verdict, AllBad):
            return replace(self, ranking=self.ranking.reject_all())
        if isinstance(verdict, Thumbs):
            return self.thumbed(verdict.index, verdict.up)
        if isinstance(verdict, Ratings):
            return replace(self, scores={rating.attribute: rating.scores for rating in verdict.ratings})
        if isinstance(verdict, Labels):
            return replace(self, chosen={choice.question: choice.chosen for choice in verdict.choices})
        if isinstance(verdict, Spans):
            return replace(self, spans=verdict.spans)
        if isinstance(verdict, Correction):
            return self.corrected(verdict.index, verdict.text)
        return self


def saves_at_once(protocol: Protocol) -> bool:
    """Whether one key on a pair says all that is asked, so that it saves without Enter."""
    more = protocol.strength or protocol.thumbs or protocol.attributes or protocol.labels or protocol.confidence
    return not more and protocol.reason != "required" and protocol.comparison in ("pairwise", "ranking")


def _put(values: Sequence[V], place: int, value: V) -> tuple[V, ...]:
    return (*values[:place], value, *values[place + 1 :])
