"""Files as streams of records: JSON lines, one JSON list, CSV and TSV, and Parquet where pyarrow is installed.

A file is read piece by piece, whatever its size. What cannot be read comes as a `Problem` with its place, and reading goes on.
"""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.feedback.formats.parquet import read_parquet
from rlhf_desktop.feedback.rows import Problem

Container = Literal["jsonl", "json", "csv", "parquet"]
MAX_RECORD_BYTES = 16 * 2**20
MAX_CELL_CHARS = 2 * 10**6
_BLOCK = 2**16
_KEPT_CHARS = 10_000  # of a row that is set aside
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Item:
    """One record of a file: its number, its value (or why it has none), and how far into the file it ends."""

    number: int
    value: Any
    read_bytes: int
    text: str = ""


def container_of(path: Path) -> Container:
    """What kind of file it is, by its name, and for .json by its first character.

    Raises:
        NotFound: there is no such file.
        BadInput: it is a folder, cannot be read, or is empty.
    """
    suffix = path.suffix.casefold()
    with opened(path) as file:
        head = file.read(4096).removeprefix(_BOM).lstrip()
    if not head:
        raise BadInput(f"{path.name} is empty.", "Give a file with feedback in it.")
    if suffix == ".parquet" or head.startswith(b"PAR1"):
        return "parquet"
    if suffix in (".csv", ".tsv"):
        return "csv"
    return "json" if head.startswith(b"[") and suffix != ".jsonl" else "jsonl"


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


def read_items(path: Path) -> Iterator[Item]:
    """The records of a file of any of the kinds. Their values are any JSON, or a `Problem`."""
    kind = container_of(path)
    if kind == "parquet":
        yield from _parquet(path)
        return
    with opened(path) as file:
        yield from {"jsonl": _lines, "json": _list, "csv": _table}[kind](file, path)


def _lines(file: BinaryIO, path: Path) -> Iterator[Item]:  # noqa: ARG001
    number = done = 0
    while raw := file.readline(MAX_RECORD_BYTES + 1):
        number += 1
        done += len(raw)
        if len(raw) > MAX_RECORD_BYTES:
            while raw and not raw.endswith(b"\n"):  # the rest of an endless line
                raw = file.readline(MAX_RECORD_BYTES)
                done += len(raw)
            yield Item(number, Problem(number, "the line is longer than 16 MiB"), done)
        elif raw.strip():
            yield _line(number, raw.removeprefix(_BOM) if number == 1 else raw, done)


def _line(number: int, raw: bytes, done: int) -> Item:
    try:
        text = raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        kept = raw.decode("utf-8", "replace")[:_KEPT_CHARS]
        return Item(number, Problem(number, "it is not UTF-8 text; save the file as UTF-8", kept), done, kept)
    try:
        return Item(number, json.loads(text, parse_constant=_refuse), done, text[:_KEPT_CHARS])
    except (ValueError, RecursionError):
        return Item(number, Problem(number, "it is not JSON", text[:_KEPT_CHARS]), done)


def _refuse(name: str) -> None:
    raise ValueError(name)


def _list(file: BinaryIO, path: Path) -> Iterator[Item]:
    """The elements of one JSON list, found by their brackets so that one bad element does not cost the others."""
    number = done = 0
    for raw in _elements(file):
        done += len(raw) + 1
        if raw.strip():
            number += 1
            yield _line(number, raw.strip(), done)
    if not number:
        raise BadInput(f"{path.name} is an empty list.", "Give a file with feedback in it.")


def _elements(file: BinaryIO) -> Iterator[bytes]:
    """The bytes between the commas of the outermost list. What follows the list is not read."""
    part, state = bytearray(), _Brackets()
    block = file.read(_BLOCK).removeprefix(_BOM)
    while block:
        start = 0
        for place in state.separators(block):
            if state.depth and not state.begun:
                state.begun, start = True, place + 1
                continue
            yield bytes(part + block[start:place])
            part.clear()
            start = place + 1
            if not state.depth:
                return
        part += block[start:]
        if len(part) > MAX_RECORD_BYTES:
            break
        block = file.read(_BLOCK)
    if part.strip():
        yield bytes(part[:_BLOCK])  # without an end: the file was cut off, or one element is endless


class _Brackets:
    """Follows brackets and strings through the blocks of a JSON file."""

    _OUTSIDE, _INSIDE = re.compile(rb'["\[\]{},]'), re.compile(rb'["\\]')

    def __init__(self) -> None:
        self.depth = 0
        self.begun = False
        self._quoted = False
        self._skip = 0  # characters of the next block that a backslash at the end of this one escapes

    def separators(self, block: bytes) -> Iterator[int]:
        """Where the outermost list begins, where its commas are, and where it ends."""
        place, self._skip = self._skip, 0
        while found := (self._INSIDE if self._quoted else self._OUTSIDE).search(block, place):
            place, sign = found.end(), found.group()
            if sign == b"\\":
                place += 1
                self._skip = max(0, place - len(block))
            elif sign == b'"':
                self._quoted = not self._quoted
            elif sign in b"[{":
                self.depth += 1
                if self.depth == 1:
                    yield found.start()
            elif sign in b"]}":
                self.depth -= 1
                if self.depth == 0:
                    yield found.start()
                    return
            elif self.depth == 1:
                yield found.start()


class _Decoded:
    """A binary file's lines as text for the csv module; bad bytes become U+FFFD, NULs are dropped, and what was read is counted."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.read_bytes = 0
        self._first = True

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        raw = self._file.readline(MAX_RECORD_BYTES)
        if not raw:
            raise StopIteration
        self.read_bytes += len(raw)
        raw, self._first = (raw.removeprefix(_BOM) if self._first else raw), False
        return raw.decode("utf-8", "replace").replace("\0", "")


def _table(file: BinaryIO, path: Path) -> Iterator[Item]:
    """Rows by the names in the first one. An empty cell is none; one that holds JSON (a list, an object) is read as such."""
    lines = _Decoded(file)
    csv.field_size_limit(MAX_CELL_CHARS)
    reader = csv.reader(lines, delimiter="\t" if path.suffix.casefold() == ".tsv" else ",", strict=True)
    names: list[str] | None = None
    number = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as problem:
            number += 1
            yield Item(number, Problem(number, f"the table is damaged there ({problem})"), lines.read_bytes)
            continue
        if names is None:
            names = [name.strip() for name in cells]
            continue
        number += 1
        text = "\t".join(cells)[:_KEPT_CHARS]
        if len(cells) != len(names):
            reason = f"it has {len(cells)} columns; the first row names {len(names)}"
            yield Item(number, Problem(number, reason, text), lines.read_bytes)
        else:
            filled = {name: _cell(cell) for name, cell in zip(names, cells, strict=True) if cell}
            yield Item(number, filled, lines.read_bytes, text)
    if not number:
        raise BadInput(f"{path.name} has no rows.", "The first line names the columns; each further one is a row.")


def _cell(text: str) -> Any:
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError):
            return text
    return text


def _parquet(path: Path) -> Iterator[Item]:
    size = path.stat().st_size
    for number, (value, share) in enumerate(read_parquet(path), 1):
        text = json.dumps(value, ensure_ascii=False, default=str)[:_KEPT_CHARS]
        yield Item(number, value, int(size * share), text)
