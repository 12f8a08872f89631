"""What a format is: how sure its keys make us, how its records become rows, and how rows become its records."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rlhf_desktop.core.messages import Messages, Role
from rlhf_desktop.feedback.judgements import AllBad, Correction, Demonstrated, Ranking, Thumbs, Verdict
from rlhf_desktop.feedback.rankings import pairs
from rlhf_desktop.feedback.rows import FeedbackRow, Unusable, completion_of, messages_of, prompt_of, text_of

Record = dict[str, Any]
Reader = Callable[[Record], Iterable[FeedbackRow]]
Writer = Callable[[FeedbackRow], Iterator[Record]]
_ROLES: Mapping[str, Role] = {
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
        read: The rows of one record. Raises `Unusable`, which says what is wrong with it.
        write: The records of one row, none where the format cannot say it; None where we only read it.
        fields: What a column mapper can fill; empty for formats of nested records.
        listed: Whether a file of it is one JSON list rather than JSON lines.
    """

    name: str
    title: str
    keys: str
    fits: Callable[[Record], float]
    read: Reader
    write: Writer | None = None
    fields: tuple[str, ...] = ()
    listed: bool = False


def chat_of(value: Any, what: str, role_key: str = "role", text_key: str = "content") -> Messages:
    """A list of turns under whatever names, roles in whatever words.

    Raises:
        Unusable: it is no such list, has an unknown role, or a turn without text.
    """
    if not isinstance(value, list) or not value:
        raise Unusable(f"the {what} is not a list of messages")
    messages: Messages = []
    for turn in value:
        if not isinstance(turn, dict) or not isinstance(turn.get(role_key), str):
            raise Unusable(f'a message is not an object with "{role_key}" and "{text_key}"')
        role = _ROLES.get(turn[role_key].strip().casefold())
        if role is None:
            raise Unusable(f"a message has the role “{turn[role_key][:40]}”; roles are system, user and assistant")
        messages.append({"role": role, "content": text_of(_joined(turn.get(text_key)), f"{role} message")})
    return messages


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
    if prompt != other:
        same = next((n for n, (a, b) in enumerate(zip(prompt, other, strict=False)) if a != b), min(len(prompt), len(other)))
        raise Unusable(f"chosen and rejected differ from message {same + 1} on, so they do not answer the same prompt")
    return prompt, (better, worse)


def answer_to(value: Any, what: str, prompt: Messages) -> str:
    """An answer that may repeat its prompt first, as UltraFeedback binarised does."""
    if isinstance(value, list) and len(value) > 1:
        messages = messages_of(value, what)
        if messages[:-1] != prompt:
            raise Unusable(f"the {what} is not one assistant's message")
        value = value[-1:]
    return completion_of(value, what)


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
