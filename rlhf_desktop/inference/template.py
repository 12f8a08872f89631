"""Conversations to token ids: the model's own chat template, or a plain one.

The one property everything rests on: the ids of a prompt are a prefix of the ids of the prompt and its answer. Templates that
rewrite earlier turns (to drop a reasoning part, say) do so only before the last user turn: a prompt that ends in one is safe.

What somebody wrote is text, never markup: a `<|im_end|>` in a question or an answer is spelled out, and only the template writes
control tokens. Otherwise a question could forge a system turn.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rlhf_desktop.core.errors import BadInput, ModelTrouble
from rlhf_desktop.core.messages import Message, Messages
from rlhf_desktop.core.modelfiles import MAX_TEMPLATE_CHARS
from rlhf_desktop.inference.sandbox import render_template

PLAIN_NAMES = {"system": "System", "user": "User", "assistant": "Assistant"}


def prompt_ids(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Ids of the conversation, ending where the assistant's answer begins."""
    ids = _written(tokenizer, messages, answer_next=True)
    return [tokenizer.bos_token_id, *ids] if not tokenizer.chat_template and adds_bos(tokenizer) else ids


def adds_bos(tokenizer: Any) -> bool:
    """Whether the tokenizer itself puts a beginning token before every text. Its `add_bos_token` may say no and be wrong."""
    return tokenizer.bos_token_id is not None and tokenizer.encode("a")[:1] == [tokenizer.bos_token_id]


def _written(tokenizer: Any, messages: Sequence[Message], *, answer_next: bool) -> list[int]:
    """Ids of the rendered conversation. Control tokens that stand in a message pass the template as one unused character each."""
    typed = "".join(message["content"] for message in messages)
    control = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special and token.content in typed]
    if not control:
        return encode(tokenizer, render(tokenizer, messages, answer_next=answer_next))
    unused = (chr(code) for code in range(0xE000, 0xF8FF) if chr(code) not in typed)  # for private use
    marks = dict(zip(sorted(control, key=len, reverse=True), unused, strict=False))
    hidden = [Message(role=m["role"], content=_replaced(m["content"], marks)) for m in messages]
    text = render(tokenizer, hidden, answer_next=answer_next)
    tokens = {mark: token for token, mark in marks.items()}
    parts = re.split(f"([{''.join(tokens)}])", text)
    return [i for part in parts for i in (spell(tokenizer, tokens[part]) if part in tokens else encode(tokenizer, part))]


def _replaced(text: str, marks: Mapping[str, str]) -> str:
    return re.sub("|".join(map(re.escape, marks)), lambda found: marks[found[0]], text)


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


def spell(tokenizer: Any, text: str) -> list[int]:
    """Ids of what somebody wrote: control tokens in it are letters like any others."""
    return list(tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))


def completion_ids(tokenizer: Any, text: str, end_id: int | None) -> list[int]:
    """Ids of an answer, then the end-of-turn token (None: an answer that was cut off)."""
    before = "" if tokenizer.chat_template else " "  # after the plain "Assistant:"
    return spell(tokenizer, before + text) + ([] if end_id is None else [end_id])


def mark_tokens(tokenizer: Any, text: str, spans: Sequence[tuple[int, int, float]]) -> list[float]:
    """For each token of an answer the largest weight of the spans (start, end, weight; in characters) that it touches, or 0."""
    before = "" if tokenizer.chat_template else " "
    spelled = tokenizer(before + text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True)
    shift = len(before)
    return [
        max((weight for start, end, weight in spans if first < end + shift and last > start + shift), default=0.0)
        for first, last in spelled["offset_mapping"]
    ]


def encode_pair(
    tokenizer: Any, messages: Messages, text: str, max_length: int, *, end_id: int | None
) -> tuple[list[int], list[int]]:
    """Ids of a prompt and of its answer, together at most `max_length`.

    Too long: the prompt's oldest turns go first, never the system message or the last turn, which is kept whole; then the answer is
    cut at its end, losing its end-of-turn token.

    Raises:
        BadInput: the conversation has no turn, or its last turn alone leaves no room for an answer.
    """
    answer = completion_ids(tokenizer, text, end_id)
    prompt = fit_turns(tokenizer, messages, max_length - len(answer))
    if len(prompt) >= max_length:
        raise BadInput(
            f"A question of {len(prompt):,} tokens leaves no room for an answer in {max_length:,}.", "Shorten the question."
        )
    return prompt, answer[: max_length - len(prompt)]


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


def last_turn(messages: Messages) -> Messages:
    """What is never dropped of a conversation: its system message and its last turn."""
    while (shorter := without_oldest_turn(messages)) is not None:
        messages = shorter
    return messages


def is_prefix_stable(tokenizer: Any, messages: Messages, text: str) -> bool:
    """Whether the template writes the prompt the same way once it has been answered, so training sees what sampling saw."""
    answered = [*messages, Message(role="assistant", content=text)]
    ids = _written(tokenizer, messages, answer_next=True)
    return _written(tokenizer, answered, answer_next=False)[: len(ids)] == ids
