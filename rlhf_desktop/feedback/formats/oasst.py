"""OpenAssistant conversation trees: one tree an object, `prompt` with nested `replies`; rank 0 is the best among siblings.

Ranked siblings become a ranking of the answers to the path above them; a single answer that reviewers kept is not a judgement and
is passed over. https://github.com/LAION-AI/Open-Assistant (message tree export)
"""

from collections.abc import Iterator
from typing import Any

from rlhf_desktop.core.ids import new_id
from rlhf_desktop.core.messages import Messages, Role
from rlhf_desktop.feedback.formats.asking import Context
from rlhf_desktop.feedback.formats.base import Format, Record, find, has
from rlhf_desktop.feedback.formats.scales import number_of
from rlhf_desktop.feedback.formats.thumbs import thumb_of
from rlhf_desktop.feedback.judgements import Ranking, dense
from rlhf_desktop.feedback.rankings import rank_of
from rlhf_desktop.feedback.rows import FeedbackRow, RankingRow, Unusable, prompt_of, text_of

_ROLES: dict[str, Role] = {"prompter": "user", "assistant": "assistant", "system": "system"}
_MAX_DEPTH = 100
_OUT = "Messages that were deleted, or that reviewers turned down, are left out with their replies"
_EMPTY = "Messages without a text are left out with their replies"
_STOPPED = ("aborted_low_grade", "halted_by_moderator", "prompt_lottery_waiting")


def fits(record: Record) -> float:
    """A tree's own keys."""
    prompt = record.get("prompt")
    if isinstance(prompt, dict) and "text" in prompt and "replies" in prompt:
        return 1.0 if "message_tree_id" in record else 0.9
    return 0.0


def read(record: Record, context: Context) -> Iterator[FeedbackRow]:
    """Every ranking of the tree, from the top down."""
    if str(record.get("tree_state") or "") in _STOPPED:
        raise Unusable("the tree was stopped by its moderators")
    found = list(_walk(record.get("prompt"), [], 0, context))
    if not found:
        raise Unusable("no two answers to one message of this tree are ranked")
    yield from found


def _walk(node: Any, before: Messages, depth: int, context: Context) -> Iterator[FeedbackRow]:
    if depth > _MAX_DEPTH:
        raise Unusable("the tree is deeper than any conversation")
    if not isinstance(node, dict) or str(node.get("role", "prompter")) not in _ROLES:
        raise Unusable("a message of the tree has no text and role")
    if _is_out(node):
        context.note(_OUT)
        return
    role = _ROLES[node.get("role", "prompter")]
    path: Messages = [*before, {"role": role, "content": text_of(node.get("text"), f"{role} message")}]
    replies = node.get("replies") or []
    if not isinstance(replies, list):
        raise Unusable("the replies of a message are not a list")
    if role == "user":
        yield from ranking_of(path, replies, context)
    for reply in replies:
        if isinstance(reply, dict) and not str(reply.get("text") or "").strip():
            context.note(_OUT if _is_out(reply) else _EMPTY)
            continue
        yield from _walk(reply, path, depth + 1, context)


def _is_out(node: Record) -> bool:
    """Whether a message was deleted or turned down by reviewers."""
    return thumb_of(node.get("deleted")) is True or thumb_of(node.get("review_result")) is False


def ranking_of(path: Messages, replies: list[Any], context: Context) -> Iterator[FeedbackRow]:
    """The ranking of the answers to a conversation, where two of them that stand are ranked."""
    standing = [r for r in replies if isinstance(r, dict) and r.get("role") == "assistant" and not _is_out(r)]
    ranked = [reply for reply in standing if number_of(reply.get("rank")) is not None]
    if any(not str(reply.get("text") or "").strip() for reply in ranked):
        context.note(_EMPTY)
        ranked = [reply for reply in ranked if str(reply.get("text") or "").strip()]
    if len(ranked) > 1:
        texts = tuple(text_of(reply.get("text"), "assistant message") for reply in ranked)
        yield RankingRow(prompt_of(path), texts, dense([rank_of(reply["rank"]) for reply in ranked]))


def write(row: FeedbackRow) -> Iterator[Record]:
    """A tree for each ranking: the prompt's messages one under the other, the answers under the last."""
    ranking = find(row, Ranking)
    if ranking is None:
        return
    tree_id = new_id()
    nodes = [_node(tree_id, "prompter" if m["role"] == "user" else m["role"], m["content"]) for m in row.prompt]
    nodes[0]["message_id"] = tree_id
    answers = [{**_node(tree_id, "assistant", t), "rank": r - 1} for t, r in zip(row.completions, ranking.ranks, strict=True)]
    for upper, lower in zip(nodes, [*([node] for node in nodes[1:]), answers], strict=True):
        upper["replies"] = [{**node, "parent_id": upper["message_id"]} if node in answers else node for node in lower]
        for node in lower:
            node["parent_id"] = upper["message_id"]
    yield {"message_tree_id": tree_id, "tree_state": "ready_for_export", "prompt": nodes[0]}


def _node(tree_id: str, role: str, text: str) -> Record:
    return {"message_id": new_id(), "message_tree_id": tree_id, "role": role, "text": text, "replies": []}


# --- flat: one message a row (OpenAssistant/oasst1 and oasst2)


def _flat_fits(record: Record) -> float:
    told = has(record, "message_id", "text", "role") and ("parent_id" in record or "message_tree_id" in record)
    return 1.0 if told and str(record["role"]) in _ROLES else 0.0


_READ = ("message_id", "parent_id", "role", "text", "rank", "deleted", "review_result")


def _flat_survey(record: Record, context: Context) -> None:
    """Keep every message: an answer's rank says nothing without its question."""
    messages, replies = context.store("oasst messages", dict), context.store("oasst replies", dict)
    kept = {name: record.get(name) for name in _READ}
    messages[str(record["message_id"])] = kept
    if record.get("parent_id"):
        replies.setdefault(str(record["parent_id"]), []).append(kept)


def _read_flat(record: Record, context: Context) -> Iterator[FeedbackRow]:
    """The ranking of the answers to one question; an answer's own row gives nothing more."""
    own = {name: record.get(name) for name in _READ}
    if own["role"] == "assistant":
        if _is_out(own):
            context.note(_OUT)
        elif own["rank"] is None:
            context.note("Answers that nobody ranked are no judgement and are left out")
        return
    messages, replies = context.store("oasst messages", dict), context.store("oasst replies", dict)
    path: Messages = []
    node, seen = messages.get(str(record["message_id"]), record), set[str]()
    while node:
        if _is_out(node):
            context.note(_OUT)
            return
        if str(node["message_id"]) in seen or len(seen) > _MAX_DEPTH:
            raise Unusable("its messages answer each other in a circle")
        seen.add(str(node["message_id"]))
        role = _ROLES.get(str(node.get("role")), "user")
        path.insert(0, {"role": role, "content": text_of(node.get("text"), f"{role} message")})
        parent = node.get("parent_id")
        if parent and str(parent) not in messages:
            raise Unusable("the message it answers is not in the file")
        node = messages[str(parent)] if parent else None
    yield from ranking_of(path, replies.get(str(record["message_id"]), []), context)


OASST_FLAT = Format(
    "oasst-flat", "OpenAssistant messages", "message_id, parent_id, text, role, rank", _flat_fits, _read_flat, survey=_flat_survey
)
OASST = Format("oasst", "OpenAssistant trees", "message_tree_id, prompt with nested replies and ranks", fits, read, write)
