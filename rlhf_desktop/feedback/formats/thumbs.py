"""Words that call an answer good or bad, and those that say that nobody judged."""

import re
from typing import Any

from rlhf_desktop.feedback.formats.base import as_words
from rlhf_desktop.feedback.formats.scales import number_of

_GOOD = {
    "true", "yes", "y", "up", "good", "chosen", "accepted", "accept", "approved", "desirable", "positive", "like",
    "liked", "correct", "right", "thumbs_up", "thumb_up", "thumbsup", "upvote", "upvoted", "👍", "✓", "✅", "+",
    "pass", "passed", "winner", "win", "preferred", "acceptable",
    "ja", "wahr", "gut", "richtig", "oui", "vrai", "bon", "bonne", "juste", "sí", "si", "verdadero", "bueno", "sì", "vero", "sim",
    "verdadeiro", "tak", "prawda", "waar", "да", "истина", "хорошо",
}  # fmt: skip
_BAD = {
    "false", "no", "n", "down", "bad", "rejected", "reject", "declined", "undesirable", "negative", "dislike",
    "disliked", "incorrect", "wrong", "thumbs_down", "thumb_down", "thumbsdown", "downvote", "downvoted", "👎",
    "nein", "schlecht", "falsch", "non", "mauvais", "mauvaise", "faux", "falso", "malo", "não", "nie", "fałsz", "nee",
    "onwaar", "нет", "ложь", "плохо",
    "✗", "❌", "-", "−", "fail", "failed", "loser", "lose", "dispreferred", "unacceptable", "not_good",
    "low", "poor", "terrible", "awful", "worse", "worst", "unhelpful", "harmful", "toxic", "unsafe", "spam",
}  # fmt: skip
_SKIN = re.compile("[\U0001f3fb-\U0001f3ff\ufe0f]")  # of a thumb
_NOBODY = {"", "-", "–", "—", "−", "n/a", "na", "none", "null", "nan", "?", "unknown", "unrated", "not_rated", "unlabeled", "skip",
           "skipped", "ignore", "ignored"}  # fmt: skip


def thumb_of(value: Any) -> bool | None:
    """Whether a value says good (True) or bad (False) by itself; None where it says neither."""
    if isinstance(value, bool):
        return value
    number = number_of(value)
    if number is not None:
        return {1.0: True, 0.0: False, -1.0: False}.get(number)
    raw = _SKIN.sub("", value.strip().casefold()) if isinstance(value, str) else ""
    said = {raw, as_words(raw).replace(" ", "_")}
    return True if said & _GOOD else False if said & _BAD else None


def is_nothing(value: Any) -> bool:
    """Whether a value says that nobody judged: an empty one, a dash, "n/a"."""
    return value is None or (isinstance(value, str) and value.strip().casefold() in _NOBODY)


_MARKS = (
    "label", "kto tag", "thumb", "thumbs", "vote", "verdict", "is good", "good", "approved", "accepted", "desirable",
    "is desirable", "liked", "is correct", "upvoted", "acceptable", "stars", "mark", "grade", "rating", "ratings", "score",
    "reward", "quality", "judgement", "judgment",
)  # fmt: skip


def may_be_unjudged(words: str) -> bool:
    """Whether an empty value in a column of this name (in words) says that nobody judged: it is kept where a table has it."""
    return words in _MARKS
