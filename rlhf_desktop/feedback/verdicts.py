"""The forms of judgement: what can be said of the displayed completions. Values that check themselves, and their JSON."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar, Literal

from rlhf_desktop.core.errors import BadInput

Kind = Literal[
    "ranking",
    "all_bad",
    "thumbs",
    "ratings",
    "labels",
    "spans",
    "correction",
    "demonstration",
    "skip",
    "flag",
    "withdrawn",
]
MAX_NAME_CHARS = 80
MAX_LEVELS = 20
MAX_STRENGTH = 3  # slightly, clearly, much better
MAX_SEVERITY = 3  # slight, serious, grave


@dataclass(frozen=True)
class Ranking:
    """The rank of each displayed completion, in displayed order. 1 is best; equal ranks are ties.

    Ranks may have gaps: with buckets ("great", "usable", "bad") a rank is the bucket's number. `strength` says how much better the
    better of two is: 1 slightly, 2 clearly, 3 much.
    """

    ranks: tuple[int, ...]
    strength: int | None = None
    kind: ClassVar[Kind] = "ranking"

    def __post_init__(self) -> None:
        if len(self.ranks) < 2:
            raise BadInput("A ranking needs at least two answers.", "Ask for another answer, then rank them.")
        if any(isinstance(rank, bool) or not isinstance(rank, int) or rank < 1 for rank in self.ranks):
            raise BadInput(f"The ranks {list(self.ranks)} do not work.", "Ranks are whole numbers; 1 is best, equal ones are ties.")
        if self.strength is not None:
            _check_level("strength", self.strength, MAX_STRENGTH)
            if len(self.ranks) != 2 or len(set(self.ranks)) == 1:
                raise BadInput("How much better an answer is can be said of two that differ.", "Leave the strength out.")

    @classmethod
    def of(cls, ranks: Sequence[int], strength: int | None = None) -> "Ranking":
        """A ranking without gaps: (2, 5, 5) becomes (1, 2, 2)."""
        return cls(dense(cls(tuple(ranks)).ranks), strength)


def dense(ranks: Sequence[float]) -> tuple[int, ...]:
    """The same order and ties with ranks 1, 2, 3, … and no gaps."""
    places = {rank: place for place, rank in enumerate(sorted(set(ranks)), start=1)}
    return tuple(places[rank] for rank in ranks)


def _check_level(what: str, value: Any, highest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= highest:
        raise BadInput(f"The {what} {value!r} does not work.", f"Give a whole number from 1 to {highest}.")


def _check_place(index: Any) -> None:
    if isinstance(index, bool) or not isinstance(index, int) or index < 0:
        raise BadInput(f"There is no answer number {index!r}.", "Answers are numbered from 0 in the order shown.")


def _check_name(what: str, value: Any) -> None:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_NAME_CHARS:
        raise BadInput(f"The {what} has no usable name.", f"Give it a name of at most {MAX_NAME_CHARS} characters.")


@dataclass(frozen=True)
class AllBad:
    """None of the displayed completions will do ("both bad" for two). Not a tie."""

    kind: ClassVar[Kind] = "all_bad"


@dataclass(frozen=True)
class Thumbs:
    """The displayed completion number `index` is good (up) or not."""

    up: bool
    index: int = 0
    kind: ClassVar[Kind] = "thumbs"

    def __post_init__(self) -> None:
        _check_place(self.index)
        if not isinstance(self.up, bool):
            raise BadInput("A thumb points up or down.", "Choose one.")


@dataclass(frozen=True)
class Rating:
    """The displayed completions' marks for one attribute.

    Attributes:
        attribute: "accuracy", "tone", …
        levels: The scale has so many steps; 1 is the worst, `levels` the best.
        scores: One a displayed completion, in displayed order; None where it was not rated.
    """

    attribute: str
    levels: int
    scores: tuple[int | None, ...]

    def __post_init__(self) -> None:
        _check_name("attribute", self.attribute)
        if isinstance(self.levels, bool) or not isinstance(self.levels, int) or not 2 <= self.levels <= MAX_LEVELS:
            raise BadInput(f"A scale of {self.levels!r} steps does not work.", f"Use 2 to {MAX_LEVELS} steps.")
        for score in self.scores:
            if score is not None:
                _check_level(f"mark for {self.attribute}", score, self.levels)
        if all(score is None for score in self.scores):
            raise BadInput(f"No answer has a mark for {self.attribute}.", "Give at least one, or leave the attribute out.")


@dataclass(frozen=True)
class Ratings:
    """Marks by attribute."""

    ratings: tuple[Rating, ...]
    kind: ClassVar[Kind] = "ratings"

    def __post_init__(self) -> None:
        _check_distinct("ratings", "attribute", [rating.attribute for rating in self.ratings])


@dataclass(frozen=True)
class Choice:
    """Which labels each displayed completion got to one question ("Refuses?": "yes", "partly", "no")."""

    question: str
    chosen: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        _check_name("question", self.question)
        for label in (label for labels in self.chosen for label in labels):
            _check_name("label", label)


@dataclass(frozen=True)
class Labels:
    """Categories of the displayed completions."""

    choices: tuple[Choice, ...]
    kind: ClassVar[Kind] = "labels"

    def __post_init__(self) -> None:
        _check_distinct("labels", "question", [choice.question for choice in self.choices])


def _check_distinct(what: str, each: str, names: Sequence[str]) -> None:
    if not names:
        raise BadInput(f"There are no {what}.", "Give at least one, or leave them out.")
    if len(set(names)) != len(names):
        raise BadInput(f"The same {each} is there twice.", "Give each once.")


@dataclass(frozen=True)
class Span:
    """A bad part of the displayed completion number `index`: its characters (code points) from `start` up to, without, `end`."""

    index: int
    start: int
    end: int
    category: str
    severity: int = 1
    note: str = ""

    def __post_init__(self) -> None:
        _check_place(self.index)
        _check_name("kind of mark", self.category)
        _check_level("severity", self.severity, MAX_SEVERITY)
        whole = all(isinstance(place, int) and not isinstance(place, bool) for place in (self.start, self.end))
        if not whole or not 0 <= self.start < self.end:
            raise BadInput("A marked part has no text.", "Select at least one character, then mark it.")
        if not isinstance(self.note, str):
            raise BadInput("The note of a mark is not a text.", "Write it again.")


@dataclass(frozen=True)
class Spans:
    """Marked parts of the displayed completions."""

    spans: tuple[Span, ...]
    kind: ClassVar[Kind] = "spans"

    def __post_init__(self) -> None:
        if not self.spans:
            raise BadInput("Nothing is marked.", "Select a part of an answer and mark it.")


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


Verdict = Ranking | AllBad | Thumbs | Ratings | Labels | Spans | Correction | Demonstrated | Skip | Flag | Withdrawn
# In the order in which the first of several becomes the main one.
FORMS: tuple[type[Verdict], ...] = (
    Ranking, AllBad, Thumbs, Ratings, Labels, Spans, Correction, Demonstrated, Skip, Flag, Withdrawn,
)  # fmt: skip
ALONE = ("demonstration", "skip", "flag", "withdrawn")  # nothing else can be said with these


def verdict_to_json(verdict: Verdict) -> dict[str, Any]:
    """`{"kind": "ranking", "ranks": [1, 2]}` and so on: what the store and files keep. What was not said is left out."""
    return {"kind": verdict.kind, **_plain(verdict)}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {f.name: _plain(part) for f in fields(value) if (part := getattr(value, f.name)) is not None}
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


def verdict_from_json(value: dict[str, Any]) -> Verdict:
    """The inverse of `verdict_to_json`.

    Raises:
        BadInput: a kind or field this version does not know.
    """
    given = dict(value)
    kind = given.pop("kind", None)
    form = next((form for form in FORMS if form.kind == kind), None)
    if form is None:
        raise BadInput(f"This version does not know the judgement form “{kind}”.", "Update the program, then try again.")
    try:
        return form(**{name: _revive(name, part) for name, part in given.items()})
    except (TypeError, AttributeError) as problem:
        raise BadInput(f"A judgement of the form “{kind}” is damaged.", "Restore it from its source.", str(problem)) from None


_PARTS: dict[str, type[Rating | Choice | Span]] = {"ratings": Rating, "choices": Choice, "spans": Span}


def _revive(name: str, value: Any) -> Any:
    if name in _PARTS:
        return tuple(_PARTS[name](**{key: _tuples(inner) for key, inner in part.items()}) for part in value)
    return _tuples(value)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(part) for part in value) if isinstance(value, list) else value
