"""What people say about a run afterwards: another title, notes, put away. And which feedback it was made from.

Both lie in the run folder, not in the database, because the folder is the run: it is copied, moved and read on machines that have
no workspace. `run.json` stays frozen; `notes.json` may change, `feedback.json` is written once.
"""

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import ValidationError

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.runs import Value
from rlhf_desktop.core.sealing import keep_json, read_bytes
from rlhf_desktop.jobs.runfolder import RunFolder

MAX_TITLE_CHARS = 120
_NOTES, _FEEDBACK = "notes.json", "feedback.json"
_V = TypeVar("_V", bound=Value)


class RunNotes(Value):
    """`notes.json`. An empty title leaves the run its first one."""

    v: Literal[1] = 1
    title: str = ""
    notes: str = ""
    archived: bool = False


class Provenance(Value):
    """`feedback.json`: the judgements behind `data.jsonl`, by id, and the guidelines they followed. No texts and no names."""

    v: Literal[1] = 1
    judgements: list[str] = []
    guideline_versions: list[int] = []
    first: str = ""  # when the oldest and the newest of them were made
    last: str = ""


def notes_file(run: RunFolder) -> Path:
    """Where the notes of a run are, if there are any."""
    return run.path / _NOTES


def run_notes(run: RunFolder) -> RunNotes:
    """The notes of a run; empty ones where there are none, or where they cannot be read: they are never worth failing for."""
    return _read(notes_file(run), RunNotes) or RunNotes()


def provenance(run: RunFolder) -> Provenance | None:
    """Which judgements a run was made from; None for a run made from a file, or by an earlier version."""
    return _read(run.path / _FEEDBACK, Provenance)


def write_provenance(run: RunFolder, found: Provenance) -> None:
    """Keep where a run's data came from."""
    keep_json(run.path / _FEEDBACK, found.model_dump(mode="json"))


def annotate_run(run: RunFolder, *, title: str | None = None, notes: str | None = None, archived: bool | None = None) -> RunNotes:
    """Change a run's title, notes or whether it is put away; what is None stays.

    Raises:
        BadInput: the title is empty or very long.
    """
    changes: dict[str, str | bool] = {}
    if title is not None:
        changes["title"] = _checked(title)
    if notes is not None:
        changes["notes"] = notes.strip()
    if archived is not None:
        changes["archived"] = archived
    changed = run_notes(run).model_copy(update=changes)
    keep_json(notes_file(run), changed.model_dump(mode="json"))
    return changed


def title_of(run: RunFolder, first: str) -> str:
    """What a run is called now: its new title, else the first one."""
    return run_notes(run).title or first


def _checked(title: str) -> str:
    title = " ".join(title.split())
    if not title:
        raise BadInput("A run needs a name.", "Type a few words.")
    if len(title) > MAX_TITLE_CHARS:
        raise BadInput(f"This name has {len(title)} characters.", f"Use at most {MAX_TITLE_CHARS}.")
    return title


def _read(file: Path, kind: type[_V]) -> _V | None:
    try:
        return kind.model_validate_json(read_bytes(file))
    except (FileNotFoundError, ValidationError):
        return None
