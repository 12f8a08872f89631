"""Files as streams of records: JSON in all its layouts, tables (CSV, tabs, Excel), Parquet; plain, packed, zipped, or in a folder.

A file is read piece by piece, whatever its size. What cannot be read comes as a `Problem` with its place, and reading goes on.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.feedback.formats.documents import read_json
from rlhf_desktop.feedback.formats.encodings import UTF8, as_utf8, encoding_of, said
from rlhf_desktop.feedback.formats.gathering import of_archive, of_file, talking
from rlhf_desktop.feedback.formats.items import KEPT_CHARS, Item, as_text
from rlhf_desktop.feedback.formats.parquet import read_parquet
from rlhf_desktop.feedback.formats.programs.plain import TRANSCRIPT, is_transcript
from rlhf_desktop.feedback.formats.tables import DELIMITERS, PLAIN, Dialect, columns_in, dialect_of, read_csv, read_xlsx
from rlhf_desktop.feedback.formats.unpacking import Member, members, seekable_copy
from rlhf_desktop.feedback.rows import Problem

__all__ = ["Item", "container_of", "read_items", "understanding_of"]

Container = Literal["json", "csv", "parquet", "xlsx", "text"]
_BOM = b"\xef\xbb\xbf"
_JSON = (".json", ".jsonl", ".ndjson")
_TABLES = (".csv", ".tsv", ".tab")
_TEXTS = (".txt", ".md", ".markdown")
_GUESSED = ("koi8_r", "mac_roman", "gb18030", "big5", "euc_jp")  # besides the Windows and DOS code pages
_MAX_TEXT_BYTES = 16 * 2**20  # of one conversation


@dataclass(frozen=True)
class _Layout:
    """How a file is to be read."""

    kind: Container
    encoding: str = UTF8
    dialect: Dialect = PLAIN


def container_of(path: Path) -> Container:
    """What kind of file it is, by its content and its name.

    Raises:
        NotFound: there is no such file.
        BadInput: it is a folder, cannot be read, or is empty.
    """
    return _layout(members(path)[0]).kind


@dataclass(frozen=True)
class Understanding:
    """How a file is read, in words, and whether its letters were guessed: then somebody should look at them."""

    notes: tuple[str, ...]
    guessed: bool


def understanding_of(path: Path) -> Understanding:
    """What a reader should know of how a file is understood: its letters, what separates its columns, how many files are in it."""
    found = talking(members(path))
    layout = _Layout("json")
    with suppress(BadInput):  # reading says what is wrong with the first file
        layout = _layout(found[0]) if found else layout
    notes = [f"{len(found):,} files are read."] if len(found) > 1 else []
    guessed = layout.encoding.startswith("cp") or layout.encoding in _GUESSED
    if encoding := said(layout.encoding):
        notes.append(f"Its letters are read as {encoding}{': look whether they are right' if guessed else ''}.")
    if layout.kind == "csv" and layout.dialect.delimiter != ",":
        notes.append(f"Its columns are separated by {DELIMITERS.get(layout.dialect.delimiter, layout.dialect.delimiter)}.")
    return Understanding(tuple(notes), guessed)


def read_items(path: Path) -> Iterator[Item]:
    """The records of a file, an archive or a folder. Their values are any JSON, or a `Problem`."""
    found = members(path)
    yield from of_file(found[0], read_member) if found[0].alone else of_archive(found, _among_others)


def read_member(member: Member) -> Iterator[Item]:
    """The records of one file."""
    for item in _read(member, _layout(member)):
        yield replace(item, read_bytes=member.reached()) if member.reached else item


def _among_others(member: Member) -> Iterator[Item]:
    """The records of a file of a folder or archive. What is wrong with one file does not cost the others."""
    try:
        for item in read_member(member):
            value = item.value
            if isinstance(value, Problem):
                value = replace(value, reason=f"{member.name}: {value.reason}")
            yield replace(item, value=value, source=member.name)
    except BadInput as trouble:
        yield Item(1, Problem(1, f"{member.name}: {trouble.message.rstrip('.')}"), 0, source=member.name)


def _layout(member: Member) -> _Layout:
    with member.open() as file:
        head = file.read(4096)
    if not head.removeprefix(_BOM).strip(b" \t\r\n\0"):
        raise BadInput(f"{member.name} is empty.", "Give a file with feedback in it.")
    if head.startswith(b"PAR1") or member.suffix == ".parquet":
        return _Layout("parquet")
    if head.startswith(b"PK\x03\x04"):
        return _Layout("xlsx")
    if member.suffix not in _JSON:
        encoding = encoding_of(member.open, member.name)
        if member.suffix in _TEXTS and is_transcript(head.decode(encoding, "replace")):
            return _Layout("text", encoding)
        if _is_table(member, encoding):
            return _Layout("csv", encoding, dialect_of(member.open, encoding, member.suffix))
        return _Layout("json", encoding)
    return _Layout("json", encoding_of(member.open, member.name) if head[:2] in (b"\xff\xfe", b"\xfe\xff") else UTF8)


def _is_table(member: Member, encoding: str) -> bool:
    """By its name; a file of no known name is one when its rows agree on their columns."""
    if member.suffix in _TABLES:
        return True
    with member.open() as file:
        head = file.read(4096).decode(encoding, "replace").lstrip("\ufeff").lstrip()
    return not head.startswith(("{", "[")) and columns_in(member.open, encoding) > 1


def _read(member: Member, layout: _Layout) -> Iterator[Item]:
    if layout.kind == "text":
        with _as_utf8(member, layout.encoding)() as file:
            text = file.read(_MAX_TEXT_BYTES).decode("utf-8-sig", "replace")
        yield Item(1, {TRANSCRIPT: text}, len(text), text[:KEPT_CHARS])
        return
    if layout.kind == "json":
        yield from read_json(_as_utf8(member, layout.encoding), member.name)
        return
    with member.open() as file:
        if layout.kind == "csv":
            yield from read_csv(file, member.name, layout.encoding, layout.dialect)
        else:
            with seekable_copy(file) if member.reached else file as whole:
                yield from (read_xlsx if layout.kind == "xlsx" else _parquet)(whole, member.name)


def _as_utf8(member: Member, encoding: str) -> Callable[[], BinaryIO]:
    if encoding in (UTF8, "utf-8-sig"):
        return member.open

    def opened() -> BinaryIO:
        with member.open() as file:
            return as_utf8(file, encoding, member.name)

    return opened


def _parquet(file: BinaryIO, name: str) -> Iterator[Item]:
    size = file.seek(0, 2)
    file.seek(0)
    for number, (value, share) in enumerate(read_parquet(file, name), 1):
        yield Item(number, value, int(size * share), as_text(value))
