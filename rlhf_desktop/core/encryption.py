"""Which workspaces are encrypted, and the keys of those that this process has unlocked.

One random data key a workspace encrypts everything in it. `encryption.json` holds that key wrapped under the passphrase, and a copy
of it lies beside the backups. Changing the passphrase wraps the same key anew and replaces both files: nothing else is rewritten,
and a kill leaves one of the two passphrases that opens everything.

Keys live in the memory of this process only. Training and model processes never get one: what they write is sealed to the
workspace's public key (`core.sealing`), which needs no secret.
"""

import hashlib
import hmac
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rlhf_desktop.core.ciphers import KEY_BYTES, Kdf, agree_to_open, key_of, new_kdf, new_pair, subkey, unwrap, wrap
from rlhf_desktop.core.errors import AppError, BadInput
from rlhf_desktop.core.files import canonical_json, write_json
from rlhf_desktop.core.platform import fsync_dir, make_private, read_replaced

HEADER = "encryption.json"
BACKUPS = "backups"  # as `core.paths.Workspace.backups` calls it
LEAST_CHARS = 8
_DEPTH = 8  # folders between a file and its workspace, at most

State = Literal["on", "encrypting", "decrypting"]


class Locked(AppError):
    """A workspace is encrypted and this process has not unlocked it."""

    def __init__(self) -> None:
        super().__init__(
            "This workspace is encrypted and locked.", "Give its passphrase; in a script with --passphrase-file FILE (“-”: stdin)."
        )


class WrongPassphrase(AppError):
    """A passphrase that does not open this workspace."""

    def __init__(self) -> None:
        super().__init__(
            "This is not the passphrase of this workspace.", "Check Caps Lock and the keyboard's language, and try again."
        )


class Header(BaseModel):
    """`encryption.json`.

    Attributes:
        id: Random; the same for as long as the workspace has this data key.
        state: "encrypting" and "decrypting" while every file is being brought to it.
        kdf: How the passphrase becomes a key.
        data_key: The data key, wrapped under that key; hex.
        public_key: What files are sealed to; hex.
        private_key: What opens them, wrapped under the data key; hex.
        mac: Over all of the above, by the data key: says that nobody has changed it.
        checksum: The same without a secret: tells damage from a wrong passphrase.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    v: Literal[1] = 1
    id: str = Field(pattern="^[0-9a-f]{32}$")
    state: State = "on"
    kdf: Kdf
    data_key: str = Field(pattern="^[0-9a-f]{120}$")
    public_key: str = Field(pattern="^[0-9a-f]{64}$")
    private_key: str = Field(pattern="^[0-9a-f]{120}$")
    mac: str = ""
    checksum: str = ""

    def content(self, *without: str) -> bytes:
        """What the sums are over."""
        return canonical_json(self.model_dump(mode="json", exclude={"checksum", *without})).encode()


@dataclass(frozen=True)
class Keys:
    """The keys of a workspace that was unlocked."""

    id: str
    data: bytes = field(repr=False)
    private: bytes = field(repr=False)

    @property
    def database(self) -> str:
        """SQLCipher's raw key, in hex."""
        return subkey(self.data, "database").hex()

    def to_open(self, theirs: bytes) -> bytes:
        """The key of a file that was sealed with this public key written down. Raises `ValueError` as `agree_to_open`."""
        return agree_to_open(self.private, theirs)


# --- the header ---------------------------------------------------------------------------------------------------------------


def header_file(root: Path) -> Path:
    """Where a workspace's header is."""
    return root / HEADER


def header_copy(root: Path) -> Path:
    """Where its copy is."""
    return root / BACKUPS / HEADER


def is_encrypted(root: Path) -> bool:
    """Whether a workspace has a header, its own or the copy."""
    return header_file(root).exists() or header_copy(root).exists()


def read_header(root: Path) -> Header | None:
    """The header, or its copy where that is lost or damaged; None: the workspace is not encrypted.

    Raises:
        AppError: neither can be read.
    """
    problem: AppError | None = None
    for file in (header_file(root), header_copy(root)):
        try:
            if (found := _read(file)) is not None:
                return found
        except AppError as trouble:
            problem = problem or trouble
    if problem is not None:
        raise problem
    return None


def _read(file: Path) -> Header | None:
    try:
        header = Header.model_validate_json(read_replaced(file))
    except FileNotFoundError:
        return None
    except ValidationError as problem:
        raise _damaged(repr(problem.errors(include_input=False)[:2])) from None
    if not hmac.compare_digest(header.checksum, _checksum(header)):
        raise _damaged("its checksum does not fit")
    return header


def _damaged(detail: str) -> AppError:
    return AppError(
        "The file that says how this workspace is encrypted (encryption.json) is damaged, or from a newer version.",
        "Put back a copy of it: there is one in the workspace's folder “backups”, and in each copy of the workspace.",
        detail,
    )


