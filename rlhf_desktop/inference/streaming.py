"""Tokens to text as they come: whole characters only, and the same text that decoding everything at once gives."""

from collections.abc import Mapping, Sequence
from typing import Any

from rlhf_desktop.inference.chat_text import leads_with_space

HALF = "\ufffd"  # what a tokenizer makes of the first bytes of a character
CONTEXT = 4  # tokens decoded again before the new ones: enough for spaces and joined characters to come out the same


class TextStream:
    """The text of one answer, token by token.

    A character may take several tokens (an emoji takes up to four), and the first token of a word carries its space, which some
    tokenizers drop at the start of a text: so a few tokens before the new ones are always decoded with them.

    Args:
        tokenizer: Whose tokens.
        marks: Special tokens that are text all the same, such as what a thought stands between; the others are left out.
    """

    def __init__(self, tokenizer: Any, marks: Mapping[int, str] | None = None) -> None:
        self._tokenizer, self._marks = tokenizer, marks or {}
        self._ids: list[int] = []
        self._given = 0  # tokens whose text has been given out
        self._strip = leads_with_space(tokenizer)
        self.text = ""

    def push(self, token: int) -> str:
        """Add a token. Returns the text that is now certain, often one word, "" in the middle of a character."""
        if token in self._marks:
            return self._mark(token)
        self._ids.append(token)
        text = self._new_text()
        return "" if text.endswith(HALF) else self._give(text)

    def finish(self) -> str:
        """What is left at the end: a broken character, if the answer was cut in the middle of one."""
        return self._give(self._new_text())

    def _mark(self, token: int) -> str:
        before = self.finish()
        self._ids, self._given = [], 0
        self.text += self._marks[token]
        return before + self._marks[token]

    def _new_text(self) -> str:
        start = max(0, self._given - CONTEXT)
        before = self._decode(self._ids[start : self._given])
        return self._decode(self._ids[start:])[len(before) :]

    def _give(self, text: str) -> str:
        self._given = len(self._ids)
        if self._strip and not self.text:
            text = text.lstrip()
        self.text += text
        return text

    def _decode(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)) if ids else ""


class StopText:
    """Text until one of some words comes, which a model writes that does not know when to end.

    Args:
        words: What ends the text; none of it is given out.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._words, self._held = words, ""
        self.over = False
        self.text = ""

    def push(self, text: str) -> str:
        """Add text. Returns what is now certain."""
        if self.over:
            return ""
        self._held += text
        ends = [at for word in self._words if (at := self._held.find(word)) >= 0]
        self.over = bool(ends)
        return self._give(min(ends) if ends else len(self._held) - self._begun())

    def finish(self) -> str:
        """What was held back, as no word came of it."""
        return "" if self.over else self._give(len(self._held))

    def _begun(self) -> int:
        """Characters at the end that may become one of the words."""
        longest = max(map(len, self._words), default=1) - 1
        tails = (n for n in range(min(longest, len(self._held)), 0, -1))
        return next((n for n in tails if any(word.startswith(self._held[-n:]) for word in self._words)), 0)

    def _give(self, size: int) -> str:
        text, self._held = self._held[:size], "" if self.over else self._held[size:]
        self.text += text
        return text
