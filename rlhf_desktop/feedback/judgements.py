"""Judgements: append-only events. Undo and edit add an event that supersedes; nothing is changed or deleted.

So two workstations merge by set union, and every export and every training set is derived from the same events.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, TypeVar

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.ids import new_id
from rlhf_desktop.feedback.conversations import utc_now
from rlhf_desktop.feedback.verdicts import (
    ALONE,
    FORMS,
    AllBad,
    Choice,
    Correction,
    Demonstrated,
    Flag,
    Kind,
    Labels,
    Ranking,
    Rating,
    Ratings,
    Skip,
    Span,
    Spans,
    Thumbs,
    Verdict,
    Withdrawn,
    dense,
    verdict_from_json,
    verdict_to_json,
)

__all__ = [  # the forms are offered here too, beside the event they make up
    "AllBad",
    "Choice",
    "Correction",
    "Demonstrated",
    "Flag",
    "Judgement",
    "Kind",
    "Labels",
    "Purpose",
    "Ranking",
    "Rating",
    "Ratings",
    "Skip",
    "Span",
    "Spans",
    "Thumbs",
    "Verdict",
    "Withdrawn",
    "dense",
    "effective",
    "in_order",
    "revision",
    "verdict_from_json",
    "verdict_to_json",
    "withdrawal",
]

Purpose = Literal["label", "repeat", "adjudication"]


@dataclass(frozen=True)
class Judgement:
    """One event: who judged which completions, as displayed, how, when, and how long it took.

    Attributes:
        displayed: Message ids of the completions in the order they were shown.
        guideline_version: The guideline in force; 0 when the project has none.
        confidence: 0 to 1, when the expert gave one.
        supersedes: The event this one replaces (an edit) or takes back (`Withdrawn`).
        source: Where an imported one came from: a hash of its row, so that importing a file twice changes nothing.
        also: What else was said in the same act (marks beside a ranking, a correction): one event, undone and revised as one.
        purpose: "repeat" for an item shown again to measure self-agreement, which no trainer sees; "adjudication" for one that
            settles a disagreement and stands for the others on the same answers.
    """

    project_id: str
    who: str
    displayed: tuple[str, ...]
    verdict: Verdict
    seconds_spent: float | None = None
    guideline_version: int = 0
    critique: str = ""
    confidence: float | None = None
    supersedes: str | None = None
    source: str = ""
    also: tuple[Verdict, ...] = ()
    purpose: Purpose = "label"
    id: str = field(default_factory=new_id)
    created_at: str = field(default_factory=utc_now)

    def __post_init__(self) -> None:
        _check(self)

    @property
    def kind(self) -> Kind:
        """The main verdict's form."""
        return self.verdict.kind

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """All that was said: the main verdict, then the others."""
        return (self.verdict, *self.also)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The forms of `verdicts`, each once."""
        return tuple(dict.fromkeys(verdict.kind for verdict in self.verdicts))


def _check(j: Judgement) -> None:
    """Raise `BadInput`, in words for the user, when the parts of a judgement do not fit each other."""
    shown = len(j.displayed)
    if len(set(j.displayed)) != shown:
        raise BadInput("The same answer was shown twice.", "Judge each answer once.")
    if isinstance(j.verdict, Withdrawn):
        if j.supersedes is None:
            raise BadInput("There is nothing to take back.", "Choose the judgement to undo.")
    elif shown == 0:
        raise BadInput("A judgement needs an answer to judge.", "Ask for an answer first.")
    _check_together(j.verdicts)
    for verdict in j.verdicts:
        _check_shape(verdict, shown)
    if j.confidence is not None and not 0 <= j.confidence <= 1:
        raise BadInput(f"A confidence of {j.confidence} does not work.", "Give a number from 0 (a guess) to 1 (certain).")
    if j.seconds_spent is not None and not j.seconds_spent >= 0:
        raise BadInput("The time spent on a judgement cannot be negative.", "Check the computer's clock.")
    if j.supersedes == j.id:
        raise BadInput("A judgement cannot replace itself.", "Judge again.")


def _check_together(verdicts: Sequence[Verdict]) -> None:
    if len(verdicts) > 1 and any(verdict.kind in ALONE for verdict in verdicts):
        raise BadInput("A skip, a flag or an example says all there is to say.", "Save it without the rest, or leave it out.")
    kinds = [v.kind if not isinstance(v, Thumbs | Correction) else (v.kind, v.index) for v in verdicts]
    if len(set(kinds)) != len(kinds):
        raise BadInput("The same form of judgement is there twice.", "Judge once in each form.")
    if "ranking" in kinds and "all_bad" in kinds:
        raise BadInput("The answers are ranked, and none is to do.", "Rank them, or say that none will do.")


def _check_shape(verdict: Verdict, shown: int) -> None:
    if isinstance(verdict, Ranking) and len(verdict.ranks) != shown:
        raise BadInput(
            f"{shown} answers were shown but {len(verdict.ranks)} were ranked.", "Give each answer a rank; ties are allowed."
        )
    if isinstance(verdict, Demonstrated) and shown != 1:
        raise BadInput("This form of feedback is about one answer.", "Choose one answer.")
    if isinstance(verdict, Correction):
        if not 0 <= verdict.index < shown:
            raise BadInput("The corrected answer is not among those shown.", "Choose the answer to correct.")
        if not verdict.text.strip():
            raise BadInput("The correction is empty.", "Write what the answer should have said.")
    if isinstance(verdict, Thumbs) and verdict.index >= shown:
        raise BadInput("The answer with the thumb is not among those shown.", "Choose an answer.")
    if isinstance(verdict, Spans) and any(span.index >= shown for span in verdict.spans):
        raise BadInput("A marked answer is not among those shown.", "Mark parts of the answers on screen.")
    if isinstance(verdict, Ratings) and any(len(rating.scores) != shown for rating in verdict.ratings):
        raise BadInput(f"{shown} answers were shown, but not as many marks given.", "Leave out a mark rather than its place.")
    if isinstance(verdict, Labels) and any(len(choice.chosen) != shown for choice in verdict.choices):
        raise BadInput(f"{shown} answers were shown, but not as many labelled.", "Leave out a label rather than its place.")


def in_order(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """What was said in one act, the main form first: `Judgement(..., verdict=first, also=rest)`."""
    return tuple(sorted(verdicts, key=lambda verdict: (FORMS.index(type(verdict)), getattr(verdict, "index", 0))))


def revision(of: Judgement, who: str, verdicts: Iterable[Verdict], **changes: Any) -> Judgement:
    """The event that replaces another: the same answers as displayed, judged anew.

    Args:
        of: The judgement to revise; it stays, superseded.
        who: Who revises it.
        verdicts: All that is said now, in any order.
        changes: New values of `critique`, `confidence`, `seconds_spent` or `guideline_version`; the others stay.
    """
    main, *rest = in_order(verdicts)
    event = replace(of, who=who, verdict=main, also=tuple(rest), supersedes=of.id, source="", id=new_id(), created_at=utc_now())
    return replace(event, **changes)


def withdrawal(of: Judgement, who: str) -> Judgement:
    """The event that undoes another."""
    return Judgement(of.project_id, who, of.displayed, Withdrawn(), supersedes=of.id)


class Event(Protocol):
    """What decides whether an event is in effect."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def kind(self) -> Kind:
        """Its main form."""

    @property
    def supersedes(self) -> str | None:
        """The event it replaces or takes back."""


