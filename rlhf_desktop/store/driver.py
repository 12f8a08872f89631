"""The way to one SQLite file: which driver, how it is set up, transactions, and troubles in plain words.

The driver is sqlcipher3, which bundles a recent SQLite: before 3.51.3 two connections could corrupt a file in WAL mode. Where
there is no wheel of it, the standard library's serves in rollback-journal mode, which that fault does not touch.
"""

import functools
import importlib
import sqlite3 as standard
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rlhf_desktop.core.encryption import keys_of, root_of
from rlhf_desktop.core.errors import AppError, BadInput, Damaged, NoSpace, NotAccepted, StoreTrouble
from rlhf_desktop.core.platform import make_private
from rlhf_desktop.store.hashing import HASHES, question_hashes

BUSY_TIMEOUT_S = 5.0
SAFE_WAL = (3, 51, 3)
SYNCHRONOUS = "FULL"  # what is committed survives a power cut
_READER_CACHE_KIB = 16 * 2**10
_WORKSPACE_DEPTH = 2  # a database lies in the workspace, or in its folder of backups

HOW_TO_RESTORE = "“rlhf-desktop backups” shows what can be restored, and “rlhf-desktop restore” does it"

Row = dict[str, Any]


_PLAIN_HEAD = b"SQLite format 3\0"
_MOST_OF_A_BYTE = 64  # of the 16 that each value has on average in a page of random bytes
_PAGE_BYTES = 4096  # of an encrypted database, whose length is a multiple of it


def is_database(path: Path) -> bool:
    """Whether a file is a database of SQLite, or an encrypted one: random from its first byte, beside the header of a workspace."""
    with path.open("rb") as file:
        head = file.read(len(_PLAIN_HEAD))
    if head == _PLAIN_HEAD:
        return True
    return _can_be_encrypted(path, head) and root_of(path, _WORKSPACE_DEPTH) is not None


def _can_be_encrypted(path: Path, head: bytes) -> bool:
    size = path.stat().st_size
    return path.suffix == ".db" and size > 0 and size % _PAGE_BYTES == 0 and any(byte > 0x7F for byte in head)


def looks_random(path: Path) -> bool:
    """Whether a file is as evenly mixed as only an encrypted one is: a damaged database has zeroes and words in it."""
    with path.open("rb") as file:
        page = file.read(_PAGE_BYTES)
    most = max((page.count(bytes([value])) for value in range(256)), default=0)
    return len(page) == _PAGE_BYTES and path.stat().st_size % _PAGE_BYTES == 0 and most < _MOST_OF_A_BYTE


def key_for(path: Path, driver: Any = None) -> str | None:
    """The key of a database, in hex; None: it is not encrypted, or is to be made in a workspace that is not.

    Raises:
        Locked: it is encrypted, and this process has not unlocked its workspace.
        StoreTrouble: this installation cannot read encrypted databases.
    """
    if str(path) == ":memory:" or _begins_plain(path) or (root := root_of(path, _WORKSPACE_DEPTH)) is None:
        return None
    if (driver or DRIVER) is standard:
        raise StoreTrouble(
            "This workspace is encrypted, and this installation of the program cannot open it: sqlcipher3 is missing.",
            "Open it on a computer with sqlcipher3 (pip install sqlcipher3), and remove its encryption there if need be.",
        )
    keys = keys_of(root)
    return keys.database if keys else None


def can_encrypt() -> bool:
    """Whether this installation's driver is one that encrypts."""
    return DRIVER is not standard


def _begins_plain(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_PLAIN_HEAD)) == _PLAIN_HEAD
    except OSError:
        return False


def give_key(raw: Any, key: str | None) -> None:
    """Key a connection that was just opened. Nothing that goes wrong later names the key, and SQLCipher prints nothing."""
    if key is not None:
        raw.execute("PRAGMA cipher_log_level = NONE")
        raw.execute(f"PRAGMA key = \"x'{key}'\"")


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
_DAMAGE = ("malformed", "not a database", "corrupt", "vtable constructor failed", "could not decode")  # the last: of text
_FULL, _IO_ERROR = 13, 10  # SQLite's codes: where a table of the search fails for a full disk, its words do not tell
_BUGS: tuple[type[Exception], ...] = (DRIVER.ProgrammingError, standard.ProgrammingError)  # a closed store, wrong SQL: ours


