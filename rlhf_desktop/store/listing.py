"""The statements that find a list's next rows, each led by the one index that suits it, and bounded in what it reads.

A statement reads a window of its index in the list's order and keeps what the other conditions let through. So a rare combination
of filters costs many short reads rather than a long one, and between two of them others may use the store.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from rlhf_desktop.feedback.judgements import Kind, Purpose
from rlhf_desktop.store.driver import Connection

Sort = Literal["newest", "oldest", "slowest", "quickest", "who", "kind"]
Values = dict[str, Any]

_SECONDS = "coalesce(j.seconds_spent, 0)"
_TIME = ("j.created_at", "j.kind", "j.who", "j.purpose")  # the columns of the indexes, so that rows come sorted and filtered
_LENGTH = (_SECONDS, "j.kind", "j.who", "j.purpose", "j.created_at")
_KEYS: dict[Sort, tuple[tuple[str, ...], str, str]] = {  # what is sorted by, which way, by which index
    "newest": (_TIME, "DESC", "judgements_by_time"),
    "oldest": (_TIME, "ASC", "judgements_by_time"),
    "slowest": (_LENGTH, "DESC", "judgements_by_seconds"),
    "quickest": (_LENGTH, "ASC", "judgements_by_seconds"),
    "who": (("j.who", "j.created_at", "j.kind", "j.purpose"), "ASC", "judgements_by_who_and_time"),
    "kind": (("j.kind", "j.created_at", "j.who", "j.purpose"), "ASC", "judgements_by_kind_and_time"),
}
_BY_TIME = ("newest", "oldest")
_WINDOW = 10_000  # entries of one index that a statement reads
_WINDOW_JOINED = 500  # of those that need another table's row each
_FEW = 500  # rows that may be sorted for each page
_FOUND_ROW = "s.rowid"
_ALSO = """EXISTS (SELECT 1 FROM judgements_also a WHERE a.project_id = :project AND a.kind = {kind}
  AND a.created_at = j.created_at AND a.judgement_id = j.id)"""
_MOST_FOUND = 5_000  # of a search that is sorted by something else than age: the newest so many


@dataclass(frozen=True)
class HistoryQuery:
    """Which judgements, in which order.

    Attributes:
        kinds: Only these forms, main or beside it; empty: all.
        who: Only by this person.
        tag: Only with this tag.
        text: Only with these words in the prompt, the answers, the reason or what was written. Sorted by "newest" or "oldest", what
            was found comes in the order it was added; sorted by something else, only the newest 5,000 found are looked at.
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
    """Where a page ended, or how far a search for its rows has come."""

    key: tuple[Any, ...]
    row: int


@dataclass(frozen=True)
class Found:
    """Rows of a list in order, and up to where was looked; None: to the end."""

    rows: Sequence[Cursor]
    reached: Cursor | None


def next_rows(db: Connection, project_id: str, query: HistoryQuery, match: str, after: Cursor | None, limit: int) -> Found:
    """The places of some of the next judgements: none, perhaps, though more follow."""
    backwards = _KEYS[query.sort][1] == "DESC"
    parts = [_looked(db, lead, query, after, limit) for lead in _leads(db, project_id, query, match)]
    frontiers = [(part.reached.key, part.reached.row) for part in parts if part.reached is not None]
    edge = (max(frontiers) if backwards else min(frontiers)) if frontiers else None
    places = sorted({(cursor.key, cursor.row) for part in parts for cursor in part.rows}, reverse=backwards)
    if edge is not None:  # beyond it, another part may have rows that were not looked at
        places = [place for place in places if (place >= edge if backwards else place <= edge)]
    cut = places[:limit]
    end = cut[-1] if len(cut) == limit and (edge is not None or len(places) > limit) else edge
    return Found([Cursor(*place) for place in cut], Cursor(*end) if end else None)


def count_rows(db: Connection, project_id: str, query: HistoryQuery, match: str, at_most: int) -> int:
    """How many rows the list has; `at_most` stands for that many or more. Counted by SQLite itself: Python is free meanwhile."""
    found = 0
    for lead in _leads(db, project_id, query, match):
        where = " AND ".join((*lead.where, *lead.only, *lead.once))
        sql = f"SELECT count(*) AS n FROM (SELECT 1 FROM {lead.source} WHERE {where} LIMIT :limit)"
        found += int(db.rows(sql, {**lead.values, "limit": at_most - found})[0]["n"])
    return found


@dataclass(frozen=True)
class _Lead:
    """What is read in order.

    Attributes:
        source: Tables; `j` is the judgement.
        keys: The columns it is sorted by, before the row's number.
        where: Conditions that the index answers.
        only: Conditions on what was read.
        values: What the conditions name.
        window: How many entries are read by one statement.
        row: The row's number.
        once: Conditions that leave out what another part of the list holds as well.
    """

    source: str
    keys: tuple[str, ...]
    where: tuple[str, ...]
    only: tuple[str, ...]
    values: Values
    window: int
    row: str = "j.rowid"
    once: tuple[str, ...] = ()


