"""`python -m rlhf_desktop.feedback.extraction`: the text of a PDF, Word or text file, from its bytes on stdin, as JSON on stdout.

The file may come from anybody and its reader is a large program, so this is a process of its own: with little memory, a limit of
time, no network, no secrets, and no right to write a file. It opens nothing itself; XML entities are not looked up.
"""

import codecs
import io
import logging
import re
import sys
import time
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Literal

from rlhf_desktop.core import kernel_guard, offline
from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.limits import forbid_writing, limit_cpu, limit_memory
from rlhf_desktop.core.runs import Value
from rlhf_desktop.feedback.attachments import in_parts

MEMORY_BYTES = 1 << 30
CPU_LIMIT_S = 60.0
MOST_PAGES = 500
MOST_CHARS = 1_000_000  # a thick book has as many
_ENOUGH_S = 40.0  # then what was read so far is given
_MOST_UNPACKED_BYTES = 256 * 2**20
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_LIGATURES = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)}
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")

Reason = Literal[
    "empty",
    "locked",
    "scanned",
    "damaged",
    "binary",
    "old word",
    "word locked",
    "zip",
    "picture",
    "bomb",
    "memory",
    "letters",
    "pages",
]


class Extracted(Value):
    """What the process says: texts, or a reason for none."""

    unit: Literal["page", "part"] = "part"
    parts: list[str] = []
    total: int = 0  # pages of the file
    empty: int = 0  # pages without text among those read
    failed: int = 0  # of them, pages that could not be read
    cut: bool = False  # reading ended early
    reason: Reason | None = None
    detail: str = ""


class Unreadable(Exception):
    """The file has no text that can be had here, for one of the reasons."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(detail)
        self.reason: Reason = reason


def extract(data: bytes) -> Extracted:
    """The text of a file, told by its content and not by its name."""
    try:
        return _reader_of(data)(data)
    except Unreadable as problem:
        return Extracted(reason=problem.reason, detail=str(problem))
    except MemoryError:
        return Extracted(reason="memory")
    except RecursionError:
        return Extracted(reason="damaged", detail="nested without end")
    except Exception as problem:  # whatever the readers raise on a damaged file
        return Extracted(reason="damaged", detail=repr(problem)[:500])


def _reader_of(data: bytes) -> Callable[[bytes], Extracted]:
    if b"%PDF-" in data[:1024]:
        return _pdf
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _docx
    if data.startswith(_OLE):
        raise Unreadable("word locked" if "EncryptedPackage".encode("utf-16-le") in data else "old word")
    if data.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\x00", b"MM\x00*")) or data[8:12] == b"WEBP":
        raise Unreadable("picture")
    return _text


# --- PDF


def _pdf(data: bytes) -> Extracted:
    import pypdf

    reader = pypdf.PdfReader(io.BytesIO(data))
    if reader.is_encrypted:
        _unlock(reader)
    total = len(reader.pages)
    problems: list[str] = []
    texts = _while_time(_page_text(reader, number, problems) for number in range(min(total, MOST_PAGES)))
    if total and not any(texts):
        raise Unreadable("pages" if problems else "scanned", f"{total} pages; {problems[:1]}")
    empty, cut = sum(not text for text in texts), len(texts) < total
    return _found(texts, Extracted(unit="page", parts=texts, total=total, empty=empty, failed=len(problems), cut=cut))


def _unlock(reader: Any) -> None:
    """Many files are only kept from being changed: those open without a password."""
    try:
        opened = reader.decrypt("")
    except Exception as problem:  # a cipher that this installation lacks among them
        raise Unreadable("locked", repr(problem)[:200]) from problem
    if not opened:
        raise Unreadable("locked")


def _page_text(reader: Any, number: int, problems: list[str]) -> str:
    """A page that cannot be read is empty: the others may be well."""
    try:
        return cleaned(reader.pages[number].extract_text())
    except (MemoryError, RecursionError):
        raise
    except Exception as problem:  # whatever pypdf stumbles over, and its own limits
        problems.append(repr(problem)[:200])
        return ""


def _while_time(texts: Iterator[str]) -> list[str]:
    """As many as may be had within the time and the length that is read of a file."""
    kept: list[str] = []
    left, began_s = MOST_CHARS, time.process_time()
    for text in texts:
        kept.append(text[:left])
        left -= len(text)
        if left <= 0 or time.process_time() - began_s > _ENOUGH_S:
            break
    return kept


# --- Word


def _docx(data: bytes) -> Extracted:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
    if "word/document.xml" not in {entry.filename for entry in entries}:
        raise Unreadable("zip")
    if sum(entry.file_size for entry in entries) > _MOST_UNPACKED_BYTES:
        raise Unreadable("bomb")
    import docx

    document = docx.Document(io.BytesIO(data))
    lines = _while_time(_word_lines(document))
    text = cleaned("\n".join(lines))
    return _found([text], Extracted(parts=list(in_parts(text)), cut=sum(map(len, lines)) >= MOST_CHARS))


def _word_lines(document: Any) -> Iterator[str]:
    """Paragraphs and tables in their order, headings and lists as in Markdown."""
    import docx.table

    for block in document.iter_inner_content():
        if isinstance(block, docx.table.Table):
            yield from _table_lines(block)
        else:
            yield _marked(block) + "\n"


def _marked(paragraph: Any) -> str:
    style = (paragraph.style.name or "") if paragraph.style is not None else ""
    heading = re.fullmatch(r"Heading (\d)", style)
    mark = "#" * int(heading[1]) + " " if heading else "- " if style.startswith("List") else ""
    return mark + paragraph.text if paragraph.text.strip() else ""


def _table_lines(table: Any) -> Iterator[str]:
    for line in islice(table.rows, 10_000):
        cells = {id(cell._tc): " ".join(cell.text.split()) for cell in line.cells}  # a merged one stands in several places
        yield " | ".join(cells.values())
    yield ""


# --- plain text


def _text(data: bytes) -> Extracted:
    from rlhf_desktop.feedback.formats.encodings import encoding_of

    head = data if len(data) <= 4 * MOST_CHARS else data[: data.rfind(b"\n", 0, 4 * MOST_CHARS) + 1] or data[: 4 * MOST_CHARS]
    try:
        encoding = encoding_of(lambda: io.BytesIO(head), "the file")
    except BadInput as problem:
        raise Unreadable("binary" if b"\0" in head else "letters") from problem
    if b"\0" in head and not encoding.startswith(("utf-16", "utf-32")):
        raise Unreadable("binary")
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head)
    read = cleaned(text[:MOST_CHARS])
    return _found([read], Extracted(parts=list(in_parts(read)), cut=len(data) > len(head) or len(text) > MOST_CHARS))


# --- for all


def cleaned(text: str) -> str:
    """A text without what nobody sees: controls, halves of characters, spaces at the end of lines, rows of empty lines."""
    text = _UNSEEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n").translate(_LIGATURES))
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t\xa0]+\n", "\n", text + "\n")).strip("\n")


def _found(texts: list[str], made: Extracted) -> Extracted:
    if not any(text.strip() for text in texts):
        raise Unreadable("empty")
    return made


def main() -> None:
    """One file."""
    offline.begin()
    limit_memory(MEMORY_BYTES)
    limit_cpu(CPU_LIMIT_S)
    forbid_writing()
    logging.disable(logging.CRITICAL)  # readers warn of every small irregularity
    said = extract(sys.stdin.buffer.read())
    sys.stdout.buffer.write(said.model_dump_json().encode())
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    kernel_guard.hold()
    main()
