"""Conversations to token ids, from the text that `chat_text` makes of them.

The one property everything rests on: the ids of a prompt are a prefix of the ids of the prompt and its answer. Templates that
rewrite earlier turns (to drop a reasoning part, say) do so only before the last user turn: a prompt that ends in one is safe.

What somebody wrote is text, never markup: a `<|im_end|>` in a question or an answer is spelled out, and only the template writes
control tokens. Otherwise a question could forge a system turn, or an answer a thought.

All but chat reads answers without a thought before them: then the prompt is what the template writes with thinking off, or with an
empty thought (see `chat_text`), and the same ids serve sampling in a run, training and scoring.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.messages import Message, Messages
from rlhf_desktop.core.thoughts import TAGS, split_thought
from rlhf_desktop.inference.chat_text import keeps_question, leads_with_space, render, thinking_of, writes_end


def prompt_ids(tokenizer: Any, messages: Sequence[Message], *, thinking: bool = False) -> list[int]:
    """Ids of the conversation, ending where the assistant's answer begins; with `thinking`, where its thought does."""
    ids = _written(tokenizer, messages, answer_next=True, thinking=thinking)
    return [tokenizer.bos_token_id, *ids] if not tokenizer.chat_template and adds_bos(tokenizer) else ids


def adds_bos(tokenizer: Any) -> bool:
    """Whether the tokenizer itself puts a beginning token before every text. Its `add_bos_token` may say no and be wrong."""
    return tokenizer.bos_token_id is not None and tokenizer.encode("a")[:1] == [tokenizer.bos_token_id]


def exports_bos(tokenizer: Any) -> bool:
    """Whether an exported file should have its reader add the beginning token: so that conversations have it there as they do here.

    A tokenizer that adds one to texts does not to conversations whose template writes none.
    """
    return adds_bos(tokenizer) and prompt_ids(tokenizer, [Message(role="user", content="Hello")])[:1] == [tokenizer.bos_token_id]


def _written(tokenizer: Any, messages: Sequence[Message], *, answer_next: bool, thinking: bool = False) -> list[int]:
    """Ids of the rendered conversation, without what was thought before earlier answers.

    Control tokens that stand in a message pass the template as one unused character each.
    """
    messages = [_without_thought(message) for message in messages]
    typed = "".join(message["content"] for message in messages)
    control = [token for token in _control_tokens(tokenizer) if token in typed]
    if not control:
        return encode(tokenizer, render(tokenizer, messages, answer_next=answer_next, thinking=thinking))
    unused = (chr(code) for code in range(0xE000, 0xF8FF) if chr(code) not in typed)  # for private use
    marks = dict(zip(control, unused, strict=False))
    hidden = [Message(role=m["role"], content=_replaced(m["content"], marks)) for m in messages]
    text = render(tokenizer, hidden, answer_next=answer_next, thinking=thinking)
    tokens = {mark: token for token, mark in marks.items()}
    parts = re.split(f"([{''.join(tokens)}])", text)
    return [i for part in parts for i in (spell(tokenizer, tokens[part]) if part in tokens else encode(tokenizer, part))]


def _without_thought(message: Message) -> Message:
    said = split_thought(message["content"])[1] if message["role"] == "assistant" else message["content"]
    return Message(role=message["role"], content=said)


def _replaced(text: str, marks: Mapping[str, str]) -> str:
    return re.sub("|".join(map(re.escape, marks)), lambda found: marks[found[0]], text)


_THOUGHT_MARKS = frozenset(mark for tags in TAGS for mark in tags.marks)
_added: "WeakKeyDictionary[Any, tuple[tuple[str, ...], tuple[str, ...]]]" = WeakKeyDictionary()


