"""A conversation of another program as a tree of turns, and what it means here.

* A thumb is a thumb, on the answer it was given to. An edited answer corrects the one before. A choice is a comparison.
* Several answers to one question that nobody rated are alternatives to be judged: never a judgement.
* A conversation that says nothing of its answers gives its first question, with the answer there was.

Left out, and said so: answers made with tools, and whatever follows a picture or a file.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from rlhf_desktop.core.messages import Message, Messages
from rlhf_desktop.feedback.formats.asking import Context, Watched
from rlhf_desktop.feedback.formats.base import ROLES, Record
from rlhf_desktop.feedback.formats.scales import number_of
from rlhf_desktop.feedback.formats.thumbs import is_nothing, thumb_of
from rlhf_desktop.feedback.judgements import Correction, Ranking, Thumbs
from rlhf_desktop.feedback.rows import MAX_TEXT_CHARS, FeedbackRow, UnjudgedRow, Unusable, prompt_of, row_of, text_of

Speaker = Literal["user", "assistant", "system", "tool"]
SPEAKERS: dict[str, Speaker] = {
    **ROLES, "you": "user", "me": "user", "ai": "assistant", "tool": "tool", "function": "tool",
}  # fmt: skip
_ASIDE = re.compile(r'<details\b[^>]*\btype="(reasoning|tool_calls|code_interpreter)".*?</details>\s*', re.DOTALL)
_TOOLS = "Answers made with tools are left out"
_MOST_TURNS = 500  # before an answer
_TRIED = 20  # questions, for one that can be asked
TALKS = "talks"  # the name under which a context counts conversations


@dataclass(frozen=True)
class Turn:
    """One message.

    Attributes:
        id: Its name in the conversation.
        parent: The message it follows; "" for the first.
        role: Who speaks. What "tool" says stands for the use of a tool.
        text: What is said; empty for what has no words.
        up: The thumb it got.
        why: The reason given with it.
        original: What it said before the user edited it; "" where nobody did.
        whole: Whether the text is all there is: no picture, no file.
    """

    id: str
    parent: str
    role: Speaker
    text: str
    up: bool | None = None
    why: str = ""
    original: str = ""
    whole: bool = True


@dataclass(frozen=True)
class Choice:
    """One answer was preferred to another; equal ones are a tie."""

    better: str
    worse: str
    equal: bool = False
    why: str = ""


def rows_of(
    turns: Sequence[Turn],
    context: Context,
    *,
    system: str = "",
    who: str = "",
    choices: Sequence[Choice] = (),
    rated_only: bool = False,
) -> Iterator[FeedbackRow]:
    """What a conversation says of its answers, and else what of it there is to judge.

    Args:
        turns: In the order of the file.
        context: Counts conversations, and is told what is left out.
        system: Instructions that stand before the first turn.
        who: Whose thumbs they are.
        choices: Between answers, by their ids.
        rated_only: Nothing is put to be judged.
    """
    context.store(TALKS, Counter)[TALKS] += 1
    tree = _Tree(turns, system, context)
    said = [*tree.chosen(choices, who), *tree.rated(who)]
    yield from said
    if rated_only:
        return
    open_ = list(tree.alternatives())
    yield from open_
    if not said and not open_ and (first := tree.first()):
        yield first


class _Tree:
    """Turns by what they follow; turns without words are passed through."""

    def __init__(self, turns: Sequence[Turn], system: str, context: Context) -> None:
        self._by_id = {turn.id: turn for turn in turns}
        self._system, self._context = system, context
        self._answers: dict[str, list[Turn]] = {}
        self._depth: dict[str, int] = {}  # at least: a file may name a turn before the one it follows
        for turn in turns:
            self._depth[turn.id] = self._depth.get(turn.parent, 0) + 1
        if any(turn.role == "tool" and turn.text.strip() for turn in turns):
            context.note(_TOOLS)
        for turn in turns:
            asked = self._question(turn) if turn.role == "assistant" and turn.text.strip() else None
            if asked is not None:
                self._answers.setdefault(asked.id, []).append(turn)

    def chosen(self, choices: Sequence[Choice], who: str) -> Iterator[FeedbackRow]:
        """Comparisons."""
        for choice in choices:
            pair = [self._by_id.get(key) for key in (choice.better, choice.worse)]
            asked = [self._question(turn) for turn in pair if turn is not None]
            if len(asked) != 2 or None in asked or asked[0] != asked[1]:
                self._context.note("A choice is between answers that are not both there, and is left out")
                continue
            texts = [turn.text for turn in pair if turn is not None]
            ranks = (1, 1) if choice.equal else (1, 2)
            yield from self._row(asked[0], texts, [Ranking(ranks)], who, choice.why)

    def rated(self, who: str) -> Iterator[FeedbackRow]:
        """Thumbs, and corrections: an edit says all that a thumb beside it would."""
        for asked, answers in self._answers.items():
            for turn in answers:
                if turn.original.strip() and turn.original != turn.text:
                    yield from self._row(self._by_id[asked], [turn.original], [Correction(turn.text)], who, turn.why)
                elif turn.up is not None:
                    yield from self._row(self._by_id[asked], [turn.text], [Thumbs(turn.up)], who, turn.why)

    def alternatives(self) -> Iterator[FeedbackRow]:
        """Questions with several answers of which nobody has said anything."""
        for asked, answers in self._answers.items():
            texts = list(dict.fromkeys(turn.text for turn in answers))
            if len(texts) > 1 and not any(turn.up is not None or turn.original for turn in answers):
                yield from self._row(self._by_id[asked], texts[:8], [], "", "")

    def first(self) -> FeedbackRow | None:
        """The first question that was answered."""
        for asked, answers in islice(self._answers.items(), _TRIED):
            row = next(self._row(self._by_id[asked], [answers[0].text], [], "", ""), None)
            if row is not None:
                return row
        return None

    def _row(self, asked: Turn | None, texts: list[str], verdicts: list[Any], who: str, why: str) -> Iterator[FeedbackRow]:
        """One row, or a word on why there is none."""
        prompt = self._prompt(asked) if asked else None
        if prompt is None:
            return
        try:
            checked = [text_of(text, "answer") for text in texts]
            yield row_of(prompt, checked, verdicts, who, critique=why) if verdicts else UnjudgedRow(prompt, tuple(checked))
        except Unusable as reason:
            self._context.note(f"An answer is left out: {reason}")

    def _prompt(self, asked: Turn) -> Messages | None:
        branch = self._branch(asked)
        if branch is None:
            self._context.note("What follows a very long conversation is left out")
            return None
        if not all(turn.whole for turn in branch):
            self._context.note("What follows a picture or a file is left out")
            return None
        turns = [turn for turn in branch if turn.text.strip() and turn.role != "tool"]
        messages: Messages = [Message(role=turn.role, content=turn.text) for turn in turns if turn.role != "tool"]
        if self._system.strip() and not any(message["role"] == "system" for message in messages):
            messages.insert(0, Message(role="system", content=self._system))
        try:
            return prompt_of(messages)
        except Unusable as reason:
            self._context.note(f"A conversation is left out: {reason}")
            return None

    def _question(self, answer: Turn) -> Turn | None:
        """The user's turn that an answer replies to; None where a tool was used in between, or another answer goes on."""
        for turn in self._above(answer):
            if turn.role == "tool":
                self._context.note(_TOOLS)
                return None
            if turn.text.strip() or not turn.whole:
                return turn if turn.role == "user" else None
        return None

    def _branch(self, turn: Turn) -> list[Turn] | None:
        """All turns up to this one; None where they are more than a prompt may hold."""
        if self._depth[turn.id] > _MOST_TURNS:
            return None
        found, chars = [turn], len(turn.text)
        for above in self._above(turn):
            found.append(above)
            chars += len(above.text)
            if chars > MAX_TEXT_CHARS or len(found) > _MOST_TURNS:
                return None
        return found[::-1]

    def _above(self, turn: Turn) -> Iterator[Turn]:
        seen = {turn.id}
        while (turn_ := self._by_id.get(turn.parent)) is not None and turn_.id not in seen:
            seen.add(turn_.id)
            turn = turn_
            yield turn


