"""Reading a file that somebody attaches to a question: in a process of its own, which is killed when it takes too much."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from rlhf_desktop.core.commands import package_parent, worker_environment
from rlhf_desktop.core.errors import AppError, BadInput, NotFound
from rlhf_desktop.core.families import language_part
from rlhf_desktop.core.platform import kill_group, start_child, usage
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.core.words import count, noun
from rlhf_desktop.feedback.attachments import Attachment, Document, clean_name, estimated_tokens, parse_ranges, with_files
from rlhf_desktop.feedback.extraction import CPU_LIMIT_S, MEMORY_BYTES, Extracted
from rlhf_desktop.feedback.rows import MAX_TEXT_CHARS

MOST_BYTES = 50 * 2**20
KINDS = "PDF, Word (.docx) or text"
_WALL_LIMIT_S = 300.0  # a busy machine is slow without being attacked
_LOOK_EVERY_S = 0.5
_READS = f"The files that can be read are {KINDS}: Markdown, CSV, source code and the like."
_UNREADABLE = {
    "empty": ("There is no text in {name}.", "Check that it is the right file."),
    "locked": ("{name} is locked with a password.", "Save a copy without the password, and attach that."),
    "scanned": (
        "The pages of {name} are pictures without text, as a scanner makes them.",
        "Have a text recognition (OCR) program add the text, or type what matters.",
    ),
    "pages": (
        "The pages of {name} cannot be read: they are damaged, or grow beyond measure.",
        "Print it into a new PDF with the program you read it in, and attach that.",
    ),
    "damaged": ("{name} is damaged.", "Open it in the program it comes from, save it again, and attach that."),
    "binary": ("{name} is no text.", _READS),
    "old word": ("{name} is an old Word or Excel file.", "Save it as .docx or PDF, and attach that."),
    "word locked": ("{name} is locked with a password.", "Save a copy without the password, and attach that."),
    "zip": ("{name} is an archive or a file of another program.", f"Unpack it, or save it as PDF. {_READS}"),
    "picture": ("{name} is a picture, and pictures are not read.", "Have a text recognition (OCR) program make a text of it."),
    "bomb": ("{name} grows beyond measure when it is unpacked.", "It may mean harm. Save it as PDF if you trust it."),
    "memory": ("{name} needs too much memory to read.", "Attach the pages you need as a file of their own."),
    "letters": ("The letters of {name} are in no encoding that is known.", "Save it as UTF-8."),
}


def read_document(path: Path) -> Document:
    """The text of a file. Takes from half a second to minutes: not for the window's own thread.

    Raises:
        NotFound: there is no such file.
        BadInput: it is too large, of another kind, locked, damaged, a scan, or takes too long; each with its remedy.
    """
    name = clean_name(path.name)
    with _opened(path, name) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes > MOST_BYTES:
            raise BadInput(f"{name} is larger than {MOST_BYTES >> 20} MB.", "Attach the pages you need as a file of their own.")
        said = _extracted(file, name)
    if said.reason is not None:
        message, hint = _UNREADABLE[said.reason]
        raise BadInput(message.format(name=name), hint, said.detail)
    return Document(name, size_bytes, tuple(said.parts), said.unit, max(said.total, len(said.parts)), _note(said))


def _opened(path: Path, name: str) -> BinaryIO:
    try:
        if path.exists() and not path.is_file():
            raise BadInput(f"{name} is a folder or no ordinary file.", "Attach files, one by one.")
        return path.open("rb")
    except FileNotFoundError:
        raise NotFound(f"There is no file “{name}”.", "Check its name and folder.", str(path)) from None
    except OSError as problem:
        raise BadInput(
            f"{name} cannot be read.", "Check that it belongs to you and is on this computer.", repr(problem)
        ) from problem


def _extracted(file: BinaryIO, name: str) -> Extracted:
    """What the process says of a file, which it is given open: it opens none itself."""
    command = [sys.executable, "-B", "-m", "rlhf_desktop.feedback.extraction"]
    process = start_child(
        command, cwd=package_parent(), env=worker_environment(), stdin=file.fileno(), output=subprocess.PIPE,
        errors=subprocess.DEVNULL, memory_bytes=MEMORY_BYTES,
    )  # fmt: skip
    with process:
        try:
            return Extracted.model_validate_json(_reply(process))
        except (ValidationError, subprocess.TimeoutExpired) as problem:
            kill_group(process.pid)
            message = f"{name} takes too long or too much memory to read, so reading was stopped."
            raise BadInput(message, "Attach the pages you need as a file of their own.", repr(problem)[:300]) from problem


def _reply(process: "subprocess.Popen[bytes]") -> bytes:
    """All that it says. Its limits are watched from here too: not every system enforces them.

    Raises:
        TimeoutExpired: it takes too long, or too much.
    """
    end = time.monotonic() + _WALL_LIMIT_S
    while True:
        try:
            return process.communicate(timeout=_LOOK_EVERY_S)[0]
        except subprocess.TimeoutExpired:
            used = usage(process.pid)
            if time.monotonic() > end or used.cpu_s > CPU_LIMIT_S or used.rss_bytes > MEMORY_BYTES:
                raise


def _note(said: Extracted) -> str:
    if said.cut and said.unit == "page":
        return f"Only the first {len(said.parts)} of {count(said.total, 'page')} were read."
    if said.cut:
        return "It is very long: only its beginning was read."
    if said.failed:
        return f"{said.failed} of {count(said.total, 'page')} could not be read."
    if said.empty:
        return f"{said.empty} of {count(said.total, 'page')} {noun(said.empty, 'has', 'have')} no text: a picture, perhaps."
    return ""


# --- what may be sent


def choose_parts(document: Document, said: str) -> Attachment:
    """The pages or parts the user names ("1-3, 7"; "" for all).

    Raises:
        BadInput: they are none of the file's.
    """
    if not said.strip():
        return Attachment.whole(document)
    return Attachment(document, parse_ranges(said, len(document.parts), document.unit))


def prompt_with(question: str, attachments: list[Attachment]) -> str:
    """The question with what was chosen of its files, as it is sent, judged and learned from.

    Raises:
        BadInput: it is longer than any question may be.
    """
    prompt = with_files(question, [attachment.attached for attachment in attachments])
    if attachments and len(prompt) > MAX_TEXT_CHARS:
        raise BadInput(
            f"With its files the question has {len(prompt):,} characters; at most {MAX_TEXT_CHARS:,} can be kept and learned from.",
            "Choose fewer pages, or remove a file.",
        )
    return prompt


def context_tokens(base: ModelRef | None) -> int | None:
    """How many tokens a model reads at once, by its folder; None: it does not say."""
    try:
        config = json.loads((Path(base.path) / "config.json").read_bytes()) if base else {}
        return int(language_part(config)["max_position_embeddings"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def room_beside_answer(reads: int | None, answer_tokens: int, instructions: str = "") -> int | None:
    """About how many tokens a question may have. None: nobody knows how much the model reads."""
    if reads is None:
        return None
    frame = 64  # what a template writes around a turn
    return max(0, reads - answer_tokens - estimated_tokens(instructions) - frame)


def fit_trouble(prompt: str, room_tokens: int | None) -> AppError | None:
    """What to say of a question that the model cannot take whole; None: it can, or nobody knows."""
    tokens = estimated_tokens(prompt)
    if room_tokens is None or tokens <= room_tokens:
        return None
    return BadInput(
        f"This is about {count(tokens, 'token')}, and the model takes {room_tokens:,} beside its answer.",
        "Choose fewer pages, remove a file, or use a model that reads more at once.",
    )
