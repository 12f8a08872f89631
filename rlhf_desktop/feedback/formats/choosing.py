"""What a chosen word says of several answers: "response_a", "Answer 2 is better", "B", "left", "tie", "both bad"."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rlhf_desktop.feedback.formats.base import as_words
from rlhf_desktop.feedback.formats.roles import is_sign, place_of

_NONE = {
    "none", "both bad", "bothbad", "all bad", "neither", "none of them", "none of the above", "both are bad", "neither is good",
    "both wrong", "tie bothbad", "tie both bad", "both unacceptable", "neither is acceptable", "both poor",
}  # fmt: skip
_TIE = {
    "tie", "equal", "same", "both", "both good", "draw", "equally good", "about the same", "the same", "no preference", "tied",
    "both are good", "both equal", "equivalent", "both are equally good", "similar", "no difference", "equal quality",
    "both acceptable",
}  # fmt: skip
_PRAISE = re.compile(
    r"\b(?:is|was|are|i|the|a|far|bit|slightly|much|clearly|significantly|strongly|somewhat|better|best|preferred|prefers?|wins?|winner|"
    r"chosen?|choose|select(?:ed)?|pick|more|helpful|good|than|answer|response|option|text|model|assistant|output|completion|generation|"
    r"candidate|reply|choice)\b"
)
_STRENGTH = ((3, r"\b(?:much|far|significantly|strongly)\b"), (1, r"\b(?:slightly|somewhat|a bit)\b"), (2, r"\bclearly\b"))
_BETWEEN = re.compile(r"^(.+?)\s*(>>?|<<?|==?)\s*(.+)$")


@dataclass(frozen=True)
class Chosen:
    """What a word says: the best answer's place, or that all are alike, or that none will do."""

    says: Literal["better", "tie", "none", "unclear"]
    place: int = -1
    strength: int | None = None


def chosen(word: str, names: Sequence[str], by_place: bool = True) -> Chosen | None:
    """What a word says of the answers with these names; None where it speaks of none of them.

    Args:
        word: As chosen.
        names: The answers' names.
        by_place: Whether "B" or "2" may mean an answer; not where the question is about one answer.
    """
    for place, name in enumerate(names):
        if _alike(word, name):
            return Chosen("better", place)
    said = re.sub(r"[^\w\s<>=+-]", " ", as_words(word)).strip()
    said = " ".join(said.split())
    if said in _NONE or said in _TIE:
        return Chosen("none" if said in _NONE else "tie")
    between = _BETWEEN.match(word.strip())
    if between:
        return _compared(between[1], between[2], between[3], names)
    return _praised(said, names, by_place)


def _alike(word: str, name: str) -> bool:
    return re.sub(r"\W|_", "", word.casefold()) == re.sub(r"\W|_", "", name.casefold()) != ""


def _compared(first: str, sign: str, second: str, names: Sequence[str]) -> Chosen | None:
    one, other = chosen(first, names), chosen(second, names)
    if not one or not other or "better" not in (one.says, other.says):
        return None
    if sign.startswith("="):
        return Chosen("tie")
    return one if sign.startswith(">") else other


def _praised(said: str, names: Sequence[str], by_place: bool) -> Chosen | None:
    strength = next((level for level, words in _STRENGTH if re.search(words, said)), None)
    first = re.split(r"\bthan\b", said)[0]
    for place, name in sorted(enumerate(names), key=lambda pair: -len(pair[1])):
        own = as_words(name)
        if first.startswith(f"{own} ") and not _rest(first.removeprefix(own)):
            return Chosen("better", place, strength)
    left = _rest(first)
    named = [place for place, name in enumerate(names) if left and _alike(left, _rest(as_words(name)) or name)]
    if len(named) == 1 and (by_place or not is_sign(left)):
        return Chosen("better", named[0], strength)
    if is_sign(left) and (by_place or left != said):
        meant = place_of(left, names)
        return Chosen("unclear", strength=strength) if meant is None else Chosen("better", meant, strength)
    return None


def _rest(said: str) -> str:
    """What is left without the words of praise: "b" of "response b is better"."""
    words = said.split()
    if len(words) > 1 and words[-1] in ("a", "i"):  # "answer a": the letter, not the article
        return " ".join([*_PRAISE.sub(" ", " ".join(words[:-1])).split(), words[-1]])
    kept = []
    for place, word in enumerate(words):
        letter = word in ("a", "i") and (place == 0 or words[place - 1] in _NOUNS)
        kept.append(word if letter else _PRAISE.sub("", word))
    return " ".join(word for word in kept if word)


_NOUNS = (
    "answer", "response", "option", "text", "model", "assistant", "output", "completion", "generation", "candidate", "reply",
    "choice",
)  # fmt: skip
