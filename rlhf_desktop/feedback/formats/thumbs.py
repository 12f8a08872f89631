"""What says good or bad of an answer: words, the names of columns and questions, and the words that say that nobody judged."""

import re
from typing import Any

from rlhf_desktop.feedback.formats.base import as_words
from rlhf_desktop.feedback.formats.scales import either_way, number_of

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


# --- names of columns and questions (in words)

SAYS = (  # columns whose whole meaning is good or bad
    "label", "kto tag", "thumb", "thumbs", "vote", "verdict", "is good", "good", "approved", "accepted",
    "desirable", "is desirable", "liked", "is correct", "thumbs up", "thumb up", "upvoted", "chosen", "preferred",
    "acceptable",
)  # fmt: skip
DENIES = (
    "harmful", "is harmful", "unsafe", "is bad", "bad", "rejected",
    "disliked", "undesirable", "thumbs down", "thumb down", "downvoted", "is rejected", "wrong",
)  # fmt: skip
STARS = ("stars", "mark", "grade")
REMARKS = ("feedback", "status", "reaction")  # that may be anything else, too
MARKS = ("rating", "ratings", "score", "reward", "quality", "judgement", "judgment")
_UNJUDGED = {*SAYS, *STARS, *MARKS} - {"chosen", "preferred", "thumbs up", "thumb up"}  # a text; a tick that is set or not
_LESS = re.compile(r"\b(?:least|less|fewer|fewest|weaker|weakest|lower|lowest|not?|non)\b")
_WORSE = re.compile(
    r"\b(?:worse|worst|bad|reject(?:ed)?|dispreferred|disliked?|loser|poor(?:er|est)?|harmful|toxic|unsafe|dangerous|biased|violent|"
    r"offensive|problematic|inappropriate|incorrect|wrong|false|inaccurate|untruthful|misleading|unhelpful|rude|hallucinat\w+|"
    r"confusing|repetitive|boring|errors?|mistakes?)\b"
)


def may_be_unjudged(words: str) -> bool:
    """Whether an empty value in a column of this name (in words) says that nobody judged: it is kept where a table has it."""
    return words in _UNJUDGED


def asks_worst(question: str) -> bool:
    """Whether a question asks for the worse answer: "worse", "more harmful", "least helpful", but not "less harmful"."""
    words = as_words(question)
    return bool(_WORSE.search(words)) != bool(_LESS.search(words))


def says_bad(words: str) -> bool:
    """Whether words name something that is bad in an answer."""
    return bool(_WORSE.search(words)) or either_way(words)
