"""Tables: CSV as each country's Excel writes it, tabs, and .xlsx where openpyxl is installed (the program's `tables` extra).

The separator is the one under which the first row names most columns and the rows agree with it; a line `sep=;` says it. The first
row names the columns. A cell is a text; JSON is read only in columns that hold structure, so an answer that is JSON stays a text.
"""

import csv
import io
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from typing import Any, BinaryIO

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.feedback.formats.base import as_words
from rlhf_desktop.feedback.formats.documents import is_message
from rlhf_desktop.feedback.formats.items import KEPT_CHARS, MAX_RECORD_BYTES, Item, parse
from rlhf_desktop.feedback.formats.thumbs import may_be_unjudged
from rlhf_desktop.feedback.rows import Problem

MAX_CELL_CHARS = 2 * 10**6
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SEP_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_SNIFFED_CHARS = 2**17
_SNIFFED_ROWS = 100
_NESTED = {  # columns that hold lists and objects: of our formats, as a table writes them
    "completions", "ranks", "ranking", "history", "fields", "responses", "suggestions", "annotations", "predictions", "data",
    "metadata", "meta", "ratings", "scores", "labels", "replies", "tools", "tool_calls", "messages", "conversation",
    "conversations", "conversation_a", "conversation_b", "verdicts", "spans", "options", "answers", "generations",
}  # fmt: skip
_TEXTS = {  # columns whose cells are texts whatever they look like
    "instruction", "output", "system", "question", "answer", "response", "critique", "comment", "annotator", "query", "text",
    "reason",
}  # fmt: skip
_FORMULA = re.compile("'+[=+\\-@\t\r\n＝＋－＠]")

Open = Callable[[], BinaryIO]


@dataclass(frozen=True)
class Dialect:
    """How a text is a table: what separates its columns, and whether its first line only says that."""

    delimiter: str = ","
    said: bool = False


PLAIN = Dialect()


def dialect_of(open_file: Open, encoding: str, suffix: str) -> Dialect:
    """How a text is a table."""
    head = _head(open_file, encoding)
    first = head.split("\n", 1)[0]
    if found := _SEP_LINE.fullmatch(first.strip("\r")):
        return Dialect(found[1], said=True)
    usual = "\t" if suffix in (".tsv", ".tab") else ","
    best = max(DELIMITERS, key=lambda sign: (*_agreement(head, sign), sign == usual))
    return Dialect(best if _agreement(head, best)[0] else usual)


def columns_in(open_file: Open, encoding: str) -> int:
    """How many columns the first row names, if the rows after it agree; 1 for a text that is no table."""
    head = _head(open_file, encoding)
    return max(wide for _rows, wide in (_agreement(head, sign) for sign in DELIMITERS))


def _agreement(head: str, delimiter: str) -> tuple[float, int]:
    """The share of the first rows that are as wide as the first one, and its width; nothing where that is one column."""
    reader = csv.reader(io.StringIO(head.replace("\0", ""), newline=""), delimiter=delimiter, strict=True)
    widths = []
    try:
        for cells in reader:
            if cells:
                widths.append(len(cells))
            if len(widths) > _SNIFFED_ROWS:
                break
    except csv.Error:  # a quote that is not this dialect's, or the last row is cut
        pass
    if not widths or widths[0] < 2:
        return 0.0, 1
    rest = widths[1:] or widths
    agreeing = sum(width == widths[0] for width in rest)
    return round(agreeing / len(rest), 1), widths[0]


def _head(open_file: Open, encoding: str) -> str:
    with io.TextIOWrapper(open_file(), encoding, errors="replace", newline="") as text:  # a look; reading refuses what is damaged
        return text.read(_SNIFFED_CHARS)


def _text(file: BinaryIO, encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(file, encoding, errors="surrogateescape" if encoding.startswith("utf-8") else "strict", newline="")


class _Lines:
    """A table's lines for the csv module, of bounded length; NULs are dropped."""

    def __init__(self, file: BinaryIO, text: io.TextIOWrapper) -> None:
        self._file, self._text = file, text

    @property
    def read_bytes(self) -> int:
        """How far into the file it is, a block ahead of the row; 0 where only the packed file knows."""
        return self._file.tell() if self._file.seekable() else 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_RECORD_BYTES)
        if not line:
            raise StopIteration
        return line.replace("\0", "")


def read_csv(file: BinaryIO, name: str, encoding: str, dialect: Dialect) -> Iterator[Item]:
    """Rows by the names in the first one. An empty cell is none, but for one that says that nobody judged.

    Raises:
        BadInput: it has no rows, or bytes that are not in its encoding.
    """
    csv.field_size_limit(MAX_CELL_CHARS)
    try:
        with _text(file, encoding) as text:
            lines = _Lines(file, text)
            if dialect.said:
                next(lines)
            yield from _records(_rows(lines, dialect.delimiter), name)
    except UnicodeDecodeError as problem:
        hint = "Save it as UTF-8 (in Excel: CSV UTF-8)."
        raise BadInput(f"{name} holds letters that are not in the encoding of the others.", hint, str(problem)) from problem


