"""Feedback as it crosses files: the rows, the checks that every format shares, and reading a file line by line."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.core.messages import Message, Messages, Role
from rlhf_desktop.feedback.judgements import Demonstrated, Judgement, Ranking, Verdict, dense, in_order

MAX_TEXT_CHARS = 32_768
_MAX_LINE_BYTES = 64 * 2**20
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class RankingRow:
    """Answers to one prompt with their ranks: 1 is best, equal ranks are ties."""

    prompt: Messages
    completions: tuple[str, ...]
    ranks: tuple[int, ...]
    annotator: str = ""
    confidence: float | None = None

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What was said of the completions."""
        return (Ranking(self.ranks),)

    @property
    def critique(self) -> str:
        """Why: a ranking with a reason is a `JudgedRow`."""
        return ""


@dataclass(frozen=True)
class DemonstrationRow:
    """An answer to imitate."""

    prompt: Messages
    completion: str
    annotator: str = ""

    @property
    def completions(self) -> tuple[str, ...]:
        """The answer."""
        return (self.completion,)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """It is an example."""
        return (Demonstrated(),)

    @property
    def confidence(self) -> None:
        """Nobody is asked how sure they are of an example."""
        return

    @property
    def critique(self) -> str:
        """An example speaks for itself."""
        return ""


@dataclass(frozen=True)
class JudgedRow:
    """Answers to one prompt with all that was said of them, in any of the forms."""

    prompt: Messages
    completions: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    annotator: str = ""
    confidence: float | None = None
    critique: str = ""


@dataclass(frozen=True)
class UnjudgedRow:
    """A question with one or more answers of which nobody has said anything: it is there to be judged, and is no judgement."""

    prompt: Messages
    completions: tuple[str, ...]
    annotator: str = ""
    verdicts: tuple[Verdict, ...] = ()
    confidence: float | None = None
    critique: str = ""


@dataclass(frozen=True)
class Problem:
    """A row that could not be used, and why, in one plain sentence. Lines (of a list or table: records) count from 1."""

    line: int
    reason: str
    text: str = ""  # the row as it stood, so that it can be mended


class Unusable(ValueError):
    """Why one row cannot be used. Readers turn it into a `Problem` with the line's number, or into `BadInput`."""


FeedbackRow = RankingRow | DemonstrationRow | JudgedRow | UnjudgedRow


def row_of(
    prompt: Messages,
    completions: Sequence[str],
    verdicts: Iterable[Verdict],
    annotator: str = "",
    confidence: float | None = None,
    critique: str = "",
) -> FeedbackRow:
    """The plainest row that holds all this, checked as a judgement is.

    Raises:
        Unusable: the parts do not fit each other.
    """
    texts, said = tuple(completions), in_order(verdicts)
    if not said:
        raise Unusable("nothing is said of the answers")
    try:
        Judgement("", annotator, tuple(map(str, range(len(texts)))), said[0], confidence=confidence, also=said[1:])
    except BadInput as problem:
        raise Unusable(problem.message.rstrip(".").lower()) from None
    only = said[0] if len(said) == 1 and not critique else None
    if isinstance(only, Ranking) and only.strength is None:
        return RankingRow(prompt, texts, dense(only.ranks), annotator, confidence)
    if isinstance(only, Demonstrated):
        return DemonstrationRow(prompt, texts[0], annotator)
    return JudgedRow(prompt, texts, said, annotator, confidence, critique)


def text_of(value: Any, what: str, max_chars: int = MAX_TEXT_CHARS) -> str:
    """`value` as a text to learn from.

    Raises:
        Unusable: not a text, empty, too long, or holding half of a character (a lone surrogate, which no file can hold).
    """
    if not isinstance(value, str):
        raise Unusable(f"the {what} is not a text")
    if not value.strip():
        raise Unusable(f"the {what} is empty")
    if len(value) > max_chars:
        raise Unusable(f"the {what} has {len(value):,} characters; at most {max_chars:,} can be used")
    if _HALF_CHARACTER.search(value):
        raise Unusable(f"the {what} holds half of a character")
    return value


