"""Which judgements are in effect and how many: told from who replaced or took back whom, without reading what was said.

Few events are replaced or taken back, so those are what is kept in mind; everything else is in effect, and a million are counted
by subtraction.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rlhf_desktop.feedback.judgements import Kind, effective
from rlhf_desktop.store.driver import Connection, Row, understood

LATER = """WITH RECURSIVE later(id) AS (SELECT value FROM json_each(?)
  UNION SELECT e.id FROM judgements e JOIN later ON e.supersedes = later.id) SELECT id FROM later"""
"""Selects events (a JSON list of ids) and all that replace them or take them back, directly or not."""


_TEACHING = """project_id = :project AND created_at > :since AND created_at <= :until
  AND kind NOT IN ('withdrawn', 'skip', 'flag')"""
# Each part is read from an index, or of the few that are gone: of a million judgements no row is fetched.
_FEEDBACK_BETWEEN = f"""SELECT (SELECT count(*) FROM judgements WHERE {_TEACHING})
  - (SELECT count(*) FROM judgements WHERE {_TEACHING} AND source != '' AND source >= 'evaluation:' AND source < 'evaluation;')
  - (SELECT count(*) FROM json_each(:gone) g CROSS JOIN judgements j ON j.id = g.value
     WHERE {_TEACHING} AND source NOT LIKE 'evaluation:%') AS n"""


@dataclass(frozen=True)
class Link:
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
    events: dict[str, Link]


class StandingStore:
    """Reads which judgements are in effect."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self._known: dict[str, Gone] = {}  # by project

    def gone(self, project_id: str) -> Gone:
        """The events that are not in effect, withdrawals among them. Kept until an event replaces or takes back another."""
        with self._db.snapshot():
            (stamp,) = self._db.rows(
                """SELECT count(*) AS n, max(rowid) AS last, (SELECT id FROM judgements WHERE rowid = (
                  SELECT max(rowid) FROM judgements WHERE project_id = ?1 AND supersedes IS NOT NULL)) AS id
                FROM judgements WHERE project_id = ?1 AND supersedes IS NOT NULL""",
                (project_id,),
            )
            known = self._known.get(project_id)
            if known is None or known.stamp != stamp:
                known = self._known[project_id] = self._find_gone(project_id, stamp)
        return known

    def among(self, ids: Sequence[str]) -> set[str]:
        """Those of these events that are in effect."""
        rows = self._db.rows(f"SELECT id, kind, who, supersedes FROM judgements WHERE id IN ({LATER})", (json.dumps(list(ids)),))
        return {link.id for link in effective(Link(**row) for row in rows)} & set(ids)

    def counts(self, project_id: str) -> dict[str, int]:
        """How many judgements of each (main) form are in effect: all, less those that others replaced or took back."""
        with self._db.snapshot():
            rows = self._db.rows("SELECT kind, count(*) AS n FROM judgements WHERE project_id = ? GROUP BY kind", (project_id,))
            gone = self.gone(project_id)
        return _less(rows, "kind", (event.kind for event in gone.events.values()))

    def feedback_between(self, project_id: str, since: str, until: str) -> int:
        """Judgements in effect that may teach, made in a span of time (`since` < t ≤ `until`; ISO 8601, UTC)."""
        with self._db.snapshot():
            gone = json.dumps(list(self.gone(project_id).events))
            row = self._db.row(_FEEDBACK_BETWEEN, {"project": project_id, "since": since, "until": until, "gone": gone})
        return int(row["n"]) if row else 0

    def by_person(self, project_id: str) -> dict[str, int]:
        """How many judgements in effect each person made, in alphabetical order."""
        with self._db.snapshot():
            rows = self._db.rows(
                "SELECT who, count(*) AS n FROM judgements WHERE project_id = ? AND kind != 'withdrawn' GROUP BY who", (project_id,)
            )
            gone = self.gone(project_id)
        return _less(rows, "who", (event.who for event in gone.events.values() if event.kind != "withdrawn"))

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
                with understood():
                    for row in rows:
                        counts[tuple(json.loads(row["said"])["ranks"])] += sign * row["n"]
        return {ranks: n for ranks, n in counts.items() if n > 0}

    def _find_gone(self, project_id: str, stamp: Row) -> Gone:
        links = [
            Link(**row)
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


def _less(rows: Sequence[Row], name: str, gone: Iterable[str]) -> dict[str, int]:
    """Counts, less these."""
    counts = Counter({row[name]: row["n"] for row in rows})
    counts.subtract(gone)
    return {value: n for value, n in counts.items() if n > 0}
