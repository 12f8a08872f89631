"""AnythingLLM: workspace chats exported as JSON or CSV (its JSON lines and Alpaca exports leave the thumbs out).

A row is one exchange; `rating` is GOOD, BAD or --.
"""

from collections.abc import Iterator

from rlhf_desktop.feedback.formats.asking import Context
from rlhf_desktop.feedback.formats.base import Format, Record, has
from rlhf_desktop.feedback.formats.programs.talk import Turn, rows_of, thumb, whole
from rlhf_desktop.feedback.rows import FeedbackRow


def _fits(record: Record) -> float:
    return 1.0 if has(record, "prompt", "response", "sent_at") and ("workspace" in record or "rating" in record) else 0.0


def _read(record: Record, context: Context) -> Iterator[FeedbackRow]:
    prompt, response, who = whole(record).get("prompt"), record.get("response"), record.get("username")
    known = who if isinstance(who, str) and who not in ("API", "unknown user") else ""
    turns = [
        Turn("q", "", "user", prompt if isinstance(prompt, str) else "", whole=not record.get("attachments")),
        Turn("a", "q", "assistant", response if isinstance(response, str) else "", thumb(record.get("rating"))),
    ]
    yield from rows_of(turns, context, who=known[:200])


ANYTHING_LLM = Format("anythingllm", "AnythingLLM chats", "prompt, response, sent_at, rating", _fits, _read)
