"""Projects and their one split, and the small settings of a workspace or a project."""

import json
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.core.ids import new_id
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.conversations import Project, utc_now
from rlhf_desktop.feedback.snapshot import Split
from rlhf_desktop.feedback.split import HELDOUT_SHARE, Splitter, prompt_hash
from rlhf_desktop.store.audit import AuditLog
from rlhf_desktop.store.driver import Connection, Row, understood

MAX_NAME_CHARS = 120
_JOINERS = "\u200c\u200d"  # within a word of Persian or an emoji; every other mark of format is unseen, or turns names around
_HERE = "deleted_at IS NULL"
_IN_USE = "archived_at IS NULL AND deleted_at IS NULL"


class ProjectStore:
    """Reads and writes projects."""

    def __init__(self, connection: Connection, audit: AuditLog | None = None) -> None:
        self._db = connection
        self._audit = audit or AuditLog(connection)

    def create(self, name: str, sample: bool = False, heldout_share: float = HELDOUT_SHARE) -> Project:
        """Make a project.

        Raises:
            BadInput: no name, a very long one, one with unseen characters, or one that is taken (case does not tell names apart).
        """
        name = checked_name(name)
        project = Project(new_id(), name, utc_now(), sample, heldout_share)
        with self._db.transaction():
            self._refuse_taken(name)
            self._db.insert("projects", [{**vars(project), "sample": int(sample)}])
            self._audit.note("project created", project=project.id)
        return project

    def ensure(self, name: str, sample: bool = False) -> Project:
        """The project of this name, made if there is none."""
        with self._db.transaction():
            return self.by_name(name) or self.create(name, sample)

    def rename(self, project_id: str, name: str) -> Project:
        """Give a project another name."""
        name = checked_name(name)
        with self._db.transaction():
            self._refuse_taken(name, project_id)
            self._set(project_id, name=name)
            self._audit.note("project renamed", project=project_id)
        return self.get(project_id)

    def _refuse_taken(self, name: str, but: str = "") -> None:
        other = self.by_name(name)
        if other is None or other.id == but:
            return
        if other.archived_at:
            hint = "Choose another name, or unarchive that project."
            raise BadInput(f"There is an archived project called “{other.name}”.", hint)
        raise BadInput(f"There is already a project called “{other.name}”.", "Choose another name.")

    def get(self, project_id: str) -> Project:
        """The project with this id, archived and deleted ones too."""
        row = self._db.row("SELECT * FROM projects WHERE id = ?", (project_id,))
        if row is None:
            raise NotFound("This project does not exist.", "Choose another project.", project_id)
        return _project(row)

    def by_name(self, name: str) -> Project | None:
        """The project of this name, or None; an archived one too, not a deleted one."""
        return next((project for project in self._where(_HERE) if _folded(project.name) == _folded(name)), None)

    def find(self, name_or_id: str, among: Sequence[Project] | None = None) -> Project:
        """The project a user named.

        Args:
            name_or_id: What the user typed.
            among: Where to look, the first of a name before others; None: all that are not deleted.

        Raises:
            NotFound: says which projects there are.
        """
        known = self._where(_HERE) if among is None else among
        wanted = _folded(name_or_id)
        found = next((p for p in known if _folded(p.name) == wanted), None) or next((p for p in known if p.id == wanted), None)
        if found is None:
            names = ", ".join(f"“{p.name}”" for p in known[:10]) or "none"
            raise NotFound(f"There is no project called “{name_or_id}”.", f"Projects here: {names}.")
        return found

    def all(self) -> list[Project]:
        """All projects in use, oldest first: neither archived nor deleted."""
        return self._where(_IN_USE)

    def archived(self) -> list[Project]:
        """The archived projects, the last archived first."""
        return self._where("archived_at IS NOT NULL AND deleted_at IS NULL", "archived_at DESC, id DESC")

    def deleted(self) -> list[Project]:
        """The deleted projects that can be restored, the last deleted first."""
        return self._where("deleted_at IS NOT NULL", "deleted_at DESC, id DESC")

    def archive(self, project_id: str, away: bool = True) -> Project:
        """Put a project away, or take it back into use."""
        with self._db.transaction():
            self._set(project_id, archived_at=utc_now() if away else None)
            self._audit.note("project archived" if away else "project unarchived", project=project_id)
        return self.get(project_id)

    def delete(self, project_id: str, at: str | None = None) -> Project:
        """Mark a project as deleted, which frees its name. Nothing of it goes. Twice is once."""
        with self._db.transaction():
            if not (project := self.get(project_id)).deleted_at:
                self._set(project_id, deleted_at=at or utc_now(), deleted_name=project.name, name=project.id)
                self._audit.note("project deleted", project=project_id)
        return self.get(project_id)

    def restore(self, project_id: str, name: str) -> Project:
        """Take a deleted project back into use, under a name that is free."""
        name = checked_name(name)
        with self._db.transaction():
            self._refuse_taken(name, project_id)
            self._set(project_id, deleted_at=None, deleted_name=None, archived_at=None, name=name)
            self._audit.note("project restored", project=project_id)
        return self.get(project_id)

    def free_name(self, name: str) -> str:
        """This name, or with the first number after it that makes it free."""
        wanted = free = checked_name(name)
        number = 1
        while self.by_name(free) is not None:
            number += 1
            free = f"{wanted[: MAX_NAME_CHARS - 8].rstrip()} {number}"
        return free

    def has_content(self, project_id: str) -> bool:
        """Whether anything was said, asked or judged in a project."""
        tables = ("judgements", "conversations", "prompt_sets", "drafts")
        asked = " UNION ALL ".join(f"SELECT 1 FROM {table} WHERE project_id = :id" for table in tables)
        return self._db.row(f"SELECT 1 FROM ({asked}) LIMIT 1", {"id": project_id}) is not None

    def _where(self, condition: str, order: str = "created_at, id") -> list[Project]:
        return [_project(row) for row in self._db.rows(f"SELECT * FROM projects WHERE {condition} ORDER BY {order}")]

    def _set(self, project_id: str, **values: str | None) -> None:
        names = ", ".join(f"{name} = :{name}" for name in values)
        self._db.execute(f"UPDATE projects SET {names} WHERE id = :id", {**values, "id": project_id})

    def splitter(self, project_id: str) -> Splitter:
        """The project's one split, as it is now."""
        rows = self._db.rows("SELECT prompt_hash, split FROM split_exceptions WHERE project_id = ?", (project_id,))
        return Splitter(self.get(project_id).heldout_share, {row["prompt_hash"]: row["split"] for row in rows})

    def fix_split(self, project_id: str, prompts: Iterable[Messages], split: Split) -> None:
        """Put prompts in this half, whatever their hash says.

        Raises:
            BadInput: one was put in the other half before: what is held out must never have been trained on.
        """
        hashes = {prompt_hash(prompt) for prompt in prompts}
        with self._db.transaction():
            fixed = self.splitter(project_id).exceptions
            if any(fixed.get(hashed, split) != split for hashed in hashes):
                raise BadInput(
                    "Some of these prompts are already on the other side of the project's split.",
                    "Leave them out, or use a new project: what is held out must never be trained on.",
                )
            rows = [{"project_id": project_id, "prompt_hash": hashed, "split": split} for hashed in hashes - set(fixed)]
            self._db.insert("split_exceptions", rows)