def version(driver: Any = DRIVER) -> tuple[int, ...]:
    """The SQLite version behind a driver."""
    return tuple(int(part) for part in importlib.import_module(f"{driver.__name__}.dbapi2").sqlite_version.split("."))


def in_plain_words(problem: Exception) -> AppError:
    """What a driver's error means to the user."""
    text, code = str(problem).lower(), getattr(problem, "sqlite_errorcode", 0) & 0xFF
    if "is full" in text or code == _FULL:
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
    if any(sign in text for sign in _DAMAGE) and code != _IO_ERROR:
        return damaged(repr(problem))
    if "disk i/o" in text or code == _IO_ERROR:
        return StoreTrouble(
            "The disk failed while the database was in use; nothing of this step was saved.",
            "Check that the disk is connected and has free space, then try again.",
            repr(problem),
        )
    return NotAccepted("The database did not accept this step; nothing of it was saved.", "Try again, or report it.", repr(problem))


def damaged(detail: str) -> Damaged:
    """What to say of a file that is not a healthy database."""
    return Damaged("The database is damaged; the file was left as it is.", f"{HOW_TO_RESTORE}.", detail)


@contextmanager
def plainly() -> Iterator[None]:
    """Turn a driver's errors into `AppError`s."""
    try:
        yield
    except _BUGS:
        raise
    except _TROUBLES as problem:
        raise in_plain_words(problem) from problem
    except UnicodeDecodeError as problem:  # what SQLite says of a damaged file may quote from it
        raise damaged(repr(problem)) from problem
    except UnicodeEncodeError as problem:
        raise BadInput("This text holds half of a character.", "Paste or type it again.", repr(problem)) from problem


