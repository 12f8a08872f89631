"""Columns that no reader knows but that may say how good an answer is: beside them no answer is an example unasked.

“upvotes”, “Schulnote”, “feedback: {score: 0}” or “answer: reject” mean something to whoever made the file. Taken for nothing, they
would make bad answers examples to imitate, so a preview asks what they say, and the rows wait.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from rlhf_desktop.feedback.formats.asking import Context, Question, Watched
from rlhf_desktop.feedback.formats.base import as_words
from rlhf_desktop.feedback.formats.scales import number_of, scales_with
from rlhf_desktop.feedback.formats.thumbs import thumb_of

_JUDGING = frozenset((
    "label", "rating", "ratings", "rated", "score", "scores", "scored", "vote", "votes", "voted", "upvote", "upvotes",
    "downvote", "downvotes", "ups", "downs", "thumb", "thumbs", "like", "likes", "liked", "dislike", "dislikes", "mark",
    "marks", "grade", "grades", "note", "notes", "star", "stars", "reward", "rewards", "feedback", "verdict",
    "judgement", "judgements", "judgment", "judgments", "quality", "rank", "ranking", "preference", "preferred",
    "winner", "approved", "approval", "accept", "accepted", "acceptable", "reject", "rejected", "correct", "incorrect",
    "correctness", "wrong", "helpful", "helpfulness", "unhelpful", "honest", "honesty", "harmful", "harmless",
    "harmlessness", "harm", "toxic", "toxicity", "safe", "unsafe", "safety", "evaluation", "eval", "assessment",
    "useful", "usefulness", "satisfaction", "csat", "nps", "karma", "points", "reaction", "flagged", "good", "bad", "badness",
    "better", "worse", "best", "worst", "appropriate", "desirable", "undesirable", "bewertung", "bewertet", "urteil",
    "punkte", "punktzahl", "sterne", "schulnote", "qualität", "daumen", "richtig", "falsch", "korrekt", "rang", "avis",
    "notation", "étoiles", "valoración", "calificación", "puntuación", "voto", "punteggio", "valutazione", "avaliação",
    "nota", "ocena", "оценка", "error", "errors", "erroneous", "hallucination", "hallucinations", "hallucinated", "mistake",
    "mistakes",
    "offensive", "spam", "biased", "valid", "invalid", "passed", "failed", "pass", "fail", "success", "successful", "accuracy",
    "accurate", "inaccurate", "factual", "truthful", "truthfulness", "relevant", "relevance", "irrelevant", "usable", "keep",
    "severity", "fehler", "erreur", "gut", "schlecht", "bon", "mauvais",
))  # fmt: skip
PLAIN_WORDS = frozenset((  # that judge under whatever heading
    "accept", "accepted", "reject", "rejected", "approve", "approved", "decline", "declined", "thumbs_up",
    "thumbs_down", "thumb_up", "thumb_down", "thumbsup", "thumbsdown", "upvote", "upvoted", "downvote", "downvoted",
    "dislike", "disliked", "👍", "👎", "👍️", "👎️",
))  # fmt: skip
_SHORT = 24  # characters of a word that judges
_FEW = 12  # different values of a column of such words
_BESIDE = (
    "id", "count", "model", "source", "date", "time", "by", "prompt", "input", "version", "type",
)  # fmt: skip  # of "rating_model"
IGNORE = ("ignore", "It says nothing of how good the answer is")

Leaf = tuple[str, Any]  # a name in words, and a number, a text or whether


def suspects(record: Mapping[str, Any], context: Context, known: frozenset[str] = frozenset()) -> Iterator[Leaf]:
    """What the columns that nobody read hold and that may judge the answer.

    Args:
        record: Columns by name; of a `Watched` one those that were looked at are passed over.
        context: What is known of the file.
        known: Names, in words, of columns that are read otherwise.
    """
    seen = record.looked_at if isinstance(record, Watched) else set()
    for name in [name for name in record if name not in seen and as_words(str(name)) not in known]:
        value = record.holds(name) and dict.get(record, name) if isinstance(record, Watched) else record[name]
        found = [leaf for leaf in _leaves(as_words(str(name)), value) if _may_judge(*leaf, context)]
        if found and isinstance(record, Watched):
            record.looked_at.add(name)
        yield from found


def survey_suspects(record: Mapping[str, Any], context: Context) -> None:
    """Note the short values of all columns, in the whole file."""
    for name in list(record):
        for words, value in _leaves(as_words(str(name)), dict.get(record, name) if isinstance(record, dict) else record[name]):
            if number_of(value) is not None and is_judging(words):
                context.saw(f"?{words}", number_of(value))
            elif isinstance(value, str | bool) and len(str(value)) <= _SHORT:
                context.saw(f"?{words}", word_of(value))


def ask_meaning(words: str, value: Any, context: Context) -> str:
    """What a column says: a scale, the values that call an answer good, or that it is to be ignored.

    Raises:
        Unusable: nobody has said.
    """
    held = context.values(f"?{words}") or [value]
    numbers = [one for one in held if isinstance(one, float)]
    seen = ", ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in held[:8])
    scales = [(str(scale), scale.words) for scale in scales_with(numbers)] if numbers else []
    good = [(str(one), f"“{one}” calls an answer good, the others do not") for one in held[:8] if isinstance(one, str)]
    return context.ask(Question(
        words.replace(" ", "_"),
        f"Does “{words[:60]}” say how good the answer is? It holds {seen}. Write the worst and the best mark, as 1-10; or the "
        "values that call an answer good, with commas between; or say ignore.",
        (*scales, *good, IGNORE),
    ))  # fmt: skip


def _leaves(words: str, value: Any) -> Iterator[Leaf]:
    """The values of a column: of an object each by its name, of a list each."""
    parts = value if isinstance(value, list) else [value]
    for part in parts[:_FEW]:
        if not isinstance(part, dict):
            yield words, part
        elif "value" in part:
            named = as_words(str(part.get("name") or part.get("key") or part.get("question") or ""))
            yield f"{words} {named}".strip(), part["value"]
        else:
            yield from ((f"{words} {as_words(str(name))}", one) for name, one in list(part.items())[:_FEW])


def _may_judge(words: str, value: Any, context: Context) -> bool:
    if isinstance(value, str) and number_of(value) is None:
        values = {one for one in context.values(f"?{words}") if isinstance(one, str)} | {word_of(value)}
        plain = bool(values & PLAIN_WORDS) and len(values) <= _FEW and len(value) <= _SHORT
        return plain or (is_judging(words) and _says_good_or_bad(values))
    return isinstance(value, str | int | float) and is_judging(words)


def is_judging(words: str) -> bool:
    """Whether a column of this name, in words, may say how good an answer is."""
    parts = re.findall(r"\w+", words)
    if not parts or parts[-1] in _BESIDE or "moderation" in parts:
        return False
    return any(part in _JUDGING or part.endswith(("note", "bewertung")) for part in parts)


def _says_good_or_bad(values: set[str]) -> bool:
    return len(values) <= _FEW and any(thumb_of(value) is not None for value in values)


def word_of(value: Any) -> str:
    """A value as it is compared: lower case, in one word."""
    return str(value).strip().casefold().replace(" ", "_") if isinstance(value, str) else str(value).casefold()