_Row = tuple[list[str] | str, int]  # cells, or why there are none; and how far into the file


def _rows(lines: _Lines, delimiter: str) -> Iterator[_Row]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        try:
            yield next(reader), lines.read_bytes
        except StopIteration:
            return
        except csv.Error as problem:
            yield f"the table is damaged there ({problem})", lines.read_bytes


def _records(rows: Iterable[_Row], name: str) -> Iterator[Item]:
    names: list[str] | None = None
    number = 0
    for cells, read_bytes in rows:
        if isinstance(cells, list) and not any(cell.strip() for cell in cells):
            continue  # an empty line, or one of separators only
        if names is None and isinstance(cells, list):
            if _is_title(cells):
                continue
            names = _headings(cells)
            continue
        number += 1
        if isinstance(cells, str) or names is None:
            yield Item(number, Problem(number, str(cells)), read_bytes)
        else:
            yield _record(number, names, cells, read_bytes)
    if not number:
        raise BadInput(f"{name} has no rows.", "The first line names the columns; each further one is a row.")


def _is_title(cells: list[str]) -> bool:
    """Whether a row of several columns fills just one: a title above the headings."""
    return len(cells) > 1 and sum(bool(cell.strip()) for cell in cells) == 1


def _headings(cells: list[str]) -> list[str]:
    """The columns' names, each once."""
    names: list[str] = []
    for place, cell in enumerate(cells, 1):
        name = " ".join(cell.split()) or f"column {place}"
        names.append(name if name not in names else f"{name} ({place})")
    return names


def _record(number: int, names: list[str], cells: list[str], read_bytes: int) -> Item:
    text = "\t".join(cells)[:KEPT_CHARS]
    if any("\udc80" <= letter <= "\udcff" for letter in text):
        kept = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return Item(number, Problem(number, "it is not UTF-8 text; save the file as UTF-8", kept), read_bytes)
    extra = cells[len(names) :]
    if len(cells) < len(names) or any(extra):
        reason = f"it has {len(cells)} columns; the first row names {len(names)}"
        return Item(number, Problem(number, reason, text), read_bytes)
    filled = {name: _cell(name, cell) for name, cell in zip(names, cells, strict=False) if cell or may_be_unjudged(as_words(name))}
    return Item(number, filled, read_bytes, text)


def _cell(name: str, text: str) -> Any:
    """What a cell holds: a text, without what keeps a spreadsheet from running it, or the JSON that its column holds."""
    if _FORMULA.match(text):
        return text[1:]
    if text[:1] not in ("[", "{") or name.casefold() in _TEXTS:
        return text
    try:
        value = parse(text)
    except (ValueError, RecursionError):
        return text
    return value if name.casefold() in _NESTED or _is_talk(value) else text


def _is_talk(value: Any) -> bool:
    """Whether it is a conversation, or a turn of one."""
    turns = value.get("messages", [value]) if isinstance(value, dict) else value
    return isinstance(turns, list) and bool(turns) and all(is_message(turn) for turn in turns)


def safe_cell(text: str) -> str:
    """A text as no spreadsheet runs it: one that begins like a formula gets an apostrophe, which reading takes away again."""
    return f"'{text}" if _FORMULA.match(f"'{text}") else text


# --- Excel's own files


def read_xlsx(file: BinaryIO, name: str) -> Iterator[Item]:
    """The rows of every sheet that holds a table; each has headings of its own.

    Raises:
        BadInput: openpyxl is not installed, or the file is damaged.
    """
    try:
        import openpyxl
    except ImportError:
        hint = "Save it as CSV UTF-8, or install the program's “tables” extra (openpyxl)."
        raise BadInput(f"{name} is an Excel workbook, which this installation cannot read.", hint) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and the like, which nobody reads here
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            sheets = [(sheet.title, list(_sheet_rows(sheet))) for sheet in book.worksheets]
    except Exception as problem:  # openpyxl raises whatever its parts do
        raise BadInput(f"{name} is damaged.", "Open it in Excel and save it again, or save it as CSV.", repr(problem)) from problem
    tables = [(title, rows) for title, rows in sheets if _is_table(rows)] or [(title, rows) for title, rows in sheets if rows][:1]
    for title, rows in tables or [("", [])]:
        found = _records(((cells, place) for place, cells in enumerate(rows, 1)), name)
        yield from (replace(item, source=f"sheet {title}") for item in found) if len(tables) > 1 else found


def _is_table(rows: list[list[str]]) -> bool:
    """Whether a sheet has headings and a row under them, in two columns or more."""
    return sum(sum(bool(cell.strip()) for cell in cells) > 1 for cells in rows) > 1


def _sheet_rows(sheet: Any) -> Iterator[list[str]]:
    for row in sheet.iter_rows(values_only=True):
        yield [_written(cell) for cell in row]


def _written(cell: Any) -> str:
    """A cell's value as a CSV file would write it."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return cell.isoformat() if isinstance(cell, date | datetime | time) else str(cell)
