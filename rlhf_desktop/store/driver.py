"""One connection to one SQLite file: which driver, how it is set up, transactions, and troubles in plain words.

The driver is sqlcipher3, which bundles a recent SQLite: before 3.51.3 two connections could corrupt a file in WAL mode. Where
there is no wheel of it, the standard library's serves in rollback-journal mode, which that fault does not touch.
"""

import importlib
import sqlite3 as standard
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from rlhf_desktop.core.errors import AppError, BadInput, NoSpace, StoreTrouble

BUSY_TIMEOUT_S = 5.0
SAFE_WAL = (3, 51, 3)

Row = dict[str, Any]


def choose_driver() -> Any:
    """The DB-API module to use. Must run before sqlite_utils is imported, which takes whatever "pysqlite3" is."""
    try:
        driver = importlib.import_module("sqlcipher3")
    except ImportError:
        return standard
    sys.modules.setdefault("pysqlite3", driver)
    sys.modules.setdefault("pysqlite3.dbapi2", importlib.import_module("sqlcipher3.dbapi2"))
    return driver


DRIVER = choose_driver()
Database = importlib.import_module("sqlite_utils").Database  # imported only now that the driver has been chosen
_TROUBLES: tuple[type[Exception], ...] = (DRIVER.DatabaseError, standard.DatabaseError)
_BUGS: tuple[type[Exception], ...] = (DRIVER.ProgrammingError, standard.ProgrammingError)  # a closed store, wrong SQL: ours


def version(driver: Any = DRIVER) -> tuple[int, ...]:
    """The SQLite version behind a driver."""
    return tuple(int(part) for part in importlib.import_module(f"{driver.__name__}.dbapi2").sqlite_version.split("."))


def in_plain_words(problem: Exception) -> AppError:
    """What a driver's error means to the user."""
    text = str(problem).lower()
    if "is full" in text:
        return NoSpace(
            "There is no space left for the database; nothing of this step was saved.",
            "Free some space on its disk, then do it again. Everything saved before is safe.",
            repr(problem),
        )
    if "locked" in text or "busy" in text:
        return StoreTrouble(
            "The database is in use by another window or command.",
            "Wait for it to finish, then try again. Nothing was lost.",
            repr(problem),
        )
    if "readonly" in text or "unable to open" in text:
        return StoreTrouble(
            "The database cannot be opened for writing.",
            "Check that its folder exists and belongs to you, or choose another workspace.",
            repr(problem),
        )
    if "malformed" in text or "not a database" in text or "corrupt" in text:
        return damaged(repr(problem))
    if "disk i/o" in text:
        return StoreTrouble(
            "The disk failed while the database was in use; nothing of this step was saved.",
            "Check that the disk is connected and has free space, then try again.",
            repr(problem),
        )
    return StoreTrouble(
        "The database did not accept this step; nothing of it was saved.", "Try again, or report it.", repr(problem)
    )


def damaged(detail: str) -> StoreTrouble:
    """What to say of a file that is not a healthy database."""
    return StoreTrouble(
        "The database is damaged.",
        "Copy the newest file of the workspace's backups folder over feedback.db. The damaged file was left as it is.",
        detail,
    )


@contextmanager
def plainly() -> Iterator[None]:
    """Turn a driver's errors into `AppError`s."""
    try:
        yield
    except _BUGS:
        raise
    except _TROUBLES as problem:
        raise in_plain_words(problem) from problem
    except UnicodeEncodeError as problem:
        raise BadInput("This text holds half of a character.", "Paste or type it again.", repr(problem)) from problem


class Connection:
    """One connection, usable from any thread: each call, and each whole transaction, holds one lock.

    A long transaction (an import) therefore keeps other threads waiting: give such work a `Store` of its own.

    Args:
        path: The file; it is made if it does not exist.
        driver: The DB-API module.
        busy_timeout_s: How long to wait for another process's transaction.
    """

    def __init__(self, path: Path, driver: Any = DRIVER, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        self.notice = ""
        self._lock = threading.RLock()
        with plainly():
            self.raw = driver.connect(str(path), timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)
            try:
                self._set_up(driver)
            except BaseException:
                self.raw.close()
                raise

    def _set_up(self, driver: Any) -> None:
        self.raw.row_factory = None
        wal = version(driver) >= SAFE_WAL
        (mode,) = self.raw.execute(f"PRAGMA journal_mode={'WAL' if wal else 'DELETE'}").fetchone()
        if mode != "wal":
            self.notice = "The database runs without its faster journal and without encryption: sqlcipher3 is not available here."
        for pragma in ("synchronous=FULL", "foreign_keys=ON", "recursive_triggers=ON"):
            self.raw.execute(f"PRAGMA {pragma}")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self.raw.close()

    def rows(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Row]:
        """All rows of a query."""
        with self._lock, plainly():
            cursor = self.raw.execute(sql, values)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def row(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Row | None:
        """The first row of a query, or None."""
        found = self.rows(sql, values)
        return found[0] if found else None

    def stream(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Iterator[Row]:
        """The rows of a query, some at a time. Belongs inside a `snapshot` or `transaction`."""
        with self._lock, plainly():
            cursor = self.raw.execute(sql, values)
        names = [column[0] for column in cursor.description or ()]
        while True:
            with self._lock, plainly():
                rows = cursor.fetchmany(500)
            if not rows:
                return
            yield from (dict(zip(names, row, strict=True)) for row in rows)

    def execute_many(self, sql: str, rows: Iterable[Row]) -> None:
        """Run one statement for each row, all or none."""
        with self.transaction():
            self.raw.executemany(sql, rows)

    def execute(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> int:
        """Run one statement in a transaction. Returns the number of rows it changed."""
        with self.transaction():
            return int(self.raw.execute(sql, values).rowcount)

    def insert(self, table: str, rows: Iterable[Row], ignore: bool = False) -> None:
        """Insert rows, which all have the same columns. With `ignore`, rows whose key exists are left as they are."""
        with self.transaction():
            Database(self.raw, execute_plugins=False)[table].insert_all(rows, ignore=ignore)

    def transaction(self) -> AbstractContextManager[None]:
        """A transaction that happens whole or not at all. One inside another joins it."""
        # IMMEDIATE takes the write lock now: a plain BEGIN that writes later fails at once, whatever the busy timeout.
        return self._between("BEGIN IMMEDIATE")

    def snapshot(self) -> AbstractContextManager[None]:
        """Several reads that see one state of the database. Nothing may be written inside."""
        return self._between("BEGIN")

    @contextmanager
    def _between(self, begin: str) -> Iterator[None]:
        with self._lock, plainly():
            if self.raw.in_transaction:  # ours: the lock is held by one thread
                yield
                return
            self.raw.execute(begin)
            try:
                yield
                self.raw.execute("COMMIT")
            except BaseException:
                if self.raw.in_transaction:  # a full disk may have rolled it back already
                    self.raw.execute("ROLLBACK")
                raise
