"""Erasing: the only way anything leaves the store. What goes leaves a tombstone without content, which wins every merge.

With a message goes all that answers it, and what goes on from it or began it; with a judgement, whatever replaces it or takes it
back. A conversation that is left empty goes too: its title was somebody's words.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rlhf_desktop.core.errors import StoreTrouble
from rlhf_desktop.feedback.attachments import texts_in
from rlhf_desktop.feedback.conversations import title_from, utc_now
from rlhf_desktop.store.audit import forget_people
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.driver import Connection, plainly
from rlhf_desktop.store.unmerging import forget_conversations

MESSAGE_THAT_WAITS = "message that waits"  # a project's setting: what is sent once the model is ready
_UNFINISHED = ("unfinished_answers", MESSAGE_THAT_WAITS)
_AMONG = "IN (SELECT value FROM json_each(:ids))"
_CONTINUED = """(SELECT message_id AS one, continues AS other FROM continued_answers
    UNION ALL SELECT continues, message_id FROM continued_answers)"""
# From ids of anything: conversations' messages, messages' replies, judgements that show them, and what replaces those.
_CLOSURE = f"""
WITH RECURSIVE dead_messages(id) AS (
  SELECT id FROM messages WHERE id {_AMONG} OR conversation_id {_AMONG}
  UNION SELECT m.id FROM messages m JOIN dead_messages d ON m.parent_id = d.id
  UNION SELECT c.other FROM {_CONTINUED} c JOIN dead_messages d ON c.one = d.id),
dead_judgements(id) AS (
  SELECT id FROM judgements WHERE id {_AMONG}
  UNION SELECT id FROM judgements WHERE supersedes {_AMONG}
  UNION SELECT c.judgement_id FROM judged_completions c JOIN dead_messages d ON c.message_id = d.id
  UNION SELECT e.id FROM judgements e JOIN dead_judgements d ON e.supersedes = d.id)