def _looked(db: Connection, lead: _Lead, query: HistoryQuery, after: Cursor | None, limit: int) -> Found:
    """The lead's next rows: first those that tie with where the last page ended, then those that follow."""
    found: list[Cursor] = []
    for bound in _bounds(lead, _KEYS[query.sort][1], after):
        left = limit - len(found)
        values = {**lead.values, **_named(after), "limit": left, "window": lead.window}
        if lead.row == _FOUND_ROW:  # beginning a search anew for its window's edge would cost as much again
            some = _sifted(db.rows(_read(lead, query, bound, "LIMIT :window"), values), lead, left)
        else:
            rows = db.rows(_statement(lead, query, bound), values)
            edge = db.row(_edge(lead, query, bound), values) if len(rows) < left else None
            some = Found([_cursor(row) for row in rows], _cursor(edge) if edge else None)
        found += some.rows
        if len(some.rows) == left or some.reached:
            return Found(found, some.reached or found[-1])
    return Found(found, None)


def _sifted(rows: Sequence[dict[str, Any]], lead: _Lead, limit: int) -> Found:
    """A whole window, the conditions looked at here."""
    names = [f"c{n}" for n in range(len(lead.only))]
    let_through = [Cursor((), row["r"]) for row in rows if all(row[name] for name in names)]
    edge = Cursor((), rows[-1]["r"]) if len(rows) == lead.window and len(let_through) < limit else None
    return Found(let_through[:limit], edge)


def _cursor(row: dict[str, Any]) -> Cursor:
    place = row.pop("r")
    return Cursor(tuple(row.values()), place)


def _named(after: Cursor | None) -> Values:
    return {**{f"key{n}": value for n, value in enumerate(after.key)}, "row": after.row} if after else {}


def _bounds(lead: _Lead, way: str, after: Cursor | None) -> Iterator[str]:
    """Where to go on. Two ranges, as SQLite finds no place in an index by several columns when the first is an expression."""
    sign = "<" if way == "DESC" else ">"
    if after is None:
        yield ""
    elif not lead.keys:
        yield f"{lead.row} {sign} :row"
    else:
        rest, names = (*lead.keys[1:], lead.row), [*(f":key{n}" for n in range(1, len(lead.keys))), ":row"]
        yield f"{lead.keys[0]} = :key0 AND ({', '.join(rest)}) {sign} ({', '.join(names)})"
        yield f"{lead.keys[0]} {sign} :key0"


def _read(lead: _Lead, query: HistoryQuery, bound: str, tail: str) -> str:
    columns = [f"{lead.row} AS r", *(f"{key} AS k{n}" for n, key in enumerate(lead.keys))]
    checks = [f"({condition}) AS c{n}" for n, condition in enumerate(lead.only)]
    order = ", ".join(f"{part} {_KEYS[query.sort][1]}" for part in (*lead.keys, lead.row))
    where = " AND ".join([*lead.where, *([bound] if bound else [])])
    return f"SELECT {', '.join([*columns, *checks])} FROM {lead.source} WHERE {where} ORDER BY {order} {tail}"


def _statement(lead: _Lead, query: HistoryQuery, bound: str) -> str:
    names = ", ".join(["r", *(f"k{n}" for n in range(len(lead.keys)))])
    wanted = " AND ".join(f"c{n}" for n in range(len(lead.only)))
    return f"SELECT {names} FROM ({_read(lead, query, bound, 'LIMIT :window')}) WHERE {wanted} LIMIT :limit"


def _edge(lead: _Lead, query: HistoryQuery, bound: str) -> str:
    """The last entry of a full window."""
    bare = _Lead(lead.source, lead.keys, lead.where, (), {}, lead.window, lead.row)
    return _read(bare, query, bound, "LIMIT 1 OFFSET :window - 1")


def _leads(db: Connection, project_id: str, query: HistoryQuery, match: str) -> list[_Lead]:
    """What to read, so that together it holds every row that is asked for."""
    values: Values = {"project": project_id, "who": query.who, "since": query.since, "until": query.until}
    values |= {"purpose": query.purpose, "tag": query.tag, "match": match}
    values |= {f"kind{n}": kind for n, kind in enumerate(query.kinds)}
    if match:
        return [_by_search(query, values)]
    timed = query.sort in _BY_TIME
    if query.tag and (timed or _few(db, "judgement_tags v WHERE v.tag = :tag AND v.present", values)):
        return [_by_tag(query, values)]
    if not query.kinds:
        return [_by_index(query, values)]
    found = []
    for number, kind in enumerate(query.kinds):
        named = {**values, "kind": kind}
        found.append(_by_index(query, named, kind))
        few = timed or _few(db, "judgements_also v WHERE v.project_id = :project AND v.kind = :kind", named)
        beside = _by_also(query, named) if few else _by_index(query, named, also=True)
        found.append(replace(beside, once=_not_before(query, number)))
    return found


