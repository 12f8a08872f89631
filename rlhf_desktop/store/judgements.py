"""Judgements: events that are only ever added, read by who made them, what they are about, and what became of them."""

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.feedback.judgements import Judgement, Spans, effective, verdict_from_json, verdict_to_json, withdrawal
from rlhf_desktop.feedback.undo import Stacks, stacks
from rlhf_desktop.store.audit import AuditLog
from rlhf_desktop.store.driver import Connection, Row, understood
from rlhf_desktop.store.standing import LATER, StandingStore

_UNDO_DEPTH = 500  # acts of one person that can be undone
_CAME_BACK = 2_000  # items that silently came back, the newest: enough to know how far one agrees with oneself


class JudgementStore:
    """Reads and adds judgements."""

    def __init__(self, connection: Connection, standing: StandingStore, audit: AuditLog | None = None) -> None:
        self._db = connection
        self._standing = standing
        self._audit = audit or AuditLog(connection)

    def add(self, judgement: Judgement) -> Judgement:
        """Add one event. See `add_all`."""
        self.add_all([judgement])
        return judgement

    def add_all(self, judgements: Sequence[Judgement], to_come: Collection[str] = ()) -> None:
        """Add events, all or none.

        Args:
            judgements: The events.
            to_come: Ids that may be superseded though they are not here yet: they are added later in the same transaction.

        Raises:
            BadInput: the displayed completions do not answer the same message of the judgement's project, or what it supersedes
                is unknown.
        """
        if not judgements:
            return
        with self._db.transaction():
            self._check(judgements, to_come)
            self._db.insert(  # first: the judgement's words are made searchable from them
                "judged_completions",
                [
                    {"judgement_id": j.id, "position": place, "message_id": message}
                    for j in judgements
                    for place, message in enumerate(j.displayed)
                ],
            )
            self._db.insert("judgements", [_row(j) for j in judgements])
            self._audit.judged(judgements)

    def withdraw(self, judgement_id: str, who: str) -> Judgement:
        """Undo: add the event that takes another back (withdrawing a withdrawal is redo). Returns it."""
        with self._db.transaction():
            return self.add(withdrawal(self.get(judgement_id), who))

    def get(self, judgement_id: str) -> Judgement:
        """The event with this id, in effect or not."""
        found = self._load("j.id = ?", (judgement_id,))
        if not found:
            raise NotFound("This judgement does not exist.", "Reload the list.", judgement_id)
        return found[0]

    def all(self, project_id: str) -> list[Judgement]:
        """Every event of a project, oldest first."""
        return self._load("j.project_id = ?", (project_id,))

    def size(self, project_id: str) -> int:
        """How many judgements were ever made, in effect or not; withdrawals are not counted."""
        row = self._db.row("SELECT count(*) AS n FROM judgements WHERE project_id = ? AND kind != 'withdrawn'", (project_id,))
        return int(row["n"]) if row else 0

    def any(self, project_id: str) -> bool:
        """Whether a judgement was ever made."""
        sql = "SELECT 1 FROM judgements WHERE project_id = ? AND kind != 'withdrawn' LIMIT 1"
        return self._db.row(sql, (project_id,)) is not None

    def people(self, project_id: str) -> list[str]:
        """Who has judged in a project, in alphabetical order. Jumps from name to name in the index: quick among a million."""
        rows = self._db.rows(
            """WITH RECURSIVE names(who) AS (
              SELECT min(who) FROM judgements WHERE project_id = :project
              UNION ALL
              SELECT (SELECT min(j.who) FROM judgements j WHERE j.project_id = :project AND j.who > names.who)
              FROM names WHERE names.who IS NOT NULL)
            SELECT who FROM names WHERE who IS NOT NULL""",
            {"project": project_id},
        )
        return [row["who"] for row in rows]

    def last_row(self) -> int:
        """The place of the newest judgement in the table; 0 when there is none."""
        return int(self._db.rows("SELECT coalesce(max(rowid), 0) AS row FROM judgements")[0]["row"])

    def first_row(self, ids: Sequence[str]) -> int:
        """The place of the oldest of these events in the table."""
        sql = "SELECT coalesce(min(rowid), 0) AS row FROM judgements WHERE id IN (SELECT value FROM json_each(?))"
        return int(self._db.rows(sql, (json.dumps(list(ids)),))[0]["row"])

    def by_ids(self, ids: Sequence[str]) -> list[Judgement]:
        """Those of these events that are here, oldest first."""
        return self._load("j.id IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),))

    def by_rows(self, rows: Sequence[int]) -> list[Judgement]:
        """The judgements at these places of the table, in the order given."""
        place = {
            row["id"]: row["rowid"]
            for row in self._db.rows(
                "SELECT rowid, id FROM judgements WHERE rowid IN (SELECT value FROM json_each(?))", (json.dumps(list(rows)),)
            )
        }
        order = {row: number for number, row in enumerate(rows)}
        return sorted(
            self._load("j.id IN (SELECT value FROM json_each(?))", (json.dumps(list(place)),)), key=lambda j: order[place[j.id]]
        )

    def later(self, ids: Sequence[str]) -> list[Judgement]:
        """These judgements and every event that replaces them or takes them back, directly or not: enough for `effective`."""
        return self._load(f"j.id IN ({LATER})", (json.dumps(list(ids)),))

    def effective(self, project_id: str) -> list[Judgement]:
        """The judgements in effect, oldest first."""
        return effective(self.all(project_id))

    def for_conversation(self, conversation_id: str) -> list[Judgement]:
        """The judgements in effect on a conversation's messages, oldest first."""
        return effective(
            self._load(
                """j.id IN (SELECT c.judgement_id FROM judged_completions c JOIN messages m ON m.id = c.message_id
                WHERE m.conversation_id = ?)""",
                (conversation_id,),
            )
        )

    def versions(self, judgement_id: str) -> list[Judgement]:
        """All that ever happened to one act of judging, oldest first: the first version, its revisions, undos and redos."""
        found = self._load(
            """j.id IN (WITH RECURSIVE chain(id) AS (SELECT ?1
              UNION SELECT e.supersedes FROM judgements e JOIN chain ON e.id = chain.id WHERE e.supersedes IS NOT NULL
              UNION SELECT e.id FROM judgements e JOIN chain ON e.supersedes = chain.id) SELECT id FROM chain)""",
            (judgement_id,),
        )
        if not found:
            self.get(judgement_id)
        return found

    def undoable(self, project_id: str, who: str) -> Judgement | None:
        """What `undo` would take back: this person's newest judgement in effect, of this or an earlier session."""
        return next(iter(self._stacks(project_id, who).undo[-1:]), None)

    def undo(self, project_id: str, who: str) -> Judgement | None:
        """Take back this person's newest act. Returns what was taken back; None when there is nothing."""
        with self._db.transaction():
            last = self.undoable(project_id, who)
            if last:
                self.withdraw(last.id, who)
        return last

    def redo(self, project_id: str, who: str) -> Judgement | None:
        """Bring back what was last undone. Returns it; None when there is nothing."""
        with self._db.transaction():
            event = next(iter(self._stacks(project_id, who).redo[-1:]), None)
            if event is None or event.supersedes is None:
                return None
            self.withdraw(event.id, who)
            return self.get(event.supersedes)

    def _stacks(self, project_id: str, who: str) -> Stacks:
        return stacks(
            self._load(
                """j.rowid IN (SELECT rowid FROM judgements WHERE project_id = ? AND who = ? ORDER BY rowid DESC LIMIT ?)""",
                (project_id, who, _UNDO_DEPTH),
            )
        )

    def newest(self, project_id: str, limit: int) -> list[Judgement]:
        """Of the so many judgements added last those in effect, oldest first."""
        rows = self._db.rows(
            "SELECT rowid, id FROM judgements WHERE project_id = ? AND kind != 'withdrawn' ORDER BY rowid DESC LIMIT ?",
            (project_id, limit),
        )
        gone = self._standing.gone(project_id).events
        return self.by_ids([row["id"] for row in rows if row["id"] not in gone])

    def came_back(self, project_id: str, who: str = "", limit: int = _CAME_BACK) -> list[Judgement]:
        """The newest silent repeats in effect, with all else in effect that was said of the same answers, oldest first.

        Enough for self-agreement. With `who`, that person's.
        """
        found = self._load(
            """j.id IN (SELECT same.judgement_id FROM judged_completions same WHERE same.message_id IN (
              SELECT c.message_id FROM judged_completions c WHERE c.position = 0 AND c.judgement_id IN (
                SELECT id FROM judgements WHERE project_id = ?1 AND purpose != 'label' AND purpose = 'repeat'
                AND (?2 = '' OR who = ?2) ORDER BY created_at DESC LIMIT ?3)))""",
            (project_id, who, limit),
        )
        standing = self._standing.among([j.id for j in found])
        return [j for j in found if j.id in standing and who in ("", j.who)]

    def recent(self, project_id: str, who: str, limit: int) -> list[Judgement]:
        """One person's newest judgements in effect, oldest first."""
        mine = self._load(
            """j.rowid IN (SELECT rowid FROM judgements WHERE project_id = ? AND who = ? AND kind != 'withdrawn'
            ORDER BY rowid DESC LIMIT ?)""",
            (project_id, who, limit),
        )
        standing = {event.id for event in effective(self.later([j.id for j in mine]))}
        return [j for j in mine if j.id in standing]

    def of_colleagues(self, project_id: str, who: str, limit: int) -> list[Judgement]:
        """What others said in Label about answers that this person has not judged: each one's newest in effect, oldest first."""
        found = [j for name in self.people(project_id) if name != who for j in self._in_label(project_id, name, limit)]
        mine = self._judged_by(project_id, who, [message for j in found for message in j.displayed])
        standing = self._standing.among([j.id for j in found])
        return [j for j in found if j.id in standing and not mine.intersection(j.displayed)]

    def _in_label(self, project_id: str, who: str, limit: int) -> list[Judgement]:
        return self._load(
            """j.rowid IN (SELECT newest.row FROM
              (SELECT rowid AS row, id FROM judgements WHERE project_id = ? AND who = ? AND purpose = 'label'
               AND kind NOT IN ('demonstration', 'skip', 'flag', 'withdrawn') ORDER BY rowid DESC LIMIT ?) newest
              JOIN judged_completions c ON c.judgement_id = newest.id AND c.position = 0
              JOIN messages m ON m.id = c.message_id JOIN conversations v ON v.id = m.conversation_id
              WHERE v.origin = 'label')""",
            (project_id, who, limit),
        )

    def _judged_by(self, project_id: str, who: str, messages: Sequence[str]) -> set[str]:
        """Those of these answers that a person has judged, or decided about for all."""
        rows = self._db.rows(
            """SELECT j.id, c.message_id FROM judged_completions c JOIN judgements j ON j.id = c.judgement_id
            WHERE c.message_id IN (SELECT value FROM json_each(?)) AND j.project_id = ? AND j.who = ?""",
            (json.dumps(list(messages)), project_id, who),
        )
        standing = self._standing.among([row["id"] for row in rows])
        return {row["message_id"] for row in rows if row["id"] in standing}

    def shown_chars(self, ids: Sequence[str]) -> dict[str, int]:
        """How many characters of answers each of these judgements was about."""
        rows = self._db.rows(
            """SELECT c.judgement_id AS id, sum(length(m.content)) AS n FROM judged_completions c
            JOIN messages m ON m.id = c.message_id WHERE c.judgement_id IN (SELECT value FROM json_each(?))
            GROUP BY c.judgement_id""",
            (json.dumps(list(ids)),),
        )
        return {row["id"]: row["n"] for row in rows}

    def _load(self, where: str, values: Sequence[Any]) -> list[Judgement]:
        with self._db.snapshot():
            rows = self._db.rows(f"SELECT * FROM judgements j WHERE {where} ORDER BY j.rowid", values)
            shown = self._db.rows(
                f"""SELECT c.judgement_id, c.message_id FROM judged_completions c JOIN judgements j ON j.id = c.judgement_id
                WHERE {where} ORDER BY c.judgement_id, c.position""",
                values,
            )
        displayed: dict[str, list[str]] = {}
        for row in shown:
            displayed.setdefault(row["judgement_id"], []).append(row["message_id"])
        with understood():
            return [_judgement(row, displayed.get(row["id"], ())) for row in rows]

    def _check(self, judgements: Sequence[Judgement], to_come: Collection[str]) -> None:
        nodes = self._places({message for j in judgements for message in j.displayed})
        known = {j.id for j in judgements}
        for j in judgements:
            places = {nodes.get(message) for message in j.displayed}
            if None in places:
                raise BadInput("An answer that was judged is not saved.", "Save the answers, then judge them.")
            if len(places) > 1:
                raise BadInput("The answers judged together do not answer the same message.", "Judge alternatives only.")
            if any(place and place[0] != j.project_id for place in places):
                raise BadInput("The answers judged belong to another project.", "Switch to their project.")
            if j.supersedes and j.supersedes not in known and j.supersedes not in to_come:
                self.get(j.supersedes)
        self._check_spans(judgements)

    def _check_spans(self, judgements: Sequence[Judgement]) -> None:
        for j in judgements:
            for span in (span for verdict in j.verdicts if isinstance(verdict, Spans) for span in verdict.spans):
                row = self._db.row("SELECT content FROM messages WHERE id = ?", (j.displayed[span.index],))
                if row is None or span.end > len(row["content"]):
                    raise BadInput("A marked part lies outside its answer.", "Mark it again.")

    def _places(self, messages: set[str]) -> dict[str, tuple[str, str, str | None]]:
        """Project, conversation and parent of each completion."""
        rows = self._db.rows(
            """SELECT m.id, c.project_id, c.id AS conversation_id, m.parent_id FROM messages m JOIN conversations c
            ON c.id = m.conversation_id WHERE m.role = 'assistant' AND m.id IN (SELECT value FROM json_each(?))""",
            (json.dumps(sorted(messages)),),
        )
        return {row["id"]: (row["project_id"], row["conversation_id"], row["parent_id"]) for row in rows}


def _row(j: Judgement) -> Row:
    verdict = json.dumps(verdict_to_json(j.verdict), ensure_ascii=False)
    also = json.dumps([verdict_to_json(part) for part in j.also], ensure_ascii=False)
    plain = {key: value for key, value in vars(j).items() if key not in ("displayed", "verdict", "also")}
    return {**plain, "kind": j.kind, "verdict": verdict, "also": also}


def _judgement(row: Row, displayed: Iterable[str]) -> Judgement:
    fields = {key: value for key, value in row.items() if key not in ("kind", "verdict", "also")}
    also = () if row["also"] == "[]" else tuple(verdict_from_json(part) for part in json.loads(row["also"]))
    return Judgement(**fields, displayed=tuple(displayed), verdict=verdict_from_json(json.loads(row["verdict"])), also=also)
