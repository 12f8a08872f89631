"""What a file holds: itself, or what is packed in it (gz, bz2, xz, zst, zip), or the files of a folder.

Nothing is unpacked to a place that an archive names. Archives that grow beyond measure, or name a file outside themselves, are
refused.
"""

import bz2
import gzip
import io
import lzma
import re
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from rlhf_desktop.core.errors import BadInput, NotFound

MOST_FILES = 20_000  # of a folder or an archive
_GROWS_AT_MOST = 200  # times its packed size; JSON grows by 5 to 50
_SMALL_BYTES = 64 * 2**20  # up to here anything may grow as it likes
_DATA = {".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".tab", ".parquet", ".xlsx", ".txt", ".md", ".markdown"}
_STREAMS: dict[bytes, str] = {b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zst"}
_UNREADABLE = {
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "Unpack it first."),
    b"Rar!": ("a RAR archive", "Unpack it first."),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("an old Excel workbook (.xls)", "Save it as .xlsx or CSV."),
    b"SQLite format 3\x00": ("a database", "Export its conversations from the program it belongs to."),
    b"%PDF": ("a PDF document", "Give the text as CSV or JSON."),
}
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError)
_OUTSIDE = re.compile(r"(^|[\\/])\.\.([\\/]|$)|^[\\/]|^[A-Za-z]:|\0")


@dataclass(frozen=True)
class Member:
    """One file to read: plain, packed by itself, or within an archive or a folder.

    Attributes:
        name: With its folders, as the archive or folder has it.
        open: Opens it anew, unpacked.
        reached: How far reading is in the file on disk; None where what was read tells.
        alone: It is the whole of what was given.
    """

    name: str
    open: Callable[[], BinaryIO]
    reached: Callable[[], int] | None = None
    alone: bool = True

    @property
    def suffix(self) -> str:
        """Its kind by its name."""
        return Path(self.name).suffix.casefold()

    @property
    def file_name(self) -> str:
        """Its name without folders."""
        return Path(self.name).name


def opened(path: Path) -> BinaryIO:
    """The file, open for reading.

    Raises:
        NotFound: there is no such file.
        BadInput: it is a folder or cannot be read.
    """
    if path.is_dir():
        raise BadInput(f"{path.name} is a folder.", "Give a file.")
    if path.exists() and not path.is_file():
        raise BadInput(f"{path.name} is no ordinary file.", "Give a file.")
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise NotFound(f"There is no file “{path.name}”.", "Check its name and folder.", str(path)) from None
    except OSError as problem:
        raise BadInput(f"{path.name} cannot be read.", "Check that it belongs to you.", repr(problem)) from problem


def members(path: Path) -> list[Member]:
    """The files to read, in the order of their names.

    Raises:
        NotFound: there is no such file.
        BadInput: it cannot be read or unpacked here, or there is nothing in it to read.
    """
    if path.is_dir():
        return _of_folder(path)
    with opened(path) as file:
        head = file.read(16)
    for mark, (what, hint) in _UNREADABLE.items():
        if head.startswith(mark):
            raise BadInput(f"{path.name} is {what}, which is not read.", hint)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _of_zip(path)
    kind = next((kind for mark, kind in _STREAMS.items() if head.startswith(mark)), "")
    return [_of_stream(path, kind) if kind else Member(path.name, lambda: opened(path))]


def seekable_copy(file: BinaryIO) -> BinaryIO:
    """What a packed file holds, where a reader must jump about in it."""
    made = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - closed by whoever reads it
    while block := file.read(2**20):
        made.write(block)
    made.seek(0)
    return made


# --- folders


def _of_folder(path: Path) -> list[Member]:
    found = []
    for file in _walk(path):
        name = file.relative_to(path).as_posix()
        if file.suffix.casefold() in _DATA:
            found.append(Member(name, lambda file=file: opened(file), alone=False))  # type: ignore[misc]
        if len(found) > MOST_FILES:
            raise BadInput(f"{path.name} holds more than {MOST_FILES:,} files.", "Choose a folder that holds only conversations.")
    return _some(found, path)


def _walk(path: Path) -> Iterator[Path]:
    """Ordinary files by name. Links are not followed: they may lead anywhere, and in circles."""
    for entry in sorted(path.iterdir()):
        if entry.name.startswith(".") or entry.is_symlink():
            continue
        if entry.is_dir():
            yield from _walk(entry)
        elif entry.is_file():
            yield entry


def _some(found: list[Member], path: Path) -> list[Member]:
    if not found:
        kinds = "JSON, JSON lines, CSV, Parquet, Excel or text"
        raise BadInput(f"{path.name} holds no file with feedback or conversations.", f"Those are files of {kinds}.")
    return found


# --- packed by itself


