"""Judgements: append-only events. Undo and edit add an event that supersedes; nothing is changed or deleted.

So two workstations merge by set union, and every export and every training set is derived from the same events.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.ids import new_id
from rlhf_desktop.feedback.conversations import utc_now

Kind = Literal["ranking", "all_bad", "correction", "demonstration", "thumbs", "skip", "flag", "withdrawn"]


@dataclass(frozen=True)
class Ranking:
    """The rank of each displayed completion, in displayed order. 1 is best; equal ranks are ties."""

    ranks: tuple[int, ...]
    kind: ClassVar[Kind] = "ranking"

    def __post_init__(self) -> None:
        if len(self.ranks) < 2:
            raise BadInput("A ranking needs at least two answers.", "Ask for another answer, then rank them.")
        if any(isinstance(rank, bool) or not isinstance(rank, int) or rank < 1 for rank in self.ranks):
            raise BadInput(f"The ranks {list(self.ranks)} do not work.", "Ranks are whole numbers; 1 is best, equal ones are ties.")

    @classmethod
    def of(cls, ranks: Sequence[int]) -> "Ranking":
        """A ranking without gaps: (2, 5, 5) becomes (1, 2, 2)."""
        return cls(dense(cls(tuple(ranks)).ranks))


def dense(ranks: Sequence[int]) -> tuple[int, ...]:
    """The same order and ties with ranks 1, 2, 3, … and no gaps."""
    places = {rank: place for place, rank in enumerate(sorted(set(ranks)), start=1)}
    return tuple(places[rank] for rank in ranks)


@dataclass(frozen=True)
class AllBad:
    """None of the displayed completions will do ("both bad" for two). Not a tie."""

    kind: ClassVar[Kind] = "all_bad"


@dataclass(frozen=True)
class Correction:
    """The displayed completion number `index`, put right by the expert."""

    text: str
    index: int = 0
    kind: ClassVar[Kind] = "correction"


@dataclass(frozen=True)
class Demonstrated:
    """The one displayed completion was written by the expert as an example to imitate."""

    kind: ClassVar[Kind] = "demonstration"


@dataclass(frozen=True)
class Thumbs:
    """The one displayed completion is good (up) or not."""

    up: bool
    kind: ClassVar[Kind] = "thumbs"


@dataclass(frozen=True)
class Skip:
    """The expert chose not to judge."""

    reason: str = ""
    kind: ClassVar[Kind] = "skip"


@dataclass(frozen=True)
class Flag:
    """Something is wrong with the prompt or the answers."""

    reason: str = ""
    kind: ClassVar[Kind] = "flag"


@dataclass(frozen=True)
class Withdrawn:
    """Undo: the superseded event counts as if it had never been. Withdrawing a withdrawal is redo."""

    kind: ClassVar[Kind] = "withdrawn"


Verdict = Ranking | AllBad | Correction | Demonstrated | Thumbs | Skip | Flag | Withdrawn
_FORMS: tuple[type[Verdict], ...] = (Ranking, AllBad, Correction, Demonstrated, Thumbs, Skip, Flag, Withdrawn)
_SINGLE = ("thumbs", "demonstration")


def verdict_to_json(verdict: Verdict) -> dict[str, Any]:
    """`{"kind": "ranking", "ranks": [1, 2]}` and so on: what the store and files keep."""
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(verdict).items()}
    return {"kind": verdict.kind, **values}


def verdict_from_json(value: dict[str, Any]) -> Verdict:
    """The inverse of `verdict_to_json`.

    Raises:
        BadInput: a kind or field this version does not know.
    """
    fields = dict(value)
    kind = fields.pop("kind", None)
    form = next((form for form in _FORMS if form.kind == kind), None)
    if form is None:
        raise BadInput(f"This version does not know the judgement form “{kind}”.", "Update the program, then try again.")
    if "ranks" in fields:
        fields["ranks"] = tuple(fields["ranks"])
    try:
        return form(**fields)
    except TypeError as problem:
        raise BadInput(f"A judgement of the form “{kind}” is damaged.", "Restore it from its source.", str(problem)) from None


@dataclass(frozen=True)
class Judgement:
    """One event: who judged which completions, as displayed, how, when, and how long it took.

    Attributes:
        displayed: Message ids of the completions in the order they were shown.
        guideline_version: The guideline in force; 0 when the project has none.
        confidence: 0 to 1, when the expert gave one.
        supersedes: The event this one replaces (an edit) or takes back (`Withdrawn`).
        source: Where an imported one came from: a hash of its row, so that importing a file twice changes nothing.
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
    id: str = field(default_factory=new_id)
    created_at: str = field(default_factory=utc_now)

    def __post_init__(self) -> None:
        _check(self)

    @property
    def kind(self) -> Kind:
        """The verdict's form."""
        return self.verdict.kind


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
    _check_shape(j.verdict, shown)
    if j.confidence is not None and not 0 <= j.confidence <= 1:
        raise BadInput(f"A confidence of {j.confidence} does not work.", "Give a number from 0 (a guess) to 1 (certain).")
    if j.seconds_spent is not None and not j.seconds_spent >= 0:
        raise BadInput("The time spent on a judgement cannot be negative.", "Check the computer's clock.")
    if j.supersedes == j.id:
        raise BadInput("A judgement cannot replace itself.", "Judge again.")


def _check_shape(verdict: Verdict, shown: int) -> None:
    if isinstance(verdict, Ranking) and len(verdict.ranks) != shown:
        raise BadInput(
            f"{shown} answers were shown but {len(verdict.ranks)} were ranked.", "Give each answer a rank; ties are allowed."
        )
    if isinstance(verdict, Correction):
        if not 0 <= verdict.index < shown:
            raise BadInput("The corrected answer is not among those shown.", "Choose the answer to correct.")
        if not verdict.text.strip():
            raise BadInput("The correction is empty.", "Write what the answer should have said.")
    if verdict.kind in _SINGLE and shown != 1:
        raise BadInput("This form of feedback is about one answer.", "Choose one answer.")


def withdrawal(of: Judgement, who: str) -> Judgement:
    """The event that undoes another."""
    return Judgement(of.project_id, who, of.displayed, Withdrawn(), supersedes=of.id)


def effective(judgements: Iterable[Judgement]) -> list[Judgement]:
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


def _withdrawn_ids(events: Sequence[Judgement]) -> set[str]:
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