def write_header(root: Path, header: Header) -> None:
    """Replace the header, then its copy. Each is whole at any moment."""
    for file in (header_file(root), header_copy(root)):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_json(file, header.model_dump(mode="json"))
        make_private(file)


def drop_header(root: Path) -> None:
    """Say that a workspace is not encrypted any more: the copy goes first, so that none is ever left alone."""
    for file in (header_copy(root), header_file(root)):
        file.unlink(missing_ok=True)
        if file.parent.is_dir():
            fsync_dir(file.parent)


def new_header(passphrase: str, state: State = "on") -> tuple[Header, Keys]:
    """A header with a new data key."""
    check_passphrase(passphrase)
    private, public = new_pair()
    keys = Keys(os.urandom(16).hex(), os.urandom(KEY_BYTES), private)
    return _wrapped(passphrase, keys, public, state), keys


def rewrapped(header: Header, keys: Keys, passphrase: str) -> Header:
    """The same keys under another passphrase."""
    check_passphrase(passphrase)
    return _wrapped(passphrase, keys, bytes.fromhex(header.public_key), header.state)


def in_state(header: Header, keys: Keys, state: State) -> Header:
    """The same header in another state."""
    return _summed(header.model_copy(update={"state": state}), keys)


def check_passphrase(passphrase: str) -> None:
    """Refuse one that is too short to be any use."""
    if len(passphrase) < LEAST_CHARS:
        raise BadInput(
            f"A passphrase needs at least {LEAST_CHARS} characters.",
            "Four or five words that do not belong together are a good one.",
        )


def _wrapped(passphrase: str, keys: Keys, public: bytes, state: State) -> Header:
    kdf = new_kdf()
    header = Header(
        id=keys.id,
        state=state,
        kdf=kdf,
        data_key=wrap(key_of(passphrase, kdf), keys.data, keys.id.encode()).hex(),
        public_key=public.hex(),
        private_key=wrap(subkey(keys.data, "private key"), keys.private, keys.id.encode()).hex(),
    )
    return _summed(header, keys)


def _summed(header: Header, keys: Keys) -> Header:
    header = header.model_copy(update={"mac": _mac(header, keys.data)})
    return header.model_copy(update={"checksum": _checksum(header)})


def _mac(header: Header, data_key: bytes) -> str:
    return hmac.new(subkey(data_key, "header"), header.content("mac"), hashlib.sha256).hexdigest()


def _checksum(header: Header) -> str:
    return hashlib.sha256(header.content()).hexdigest()


def keys_in(header: Header, passphrase: str) -> Keys:
    """The keys that a header holds. Takes more than 0.3 s.

    Raises:
        WrongPassphrase: it does not open them.
        AppError: somebody has changed the header.
    """
    data = unwrap(key_of(passphrase, header.kdf), bytes.fromhex(header.data_key), header.id.encode())
    if data is None:
        raise WrongPassphrase
    return keys_from(header, data)


def keys_from(header: Header, data_key: bytes) -> Keys:
    """The keys that a header holds, by its data key. Raises `AppError` where the header was changed, or is another's."""
    private = unwrap(subkey(data_key, "private key"), bytes.fromhex(header.private_key), header.id.encode())
    if private is None or not hmac.compare_digest(_mac(header, data_key), header.mac):
        raise _damaged("its authentication code does not fit")
    return Keys(header.id, data_key, private)


# --- this process -------------------------------------------------------------------------------------------------------------

_unlocked: dict[str, Keys] = {}  # by the header's id
_guard = threading.Lock()


def remember(keys: Keys) -> None:
    """Hold keys in this process from now on."""
    with _guard:
        _unlocked[keys.id] = keys


def forget(key_id: str) -> None:
    """Hold them no longer. Python may have copies in memory until it ends."""
    with _guard:
        _unlocked.pop(key_id, None)


def known_keys(key_id: str) -> Keys | None:
    """The keys of this id, if this process has them."""
    with _guard:
        return _unlocked.get(key_id)


def keys_of(root: Path) -> Keys | None:
    """The keys of a workspace; None: it is not encrypted.

    Raises:
        Locked: it is, and this process has not unlocked it.
        AppError: its header is damaged.
    """
    header = read_header(root)
    if header is None:
        return None
    found = known_keys(header.id)
    if found is None:
        raise Locked
    return found


def root_of(path: Path, depth: int = _DEPTH) -> Path | None:
    """The encrypted workspace that a file lies in, at most so many folders deep; None: in none."""
    return next((folder for folder in list(path.absolute().parents)[:depth] if _is_encrypted_workspace(folder)), None)


def _is_encrypted_workspace(folder: Path) -> bool:
    """Whether it has a header. The copy beside the backups makes no workspace of their folder."""
    if header_copy(folder).exists() and not header_copy(folder / BACKUPS).exists():  # else a workspace called “backups” lies in it
        return True
    return folder.name != BACKUPS and header_file(folder).exists() and (folder / BACKUPS).is_dir()
