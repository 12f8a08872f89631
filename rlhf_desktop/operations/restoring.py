"""Backups and what comes back from them: what each holds, putting one in the database's place, saving what a damaged one still has.

Nothing is lost by a restore: the database as it was is kept among the backups, a damaged one with its journal.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from rlhf_desktop.core.encryption import keys_of
from rlhf_desktop.core.errors import AppError, BadInput, Damaged, NoSpace, NotFound, StoreTrouble
from rlhf_desktop.core.files import fsync_file, is_disk_full
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import fsync_dir, make_private, replace
from rlhf_desktop.core.words import count
from rlhf_desktop.operations.alone import alone
from rlhf_desktop.store.audit import AuditLog
from rlhf_desktop.store.backups import (
    COMPANIONS,
    SET_ASIDE,
    Contents,
    JournalTrouble,
    back_up,
    check_file,
    check_health,
    contents,
    contents_of,
)
from rlhf_desktop.store.driver import BUSY_TIMEOUT_S, HOW_TO_RESTORE, Connection, plainly
from rlhf_desktop.store.encrypting import convert, is_plain
from rlhf_desktop.store.migrations import MIGRATIONS, migrate
from rlhf_desktop.store.salvage import readable, salvage

Health = Literal["well", "missing", "empty", "damaged", "journal"]
_LOCK = ("restoring", "is restoring in")
_KINDS = {
    "feedback-": "daily",
    "before-schema-": "before an update of the program",
    "before-merge": "before a merge",
    "before-restore-": "before a restore",
    "by-hand-": "made by hand",
}


_HEALTH = {
    "well": "The database is in order",
    "missing": "The database is missing",
    "empty": "The database is empty",
    "damaged": "The database is damaged",
    "journal": "The database is in order, but its journal is damaged or belongs to another file",
}


@dataclass(frozen=True)
class Backup:
    """A file among the backups.

    Attributes:
        path: The file.
        kind: Why it was made: “daily”, “before a merge”, …
        made_at: When, in UTC.
        size_bytes: Of the file.
        contents: What it holds; None where it cannot be restored.
        problem: Why it cannot be restored; "" where it can.
    """

    path: Path
    kind: str
    made_at: datetime
    size_bytes: int
    contents: Contents | None
    problem: str = ""


@dataclass(frozen=True)
class Current:
    """The workspace's database as it is.

    Attributes:
        health: “missing” and “empty”: there is no database, or none of ours, where there has been one. “journal”: the file is well
            and what is beside it is not.
        contents: What it holds; None where it is not well.
        readable: Judgements that can be read of a damaged one, all versions counted.
    """

    health: Health
    contents: Contents | None = None
    readable: int = 0


@dataclass(frozen=True)
class Restored:
    """What a restore did.

    Attributes:
        contents: What the database holds now.
        kept: Where the database is that was there before; None: there was none, or nothing in it.
        salvaged: Judgements that the damaged file had beyond the backup.
    """

    contents: Contents
    kept: Path | None
    salvaged: int = 0


def held_words(held: Contents | None) -> str:
    """What a copy holds."""
    if held is None or not held.has_data:
        return "nothing"
    projects = ", ".join(f"{name}: {n:,}" for name, n in held.projects[:4]) + (", …" if len(held.projects) > 4 else "")
    return f"{count(held.judgements, 'judgement')}, {count(held.conversations, 'conversation')} ({projects})"


def current_words(found: Current) -> str:
    """How the database is, and what it holds."""
    words = _HEALTH[found.health]
    if found.contents is not None:
        return f"{words}: {held_words(found.contents)}."
    return f"{words}; {count(found.readable, 'judgement')} can be read of it." if found.health == "damaged" else f"{words}."


def restored_words(done: Restored) -> str:
    """What a restore did."""
    saved = f", {done.salvaged:,} of them saved from the damaged file" if done.salvaged else ""
    kept = f" The database as it was is kept as {done.kept.name}." if done.kept else ""
    return f"The database now holds {held_words(done.contents)}{saved}.{kept}"


# --- looking ------------------------------------------------------------------------------------------------------------------


def backups_of(workspace: Workspace) -> list[Backup]:
    """All backups, newest first. Blocks: each is opened."""
    files = [path for path in workspace.backups.glob("*.db") if not path.name.startswith((".", SET_ASIDE))]
    return sorted((_backup(path) for path in files), key=lambda backup: (backup.made_at, backup.path.name), reverse=True)


def _backup(path: Path) -> Backup:
    kind = next((words for start, words in _KINDS.items() if path.name.startswith(start)), "copied here by hand")
    stat = path.stat()
    try:
        held = contents_of(path)
        problem = "This is not a database of this program." if held is None else _too_new(held)
    except Damaged:
        held, problem = None, "It is damaged."
    except StoreTrouble as trouble:
        held, problem = None, trouble.message
    return Backup(path, kind, _made_at(path, stat.st_mtime), stat.st_size, held, problem)


def _made_at(path: Path, modified: float) -> datetime:
    """A daily one's day stands in its name; an erase has changed the file since."""
    changed = datetime.fromtimestamp(modified, UTC)
    try:
        day = datetime.strptime(path.stem, "feedback-%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return changed
    return changed if changed.date() == day.date() else day


def made_words(backup: Backup) -> str:
    """When it was made, on this computer's clock; the day alone where the hour is not known."""
    at = backup.made_at
    return f"{at:%d %B %Y}" if (at.hour, at.minute, at.second) == (0, 0, 0) else f"{at.astimezone():%d %B %Y, %H:%M}"


def _too_new(held: Contents) -> str:
    return "It was made by a newer version of the program." if held.schema > len(MIGRATIONS) else ""


def current(workspace: Workspace) -> Current:
    """How the database is. Blocks: the whole file is read. Nothing is changed.

    Raises:
        StoreTrouble: it is in use, or may not be read.
    """
    path = workspace.database
    if not path.exists():
        return Current("missing")
    if path.stat().st_size == 0:
        return Current("empty")
    try:
        check_file(path)
        with closing(Connection.read_only(path)) as connection:
            held = contents(connection)
    except JournalTrouble:
        return Current("journal", contents_of(path))
    except Damaged:
        return Current("damaged", readable=_readable(path))
    return Current("well", held) if held else Current("empty")


def _readable(path: Path) -> int:
    try:
        return readable(path)
    except StoreTrouble:
        return 0


def refuse_to_begin_anew(workspace: Workspace) -> None:
    """Never take a workspace whose database is gone for a new one.

    Raises:
        StoreTrouble: there is no database, or an empty one, where backups or runs say that there was one.
    """
    path = workspace.database
    if path.exists() and path.stat().st_size and _has_tables(path):
        return
    kept = [backup for backup in backups_of(workspace) if backup.contents and backup.contents.has_data]
    runs = sum(1 for _ in workspace.runs.glob("*/run.json"))
    if not kept and not runs:
        return
    word = "empty" if path.exists() else "missing"
    there = " and ".join(count(n, noun) for n, noun in ((len(kept), "backup"), (runs, "run")) if n)
    raise DatabaseGone(f"The database of this workspace ({path.name}) is {word}, but the workspace has {there}.")


class DatabaseGone(StoreTrouble):
    """There is no database where there has been one."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message, f"Nothing was changed. {HOW_TO_RESTORE}; to begin with an empty one: “rlhf-desktop restore --start-empty”."
        )


def _has_tables(path: Path) -> bool:
    try:
        with closing(Connection.read_only(path)) as connection:
            return bool(connection.rows("SELECT 1 FROM sqlite_master WHERE name = 'judgements'"))
    except StoreTrouble:
        return True  # in use or damaged: opening it says so


# --- restoring ----------------------------------------------------------------------------------------------------------------


def find_backup(workspace: Workspace, name: str | None = None) -> Backup:
    """The backup of this file name; without one, the newest that has feedback and can be restored.

    Raises:
        NotFound: there is none.
        BadInput: it cannot be restored; says why.
    """
    there = backups_of(workspace)
    if name is None:
        chosen = next((backup for backup in there if backup.contents and backup.contents.has_data and not backup.problem), None)
    else:
        chosen = next((backup for backup in there if name in (backup.path.name, backup.path.stem, str(backup.path))), None)
    if chosen is None:
        raise NotFound(
            "There is no such backup." if name else "There is no backup to restore.", "“rlhf-desktop backups” lists all."
        )
    if chosen.problem:
        raise BadInput(f"{chosen.path.name} cannot be restored: {chosen.problem}", "Choose another backup.")
    return chosen


def restore(
    workspace: Workspace, backup: Backup | None, *, with_salvage: bool = True, on_progress: Callable[[str], None] = lambda _: None
) -> Restored:
    """Put a backup in the database's place.

    A database that is well is overwritten in one transaction, after a copy of it was made; whoever has it open sees the backup from
    then on. One that is damaged is set aside.

    Args:
        workspace: Whose. No window may have it open but the caller's, which must have closed its store.
        backup: Which; None: begin with an empty database.
        with_salvage: Add what a damaged database has beyond the backup.
        on_progress: Told what is being done.

    Raises:
        StoreTrouble: the database is in use, the backup is damaged, or the folder cannot be written. The database is as it was.
        NoSpace: the disk is full; the database is as it was.
    """
    with alone(workspace, *_LOCK), _in_plain_words():
        found = current(workspace)
        prepared = workspace.root / f".restored.{os.getpid()}.tmp"  # as `blacken.sweep` knows what a killed process leaves
        try:
            on_progress("Checking the backup")
            _prepare(workspace, backup, prepared)
            salvaged = 0
            if with_salvage and found.health == "damaged":
                on_progress("Reading what can be read of the damaged database")
                salvaged = _salvage(workspace.database, prepared)
            _note_restored(workspace, prepared, found, backup, salvaged)
            on_progress("Restoring")
            kept = _overwrite(workspace, prepared) if found.health == "well" else _exchange(workspace, prepared)
        finally:
            for left in _with_companions(prepared):
                left.unlink(missing_ok=True)
        held = contents_of(workspace.database) if found.health != "well" else _contents_in_use(workspace.database)
    assert held is not None
    return Restored(held, kept, salvaged)


def open_without_journal(workspace: Workspace) -> Restored:
    """Set the journal aside that does not belong to the database, which is well without it.

    Raises:
        BadInput: the database is not like that.
    """
    with alone(workspace, *_LOCK), _in_plain_words():
        found = current(workspace)
        if found.health != "journal" or found.contents is None:
            raise BadInput("The journal of this database is as it should be.", "Restore a backup instead.")
        kept = _copy_aside(workspace)
        for left in _with_companions(workspace.database)[1:]:
            left.unlink(missing_ok=True)
        fsync_dir(workspace.root)
        _note_without_journal(workspace.database)
    return Restored(found.contents, kept)


def _note_without_journal(database: Path) -> None:
    """In its log, if it has one already: what was in the journal is not in it."""
    with closing(Connection(database)) as connection:
        if connection.rows("SELECT 1 FROM sqlite_master WHERE name = 'audit_log'"):
            AuditLog(connection).note("restored", replaced=None, health="journal")


@contextmanager
def _in_plain_words() -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        if is_disk_full(problem):
            raise NoSpace(
                "The disk is full, so nothing was restored; the database is as it was.",
                "Free some space, then try again.",
                repr(problem),
            ) from problem
        raise StoreTrouble(
            "The workspace cannot be written, so nothing was restored.", "Check its folder, then try again.", repr(problem)
        ) from problem


def _prepare(workspace: Workspace, backup: Backup | None, target: Path) -> None:
    """The database that is to be, of the newest schema, whole in a file of its own."""
    if backup is not None:
        shutil.copyfile(backup.path, target)
    _make_private_file(target)
    if backup is not None and is_plain(target) and (keys := keys_of(workspace.root)) is not None:
        convert(target, None, keys.database)  # one that was copied here from elsewhere
    with closing(Connection(target)) as connection:
        check_health(connection)
        migrate(connection)


def _make_private_file(path: Path) -> None:
    """A file only this user can read, made if it is not there."""
    path.touch(exist_ok=True, mode=0o600)
    make_private(path)


def _salvage(damaged: Path, target: Path) -> int:
    try:
        with closing(Connection(target)) as into:
            return salvage(damaged, into)
    except NoSpace:
        raise
    except AppError:  # nothing of it can be read: the backup alone is restored
        return 0


def _note_restored(workspace: Workspace, prepared: Path, found: Current, backup: Backup | None, salvaged: int) -> None:
    """In the log of what is restored, which goes on from the backup's head: which head it takes the place of."""
    facts: dict[str, Any] = {"replaced": _head_of(workspace.database), "backup": backup is not None, "judgements_saved": salvaged}
    with closing(Connection(prepared)) as connection:
        AuditLog(connection).note("restored", **facts, health=found.health)


def _head_of(database: Path) -> dict[str, Any] | None:
    """The head of the log in a database; None: it cannot be read, or has none."""
    try:
        with closing(Connection.read_only(database)) as connection:
            head = AuditLog(connection).head()
    except AppError:
        return None
    return vars(head) if head.seq else None


def _overwrite(workspace: Workspace, prepared: Path) -> Path | None:
    """In one transaction, so that it happens whole or not at all, whoever has the database open."""
    with closing(Connection(workspace.database, busy_timeout_s=BUSY_TIMEOUT_S)) as target, closing(Connection(prepared)) as source:
        held = contents(target)
        kept = None
        if held is not None and held.has_data:
            kept = back_up(target, workspace.backups / f"before-restore-{_stamp()}.db")
        until = time.monotonic() + BUSY_TIMEOUT_S

        def step(status: int, *_: int) -> None:
            if status in (5, 6) and time.monotonic() > until:  # SQLITE_BUSY, SQLITE_LOCKED: else it would wait for ever
                raise StoreTrouble("The database is in use by another window or command.", "Close it, then restore again.")

        target.close_readers()
        with plainly():
            source.raw.backup(target.raw, progress=step)
        return kept


def _exchange(workspace: Workspace, prepared: Path) -> Path | None:
    """In place of a file that is missing or damaged: that is copied aside first, with its journal."""
    kept = _copy_aside(workspace)
    with closing(Connection(prepared)) as connection, plainly():
        connection.raw.execute("PRAGMA journal_mode=DELETE")  # one file, without companions
    fsync_file(prepared)
    for left in _with_companions(workspace.database)[1:]:
        left.unlink(missing_ok=True)
    replace(prepared, workspace.database)
    fsync_dir(workspace.root)
    return kept


def _copy_aside(workspace: Workspace) -> Path | None:
    if not workspace.database.exists() or not workspace.database.stat().st_size:
        return None
    aside = workspace.backups / f"{SET_ASIDE}{_stamp()}.db"
    for ending in ("", *COMPANIONS[:2]):
        source = workspace.database.with_name(workspace.database.name + ending)
        if source.exists():
            target = aside.with_name(aside.name + ending)
            shutil.copyfile(source, target)
            make_private(target)
            fsync_file(target)
    fsync_dir(aside.parent)
    return aside


def _contents_in_use(path: Path) -> Contents | None:
    with closing(Connection.read_only(path)) as connection:
        return contents(connection)


def _with_companions(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + ending) for ending in COMPANIONS)]


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d-%H%M%S-%f")


def as_json(backup: Backup) -> dict[str, Any]:
    """For `--json`."""
    held = backup.contents
    return {
        "name": backup.path.name,
        "kind": backup.kind,
        "made_at": backup.made_at.isoformat(timespec="seconds"),
        "size_bytes": backup.size_bytes,
        "judgements": held.judgements if held else None,
        "conversations": held.conversations if held else None,
        "projects": [{"name": name, "judgements": n} for name, n in held.projects] if held else [],
        "newest_judgement": held.newest if held else "",
        "problem": backup.problem,
    }
