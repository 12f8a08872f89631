"""Conversations as a list finds them: by folder, tag and words, a page at a time."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.feedback.conversations import Conversation, Origin
from rlhf_desktop.store.driver import Connection, Row
from rlhf_desktop.store.search import Words
from rlhf_desktop.store.tags import checked_tag

MAX_FOLDER_CHARS = 80
_NEWEST_FOUND = 5000  # messages a search looks at, the newest first
_DELETED = """WITH RECURSIVE gone(id) AS (SELECT message_id FROM deleted_turns
  UNION SELECT m.id FROM messages m JOIN gone ON m.parent_id = gone.id) SELECT id FROM gone"""
_WITH_WORDS = f"""(c.title LIKE :title ESCAPE '\\' OR c.id IN (SELECT m.conversation_id FROM messages m WHERE m.rowid IN (
  SELECT rowid FROM chat_search WHERE chat_search MATCH :match ORDER BY rowid DESC LIMIT {_NEWEST_FOUND})
  AND m.id NOT IN ({_DELETED})))"""


@dataclass(frozen=True)
class ConversationSummary:
    """A conversation as a list shows it."""

    conversation: Conversation
    messages: int


@dataclass(frozen=True)
class ConversationQuery:
    """Which conversations: of this origin (None: any), in this folder (None: any; "": in none), with this tag, with these words."""

    origin: Origin | None = "chat"
    folder: str | None = None
    tag: str = ""
    text: str = ""


@dataclass(frozen=True)
class ConversationCursor:
    """Where a page ended."""

    updated_at: str
    row: int


@dataclass(frozen=True)
class ConversationPage:
    """Some conversations, the one last changed first, and where to go on; None at the end."""

    rows: tuple[ConversationSummary, ...]
    next: ConversationCursor | None


class Shelf:
    """Finds conversations, files them in folders and tags them. Words are looked for in chats only: imports are not listed."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self._words = Words()

    def close(self) -> None:
        """Free what the search holds."""
        self._words.close()

    def ids_beginning(self, project_id: str, start: str) -> list[str]:
        """The conversations of a project whose id begins so; two at most, as then the start is not enough."""
        rows = self._db.rows(
            "SELECT id FROM conversations WHERE project_id = ? AND id LIKE ? ESCAPE '\\' ORDER BY id LIMIT 2",
            (project_id, f"{escaped(start)}%"),
        )
        return [row["id"] for row in rows]

    def page(
        self, project_id: str, query: ConversationQuery, after: ConversationCursor | None = None, limit: int = 50
    ) -> ConversationPage:
        """The next conversations."""
        values = {**vars(query), "project": project_id, "limit": limit + 1, "title": f"%{escaped(query.text.strip())}%"}
        if query.text.strip():
            values["match"] = self._words.match(query.text) or '""'
        if after:
            values |= vars(after)
        rows = self._db.rows(
            f"""SELECT c.*, c.rowid AS place, (SELECT count(*) FROM messages m WHERE m.conversation_id = c.id) AS messages
            FROM conversations c WHERE {" AND ".join(_conditions(query, after))}
            ORDER BY c.updated_at DESC, c.rowid DESC LIMIT :limit""",
            values,
        )
        last = rows[limit - 1] if len(rows) > limit else None
        end = ConversationCursor(last["updated_at"], last["place"]) if last else None
        return ConversationPage(tuple(_summary(row) for row in rows[:limit]), end)

    def count(self, project_id: str, but: Iterable[str] = ()) -> int:
        """How many chats a project has, without these."""
        sql = """SELECT count(*) AS n FROM conversations WHERE project_id = ? AND origin = 'chat'
        AND id NOT IN (SELECT value FROM json_each(?))"""
        return int(self._db.rows(sql, (project_id, json.dumps(list(but))))[0]["n"])

    def file(self, conversation_ids: Iterable[str], folder: str) -> None:
        """Put conversations into a folder; "" takes them out of theirs."""
        folder = " ".join(folder.split())
        if len(folder) > MAX_FOLDER_CHARS:
            raise BadInput(f"This folder's name has {len(folder)} characters.", f"Use at most {MAX_FOLDER_CHARS}.")
        wanted = json.dumps(list(conversation_ids))
        self._db.execute("UPDATE conversations SET folder = ? WHERE id IN (SELECT value FROM json_each(?))", (folder, wanted))

    def tag(self, conversation_ids: Iterable[str], tag: str) -> None:
        """Tag conversations."""
        self._db.execute(
            """INSERT OR IGNORE INTO conversation_tags SELECT id, ? FROM conversations
            WHERE id IN (SELECT value FROM json_each(?))""",
            (checked_tag(tag), json.dumps(list(conversation_ids))),
        )

    def untag(self, conversation_ids: Iterable[str], tag: str) -> None:
        """Take a tag off conversations."""
        self._db.execute(
            "DELETE FROM conversation_tags WHERE tag = ? AND conversation_id IN (SELECT value FROM json_each(?))",
            (checked_tag(tag), json.dumps(list(conversation_ids))),
        )

    def tags_of(self, conversation_ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The tags of these conversations, in alphabetical order; those without any are left out."""
        found: dict[str, tuple[str, ...]] = {}
        for row in self._db.rows(
            """SELECT conversation_id AS id, tag FROM conversation_tags
            WHERE conversation_id IN (SELECT value FROM json_each(?)) ORDER BY conversation_id, tag COLLATE NOCASE""",
            (json.dumps(list(conversation_ids)),),
        ):
            found[row["id"]] = (*found.get(row["id"], ()), row["tag"])
        return found

    def folders(self, project_id: str) -> dict[str, int]:
        """The project's folders and how many conversations are in each."""
        rows = self._db.rows(
            """SELECT folder AS name, count(*) AS n FROM conversations WHERE project_id = ? AND folder != ''
            GROUP BY folder ORDER BY folder COLLATE NOCASE""",
            (project_id,),
        )
        return {row["name"]: row["n"] for row in rows}

    def tags(self, project_id: str) -> dict[str, int]:
        """The tags of the project's conversations and how many have each."""
        rows = self._db.rows(
            """SELECT t.tag AS name, count(*) AS n FROM conversation_tags t JOIN conversations c ON c.id = t.conversation_id
            WHERE c.project_id = ? GROUP BY t.tag ORDER BY t.tag COLLATE NOCASE""",
            (project_id,),
        )
        return {row["name"]: row["n"] for row in rows}


def _conditions(query: ConversationQuery, after: ConversationCursor | None) -> list[str]:
    wanted = {
        "c.project_id = :project": True,
        "c.origin = :origin": query.origin is not None,
        "c.folder = :folder": query.folder is not None,
        "c.id IN (SELECT conversation_id FROM conversation_tags WHERE tag = :tag)": bool(query.tag),
        _WITH_WORDS: bool(query.text.strip()),
        "(c.updated_at, c.rowid) < (:updated_at, :row)": after is not None,
    }
    return [condition for condition, applies in wanted.items() if applies]


def escaped(text: str) -> str:
    """A text as it stands, for a `LIKE` whose escape is the backslash."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _summary(row: Row) -> ConversationSummary:
    fields = {key: value for key, value in row.items() if key not in ("messages", "place")}
    return ConversationSummary(Conversation(**fields), row["messages"])
