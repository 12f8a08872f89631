"""Encryption at rest: create, unlock, lock, change the passphrase, remove. What window and command line both do.

A workspace is encrypted as a whole. The passphrase is asked for once, when the window opens or a command begins; the key then lives
in this process until `lock`, or its end. Nothing of it is in an argument, an environment variable, a file or a log.

A workspace that is being encrypted, or whose encryption is being removed, says so in its header until every file has followed:
after a kill the next `unlock` finishes it.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rlhf_desktop.core.encryption import (
    HEADER,
    Header,
    Keys,
    State,
    check_passphrase,
    drop_header,
    forget,
    header_copy,
    header_file,
    in_state,
    is_encrypted,
    keys_in,
    known_keys,
    new_header,
    read_header,
    remember,
    rewrapped,
    root_of,
    write_header,
)
from rlhf_desktop.core.errors import AppError, BadInput, NoSpace, NotFound, StoreTrouble
from rlhf_desktop.core.files import is_disk_full, write_atomic
from rlhf_desktop.core.offline import POLICY_FILE, SWITCH_FILE
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import free_disk_bytes, hide_memory, make_private
from rlhf_desktop.core.sealing import is_sealed, read_bytes, seal, unseal
from rlhf_desktop.jobs.queue import run_folders
from rlhf_desktop.jobs.sealed import PLAIN_NAMES, seal_runs
from rlhf_desktop.operations.alone import alone
from rlhf_desktop.operations.blacken import files_of, sweep
from rlhf_desktop.store.audit import AuditLog
from rlhf_desktop.store.backups import SET_ASIDE, check_file
from rlhf_desktop.store.driver import Connection, can_encrypt, looks_random
from rlhf_desktop.store.encrypting import convert, is_plain, take_in_journal

Said = Callable[[str], None]
_LOCK = ("encrypting", "is changing the encryption of")
_TEXTS = (".json", ".jsonl", ".csv", ".tsv", ".md", ".html", ".txt", ".pdf", ".zip", ".parquet", ".xlsx")


def _silent(_: str) -> None:
    pass


@dataclass(frozen=True)
class Status:
    """Whether a workspace is encrypted.

    Attributes:
        encrypted: It has a passphrase.
        unlocked: This process has its key; true too where there is none to have.
        state: "on", or what is not finished; "" where it is not encrypted.
        possible: This installation can encrypt (sqlcipher3 is there).
    """

    encrypted: bool
    unlocked: bool
    state: State | Literal[""] = ""
    possible: bool = True


def status(workspace: Workspace) -> Status:
    """How a workspace stands. Quick.

    Raises:
        AppError: it is encrypted, and the header that says how is damaged.
    """
    header = read_header(workspace.root)
    if header is None:
        return Status(False, True, possible=can_encrypt())
    return Status(True, known_keys(header.id) is not None, header.state, can_encrypt())


def is_locked(workspace: Workspace) -> bool:
    """Whether a passphrase has to be asked for before anything of a workspace can be read. Raises as `status`."""
    return not status(workspace).unlocked


def create(workspace: Workspace, passphrase: str, on_progress: Said = _silent) -> None:
    """Encrypt a workspace, new or with everything in it. It is unlocked then.

    Blocks: half a second, and the time to write the database and its backups anew. The caller has closed its store.

    Raises:
        BadInput: it is encrypted already, or the passphrase is too short.
        StoreTrouble: the database is in use or damaged, or this installation cannot encrypt.
        NoSpace: the disk is full. What is not encrypted yet follows at the next `unlock`.
    """
    check_passphrase(passphrase)
    if not can_encrypt():
        raise StoreTrouble(
            "This installation of the program cannot encrypt: sqlcipher3 is missing.", "Install it: pip install sqlcipher3."
        )
    with alone(workspace, *_LOCK), _in_plain_words():
        if is_encrypted(workspace.root):
            raise BadInput("This workspace is encrypted already.", "Change its passphrase instead.")
        workspace.ensure()
        _check_ready(workspace, None)
        header, keys = new_header(passphrase, "encrypting")
        write_header(workspace.root, header)
        _remember(keys)
        _finish(workspace, header, keys, on_progress)


def unlock(workspace: Workspace, passphrase: str, on_progress: Said = _silent) -> None:
    """Hold the workspace's key in this process. Blocks for half a second, right or wrong; nothing to do where it is not encrypted.

    Finishes an encryption, or its removal, that was cut short, and encrypts a database or backup that was copied here plain.

    Raises:
        WrongPassphrase: this is not it.
        StoreTrouble: this installation cannot read encrypted databases.
        AppError: the header is damaged.
    """
    header = read_header(workspace.root)
    if header is not None:
        _hold(workspace, header, keys_in(header, passphrase), on_progress)


def _hold(workspace: Workspace, header: Header, keys: Keys, on_progress: Said) -> None:
    if not can_encrypt():
        raise StoreTrouble(
            "This workspace is encrypted, and this installation of the program cannot open it: sqlcipher3 is missing.",
            "Install it: pip install sqlcipher3. Or open the workspace on another computer, and remove its encryption there.",
        )
    _remember(keys)
    with _in_plain_words():
        if _differ(workspace):  # a change of the passphrase was cut short, or one of them was lost
            write_header(workspace.root, header)
        if header.state != "on":
            with alone(workspace, *_LOCK):
                _finish(workspace, header, keys, on_progress)
        elif any(map(is_plain, _databases(workspace))):  # a backup, or the database, that was copied here from elsewhere
            with alone(workspace, *_LOCK):
                _encrypt_all(workspace, keys, on_progress)


def _remember(keys: Keys) -> None:
    hide_memory()
    remember(keys)


def refuse_without_header(workspace: Workspace) -> None:
    """Know a workspace whose header and its copy are both lost, before its database is called damaged.

    Raises:
        StoreTrouble: the database looks encrypted, or a run's files are, and nothing says how.
    """
    if is_encrypted(workspace.root):
        return
    database = workspace.database
    looks = database.is_file() and database.stat().st_size and not is_plain(database) and looks_random(database)
    if looks or any(map(is_sealed, workspace.runs.glob("*/run.json"))):
        raise StoreTrouble(
            f"This workspace is encrypted, and the file that says how ({HEADER}) is missing, here and in “backups”.",
            "Put it back from any copy of the workspace: without it nobody can open it, whatever the passphrase.",
        )


def _differ(workspace: Workspace) -> bool:
    try:
        return header_file(workspace.root).read_bytes() != header_copy(workspace.root).read_bytes()
    except FileNotFoundError:
        return True


def lock(workspace: Workspace) -> None:
    """Hold the key no longer. The caller has closed its store and whatever else reads the workspace."""
    with suppress(AppError):
        header = read_header(workspace.root)
        if header is not None:
            forget(header.id)


def change(workspace: Workspace, old: str, new: str) -> None:
    """Change the passphrase. The data is not written anew: only what wraps its key. The old one opens nothing from then on.

    Blocks for a second. The store may stay open.

    Raises:
        BadInput: the workspace is not encrypted, or the new one is too short.
        WrongPassphrase: the old one is not it; nothing was changed.
        NoSpace: the disk is full; the old one still opens everything.
    """
    header = _header(workspace)
    check_passphrase(new)
    keys = keys_in(header, old)
    with alone(workspace, *_LOCK), _in_plain_words():
        write_header(workspace.root, rewrapped(header, keys, new))
    _remember(keys)
    _note(workspace, "passphrase changed")


def remove(workspace: Workspace, passphrase: str, on_progress: Said = _silent) -> None:
    """Write everything in plain again. Needs the passphrase once more, also where the workspace is unlocked. As `create` blocks.

    Raises:
        BadInput: the workspace is not encrypted.
        WrongPassphrase: this is not it.
        StoreTrouble, NoSpace: as `create`; what is not plain yet follows at the next `unlock`.
    """
    header = _header(workspace)
    keys = keys_in(header, passphrase)
    with alone(workspace, *_LOCK), _in_plain_words():
        _remember(keys)
        _check_ready(workspace, keys)
        header = in_state(header, keys, "decrypting")
        write_header(workspace.root, header)
        _finish(workspace, header, keys, on_progress)


def _header(workspace: Workspace) -> Header:
    header = read_header(workspace.root)
    if header is None:
        raise BadInput("This workspace is not encrypted.", "“rlhf-desktop encryption create” encrypts it.")
    return header


@contextmanager
def _in_plain_words() -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        if is_disk_full(problem):
            raise NoSpace("The disk is full.", "Free some space, then try again. Nothing was lost.", repr(problem)) from problem
        raise StoreTrouble("The workspace cannot be written.", "Check its folder, then try again.", repr(problem)) from problem


# --- every file follows the header --------------------------------------------------------------------------------------------


def _check_ready(workspace: Workspace, keys: Keys | None) -> None:
    """Refuse what would fail half-way, before anything is changed."""
    path = workspace.database
    if not path.exists() or not path.stat().st_size:
        return
    check_file(path)
    take_in_journal(path, keys.database if keys else None)
    if free_disk_bytes(workspace.root) < 2 * path.stat().st_size:
        raise NoSpace("There is too little free space to write the database anew.", "Free some space; nothing was changed.")


def _finish(workspace: Workspace, header: Header, keys: Keys, on_progress: Said) -> None:
    """Bring every file to what the header says. Each step may have been taken before."""
    sweep(workspace)
    if header.state == "encrypting":
        _encrypt_all(workspace, keys, on_progress)
        write_header(workspace.root, in_state(header, keys, "on"))
        _note(workspace, "passphrase created")
    else:
        _decrypt_all(workspace, keys, on_progress)
        drop_header(workspace.root)
        forget(keys.id)
        _note(workspace, "passphrase removed")


def _note(workspace: Workspace, act: str) -> None:
    """In the workspace's audit log, if it has one already."""
    if not workspace.database.exists() or not workspace.database.stat().st_size:
        return
    with closing(Connection(workspace.database)) as connection:
        if connection.rows("SELECT 1 FROM sqlite_master WHERE name = 'audit_log'"):
            AuditLog(connection).note(act)


