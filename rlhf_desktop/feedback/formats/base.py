"""What a format is: how sure its keys make us, how its records become rows, and how rows become its records."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rlhf_desktop.core.messages import Message, Messages, Role
from rlhf_desktop.feedback.formats.asking import Context
from rlhf_desktop.feedback.judgements import AllBad, Correction, Demonstrated, Ranking, Thumbs, Verdict
from rlhf_desktop.feedback.rankings import pairs
from rlhf_desktop.feedback.rows import FeedbackRow, Unusable, prompt_of, text_of

Record = dict[str, Any]
Reader = Callable[[Record, Context], Iterable[FeedbackRow]]
Writer = Callable[[FeedbackRow], Iterator[Record]]
SYSTEM_NAMES = ("system", "system prompt", "system message", "sys prompt")  # of columns, in words
ROLES: Mapping[str, Role] = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "bot": "assistant", "model": "assistant", "chatgpt": "assistant",
}  # fmt: skip


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: For the command line.
        title: For the screen.
        keys: Its keys, as documented, in a few words.
        fits: How sure the keys of one record make us that it is this format, 0 to 1.
        read: The rows of one record, and what must be asked or said of it. Raises `Unusable`, which says what is wrong with it.
        write: The records of one row, none where the format cannot say it; None where we only read it.
        fields: What a column mapper can fill; empty for formats of nested records.
        listed: Whether a file of it is one JSON list rather than JSON lines.
        survey: Looks at every record before the first is read, where one record does not say enough (marks, messages of a tree).
    """

    name: str
    title: str
    keys: str
    fits: Callable[[Record], float]
    read: Reader
    write: Writer | None = None
    fields: tuple[str, ...] = ()
    listed: bool = False
    survey: Callable[[Record, Context], None] | None = None


def as_words(name: str) -> str:
    """A name as words, lower case: "ktoTag", "kto-tag" and "KTO_TAG" are all "kto tag"."""
    return _known_words(name) if len(name) <= _NAME_CHARS else _words_of(name)


_NAME_CHARS = 60  # of a column's name, which comes again in every row


def _words_of(name: str) -> str:
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return " ".join(re.split(r"[\s_\-.]+", parted.casefold())).strip()


_known_words = lru_cache(maxsize=4096)(_words_of)


def chat_of(value: Any, what: str, role_key: str = "role", text_key: str = "content", context: Context | None = None) -> Messages:
    """A list of turns under whatever names, roles in whatever words.

    Raises:
        Unusable: it is no such list, has an unknown role, a turn without text, or one that calls a tool.
    """
    if not isinstance(value, list) or not value:
        raise Unusable(f"the {what} is not a list of messages")
    return [_turn(turn, role_key, text_key, context) for turn in spoken(value, role_key, text_key)]


def spoken(turns: list[Any], role_key: str = "role", text_key: str = "content") -> list[Any]:
    """The turns without system messages that say nothing, as many data sets have them."""

    def is_silent(turn: Any) -> bool:
        return isinstance(turn, dict) and turn.get(role_key) in ("system", "developer") and turn.get(text_key) in ("", None)

    return [turn for turn in turns if not is_silent(turn)] or turns


def _turn(turn: Any, role_key: str, text_key: str, context: Context | None) -> Message:
    if not isinstance(turn, dict) or not isinstance(turn.get(role_key), str):
        raise Unusable(f'a message is not an object with "{role_key}" and "{text_key}"')
    role = ROLES.get(turn[role_key].strip().casefold())
    if (
        turn.get("tool_calls")
        or turn.get("function_call")
        or turn[role_key] in ("tool", "function", "function_call", "observation")
    ):
        raise Unusable("the conversation calls a tool, which cannot be learned here")
    if role is None:
        raise Unusable(f"a message has the role “{turn[role_key][:40]}”; roles are system, user and assistant")
    if context and any(turn.get(name) for name in ("reasoning_content", "reasoning", "thinking")):
        context.note("What a model thought before it answered is left out")
    return {"role": role, "content": text_of(_joined(turn.get(text_key)), f"{role} message")}


def _joined(content: Any) -> Any:
    """A message's content; one of several parts (OpenAI) is the texts among them, and nothing else may be."""
    if not isinstance(content, list):
        return content
    texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
    if len(texts) != len(content) or not all(isinstance(text, str) for text in texts):
        raise Unusable("a message holds something else than text")
    return "\n\n".join(str(text) for text in texts)


def cut(messages: Messages, what: str) -> tuple[Messages, str]:
    """A conversation as prompt and last answer."""
    if len(messages) < 2 or messages[-1]["role"] != "assistant":
        raise Unusable(f"the {what} is not a conversation that ends with the assistant's message")
    return prompt_of(list(messages[:-1])), messages[-1]["content"]


