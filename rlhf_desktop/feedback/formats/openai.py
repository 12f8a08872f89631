"""OpenAI's preference fine-tuning JSONL: `input.messages`, `preferred_output`, `non_preferred_output`.

Its supervised form is `messages`, as TRL's. https://platform.openai.com/docs/guides/direct-preference-optimization
"""

from collections.abc import Iterator

from rlhf_desktop.feedback.formats.asking import Context
from rlhf_desktop.feedback.formats.base import Format, Record, assistant, chat_of, has, preferences
from rlhf_desktop.feedback.formats.extras import ranks_of, with_system
from rlhf_desktop.feedback.rows import FeedbackRow, RankingRow, Unusable, annotator_of, completion_of, prompt_of


def fits(record: Record) -> float:
    """Its own keys."""
    return 1.0 if has(record, "input", "preferred_output", "non_preferred_output") else 0.0


def read(record: Record, context: Context) -> Iterator[FeedbackRow]:
    """One comparison."""
    given = record["input"]
    if not isinstance(given, dict):
        raise Unusable("the input is not an object with “messages”")
    if given.get("tools"):
        raise Unusable("the model could call tools, which are not supported here")
    prompt = with_system(record, prompt_of(chat_of(given.get("messages"), "prompt", context=context)))
    preferred = completion_of(chat_of(record["preferred_output"], "preferred output", context=context), "preferred output")
    other = completion_of(chat_of(record["non_preferred_output"], "other output", context=context), "other output")
    yield RankingRow(prompt, (preferred, other), ranks_of(record, context), annotator_of(record))


def write(row: FeedbackRow) -> Iterator[Record]:
    """A record for each pair with a winner."""
    for chosen, rejected in preferences(row):
        yield {
            "input": {"messages": row.prompt, "tools": [], "parallel_tool_calls": True},
            "preferred_output": assistant(chosen),
            "non_preferred_output": assistant(rejected),
        }


OPENAI = Format("openai-preference", "OpenAI preference", "input, preferred_output, non_preferred_output", fits, read, write)
