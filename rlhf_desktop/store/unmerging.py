"""What a merge changed, kept so that it can be undone in one step: row by row what it was before.

Triggers that exist only during the merge note each row that is added or changed, in whatever way. Of added rows the keys are kept,
of changed ones the values before and after; never a message or what was said of it. A title is: an erase takes it out again
(`forget_conversations`).

Undoing takes away what the merge added and puts back what it changed, where nobody has changed it since. What was added since
stays, and with it what it is about: a judgement of one's own keeps the answers it shows, a reply the messages it answers, a
revision what it revises. What a colleague's erasure took is not brought back: it was carried out on every copy, and a copy kept
for an undo would be just what an erase must not leave.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.ids import new_id
from rlhf_desktop.feedback.conversations import utc_now
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.driver import Connection, Row, understood

KEPT = 10  # merges of a project that can be undone, the newest first
_CHUNK = 500
_ADDED = ("tombstones", "generators", "conversations", "messages", "judgements", "prompt_sets", "prompts", "guidelines")
"""Of these a merge adds rows; they are known by their `id`."""
_CHANGED: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "conversations": (("id",), ("title", "updated_at")),
    "projects": (("id",), ("heldout_share",)),
    "judgement_tags": (("judgement_id", "tag"), ("present", "changed_at", "judged_at")),
    "profiles": (("name",), ("role", "credentials", "updated_at")),
    "split_exceptions": (("project_id", "prompt_hash"), ("split",)),
}
"""Of these it also changes rows: their keys, and what of them may change."""
_BY_COLUMN = ("conversations", "projects")  # whose values are put back one by one; of the others all or none
_MUTABLE = ("judgement_tags", "profiles", "split_exceptions")  # whose added rows may be changed by the user later


@dataclass(frozen=True)
class Undoable:
    """A merge that can be undone.

    Attributes:
        id: Its id.
        merged_at: When it was.
        judgements: How many it added.
        erased: How many judgements its erasures took, which stay erased.
        runs: How many runs were started since, which may have learned from it.
    """

    id: str
    merged_at: str
    judgements: int
    erased: int
    runs: int


@dataclass(frozen=True)
class Undone:
    """What undoing a merge did.

    Attributes:
        removed: Rows that went, by kind.
        staying: Rows that stay because something that was added since is about them, by kind.
        erased: Judgements that its erasures had taken: they stay erased.
        runs: Runs that were started since.
    """

    removed: dict[str, int]
    staying: dict[str, int]
    erased: int
    runs: int


# --- during the merge ---------------------------------------------------------------------------------------------------------


class Recorder:
    """Notes what is added and changed inside `watching`, within one transaction."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch until the end of the block; then `keep`."""
        self._drop()
        for statement in _watchers():
            self._db.raw.execute(statement)
        try:
            yield
        except BaseException:
            if self._db.raw.in_transaction:  # else it was rolled back with them
                self._drop()
            raise
        for name, _ in _triggers():
            self._db.raw.execute(f"DROP TRIGGER temp.{name}")

    def _drop(self) -> None:
        for name, _ in _triggers():
            self._db.raw.execute(f"DROP TRIGGER IF EXISTS temp.{name}")
        self._db.raw.execute("DROP TABLE IF EXISTS temp.merge_log")

    def keep(self, project_id: str, judgements: int, erased: int, noted: int) -> None:
        """Keep what was noted, if anything was, and forget the merges that are too long ago."""
        added = {about: self._keys(about) for about in _ADDED}
        changed = [row for about in _CHANGED for row in self._changes(about)]
        self._db.raw.execute("DROP TABLE temp.merge_log")
        if not changed and not any(added.values()):
            return
        made = new_id()
        values = {"id": made, "project_id": project_id, "merged_at": utc_now(), "judgements": judgements}
        self._db.insert("merges", [{**values, "erased": erased, "noted": noted}])
        for about, keys in added.items():
            self._db.insert("merge_added", _in_parts(made, about, keys))
        if changed:
            self._db.insert("merge_changed", [{"merge_id": made, **row} for row in changed])
        _forget(self._db, [row["id"] for row in _kept(self._db, project_id)[KEPT:]])

    def _keys(self, about: str) -> list[str]:
        rows = self._db.rows(
            "SELECT json_extract(key, '$[0]') AS id FROM temp.merge_log WHERE about = ? AND before IS NULL", (about,)
        )
        return [row["id"] for row in rows]

    def _changes(self, about: str) -> list[Row]:
        """Changed rows; of those that the user may change later, added ones too."""
        keys, columns = _CHANGED[about]
        where = " AND ".join(f"t.{name} = json_extract(l.key, '$[{place}]')" for place, name in enumerate(keys))
        also = "" if about in _MUTABLE else "AND l.before IS NOT NULL"
        return self._db.rows(
            f"""SELECT l.about, l.key, l.before, {_values("t", columns)} AS after FROM temp.merge_log l
            CROSS JOIN {about} t ON {where} WHERE l.about = ? {also} AND l.before IS NOT {_values("t", columns)}""",
            (about,),
        )