def _of_stream(path: Path, kind: str) -> Member:
    raw: list[BinaryIO] = []
    limit = max(_SMALL_BYTES, _GROWS_AT_MOST * path.stat().st_size)

    def unpack() -> BinaryIO:
        raw[:] = [opened(path)]
        return cast(BinaryIO, io.BufferedReader(_Measured(_unpacker(kind, raw[0], path), raw[0], limit, path.name)))

    def reached() -> int:
        return raw[0].tell() if raw and not raw[0].closed else 0

    inner = path.name.rsplit(".", 1)[0] if "." in path.name else path.name
    member = Member(inner, unpack, reached)
    if member.suffix == ".tar" or path.suffix.casefold() == ".tgz":
        raise BadInput(f"{path.name} is a tar archive, which is not read.", "Unpack it first, and give the folder.")
    return member


def _unpacker(kind: str, raw: BinaryIO, path: Path) -> Any:
    if kind == "zst":
        try:
            import zstandard
        except ImportError:
            hint = "Unpack it first, or install the program's “tables” extra (zstandard)."
            raise BadInput(f"{path.name} is packed with Zstandard, which this installation cannot unpack.", hint) from None
        return zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(raw, read_across_frames=True)
    if kind == "gz":
        return gzip.GzipFile(fileobj=raw)
    return bz2.BZ2File(raw) if kind == "bz2" else lzma.LZMAFile(raw)


class _Measured(io.RawIOBase):
    """What comes out of a packed file, watched: damage is said in words, and what grows beyond measure is given up."""

    def __init__(self, inner: Any, raw: BinaryIO | None, limit: int, name: str) -> None:
        self._inner, self._raw, self._left, self._name = inner, raw, limit, name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _said_of(self._name):
            block = self._inner.read(len(buffer))
        self._left -= len(block)
        if self._left < 0:
            raise BadInput(f"{self._name} grows beyond measure when it is unpacked.", "Unpack it yourself if you trust it.")
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
            if self._raw is not None:
                self._raw.close()
        super().close()


@contextmanager
def _said_of(name: str) -> Iterator[None]:
    """Say what is wrong with a packed file in words."""
    try:
        yield
    except BadInput:
        raise
    except _DAMAGE as problem:
        raise BadInput(f"{name} is damaged.", "Fetch or pack it again.", repr(problem)) from problem
    except Exception as problem:
        if type(problem).__module__.startswith("zstandard"):
            raise BadInput(f"{name} is damaged.", "Fetch or pack it again.", repr(problem)) from problem
        raise


# --- zip


def _of_zip(path: Path) -> list[Member]:
    with _said_of(path.name), zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    names = {entry.filename for entry in entries}
    if "xl/workbook.xml" in names:
        _check_size(entries, path)
        return [Member(path.name, lambda: opened(path))]
    if "content.xml" in names and "mimetype" in names:
        raise BadInput(f"{path.name} is an OpenDocument file, which is not read.", "Save it as .xlsx or CSV.")
    _check(entries, path)
    wanted = [entry for entry in entries if _is_data(entry.filename)]
    found = [_in_zip(path, entry, alone=len(wanted) == 1) for entry in sorted(wanted, key=lambda entry: entry.filename)]
    return _some(found, path)


def _check(entries: list[zipfile.ZipInfo], path: Path) -> None:
    if len(entries) > MOST_FILES:
        raise BadInput(f"{path.name} holds more than {MOST_FILES:,} files.", "Pack only the conversations.")
    _check_size(entries, path)
    for entry in entries:
        if _OUTSIDE.search(entry.filename) or stat.S_ISLNK(entry.external_attr >> 16):
            raise BadInput(f"{path.name} names a file outside itself.", "It may mean harm: do not unpack it.", entry.filename)
        if entry.flag_bits & 1:
            raise BadInput(f"{path.name} is locked with a password.", "Unpack it first, and give the file or folder.")


def _check_size(entries: list[zipfile.ZipInfo], path: Path) -> None:
    if sum(entry.file_size for entry in entries) > max(_SMALL_BYTES, _GROWS_AT_MOST * path.stat().st_size):
        raise BadInput(f"{path.name} grows beyond measure when it is unpacked.", "Unpack it yourself if you trust it.")


def _is_data(name: str) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in name.split("/"))
    return not hidden and not name.endswith("/") and Path(name).suffix.casefold() in _DATA


def _in_zip(path: Path, entry: zipfile.ZipInfo, alone: bool) -> Member:
    def unpack() -> BinaryIO:
        with _said_of(path.name):
            archive = zipfile.ZipFile(path)  # closed with what is read from it
            inner = archive.open(entry)
        limit = max(_SMALL_BYTES, _GROWS_AT_MOST * entry.compress_size)
        return cast(BinaryIO, io.BufferedReader(_Measured(inner, cast(BinaryIO, archive), limit, path.name)))

    return Member(entry.filename, unpack, lambda: entry.header_offset + entry.compress_size, alone)