def message_of(value: Any) -> Message:
    """`value` as a chat message."""
    if not isinstance(value, dict) or "role" not in value or "content" not in value:
        raise Unusable('a message is not an object with "role" and "content"')
    role = value["role"]
    if role not in get_args(Role):
        raise Unusable(f"a message has the role “{role}”; roles are system, user and assistant")
    if not isinstance(value["content"], str):
        raise Unusable("a message's content is not a text")
    return {"role": role, "content": text_of(value["content"], f"{role} message")}


def messages_of(value: Any, what: str) -> Messages:
    """`value` as a list of chat messages."""
    if not isinstance(value, list) or not value:
        raise Unusable(f"the {what} is not a list of messages")
    return [message_of(part) for part in value]


def prompt_of(value: Any) -> Messages:
    """A prompt: a list of messages that ends with the user's, or a plain text, which is taken as the user's."""
    if isinstance(value, str):
        return [{"role": "user", "content": text_of(value, "prompt")}]
    messages = messages_of(value, "prompt")
    total = sum(len(message["content"]) for message in messages)
    if total > MAX_TEXT_CHARS:
        raise Unusable(f"the prompt has {total:,} characters; at most {MAX_TEXT_CHARS:,} can be used")
    if messages[-1]["role"] != "user":
        raise Unusable(f"the prompt ends with the {messages[-1]['role']}'s message; it must end with the user's")
    return messages


def completion_of(value: Any, what: str = "completion") -> str:
    """A completion: a text, or a list of just one assistant's message."""
    if isinstance(value, str):
        return text_of(value, what)
    messages = messages_of(value, what)
    if len(messages) != 1 or messages[0]["role"] != "assistant":
        raise Unusable(f"the {what} is not one assistant's message")
    return messages[0]["content"]


def annotator_of(row: dict[str, Any]) -> str:
    """Who judged, if the row says so: a name, a number, or an object with either."""
    value = row.get("annotator")
    who = who_of(value)
    if value and not who:
        raise Unusable("the annotator is not a short text")
    return who


def who_of(value: Any) -> str:
    """A person as files name them: a text, a number, or an object with an e-mail address, a name or an id; "" for none."""
    if isinstance(value, dict):
        value = next((value[name] for name in ("email", "username", "name", "id") if value.get(name) not in (None, "")), None)
    if isinstance(value, float) and value.is_integer():  # what pandas makes of a column of numbers with gaps
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int) or len(str(value)) > 200:
        return ""
    return str(value).strip()


def read_objects(path: Path) -> Iterator[tuple[int, Any | Problem]]:
    """Each line of a JSON-lines file with its number: its JSON value, or why it has none. Blank lines are passed over.

    The file is read line by line, so its size does not matter.

    Raises:
        NotFound: there is no such file.
        BadInput: it cannot be read, or holds nothing.
    """
    anything = False
    for number, line in read_lines(path):
        if isinstance(line, Problem):
            yield number, line
        elif line.strip():
            yield number, _parsed(number, line)
        else:
            continue
        anything = True
    if not anything:
        raise BadInput(f"{path.name} is empty.", "Give a file with one JSON object a line.")


def _parsed(number: int, line: str) -> Any | Problem:
    try:
        return json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        if number == 1 and line.lstrip().startswith("["):
            return Problem(number, "the file starts with a list; write one JSON object a line instead (JSON Lines)")
        return Problem(number, "it is not JSON")


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def read_lines(path: Path) -> Iterator[tuple[int, str | Problem]]:
    """Each line of a text file with its number, decoded; a line that is not UTF-8, or is endless, is a `Problem`."""
    if path.is_dir():
        raise BadInput(f"{path.name} is a folder.", "Give a file.")
    try:
        with path.open("rb") as f:
            number = 0
            while raw := f.readline(_MAX_LINE_BYTES):
                number += 1
                if len(raw) == _MAX_LINE_BYTES and not raw.endswith(b"\n"):
                    yield number, Problem(number, "the line is longer than 64 MiB, so the rest of the file was not read")
                    return
                yield number, _decoded(number, raw)
    except FileNotFoundError:
        raise NotFound(f"There is no file “{path.name}”.", "Check its name and folder.", str(path)) from None
    except OSError as problem:
        raise BadInput(f"{path.name} cannot be read.", "Check that it belongs to you.", repr(problem)) from problem


def _decoded(number: int, raw: bytes) -> str | Problem:
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        return Problem(number, "it is not UTF-8 text; save the file as UTF-8")