def _added_tokens(tokenizer: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The special tokens, and the marks of thoughts among the others (`<think>`): the rest, such as Gemma's `<b>`, are text."""
    if tokenizer not in _added:
        added = list(tokenizer.added_tokens_decoder.values())
        special = tuple(token.content for token in added if token.special)
        _added[tokenizer] = special, tuple(t.content for t in added if not t.special and t.content in _THOUGHT_MARKS)
    return _added[tokenizer]


def _control_tokens(tokenizer: Any) -> list[str]:
    """Whatever of a message must not reach the template or the model as it stands, the longest first."""
    special, thought = _added_tokens(tokenizer)
    marks = thinking_of(tokenizer).tags.marks  # a template may look for them in what was said
    return sorted({*special, *thought, *marks}, key=len, reverse=True)


def encode(tokenizer: Any, text: str) -> list[int]:
    """Ids of a text, with nothing added around it: the template has written the special tokens."""
    return list(tokenizer.encode(text, add_special_tokens=False))


def spell(tokenizer: Any, text: str) -> list[int]:
    """Ids of what somebody wrote: control tokens in it are letters like any others."""
    return [i for part, _ in _pieces(tokenizer, text) for i in _encode_as_letters(tokenizer, part).input_ids]


def _encode_as_letters(tokenizer: Any, text: str, **more: Any) -> Any:
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True, **more)


def _pieces(tokenizer: Any, text: str) -> Iterator[tuple[str, int]]:
    """A text cut within every control token that is not special (those are spelled anyway), each piece with where it begins."""
    inside = [token for token in _added_tokens(tokenizer)[1] if token in text]
    cuts = [found.start() + 1 for found in re.finditer("|".join(map(re.escape, inside)), text)] if inside else []
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        yield text[start:end], start


def completion_ids(tokenizer: Any, text: str, end_id: int | None) -> list[int]:
    """Ids of an answer, without a thought before it, then what ends the turn (None: an answer that was cut off)."""
    ids = spell(tokenizer, _before(tokenizer) + split_thought(text)[1])
    return ids if end_id is None else [*ids, *_ending(tokenizer, end_id)]


def _before(tokenizer: Any) -> str:
    return " " if leads_with_space(tokenizer) else ""


def _ending(tokenizer: Any, end_id: int) -> list[int]:
    """The token that ends a turn, after the marks that the template writes first (Command R's `<|END_RESPONSE|>`)."""
    if not tokenizer.chat_template:
        return [end_id]
    marks, _ = writes_end(tokenizer, [str(tokenizer.convert_ids_to_tokens(end_id))])
    return [*(encode(tokenizer, marks) if marks else []), end_id]


def mark_tokens(tokenizer: Any, text: str, spans: Sequence[tuple[int, int, float]]) -> list[float]:
    """For each token of an answer the largest weight of the spans (start, end, weight; in characters) that it touches, or 0."""
    before, answer = _before(tokenizer), split_thought(text)[1]
    shift = len(before) - (len(text) - len(answer))
    places = [
        (at + first - shift, at + last - shift)
        for piece, at in _pieces(tokenizer, before + answer)
        for first, last in _encode_as_letters(tokenizer, piece, return_offsets_mapping=True)["offset_mapping"]
    ]
    return [max((weight for start, end, weight in spans if first < end and last > start), default=0.0) for first, last in places]


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


def fit_turns(tokenizer: Any, messages: Messages, max_length: int, *, thinking: bool = False) -> list[int]:
    """`prompt_ids` without the oldest turns that do not fit in `max_length`. Longer only when the last turn alone is.

    Raises:
        BadInput: the conversation has no turn.
    """
    return kept_turns(tokenizer, messages, max_length, thinking=thinking)[1]


def kept_turns(tokenizer: Any, messages: Messages, max_length: int, *, thinking: bool = False) -> tuple[Messages, list[int]]:
    """What `fit_turns` keeps of a conversation, and its ids."""
    if not messages:
        raise BadInput("A conversation without a message has no answer.", "Write a message first.")
    kept = list(messages)
    ids = prompt_ids(tokenizer, kept, thinking=thinking)
    while len(ids) > max_length and (shorter := without_oldest_turn(kept)) is not None:
        kept = shorter
        ids = prompt_ids(tokenizer, kept, thinking=thinking)
    return kept, ids


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
    return _written(tokenizer, answered, answer_next=False)[: len(ids)] == ids or keeps_question(tokenizer, messages)
