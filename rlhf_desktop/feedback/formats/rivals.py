"""Several answers to one prompt, in columns or a list of any name, with who won or how much each scored.

“response_a, response_b, winner”, “answer1, answer2, score1, score2”, “responses” with “scores” or “best”, Label Studio's tables and
JSON-MIN, Prodigy's choices. What a word or a number means is told by the answers' names and the whole file; the rest is asked.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.formats.asking import Context, Question
from rlhf_desktop.feedback.formats.base import SYSTEM_NAMES, Format, Record, as_words, chat_of
from rlhf_desktop.feedback.formats.choosing import Chosen, chosen
from rlhf_desktop.feedback.formats.extras import check_kept, with_system
from rlhf_desktop.feedback.formats.roles import designators, is_answer, is_prompt
from rlhf_desktop.feedback.formats.scales import either_way, number_of, whole_of
from rlhf_desktop.feedback.formats.thumbs import asks_worst, is_nothing
from rlhf_desktop.feedback.judgements import AllBad, Ranking, Verdict, dense
from rlhf_desktop.feedback.rows import FeedbackRow, Unusable, annotator_of, prompt_of, row_of, text_of

_WINNER = re.compile(
    r"\b(?:winner|wins?|preferred|preference|prefers?|better|best|chosen|choice|select(?:ed|ion)|pairwise|vote|verdict|pick|worse|"
    r"worst|loser|gewinner|bessere?|wahl|choix|meilleure?|mejor|ganador)\b"
)
_SCORED = re.compile(
    r"(?<![a-z])(?:scores?|ratings?|rewards?|votes?|upvotes|points|marks?|grades?|ranks?|bewertung|noten?)(?![a-z])"
)
_AMOUNT = re.compile(r"\b(?:scores?|ratings?|rewards?|confidence|margin|strength|model|length|reason|tokens?)\b")
_MODEL = re.compile(r"(?:model|version)\b")
_LONG = 100  # characters
_LISTS = ("responses", "completions", "generations", "answers", "candidates", "outputs", "options", "replies")
_TEXT = ("text", "body", "response", "content", "answer", "completion", "output")
_ASKED = ("prompt", "instruction", "question", "query", "input")
_SIDES = ("left", "right")

Scores = dict[str, list[float]]  # of each answer, by what is counted


def _fits(record: Record) -> float:
    answers = _answers(record)
    if (
        len(answers) < 2
        or _question(record, answers) is None
        or ("chosen" in record and "rejected" in record and "prompt" in record)
    ):
        return 0.0
    return 0.9 if _winners(record, answers) or _scores(record, answers) or _is_choice(record) else 0.0


def _survey(record: Record, context: Context) -> None:
    for name in _winners(record, _answers(record)):
        context.saw(f"winner:{name}", _word(record[name]))


def _read(record: Record, context: Context) -> Iterator[FeedbackRow]:
    check_kept(record)
    answers = _answers(record)
    asked = _question(record, answers)
    verdict = _verdict(record, answers, context)
    prompt = with_system(record, _prompt(record[asked or ""]))
    for name in [*answers, *_LISTS, *(name for name in list(record) if _SCORED.search(as_words(str(name))))]:
        record.get(name)  # looked at
    yield row_of(prompt, [text_of(text, "answer") for text in answers.values()], [verdict], annotator_of(record))


def _prompt(value: Any) -> Messages:
    return prompt_of(value if isinstance(value, str) else chat_of(value, "prompt"))


# --- what is what


def _peek(record: Mapping[str, Any]) -> dict[str, Any]:
    """The columns, without counting as a look at them."""
    return {str(name): value for name, value in record.items()}


def _answers(record: Mapping[str, Any]) -> dict[str, str]:
    """The answers by name: columns of one kind with a number or a letter, or the parts of the one list ("#0", "#1", …)."""
    columns = _peek(record)
    texts = {name: value for name, value in columns.items() if isinstance(value, str) and value.strip() and is_answer(name)}
    texts = {name: text for name, text in texts.items() if re.search(r"(?:\d| [a-z])$", as_words(name))}
    texts = {name: text for name, text in texts.items() if not _MODEL.match(as_words(name))} or texts
    if len(texts) > 1 and designators(list(texts)):
        return texts
    lists = [columns[name] for name in _LISTS if isinstance(columns.get(name), list)]
    parts = [_text(part) for part in lists[0]] if len(lists) == 1 else []
    return {f"#{n}": part for n, part in enumerate(parts)} if len(parts) > 1 and all(parts) else {}


def _parts(record: Mapping[str, Any]) -> list[Any]:
    return next(value for name, value in _peek(record).items() if name in _LISTS and isinstance(value, list))


def _text(part: Any) -> str:
    if isinstance(part, dict):
        part = next((part[name] for name in _TEXT if isinstance(part.get(name), str)), None)
    return part if isinstance(part, str) else ""


def _question(record: Mapping[str, Any], answers: Mapping[str, str]) -> str | None:
    columns = _peek(record)
    likely = [name for name, value in columns.items() if value and isinstance(value, str | list) and is_prompt(name)]
    likely = [name for name in likely if name not in answers and name not in _LISTS and as_words(name) not in SYSTEM_NAMES]
    return next((name for name in likely if as_words(name) in _ASKED), next(iter(likely), None))


# --- who won


def _verdict(record: Record, answers: Mapping[str, str], context: Context) -> Verdict:
    if _is_choice(record):
        return _accepted(record, list(answers))
    winners = _winners(record, answers)
    if len(winners) > 1:
        winners = [_which(winners, context)]
    return _won(record, winners[0], list(answers), context) if winners else _scored(_scores(record, answers), context)


def _which(names: list[str], context: Context) -> str:
    text = "More than one column says which answer is better. Which one counts?"
    said = context.ask(Question("counts", text, tuple((name, name) for name in names)))
    if said not in names:
        raise Unusable(f"it has no column “{said[:40]}” that says which answer is better")
    return said


def _winners(record: Mapping[str, Any], answers: Mapping[str, str]) -> list[str]:
    """The columns that name a winner: by their heading, or because they hold an answer's name, or "left"."""
    found = []
    for name, value in _peek(record).items():
        if name in answers or isinstance(value, bool | dict | list) or is_nothing(value):
            continue
        word = _word(value)
        if len(word) > _LONG:
            continue  # a text, no word
        if len(word) > 1 and word in answers.values():
            continue  # the better answer once more, as the scores made it
        named = _names_one(as_words(name)) and _is_known(word, name, record, list(answers))
        if named or word.casefold() in _SIDES or word in answers:
            found.append(name)
    return found


