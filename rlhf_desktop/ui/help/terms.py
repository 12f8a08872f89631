"""The technical words of the screens. Each is defined once, in the guide's glossary; here they are found in texts. No Qt."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from rlhf_desktop.ui.help import guide

# In the glossary for who looks them up, but everyday words on a screen: to underline each would help nobody.
_EVERYDAY = frozenset(
    {
        "Adopt", "Attribute", "Correction", "Evaluation", "Example", "Flag", "Guidelines", "Judgement", "Lineage", "Mark",
        "Offline", "Parameter", "Preference", "Prompt", "Protocol", "Ranking", "Recipe", "Resume", "Round", "Run", "Thumbs", "Tie",
        "Value",
    }
)  # fmt: skip
_SENTENCE = re.compile(r".+?[.!?](?=\s|$)")


@dataclass(frozen=True)
class Term:
    """A word of the glossary."""

    name: str
    names: tuple[str, ...]  # this one, and the others for the same thing
    meaning: str
    target: str  # where the guide explains it

    @property
    def short(self) -> str:
        """The first sentence of what it means."""
        found = _SENTENCE.match(self.meaning)
        return found[0] if found else self.meaning

    @property
    def everyday(self) -> bool:
        """Whether it is a common word that is only looked up."""
        return self.name in _EVERYDAY


@cache
def terms() -> tuple[Term, ...]:
    """Every word of the glossary, in its order."""
    return tuple(_term(section) for section in guide.page("glossary").sections if section.anchor)


def terms_in(texts: Iterable[str]) -> list[Term]:
    """The technical words that texts hold, in the glossary's order."""
    found = {name for text in texts for name in _names_in(text)}
    return [term for term in terms() if not term.everyday and found.intersection(term.names)]


def places_in(text: str) -> list[tuple[int, int, Term]]:
    """The technical words of a text: where each begins and ends."""
    by_name = {name: term for term in terms() for name in term.names}
    found = ((match.start(), match.end(), by_name[_named()[match[0].casefold()]]) for match in _pattern().finditer(text))
    return [(start, end, term) for start, end, term in found if not term.everyday]


def _term(section: guide.Section) -> Term:
    others = [name.strip() for name in section.also.split(",") if name.strip()]
    return Term(section.title, (section.title, *others), section.text, section.target)


def _names_in(text: str) -> set[str]:
    return {_named()[match[0].casefold()] for match in _pattern().finditer(text)}


@cache
def _named() -> dict[str, str]:
    return {name.casefold(): name for term in terms() for name in term.names}


@cache
def _pattern() -> re.Pattern[str]:
    """Longest names first; those in capitals (PPO, KL) only as they are written."""
    names = sorted((name for term in terms() for name in term.names), key=len, reverse=True)
    said = [re.escape(name) if name.isupper() else f"(?i:{re.escape(name)})" for name in names]
    return re.compile(rf"(?<![\w-])(?:{'|'.join(said)})(?![\w-])")
