"""Files that left the workspace: noted in the audit log, and remembered, so that an erase can name those that hold what went.

One that was written into an encrypted workspace is sealed as it is noted.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf_desktop.core.files import sha256_file
from rlhf_desktop.core.ids import new_id
from rlhf_desktop.core.sealing import seal
from rlhf_desktop.feedback.conversations import utc_now
from rlhf_desktop.store.audit import AuditLog
from rlhf_desktop.store.driver import Connection

REPORTS = "reports"  # the workspace's folder of them


@dataclass(frozen=True)
class Export:
    """A file that was written: which judgements were in it follows from `last_row`, the newest one's place then."""

    id: str
    project_id: str
    path: str
    form: str
    exported_at: str
    last_row: int


@contextmanager
def _or_deleted(files: Iterable[Path]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        for path in files:
            if path.is_file():
                path.unlink()
        raise


class ExportStore:
    """Remembers exports."""

    def __init__(self, connection: Connection, audit: AuditLog | None = None) -> None:
        self._db = connection
        self._audit = audit or AuditLog(connection)

    def note(self, project_id: str, path: Path, form: str, last_row: int) -> None:
        """Remember a file that was just written. One that cannot be remembered is deleted: no erase would know of it."""
        with _or_deleted([path]):
            self._note(project_id, path, form, last_row, leaves=True)

    def note_files(self, project_id: str, files: Iterable[Path], form: str, workspace: Path) -> None:
        """As `note`, files with feedback. Those inside the workspace are not remembered: an erase cleans them."""
        made = list(files)
        last = self._db.rows("SELECT coalesce(max(rowid), 0) AS row FROM judgements")[0]["row"]
        with _or_deleted(made):
            for path in made:
                self._note(project_id, path, form, last, leaves=not path.resolve().is_relative_to(workspace.resolve()))

    def _note(self, project_id: str, path: Path, form: str, last_row: int, *, leaves: bool) -> None:
        made = Export(new_id(), project_id, str(path.absolute()), form, utc_now(), last_row)
        facts: dict[str, Any] = {
            "form": form,
            **({"sha256": sha256_file(path), "bytes": path.stat().st_size} if path.is_file() else {}),
        }
        with self._db.transaction():
            if leaves:
                self._db.insert("exports", [vars(made)])
                facts["export"] = made.id
            self._audit.note("exported", project=project_id, **facts)
        if path.is_file() and path.parent.name != REPORTS:  # those are read first, and sealed as the workspace is closed
            seal(path)

    def since(self, project_id: str, row: int) -> list[Export]:
        """The files written when the judgement at this place was there already, oldest first."""
        rows = self._db.rows("SELECT * FROM exports WHERE project_id = ? AND last_row >= ? ORDER BY exported_at", (project_id, row))
        return [Export(**found) for found in rows]
