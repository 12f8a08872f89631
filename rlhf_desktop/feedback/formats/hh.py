"""HH-RLHF: whole transcripts as `chosen` and `rejected`, each turn after an empty line and “Human: ” or “Assistant: ”.

A transcript has no system message, so a row whose prompt has one is not written; nor is one in which somebody's words look like
a turn, or begin or end with a space, which reading would take away.
"""

import re
from collections.abc import Iterator
from typing import Any

from rlhf_desktop.core.messages import Messages, Role
from rlhf_desktop.feedback.formats.asking import Context
from rlhf_desktop.feedback.formats.base import Format, Record, has, preferences, shared_prompt
from rlhf_desktop.feedback.formats.extras import ranks_of, with_system
from rlhf_desktop.feedback.rows import FeedbackRow, RankingRow, Unusable, annotator_of, text_of

_TURN = re.compile(r"\n\n(Human|Assistant): ?")
_SPEAKER: dict[str, Role] = {"Human": "user", "Assistant": "assistant"}
_NAME = {role: name for name, role in _SPEAKER.items()}


def fits(record: Record) -> float:
    """Two transcripts."""
    if not has(record, "chosen", "rejected") or "prompt" in record or "messages" in record:
        return 0.0
    texts = [record["chosen"], record["rejected"]]
    if not all(isinstance(text, str) for text in texts):
        return 0.0
    return 1.0 if all("Human:" in text and "Assistant:" in text for text in texts) else 0.5


def read(record: Record, context: Context) -> Iterator[FeedbackRow]:
    """One comparison."""
    prompt, texts = shared_prompt(hh_messages(record["chosen"]), hh_messages(record["rejected"]))
    yield RankingRow(with_system(record, prompt), texts, ranks_of(record, context), annotator_of(record))


def write(row: FeedbackRow) -> Iterator[Record]:
    """A record for each pair with a winner."""
    if any(message["role"] == "system" or _TURN.search(message["content"]) for message in row.prompt):
        return
    before = "".join(f"\n\n{_NAME[m['role']]}: {m['content']}" for m in row.prompt)
    for chosen, rejected in preferences(row):
        texts = [chosen, rejected, *(m["content"] for m in row.prompt)]
        if _TURN.search(chosen) or _TURN.search(rejected) or any(text != text.strip() for text in texts):
            continue
        yield {"chosen": f"{before}\n\nAssistant: {chosen}", "rejected": f"{before}\n\nAssistant: {rejected}"}


def hh_messages(transcript: Any) -> Messages:
    """The messages of an HH-RLHF transcript. A speaker's turns in a row become one message.

    Raises:
        Unusable: the text is not such a transcript, or a turn is empty.
    """
    parts = _TURN.split(text_of(transcript, "transcript", max_chars=2 * 10**6))
    if len(parts) < 3 or parts[0].strip():
        raise Unusable("there is no prompt: neither a “prompt” nor a transcript that starts with “Human:”")
    messages: Messages = []
    for speaker, said in zip(parts[1::2], parts[2::2], strict=True):
        role, content = _SPEAKER[speaker], said.strip()
        if messages and messages[-1]["role"] == role:
            gap = "\n" if _TURN.match(f"\n\n{content}") else "\n\n"  # an answer may quote a transcript; joining must not make one
            messages[-1]["content"] = f"{messages[-1]['content']}{gap}{content}".strip()
        else:
            messages.append({"role": role, "content": content})
    for message in messages:
        text_of(message["content"], f"{message['role']} message")
    return messages


def hh_prompt(asked: Any) -> Any:
    """A prompt that is such a transcript up to “Assistant:”, as messages; any other as it is."""
    if not isinstance(asked, str) or not _ASKED.match(asked.strip()):
        return asked
    return hh_messages("\n\n" + _ENDS.sub("\n\nAssistant: …", asked.strip()))[:-1]


_ASKED = re.compile(r"Human: ?.*\n\nAssistant:$", re.DOTALL)
_ENDS = re.compile(r"\n\nAssistant:$")

HH = Format("hh", "HH-RLHF", "chosen, rejected: transcripts of “Human:” and “Assistant:”", fits, read, write)
