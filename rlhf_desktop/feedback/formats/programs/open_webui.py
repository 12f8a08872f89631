"""Open WebUI: exported chats (Settings → Data controls → Export chats), and the feedback history (Admin → Evaluations).

A chat's `history.messages` is a tree by id. `annotation.rating` is 1 or -1; an edited answer keeps its `originalContent`. A rating
of the feedback history has a `snapshot` of its chat; in the arena `sibling_model_ids` names the models that were not chosen.
"""

from collections.abc import Iterator
from typing import Any

from rlhf_desktop.feedback.formats.asking import Context
from rlhf_desktop.feedback.formats.base import Format, Record
from rlhf_desktop.feedback.formats.programs.talk import (
    SPEAKERS,
    Choice,
    Turn,
    joined,
    reason,
    rows_of,
    thumb,
    whole,
    without_asides,
)
from rlhf_desktop.feedback.rows import FeedbackRow, Unusable


def _chat_fits(record: Record) -> float:
    chat = record.get("chat", record)
    if not isinstance(chat, dict) or isinstance(record.get("snapshot"), dict):
        return 0.0
    history = chat.get("history")
    told = isinstance(history, dict) and isinstance(history.get("messages"), dict)
    return 1.0 if told or (chat is not record and isinstance(chat.get("messages"), list)) else 0.0


def _read_chat(record: Record, context: Context) -> Iterator[FeedbackRow]:
    chat = whole(record).get("chat", record)
    yield from rows_of(_turns(chat), context, system=_instructions(chat))


def _feedback_fits(record: Record) -> float:
    data, told = record.get("data"), isinstance(record.get("meta"), dict) or isinstance(record.get("snapshot"), dict)
    return 1.0 if told and isinstance(data, dict) and "rating" in data and "annotations" not in record else 0.0


def _read_feedback(record: Record, context: Context) -> Iterator[FeedbackRow]:
    """The thumb or the choice of one rating, from the chat as it was then."""
    data, meta = whole(record)["data"], record.get("meta") or {}
    chat = _snapshot(record.get("snapshot"))
    turns = [_bare(turn) for turn in _turns(chat)]
    rated = str(meta.get("message_id") or "")
    answer = next((turn for turn in turns if turn.id == rated), None)
    if answer is None:
        raise Unusable("the answer that was rated is not in it: export the feedback with its conversations")
    up, why, who = thumb(data.get("rating")), reason(data), str(record.get("user_id") or "")[:200]
    if up is None:
        raise Unusable("its rating is neither up nor down")
    rivals = _rivals(chat, answer, data.get("sibling_model_ids"))
    if data.get("sibling_model_ids") and rivals:
        choices = [Choice(*((rated, other) if up else (other, rated)), why=why) for other in rivals]
        yield from rows_of(turns, context, system=_instructions(chat), who=who, choices=choices, rated_only=True)
        return
    marked = [Turn(t.id, t.parent, t.role, t.text, up, why, whole=t.whole) if t.id == rated else t for t in turns]
    yield from rows_of(marked, context, system=_instructions(chat), who=who, rated_only=True)


def _snapshot(given: Any) -> Record:
    """The chat in a snapshot, however deep it lies: the export has changed."""
    outer: Record = given if isinstance(given, dict) else {}
    inner = outer.get("chat")
    if not isinstance(inner, dict):
        return outer
    chat = inner.get("chat")
    return chat if isinstance(chat, dict) else {**outer, **inner}


def _bare(turn: Turn) -> Turn:
    """A turn of a snapshot without its own thumb: only the rating at hand counts."""
    return Turn(turn.id, turn.parent, turn.role, turn.text, whole=turn.whole)


def _rivals(chat: Record, answer: Turn, models: Any) -> list[str]:
    """The other answers to the same question by the models that were not chosen."""
    named = {str(model) for model in models} if isinstance(models, list) else set()
    others = [m for m in _messages(chat) if str(m.get("parentId") or "") == answer.parent and str(m.get("id")) != answer.id]
    return [str(m.get("id")) for m in others if {str(m.get("model")), str(m.get("selectedModelId"))} & named]


def _instructions(chat: Record) -> str:
    params = chat.get("params")
    told = [chat.get("system"), params.get("system") if isinstance(params, dict) else None]
    return next((text for text in told if isinstance(text, str) and text.strip()), "")


def _messages(chat: Record) -> list[Record]:
    history = chat.get("history")
    tree = history.get("messages") if isinstance(history, dict) else None
    found = list(tree.values()) if isinstance(tree, dict) else chat.get("messages") or []
    return [message for message in found if isinstance(message, dict)]


def _turns(chat: Record) -> list[Turn]:
    messages = _messages(chat)
    linked = any(message.get("parentId") for message in messages)
    turns: list[Turn] = []
    for number, message in enumerate(messages):
        before = turns[-1].id if turns and not linked else ""
        turns.append(_turn(message, str(message.get("id") or number), str(message.get("parentId") or before)))
    return turns


def _turn(message: Record, key: str, parent: str) -> Turn:
    text, tool = without_asides(message.get("content"))
    annotation = message.get("annotation")
    role = SPEAKERS.get(str(message.get("role")).casefold(), "tool")
    if message.get("error") or message.get("done") is False:
        text = ""
    return Turn(
        key, parent, "tool" if tool else role, text, thumb(annotation) if annotation else None, reason(annotation),
        without_asides(message.get("originalContent"))[0], joined(message.get("content"))[1] and not message.get("files"),
    )  # fmt: skip


OPEN_WEBUI = Format("open-webui", "Open WebUI chats", "chat with history and messages", _chat_fits, _read_chat)
OPEN_WEBUI_FEEDBACK = Format(
    "open-webui-feedback", "Open WebUI feedback history", "data with rating, meta, snapshot", _feedback_fits, _read_feedback
)
