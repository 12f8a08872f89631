"""Files of an encrypted workspace that are not in its database, sealed between uses.

Sealing needs only the workspace's public key, so a supervisor, which has no passphrase, seals what a run has left. Opening needs
the private key, which an unlocked process has. A sealed file keeps its name and says by its first bytes what it is:

    magic (16 bytes), id of the keys (16), fresh public key (32), then the chunks of `ciphers.seal_stream`

The name within the workspace is authenticated with it: a file put in another's place is refused, as is one that was changed, or cut
off. Whoever can write the folder could still seal something new to the public key: sealing keeps secrets, it is no signature.
"""

import io
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from rlhf_desktop.core.ciphers import KEY_BYTES, agree_to_seal, open_stream, seal_stream
from rlhf_desktop.core.encryption import Header, Locked, known_keys, read_header, root_of
from rlhf_desktop.core.errors import AppError, BadInput
from rlhf_desktop.core.files import atomic_file, overwrite, write_atomic
from rlhf_desktop.core.platform import make_private, read_replaced, replace

MAGIC = b"RLHF-SEALED-v1\r\n"
_ID_BYTES = 16
_PREAMBLE = len(MAGIC) + _ID_BYTES + KEY_BYTES


def is_sealed(path: Path) -> bool:
    """Whether a file is sealed; not where there is none."""
    try:
        if not path.is_file():  # a pipe would have to be written to first
            return False
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def seal(path: Path) -> bool:
    """Seal a file where it lies in an encrypted workspace, and overwrite what it was. Whole or not at all.

    Returns:
        Whether it was sealed now; not one that is already, nor one in a workspace that is not encrypted.

    Raises:
        OSError: the disk; the file is as it was.
    """
    found = _workspace_of(path)
    if found is None or is_sealed(path):
        return False
    root, header = found
    with path.open("r+b") as plain:
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as sealed:
                make_private(temporary)
                for part in _sealed(plain, bytes.fromhex(header.id), bytes.fromhex(header.public_key), _place(path, root)):
                    sealed.write(part)
                sealed.flush()
                os.fsync(sealed.fileno())
            replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        with suppress(OSError):  # it has no name any more: what cannot be overwritten now is free space
            overwrite(plain)
    return True


def unseal(path: Path) -> bool:
    """Write a sealed file in plain again, whole or not at all. Returns whether it was sealed. Raises as `read_bytes`."""
    if not is_sealed(path):
        return False
    write_atomic(path, read_bytes(path))
    make_private(path)
    return True


def read_bytes(path: Path) -> bytes:
    """What a file holds, sealed or not; nothing is written.

    Raises:
        Locked: it is sealed, and this process has not unlocked its workspace.
        BadInput: it was changed, cut off, or belongs somewhere else.
        OSError: it cannot be read.
    """
    content = read_replaced(path)
    return b"".join(_opened(content, path)) if content.startswith(MAGIC) else content


def open_to_read(path: Path) -> BinaryIO:
    """A file to read from, sealed or not. Raises as `read_bytes`."""
    file = path.open("rb")
    if file.read(len(MAGIC)) != MAGIC:
        file.seek(0)
        return file
    file.close()
    return io.BytesIO(read_bytes(path))


def keep_json(path: Path, value: Any) -> None:
    """`write_json`, sealed at once in an encrypted workspace."""
    keep(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def keep(path: Path, data: bytes | str) -> None:
    """`write_atomic`, sealed at once in an encrypted workspace: the plain text never reaches the disk."""
    found = _workspace_of(path)
    if found is None:
        write_atomic(path, data)
        return
    root, header = found
    plain = io.BytesIO(data.encode("utf-8") if isinstance(data, str) else data)
    with atomic_file(path) as out:
        out.writelines(_sealed(plain, bytes.fromhex(header.id), bytes.fromhex(header.public_key), _place(path, root)))
    make_private(path)


def rewrite(path: Path, data: bytes) -> None:
    """Replace what a file holds: a sealed one stays sealed, a plain one plain."""
    (keep if is_sealed(path) else write_atomic)(path, data)


def read_lines(path: Path) -> Iterator[Any]:
    """`read_jsonl` of a file that may be sealed. Raises as `read_bytes`."""
    if not path.exists():
        return
    with open_to_read(path) as file:
        for line in file:
            if line.endswith(b"\n") and line.strip():
                yield json.loads(line)


def _workspace_of(path: Path) -> tuple[Path, Header] | None:
    """The workspace that a file is to be sealed for; None: there is none, or its encryption is just being removed."""
    root = root_of(path)
    header = read_header(root) if root else None
    return (root, header) if root and header and header.state != "decrypting" else None


def _place(path: Path, root: Path) -> bytes:
    return path.absolute().relative_to(root).as_posix().encode("utf-8", "surrogateescape")


def _sealed(plain: BinaryIO, key_id: bytes, public: bytes, place: bytes) -> Iterator[bytes]:
    fresh, key = agree_to_seal(public)
    preamble = MAGIC + key_id + fresh
    yield preamble
    yield from seal_stream(key, plain, preamble + place)


def _opened(content: bytes, path: Path) -> Iterator[bytes]:
    preamble = content[:_PREAMBLE]
    key_id = preamble[len(MAGIC) :][:_ID_BYTES]
    keys, root = known_keys(key_id.hex()), root_of(path)
    if root is None:
        raise BadInput(f"{path.name} is encrypted and belongs in a workspace.", "Open it from there.")
    if keys is None:
        header = read_header(root)
        raise Locked if header and bytes.fromhex(header.id) == key_id else _refused(path, "other keys")
    try:
        key = keys.to_open(preamble[len(MAGIC) + _ID_BYTES :])
        yield from open_stream(key, io.BytesIO(content[_PREAMBLE:]), preamble + _place(path, root))
    except ValueError as problem:
        raise _refused(path, repr(problem)) from None


def _refused(path: Path, detail: str) -> AppError:
    return BadInput(
        f"The encrypted file {path.name} in {path.parent.name} was changed, cut off or put in another's place.",
        "Put it back from a copy of the workspace; all other files are not affected.",
        detail,
    )
