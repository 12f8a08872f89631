"""A file under a passphrase of its own, for taking elsewhere: a bundle for a colleague.

magic (16 bytes), length of the description (4), description (JSON: how the passphrase becomes a key), then the chunks of `ciphers`
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from rlhf_desktop.core.ciphers import Kdf, key_of, new_kdf, open_stream, seal_stream
from rlhf_desktop.core.encryption import check_passphrase
from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.files import atomic_file, overwrite
from rlhf_desktop.core.platform import make_private

MAGIC = b"RLHF-LOCKED-v1\r\n"
_MOST_DESCRIPTION = 1024


class WrongFilePassphrase(BadInput):
    """A passphrase that does not open a file."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} cannot be opened with this passphrase, or was changed.",
            "Ask whoever made it for both.",
        )


def is_locked(path: Path) -> bool:
    """Whether a file is under a passphrase of its own."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def lock_file(plain: Path, target: Path, passphrase: str) -> None:
    """Encrypt a file into another, whole or not at all. Blocks for half a second and the writing."""
    check_passphrase(passphrase)
    kdf = new_kdf()
    described = kdf.model_dump_json().encode()
    head = MAGIC + len(described).to_bytes(4, "big") + described
    with plain.open("rb") as source, atomic_file(target) as out:
        out.write(head)
        out.writelines(seal_stream(key_of(passphrase, kdf), source, head))
    make_private(target)


@contextmanager
def unlocked(path: Path, passphrase: str, folder: Path) -> Iterator[Path]:
    """A plain copy of such a file in a folder of the program's, for as long as it is needed; overwritten and deleted then.

    Raises:
        WrongFilePassphrase: the passphrase is another one, or the file was changed or cut off.
        BadInput: it is none of ours.
        OSError: the disk.
    """
    copy = folder / f".{path.name}.{os.getpid()}.tmp"  # as what killed processes leave is known by
    try:
        with path.open("rb") as source, copy.open("wb") as out:
            make_private(copy)
            head, kdf = _head(path, source.read(len(MAGIC) + 4 + _MOST_DESCRIPTION))
            source.seek(len(head))
            try:
                out.writelines(open_stream(key_of(passphrase, kdf), source, head))
            except ValueError:
                raise WrongFilePassphrase(path.name) from None
        yield copy
    finally:
        shred(copy)


def shred(path: Path) -> None:
    """Overwrite a file and delete it; nothing where there is none."""
    with suppress(FileNotFoundError):
        with suppress(OSError), path.open("r+b") as file:
            overwrite(file)
        path.unlink()


def _head(path: Path, begin: bytes) -> tuple[bytes, Kdf]:
    length = int.from_bytes(begin[len(MAGIC) :][:4], "big")
    end = len(MAGIC) + 4 + length
    try:
        if length > _MOST_DESCRIPTION or not begin.startswith(MAGIC):
            raise ValueError("no description")
        return begin[:end], Kdf.model_validate_json(begin[len(MAGIC) + 4 : end])
    except (ValidationError, ValueError) as problem:
        raise BadInput(
            f"{path.name} is damaged, or from a newer version.", "Ask for the file again.", repr(problem)[:200]
        ) from None
