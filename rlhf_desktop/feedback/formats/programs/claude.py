"""Claude: the export of an account (a zip, its folder, or just conversations.json).

`chat_messages` has each message with `sender` and `content` blocks; `parent_message_uuid`, where it is there, says what it follows.
"""

from collections.abc import Iterator

from rlhf_desktop.feedback.formats.asking import Context
from rlhf_desktop.feedback.formats.base import Format, Record
from rlhf_desktop.feedback.formats.programs.talk import SPEAKERS, Turn, joined, reason, rows_of, thumb, whole
from rlhf_desktop.feedback.rows import FeedbackRow


def _fits(record: Record) -> float:
    return 1.0 if isinstance(record.get("chat_messages"), list) else 0.0


def _read(record: Record, context: Context) -> Iterator[FeedbackRow]:
    turns: list[Turn] = []
    for number, message in enumerate(whole(record)["chat_messages"]):
        before = turns[-1].id if turns else ""
        turns.append(_turn(message, str(message.get("uuid") or number), str(message.get("parent_message_uuid") or before)))
    yield from rows_of(turns, context)


def _turn(message: Record, key: str, parent: str) -> Turn:
    blocks = [block for block in message.get("content") or [] if isinstance(block, dict)]
    tool = any(block.get("type") in ("tool_use", "tool_result") for block in blocks)
    text, only = joined(blocks) if blocks else (str(message.get("text") or ""), True)
    role = SPEAKERS.get(str(message.get("sender")).casefold(), "tool")
    rated = message.get("chat_feedback") or message.get("feedback")
    more = message.get("attachments") or message.get("files")
    return Turn(
        key,
        parent,
        "tool" if tool else role,
        text,
        thumb(rated) if rated else None,
        reason(rated),
        whole=tool or (only and not more),
    )


CLAUDE = Format("claude", "Claude export", "chat_messages with sender and content", _fits, _read)
