"""A project's guidelines for annotators: versioned text. A judgement names the version that was in force."""

from dataclasses import dataclass

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.core.ids import new_id
from rlhf_desktop.feedback.conversations import utc_now
from rlhf_desktop.store.driver import Connection

MAX_CHARS = 200_000


@dataclass(frozen=True)
class Guideline:
    """One version of the text. Versions count from 1; two workstations that both wrote version 2 have two texts of it."""

    project_id: str
    version: int
    text: str
    who: str
    created_at: str
    id: str


class GuidelineStore:
    """Reads and adds guidelines. A version is never changed."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def current(self, project_id: str) -> Guideline | None:
        """The version in force; None when the project has no guidelines."""
        found = self.versions(project_id)
        return found[0] if found else None

    def versions(self, project_id: str) -> list[Guideline]:
        """Every version, newest first."""
        rows = self._db.rows(
            "SELECT * FROM guidelines WHERE project_id = ? ORDER BY version DESC, created_at DESC, id DESC", (project_id,)
        )
        return [Guideline(**row) for row in rows]

    def get(self, project_id: str, version: int) -> Guideline:
        """The text that was in force as this version."""
        found = next((g for g in self.versions(project_id) if g.version == version), None)
        if found is None:
            raise NotFound(f"There is no version {version} of the guidelines.", "Choose another version.")
        return found

    def save(self, project_id: str, text: str, who: str) -> Guideline:
        """Put a text in force as the next version. The same text as now makes no new version."""
        text = text.strip()
        if len(text) > MAX_CHARS:
            raise BadInput(f"These guidelines have {len(text):,} characters.", f"Use at most {MAX_CHARS:,}.")
        with self._db.transaction():
            now = self.current(project_id)
            if now and now.text == text:
                return now
            made = Guideline(project_id, now.version + 1 if now else 1, text, who, utc_now(), new_id())
            self._db.insert("guidelines", [vars(made)])
        return made
