"""JSON in all the ways it is written: a line each, one list, one object over many lines, a list within an object, columns.

Lines and lists are read piece by piece, whatever their size. What cannot be read comes as a `Problem` with its place.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.feedback.formats.items import KEPT_CHARS, MAX_RECORD_BYTES, Item, as_text, parse
from rlhf_desktop.feedback.rows import Problem

MAX_WHOLE_BYTES = 256 * 2**20  # of a file that is one object over many lines
_BLOCK = 2**16
_BOM = b"\xef\xbb\xbf"
_WRAPPERS = {
    "data", "rows", "items", "examples", "records", "instances", "samples", "entries", "results", "train", "training", "test",
    "validation", "valid", "dev", "eval", "dataset", "feedback", "feedbacks", "judgements", "judgments", "chats",
    "conversations", "threads", "list", "content", "tasks",
}  # fmt: skip
_PARTS = {"messages", "chat_messages", "completions", "responses", "answers", "replies", "annotations"}  # of one record
_MESSAGE_KEYS = ({"role", "content"}, {"from", "value"}, {"role", "text"})
_LIST = re.compile(rb"\[\s*(\{|\]|$)")  # of records
_PLAIN = (str, int, float, bool, type(None))

Open = Callable[[], BinaryIO]


def read_json(open_file: Open, name: str) -> Iterator[Item]:
    """The records of a JSON file, however it is laid out.

    Raises:
        BadInput: it is an empty list.
    """
    with open_file() as file:
        head = file.read(4096).removeprefix(_BOM).lstrip()
    if _LIST.match(head) and not _is_list_a_line(open_file):
        with open_file() as file:
            yield from _unwrapped(_list(file, name))
        return
    whole = None if _begins_with_a_record(open_file) else _whole(open_file)
    if whole is not None:
        yield from _unwrapped(iter(whole))
        return
    with open_file() as file:
        yield from _unwrapped(_lines(file))


# --- a line each


def _first_line(file: BinaryIO) -> bytes:
    for _ in range(1000):
        line = file.readline(MAX_RECORD_BYTES + 1)
        if not line or line.removeprefix(_BOM).strip():
            return line.removeprefix(_BOM).strip()
    return b""


def _is_list_a_line(open_file: Open) -> bool:
    """Whether the first line is a list by itself and another one follows: lines, none of which is a record."""
    with open_file() as file:
        first, second = _first_line(file), file.readline(MAX_RECORD_BYTES + 1).strip()
    return bool(second) and _is_json(first) and _is_json(second)


def _begins_with_a_record(open_file: Open) -> bool:
    with open_file() as file:
        return _is_json(_first_line(file))


def _is_json(line: bytes) -> bool:
    try:
        parse(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return False
    return True


def _lines(file: BinaryIO) -> Iterator[Item]:
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
            yield _record(number, raw.removeprefix(_BOM) if number == 1 else raw, done)


def _record(number: int, raw: bytes, done: int) -> Item:
    try:
        text = raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        kept = raw.decode("utf-8", "replace")[:KEPT_CHARS]
        return Item(number, Problem(number, "it is not UTF-8 text; save the file as UTF-8", kept), done, kept)
    try:
        return Item(number, parse(text), done, text[:KEPT_CHARS])
    except (ValueError, RecursionError):
        return Item(number, Problem(number, "it is not JSON", text[:KEPT_CHARS]), done)


# --- one object over many lines, or several one after the other


def _whole(open_file: Open) -> list[Item] | None:
    """The objects of a file that is not laid out in lines; None where it is not JSON as a whole."""
    with open_file() as file:
        raw = file.read(MAX_WHOLE_BYTES + 1)
    if len(raw) > MAX_WHOLE_BYTES:
        return None
    try:
        found = _one_after_the_other(raw.decode("utf-8-sig"), len(raw))
    except (ValueError, RecursionError):
        return None
    sizes = [item.read_bytes - before for before, item in zip([0, *(item.read_bytes for item in found)], found, strict=False)]
    return found if len(found) == 1 or max(sizes, default=0) <= MAX_RECORD_BYTES else None


def _one_after_the_other(text: str, size: int) -> list[Item]:
    decoder = json.JSONDecoder(parse_constant=lambda _name: None)
    found: list[Item] = []
    place = len(text) - len(text.lstrip())
    while place < len(text):
        value, end = decoder.raw_decode(text, place)
        line = text.count("\n", 0, place) + 1
        found.append(Item(line, value, size * end // len(text), text[place:end][:KEPT_CHARS]))
        rest = text[end:]
        place = end + len(rest) - len(rest.lstrip(" \t\r\n,"))
    return found


# --- a list within an object, and columns


def _unwrapped(items: Iterator[Item]) -> Iterator[Item]:
    """The records; where a file holds only one object, those that it may wrap."""
    first = next(items, None)
    if first is None:
        return
    second = next(items, None)
    if second is not None or not isinstance(first.value, dict):
        yield first
        if second is not None:
            yield second
        yield from items
        return
    parts = _parts(first.value)
    if parts is None:
        yield first
        return
    for number, part in enumerate(parts, 1):
        yield Item(number, part, first.read_bytes * number // len(parts), as_text(part))


def _parts(value: dict[str, Any]) -> list[Any] | None:
    """The records that an object wraps: the list under a usual name, or its columns. None where it is a record itself."""
    lists = {name: part for name, part in value.items() if _is_list_of_records(part)}
    usual = [part for name, part in lists.items() if name.casefold() in _WRAPPERS]
    if not usual and len(lists) == 1 and len(value) == 1 and not lists.keys() & _PARTS:
        usual = list(lists.values())
    if usual:
        return [_inner(record) for part in usual for record in part]
    return _columns(value) or _split(value)


def _is_list_of_records(part: Any) -> bool:
    return isinstance(part, list) and bool(part) and all(isinstance(r, dict) and not is_message(r) for r in part[:20])


def is_message(value: Any) -> bool:
    """Whether it is one turn of a conversation."""
    return isinstance(value, dict) and any(keys <= value.keys() for keys in _MESSAGE_KEYS)


def _inner(record: Any) -> Any:
    """A row as the Hub's viewer gives it stands under “row”."""
    row = record.get("row") if isinstance(record, dict) else None
    return row if isinstance(row, dict) and "row_idx" in record else record