E = TypeVar("E", bound=Event)


def effective(judgements: Iterable[E]) -> list[E]:
    """The judgements in effect, in the order given: neither taken back nor replaced by one in effect.

    Taking back an edit brings the original back; taking back a withdrawal (redo) does so too. The order of events does not
    matter, so merged sets from two workstations agree.
    """
    events = list(judgements)
    by_id = {event.id: event for event in events}
    withdrawn = _withdrawn_ids(events)
    standing = [e for e in events if e.kind != "withdrawn" and e.id not in withdrawn]
    replaced: set[str] = set()
    for event in standing:
        target = event.supersedes
        while target is not None and target != event.id and target not in replaced:
            replaced.add(target)
            target = by_id[target].supersedes if target in by_id else None
    return [event for event in standing if event.id not in replaced]


def _withdrawn_ids(events: Sequence[Event]) -> set[str]:
    """Ids taken back by a withdrawal that is not itself taken back. Walked from the judgements outwards: no circle is entered."""
    targets: dict[str | None, list[str]] = {}
    for event in events:
        if event.kind == "withdrawn":
            targets.setdefault(event.supersedes, []).append(event.id)
    order = [event.id for event in events if event.kind != "withdrawn"]
    for target in order:  # grows while we walk: withdrawals, their withdrawals, …
        order.extend(targets.get(target, ()))
    gone: set[str] = set()
    for target in reversed(order):
        if any(withdrawal_id not in gone for withdrawal_id in targets.get(target, ())):
            gone.add(target)
    return gone
