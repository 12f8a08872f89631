"""What a model thinks before it answers, told apart from the answer while it is written. No text is ever lost.

A thought stands at the beginning, between two marks. What comes after it is the answer, marks or not: an answer may speak of them.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["none", "switch", "always", "free"]
"""How a model's template deals with thoughts: it knows none, can leave them out, opens one before each answer, or leaves it to
the model."""

Part = tuple[bool, str]  # whether it is thought, and the text

DEFAULT_THOUGHT_TOKENS = 1024
"""A thought's room where none is chosen."""


@dataclass(frozen=True)
class Tags:
    """The marks of one format.

    Attributes:
        opens: Any of these begins a thought.
        close: Ends it.
        leads: What may stand before thought or answer and belongs to neither.
    """

    opens: tuple[str, ...]
    close: str
    leads: tuple[str, ...] = ()

    @property
    def marks(self) -> tuple[str, ...]:
        """Every one."""
        return (*self.opens, self.close, *self.leads)


THINK = Tags(("<think>",), "</think>")
HARMONY = Tags(
    ("<|channel|>analysis<|message|>", "<|channel|>commentary<|message|>"),
    "<|end|>",
    ("<|start|>assistant", "<|channel|>final<|message|>"),
)
TAGS = (
    THINK,
    HARMONY,  # GPT-OSS
    Tags(("<|channel>thought\n",), "<channel|>"),  # Gemma 4
    Tags(("[THINK]",), "[/THINK]"),  # Magistral
    Tags(("<seed:think>",), "</seed:think>"),
    Tags(("<|START_THINKING|>",), "<|END_THINKING|>"),  # Command A
)


class ThoughtSplitter:
    """Takes text as it comes and gives it back in parts, each thought or answer.

    Args:
        tags: The format's marks.
        opened: The prompt has opened the thought already.
        may_close_unopened: A closing mark without an opening one ends a thought all the same.
    """

    def __init__(self, tags: Tags = THINK, *, opened: bool = False, may_close_unopened: bool = False) -> None:
        self._tags, self._may_close = tags, may_close_unopened
        self._state: Literal["edge", "thought", "answer"] = "thought" if opened else "edge"
        self._held = ""  # may be the beginning of a mark
        self._thought = self._answer = ""
        self._marked = opened
        self.closed = not opened  # no thought is open

    @property
    def thinking(self) -> bool:
        """Whether what comes next is thought, as far as is known."""
        return self._state == "thought"

    @property
    def thought(self) -> str:
        """All that was thought."""
        return self._thought.strip()

    @property
    def answer(self) -> str:
        """All that was answered."""
        return self._answer

    def push(self, text: str) -> list[Part]:
        """Add a piece of text. Returns what is now certain."""
        self._held += text
        parts: list[Part] = []
        while (part := self._next()) is not None:
            parts += [part] if part[1] else []
        return parts

    def close(self) -> None:
        """The thought ends here: what was written is all of it, even if nothing has opened one."""
        if self._state != "edge":
            self._thought += self._held if self._state == "thought" else self._answer + self._held
            self._answer = self._held = ""
        self._state, self.closed, self._marked = "edge", True, True

    def finish(self) -> list[Part]:
        """Nothing more comes: what was held back is what it looks like. The two texts are final now."""
        parts = [self._give(self._state == "thought", self._held)] if self._held else []
        self._held = ""
        if self._may_close and not self._marked and self._tags.close in self._answer:
            self._thought, _, rest = self._answer.partition(self._tags.close)
            self._answer = rest.lstrip()
        return parts

    def _next(self) -> Part | None:
        """One step; None when more has to come first. An empty part only moves on."""
        if self._state == "edge":
            return self._leave_edge()
        if self._state == "thought":
            return self._think()
        text, self._held = self._held, ""
        return self._give(False, text) if text else None

    def _leave_edge(self) -> Part | None:
        text = self._held.lstrip()
        for mark in (*self._tags.opens, *self._tags.leads):
            if text.startswith(mark):
                self._held, self._marked = text.removeprefix(mark), True
                if mark in self._tags.opens:
                    self._state, self.closed = "thought", False
                return (False, "")
        if any(mark.startswith(text) for mark in (*self._tags.opens, *self._tags.leads)):
            return None
        self._state = "answer"
        self._held = text if self._marked else self._held
        return (False, "")

    def _think(self) -> Part | None:
        before, close, after = self._held.partition(self._tags.close)
        if close:
            self._held, self._state, self.closed = after, "edge", True
            return self._give(True, before)
        sure = len(self._held) - _begun(self._held, self._tags.close)
        text, self._held = self._held[:sure], self._held[sure:]
        return self._give(True, text) if text else None

    def _give(self, thought: bool, text: str) -> Part:
        if thought:
            text = text if self._thought else text.lstrip()
            self._thought += text
        else:
            text = text if self._answer or not self._marked else text.lstrip()
            self._answer += text
        return thought, text


def _begun(text: str, mark: str) -> int:
    """How many characters at the end of `text` are the beginning of `mark`."""
    return next((n for n in range(min(len(text), len(mark) - 1), 0, -1) if text.endswith(mark[:n])), 0)


def split_thought(text: str) -> tuple[str, str]:
    """Thought and answer of a complete text that begins with a closed thought; ("", text) of any other."""
    for tags in TAGS:
        if not text.lstrip().startswith(tags.opens):
            continue
        splitter = ThoughtSplitter(tags)
        splitter.push(text)
        closed = splitter.closed
        splitter.finish()
        if closed and splitter.answer.strip():
            return splitter.thought, splitter.answer
    return "", text
