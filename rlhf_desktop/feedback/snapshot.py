"""`data.jsonl`: the frozen feedback a run learns from, one row a line, each already in its half of the project's split."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, TypeAdapter, model_validator

from rlhf_desktop.core.files import canonical_json, sha256_text, write_atomic
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.runs import Value
from rlhf_desktop.core.sealing import read_lines

Split = Literal["train", "heldout"]


class Demonstration(Value):
    """An answer to imitate: written by the expert, or an answer they corrected."""

    kind: Literal["demonstration"] = "demonstration"
    prompt: Messages
    completion: str
    split: Split = "train"


class RankedText(Value):
    """One answer of a ranking. Rank 1 is best; equal ranks are ties."""

    text: str
    rank: int = Field(ge=1)


class RankedAnswers(Value):
    """A ranking of K answers to one prompt.

    `margin` says how clear the preferences are: 1 beyond doubt, 0 usual or unsaid, −1 a guess. A trainer multiplies it with its own
    `margin` setting. `margin_of` makes it from the expert's confidence.
    """

    kind: Literal["ranking"] = "ranking"
    prompt: Messages
    completions: list[RankedText] = Field(min_length=2)
    confidence: float | None = None  # 0 to 1, when the expert gave one
    margin: float = Field(default=0.0, ge=-1, le=1)
    split: Split = "train"


def margin_of(confidence: float | None) -> float:
    """What a confidence from 0 (a guess) to 1 (certain) makes of a ranking's margin; unsaid counts as a middling 0.5."""
    return 0.0 if confidence is None else 2 * confidence - 1


class RatedText(Value):
    """One answer's marks by attribute ("helpful": 4); a higher mark is better. An attribute may be missing."""

    text: str
    ratings: dict[str, float] = Field(min_length=1)


class RatedAnswers(Value):
    """One person's marks of several answers to one prompt: within an attribute only their order is used."""

    kind: Literal["rating"] = "rating"
    prompt: Messages
    completions: list[RatedText] = Field(min_length=2)
    split: Split = "train"


class ThumbedAnswer(Value):
    """An answer that is good enough (thumb up) or not (thumb down, or one of several none of which will do)."""

    kind: Literal["thumbed"] = "thumbed"
    prompt: Messages
    text: str
    desirable: bool
    weight: float = Field(default=1.0, gt=0, le=10)  # 1/K for each of K answers refused together
    split: Split = "train"


class MarkedSpan(Value):
    """A part of an answer's text that is bad: characters [start, end), and how bad it is."""

    start: int = Field(ge=0)
    end: int = Field(ge=1)
    penalty: float = Field(default=1.0, gt=0, le=10)


class MarkedAnswer(Value):
    """An answer with bad parts marked; the rest of it was not judged."""

    kind: Literal["marked"] = "marked"
    prompt: Messages
    text: str
    spans: list[MarkedSpan] = Field(min_length=1)
    split: Split = "train"

    @model_validator(mode="after")
    def _spans_lie_in_the_text(self) -> "MarkedAnswer":
        if any(not span.start < span.end <= len(self.text) for span in self.spans):
            raise ValueError("a marked span lies outside its answer")
        return self


class PracticePrompt(Value):
    """A prompt for PPO to practise on."""

    kind: Literal["prompt"] = "prompt"
    prompt: Messages
    split: Split = "train"


SnapshotRow = Annotated[
    Demonstration | RankedAnswers | RatedAnswers | ThumbedAnswer | MarkedAnswer | PracticePrompt, Field(discriminator="kind")
]
AnyRow = TypeVar("AnyRow", bound=SnapshotRow)
parse_row: TypeAdapter[SnapshotRow] = TypeAdapter(SnapshotRow)


def write_snapshot(path: Path, rows: Iterable[SnapshotRow]) -> str:
    """Write the rows as JSON lines, whole or not at all. Returns the file's SHA-256."""
    text = "".join(canonical_json(row.model_dump(mode="json")) + "\n" for row in rows)
    write_atomic(path, text)
    return sha256_text(text)


def read_snapshot(path: Path) -> list[SnapshotRow]:
    """The rows of a snapshot, validated. Raises as `core.sealing.read_bytes`."""
    return [parse_row.validate_python(row) for row in read_lines(path)]


def with_their_marks(rows: Iterable[AnyRow]) -> list[tuple[AnyRow, list[RatedAnswers]]]:
    """Each row with the marks that were given to just the answers it ranks. Such marks are no row of their own."""
    listed = list(rows)
    ranked = {_answers(row): i for i, row in enumerate(listed) if isinstance(row, RankedAnswers)}
    alone, marks = [], dict[int, list[RatedAnswers]]()
    for i, row in enumerate(listed):
        if isinstance(row, RatedAnswers) and (at := ranked.get(_answers(row))) is not None:
            marks.setdefault(at, []).append(row)
        else:
            alone.append(i)
    return [(listed[i], marks.get(i, [])) for i in alone]


def _answers(row: RankedAnswers | RatedAnswers) -> tuple[str, frozenset[str]]:
    return canonical_json(row.prompt), frozenset(answer.text for answer in row.completions)
