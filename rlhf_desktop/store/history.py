"""Every judgement as a list reads it: filtered, searched, sorted, a page at a time.

A page is found by where the last one ended (keyset), never by counting rows, so the millionth row costs what the first does.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rlhf_desktop.feedback.judgements import Judgement, Kind, Purpose, effective
from rlhf_desktop.store.driver import Connection
from rlhf_desktop.store.judgements import JudgementStore
from rlhf_desktop.store.search import Words

Sort = Literal["newest", "oldest", "slowest", "quickest", "who", "kind"]
_KEYS: dict[Sort, tuple[str, str]] = {  # what is sorted by, and which way; each has its index
    "newest": ("j.created_at", "DESC"),
    "oldest": ("j.created_at", "ASC"),
    "slowest": ("coalesce(j.seconds_spent, 0)", "DESC"),
    "quickest": ("coalesce(j.seconds_spent, 0)", "ASC"),
    "who": ("j.who", "ASC"),
    "kind": ("j.kind", "ASC"),
}
_MOST_FOUND = 10_000  # of a search that is sorted by something else than age: the newest so many
_ROUNDS = 50  # looking for judgements in effect among many that are not


@dataclass(frozen=True)
class HistoryQuery:
    """Which judgements, in which order.

    Attributes:
        kinds: Only these forms, main or beside it; empty: all.
        who: Only by this person.
        tag: Only with this tag.
        text: Only with these words in the prompt, the answers, the reason or what was written. Sorted by "newest" or "oldest", what
            was found comes in the order it was added.
        since: From this moment on (ISO 8601, UTC).
        until: Before this moment.
        standing: Only what is in effect.
        purpose: Only for this purpose.
        sort: The order.
    """

    kinds: tuple[Kind, ...] = ()
    who: str = ""
    tag: str = ""
    text: str = ""
    since: str = ""
    until: str = ""
    standing: bool = False
    purpose: Purpose | Literal[""] = ""
    sort: Sort = "newest"


@dataclass(frozen=True)
class Cursor:
    """Where a page ended."""

    key: Any
    row: int


class HistoryStore:
    """Reads the history of a project."""

    def __init__(self, connection: Connection, judgements: JudgementStore) -> None:
        self._db = connection
        self._judgements = judgements
        self._words = Words()

    def close(self) -> None:
        """Free what the search holds."""
        self._words.close()

    def page(
        self, project_id: str, query: HistoryQuery, after: Cursor | None = None, limit: int = 100
    ) -> tuple[list[tuple[Judgement, bool]], Cursor | None]:
        """The next judgements, each with whether it is in effect, and where to go on; None at the end."""
        found: list[tuple[Judgement, bool]] = []
        with self._db.snapshot():
            for _ in range(_ROUNDS):
                cursors = self._rows(project_id, query, after, limit)
                found += self._loaded(cursors, query.standing)
                if len(cursors) < limit:
                    return found, None
                after = cursors[-1]
                if len(found) >= limit or not query.standing:
                    break
        return found, after

    def count(self, project_id: str, query: HistoryQuery, at_most: int = 10_000) -> int:
        """How many there are, in effect or not; `at_most` stands for that many or more."""
        return len(self._rows(project_id, query, None, at_most))

    def _loaded(self, cursors: Sequence[Cursor], only_standing: bool) -> Iterator[tuple[Judgement, bool]]:
        judgements = self._judgements.by_rows([cursor.row for cursor in cursors])
        standing = {j.id for j in effective(self._judgements.later([j.id for j in judgements]))}
        for judgement in judgements:
            if judgement.id in standing or not only_standing:
                yield judgement, judgement.id in standing

    def _rows(self, project_id: str, query: HistoryQuery, after: Cursor | None, limit: int) -> list[Cursor]:
        """The places of the next judgements. Each form asked for is looked up by its own index; the results are merged."""
        match = self._words.match(query.text) if query.text.strip() else ""
        if query.text.strip() and not match:
            return []
        sources = [_Select(project_id, query, match, after, limit)]
        if query.kinds and not match:
            sources = [
                _Select(project_id, query, match, after, limit, kind, beside) for kind in query.kinds for beside in (False, True)
            ]
        places = {row["r"]: Cursor(row["k"], row["r"]) for source in sources for row in self._db.rows(*source.sql())}
        backwards = _KEYS[query.sort][1] == "DESC"
        return sorted(places.values(), key=lambda cursor: (cursor.key, cursor.row), reverse=backwards)[:limit]


@dataclass(frozen=True)
class _Select:
    """One statement that finds places in the list, in order."""

    project_id: str
    query: HistoryQuery
    match: str
    after: Cursor | None
    limit: int
    kind: Kind | None = None
    beside: bool = False  # `kind` is not the main form

    def sql(self) -> tuple[str, dict[str, Any]]:
        key, way = _KEYS[self.query.sort]
        by_row = bool(self.match) and self.query.sort in ("newest", "oldest")
        source = "judgements j"
        if by_row:  # the index yields its rows in order, so this ends after `limit` of them
            key, source = "0", "judgement_search s CROSS JOIN judgements j ON j.rowid = s.rowid"
        place = "s.rowid" if by_row else "j.rowid"
        conditions, values = self._conditions(by_row)
        if self.after:
            sign = "<" if way == "DESC" else ">"
            conditions.append(f"{place} {sign} :row" if by_row else f"({key}, j.rowid) {sign} (:key, :row)")
            values |= {"key": self.after.key, "row": self.after.row}
        order = f"{place} {way}" if by_row else f"{key} {way}, j.rowid {way}"
        where = " AND ".join(conditions)
        return f"SELECT {place} AS r, {key} AS k FROM {source} WHERE {where} ORDER BY {order} LIMIT :limit", values

    def _conditions(self, by_row: bool) -> tuple[list[str], dict[str, Any]]:
        q = self.query
        values: dict[str, Any] = {"project": self.project_id, "limit": self.limit}
        conditions = ["j.project_id = :project", "j.kind != 'withdrawn'"]
        if by_row:
            conditions.insert(0, "judgement_search MATCH :match")
        elif self.match:
            conditions.append(
                f"""j.rowid IN (SELECT rowid FROM judgement_search WHERE judgement_search MATCH :match
                ORDER BY rowid DESC LIMIT {_MOST_FOUND})"""
            )
        if self.match:
            values["match"] = self.match
        for name, condition in (("who", "j.who = :who"), ("since", "j.created_at >= :since"), ("until", "j.created_at < :until"),
                                ("purpose", "j.purpose = :purpose")):  # fmt: skip
            if value := getattr(q, name):
                conditions.append(condition)
                values[name] = value
        if q.tag:
            conditions.append("j.id IN (SELECT judgement_id FROM judgement_tags WHERE tag = :tag AND present)")
            values["tag"] = q.tag
        conditions += self._of_kind(values)
        return conditions, values

    def _of_kind(self, values: dict[str, Any]) -> list[str]:
        also = "j.id IN (SELECT judgement_id FROM judgements_also WHERE project_id = :project AND kind {})"
        if self.kind:
            values["kind"] = self.kind
            return [also.format("= :kind") if self.beside else "j.kind = :kind"]
        if self.query.kinds:
            values["kinds"] = json.dumps(self.query.kinds)
            among = "IN (SELECT value FROM json_each(:kinds))"
            return [f"(j.kind {among} OR {also.format(among)})"]
        return []
