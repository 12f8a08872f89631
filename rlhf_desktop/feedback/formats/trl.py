"""TRL's dataset types, texts or messages: preference with explicit and implicit prompt, unpaired, prompt-completion, messages.

https://huggingface.co/docs/trl/dataset_formats
"""

from collections.abc import Iterator
from typing import Any

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.formats.asking import Context
from rlhf_desktop.feedback.formats.base import (
    Format,
    Record,
    assistant,
    chat_of,
    compared,
    cut,
    examples,
    has,
    preferences,
    shared_prompt,
    spoken,
    thumbed,
)
from rlhf_desktop.feedback.formats.extras import answered, judges, learned, ranks_of, survey, with_system
from rlhf_desktop.feedback.formats.hh import hh_messages, hh_prompt
from rlhf_desktop.feedback.rows import (
    DemonstrationRow,
    FeedbackRow,
    RankingRow,
    Unusable,
    annotator_of,
    completion_of,
    prompt_of,
)


def _explicit(record: Record) -> float:
    if not has(record, "prompt", "chosen", "rejected"):
        return 0.0
    return 0.6 if has(record, "score_chosen", "score_rejected") else 1.0


def _read_explicit(record: Record, context: Context) -> Iterator[FeedbackRow]:
    sides = [record["chosen"], record["rejected"]]
    if all(isinstance(side, str) and side.lstrip("\n").startswith("Human: ") and "\n\nAssistant: " in side for side in sides):
        sides = [list(hh_messages("\n\n" + side.lstrip("\n"))) for side in sides]
    prompt, texts = compared(hh_prompt(record["prompt"]), sides[0], sides[1], context)
    yield RankingRow(with_system(record, prompt), texts, ranks_of(record, context), annotator_of(record))


def _write_explicit(row: FeedbackRow) -> Iterator[Record]:
    for chosen, rejected in preferences(row):
        yield {"prompt": row.prompt, "chosen": assistant(chosen), "rejected": assistant(rejected)}


def _implicit(record: Record) -> float:
    listed = has(record, "chosen", "rejected") and isinstance(record["chosen"], list)
    return (0.9 if "prompt" not in record else 0.3) if listed else 0.0


def _read_implicit(record: Record, context: Context) -> Iterator[FeedbackRow]:
    sides = [chat_of(record[side], f"{side} answer", context=context) for side in ("chosen", "rejected")]
    prompt, texts = shared_prompt(sides[0], sides[1])
    yield RankingRow(with_system(record, prompt), texts, ranks_of(record, context), annotator_of(record))


def _write_implicit(row: FeedbackRow) -> Iterator[Record]:
    for chosen, rejected in preferences(row):
        yield {"chosen": [*row.prompt, *assistant(chosen)], "rejected": [*row.prompt, *assistant(rejected)]}


def _unpaired(record: Record) -> float:
    return 1.0 if has(record, "prompt", "completion", "label") else 0.0


def _read_unpaired(record: Record, context: Context) -> Iterator[FeedbackRow]:
    row = _one_answer(record, context)
    if isinstance(row, DemonstrationRow) and record["label"] in (None, ""):
        raise Unusable("the label says neither that the answer is good nor that it is not")
    yield row


def _one_answer(record: Record, context: Context) -> FeedbackRow:
    """A prompt with one answer, which may repeat it."""
    answer = record["completion"]
    prompt = prompt_of(hh_prompt(record["prompt"]))
    if isinstance(answer, list) and len(answer) > 1:
        before, _ = cut(chat_of(answer, "completion", context=context), "completion")
        if before != prompt:
            raise Unusable("the completion is not one assistant's message")
        answer = answer[-1:]
    message = answer[-1] if isinstance(answer, list) and answer else None
    if message is not None:
        chat_of(answer, "completion", context=context)
    return answered(record, prompt, completion_of(answer), context, message)


def _write_unpaired(row: FeedbackRow) -> Iterator[Record]:
    for text, good in thumbed(row):
        yield {"prompt": row.prompt, "completion": assistant(text), "label": good}


def _prompt_completion(record: Record) -> float:
    if not has(record, "prompt", "completion"):
        return 0.0
    return 0.2 if "label" in record else 1.0


def _read_prompt_completion(record: Record, context: Context) -> Iterator[FeedbackRow]:
    yield _one_answer(record, context)


def _write_prompt_completion(row: FeedbackRow) -> Iterator[Record]:
    for text in examples(row):
        yield {"prompt": row.prompt, "completion": assistant(text)}


def _messages(record: Record) -> float:
    if not isinstance(record.get("messages"), list):
        return 0.0
    if not has(record, "chosen", "rejected"):
        return 0.9
    return 0.95 if "prompt" not in record and not isinstance(record["chosen"], list) else 0.3  # LLaMA-Factory's comparisons


