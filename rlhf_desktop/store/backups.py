"""Copies of the database: one a day, and one before each change of schema, each merge that erases and each restore.

Seven daily copies are kept, told by what they hold and not by their dates alone: a day on which the clock was wrong, or a database
that lost its feedback, must not push out the last copy that has it.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rlhf_desktop.core.errors import AppError, Damaged, NoSpace, NotAccepted, StoreTrouble
from rlhf_desktop.core.files import is_disk_full
from rlhf_desktop.core.platform import fsync_dir, replace
from rlhf_desktop.store.driver import DRIVER, Connection, Row, damaged, give_key, plainly
from rlhf_desktop.store.standing import StandingStore

KEEP_DAYS = 7
COMPANIONS = ("-journal", "-wal", "-shm")  # what SQLite keeps beside a file that is open
SET_ASIDE = "damaged-"  # how the name of a damaged database begins that was put among the backups
_STEPS = 10_000  # of SQLite's machine, between two looks at whether to go on
_PAGES = 1024  # copied at a time; between them it may be broken off


def back_up(connection: Connection, target: Path, go_on: Callable[[], None] = lambda: None) -> Path:
    """Copy a database that may be in use, so that `target` is whole or not there: it as it is now, whoever writes meanwhile.

    Args:
        connection: To the database.
        target: Where to.
        go_on: Called again and again while it is copied; may raise to break it off.

    The copy is opened and checked before it takes its name.

    Raises:
        NoSpace: the disk is full; no partial copy is left.
        StoreTrouble: the copy cannot be written for another reason, or is damaged; no partial copy is left either.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            _copy(connection, temporary, go_on)
            with closing(Connection.read_only(temporary, with_journal=False)) as copy:
                check_health(copy, go_on)
            replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        fsync_dir(target.parent)
    except OSError as problem:
        kind = NoSpace if is_disk_full(problem) else StoreTrouble
        hint = f"Check that the folder {target.parent.name} in the workspace can be written and its disk has free space."
        raise kind("The database could not be backed up.", hint, repr(problem)) from problem
    return target


def clean_copy(path: Path, clean: Callable[[Connection], None]) -> bool:
    """Change a backup in a working copy, which then takes its place. Returns whether it is a backup: one of ours.

    Raises:
        StoreTrouble: it is damaged. NoSpace, OSError: the disk. The backup is as it was; no copy is left.
    """
    working = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        shutil.copyfile(path, working)
        with closing(Connection(working)) as connection:
            if ours := bool(connection.rows("SELECT 1 FROM sqlite_master WHERE name = 'judgements'")):
                clean(connection)
            connection.close_readers()
            with plainly():
                connection.raw.execute("PRAGMA journal_mode=DELETE")
        if ours:
            replace(working, path)
            fsync_dir(path.parent)
        return ours
    finally:
        for left in (working, *(working.with_name(working.name + ending) for ending in COMPANIONS)):
            left.unlink(missing_ok=True)


def _copy(connection: Connection, target: Path, go_on: Callable[[], None]) -> None:
    source = connection.raw
    with plainly():
        copy = DRIVER.connect(str(target))
        try:
            give_key(copy, connection.key)
            source.execute("SAVEPOINT copying")
            try:
                source.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on it sees no other's change: else a
                source.backup(copy, pages=_PAGES, progress=lambda *_: go_on())  # backup in steps would begin anew at each
            finally:
                source.execute("RELEASE copying")
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without companions
        finally:
            copy.close()


def check_health(connection: Connection, go_on: Callable[[], None] = lambda: None) -> None:
    """Read the whole file, and raise `Damaged` if something in it is wrong.

    Args:
        connection: To the file.
        go_on: Called again and again meanwhile; may raise to break it off.
    """
    broken_off: list[BaseException] = []

    def check() -> bool:
        try:
            go_on()
        except BaseException as reason:  # SQLite's callback cannot let it through
            broken_off.append(reason)
        return bool(broken_off)  # true breaks the statement off

    connection.raw.set_progress_handler(check, _STEPS)
    try:
        with plainly():
            found = [str(row[0]) for row in connection.raw.execute("PRAGMA quick_check(5)")]
            lost = connection.raw.execute("PRAGMA foreign_key_check").fetchone()
    except AppError as problem:
        if broken_off:
            raise broken_off[0] from None
        if isinstance(problem, NotAccepted):  # of the schema itself, for instance
            raise damaged(problem.detail) from None
        raise
    finally:
        connection.raw.set_progress_handler(None, 0)
    if found != ["ok"]:
        raise damaged("; ".join(found))
    if lost is not None:
        raise damaged(f"row {lost[1]} of {lost[0]} refers to one of {lost[2]} that is not there")