def _encrypt_all(workspace: Workspace, keys: Keys, on_progress: Said) -> None:
    for path in _databases(workspace):
        on_progress(f"Encrypting {path.name}")
        try:
            convert(path, None, keys.database)
        except StoreTrouble:
            if path == workspace.database:
                raise
            seal(path)  # a damaged backup: as it is
    on_progress("Encrypting the runs' files")
    seal_rest(workspace)
    for path in _exports_inside(workspace):
        seal(path)


def _decrypt_all(workspace: Workspace, keys: Keys, on_progress: Said) -> None:
    for path in _databases(workspace):
        on_progress(f"Decrypting {path.name}")
        if not unseal(path):
            convert(path, keys.database, None)
    on_progress("Decrypting the runs' files")
    for run in run_folders(workspace):
        with run.claim.held():  # who is sealing it just now finishes first, and nobody begins
            for path in run.path.rglob("*"):
                unseal(path)
    for path in (*files_of(workspace), workspace.erasing):
        unseal(path)


def _databases(workspace: Workspace) -> Iterator[Path]:
    """The database last: as long as it is not done, the rest is not either."""
    yield from sorted(path for path in workspace.backups.glob("*.db") if path.stat().st_size)
    if workspace.database.exists() and workspace.database.stat().st_size:
        yield workspace.database