def _word(value: Any) -> str:
    number = whole_of(value)
    return str(value).strip() if number is None else str(number)


def _owner(word: str, column: str, record: Mapping[str, Any], names: list[str]) -> int:
    """Which answer is of the model that is named: beside response_a stands model_a; -1 where that is none, or not just one."""
    signs = designators(names).items()
    places = {
        place
        for name, value in _peek(record).items()
        for sign, place in signs
        if name != column and name not in names and value == word and re.search(_alone(sign), as_words(name))
    }
    return places.pop() if len(places) == 1 and number_of(word) is None else -1


def _is_known(word: str, column: str, record: Mapping[str, Any], names: list[str]) -> bool:
    return whole_of(word) is not None or chosen(word, names) is not None or _owner(word, column, record, names) >= 0


def _names_one(heading: str) -> bool:
    return bool(_WINNER.search(heading)) and not _AMOUNT.search(heading)


def _won(record: Record, column: str, names: list[str], context: Context) -> Verdict:
    word = _word(record[column])
    owner = _owner(word, column, record, names)
    said = Chosen("better", owner) if owner >= 0 else _meant(word, column, names, context)
    worst = asks_worst(column)
    if said.says == "none" and not worst:
        return AllBad()
    if said.says != "better":
        return Ranking((1,) * len(names))
    best, others = (2, 1) if worst else (1, 2)
    ranks = tuple(best if place == said.place else others for place in range(len(names)))
    return Ranking(ranks, said.strength if len(names) == 2 else None)


def _meant(word: str, column: str, names: list[str], context: Context) -> Chosen:
    if word.casefold() in _SIDES and len(names) == 2:
        choices = tuple((name, f"“{name}” stood left") for name in names)
        left = context.ask(Question("left", "Which column stood left? The file does not say it.", choices))
        if left not in names:
            raise Unusable(f"“{left[:40]}” names none of the answers")
        return Chosen("better", names.index(left) if word.casefold() == "left" else 1 - names.index(left))
    found = None if number_of(word) is not None and not _counts_so(column, names, context) else chosen(word, names)
    return found if found and found.says != "unclear" else _ask(word, column, names, context)


def _counts_so(column: str, names: list[str], context: Context) -> bool:
    """Whether a column's numbers are those in the answers' names; in a list they must begin with 0."""
    seen = set(context.values(f"winner:{column}"))
    return seen <= set(designators(names)) and (not names[0].startswith("#") or "0" in seen)