def _watchers() -> Iterator[str]:
    yield "CREATE TEMP TABLE merge_log (about TEXT, key TEXT, before TEXT, PRIMARY KEY (about, key)) WITHOUT ROWID"
    yield from (statement for _, statement in _triggers())


def _triggers() -> Iterator[tuple[str, str]]:
    """Names and texts of the triggers: what happens to a row first is what counts."""
    note = "INSERT OR IGNORE INTO merge_log (about, key, before) VALUES"
    for about in dict.fromkeys((*_ADDED, *_CHANGED)):
        keys, columns = _CHANGED.get(about, (("id",), ()))
        new, old = (", ".join(f"{row}.{name}" for name in keys) for row in ("NEW", "OLD"))
        yield (
            f"merge_adds_{about}",
            f"""CREATE TEMP TRIGGER merge_adds_{about} AFTER INSERT ON main.{about}
            BEGIN {note} ('{about}', json_array({new}), NULL); END""",
        )
        if columns:
            yield (
                f"merge_changes_{about}",
                f"""CREATE TEMP TRIGGER merge_changes_{about} BEFORE UPDATE ON main.{about}
                BEGIN {note} ('{about}', json_array({old}), {_values("OLD", columns)}); END""",
            )


def _values(row: str, columns: Sequence[str]) -> str:
    """A row's values as JSON. Numbers with a point as text with all their digits, which the column makes the same number again."""
    exact = "CASE typeof({0}) WHEN 'real' THEN printf('%!.17g', {0}) ELSE {0} END"
    parts = (f"'{name}', {exact.format(f'{row}.{name}')}" for name in columns)
    return f"json_object({', '.join(parts)})"


def _in_parts(merge: str, about: str, keys: Iterable[str]) -> Iterator[Row]:
    rest, part = iter(keys), 0
    while chunk := list(islice(rest, _CHUNK)):
        yield {"merge_id": merge, "about": about, "part": part, "ids": json.dumps(chunk)}
        part += 1


# --- what can be undone -------------------------------------------------------------------------------------------------------


def _kept(db: Connection, project_id: str) -> list[Row]:
    return db.rows("SELECT * FROM merges WHERE project_id = ? ORDER BY rowid DESC", (project_id,))


def undoable(store: Store, project_id: str) -> Undoable | None:
    """The merge that `undo_merge` would undo: the newest of this project that has not been undone. None: there is none."""
    kept = _kept(store.connection, project_id)
    if not kept:
        return None
    row = kept[0]
    runs = store.audit.count("trained", project_id, row["noted"])
    return Undoable(row["id"], row["merged_at"], row["judgements"], row["erased"], runs)


def forget_conversations(db: Connection, ids: Iterable[str]) -> None:
    """An erase: the titles these conversations had go too."""
    keys = json.dumps([json.dumps([one], separators=(",", ":")) for one in ids])
    db.execute("DELETE FROM merge_changed WHERE about = 'conversations' AND key IN (SELECT value FROM json_each(?))", (keys,))