def shared_prompt(chosen: Messages, rejected: Messages) -> tuple[Messages, tuple[str, str]]:
    """What two conversations have in common before their last answers."""
    prompt, better = cut(chosen, "chosen answer")
    other, worse = cut(rejected, "rejected answer")
    _check_same(prompt, other)
    return prompt, (better, worse)


def _check_same(prompt: Messages, other: Messages) -> None:
    if prompt != other:
        same = next((n for n, (a, b) in enumerate(zip(prompt, other, strict=False)) if a != b), min(len(prompt), len(other)))
        raise Unusable(f"chosen and rejected differ from message {same + 1} on, so they do not answer the same prompt")


def compared(prompt: Any, chosen: Any, rejected: Any, context: Context) -> tuple[Messages, tuple[str, str]]:
    """A prompt and two answers, each a text, a message, or a whole conversation, which then goes before the prompt."""
    given = _asked(prompt, context)
    sides = [_side(chosen, "chosen answer", context), _side(rejected, "rejected answer", context)]
    whole = [joined_prompt(given, before, context) for before, _ in sides]
    if whole[0] != whole[1]:
        longer = "chosen" if sides[0][0] else "rejected"
        if not sides[0][0] or not sides[1][0]:
            raise Unusable(f"the {longer} answer is not one assistant's message")
        _check_same(whole[0], whole[1])
    return prompt_of(whole[0]), (sides[0][1], sides[1][1])


def _asked(prompt: Any, context: Context) -> Messages:
    if isinstance(prompt, str):
        return prompt_of(prompt)
    return chat_of(prompt, "prompt", context=context)


def _side(value: Any, what: str, context: Context) -> tuple[Messages, str]:
    """What an answer repeats before it, and the answer."""
    if isinstance(value, str):
        return [], text_of(value, what)
    messages = chat_of([value] if isinstance(value, dict) else value, what, context=context)
    if messages[-1]["role"] != "assistant":
        raise Unusable(f"the {what} is not one assistant's message" if len(messages) == 1 else
                       f"the {what} is not a conversation that ends with the assistant's message")  # fmt: skip
    return messages[:-1], messages[-1]["content"]


def joined_prompt(given: Messages, before: Messages, context: Context) -> Messages:
    """One prompt of what a column says and what the conversation beside it begins with: neither is lost without a word."""
    if not before or given[-len(before) :] == before:
        return given
    held = [message["content"].strip() for message in before]
    if all(message["content"].strip() in held for message in given):
        return before
    if before[0]["role"] == "assistant" or given[-1]["role"] != "user":
        return [*given, *before]
    context.note("The column “prompt” says something else than the conversation beside it, which counts")
    return before


def assistant(text: str) -> Messages:
    """An answer as a list of one message."""
    return [{"role": "assistant", "content": text}]


def single_turn(prompt: Messages) -> str | None:
    """The prompt's text when it is just one question; None otherwise."""
    return prompt[0]["content"] if len(prompt) == 1 and prompt[0]["role"] == "user" else None


def preferences(row: FeedbackRow) -> Iterator[tuple[str, str]]:
    """Chosen and rejected: every pair of a ranking that is not a tie, and each correction over its original."""
    for verdict in row.verdicts:
        if isinstance(verdict, Ranking):
            for pair in pairs(verdict.ranks):
                if not pair.tie:
                    yield row.completions[pair.better], row.completions[pair.worse]
        elif isinstance(verdict, Correction) and verdict.text != row.completions[verdict.index]:
            yield verdict.text, row.completions[verdict.index]


def examples(row: FeedbackRow) -> Iterator[str]:
    """Answers to imitate: written ones and corrections."""
    for verdict in row.verdicts:
        if isinstance(verdict, Demonstrated):
            yield row.completions[0]
        elif isinstance(verdict, Correction):
            yield verdict.text


def thumbed(row: FeedbackRow) -> Iterator[tuple[str, bool]]:
    """Answers that are good enough or not."""
    for verdict in row.verdicts:
        if isinstance(verdict, Thumbs):
            yield row.completions[verdict.index], verdict.up
        elif isinstance(verdict, AllBad):
            yield from ((text, False) for text in row.completions)


def find(row: FeedbackRow, kind: type[Verdict]) -> Any:
    """What was said in this form, or None."""
    return next((verdict for verdict in row.verdicts if isinstance(verdict, kind)), None)


def has(record: Record, *names: str) -> bool:
    """Whether a record has all these keys."""
    return all(name in record for name in names)
