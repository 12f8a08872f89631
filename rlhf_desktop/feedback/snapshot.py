"""`data.jsonl`: the frozen feedback a run learns from, one row a line, each already in its half of the project's split."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from rlhf_desktop.core.files import canonical_json, read_jsonl, sha256_text, write_atomic
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.runs import Value

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
    """A ranking of K answers to one prompt."""

    kind: Literal["ranking"] = "ranking"
    prompt: Messages
    completions: list[RankedText] = Field(min_length=2)
    confidence: float | None = None  # 0 to 1, when the expert gave one
    split: Split = "train"


class PracticePrompt(Value):
    """A prompt for PPO to practise on."""

    kind: Literal["prompt"] = "prompt"
    prompt: Messages
    split: Split = "train"


SnapshotRow = Annotated[Demonstration | RankedAnswers | PracticePrompt, Field(discriminator="kind")]
parse_row: TypeAdapter[SnapshotRow] = TypeAdapter(SnapshotRow)


def write_snapshot(path: Path, rows: Iterable[SnapshotRow]) -> str:
    """Write the rows as JSON lines, whole or not at all. Returns the file's SHA-256."""
    text = "".join(canonical_json(row.model_dump(mode="json")) + "\n" for row in rows)
    write_atomic(path, text)
    return sha256_text(text)


def read_snapshot(path: Path) -> list[SnapshotRow]:
    """The rows of a snapshot, validated."""
    return [parse_row.validate_python(row) for row in read_jsonl(path)]
