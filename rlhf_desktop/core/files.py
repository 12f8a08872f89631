"""Files that are whole or not there: temporary name, fsync, rename. And JSON lines, read as whole lines."""

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.platform import fsync_dir as fsync_dir  # offered here too, beside its kin
from rlhf_desktop.core.platform import remove_tree, rename, replace

_WINDOWS_DISK_FULL = 112  # ERROR_DISK_FULL
_BLOCK_BYTES = 2**20
_BINARY = getattr(os, "O_BINARY", 0)  # Windows otherwise writes two bytes for each end of a line


_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_DISK_FULL_WORDS = re.compile(
    r"no space left on device|disk quota exceeded|\(os error (?:28|122|112)\)|\d+ requested and \d+ written"  # the last is numpy's
)


def is_disk_full(problem: BaseException) -> bool:
    """Whether an exception is the system's "no space left", on the disk or of this user's share of it.

    Whatever its class: safetensors, pyarrow and numpy have errors of their own, which say it in words.
    """
    if isinstance(problem, OSError) and problem.errno is not None:
        return problem.errno in _DISK_FULL or getattr(problem, "winerror", None) == _WINDOWS_DISK_FULL
    return _DISK_FULL_WORDS.search(str(problem).lower()) is not None


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in blocks."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def sha256_text(text: str) -> str:
    """Hex SHA-256 of a text's UTF-8 bytes."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text, fit for hashing."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part."""
    with atomic_file(path) as f:
        f.write(data.encode("utf-8") if isinstance(data, str) else data)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write piece by piece that takes its name once it is whole; when something breaks, nothing is left of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as f:
            yield f
            f.flush()
            os.fsync(f.fileno())
        replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_dir(path.parent)


def overwrite(file: BinaryIO) -> None:
    """Write zeros over the whole of an open file."""
    left = file.seek(0, os.SEEK_END)
    file.seek(0)
    while left > 0:
        left -= file.write(bytes(min(left, _BLOCK_BYTES)))
    file.flush()
    os.fsync(file.fileno())


def fsync_file(path: Path) -> None:
    """Make a file's content durable that somebody else has written. Windows wants it open for writing."""
    with path.open("r+b") as f:
        os.fsync(f.fileno())


def discard(folder: Path, name: str) -> None:
    """Delete a folder. Renamed first: it is gone at once for everyone, and a half-deleted one never looks like a whole one.

    Raises:
        BadInput: a process has its files open, which Windows forbids to touch; nothing was changed.
    """
    for left in folder.parent.glob(".*.removed"):  # by a process that was killed, or still held then
        remove_tree(left, ignore_errors=True)
    doomed = folder.with_name(f".{folder.name}.removed")
    try:
        rename(folder, doomed)
    except PermissionError as problem:
        hint = "Choose another model in Chat, or wait for the run that uses it, then try again."
        raise BadInput(f"“{name}” is in use, so it was not removed.", hint, str(problem)) from None
    remove_tree(doomed)


def write_json(path: Path, value: Any) -> None:
    """`write_atomic` of indented JSON."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    """One JSON object a line, whole or not at all. The rows may be a stream: they are not all held in memory."""
    with atomic_file(path) as f:
        f.writelines((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8") for row in rows)


def append_jsonl(path: Path, row: Any) -> None:
    """Append a line in a single write, so that readers that frame on newlines never see a mixture; nothing of it if it raises."""
    line = (json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _BINARY, 0o600)
    try:
        if (written := os.write(fd, line)) < len(line):  # the disk took a part, and would say so only at the next write
            os.ftruncate(fd, os.fstat(fd).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(fd)


def read_jsonl(path: Path) -> Iterator[Any]:
    """The complete lines of a JSON-lines file; a last line without a newline is still being written, so skipped."""
    if not path.exists():
        return
    with path.open("rb") as f:
        for line in f:
            if line.endswith(b"\n") and line.strip():
                yield json.loads(line)
