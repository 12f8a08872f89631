"""Answer files (what `generate` and `score` write): read line by line, checked before any work, written whole or not at all."""

import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf_desktop.core.errors import BadInput, NoSpace
from rlhf_desktop.core.files import is_disk_full, write_jsonl
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.rows import Problem, Unusable, prompt_of, read_objects

_SHAPE = 'Each line is a JSON object such as {"prompt": [{"role": "user", "content": "…"}], "completions": [{"text": "…"}]}.'


@dataclass(frozen=True)
class Answer:
    """One answer to a prompt, with the reward model's score if it has been asked.

    Of several scorers the score is the mean, `std` their spread and `least` the lowest. `thought` is what the model thought before.
    """

    text: str
    score: float | None = None
    std: float | None = None
    least: float | None = None
    thought: str = ""

    def as_json(self) -> dict[str, Any]:
        """The form in an answer file; what is not known is left out."""
        numbers = {"score": self.score, "std": self.std, "min": self.least}
        apart = {"thought": self.thought} if self.thought else {}
        return {"text": self.text, **apart, **{name: value for name, value in numbers.items() if value is not None}}


@dataclass(frozen=True)
class AnswerRow:
    """A prompt and the answers to it: one line of an answer file."""

    prompt: Messages
    completions: tuple[Answer, ...]

    @property
    def texts(self) -> list[str]:
        """The answers' texts, in order."""
        return [answer.text for answer in self.completions]

    def as_json(self) -> dict[str, Any]:
        """The row as `generate` and `score` write it."""
        return {"prompt": self.prompt, "completions": [answer.as_json() for answer in self.completions]}


def read_answers(path: Path) -> list[AnswerRow]:
    """The rows of an answer file; a rankings file has the same shape. Used whole or not at all.

    Raises:
        NotFound: there is no such file.
        BadInput: it is empty, or a line cannot be used: says which and why.
    """
    rows = []
    for number, value in read_objects(path):
        try:
            rows.append(_answer_row(value))
        except Unusable as reason:
            raise BadInput(f"{path.name}, line {number}: {reason}.", _SHAPE) from None
    return rows


def _answer_row(value: Any) -> AnswerRow:
    if isinstance(value, Problem):
        raise Unusable(value.reason)
    if not isinstance(value, dict) or "prompt" not in value:
        raise Unusable("it has no “prompt”")
    completions = value.get("completions")
    if not isinstance(completions, list) or not completions:
        raise Unusable("it has no “completions”")
    return AnswerRow(prompt_of(value["prompt"]), tuple(_answer(part) for part in completions))


def _answer(value: Any) -> Answer:
    """An answer may be empty: a model that says nothing is scored like any other."""
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise Unusable("a completion has no “text”")
    score, thought = value.get("score"), value.get("thought")
    known = score if isinstance(score, int | float) and not isinstance(score, bool) else None
    return Answer(value["text"], known, thought=thought if isinstance(thought, str) else "")


def write_answers(path: Path, rows: Iterable[AnswerRow]) -> None:
    """Write the rows as JSON lines, whole or not at all."""
    write_rows(path, (row.as_json() for row in rows))


def write_rows(path: Path, rows: Iterable[Any]) -> None:
    """Write JSON lines, whole or not at all, with troubles said in plain words."""
    with disk_troubles(path):
        write_jsonl(path, rows)


def check_output(path: Path, expected_bytes: int = 0) -> None:
    """Refuse, before the work begins, a path that could not be written when it ends.

    Raises:
        BadInput: it is a folder, or may not be written.
        NoSpace: the disk has less room than `expected_bytes`.
    """
    if path.is_dir():
        raise BadInput(f"{path} is a folder.", "Give the name of a file to write.")
    with disk_troubles(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if shutil.disk_usage(path.parent).free < expected_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def disk_troubles(path: Path) -> Iterator[None]:
    """Say in plain words why a file could not be written. What was there before is untouched: writes are atomic."""
    try:
        yield
    except OSError as problem:
        if is_disk_full(problem):
            raise no_space(path.name) from problem
        message = f"{path} could not be written: {problem.strerror or problem}."
        raise BadInput(message, "Nothing was changed. Choose a place you may write to.", str(problem)) from problem


def no_space(what: str) -> NoSpace:
    """The trouble of a full disk, as every command says it."""
    return NoSpace(f"The disk is full: {what} could not be written.", "Nothing was half-written. Free some space and try again.")
