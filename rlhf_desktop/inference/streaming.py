"""Tokens to text as they come: whole characters only, and the same text that decoding everything at once gives."""

from typing import Any

HALF = "\ufffd"  # what a tokenizer makes of the first bytes of a character
CONTEXT = 4  # tokens decoded again before the new ones: enough for spaces and joined characters to come out the same


class TextStream:
    """The text of one answer, token by token.

    A character may take several tokens (an emoji takes up to four), and the first token of a word carries its space, which some
    tokenizers drop at the start of a text: so a few tokens before the new ones are always decoded with them.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._given = 0  # tokens whose text has been given out
        self._strip = not tokenizer.chat_template  # after the plain "Assistant:" comes a space
        self.text = ""

    def push(self, token: int) -> str:
        """Add a token. Returns the text that is now certain, often one word, "" in the middle of a character."""
        self._ids.append(token)
        text = self._new_text()
        return "" if text.endswith(HALF) else self._give(text)

    def finish(self) -> str:
        """What is left at the end: a broken character, if the answer was cut in the middle of one."""
        return self._give(self._new_text())

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
