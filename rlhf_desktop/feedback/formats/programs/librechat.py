"""LibreChat: one conversation as JSON (Export conversation), with all branches where that was ticked.

`messages` is a list, or `messagesTree` has `children` in each message. `feedback.rating` is thumbsUp or thumbsDown, with a tag and
a text.
"""

from collections.abc import Iterator

from rlhf_desktop.feedback.formats.asking import Context
from rlhf_desktop.feedback.formats.base import Format, Record
from rlhf_desktop.feedback.formats.programs.talk import Speaker, Turn, joined, reason, rows_of, thumb, whole
from rlhf_desktop.feedback.rows import FeedbackRow


def _messages(record: Record) -> list[Record]:
    """All messages, those of a tree too, each before those that follow it."""
    waiting = list(record.get("messagesTree") or record.get("messages") or [])
    found: list[Record] = []
    while waiting:
        message = waiting.pop(0)
        if isinstance(message, dict):
            found.append(message)
            children = message.get("children")
            waiting = [*(children if isinstance(children, list) else []), *waiting]
    return found


def _fits(record: Record) -> float:
    listed = record.get("messagesTree", record.get("messages"))
    first = listed[0] if isinstance(listed, list) and listed else None
    return 1.0 if isinstance(first, dict) and "isCreatedByUser" in first and "messageId" in first else 0.0


def _read(record: Record, context: Context) -> Iterator[FeedbackRow]:
    turns = [_turn(message) for message in _messages(whole(record))]
    options = record.get("options")
    told = [options.get(name) for name in ("promptPrefix", "system", "instructions")] if isinstance(options, dict) else []
    yield from rows_of(turns, context, system=next((text for text in told if isinstance(text, str) and text.strip()), ""))


def _turn(message: Record) -> Turn:
    content = message.get("content")
    text, only = joined(content) if content else (str(message.get("text") or ""), True)
    tool = isinstance(content, list) and any(isinstance(part, dict) and part.get("type") == "tool_call" for part in content)
    role: Speaker = "user" if message.get("isCreatedByUser") else "assistant"
    feedback = message.get("feedback")
    if message.get("error") or message.get("unfinished"):
        text = ""
    return Turn(
        str(message.get("messageId")), str(message.get("parentMessageId") or ""), "tool" if tool else role, text, thumb(feedback),
        reason(feedback), whole=(only or tool) and not message.get("files"),
    )  # fmt: skip


LIBRECHAT = Format("librechat", "LibreChat conversations", "messages with messageId and isCreatedByUser", _fits, _read)