def _forget(db: Connection, merges: Sequence[str]) -> None:
    for table, column in (("merge_changed", "merge_id"), ("merge_added", "merge_id"), ("merges", "id")):
        db.execute(f"DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))", (json.dumps(list(merges)),))


# --- undoing ------------------------------------------------------------------------------------------------------------------


def undo_merge(store: Store, project_id: str) -> Undone:
    """Undo the newest merge of a project, in one transaction.

    Raises:
        BadInput: there is none.
    """
    db = store.connection
    with db.transaction():
        found = undoable(store, project_id)
        if found is None:
            raise BadInput("There is no merge to undo.", f"The last {KEPT} merges of a project can be undone, the newest first.")
        db.raw.execute("PRAGMA defer_foreign_keys=ON")  # answers go before their questions or after them
        undo = _Undo(db, found)
        done = undo.run()
        _forget(db, [found.id])
        store.audit.note("merge undone", project=project_id, removed=done.removed, staying=done.staying)
    return done


_REMOVED = (  # in this order: a judgement's words are forgotten with its answers still there, and a message's with its conversation
    "DELETE FROM judgements WHERE id IN temp.going_judgements",
    "DELETE FROM judged_completions WHERE judgement_id IN temp.going_judgements",
    "DELETE FROM judgement_tags WHERE judgement_id IN temp.going_judgements",
    "UPDATE conversations SET active_leaf = NULL WHERE active_leaf IN temp.going_messages",
    "DELETE FROM messages WHERE id IN temp.going_messages",
    "DELETE FROM conversation_tags WHERE conversation_id IN temp.going_conversations",
    "DELETE FROM conversations WHERE id IN temp.going_conversations",
    "DELETE FROM generators WHERE id IN temp.going_generators",
    "DELETE FROM prompts WHERE id IN temp.going_prompts",
    "DELETE FROM prompt_sets WHERE id IN temp.going_prompt_sets",
    "DELETE FROM guidelines WHERE id IN temp.going_guidelines",
    "DELETE FROM tombstones WHERE id IN temp.going_tombstones",
)

# What stays, by kind and in this order, though the merge added it: ids that something refers to which does not go.
_STAYING = {
    "judgements": """WITH RECURSIVE stay(id) AS (
        SELECT supersedes FROM judgements WHERE supersedes IN temp.going_judgements AND id NOT IN temp.going_judgements
        UNION SELECT j.supersedes FROM judgements j JOIN stay ON j.id = stay.id WHERE j.supersedes IN temp.going_judgements)
        SELECT id FROM stay""",
    "messages": """WITH RECURSIVE stay(id) AS (
        SELECT message_id FROM judged_completions WHERE message_id IN temp.going_messages
          AND judgement_id NOT IN temp.going_judgements
        UNION SELECT parent_id FROM messages WHERE parent_id IN temp.going_messages AND id NOT IN temp.going_messages
        UNION SELECT old_message FROM evaluation_pairs WHERE old_message IN temp.going_messages
        UNION SELECT new_message FROM evaluation_pairs WHERE new_message IN temp.going_messages
        UNION SELECT continues FROM continued_answers WHERE continues IN temp.going_messages
          AND message_id NOT IN temp.going_messages
        UNION SELECT m.parent_id FROM messages m JOIN stay ON m.id = stay.id WHERE m.parent_id IN temp.going_messages)
        SELECT id FROM stay""",
    "conversations": """SELECT conversation_id FROM messages WHERE conversation_id IN temp.going_conversations
        AND id NOT IN temp.going_messages""",
    "generators": """SELECT generator_id FROM messages WHERE generator_id IN temp.going_generators AND id NOT IN temp.going_messages
        UNION SELECT old_generator FROM evaluations UNION SELECT new_generator FROM evaluations""",
    "prompt_sets": """SELECT prompt_set_id FROM prompts WHERE prompt_set_id IN temp.going_prompt_sets
        AND id NOT IN temp.going_prompts""",
    "guidelines": """SELECT g.id FROM guidelines g WHERE g.id IN temp.going_guidelines
        AND EXISTS (SELECT 1 FROM judgements j WHERE j.project_id = g.project_id AND j.guideline_version = g.version
          AND j.id NOT IN temp.going_judgements)
        AND NOT EXISTS (SELECT 1 FROM guidelines o WHERE o.project_id = g.project_id AND o.version = g.version
          AND o.id NOT IN temp.going_guidelines)""",
}