@contextmanager
def understood() -> Iterator[None]:
    """Around making values of a row: a flipped bit in one passes every check of SQLite's, and is damage all the same."""
    try:
        yield
    except (ValueError, KeyError, TypeError, RecursionError) as problem:
        raise damaged(repr(problem)) from problem


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another of its name; None: there is no such file, as with one in memory."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Connection:
    """One file, usable from any thread. One thread at a time writes; reading waits for nobody, and nobody waits for it.

    Each reader has a connection of its own, kept for the next one, and sees what was committed when it began; inside a transaction,
    what that has written. (Without WAL, readers and the writer share one connection and take turns.) A long transaction (an import)
    keeps other writers waiting: give such work a `Store` of its own.

    In an encrypted workspace the file is encrypted, with the key that this process has unlocked (`core.encryption`).

    Args:
        path: The file; it is made if it does not exist.
        driver: The DB-API module.
        busy_timeout_s: How long to wait for another process's transaction.

    Raises:
        Locked: the file is encrypted, and nobody has given the passphrase.
    """

    def __init__(self, path: Path, driver: Any = DRIVER, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self._begin(path)
        self.key = key_for(path, driver)
        self._driver_connect = functools.partial(
            driver.connect, str(path), timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
        )
        with plainly():
            self.raw = self._connect()
            make_private(path)  # its journals take its mode
            try:
                self._set_up(driver)
            except BaseException:
                self.raw.close()
                raise
        self._identity = _identity(path)

    @classmethod
    def read_only(cls, path: Path, *, with_journal: bool = True) -> "Connection":
        """A connection that cannot change the file, nor write its journal back into it.

        Args:
            path: The file.
            with_journal: Read what SQLite keeps beside it too, as if it were opened for use. A copy in a backup has none.

        Raises:
            StoreTrouble: it cannot be opened.
        """
        self = cls.__new__(cls)
        self._begin(path)
        self.key = key_for(path)
        address = f"{path.resolve().as_uri()}?mode=ro{'' if with_journal else '&immutable=1'}"
        self._driver_connect = functools.partial(
            DRIVER.connect, address, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S
        )
        with plainly():
            self.raw = self._connect()
            self.raw.row_factory = None
        return self

    def _connect(self) -> Any:
        raw = self._driver_connect()
        try:
            give_key(raw, self.key)
        except BaseException:
            raw.close()
            raise
        return raw

    def open_again(self) -> None:
        """A fresh connection in place of this one: once SQLCipher has met a damaged page, it reads no other either."""
        self.raw.close()
        with plainly():
            self.raw = self._connect()

    _identity: tuple[int, int] | None = None  # of the file, where it may be written

    def _begin(self, path: Path) -> None:
        self.path = path
        self.notice = ""
        self._lock = threading.RLock()
        self._mine = threading.local()  # .raw: what this thread reads and writes with while it is inside a transaction or snapshot
        self._idle: list[Any] = []  # readers
        self._closed = self._wal = False

    def _set_up(self, driver: Any) -> None:
        self.raw.row_factory = None
        self.raw.create_function(HASHES, 1, question_hashes)
        wal = version(driver) >= SAFE_WAL
        (mode,) = self.raw.execute(f"PRAGMA journal_mode={'WAL' if wal else 'DELETE'}").fetchone()
        self._wal = mode == "wal"
        if not self._wal:
            self.notice = "The database runs without its faster journal: sqlcipher3 is not available here."
        for pragma in (f"synchronous={SYNCHRONOUS}", "foreign_keys=ON", "recursive_triggers=ON"):
            self.raw.execute(f"PRAGMA {pragma}")

    def close(self) -> None:
        """Close the file. A reader under way closes its connection when it is done."""
        with self._lock:
            self._closed = True
            self.close_readers()
            self.raw.close()

    def close_readers(self) -> None:
        """Close the connections nobody reads with now: for what wants the file to itself, as a change of its journal does."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _at_hand(self) -> Iterator[Any]:
        """What to read with: this thread's transaction or snapshot, else a reader."""
        if (mine := getattr(self._mine, "raw", None)) is not None:
            yield mine
        elif not self._wal or self._closed:
            with self._lock:
                yield self.raw
        else:
            reader = self._reader()
            try:
                yield reader
            finally:
                self._put_away(reader)

    def _reader(self) -> Any:
        self._check_identity()  # or a new file would be made where it was
        try:
            return self._idle.pop()
        except IndexError:
            reader = self._connect()
            reader.row_factory = None
            reader.execute("PRAGMA query_only=ON")
            reader.execute(f"PRAGMA cache_size=-{_READER_CACHE_KIB}")
            return reader

    def _put_away(self, reader: Any) -> None:
        if self._closed:
            reader.close()
        else:
            self._idle.append(reader)

    def rows(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Row]:
        """All rows of a query."""
        with plainly(), self._at_hand() as raw:
            cursor = raw.execute(sql, values)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def row(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Row | None:
        """The first row of a query, or None."""
        found = self.rows(sql, values)
        return found[0] if found else None

    def stream(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Iterator[Row]:
        """The rows of a query, some at a time. Belongs inside a `snapshot` or `transaction`."""
        with plainly(), self._at_hand() as raw:
            cursor = raw.execute(sql, values)
        names = [column[0] for column in cursor.description or ()]
        while True:
            with plainly():
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

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction that happens whole or not at all. One inside another joins it."""
        # IMMEDIATE takes the write lock now: a plain BEGIN that writes later fails at once, whatever the busy timeout.
        with self._lock, plainly(), self._between(self.raw, "BEGIN IMMEDIATE"):
            yield
            self._check_identity()

    def _check_identity(self) -> None:
        """Refuse to go on with a file that nobody will open again: it was deleted or replaced while it was open here."""
        if self._identity != _identity(self.path):
            raise StoreTrouble(
                f"{self.path.name} was deleted, moved or replaced while it was open; nothing of this step was saved.",
                f"Close the program and put the file back. Or start it anew: {HOW_TO_RESTORE}.",
                f"{self._identity} != {_identity(self.path)}",
            )

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Several reads that see one state of the database. Nothing may be written inside."""
        with plainly(), self._at_hand() as raw, self._between(raw, "BEGIN"):
            yield

    @contextmanager
    def _between(self, raw: Any, begin: str) -> Iterator[None]:
        if raw.in_transaction:  # this thread's: it alone has the connection
            yield
            return
        before, self._mine.raw = getattr(self._mine, "raw", None), raw
        try:
            raw.execute(begin)
            yield
            raw.execute("COMMIT")
        except BaseException:
            if raw.in_transaction:  # a full disk may have rolled it back already
                raw.execute("ROLLBACK")
            raise
        finally:
            self._mine.raw = before
