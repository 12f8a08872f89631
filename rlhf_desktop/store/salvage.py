"""Reads what can be read of a damaged database, and adds it to a copy that is well.

A damaged file is mostly whole: what fails is a page here and there. Tables are read along their rowids; where a page fails, the
next row that can be read is searched for. A judgement comes with everything it is about or not at all.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from rlhf_desktop.core.errors import AppError, BadInput, NotAccepted, StoreTrouble
from rlhf_desktop.store.driver import DRIVER, Connection, Row
from rlhf_desktop.store.judgements import JudgementStore
from rlhf_desktop.store.standing import StandingStore

_AT_ONCE = 500  # rows
_FARTHEST = 2**40  # rowids that are skipped at most to find the next row that can be read
_LINKED = ("judgements", "judged_completions")  # taken together
_DERIVED = ("judgements_also", "judged_questions")  # filled by triggers from what they are about
_NAMED = {"projects": "", "prompt_sets": "project_id"}  # whose names are taken only once: everywhere, or within this
_PROJECTS = "SELECT name FROM projects"
_ERRORS = (DRIVER.DatabaseError, DRIVER.OperationalError, UnicodeError, OverflowError)


def salvage(damaged: Path, into: Connection) -> int:
    """Add to a database what a damaged one has beyond it.

    Args:
        damaged: The damaged file; what SQLite keeps beside it is read where it can be.
        into: A database that is well, of the newest schema.

    Returns:
        How many judgements were added.
    """
    with closing(_opened(damaged)) as source, into.transaction():
        for table in _tables(into):
            if table not in (*_LINKED, *_DERIVED):
                _add_all(source, into, table)
        return _add_judgements(source, into)


def readable(damaged: Path) -> int:
    """How many judgements can be read of a damaged database, all events counted."""
    with closing(_opened(damaged)) as source:
        return sum(1 for _ in _rows(source, "judgements"))


def _opened(damaged: Path) -> Connection:
    """The file with its journal, or, where that makes it unreadable, without it.

    Raises:
        StoreTrouble: nothing of it can be read.
    """
    for with_journal in (True, False):
        connection = Connection.read_only(damaged, with_journal=with_journal)
        try:
            connection.rows("SELECT count(*) FROM sqlite_master")
        except AppError:
            connection.close()
            continue
        return connection
    raise StoreTrouble("Nothing can be read of the damaged database.", "Restore a backup without it.")


def _tables(into: Connection) -> list[str]:
    """The tables with rows of their own, in the order they were made: what is referred to comes first."""
    rows = into.rows(
        """SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' AND name NOT LIKE 'sqlite_%'
        AND name NOT IN (SELECT s.name FROM sqlite_master s JOIN sqlite_master v ON v.sql LIKE 'CREATE VIRTUAL%'
          AND s.name LIKE v.name || '\\_%' ESCAPE '\\') ORDER BY rowid"""
    )
    return [str(row["name"]) for row in rows]


def _add_all(source: Connection, into: Connection, table: str) -> None:
    for row in _rows(source, table, _columns(into, table)):
        _add(into, table, _freely_named(into, table, row) if table in _NAMED else row)


def _freely_named(into: Connection, table: str, row: Row) -> Row:
    """A row, with a number after its name where another there has that: without it nothing of what belongs to it could come."""
    if _has(into, table, [row.get("id")]):
        return row
    within = _NAMED[table]
    beside = into.rows(f"SELECT name FROM {table} WHERE {within} IS ?", (row.get(within),)) if within else into.rows(_PROJECTS)
    taken, name, number = {str(other["name"]).casefold() for other in beside}, str(row.get("name")), 1
    while name.casefold() in taken:
        number += 1
        name = f"{row['name']} {number}"
    return {**row, "name": name}


def _add(into: Connection, table: str, row: Row) -> bool:
    """Add a row unless it is there, was erased, or refers to what is not there. Whether it was added."""
    names = ", ".join(row)
    marks = ", ".join("?" * len(row))
    try:
        return into.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})", list(row.values())) > 0
    except (NotAccepted, BadInput):  # not a full disk: what would fit is not left out unsaid
        return False


def _add_judgements(source: Connection, into: Connection) -> int:
    displayed: dict[str, list[Row]] = {}
    for row in _rows(source, "judged_completions", _columns(into, "judged_completions")):
        displayed.setdefault(str(row["judgement_id"]), []).append(row)
    return sum(
        _add_judgement(into, row, displayed.get(str(row["id"]), []))
        for row in _rows(source, "judgements", _columns(into, "judgements"))
    )


def _add_judgement(into: Connection, row: Row, displayed: Sequence[Row]) -> bool:
    """Add a judgement with what was displayed, if all it refers to is there."""
    messages = [part["message_id"] for part in displayed]
    if not displayed or not _has(into, "messages", messages) or not _has(into, "projects", [row["project_id"]]):
        return False
    if row["supersedes"] is not None and not _has(into, "judgements", [row["supersedes"]]):
        return False
    if _has(into, "judgements", [row["id"]]):
        return False
    into.raw.execute("SAVEPOINT judgement")
    for part in displayed:  # first: the triggers on judgements read them
        _add(into, "judged_completions", part)
    whole = _add(into, "judgements", row) and _makes_sense(into, row["id"])
    into.raw.execute("RELEASE judgement" if whole else "ROLLBACK TO judgement")
    return whole


def _makes_sense(into: Connection, judgement_id: str) -> bool:
    """Whether a judgement can be read as one: a page that is gone may have taken one of its answers, a flipped bit its ranks."""
    try:
        return bool(JudgementStore(into, StandingStore(into)).by_ids([judgement_id]))
    except (AppError, ValueError, KeyError, TypeError):
        return False


def _has(into: Connection, table: str, ids: Sequence[Any]) -> bool:
    (found,) = into.rows(f"SELECT count(*) AS n FROM {table} WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(ids),))
    return int(found["n"]) == len(set(ids))


def _columns(connection: Connection, table: str) -> list[str]:
    return [str(row["name"]) for row in connection.rows(f"PRAGMA table_info({table})")]


# --- reading what is damaged --------------------------------------------------------------------------------------------------


def _rows(source: Connection, table: str, wanted: Sequence[str] = ("id",)) -> Iterator[Row]:
    """The rows of a table that can be read, in the order of their rowids."""
    try:
        columns = [name for name in wanted if name in _columns(source, table)]
    except AppError:
        _recover(source)
        return
    if columns and _has_no_rowid(source, table):
        yield from _while_readable(source, table, columns)
        return
    last, limit = -(2**62), _AT_ONCE
    while columns:
        try:
            rows = _after(source, table, columns, last, limit)
        except _ERRORS:
            _recover(source)
            if limit > 1:
                limit = 1
                continue
            found = _next_readable(source, table, columns, last)
            if found is None:
                return
            last = found
            continue
        if not rows:
            return
        for rowid, *values in rows:
            yield dict(zip(columns, values, strict=True))
            last = rowid
        limit = min(_AT_ONCE, limit * 2)


def _recover(source: Connection) -> None:
    """Go on after a page that cannot be read."""
    if source.key is not None:
        source.open_again()


def _has_no_rowid(source: Connection, table: str) -> bool:
    found = source.row("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    return found is not None and "WITHOUT ROWID" in str(found["sql"]).upper()


def _while_readable(source: Connection, table: str, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of a table without rowids, up to where it is damaged, from its start and from its end: a row may come twice."""
    keys = ", ".join(str(row["name"]) for row in source.rows(f"PRAGMA table_info({table})") if row["pk"])
    for order in ("ASC", "DESC"):
        with suppress(*_ERRORS):
            rows = source.raw.execute(
                f"SELECT {', '.join(columns)} FROM {table} ORDER BY {keys.replace(',', f' {order},')} {order}"
            )
            for row in rows:
                yield dict(zip(columns, row, strict=True))
            return
        _recover(source)


def _after(source: Connection, table: str, columns: Sequence[str], last: int, limit: int) -> list[Any]:
    sql = f"SELECT rowid, {', '.join(columns)} FROM {table} NOT INDEXED WHERE rowid > ? ORDER BY rowid LIMIT ?"
    rows = list(source.raw.execute(sql, (last, limit)).fetchall())
    rowids = [last, *(row[0] for row in rows)]
    if any(later <= earlier for earlier, later in pairwise(rowids)):  # a damaged tree can lead in a circle
        raise DRIVER.DatabaseError(f"{table} is out of order after {last}")
    return rows


def _next_readable(source: Connection, table: str, columns: Sequence[str], last: int) -> int | None:
    """The rowid after which reading works again: the nearest, found by doubling and then halving. None: there is none."""

    def works(after: int) -> bool:
        with suppress(*_ERRORS):
            return bool(_after(source, table, columns, after, 1))
        _recover(source)
        return False

    start = max(last, 0)
    step = 1
    while not works(start + step):
        step *= 2
        if step > _FARTHEST:
            return None
    low, high = start + step // 2, start + step
    while low < high - 1:
        middle = (low + high) // 2
        low, high = (low, middle) if works(middle) else (middle, high)
    return high