def _read_messages(record: Record, context: Context) -> Iterator[FeedbackRow]:
    if any(record.get(name) not in (None, "", "[]", []) for name in ("tools", "functions")):
        context.note("The tools that the model was offered are left out")
    if has(record, "chosen", "rejected") and not isinstance(record["chosen"], list):
        prompt = chat_of(record["messages"], "conversation", context=context)
        asked = prompt[:-1] if prompt[-1]["role"] == "assistant" and len(prompt) > 1 else prompt
        prompt, texts = compared(asked, record["chosen"], record["rejected"], context)
        yield RankingRow(with_system(record, prompt), texts, ranks_of(record, context), annotator_of(record))
        return
    other = record.get("rejected_response")
    if isinstance(other, str) and other.strip():  # ms-swift: the last message is the better answer
        prompt, better = cut(chat_of(record["messages"], "conversation", context=context), "conversation")
        yield RankingRow(with_system(record, prompt), (better, other), ranks_of(record, context), annotator_of(record))
        return
    if isinstance(record.get("rejected_messages"), list):  # ms-swift: the whole conversation again, with the worse answer
        sides = [chat_of(record[name], "conversation", context=context) for name in ("messages", "rejected_messages")]
        prompt, texts = shared_prompt(sides[0], sides[1])
        yield RankingRow(with_system(record, prompt), texts, ranks_of(record, context), annotator_of(record))
        return
    yield from conversation(record, record["messages"], context)


def conversation(
    record: Record, turns: Any, context: Context, role_key: str = "role", text_key: str = "content"
) -> Iterator[FeedbackRow]:
    """A conversation's last answer, or those of its answers that a weight says are to be learned.

    Args:
        record: Where it stands; what stands beside it may say that it is not good.
        turns: Its messages.
        context: What is known of the file.
        role_key: The name of a message's role.
        text_key: The name of its text.
    """
    messages = chat_of(turns, "conversation", role_key, text_key, context)
    turns = spoken(turns, role_key, text_key)
    _check_prompt(record, messages, context)
    weighed = [learned(turn) for turn in turns]
    said = [n for n, message in enumerate(messages) if message["role"] == "assistant"]
    if all(weighed[n] is None for n in said):
        if any(judges(turns[n], context) for n in said[:-1]):
            yield from _judged_turns(record, messages, turns, context)
            return
        last = _last(messages, context)
        yield answered(record, *cut(messages, "conversation"), context, turns[last])
        return
    wanted = [n for n in said if weighed[n] is not False]
    if len(wanted) < len(said):
        context.note("Answers of weight 0 stay in the conversation and are not learned")
    if not wanted:
        raise Unusable("all its answers have weight 0: none is to be learned from")
    for n in wanted:
        yield answered(record, *cut(messages[: n + 1], "conversation"), context, turns[n])


def _judged_turns(record: Record, messages: Messages, turns: list[Any], context: Context) -> Iterator[FeedbackRow]:
    """The answers of a conversation that were judged each by itself; the others are no examples."""
    for n, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        if judges(turns[n], context):
            yield answered(record, *cut(messages[: n + 1], "conversation"), context, turns[n])
        else:
            context.note("Answers without a judgement, beside judged ones in a conversation, are left out")


def _last(messages: Messages, context: Context) -> int:
    if sum(message["role"] == "assistant" for message in messages) > 1:
        context.note("Of a conversation the last answer is the example; what comes before is its prompt")
    return len(messages) - 1


def _check_prompt(record: Record, messages: Messages, context: Context) -> None:
    """A prompt beside a whole conversation is mostly its first question."""
    prompt = record.get("prompt")
    if isinstance(prompt, str) and prompt.strip() and not any(prompt.strip() in message["content"] for message in messages):
        context.note("The column “prompt” says something else than the conversation beside it, which counts")


def _write_messages(row: FeedbackRow) -> Iterator[Record]:
    for text in examples(row):
        yield {"messages": [*row.prompt, *assistant(text)]}


PREFERENCE = Format(
    "preference", "TRL preference", "prompt, chosen, rejected", _explicit, _read_explicit, _write_explicit,
    ("prompt", "chosen", "rejected", "system", "annotator"),
)  # fmt: skip
IMPLICIT = Format(
    "preference-implicit", "TRL preference, implicit prompt", "chosen, rejected: whole conversations",
    _implicit, _read_implicit, _write_implicit,
)  # fmt: skip
UNPAIRED = Format(
    "unpaired", "TRL unpaired", "prompt, completion, label", _unpaired, _read_unpaired, _write_unpaired,
    ("prompt", "completion", "label", "system", "annotator"), survey=survey,
)  # fmt: skip
PROMPT_COMPLETION = Format(
    "prompt-completion", "TRL prompt and completion", "prompt, completion",
    _prompt_completion, _read_prompt_completion, _write_prompt_completion,
    ("prompt", "completion", "system", "annotator"), survey=survey,
)  # fmt: skip
MESSAGES = Format(
    "messages", "Conversations (TRL, OpenAI)", "messages", _messages, _read_messages, _write_messages, ("messages",), survey=survey
)
