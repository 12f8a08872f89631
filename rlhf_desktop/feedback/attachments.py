"""Files attached to a question: how their text stands in the prompt, and how a screen finds it there again.

A prompt with files is one text, the same for the model, the judgement, training and every export:

    File: contract.pdf (pages 1-3 of 12)
    ```text
    …what was read of the file…
    ```

    The question.

The question stands last, where a model that has read pages still remembers it. The fence is longer than any in the file's own text,
so nothing a file says can end it.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from rlhf_desktop.core.errors import BadInput

Unit = Literal["page", "part"]
LONGEST_NAME = 80
_PART_CHARS = 3000  # of a text without pages: about a printed page
_ASCII = re.compile(r"[\x00-\x7f]+")
_SIGNS = re.compile(r"[!-@\[-`{-~]+")  # digits and punctuation
_WIDE = re.compile(r"[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60\U00020000-\U0003ffff]+")
_FRAMED = re.compile(
    r"File: (?P<name>[^\n]+?)(?: \((?P<which>(?:pages?|parts?) [\d, -]+ of \d+)\))?\n"
    r"(?P<fence>`{3,})text\n(?P<text>.*?)\n(?P=fence)\n\n",
    re.DOTALL,
)


@dataclass(frozen=True)
class Document:
    """What was read of a file.

    Attributes:
        name: The file's, without folders and without anything that could break a line.
        size_bytes: Of the file.
        parts: The text of each page, or of each piece of a text that has no pages.
        unit: Which of the two they are.
        total: How many pages the file has; more than `parts` where reading ended early.
        note: What the user should know of how it was read; "" when there is nothing.
    """

    name: str
    size_bytes: int
    parts: tuple[str, ...]
    unit: Unit = "part"
    total: int = 0
    note: str = ""


@dataclass(frozen=True)
class AttachedText:
    """One file's text as it stands in a prompt. `which` says which pages or parts: "pages 1-3 of 12", or "" for all there is."""

    name: str
    which: str
    text: str


@dataclass(frozen=True)
class Attachment:
    """A document with the pages or parts of it that are to be sent, by number from 1. `which`: said of a text that came so."""

    document: Document
    chosen: tuple[int, ...] = ()
    which: str = ""

    @classmethod
    def whole(cls, document: Document) -> "Attachment":
        """All that was read."""
        return cls(document, tuple(range(1, len(document.parts) + 1)))

    @classmethod
    def again(cls, text: AttachedText) -> "Attachment":
        """A file of a question that is written once more: the text it had, whatever has become of the file."""
        return cls(Document(text.name, 0, (text.text,), "part", 1), (1,), text.which)

    @cached_property
    def tokens(self) -> int:
        """About how many it has."""
        return estimated_tokens(self.attached.text)

    @cached_property
    def attached(self) -> AttachedText:
        """What is to stand in the prompt."""
        texts = [self.document.parts[number - 1].strip() for number in self.chosen]
        return AttachedText(self.document.name, self._which(), "\n\n".join(text for text in texts if text))

    def _which(self) -> str:
        if self.which:
            return self.which
        total = max(self.document.total, len(self.document.parts))
        if len(self.chosen) == total:
            return ""
        unit = self.document.unit + ("" if len(self.chosen) == 1 else "s")
        return f"{unit} {ranges_said(self.chosen)} of {total}"


