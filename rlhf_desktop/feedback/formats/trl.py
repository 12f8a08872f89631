"""TRL's dataset types, texts or messages: preference with explicit and implicit prompt, unpaired, prompt-completion, messages.

https://huggingface.co/docs/trl/dataset_formats
"""

from collections.abc import Iterator
from typing import Any

from rlhf_desktop.feedback.formats.base import (
    Format,
    Record,
    answer_to,
    assistant,
    chat_of,
    cut,
    examples,
    has,
    preferences,
    shared_prompt,
    thumbed,
)
from rlhf_desktop.feedback.judgements import Thumbs
from rlhf_desktop.feedback.rows import (
    DemonstrationRow,
    FeedbackRow,
    RankingRow,
    Unusable,
    annotator_of,
    completion_of,
    prompt_of,
    row_of,
)

_TRUE = {"true", "1", "1.0", "yes", "up", "good", "chosen", "thumbs up", "👍"}
_FALSE = {"false", "0", "0.0", "-1", "no", "down", "bad", "rejected", "thumbs down", "👎"}


def _explicit(record: Record) -> float:
    if not has(record, "prompt", "chosen", "rejected"):
        return 0.0
    return 0.6 if has(record, "score_chosen", "score_rejected") else 1.0


def _read_explicit(record: Record) -> Iterator[FeedbackRow]:
    prompt = prompt_of(record["prompt"])
    texts = (answer_to(record["chosen"], "chosen answer", prompt), answer_to(record["rejected"], "rejected answer", prompt))
    yield RankingRow(prompt, texts, (1, 2), annotator_of(record))


def _write_explicit(row: FeedbackRow) -> Iterator[Record]:
    for chosen, rejected in preferences(row):
        yield {"prompt": row.prompt, "chosen": assistant(chosen), "rejected": assistant(rejected)}


def _implicit(record: Record) -> float:
    listed = has(record, "chosen", "rejected") and isinstance(record["chosen"], list)
    return (0.9 if "prompt" not in record else 0.3) if listed else 0.0


def _read_implicit(record: Record) -> Iterator[FeedbackRow]:
    prompt, texts = shared_prompt(chat_of(record["chosen"], "chosen answer"), chat_of(record["rejected"], "rejected answer"))
    yield RankingRow(prompt, texts, (1, 2), annotator_of(record))


def _write_implicit(row: FeedbackRow) -> Iterator[Record]:
    for chosen, rejected in preferences(row):
        yield {"chosen": [*row.prompt, *assistant(chosen)], "rejected": [*row.prompt, *assistant(rejected)]}


def _unpaired(record: Record) -> float:
    return 1.0 if has(record, "prompt", "completion", "label") else 0.0


def _read_unpaired(record: Record) -> Iterator[FeedbackRow]:
    texts = (completion_of(record["completion"]),)
    yield row_of(prompt_of(record["prompt"]), texts, [Thumbs(_good(record["label"]))], annotator_of(record))


def _good(label: Any) -> bool:
    said = str(label).strip().casefold()
    if isinstance(label, str | int | float) and said in _TRUE | _FALSE:
        return said in _TRUE
    raise Unusable(f"the label “{str(label)[:40]}” is neither true nor false")


def _write_unpaired(row: FeedbackRow) -> Iterator[Record]:
    for text, good in thumbed(row):
        yield {"prompt": row.prompt, "completion": assistant(text), "label": good}


def _prompt_completion(record: Record) -> float:
    if not has(record, "prompt", "completion"):
        return 0.0
    return 0.2 if "label" in record else 1.0


def _read_prompt_completion(record: Record) -> Iterator[FeedbackRow]:
    yield DemonstrationRow(prompt_of(record["prompt"]), completion_of(record["completion"]), annotator_of(record))


def _write_prompt_completion(row: FeedbackRow) -> Iterator[Record]:
    for text in examples(row):
        yield {"prompt": row.prompt, "completion": assistant(text)}


def _messages(record: Record) -> float:
    if not isinstance(record.get("messages"), list):
        return 0.0
    return 0.3 if has(record, "chosen", "rejected") else 0.9


def _read_messages(record: Record) -> Iterator[FeedbackRow]:
    prompt, completion = cut(chat_of(record["messages"], "conversation"), "conversation")
    yield DemonstrationRow(prompt, completion, annotator_of(record))


def _write_messages(row: FeedbackRow) -> Iterator[Record]:
    for text in examples(row):
        yield {"messages": [*row.prompt, *assistant(text)]}


PREFERENCE = Format(
    "preference", "TRL preference", "prompt, chosen, rejected", _explicit, _read_explicit, _write_explicit,
    ("prompt", "chosen", "rejected", "annotator"),
)  # fmt: skip
IMPLICIT = Format(
    "preference-implicit", "TRL preference, implicit prompt", "chosen, rejected: whole conversations",
    _implicit, _read_implicit, _write_implicit,
)  # fmt: skip
UNPAIRED = Format(
    "unpaired", "TRL unpaired", "prompt, completion, label", _unpaired, _read_unpaired, _write_unpaired,
    ("prompt", "completion", "label", "annotator"),
)  # fmt: skip
PROMPT_COMPLETION = Format(
    "prompt-completion", "TRL prompt and completion", "prompt, completion",
    _prompt_completion, _read_prompt_completion, _write_prompt_completion, ("prompt", "completion", "annotator"),
)  # fmt: skip
MESSAGES = Format("messages", "Conversations (TRL, OpenAI)", "messages", _messages, _read_messages, _write_messages, ("messages",))