class SettingsStore:
    """Small JSON values by key, of the workspace (`project_id` None) or of a project: last project, model, adapter."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def get(self, key: str, default: Any = None, project_id: str | None = None) -> Any:
        """The value, or `default`."""
        row = self._db.row("SELECT value FROM settings WHERE scope = ? AND key = ?", (project_id or "", key))
        with understood():
            return json.loads(row["value"]) if row else default

    def set(self, key: str, value: Any, project_id: str | None = None) -> None:
        """Remember a value; None forgets it."""
        with self._db.transaction():
            self._db.execute("DELETE FROM settings WHERE scope = ? AND key = ?", (project_id or "", key))
            if value is not None:
                row = {"scope": project_id or "", "key": key, "value": json.dumps(value, ensure_ascii=False)}
                self._db.insert("settings", [row])


def checked_name(name: str) -> str:
    """A project's name as it is kept: no blanks around it, single ones inside.

    Raises:
        BadInput: there is none, it is too long, or some of its characters cannot be seen.
    """
    name = " ".join(name.split())
    if not name.strip(_JOINERS):
        raise BadInput("A project needs a name.", "Type a name.")
    if len(name) > MAX_NAME_CHARS:
        raise BadInput(f"This name has {len(name)} characters.", f"Use at most {MAX_NAME_CHARS}.")
    unseen = next((c for c in name if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in _JOINERS), None)
    if unseen is not None:
        raise BadInput(
            f"This name has a character that cannot be seen (U+{ord(unseen):04X}).", "Type the name instead of pasting it."
        )
    return name


def _folded(name: str) -> str:
    """What tells names apart: neither case nor how an accent is put together."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def _project(row: Row) -> Project:
    name = row.pop("deleted_name") or row["name"]
    return Project(**{**row, "name": name, "sample": bool(row["sample"])})