def _columns(value: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Records from one list, or one object of numbered values, for each column (what pandas writes)."""
    if len(value) < 2:
        return None
    columns = {name: list(part.values()) if _is_numbered(part) else part for name, part in value.items()}
    by_number = all(_is_numbered(part) for part in value.values())
    plain = all(isinstance(part, list) and all(isinstance(cell, _PLAIN) for cell in part) for part in columns.values())
    if not (by_number or plain) or len({len(part) for part in columns.values()}) != 1:
        return None
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows] or None


def _is_numbered(part: Any) -> bool:
    return isinstance(part, dict) and bool(part) and all(re.fullmatch(r"\d+", key) for key in part)


def _split(value: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Records from “columns” and “data”, as pandas splits them."""
    names, data = value.get("columns"), value.get("data")
    if not isinstance(names, list) or not isinstance(data, list) or not all(isinstance(name, str) for name in names):
        return None
    if not data or not all(isinstance(row, list) and len(row) == len(names) for row in data):
        return None
    return [dict(zip(names, row, strict=True)) for row in data]


# --- one list


def _list(file: BinaryIO, name: str) -> Iterator[Item]:
    """The elements of one JSON list, found by their brackets so that one bad element does not cost the others."""
    number = done = 0
    for raw in _elements(file):
        done += len(raw) + 1
        if raw.strip():
            number += 1
            yield replace(_record(number, raw.strip(), done), number=number)
    if not number:
        raise BadInput(f"{name} is an empty list.", "Give a file with feedback in it.")


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