"""


@dataclass(frozen=True)
class Doomed:
    """What an erase would take."""

    judgements: tuple[str, ...]
    messages: tuple[str, ...]


def doomed(connection: Connection, ids: Iterable[str]) -> Doomed:
    """These judgements, messages and conversations, with all that cannot stay without them."""
    values = {"ids": json.dumps(list(ids))}
    judgements = connection.rows(f"{_CLOSURE} SELECT id FROM dead_judgements ORDER BY id", values)
    messages = connection.rows(f"{_CLOSURE} SELECT id FROM dead_messages ORDER BY id", values)
    return Doomed(tuple(row["id"] for row in judgements), tuple(row["id"] for row in messages))


def with_texts(connection: Connection, judgement_ids: Iterable[str]) -> Doomed:
    """These judgements in all their versions, the answers they show, and what led to them and to nothing else that was judged."""
    judgements = _versions(connection, judgement_ids)
    shown = connection.rows(
        f"SELECT DISTINCT message_id AS id FROM judged_completions WHERE judgement_id {_AMONG}", {"ids": json.dumps(judgements)}
    )
    taken = {row["id"] for row in shown}
    taken |= _same_answers(connection, taken)
    while childless := _childless_parents(connection, taken, judgements):
        taken |= childless
    return doomed(connection, [*judgements, *taken])


def _versions(connection: Connection, judgement_ids: Iterable[str]) -> list[str]:
    rows = connection.rows(
        f"""WITH RECURSIVE chain(id) AS (SELECT id FROM judgements WHERE id {_AMONG}
          UNION SELECT e.supersedes FROM judgements e JOIN chain ON e.id = chain.id WHERE e.supersedes IS NOT NULL
          UNION SELECT e.id FROM judgements e JOIN chain ON e.supersedes = chain.id) SELECT id FROM chain""",
        {"ids": json.dumps(list(judgement_ids))},
    )
    return [row["id"] for row in rows]


def _same_answers(connection: Connection, taken: Iterable[str]) -> set[str]:
    """What goes on from these answers, and what they go on from: it holds the same words."""
    rows = connection.rows(
        f"""WITH RECURSIVE same(id) AS (SELECT value FROM json_each(:ids)
        UNION SELECT c.other FROM {_CONTINUED} c JOIN same ON c.one = same.id) SELECT id FROM same""",
        {"ids": json.dumps(list(taken))},
    )
    return {row["id"] for row in rows}


def _childless_parents(connection: Connection, taken: set[str], judgements: Sequence[str]) -> set[str]:
    """Messages all of whose replies are taken, but for answers that other judgements show."""
    rows = connection.rows(
        f"""SELECT DISTINCT m.parent_id AS id FROM messages m WHERE m.id {_AMONG} AND m.parent_id NOT NULL
        AND m.parent_id NOT {_AMONG} AND NOT EXISTS (
          SELECT 1 FROM messages other WHERE other.parent_id = m.parent_id AND other.id NOT {_AMONG})
        AND NOT EXISTS (SELECT 1 FROM judged_completions c WHERE c.message_id = m.parent_id
          AND c.judgement_id NOT IN (SELECT value FROM json_each(:judgements)))""",
        {"ids": json.dumps(list(taken)), "judgements": json.dumps(list(judgements))},
    )
    return {row["id"] for row in rows}


def present(connection: Connection, ids: Iterable[str]) -> set[str]:
    """Those of these ids that are here, as a judgement, conversation, message or prompt."""
    tables = ("judgements", "conversations", "messages", "prompts")
    asked = " UNION ".join(f"SELECT id FROM {table} WHERE id {_AMONG}" for table in tables)
    return {row["id"] for row in connection.rows(asked, {"ids": json.dumps(list(ids))})}


def of_others(connection: Connection, project_id: str, ids: Iterable[str]) -> set[str]:
    """Those of these ids that belong to another project here: what comes for this one has no say over them."""
    rows = connection.rows(
        f"""SELECT id FROM judgements WHERE id {_AMONG} AND project_id != :project
        UNION SELECT id FROM conversations WHERE id {_AMONG} AND project_id != :project
        UNION SELECT m.id FROM messages m JOIN conversations c ON c.id = m.conversation_id
          WHERE m.id {_AMONG} AND c.project_id != :project
        UNION SELECT p.id FROM prompts p JOIN prompt_sets s ON s.id = p.prompt_set_id
          WHERE p.id {_AMONG} AND s.project_id != :project""",
        {"ids": json.dumps(list(ids)), "project": project_id},
    )
    return {row["id"] for row in rows}


def belongings(connection: Connection, project_ids: Iterable[str]) -> list[str]:
    """The ids of all judgements, conversations and prompts of these projects."""
    rows = connection.rows(
        f"""SELECT id FROM judgements WHERE project_id {_AMONG} UNION ALL SELECT id FROM conversations WHERE project_id {_AMONG}
        UNION ALL SELECT p.id FROM prompts p JOIN prompt_sets s ON s.id = p.prompt_set_id WHERE s.project_id {_AMONG}""",
        {"ids": json.dumps(list(project_ids))},
    )
    return [row["id"] for row in rows]


def said_elsewhere(connection: Connection, project_id: str, texts: Iterable[str]) -> set[str]:
    """Those of these texts that other projects hold too: questions, answers, thoughts, reasons, and prompts of their sets."""
    wanted = set(texts)
    found: set[str] = set()
    with connection.snapshot():
        for sql in _WORDS_ELSEWHERE:
            for row in connection.stream(sql, (project_id,)):
                found |= wanted.intersection(texts_in(row["text"]))
    return found


_WORDS_ELSEWHERE = (
    "SELECT m.content AS text FROM messages m JOIN conversations c ON c.id = m.conversation_id WHERE c.project_id != ?",
    """SELECT m.thought AS text FROM messages m JOIN conversations c ON c.id = m.conversation_id
    WHERE c.project_id != ? AND m.thought != ''""",
    "SELECT critique AS text FROM judgements WHERE project_id != ? AND critique != ''",
    """SELECT t.value AS text FROM judgements j, json_tree(j.verdict) t WHERE j.project_id != ? AND t.type = 'text'
    AND t.key IN ('text', 'reason', 'note')""",
    """SELECT t.value AS text FROM judgements j, json_tree(j.also) t WHERE j.project_id != ? AND j.also != '[]' AND t.type = 'text'
    AND t.key IN ('text', 'reason', 'note')""",
    """SELECT t.value AS text FROM prompts p JOIN prompt_sets s ON s.id = p.prompt_set_id, json_tree(p.messages) t
    WHERE s.project_id != ? AND t.key = 'content'""",
)


def bury(store: Store, ids: Sequence[str], texts: Iterable[str] = (), projects: Sequence[str] = ()) -> Doomed:
    """Erase, in one transaction, with all that cannot stay. Ids that are not here get their tombstone too, and never come.

    Args:
        store: Where from.
        ids: Of judgements, messages, conversations and prompts.
        texts: Their words: drafts that hold them go too.
        projects: Ids of projects that go as a whole, with all that this database has of them.
    """
    db = store.connection
    with db.transaction():
        db.raw.execute("PRAGMA defer_foreign_keys=ON")
        ids = [*ids, *belongings(db, projects)] if projects else ids
        going = doomed(db, ids)
        _tombstones(db, [*ids, *going.judgements, *going.messages])
        values = {"ids": json.dumps(going.judgements)}
        people = _people(db, values["ids"], projects)
        db.execute(
            f"DELETE FROM judgements WHERE id {_AMONG}", values
        )  # first: its words are forgotten with its answers still there
        db.execute(f"DELETE FROM judged_completions WHERE judgement_id {_AMONG}", values)
        db.execute(f"DELETE FROM judgement_tags WHERE judgement_id {_AMONG}", values)
        _remove_messages(db, going.messages)
        _remove_prompts(db, ids)
        _forget_drafts(db, [*ids, *going.messages, *texts])
        _remove_projects(db, projects)
        forget_people(db, people)
    return going


def _people(db: Connection, judgements: str, projects: Sequence[str]) -> list[str]:
    """Who said what goes."""
    rows = db.rows(
        """SELECT who FROM judgements WHERE id IN (SELECT value FROM json_each(:judgements))
        UNION SELECT who FROM guidelines WHERE project_id IN (SELECT value FROM json_each(:projects))
        UNION SELECT who FROM adoptions WHERE project_id IN (SELECT value FROM json_each(:projects))""",
        {"judgements": judgements, "projects": json.dumps(list(projects))},
    )
    return [row["who"] for row in rows]


def _tombstones(db: Connection, ids: Iterable[str]) -> None:
    now = utc_now()
    db.insert("tombstones", [{"id": buried, "erased_at": now} for buried in dict.fromkeys(ids)], ignore=True)


def _remove_messages(db: Connection, messages: Sequence[str]) -> None:
    values = {"ids": json.dumps(messages)}
    touched = [row["id"] for row in db.rows(f"SELECT DISTINCT conversation_id AS id FROM messages WHERE id {_AMONG}", values)]
    db.execute(f"UPDATE conversations SET active_leaf = NULL WHERE active_leaf {_AMONG}", values)
    db.execute(f"DELETE FROM messages WHERE id {_AMONG}", values)
    forget_conversations(db, touched)
    for conversation in touched:
        left = db.rows("SELECT role, content FROM messages WHERE conversation_id = ? ORDER BY rowid", (conversation,))
        if left:
            title = title_from([{"role": row["role"], "content": row["content"]} for row in left])
            db.execute("UPDATE conversations SET title = ?, updated_at = ? WHERE id = ?", (title, utc_now(), conversation))
        else:
            _tombstones(db, [conversation])
            db.execute("DELETE FROM conversation_tags WHERE conversation_id = ?", (conversation,))
            db.execute("DELETE FROM conversations WHERE id = ?", (conversation,))


def _remove_prompts(db: Connection, ids: Iterable[str]) -> None:
    db.execute(f"DELETE FROM prompts WHERE id {_AMONG}", {"ids": json.dumps(list(ids))})


_ROWS_OF_PROJECTS = (  # in this order: what is pointed at goes after what points
    "conversation_tags WHERE conversation_id IN (SELECT id FROM conversations WHERE project_id {})",
    "conversations WHERE project_id {}",
    "prompt_sets WHERE project_id {}",
    "adoptions WHERE project_id {}",
    "merge_changed WHERE merge_id IN (SELECT id FROM merges WHERE project_id {})",
    "merge_added WHERE merge_id IN (SELECT id FROM merges WHERE project_id {})",
    "merges WHERE project_id {}",
    "evaluation_pairs WHERE evaluation_id IN (SELECT id FROM evaluations WHERE project_id {})",
    "evaluations WHERE project_id {}",
    "guidelines WHERE project_id {}",
    "drafts WHERE project_id {}",
    "exports WHERE project_id {}",
    "split_exceptions WHERE project_id {}",
    "settings WHERE scope {}",
    "projects WHERE id {}",
)


def _remove_projects(db: Connection, projects: Sequence[str]) -> None:
    """What is left of projects once nothing was said or judged in them any more."""
    for rows in _ROWS_OF_PROJECTS if projects else ():
        db.execute(f"DELETE FROM {rows.format(_AMONG)}", {"ids": json.dumps(list(projects))})


def _forget_drafts(db: Connection, words: Iterable[str]) -> None:
    """Drafts, answers that were being written and messages that wait go when they name what is gone or hold its texts."""
    gone = {json.dumps(word, ensure_ascii=False)[1:-1] for word in words}
    for row in db.rows("SELECT project_id, who, key, value FROM drafts"):
        if any(one in row["key"] or one in row["value"] for one in gone):
            place = (row["project_id"], row["who"], row["key"])
            db.execute("DELETE FROM drafts WHERE project_id = ? AND who = ? AND key = ?", place)
    for row in db.rows("SELECT scope, key, value FROM settings WHERE key IN (?, ?)", _UNFINISHED):
        written = json.dumps(json.loads(row["value"]), ensure_ascii=False)
        if any(one in written for one in gone):
            db.execute("DELETE FROM settings WHERE scope = ? AND key = ?", (row["scope"], row["key"]))


def scrub(connection: Connection) -> None:
    """Overwrite on disk what was deleted: the search's words, free pages and the journal.

    Raises:
        StoreTrouble: something reads the file for seconds on end, so that the journal could not be emptied.
    """
    for table in ("judgement_search", "chat_search"):
        connection.execute(f"INSERT INTO {table} ({table}) VALUES ('optimize')")
    with plainly():
        connection.raw.execute("VACUUM")
        (busy, *_) = connection.raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise StoreTrouble(
            "It was erased, but the database's journal still holds it, as something else is reading the database.",
            "Close the program's windows and commands: the last one to close empties the journal.",
        )