def _not_before(query: HistoryQuery, number: int) -> tuple[str, ...]:
    """What has a form beside its main one is in the list once, though the main one or another beside it is asked for too."""
    among = [f":kind{n}" for n in range(len(query.kinds))]
    main = f"j.kind NOT IN ({', '.join(among)})"
    earlier = [f"NOT {_ALSO.format(kind=name)}" for name in among[:number]]
    return (main, *earlier)


def _few(db: Connection, what: str, values: Values) -> bool:
    """Whether these are few enough to be sorted for each page."""
    return int(db.rows(f"SELECT count(*) AS n FROM (SELECT 1 FROM {what} LIMIT {_FEW + 1})", values)[0]["n"]) <= _FEW


def _by_search(query: HistoryQuery, values: Values) -> _Lead:
    only = ("j.kind != 'withdrawn'", "j.project_id = :project", *_only(query))
    keys = _KEYS[query.sort][0]
    if query.sort in _BY_TIME:
        source = "judgement_search s CROSS JOIN judgements j ON j.rowid = s.rowid"
        return _Lead(source, (), ("judgement_search MATCH :match",), only, values, _WINDOW_JOINED, _FOUND_ROW)
    among = f"SELECT rowid FROM judgement_search WHERE judgement_search MATCH :match ORDER BY rowid DESC LIMIT {_MOST_FOUND}"
    return _Lead("judgements j", keys, (f"j.rowid IN ({among})",), only, values, _MOST_FOUND + 1)


def _by_tag(query: HistoryQuery, values: Values) -> _Lead:
    source = "judgement_tags v CROSS JOIN judgements j ON j.id = v.judgement_id"
    only = ("j.kind != 'withdrawn'", "j.project_id = :project", *_only(query, "tag"))
    return _Lead(source, _keys(query, "v.judged_at"), ("v.tag = :tag", "v.present"), only, values, _WINDOW_JOINED)


def _by_also(query: HistoryQuery, values: Values) -> _Lead:
    source = "judgements_also v CROSS JOIN judgements j ON j.id = v.judgement_id"
    where = ("v.project_id = :project", "v.kind = :kind", *_times("v.created_at", query))
    return _Lead(source, _keys(query, "v.created_at"), where, ("1", *_only(query, "kinds")), values, _WINDOW_JOINED)


def _keys(query: HistoryQuery, time: str) -> tuple[str, ...]:
    """The list's keys, its time from the leading table."""
    return tuple(time if key == "j.created_at" and query.sort in _BY_TIME else key for key in _KEYS[query.sort][0])


def _by_index(query: HistoryQuery, values: Values, kind: Kind | None = None, also: bool = False) -> _Lead:
    """All of a project, or one form of it, by an index that holds all that most filters look at."""
    keys, _, index = _KEYS[query.sort]
    where, done = ["j.project_id = :project"], ["kinds"] if query.kinds else []
    if query.sort in _BY_TIME:
        index = _time_index(query, kind)
        where += _times("j.created_at", query)
        done.append("times")
        if index == "judgements_by_purpose_and_time":
            where += ["j.purpose != 'label'", "j.purpose = :purpose"]
            done.append("purpose")
    if index == "judgements_by_who_and_time" and query.who:
        where.append("j.who = :who")
        done.append("who")
    only = ["j.kind != 'withdrawn'", *_only(query, *done)]
    if kind:
        (where if index == "judgements_by_kind_and_time" else only).append("j.kind = :kind")
    if also:
        only.append(_ALSO.format(kind=":kind"))
    window = _WINDOW_JOINED if also or query.tag else _WINDOW
    return _Lead(f"judgements j INDEXED BY {index}", keys, tuple(where), tuple(only), values, window)


def _time_index(query: HistoryQuery, kind: Kind | None) -> str:
    if query.purpose not in ("", "label"):
        return "judgements_by_purpose_and_time"
    return "judgements_by_kind_and_time" if kind else "judgements_by_who_and_time" if query.who else "judgements_by_time"


def _times(column: str, query: HistoryQuery) -> list[str]:
    return ([f"{column} >= :since"] if query.since else []) + ([f"{column} < :until"] if query.until else [])


def _only(query: HistoryQuery, *done: str) -> list[str]:
    """The conditions that are not `done` by what leads."""
    found = [] if "times" in done else _times("j.created_at", query)
    if query.who and "who" not in done:
        found.append("j.who = :who")
    if query.purpose and "purpose" not in done:
        found.append("j.purpose = :purpose")
    if query.kinds and "kinds" not in done:
        among = f"IN ({', '.join(f':kind{n}' for n in range(len(query.kinds)))})"
        also = f"EXISTS (SELECT 1 FROM json_each(j.also) part WHERE json_extract(part.value, '$.kind') {among})"
        found.append(f"(j.kind {among} OR (j.also != '[]' AND {also}))")
    if query.tag and "tag" not in done:
        found.append("EXISTS (SELECT 1 FROM judgement_tags t WHERE t.judgement_id = j.id AND t.tag = :tag AND t.present)")
    return found
