"""Judgements: events that are only ever added, and the feedback derived from them."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.conversations import MessageNode, path_to
from rlhf_desktop.feedback.judgements import Judgement, Kind, Spans, effective, verdict_from_json, verdict_to_json, withdrawal
from rlhf_desktop.feedback.signals import Judged
from rlhf_desktop.feedback.split import Splitter
from rlhf_desktop.feedback.undo import Stacks, stacks
from rlhf_desktop.store.driver import Connection, Row

_CHUNK = 500
_LATER = """WITH RECURSIVE later(id) AS (SELECT value FROM json_each(?)
  UNION SELECT e.id FROM judgements e JOIN later ON e.supersedes = later.id) SELECT id FROM later"""
_UNDO_DEPTH = 500  # acts of one person that can be undone
_CAME_BACK = 2_000  # items that silently came back, the newest: enough to know how far one agrees with oneself


class JudgementStore:
    """Reads and adds judgements."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self._known_gone: dict[str, Gone] = {}  # by project

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

    def standing_among(self, ids: Sequence[str]) -> set[str]:
        """Those of these events that are in effect."""
        rows = self._db.rows(f"SELECT id, kind, who, supersedes FROM judgements WHERE id IN ({_LATER})", (json.dumps(list(ids)),))
        return {link.id for link in effective(_Link(**row) for row in rows)} & set(ids)

    def later(self, ids: Sequence[str]) -> list[Judgement]:
        """These judgements and every event that replaces them or takes them back, directly or not: enough for `effective`."""
        return self._load(f"j.id IN ({_LATER})", (json.dumps(list(ids)),))

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

    def counts(self, project_id: str) -> dict[str, int]:
        """How many judgements of each (main) form are in effect: all, less those that others replaced or took back."""
        with self._db.snapshot():
            rows = self._db.rows("SELECT kind, count(*) AS n FROM judgements WHERE project_id = ? GROUP BY kind", (project_id,))
            gone = self.gone(project_id)
        return _less(rows, "kind", (event.kind for event in gone.events.values()))

    def by_person(self, project_id: str) -> dict[str, int]:
        """How many judgements in effect each person made, in alphabetical order."""
        with self._db.snapshot():
            rows = self._db.rows(
                "SELECT who, count(*) AS n FROM judgements WHERE project_id = ? AND kind != 'withdrawn' GROUP BY who", (project_id,)
            )
            gone = self.gone(project_id)
        return _less(rows, "who", (event.who for event in gone.events.values() if event.kind != "withdrawn"))

    def gone(self, project_id: str) -> "Gone":
        """The events that are not in effect, withdrawals among them. Kept until an event replaces or takes back another."""
        with self._db.snapshot():
            (stamp,) = self._db.rows(
                """SELECT count(*) AS n, max(rowid) AS last, (SELECT id FROM judgements WHERE rowid = (
                  SELECT max(rowid) FROM judgements WHERE project_id = ?1 AND supersedes IS NOT NULL)) AS id
                FROM judgements WHERE project_id = ?1 AND supersedes IS NOT NULL""",
                (project_id,),
            )
            known = self._known_gone.get(project_id)
            if known is None or known.stamp != stamp:
                known = self._known_gone[project_id] = self._find_gone(project_id, stamp)
        return known

    def _find_gone(self, project_id: str, stamp: Row) -> "Gone":
        links = [
            _Link(**row)
            for row in self._db.rows(
                """SELECT id, kind, who, supersedes FROM judgements WHERE id IN (
                  SELECT id FROM judgements WHERE project_id = ?1 AND supersedes IS NOT NULL
                  UNION SELECT supersedes FROM judgements WHERE project_id = ?1 AND supersedes IS NOT NULL)""",
                (project_id,),
            )
        ]
        standing = {link.id for link in effective(links)}
        events = {link.id: link for link in links if link.id not in standing}
        return Gone(stamp, events)

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

    def judged(self, project_id: str, split: Splitter) -> list[Judged]:
        """The judgements in effect with their prompts and texts, oldest first: what trainers are made from."""
        with self._db.snapshot():
            return list(self.stream(project_id, split))

    def stream(self, project_id: str, split: Splitter) -> Iterator[Judged]:
        """`judged`, some at a time, so that a million cost little memory."""
        for chunk in self._standing(project_id):
            nodes = self._paths(json.dumps([j.id for j in chunk]))
            yield from (_judged(judgement, nodes, split) for judgement in chunk)

    def sample(self, project_id: str, split: Splitter, each: int) -> list[Judged]:
        """`judged`, of each form and purpose only what was judged last: enough to say whether there is enough. Oldest first."""
        beside = "SELECT judgement_id AS id FROM judgements_also WHERE project_id = :project AND kind = :kind"
        main = "SELECT id FROM judgements WHERE project_id = :project AND kind = :kind"
        decided = "SELECT id FROM judgements WHERE project_id = :project AND purpose != 'label' AND purpose = 'adjudication'"
        with self._db.snapshot():
            gone, ids = self.gone(project_id).events, set[str]()
            for sql in (main, beside, decided):
                for kind in get_args(Kind) if sql is not decided else ("",):
                    values = {"project": project_id, "kind": kind, "each": each}
                    ids |= {row["id"] for row in self._db.rows(f"{sql} ORDER BY created_at DESC LIMIT :each", values)}
            found = self.by_ids(sorted(ids - gone.keys()))
            nodes = self._paths(json.dumps([j.id for j in found]))
        return [_judged(judgement, nodes, split) for judgement in found if judgement.kind != "withdrawn"]

    def _standing(self, project_id: str) -> Iterator[list[Judgement]]:
        gone, after = self.gone(project_id).events, 0
        while page := self._db.rows(
            "SELECT rowid, id FROM judgements WHERE project_id = ? AND kind != 'withdrawn' AND rowid > ? ORDER BY rowid LIMIT ?",
            (project_id, after, _CHUNK),
        ):
            after = page[-1]["rowid"]
            yield self.by_ids([row["id"] for row in page if row["id"] not in gone])

    def newest(self, project_id: str, limit: int) -> list[Judgement]:
        """Of the so many judgements added last those in effect, oldest first."""
        rows = self._db.rows(
            "SELECT rowid, id FROM judgements WHERE project_id = ? AND kind != 'withdrawn' ORDER BY rowid DESC LIMIT ?",
            (project_id, limit),
        )
        gone = self.gone(project_id).events
        return self.by_ids([row["id"] for row in rows if row["id"] not in gone])

    def rankings(self, project_id: str) -> dict[tuple[int, ...], int]:
        """How often each ranking was given, of the judgements in effect: the ranks as displayed → how many."""
        main = "SELECT j.verdict AS said FROM judgements j WHERE j.project_id = :project AND j.kind = 'ranking'"
        beside = """SELECT part.value AS said FROM judgements_also a JOIN judgements j ON j.id = a.judgement_id
          JOIN json_each(j.also) part WHERE a.project_id = :project AND a.kind = 'ranking'
          AND json_extract(part.value, '$.kind') = 'ranking'"""
        some = "AND j.id IN (SELECT value FROM json_each(:gone))"
        counts: Counter[tuple[int, ...]] = Counter()
        with self._db.snapshot():
            values = {"project": project_id, "gone": json.dumps(list(self.gone(project_id).events))}
            for sign, only in ((1, ""), (-1, some)):
                rows = self._db.rows(
                    f"SELECT said, count(*) AS n FROM ({main} {only} UNION ALL {beside} {only}) GROUP BY said", values
                )
                for row in rows:
                    counts[tuple(json.loads(row["said"])["ranks"])] += sign * row["n"]
        return {ranks: n for ranks, n in counts.items() if n > 0}

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
        standing = self.standing_among([j.id for j in found])
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
        standing = self.standing_among([j.id for j in found])
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
        standing = self.standing_among([row["id"] for row in rows])
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

    def paths(self, message_ids: Sequence[str]) -> dict[str, Messages]:
        """Each of these messages with all before it."""
        nodes = self._upwards("SELECT value FROM json_each(?)", json.dumps(list(message_ids)))
        return {key: [node.message for node in path_to(nodes[key], nodes)] for key in message_ids}

    def _paths(self, judgement_ids: str) -> dict[str, MessageNode]:
        """The completions of these judgements (a JSON list of ids) and every message before them."""
        shown = "SELECT message_id FROM judged_completions WHERE judgement_id IN (SELECT value FROM json_each(?))"
        return self._upwards(shown, judgement_ids)

    def _upwards(self, start: str, ids: str) -> dict[str, MessageNode]:
        """The messages that `start` selects by a JSON list of ids, and every message before them."""
        rows = self._db.rows(
            f"""WITH RECURSIVE path(id) AS ({start}
              UNION SELECT m.parent_id FROM messages m JOIN path ON m.id = path.id WHERE m.parent_id IS NOT NULL)
            SELECT m.* FROM messages m JOIN path ON m.id = path.id""",
            (ids,),
        )
        return {row["id"]: MessageNode(**row) for row in rows}

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