def _ask(word: str, column: str, names: list[str], context: Context) -> Chosen:
    answers = [(f"#{n}", f"Answer {n}" if name.startswith("#") else f"The answer “{name}”") for n, name in enumerate(names, 1)]
    choices = (*answers, ("tie", "They are equally good"), ("none", "None will do"))
    said = context.ask(Question(f"choice:{word[:40]}", f"Which answer does “{word[:40]}” mean in “{column[:40]}”?", choices))
    if said in ("tie", "none"):
        return Chosen("tie" if said == "tie" else "none")
    if said not in dict(answers):
        raise Unusable(f"“{said[:40]}” names none of the answers")
    return Chosen("better", int(said[1:]) - 1)


# --- how much each scored


def _scores(record: Mapping[str, Any], answers: Mapping[str, str]) -> Scores:
    """The numbers that every answer has, by what is counted."""
    columns = _peek(record)
    if next(iter(answers), "").startswith("#"):
        lists = {as_words(n): v for n, v in columns.items() if isinstance(v, list) and len(v) == len(answers) and n not in _LISTS}
        parts = [part for part in _parts(record) if isinstance(part, dict)]
        inner = {as_words(n): [part.get(n) for part in parts] for n in (parts[0] if len(parts) == len(answers) else ())}
        return _numbers({**inner, **lists})
    signs = designators(list(answers))
    by_stem: dict[str, dict[int, Any]] = {}
    for name, value in columns.items():
        for sign, place in signs.items():
            stem = re.sub(_alone(sign), "…", as_words(name), count=1)
            if name not in answers and stem != as_words(name):
                by_stem.setdefault(stem, {})[place] = value
    return _numbers({stem: [held.get(n) for n in range(len(answers))] for stem, held in by_stem.items()})


def _alone(sign: str) -> str:
    return rf"(?<!\d){sign}(?!\d)" if sign.isdecimal() else rf"(?<![a-z]){re.escape(sign)}(?![a-z])"


def _numbers(found: Mapping[str, list[Any]]) -> Scores:
    scored = {what: [number_of(value) for value in values] for what, values in found.items() if _SCORED.search(what)}
    return {what: [n for n in numbers if n is not None] for what, numbers in scored.items() if None not in numbers}


def _scored(scores: Scores, context: Context) -> Verdict:
    """The order that the scores give; two kinds of scores that do not agree are asked about."""
    orders = {what: _order(what, numbers, context) for what, numbers in scores.items()} if len(scores) == 1 else {}
    if not orders:
        ranked = {what: dense([_sign(what) * number for number in numbers]) for what, numbers in scores.items()}
        what = next(iter(scores)) if len(set(ranked.values())) == 1 else _which(list(scores), context)
        orders = {what: _order(what, scores[what], context)}
    return Ranking(next(iter(orders.values())))


def _sign(what: str) -> int:
    return 1 if re.search(r"\branks?\b", what) else -1


def _order(what: str, numbers: list[float], context: Context) -> tuple[int, ...]:
    if not either_way(what) or re.search(r"\branks?\b", what):
        context.note(f"The {'lowest' if _sign(what) == 1 else 'highest'} “{what[:40]}” counts as the best")
        return dense([_sign(what) * number for number in numbers])
    choices = (("high", "The highest is the best"), ("low", "The lowest is the best"))
    said = context.ask(
        Question(f"side:{what}", f"Is the answer with the highest “{what[:40]}” the best, or the one with the lowest?", choices)
    )
    return dense([number if said == "low" else -number for number in numbers])


# --- Prodigy


def _is_choice(record: Mapping[str, Any]) -> bool:
    columns = _peek(record)
    return isinstance(columns.get("options"), list) and isinstance(columns.get("accept"), list) and "answer" in columns


def _accepted(record: Record, names: list[str]) -> Verdict:
    """The options that were ticked are better than the others."""
    if record["answer"] != "accept":
        raise Unusable("it was rejected or ignored")
    ids = [part.get("id") if isinstance(part, dict) else n for n, part in enumerate(record["options"])]
    ticked = [place for place, one in enumerate(ids) if one in record["accept"]]
    if not ticked or len(ticked) == len(names):
        raise Unusable("no option was ticked, or all were")
    return Ranking(tuple(1 if place in ticked else 2 for place in range(len(names))))


RIVALS = Format(
    "rivals", "Answers with a winner or scores", "a prompt, several answers, and a winner or a score of each", _fits, _read,
    survey=_survey,
)  # fmt: skip
