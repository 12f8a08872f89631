"""LM Studio: the conversation files in its folder `conversations` (NAME.conversation.json).

Each message has `versions`, of which `currentlySelected` goes on; the others are what was regenerated or edited away. A version
is `singleStep` with `content`, or `multiStep` with `steps`; content blocks in the style of a thought are no part of the answer.
"""

from collections.abc import Iterator
from typing import Any

from rlhf_desktop.feedback.formats.asking import Context
from rlhf_desktop.feedback.formats.base import Format, Record
from rlhf_desktop.feedback.formats.programs.talk import SPEAKERS, Turn, joined, rows_of, whole
from rlhf_desktop.feedback.rows import FeedbackRow

_SAYS_NOTHING = ("debugInfoBlock", "status")


def _fits(record: Record) -> float:
    messages = record.get("messages")
    told = (
        isinstance(messages, list)
        and messages
        and all(isinstance(m, dict) and isinstance(m.get("versions"), list) for m in messages)
    )
    return 1.0 if told else 0.0


def _read(record: Record, context: Context) -> Iterator[FeedbackRow]:
    turns: list[Turn] = []
    parent = ""
    for place, message in enumerate(whole(record)["messages"]):
        versions = [version for version in message["versions"] if isinstance(version, dict)]
        added = [_turn(version, f"{place}.{number}", parent) for number, version in enumerate(versions)]
        turns += added
        chosen = message.get("currentlySelected")
        if added:
            parent = added[chosen if isinstance(chosen, int) and 0 <= chosen < len(added) else -1].id
    system = record.get("systemPrompt")
    yield from rows_of(turns, context, system=system if isinstance(system, str) else "")


def _turn(version: Record, key: str, parent: str) -> Turn:
    role = SPEAKERS.get(str(version.get("role")).casefold(), "tool")
    if version.get("type") != "multiStep":
        text, only = joined(version.get("content"))
        return Turn(key, parent, role, text, whole=only)
    steps = [step for step in version.get("steps") or [] if isinstance(step, dict)]
    texts = [joined(step.get("content")) for step in steps if step.get("type") == "contentBlock" and not _is_thought(step)]
    tool = any(step.get("type") not in ("contentBlock", *_SAYS_NOTHING) for step in steps)
    return Turn(key, parent, "tool" if tool else role, "\n\n".join(t for t, _ in texts if t), whole=all(only for _, only in texts))


def _is_thought(step: Record) -> bool:
    style: Any = step.get("style")
    return isinstance(style, dict) and style.get("type") == "thinking"


LM_STUDIO = Format("lm-studio", "LM Studio conversations", "messages with versions", _fits, _read)
