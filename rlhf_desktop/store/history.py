"""Every judgement as a list reads it: filtered, searched, sorted, a page at a time.

A page is found by where the last one ended (keyset), never by counting rows, so the millionth row costs what the first does.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rlhf_desktop.feedback.judgements import Judgement, Kind, Purpose
from rlhf_desktop.store.driver import Connection
from rlhf_desktop.store.judgements import JudgementStore
from rlhf_desktop.store.search import Words

Sort = Literal["newest", "oldest", "slowest", "quickest", "who", "kind"]
_KEYS: dict[Sort, tuple[tuple[str, ...], str]] = {  # what is sorted by, and which way; each has its index
    "newest": (("j.created_at",), "DESC"),
    "oldest": (("j.created_at",), "ASC"),
    "slowest": (("coalesce(j.seconds_spent, 0)",), "DESC"),
    "quickest": (("coalesce(j.seconds_spent, 0)",), "ASC"),
    "who": (("j.who", "j.created_at"), "ASC"),
    "kind": (("j.kind", "j.created_at"), "ASC"),
}
_BY_TIME = ("newest", "oldest")
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

    key: tuple[Any, ...]
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
        standing = self._judgements.standing_among([j.id for j in judgements])
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
        rows = (row for source in sources for row in self._db.rows(*source.sql()))
        places = {row.pop("r"): tuple(row.values()) for row in rows}
        backwards = _KEYS[query.sort][1] == "DESC"
        found = sorted(((key, row) for row, key in places.items()), reverse=backwards)[:limit]
        return [Cursor(key, row) for key, row in found]


@dataclass(frozen=True)
class _Select:
    """One statement that finds places in the list, in order, led by the one index that suits it."""

    project_id: str
    query: HistoryQuery
    match: str
    after: Cursor | None
    limit: int
    kind: Kind | None = None
    beside: bool = False  # `kind` is not the main form

    @property
    def _found(self) -> bool:
        """Led by the search, which yields its rows in order, so that it ends after `limit` of them."""
        return bool(self.match) and self.query.sort in _BY_TIME

    def _source(self) -> tuple[str, tuple[str, ...]]:
        """What is read, and the key it comes sorted by."""
        keys = _KEYS[self.query.sort][0]
        if self._found:
            return "judgement_search s CROSS JOIN judgements j ON j.rowid = s.rowid", ("0",)
        if self.beside:
            timed = ("v.created_at",) if self.query.sort in _BY_TIME else keys
            return "judgements_also v CROSS JOIN judgements j ON j.id = v.judgement_id", timed
        if self.query.tag and not self.kind and not self.match:
            timed = ("v.judged_at",) if self.query.sort in _BY_TIME else keys
            return "judgement_tags v CROSS JOIN judgements j ON j.id = v.judgement_id", timed
        if self.match:  # sorted by something else than age: led by what was found
            return "judgements j", keys
        return f"judgements j INDEXED BY {self._index}", keys

    @property
    def _index(self) -> str:
        """The index that has the rows in order. Left to itself, SQLite may read all of another one and sort."""
        if self.query.sort in ("slowest", "quickest"):
            return "judgements_by_seconds"
        if self.query.sort == "kind" or (self.kind and self.query.sort in _BY_TIME):
            return "judgements_by_kind_and_time"
        if self.query.sort == "who" or self.query.who:
            return "judgements_by_who_and_time"
        return "judgements_by_time"

    def sql(self) -> tuple[str, dict[str, Any]]:
        """The statement and its values."""
        source, keys = self._source()
        way = _KEYS[self.query.sort][1]
        row = "s.rowid" if self._found else "j.rowid"
        conditions, values = self._conditions(source)
        if self.after:
            sign = "<" if way == "DESC" else ">"
            named = {f"key{n}": value for n, value in enumerate(self.after.key)}
            bounds = (
                f"{row} {sign} :row"
                if self._found
                else f"({', '.join([*keys, row])}) {sign} ({', '.join(f':{n}' for n in named)}, :row)"
            )
            conditions.append(bounds)
            values |= {**named, "row": self.after.row}
        order = ", ".join(f"{part} {way}" for part in (row,) if self._found) or ", ".join(f"{part} {way}" for part in (*keys, row))
        columns = ", ".join(f"{part} AS k{n}" for n, part in enumerate(keys))
        return f"SELECT {row} AS r, {columns} FROM {source} WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT :limit", values

    def _conditions(self, source: str) -> tuple[list[str], dict[str, Any]]:
        q = self.query
        values: dict[str, Any] = {"project": self.project_id, "limit": self.limit}
        conditions = ["j.kind != 'withdrawn'"]
        if self._found:
            conditions = ["judgement_search MATCH :match", "+j.project_id = :project", *conditions]
        elif self.beside:
            conditions = ["v.project_id = :project", "v.kind = :kind", *conditions]
        elif source.startswith("judgement_tags"):
            conditions = ["v.tag = :tag", "v.present", "+j.project_id = :project", *conditions]
        else:
            conditions = ["j.project_id = :project", *conditions]
        if self.match and not self._found:
            conditions.append(
                f"""j.rowid IN (SELECT rowid FROM judgement_search WHERE judgement_search MATCH :match
                ORDER BY rowid DESC LIMIT {_MOST_FOUND})"""
            )
        if self.match:
            values["match"] = self.match
        conditions += self._filters(values, led_by_tag=source.startswith("judgement_tags"))
        if q.tag:
            values["tag"] = q.tag
        return conditions, values

    def _filters(self, values: dict[str, Any], led_by_tag: bool) -> list[str]:
        """The other conditions."""
        q = self.query
        found = []
        conditions = {
            "who": "j.who = :who",
            "since": "j.created_at >= :since",
            "until": "j.created_at < :until",
            "purpose": "j.purpose = :purpose",
        }
        for name, condition in conditions.items():
            if value := getattr(q, name):
                found.append(condition)
                values[name] = value
        if q.tag and not led_by_tag:
            found.append("EXISTS (SELECT 1 FROM judgement_tags t WHERE t.judgement_id = j.id AND t.tag = :tag AND t.present)")
        return found + self._of_kind(values)

    def _of_kind(self, values: dict[str, Any]) -> list[str]:
        if self.kind:
            values["kind"] = self.kind
            return [] if self.beside else ["j.kind = :kind"]
        if self.query.kinds:  # beside the words of a search
            values["kinds"] = json.dumps(self.query.kinds)
            among = "IN (SELECT value FROM json_each(:kinds))"
            also = f"EXISTS (SELECT 1 FROM json_each(j.also) part WHERE json_extract(part.value, '$.kind') {among})"
            return [f"(j.kind {among} OR {also})"]
        return []