def seal_rest(workspace: Workspace) -> int:
    """Seal every file with texts that is plain and not in use: run folders that have ended, reports, what the demo keeps.

    Done when a workspace is opened and when it is closed; needs no passphrase. Nothing where it is not encrypted.

    Returns:
        How many files were sealed.
    """
    if not is_encrypted(workspace.root):
        return 0
    sealed = seal_runs(run_folders(workspace))
    for path in _others(workspace):
        with suppress(OSError, AppError):
            sealed += path.is_file() and seal(path)
    return sealed


def _exports_inside(workspace: Workspace) -> list[Path]:
    """The files in the workspace that the database remembers as written by the user."""
    if not workspace.database.exists() or not workspace.database.stat().st_size:
        return []
    with closing(Connection(workspace.database)) as connection:
        if not connection.rows("SELECT 1 FROM sqlite_master WHERE name = 'exports'"):
            return []
        found = [Path(row["path"]) for row in connection.rows("SELECT DISTINCT path FROM exports")]
    return [path for path in found if path.is_file() and root_of(path) == workspace.root.absolute()]


def plain_files(workspace: Workspace) -> list[Path]:
    """Files of an encrypted workspace that may have texts and lie plain: the user put them there, or a run needs them now."""
    if not is_encrypted(workspace.root):
        return []
    apart = (workspace.adapters, workspace.root / "logs", workspace.root / "probes", workspace.backups)
    return [
        path
        for path in files_of(workspace)
        if path.suffix.lower() in _TEXTS
        and path.name not in (*PLAIN_NAMES, SWITCH_FILE, POLICY_FILE)
        and not any(path.is_relative_to(folder) for folder in apart)
        and not is_sealed(path)
    ]


def open_copy(path: Path, target: Path) -> None:
    """Write a plain copy of a file of the workspace that is sealed, a report or an export, for another program.

    Raises:
        NotFound: there is no such file.
        BadInput: it is not sealed, was changed, or the target exists.
        Locked: the workspace is not unlocked.
    """
    if not path.is_file():
        raise NotFound(f"There is no file “{path.name}”.", "Check its name and folder.", str(path))
    if not is_sealed(path):
        raise BadInput(f"{path.name} is not encrypted.", "Open it as it is.")
    if target.exists():
        raise BadInput(f"{target.name} exists already.", "Give the name of a new file.")
    with _in_plain_words():
        write_atomic(target, read_bytes(path))
        make_private(target)


def _others(workspace: Workspace) -> Iterator[Path]:
    yield from (workspace.root / "reports").glob("*.*")
    yield from (workspace.root / name for name in ("demo.json", "demo-report.json", workspace.erasing.name))
    for path in workspace.backups.glob(f"{SET_ASIDE}*"):  # a damaged database and its journal
        if not path.name.endswith(".db") or is_plain(path):
            yield path
