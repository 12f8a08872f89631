"""How well something matches what was typed: one page of rules, no index. No Qt.

Every word typed has to be found: in the title (worth most), in the words people use for it, or in the text. A word that nothing
knows is taken for the nearest known one, so that a slip of the finger finds what was meant.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import TypeVar

_WORD = re.compile(r"\w+(?:['’]\w+)?")
_EMPTY = re.compile(  # words that tell nothing of what is looked for
    "a|an|the|is|are|was|be|to|of|in|on|at|for|and|or|it|its|this|that|with|my|me|i|do|does|did|can|could|how|what|why|when|where|"
    "which|who|should|would|will|about|from|by|into|not|no|so|there|have|has|get|go"
)
_ENDINGS = ("ing", "ed", "es", "s")
_STEM_LETTERS = 3
_CLOSE = 0.85
_TITLE, _ALIAS, _TEXT = 10.0, 7.0, 1.0
_WHOLE, _BEGINS, _WITHIN = 30.0, 12.0, 6.0
_PART = 0.6  # of a word, while it is being typed
Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Words:
    """What there is to match of one thing."""

    title: str
    aliases: str = ""  # what people call it, with commas between
    text: str = ""
    weight: float = 0.0  # added when it matches: an action before a page that speaks of it


def best(query: str, things: Iterable[Thing], words: Callable[[Thing], Words], most: int, *, forgiving: bool = True) -> list[Thing]:
    """The things that match what was typed, the best first; equal ones in their order."""
    known = [(thing, words(thing)) for thing in things]
    asked = [_stem(_nearest(word, known) if forgiving else word) for word in _asked(query)]
    scored = [(score(query, asked, said), thing) for thing, said in known]
    return [thing for value, thing in sorted(scored, key=lambda pair: -pair[0]) if value > 0][:most]


def score(query: str, asked: Sequence[str], said: Words) -> float:
    """How well; 0: not at all."""
    if not asked:
        return 0.0
    names, text = ((_TITLE, _stems(said.title)), (_ALIAS, _stems(said.aliases))), _stems(said.text)
    found = [max(_TEXT * (word in text), *(weight * _found(word, stems) for weight, stems in names)) for word in asked]
    if not all(found):
        return 0.0
    return sum(found) / len(found) + _phrase(query, said) + said.weight - 0.1 * len(names[0][1])


def _phrase(query: str, said: Words) -> float:
    wanted, title = " ".join(query.casefold().split()), said.title.casefold()
    if wanted in (title, *(alias.strip() for alias in said.aliases.casefold().split(","))):
        return _WHOLE
    return _BEGINS if title.startswith(wanted) else _WITHIN if wanted in title else 0.0


def _asked(query: str) -> list[str]:
    words = _WORD.findall(query.casefold())
    telling = [word for word in words if not _EMPTY.fullmatch(word)]
    return telling or words


def _found(word: str, stems: Sequence[str]) -> float:
    if word in stems:
        return 1.0
    return _PART if len(word) > 1 and any(stem.startswith(word) for stem in stems) else 0.0


def _nearest(word: str, known: Sequence[tuple[Thing, Words]]) -> str:
    stem = _stem(word)
    if any(_found(stem, _stems(f"{said.title} {said.aliases}")) or stem in _stems(said.text) for _thing, said in known):
        return word
    named = {each for _thing, said in known for each in _WORD.findall(f"{said.title} {said.aliases}".casefold())}
    return next(iter(get_close_matches(word, named, 1, _CLOSE)), word)


@lru_cache(maxsize=4096)
def _stems(text: str) -> tuple[str, ...]:
    return tuple(_stem(word) for word in _WORD.findall(text.casefold()))


def _stem(word: str) -> str:
    ending = next((e for e in _ENDINGS if word.endswith(e) and len(word) - len(e) >= _STEM_LETTERS), "")
    return word.removesuffix(ending)