def check_file(path: Path) -> None:
    """Check a database before it is opened for use, so that the wrong journal beside it is never written into it.

    Raises:
        Damaged: it is damaged, with or without its journal; says which.
    """
    try:
        with closing(Connection.read_only(path)) as connection:
            check_health(connection)
    except Damaged as problem:
        if _is_well_alone(path):
            raise JournalTrouble(problem.detail) from None
        raise


def _is_well_alone(path: Path) -> bool:
    if not path.with_name(f"{path.name}-wal").exists():
        return False
    try:
        with closing(Connection.read_only(path, with_journal=False)) as connection:
            check_health(connection)
    except StoreTrouble:
        return False
    return True


class JournalTrouble(Damaged):
    """The file is well, and what SQLite keeps beside it belongs to another file or is damaged."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            "The database is well, but its journal (feedback.db-wal) is damaged or belongs to another file, perhaps because a "
            "backup was copied over it by hand. Both were left as they are.",
            "“rlhf-desktop restore --without-journal” opens it as it is without the journal, which is set aside.",
            detail,
        )


# --- one a day ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contents:
    """What a copy of the database holds.

    Attributes:
        judgements: In effect, in all projects.
        conversations: Chats, not the questions that judgements are about.
        projects: Names with the judgements in effect of each, those with most first.
        newest: When the last judgement in it was made, ISO 8601; "" when there is none.
        schema: The number of its newest migration.
    """

    judgements: int
    conversations: int
    projects: tuple[tuple[str, int], ...]
    newest: str
    schema: int

    @property
    def has_data(self) -> bool:
        """Whether anything would be missed."""
        return bool(self.judgements or self.conversations)


def contents(connection: Connection) -> Contents | None:
    """What a database holds, of whatever schema; None: it is not one of ours.

    Raises:
        StoreTrouble: it cannot be read.
    """
    if not connection.rows("SELECT 1 FROM sqlite_master WHERE name = 'judgements'"):
        return None
    counted = StandingStore(connection)
    projects = [(_called(row), sum(counted.counts(row["id"]).values())) for row in connection.rows("SELECT * FROM projects")]
    (found,) = connection.rows(
        """SELECT (SELECT count(*) FROM conversations WHERE origin = 'chat') AS chats,
        (SELECT max(created_at) FROM judgements) AS newest"""
    )
    by_size = tuple(sorted(projects, key=lambda project: (-project[1], project[0])))
    schema = int(connection.rows("PRAGMA user_version")[0]["user_version"])
    return Contents(sum(n for _, n in projects), found["chats"], by_size, found["newest"] or "", schema)


def _called(project: Row) -> str:
    """A project's name; a deleted one has its id there, and its own beside it."""
    return f"{project['deleted_name']}, deleted" if project.get("deleted_name") else str(project["name"])


def contents_of(path: Path) -> Contents | None:
    """What a backup holds; None: it is not one of ours. Raises `StoreTrouble` as `contents` does."""
    with closing(Connection.read_only(path, with_journal=False)) as connection:
        return contents(connection)


def daily_path(folder: Path, today: datetime | None = None) -> Path:
    """Where the day's copy goes."""
    return folder / f"feedback-{(today or datetime.now(UTC)).strftime('%Y-%m-%d')}.db"


def back_up_daily(
    connection: Connection, folder: Path, today: datetime | None = None, go_on: Callable[[], None] = lambda: None
) -> Path | None:
    """Today's copy, unless it exists already; then those go that `superfluous` names. Returns the new copy. As `back_up`."""
    target = daily_path(folder, today)
    if target.exists():
        return None
    back_up(connection, target, go_on)
    for old in superfluous(folder.glob("feedback-????-??-??.db"), target):
        old.unlink(missing_ok=True)
    return target


def superfluous(copies: Iterable[Path], newest: Path) -> list[Path]:
    """The daily copies that may go, once `newest` was made.

    Kept are the newest `KEEP_DAYS` that have feedback, the newest that has none, the one with the most judgements, and all that
    cannot be read or bear a date yet to come: a clock that was wrong deletes nothing.
    """
    known = {path: _known_contents(path) for path in copies if path.name <= newest.name}
    full = sorted((path for path, held in known.items() if held and held.has_data), reverse=True)
    empty = sorted((path for path, held in known.items() if held and not held.has_data), reverse=True)
    most = max(full, key=lambda path: (known[path].judgements, path.name), default=None)  # type: ignore[union-attr]
    return [path for path in (*full[KEEP_DAYS:], *empty[1:]) if path not in (newest, most)]


def _known_contents(path: Path) -> Contents | None:
    try:
        return contents_of(path)
    except StoreTrouble:
        return None
