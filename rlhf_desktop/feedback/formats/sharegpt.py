"""ShareGPT: `conversations` of `{"from": "human" | "gpt" | "system", "value": …}`; with `chosen` and `rejected` a comparison.

LLaMA-Factory's `kto_tag` beside them says whether the last answer is good.
"""

from collections.abc import Iterator
from typing import Any

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.formats.asking import Context
from rlhf_desktop.feedback.formats.base import Format, Record, chat_of, compared, examples, has, preferences
from rlhf_desktop.feedback.formats.extras import ranks_of, survey, with_system
from rlhf_desktop.feedback.formats.trl import conversation
from rlhf_desktop.feedback.rows import FeedbackRow, RankingRow, annotator_of

_FROM = {"user": "human", "assistant": "gpt", "system": "system"}


def fits(record: Record) -> float:
    """Turns with "from" and "value", or with "role" and "content" under this name."""
    turns = record.get("conversations")
    first = turns[0] if isinstance(turns, list) and turns else None
    return 1.0 if isinstance(first, dict) and ("from" in first or has(first, "role", "content")) else 0.0


def read(record: Record, context: Context) -> Iterator[FeedbackRow]:
    """An example, a thumb (`kto_tag`), or a comparison of the two answers to the conversation."""
    if record.get("tools") not in (None, "", "[]", []):
        context.note("The tools that the model was offered are left out")
    turns = record["conversations"]
    keys = ("from", "value") if isinstance(turns[0], dict) and "from" in turns[0] else ("role", "content")
    if "chosen" in record and "rejected" in record:
        messages = chat_of(turns, "conversation", *keys, context)
        prompt, texts = compared(messages, _side(record["chosen"]), _side(record["rejected"]), context)
        yield RankingRow(with_system(record, prompt), texts, ranks_of(record, context), annotator_of(record))
    else:
        yield from conversation(record, turns, context, *keys)


def _side(value: Any) -> Any:
    """An answer, or a conversation that ends with it, as messages."""
    turns = [value] if isinstance(value, dict) else value
    if isinstance(turns, list) and turns and isinstance(turns[0], dict) and "from" in turns[0]:
        return list(chat_of(turns, "answer", "from", "value"))
    return turns


def _turns(messages: Messages) -> list[dict[str, str]]:
    return [{"from": _FROM[message["role"]], "value": message["content"]} for message in messages]


def write(row: FeedbackRow) -> Iterator[Record]:
    """A record for each example, and for each pair with a winner."""
    for text in examples(row):
        yield {"conversations": [*_turns(row.prompt), {"from": "gpt", "value": text}]}
    for chosen, rejected in preferences(row):
        sides = {side: {"from": "gpt", "value": text} for side, text in (("chosen", chosen), ("rejected", rejected))}
        yield {"conversations": _turns(row.prompt), **sides}


SHAREGPT = Format("sharegpt", "ShareGPT", "conversations with from and value", fits, read, write, listed=True, survey=survey)
