"""Jan: the folder `threads`, one folder a thread with `thread.json` and `messages.jsonl`.

A line of `messages.jsonl` is one message (`"object": "thread.message"`); `gathered` puts those of a thread together.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from rlhf_desktop.feedback.formats.asking import Context
from rlhf_desktop.feedback.formats.base import Format, Record
from rlhf_desktop.feedback.formats.programs.talk import SPEAKERS, Turn, joined, reason, rows_of, thumb, whole
from rlhf_desktop.feedback.rows import FeedbackRow

MESSAGES = "thread_messages"


def is_message(value: Any) -> bool:
    """Whether it is a line of `messages.jsonl`."""
    return isinstance(value, dict) and value.get("object") == "thread.message"


def gathered(messages: Iterable[Record]) -> list[Record]:
    """One record a thread."""
    threads: dict[str, list[Record]] = {}
    for message in messages:
        threads.setdefault(str(message.get("thread_id")), []).append(message)
    return [{"id": key, MESSAGES: found} for key, found in threads.items()]


def _fits(record: Record) -> float:
    return 1.0 if isinstance(record.get(MESSAGES), list) else 0.0


def _read(record: Record, context: Context) -> Iterator[FeedbackRow]:
    """Messages by time; an answer right after an answer is the question asked again."""
    messages = sorted(whole(record)[MESSAGES], key=lambda message: _time(message.get("created_at")))
    turns: list[Turn] = []
    for number, message in enumerate(messages):
        role = SPEAKERS.get(str(message.get("role")).casefold(), "tool")
        again = bool(turns) and role == turns[-1].role == "assistant"
        text, only = joined(message.get("content"))
        meta = message.get("metadata") if isinstance(message.get("metadata"), dict) else {}
        rated = next((meta[name] for name in ("feedback", "rating", "thumb") if name in meta), None)
        parent = turns[-1].parent if again else turns[-1].id if turns else ""
        turns.append(Turn(str(number), parent, role, text, thumb(rated), reason(rated), whole=only))
    yield from rows_of(turns, context, system=_instructions(record))


def _time(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _instructions(record: Record) -> str:
    assistants = record.get("assistants")
    first = assistants[0] if isinstance(assistants, list) and assistants else None
    told = first.get("instructions") if isinstance(first, dict) else None
    return told if isinstance(told, str) else ""


JAN = Format("jan", "Jan threads", "threads with their messages", _fits, _read)