def clean_name(name: str) -> str:
    """A file's name as it may stand in a prompt: one line, visible characters only, not endless."""
    shown = "".join(" " if unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp", "Cs") else letter for letter in name)
    shown = " ".join(shown.replace("`", "'").split()) or "file"
    if len(shown) <= LONGEST_NAME:
        return shown
    head, dot, suffix = shown.rpartition(".")
    tail = f"{dot}{suffix}" if head and len(suffix) <= 8 else ""
    return shown[: LONGEST_NAME - 1 - len(tail)] + "…" + tail


def with_files(question: str, files: Iterable[AttachedText]) -> str:
    """The prompt: each file's text in a fence with its name, then the question."""
    framed = []
    for file in files:
        which = f" ({file.which})" if file.which else ""
        fence = _fence(file.text)
        framed.append(f"File: {file.name}{which}\n{fence}text\n{file.text}\n{fence}\n\n")
    return "".join(framed) + question.strip()


def as_markdown(file: AttachedText) -> str:
    """A file's text so that a screen shows it letter by letter."""
    fence = _fence(file.text)
    return f"{fence}text\n{file.text}\n{fence}"


def _fence(text: str) -> str:
    """One that does not stand in the text."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    return "`" * (longest + 1)


def split_files(content: str) -> tuple[str, tuple[AttachedText, ...]]:
    """The question of a prompt, and the files whose text stands before it."""
    files, at = [], 0
    while found := _FRAMED.match(content, at):
        files.append(AttachedText(found["name"], found["which"] or "", found["text"]))
        at = found.end()
    return content[at:], tuple(files)


def in_short(content: str) -> str:
    """A prompt for a report: the question, and the names of its files."""
    question, files = split_files(content)
    names = [f"{file.name}, {file.which}" if file.which else file.name for file in files]
    return f"{question} [{'; '.join(names)}]" if names else content


def texts_in(content: str) -> tuple[str, ...]:
    """A message, and, where files stand in it, its parts: each may stand somewhere by itself."""
    question, files = split_files(content)
    return (content, in_short(content), question, *(file.text for file in files)) if files else (content,)


def question_of(content: str) -> str:
    """A prompt in few words: the question, or the file's name where there is none."""
    question, files = split_files(content)
    return question if question.strip() or not files else files[0].name


# --- pages and parts


def in_parts(text: str) -> tuple[str, ...]:
    """A text without pages, cut between paragraphs into pieces of about a page; a longer paragraph between lines, then anywhere."""
    parts: list[str] = []
    for piece in _pieces(text):
        if parts and len(parts[-1]) + len(piece) <= _PART_CHARS:
            parts[-1] += piece
        else:
            parts.append(piece)
    return tuple(part.strip("\n") for part in parts if part.strip())


def _pieces(text: str) -> Iterable[str]:
    for paragraph in re.split(r"(?<=\n)(?=\n)", text):
        if len(paragraph) <= _PART_CHARS:
            yield paragraph
            continue
        for line in paragraph.splitlines(keepends=True):
            yield from (line[start : start + _PART_CHARS] for start in range(0, len(line), _PART_CHARS))


def parse_ranges(said: str, most: int, unit: Unit = "page") -> tuple[int, ...]:
    """Numbers from "1-3, 7", in order and once each.

    Raises:
        BadInput: that is no list of numbers, or one of them is not between 1 and `most`.
    """
    chosen: set[int] = set()
    for piece in re.split(r"[,;\s]+(?![-–])", re.sub(r"\s*[-–]\s*", "-", said.strip())):
        found = re.fullmatch(r"(\d{1,6})?(-)?(\d{1,6})?", piece)
        if found is None or not piece.strip("-"):
            raise BadInput(f"“{said}” is no list of {unit}s.", f"Write numbers and ranges, for example 1-3, 7. There are {most}.")
        first, dash, last = found.groups()
        low = int(first or 1)
        high = int(last or most) if dash else low
        if not 1 <= low <= high <= most:
            raise BadInput(f"There is no {unit} {piece}.", f"Give numbers from 1 to {most}, for example 1-3, 7.")
        chosen.update(range(low, high + 1))
    return tuple(sorted(chosen))


def ranges_said(numbers: Sequence[int]) -> str:
    """Numbers in few words: "1-3, 7"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


# --- how much it is


def estimated_tokens(text: str) -> int:
    """About how many tokens a text is; models differ by a quarter either way.

    English is about four characters a token, other alphabets two, and writings without spaces one.
    """
    other = len(_ASCII.sub("", text))
    digits = sum(map(len, _SIGNS.findall(text)))
    wide = sum(map(len, _WIDE.findall(text))) if other else 0
    return round((len(text) - other - digits) / 4.4 + digits / 1.3 + (other - wide) / 2 + wide)


def that_fit(attachment: Attachment, room_tokens: int) -> tuple[int, ...]:
    """The chosen pages, from the first on, that are no more than so many tokens together."""
    kept: list[int] = []
    for number in attachment.chosen:
        room_tokens -= estimated_tokens(attachment.document.parts[number - 1])
        if room_tokens < 0:
            break
        kept.append(number)
    return tuple(kept)