# --- what readers share


def whole(record: Record) -> Record:
    """The record, of which all that says something is looked at."""
    if isinstance(record, Watched):
        record.looked_at.update(record)
    return record


def thumb(value: Any) -> bool | None:
    """A thumb in whatever words; None for everything that is none, 0 among them: it stands for one that was taken back."""
    if isinstance(value, dict):
        return next((up for name in ("rating", "type", "value") if (up := thumb(value.get(name))) is not None), None)
    return None if is_nothing(value) or number_of(value) == 0 else thumb_of(value)


def reason(value: Any) -> str:
    """Why, as one text: a tag and a comment."""
    if not isinstance(value, dict):
        return ""
    tag = value.get("tag", value.get("reason"))
    named = tag.get("key") if isinstance(tag, dict) else tag
    parts = [named, value.get("comment"), value.get("text")]
    tags = value.get("tags")
    parts += tags if isinstance(tags, list) else []
    texts = [part for part in parts if isinstance(part, str)]
    said = [part.strip().replace("_", " ") if part is named else part.strip() for part in texts]
    return "\n".join(dict.fromkeys(part for part in said if part))


def without_asides(text: Any) -> tuple[str, bool]:
    """An answer without what was shown folded beside it, and whether a tool was used for it."""
    said = joined(text)[0]
    return _ASIDE.sub("", said), any(found[1] != "reasoning" for found in _ASIDE.finditer(said))


def joined(parts: Any) -> tuple[str, bool]:
    """The texts among the parts of a message, and whether there was nothing else. What was only thought is no part of it."""
    if isinstance(parts, str):
        return parts, True
    if not isinstance(parts, list):
        return "", True
    texts, whole_ = [], True
    for part in parts:
        text = _text_in(part)
        if text is None:
            whole_ = whole_ and isinstance(part, dict) and part.get("type") in ("thinking", "think", "reasoning")
        else:
            texts.append(text)
    return "\n\n".join(text for text in texts if text), whole_


def _text_in(part: Any) -> str | None:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or part.get("type", "text") not in ("text", "output_text"):
        return None
    text = part.get("text")
    inner = text.get("value") if isinstance(text, dict) else text
    return inner if isinstance(inner, str) else None
