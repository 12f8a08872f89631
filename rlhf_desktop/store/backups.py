"""Copies of the database: one a day, seven kept, and one before each change of schema."""

import os
from datetime import UTC, datetime
from pathlib import Path

from rlhf_desktop.core.errors import NoSpace
from rlhf_desktop.core.platform import fsync_dir, replace
from rlhf_desktop.store.driver import DRIVER, Connection, plainly

KEEP_DAYS = 7


def back_up(connection: Connection, target: Path) -> Path:
    """Copy a database that may be in use, so that `target` is whole or not there.

    Raises:
        NoSpace: the disk is full; no partial copy is left.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with plainly():
            copy = DRIVER.connect(str(temporary))
            try:
                connection.raw.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")  # one file, without companions
            finally:
                copy.close()
        replace(temporary, target)
        fsync_dir(target.parent)
    except OSError as problem:
        raise NoSpace(
            "The database could not be backed up.", "Free some space on its disk, then try again.", repr(problem)
        ) from problem
    finally:
        temporary.unlink(missing_ok=True)
    return target


def back_up_daily(connection: Connection, folder: Path, today: datetime | None = None) -> Path | None:
    """Today's copy, unless it exists already; the oldest beyond `KEEP_DAYS` go. Returns the new copy."""
    day = (today or datetime.now(UTC)).strftime("%Y-%m-%d")
    target = folder / f"feedback-{day}.db"
    if target.exists():
        return None
    back_up(connection, target)
    for old in sorted(folder.glob("feedback-????-??-??.db"))[:-KEEP_DAYS]:
        old.unlink(missing_ok=True)
    return target
