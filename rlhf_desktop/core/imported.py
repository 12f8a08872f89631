"""Adapters that came from elsewhere: a folder each in `workspace.adapters`, with an `origin.json` that says what and whence."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.runs import Value

ORIGIN = "origin.json"


class ImportedAdapter(Value):
    """`origin.json`. `algorithm` is "" where nothing says how it was made."""

    v: Literal[1] = 1
    name: str
    kind: Literal["policy", "reward"]
    algorithm: str = ""
    base_name: str
    base_hash: str
    source: str  # hub:owner/name@commit
    licence: str = ""
    created: str

    @classmethod
    def new(
        cls,
        name: str,
        kind: Literal["policy", "reward"],
        algorithm: str,
        base_name: str,
        base_hash: str,
        source: str,
        licence: str,
    ) -> "ImportedAdapter":
        """One that has just arrived."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(
            name=name, kind=kind, algorithm=algorithm, base_name=base_name, base_hash=base_hash, source=source, licence=licence,
            created=now,
        )  # fmt: skip


def origin_file(folder: Path) -> Path:
    """Where an adapter's folder says whence it came."""
    return folder / ORIGIN


def imported_adapters(workspace: Workspace) -> list[tuple[Path, ImportedAdapter]]:
    """Folder and origin of each, newest first; folders without a readable origin are as if they were not there."""
    found = []
    for folder in workspace.adapters.glob("*/"):
        try:
            found.append((folder, ImportedAdapter.model_validate_json(origin_file(folder).read_bytes())))
        except (OSError, ValidationError):
            continue
    return sorted(found, key=lambda pair: pair[1].created, reverse=True)
