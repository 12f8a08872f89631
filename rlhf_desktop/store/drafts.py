"""Drafts: unfinished judgements and answers. On disk as soon as saved, so an end of the program at any moment loses none."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.feedback.conversations import utc_now
from rlhf_desktop.store.driver import Connection, understood

MAX_CHARS = 2 * 10**6


@dataclass(frozen=True)
class Draft:
    """What somebody began under a key ("label:<prompt id>"); its value is the screen's own."""

    key: str
    value: dict[str, Any]
    updated_at: str


class DraftStore:
    """Reads and writes drafts, by project, person and key."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def save(self, project_id: str, who: str, key: str, value: dict[str, Any]) -> None:
        """Keep a draft in place of the one under this key."""
        text = json.dumps(value, ensure_ascii=False)
        if len(text) > MAX_CHARS:
            raise BadInput("This draft is too long to be kept.", "Shorten it, then go on.")
        self._db.execute(
            """INSERT INTO drafts VALUES (?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at""",
            (project_id, who, key, text, utc_now()),
        )

    def get(self, project_id: str, who: str, key: str) -> dict[str, Any] | None:
        """The draft under this key, or None."""
        return next((draft.value for draft in self._found(project_id, who, key)), None)

    def some(self, project_id: str, who: str, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Those of the drafts under these keys that there are."""
        rows = self._db.rows(
            "SELECT key, value FROM drafts WHERE project_id = ? AND who = ? AND key IN (SELECT value FROM json_each(?))",
            (project_id, who, json.dumps(list(keys))),
        )
        with understood():
            return {row["key"]: json.loads(row["value"]) for row in rows}

    def all(self, project_id: str, who: str) -> list[Draft]:
        """All drafts of a person in a project, the last changed first."""
        return self._found(project_id, who, None)

    def discard(self, project_id: str, who: str, key: str) -> None:
        """Forget a draft: it was saved as feedback, or given up."""
        self._db.execute("DELETE FROM drafts WHERE project_id = ? AND who = ? AND key = ?", (project_id, who, key))

    def _found(self, project_id: str, who: str, key: str | None) -> list[Draft]:
        rows = self._db.rows(
            """SELECT key, value, updated_at FROM drafts WHERE project_id = ?1 AND who = ?2 AND (?3 IS NULL OR key = ?3)
            ORDER BY updated_at DESC, key""",
            (project_id, who, key),
        )
        with understood():
            return [Draft(row["key"], json.loads(row["value"]), row["updated_at"]) for row in rows]
