"""Conversations to token ids: the model's own chat template, or a plain one.

The one property everything rests on: the ids of a prompt are a prefix of the ids of the prompt and its answer. Templates that
rewrite earlier turns (to drop a reasoning part, say) do so only before the last user turn: a prompt that ends in one is safe.
"""

from collections.abc import Sequence
from typing import Any

from rlhf_desktop.core.errors import BadInput, ModelTrouble
from rlhf_desktop.core.messages import Message, Messages
from rlhf_desktop.core.modelfiles import MAX_TEMPLATE_CHARS
from rlhf_desktop.inference.sandbox import render_template

PLAIN_NAMES = {"system": "System", "user": "User", "assistant": "Assistant"}


def prompt_ids(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Ids of the conversation, ending where the assistant's answer begins."""
    ids = encode(tokenizer, render(tokenizer, messages))
    first = tokenizer.bos_token_id if not tokenizer.chat_template and getattr(tokenizer, "add_bos_token", False) else None
    return ids if first is None else [first, *ids]


def render(tokenizer: Any, messages: Sequence[Message], *, answer_next: bool = True) -> str:
    """The text the model reads.

    A model without a chat template (one that was never taught to chat) gets `System: …`, `User: …`, `Assistant: …`, one blank line
    between turns.

    Raises:
        ModelTrouble: the template refuses the conversation, for example because it knows no system turn, or had to be stopped.
    """
    if not tokenizer.chat_template:
        return _plain(messages, answer_next)
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default") or next(iter(template.values()))
    if len(template) > MAX_TEMPLATE_CHARS:
        raise ModelTrouble("The chat template of this model is too large.", "Choose another model; nothing of it was run.")
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    seen = {"messages": list(messages), "tools": None, "documents": None, "add_generation_prompt": answer_next}
    return render_template(template, {**special, **seen})


def _plain(messages: Sequence[Message], answer_next: bool) -> str:
    turns = [f"{PLAIN_NAMES[m['role']]}: {m['content']}" for m in messages]
    return "\n\n".join(turns + ["Assistant:"] * answer_next)


def encode(tokenizer: Any, text: str) -> list[int]:
    """Ids of a text, with nothing added around it: the template has written the special tokens."""
    return list(tokenizer.encode(text, add_special_tokens=False))


def completion_ids(tokenizer: Any, text: str, end_id: int | None) -> list[int]:
    """Ids of an answer, then the end-of-turn token (None: an answer that was cut off)."""
    before = "" if tokenizer.chat_template else " "  # after the plain "Assistant:"
    return encode(tokenizer, before + text) + ([] if end_id is None else [end_id])


def mark_tokens(tokenizer: Any, text: str, spans: Sequence[tuple[int, int, float]]) -> list[float]:
    """For each token of an answer the largest weight of the spans (start, end, weight; in characters) that it touches, or 0."""
    before = "" if tokenizer.chat_template else " "
    places = tokenizer(before + text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    shift = len(before)
    return [
        max((weight for start, end, weight in spans if first < end + shift and last > start + shift), default=0.0)
        for first, last in places
    ]


def encode_pair(
    tokenizer: Any, messages: Messages, text: str, max_length: int, *, end_id: int | None
) -> tuple[list[int], list[int]]:
    """Ids of a prompt and of its answer, together at most `max_length`.

    Too long: the prompt's oldest turns go first (never the system message or the last turn), then the prompt's oldest tokens, and
    only an answer longer than everything is cut at its end, losing its end-of-turn token.

    Raises:
        BadInput: the conversation has no turn.
    """
    answer = completion_ids(tokenizer, text, end_id)[: max_length - 1]
    prompt = fit_prompt(tokenizer, messages, max_length - len(answer))
    return prompt, answer


def fit_prompt(tokenizer: Any, messages: Messages, max_length: int) -> list[int]:
    """`prompt_ids` of at most `max_length`: without the oldest turns, or at last without its first tokens.

    Raises:
        BadInput: the conversation has no turn.
    """
    return fit_turns(tokenizer, messages, max_length)[-max_length:]


def fit_turns(tokenizer: Any, messages: Messages, max_length: int) -> list[int]:
    """`prompt_ids` without the oldest turns that do not fit in `max_length`. Longer only when the last turn alone is.

    Raises:
        BadInput: the conversation has no turn.
    """
    if not messages:
        raise BadInput("A conversation without a message has no answer.", "Write a message first.")
    kept = list(messages)
    ids = prompt_ids(tokenizer, kept)
    while len(ids) > max_length and (shorter := without_oldest_turn(kept)) is not None:
        kept = shorter
        ids = prompt_ids(tokenizer, kept)
    return ids


def without_oldest_turn(messages: Messages) -> Messages | None:
    """The conversation without its oldest exchange, beginning with a user turn again; None when only the last turn is left."""
    head = [m for m in messages[:1] if m["role"] == "system"]
    turns = messages[len(head) :]
    later = [i for i, m in enumerate(turns) if i > 0 and m["role"] == "user"]
    return head + turns[later[0] :] if later else None


def is_prefix_stable(tokenizer: Any, messages: Messages, text: str) -> bool:
    """Whether the template writes the prompt the same way once it has been answered, so training sees what sampling saw."""
    whole = render(tokenizer, [*messages, Message(role="assistant", content=text)], answer_next=False)
    ids = prompt_ids(tokenizer, messages)
    return encode(tokenizer, whole)[: len(ids)] == ids
