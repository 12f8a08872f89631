"""ShareGPT: `conversations` of `{"from": "human" | "gpt" | "system", "value": …}`; with `chosen` and `rejected` a comparison."""

from collections.abc import Iterator

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.formats.base import Format, Record, chat_of, cut, examples, preferences
from rlhf_desktop.feedback.rows import DemonstrationRow, FeedbackRow, RankingRow, annotator_of, completion_of, prompt_of

_FROM = {"user": "human", "assistant": "gpt", "system": "system"}


def fits(record: Record) -> float:
    """Turns with "from" and "value"."""
    turns = record.get("conversations")
    return 1.0 if isinstance(turns, list) and turns and isinstance(turns[0], dict) and "from" in turns[0] else 0.0


def read(record: Record) -> Iterator[FeedbackRow]:
    """An example, or a comparison of the two answers to the conversation."""
    messages = chat_of(record["conversations"], "conversation", "from", "value")
    if isinstance(record.get("system"), str) and record["system"].strip() and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": record["system"]})
    if "chosen" in record and "rejected" in record:
        sides = [chat_of([record[side]], f"{side} answer", "from", "value") for side in ("chosen", "rejected")]
        texts = (completion_of(sides[0], "chosen answer"), completion_of(sides[1], "rejected answer"))
        yield RankingRow(prompt_of(messages), texts, (1, 2), annotator_of(record))
    else:
        yield DemonstrationRow(*cut(messages, "conversation"), annotator_of(record))


def _turns(messages: Messages) -> list[dict[str, str]]:
    return [{"from": _FROM[message["role"]], "value": message["content"]} for message in messages]


def write(row: FeedbackRow) -> Iterator[Record]:
    """A record for each example, and for each pair with a winner."""
    for text in examples(row):
        yield {"conversations": [*_turns(row.prompt), {"from": "gpt", "value": text}]}
    for chosen, rejected in preferences(row):
        sides = {side: {"from": "gpt", "value": text} for side, text in (("chosen", chosen), ("rejected", rejected))}
        yield {"conversations": _turns(row.prompt), **sides}


SHAREGPT = Format("sharegpt", "ShareGPT", "conversations with from and value", fits, read, write, listed=True)
