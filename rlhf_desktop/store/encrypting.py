"""Brings a database file from plain to encrypted and back: written anew beside it, checked, and put in its place."""

import os
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from rlhf_desktop.core.errors import Damaged, StoreTrouble
from rlhf_desktop.core.files import fsync_file, overwrite
from rlhf_desktop.core.platform import fsync_dir, make_private, replace
from rlhf_desktop.store.backups import COMPANIONS, check_health
from rlhf_desktop.store.driver import DRIVER, Connection, give_key, plainly

_BUSY_TIMEOUT_S = 1.0


def is_plain(path: Path) -> bool:
    """Whether a database file can be read without a key."""
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def convert(path: Path, present: str | None, wanted: str | None) -> bool:
    """Write a database anew under another key. Whole or not at all; what was there before is overwritten.

    Nobody else may have it open. Done twice, the second time changes nothing.

    Args:
        path: The file.
        present: The key it has now, in hex; None: it is plain.
        wanted: The key it is to have; None: plain.

    Returns:
        Whether it was written; not where it is as wanted already.

    Raises:
        StoreTrouble: it is damaged, in use, or cannot be written. NoSpace, OSError: the disk. It is as it was.
    """
    if is_plain(path) == (wanted is None):
        return False
    take_in_journal(path, present)
    temporary = path.with_name(f".{path.name.lstrip('.')}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        temporary.touch(mode=0o600)
        make_private(temporary)
        _write_anew(path, present, temporary, wanted)
        fsync_file(temporary)
        _put_in_place(temporary, path)
    finally:
        for left in (temporary, *(temporary.with_name(temporary.name + ending) for ending in COMPANIONS)):
            left.unlink(missing_ok=True)
    return True


def _open(path: Path, key: str | None) -> Any:
    raw = DRIVER.connect(str(path), isolation_level=None, timeout=_BUSY_TIMEOUT_S)
    give_key(raw, key)
    return raw


def take_in_journal(path: Path, key: str | None) -> None:
    """Make it one file, without companions.

    Raises:
        StoreTrouble: somebody else has it open, or it is damaged.
    """
    with plainly(), closing(_open(path, key)) as raw:
        raw.execute("PRAGMA locking_mode=EXCLUSIVE")
        (mode,) = raw.execute("PRAGMA journal_mode=DELETE").fetchone()
    if mode != "delete":
        raise StoreTrouble("The database is in use by another window or command.", "Close it, then try again.")


def _write_anew(source: Path, present: str | None, target: Path, wanted: str | None) -> None:
    with plainly(), closing(_open(source, present)) as raw:
        raw.execute("ATTACH DATABASE ? AS anew KEY ?", (str(target), f"x'{wanted}'" if wanted else ""))
        raw.execute("PRAGMA anew.journal_mode=OFF")  # it is thrown away unless it is written to its end
        raw.execute("PRAGMA anew.synchronous=OFF")
        raw.execute("SELECT sqlcipher_export('anew')")
        for pragma in ("user_version", "application_id"):  # the export leaves them out
            (number,) = raw.execute(f"PRAGMA main.{pragma}").fetchone()
            raw.execute(f"PRAGMA anew.{pragma}={int(number)}")
        before, after = _inventory(raw, "main"), _inventory(raw, "anew")
        raw.execute("DETACH DATABASE anew")
    if before != after:
        raise Damaged("The database could not be copied whole, so it was left as it was.", "Check its disk.", "the counts differ")
    if is_plain(target) == (wanted is not None):
        raise StoreTrouble("The database was not written as it should be, so it was left as it was.", "Try again, or report it.")
    with closing(Connection.read_only(target, with_journal=False)) as copy:
        check_health(copy)


def _inventory(raw: Any, schema: str) -> dict[str, tuple[Any, ...]]:
    """What is in a database: its schema, and of each table how many rows with which ids."""
    found: dict[str, tuple[Any, ...]] = {
        "": tuple(raw.execute(f"SELECT type, name, sql FROM {schema}.sqlite_master ORDER BY 1, 2"))
    }
    tables = [name for kind, name, sql in found[""] if kind == "table" and "VIRTUAL" not in (sql or "").upper()[:20]]
    for name in tables:
        sums = "count(*)"
        with suppress(Exception):  # tables without rowids have none to compare
            raw.execute(f'SELECT rowid FROM {schema}."{name}" LIMIT 0')
            sums = "count(*), min(rowid), max(rowid), total(rowid)"
        found[name] = tuple(raw.execute(f'SELECT {sums} FROM {schema}."{name}"').fetchone())
    return found


def _put_in_place(temporary: Path, path: Path) -> None:
    """The new file takes the name; then the old one's bytes are overwritten, as far as the disk lets us reach them."""
    with path.open("r+b") as old:
        replace(temporary, path)
        fsync_dir(path.parent)
        with suppress(OSError):  # its name is gone: what cannot be overwritten now is free space
            overwrite(old)
