"""Copies of the database: one a day, seven kept, and one before each change of schema."""

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from rlhf_desktop.core.errors import NoSpace, StoreTrouble
from rlhf_desktop.core.platform import fsync_dir, replace
from rlhf_desktop.store.driver import DRIVER, Connection, plainly

KEEP_DAYS = 7
COMPANIONS = ("-journal", "-wal", "-shm")  # what SQLite keeps beside a file that is open
_PAGES = 1024  # copied at a time; between them it may be broken off


def back_up(connection: Connection, target: Path, go_on: Callable[[], None] = lambda: None) -> Path:
    """Copy a database that may be in use, so that `target` is whole or not there: it as it is now, whoever writes meanwhile.

    Args:
        connection: To the database.
        target: Where to.
        go_on: Called again and again while it is copied; may raise to break it off.

    Raises:
        NoSpace: the disk is full; no partial copy is left.
        StoreTrouble: the copy cannot be written for another reason; no partial copy is left either.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            _copy(connection, temporary, go_on)
            replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        fsync_dir(target.parent)
    except OSError as problem:
        kind = NoSpace if problem.errno == errno.ENOSPC else StoreTrouble
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
            source.execute("SAVEPOINT copying")
            try:
                source.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on it sees no other's change: else a
                source.backup(copy, pages=_PAGES, progress=lambda *_: go_on())  # backup in steps would begin anew at each
            finally:
                source.execute("RELEASE copying")
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without companions
        finally:
            copy.close()


def daily_path(folder: Path, today: datetime | None = None) -> Path:
    """Where the day's copy goes."""
    return folder / f"feedback-{(today or datetime.now(UTC)).strftime('%Y-%m-%d')}.db"


def back_up_daily(
    connection: Connection, folder: Path, today: datetime | None = None, go_on: Callable[[], None] = lambda: None
) -> Path | None:
    """Today's copy, unless it exists already; the oldest beyond `KEEP_DAYS` go. Returns the new copy. `go_on`: see `back_up`."""
    target = daily_path(folder, today)
    if target.exists():
        return None
    back_up(connection, target, go_on)
    for old in sorted(folder.glob("feedback-????-??-??.db"))[:-KEEP_DAYS]:
        old.unlink(missing_ok=True)
    return target
