"""ChatGPT: the export of an account (a zip, its folder, or just conversations.json).

`mapping` is a tree of nodes by id. `message_feedback.json` rates messages by their id; `model_comparisons.json` says which of two
answers was preferred. Both are put with the conversations they speak of before these are read (`gathering`).
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from rlhf_desktop.feedback.formats.asking import Context
from rlhf_desktop.feedback.formats.base import Format, Record
from rlhf_desktop.feedback.formats.programs.talk import SPEAKERS, Choice, Turn, joined, reason, rows_of, thumb, whole
from rlhf_desktop.feedback.rows import FeedbackRow

RATINGS, COMPARISONS = "message_feedback", "model_comparisons"
_WORDS = ("text", "multimodal_text")
_THOUGHTS = ("thoughts", "reasoning_recap", "user_editable_context", "model_editable_context")


def by_conversation(records: Iterable[Any]) -> dict[str, list[Record]]:
    """Ratings or comparisons by the conversation they speak of."""
    found: dict[str, list[Record]] = {}
    for record in records:
        if isinstance(record, dict):
            inner = record.get("input")
            key = record.get("conversation_id") or (inner.get("conversation_id") if isinstance(inner, dict) else None)
            found.setdefault(str(key), []).append(record)
    return found


def _fits(record: Record) -> float:
    mapping = record.get("mapping")
    nodes = list(mapping.values()) if isinstance(mapping, dict) else []
    return 1.0 if nodes and all(isinstance(node, dict) and "children" in node for node in nodes[:5]) else 0.0


def _read(record: Record, context: Context) -> Iterator[FeedbackRow]:
    rated = {key: one for one in whole(record).get(RATINGS) or [] for key in (one.get("message_id"), one.get("id")) if key}
    turns = [_turn(key, node, rated) for key, node in record["mapping"].items()]
    choices = [choice for one in record.get(COMPARISONS) or [] if (choice := _choice(one))]
    yield from rows_of(turns, context, choices=choices)


def _turn(key: str, node: Record, rated: dict[Any, Record]) -> Turn:
    message = node.get("message") or {}
    content = message.get("content") or {}
    kind, role = content.get("content_type", "text"), str((message.get("author") or {}).get("role") or "")
    speaker = SPEAKERS.get(role.casefold(), "system" if not role else "tool")
    rating = rated.get(message.get("id")) or rated.get(key)
    text, only = joined(content.get("parts")) if kind in _WORDS else ("", True)
    hidden = (message.get("metadata") or {}).get("is_visually_hidden_from_conversation")
    if speaker == "system" or hidden or message.get("weight") == 0:
        speaker, text, only = "system", "", True  # the program's own words
    elif message.get("recipient", "all") != "all" or kind not in (*_WORDS, *_THOUGHTS):
        speaker = "tool"
    return Turn(key, str(node.get("parent") or ""), speaker, text, thumb(rating) if rating else None, _why(rating), whole=only)


def _why(rating: Record | None) -> str:
    """The tags and words that came with a thumb: an object, or the JSON of one."""
    content = (rating or {}).get("content")
    try:
        told = json.loads(content) if isinstance(content, str) else content
    except ValueError:
        return ""
    return reason(told) or reason({"text": (rating or {}).get("text")})


def _choice(comparison: Record) -> Choice | None:
    """The preferred of two answers: the new one, the original, or neither."""
    output = comparison.get("output")
    steps = [output.get(name) for name in ("feedback_step_2", "feedback_step_1")] if isinstance(output, dict) else []
    for step in steps:
        if not isinstance(step, dict):
            continue
        ids = {side: _last_id(step.get(f"{side}_turn")) for side in ("new", "original")}
        said = step.get("completion_comparison_rating")
        if all(ids.values()) and said in ("new", "original", "same"):
            better, worse = ("new", "original") if said != "original" else ("original", "new")
            return Choice(ids[better], ids[worse], said == "same")
    return None


def _last_id(turn: Any) -> str:
    last = turn[-1] if isinstance(turn, list) and turn else None
    return str(last.get("id") or "") if isinstance(last, dict) else ""


CHATGPT = Format("chatgpt", "ChatGPT export", "mapping of nodes with parent and message", _fits, _read)
