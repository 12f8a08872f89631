"""Copies of the database: one a day, seven kept, and one before each change of schema."""

import errno
import os
from datetime import UTC, datetime
from pathlib import Path

from rlhf_desktop.core.errors import NoSpace, StoreTrouble
from rlhf_desktop.core.platform import fsync_dir, replace
from rlhf_desktop.store.driver import DRIVER, Connection, plainly

KEEP_DAYS = 7


def back_up(connection: Connection, target: Path) -> Path:
    """Copy a database that may be in use, so that `target` is whole or not there.

    Raises:
        NoSpace: the disk is full; no partial copy is left.
        StoreTrouble: the copy cannot be written for another reason; no partial copy is left either.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            _copy(connection, temporary)
            replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        fsync_dir(target.parent)
    except OSError as problem:
        kind = NoSpace if problem.errno == errno.ENOSPC else StoreTrouble
        hint = f"Check that the folder {target.parent.name} in the workspace can be written and its disk has free space."
        raise kind("The database could not be backed up.", hint, repr(problem)) from problem
    return target


def _copy(connection: Connection, target: Path) -> None:
    with plainly():
        copy = DRIVER.connect(str(target))
        try:
            connection.raw.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without companions
        finally:
            copy.close()


def daily_path(folder: Path, today: datetime | None = None) -> Path:
    """Where the day's copy goes."""
    return folder / f"feedback-{(today or datetime.now(UTC)).strftime('%Y-%m-%d')}.db"


def back_up_daily(connection: Connection, folder: Path, today: datetime | None = None) -> Path | None:
    """Today's copy, unless it exists already; the oldest beyond `KEEP_DAYS` go. Returns the new copy."""
    target = daily_path(folder, today)
    if target.exists():
        return None
    back_up(connection, target)
    for old in sorted(folder.glob("feedback-????-??-??.db"))[:-KEEP_DAYS]:
        old.unlink(missing_ok=True)
    return target
