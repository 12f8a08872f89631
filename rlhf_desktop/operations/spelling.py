"""Spell check with the dictionaries that the system has, through enchant; where there is none, there is no spell check.

The Python package `pyenchant` is an extra, and the library behind it (libenchant) belongs to the system, with a dictionary a
language. On Windows the package brings both for English.
"""

import importlib
import locale
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Protocol

MOST_SUGGESTIONS = 6
OFF = "off"
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_NOT_PROSE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|\S+@\S+|\w+://\S+|\S*[\d_\\/]\S*", re.DOTALL)
NEEDS = "It needs the program's “spelling” extra (pyenchant), the library enchant, and a dictionary of your language."


class Dictionary(Protocol):
    """What enchant gives for a language."""

    def check(self, word: str) -> bool:
        """Whether it is written so."""

    def suggest(self, word: str) -> list[str]:
        """Words that may have been meant."""

    def add(self, word: str) -> None:
        """Know it from now on, in the user's own word list."""


def _enchant() -> ModuleType | None:
    try:
        return importlib.import_module("enchant")
    except ImportError:  # the package is missing, or the library behind it
        return None


def languages() -> list[str]:
    """The languages there are dictionaries of, by their codes ("de_DE"); none where there is no spell check."""
    enchant = _enchant()
    return sorted(enchant.list_languages()) if enchant else []


def usual_language(known: list[str], system: str | None = None) -> str:
    """The system's language if there is a dictionary of it, or of its kin; OFF: there is none."""
    code = (system if system is not None else locale.getlocale()[0]) or ""
    kin = [each for each in known if code and each.split("_")[0] == code.split("_")[0]]
    return code if code in known else kin[0] if kin else OFF


def dictionary(language: str) -> Dictionary | None:
    """The dictionary of a language; None: there is none, or it cannot be opened."""
    enchant = _enchant()
    if enchant is None or language not in languages():
        return None
    try:
        opened: Dictionary = enchant.Dict(language)
    except enchant.errors.Error:
        return None
    return opened


def misspelled(text: str, words: Dictionary) -> Iterator[tuple[int, int]]:
    """Where a word of a text, as (start, end), is in no dictionary. Code, addresses, numbers and capitals are left alone."""
    prose = _NOT_PROSE.sub(lambda found: " " * len(found[0]), text)
    for found in _WORD.finditer(prose):
        word = found[0].replace("’", "'")
        if len(word) > 1 and not word.isupper() and not words.check(word):
            yield found.span()


def suggestions(word: str, words: Dictionary) -> list[str]:
    """What may have been meant, likeliest first."""
    return words.suggest(word.replace("’", "'"))[:MOST_SUGGESTIONS]