class _Undo:
    """One merge being undone, inside a transaction."""

    def __init__(self, db: Connection, merge: Undoable) -> None:
        self._db, self._merge = db, merge

    def run(self) -> Undone:
        for about in _ADDED:
            self._gather(about)
        before = {about: self._count(about) for about in _ADDED}
        for about, sql in _STAYING.items():
            self._db.raw.execute(f"DELETE FROM temp.going_{about} WHERE id IN ({sql})")
        going = {about: self._count(about) for about in _ADDED}
        self._put_back()
        self._remove()
        for about in _ADDED:
            self._db.raw.execute(f"DROP TABLE temp.going_{about}")
        staying = {about: n - going[about] for about, n in before.items() if n > going[about]}
        removed = {about: n for about, n in going.items() if n and about != "tombstones"}
        return Undone(removed, staying, self._merge.erased, self._merge.runs)

    def _gather(self, about: str) -> None:
        """The ids of this kind that the merge added and that are still here."""
        self._db.raw.execute(f"DROP TABLE IF EXISTS temp.going_{about}")
        self._db.raw.execute(f"CREATE TEMP TABLE going_{about} (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._db.raw.execute(
            f"""INSERT OR IGNORE INTO temp.going_{about} SELECT i.value FROM merge_added a, json_each(a.ids) i
            WHERE a.merge_id = ? AND a.about = ? AND i.value IN (SELECT id FROM main.{about})""",
            (self._merge.id, about),
        )

    def _count(self, about: str) -> int:
        return int(self._db.raw.execute(f"SELECT count(*) FROM temp.going_{about}").fetchone()[0])

    def _remove(self) -> None:
        for about in ("judgements", "messages", "tombstones"):
            self._db.raw.execute(f"INSERT OR IGNORE INTO undoing SELECT id FROM temp.going_{about}")
        for statement in _REMOVED:
            self._db.raw.execute(statement)
        self._db.raw.execute("DELETE FROM undoing")

    def _put_back(self) -> None:
        """What the merge changed is as it was before, where it is still as the merge left it."""
        for row in self._db.rows("SELECT * FROM merge_changed WHERE merge_id = ?", (self._merge.id,)):
            with understood():
                key, after = json.loads(row["key"]), json.loads(row["after"])
                before = json.loads(row["before"]) if row["before"] is not None else None
            self._put_row_back(row["about"], key, before, after)

    def _put_row_back(self, about: str, key: Sequence[Any], before: Row | None, after: Row) -> None:
        keys, columns = _CHANGED[about]
        where = " AND ".join(f"{name} = ?" for name in keys)
        now = self._db.row(f"SELECT {_values(about, columns)} AS now FROM {about} WHERE {where}", key)
        if now is None or self._was_trained_on(about, after):
            return
        there = json.loads(now["now"])
        same = [name for name in columns if there[name] == after[name]]
        if about not in _BY_COLUMN and len(same) < len(columns):
            return
        if before is None:
            self._db.execute(f"DELETE FROM {about} WHERE {where}", key)
        elif same:
            changes = ", ".join(f"{name} = ?" for name in same)
            self._db.execute(f"UPDATE {about} SET {changes} WHERE {where}", [*(before[name] for name in same), *key])

    def _was_trained_on(self, about: str, after: Row) -> bool:
        """Prompts that runs may have trained on since are never held out again."""
        return about == "split_exceptions" and after["split"] == "train" and self._merge.runs > 0
