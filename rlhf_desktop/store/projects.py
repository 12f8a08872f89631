"""Projects and their one split, and the small settings of a workspace or a project."""

import json
from collections.abc import Iterable
from typing import Any

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.core.ids import new_id
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.conversations import Project, utc_now
from rlhf_desktop.feedback.snapshot import Split
from rlhf_desktop.feedback.split import HELDOUT_SHARE, Splitter, prompt_hash
from rlhf_desktop.store.driver import Connection, Row

MAX_NAME_CHARS = 120


class ProjectStore:
    """Reads and writes projects."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def create(self, name: str, sample: bool = False, heldout_share: float = HELDOUT_SHARE) -> Project:
        """Make a project.

        Raises:
            BadInput: no name, a very long one, or one that is taken (case does not tell names apart).
        """
        name = _checked_name(name)
        project = Project(new_id(), name, utc_now(), sample, heldout_share)
        with self._db.transaction():
            self._refuse_taken(name)
            self._db.insert("projects", [{**vars(project), "sample": int(sample)}])
        return project

    def ensure(self, name: str, sample: bool = False) -> Project:
        """The project of this name, made if there is none."""
        with self._db.transaction():
            return self.by_name(name) or self.create(name, sample)

    def rename(self, project_id: str, name: str) -> Project:
        """Give a project another name."""
        name = _checked_name(name)
        with self._db.transaction():
            if name.casefold() != self.get(project_id).name.casefold():
                self._refuse_taken(name)
            self._db.execute("UPDATE projects SET name = ? WHERE id = ?", (name, project_id))
        return self.get(project_id)

    def _refuse_taken(self, name: str) -> None:
        if self.by_name(name):
            raise BadInput(f"There is already a project called “{name}”.", "Choose another name.")

    def get(self, project_id: str) -> Project:
        """The project with this id."""
        row = self._db.row("SELECT * FROM projects WHERE id = ?", (project_id,))
        if row is None:
            raise NotFound("This project does not exist.", "Choose another project.", project_id)
        return _project(row)

    def by_name(self, name: str) -> Project | None:
        """The project of this name, or None."""
        row = self._db.row("SELECT * FROM projects WHERE name = ?", (name.strip(),))
        return _project(row) if row else None

    def find(self, name_or_id: str) -> Project:
        """The project a user named.

        Raises:
            NotFound: says which projects there are.
        """
        row = self._db.row("SELECT * FROM projects WHERE name = ?1 OR id = ?1", (name_or_id.strip(),))
        if row is None:
            names = ", ".join(f"“{p.name}”" for p in self.all()[:10]) or "none yet"
            raise NotFound(f"There is no project called “{name_or_id}”.", f"Projects here: {names}.")
        return _project(row)

    def all(self) -> list[Project]:
        """All projects, oldest first."""
        return [_project(row) for row in self._db.rows("SELECT * FROM projects ORDER BY created_at, id")]

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
        return json.loads(row["value"]) if row else default

    def set(self, key: str, value: Any, project_id: str | None = None) -> None:
        """Remember a value; None forgets it."""
        with self._db.transaction():
            self._db.execute("DELETE FROM settings WHERE scope = ? AND key = ?", (project_id or "", key))
            if value is not None:
                row = {"scope": project_id or "", "key": key, "value": json.dumps(value, ensure_ascii=False)}
                self._db.insert("settings", [row])


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not name:
        raise BadInput("A project needs a name.", "Type a name.")
    if len(name) > MAX_NAME_CHARS:
        raise BadInput(f"This name has {len(name)} characters.", f"Use at most {MAX_NAME_CHARS}.")
    return name


def _project(row: Row) -> Project:
    return Project(**{**row, "sample": bool(row["sample"])})