@dataclass(frozen=True)
class _Link:
    """An event without what it says: enough for `effective`."""

    id: str
    kind: Kind
    who: str
    supersedes: str | None


@dataclass(frozen=True)
class Gone:
    """What is not in effect in a project.

    Attributes:
        stamp: Another one when an event was added or erased that replaces or takes back.
        events: By id.
    """

    stamp: Row
    events: dict[str, _Link]


def _less(rows: Sequence[Row], name: str, gone: Iterable[str]) -> dict[str, int]:
    """Counts, less these."""
    counts = Counter({row[name]: row["n"] for row in rows})
    counts.subtract(gone)
    return {value: n for value, n in counts.items() if n > 0}


def _judged(judgement: Judgement, nodes: dict[str, MessageNode], split: Splitter) -> Judged:
    shown = [nodes[message_id] for message_id in judgement.displayed]
    prompt = [node.message for node in path_to(shown[0], nodes)[:-1]]
    return Judged(judgement, prompt, tuple(node.content for node in shown), split(prompt))


def _row(j: Judgement) -> Row:
    verdict = json.dumps(verdict_to_json(j.verdict), ensure_ascii=False)
    also = json.dumps([verdict_to_json(part) for part in j.also], ensure_ascii=False)
    plain = {key: value for key, value in vars(j).items() if key not in ("displayed", "verdict", "also")}
    return {**plain, "kind": j.kind, "verdict": verdict, "also": also}


def _judgement(row: Row, displayed: Iterable[str]) -> Judgement:
    fields = {key: value for key, value in row.items() if key not in ("kind", "verdict", "also")}
    also = () if row["also"] == "[]" else tuple(verdict_from_json(part) for part in json.loads(row["also"]))
    return Judgement(**fields, displayed=tuple(displayed), verdict=verdict_from_json(json.loads(row["verdict"])), also=also)
