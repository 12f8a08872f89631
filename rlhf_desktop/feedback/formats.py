"""The formats that feedback comes in, recognised by their keys, row by row.

| format | keys |
|---|---|
| rankings (ours) | prompt, completions with rank |
| HH-RLHF | chosen, rejected: transcripts of "Human:" and "Assistant:" |
| TRL preference, explicit | prompt, chosen, rejected: texts or messages |
| TRL preference, implicit | chosen, rejected: whole conversations |
| TRL prompt-completion | prompt, completion: texts or messages |
| messages (SFT) | messages: a conversation that ends with the answer |
"""

import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

from rlhf_desktop.core.messages import Messages, Role
from rlhf_desktop.feedback.rankings import ranking_from
from rlhf_desktop.feedback.rows import (
    DemonstrationRow,
    FeedbackRow,
    Problem,
    RankingRow,
    Unusable,
    annotator_of,
    completion_of,
    messages_of,
    prompt_of,
    read_objects,
    text_of,
)

UNDERSTOOD = "prompt + completions with ranks, prompt + chosen + rejected, chosen + rejected, prompt + completion, or messages"
_TURN = re.compile(r"\n\n(Human|Assistant): ?")
_SPEAKER: dict[str, Role] = {"Human": "user", "Assistant": "assistant"}


def read_feedback(path: Path) -> Iterator[FeedbackRow | Problem]:
    """The rows of a feedback file in any of the formats, read line by line.

    What cannot be used comes as a `Problem` with its line, so one bad row does not cost the others.

    Raises:
        NotFound: there is no such file.
        BadInput: it cannot be read, or is empty.
    """
    for number, value in read_objects(path):
        if isinstance(value, Problem):
            yield value
            continue
        try:
            yield feedback_from(value)
        except Unusable as reason:
            yield Problem(number, str(reason))


def feedback_from(value: Any) -> FeedbackRow:
    """One row of any of the formats.

    Raises:
        Unusable: says what is wrong with it.
    """
    if not isinstance(value, dict):
        raise Unusable("it is not a JSON object")
    if "completions" in value:
        return ranking_from(value)
    if "chosen" in value and "rejected" in value:
        return _preference(value)
    if "messages" in value:
        return _demonstration(value, messages_of(value["messages"], "conversation"))
    if "prompt" in value and "completion" in value and "label" not in value:
        return DemonstrationRow(prompt_of(value["prompt"]), completion_of(value["completion"]), annotator_of(value))
    keys = ", ".join(str(key)[:40] for key in list(value)[:8]) or "nothing"
    raise Unusable(f"it has {keys}; understood are {UNDERSTOOD}")


def _demonstration(value: dict[str, Any], messages: Messages) -> DemonstrationRow:
    prompt, completion = _cut(messages, "conversation")
    return DemonstrationRow(prompt, completion, annotator_of(value))


def _preference(value: dict[str, Any]) -> RankingRow:
    chosen, rejected = value["chosen"], value["rejected"]
    if "prompt" in value:
        prompt = prompt_of(value["prompt"])
        texts = (_answer(chosen, "chosen answer", prompt), _answer(rejected, "rejected answer", prompt))
    elif isinstance(chosen, str) and isinstance(rejected, str):
        prompt, texts = _shared_prompt(hh_messages(chosen), hh_messages(rejected))
    else:
        prompt, texts = _shared_prompt(messages_of(chosen, "chosen answer"), messages_of(rejected, "rejected answer"))
    return RankingRow(prompt, texts, (1, 2), annotator_of(value))


def _answer(value: Any, what: str, prompt: Messages) -> str:
    """An answer that may repeat its prompt first, as UltraFeedback binarised does."""
    if isinstance(value, list) and len(value) > 1:
        messages = messages_of(value, what)
        if messages[:-1] != prompt:
            raise Unusable(f"the {what} is not one assistant's message")
        value = value[-1:]
    return completion_of(value, what)


def _shared_prompt(chosen: Messages, rejected: Messages) -> tuple[Messages, tuple[str, str]]:
    """What two conversations have in common before their last answers."""
    prompt, better = _cut(chosen, "chosen answer")
    other, worse = _cut(rejected, "rejected answer")
    if prompt != other:
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(prompt, other, strict=False)))
        raise Unusable(f"chosen and rejected differ from message {shared + 1} on, so they do not answer the same prompt")
    return prompt, (better, worse)


def _cut(messages: Messages, what: str) -> tuple[Messages, str]:
    """A conversation as prompt and last answer."""
    if len(messages) < 2 or messages[-1]["role"] != "assistant":
        raise Unusable(f"the {what} is not a conversation that ends with the assistant's message")
    return prompt_of(list(messages[:-1])), messages[-1]["content"]


def hh_messages(transcript: str) -> Messages:
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
            messages[-1]["content"] = f"{messages[-1]['content']}\n\n{content}".strip()
        else:
            messages.append({"role": role, "content": content})
    for message in messages:
        text_of(message["content"], f"{message['role']} message")
    return messages
