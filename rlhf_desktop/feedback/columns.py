"""Which column of a table is what: guessed from its heading, in several languages, and from what stands in it.

A guess is a proposal, shown before anything is imported. Which of two answers is the better one is never guessed from the texts,
and no column is proposed twice.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rlhf_desktop.feedback.formats import format_named
from rlhf_desktop.feedback.formats.base import Record, as_words
from rlhf_desktop.feedback.formats.documents import is_message
from rlhf_desktop.feedback.formats.roles import is_answer
from rlhf_desktop.feedback.formats.suspects import is_judging
from rlhf_desktop.feedback.formats.thumbs import is_nothing, says_bad, thumb_of

_WORDS: Mapping[str, str] = {  # what people call our fields, without accents; several words are joined by _
    "prompt": "question query instruction input context user ask request customer ticket frage anfrage eingabe aufgabe "
    "nutzer kunde demande requete consigne client pregunta solicitud domanda richiesta pergunta vraag pytanie "
    "вопрос запрос",
    "chosen": "better preferred winner good accepted best positive bessere besser besserer beste gut bevorzugt "
    "bevorzugte gewahlt meilleure meilleur preferee prefere choisie choisi bonne mejor preferida migliore "
    "preferita melhor beter lepsza лучший лучше",
    "rejected": "worse dispreferred loser bad worst negative schlechtere schlechter schlechteste schlechte schlecht "
    "abgelehnt verworfen pire moins_bonne mauvaise rejetee rejete peor rechazada peggiore rifiutata pior "
    "slechter gorsza худший хуже",
    "completion": "answer response output reply assistant text antwort ausgabe reponse sortie respuesta risposta resposta "
    "antwoord odpowiedz ответ",
    "label": "thumb thumbs vote is_good good feedback rating bewertung daumen urteil richtig avis note pouce verdict "
    "correcte valoracion giudizio avaliacao ocena оценка",
    "system": "system_prompt system_message sys anweisung systemnachricht systeme",
    "annotator": "who user_id labeler rater judge reviewer wer bewerter prufer gutachter annotateur evaluateur juge anotador",
    "messages": "conversation conversations chat dialog dialogue gesprach unterhaltung verlauf conversacion conversazione",
}
_SAME = {"instruction": "prompt", "output": "completion"}
_OPTIONAL = ("system", "annotator", "input", "label")
_OFFERED = ("preference", "unpaired", "prompt-completion", "messages")  # in the order they are tried
_TEXTS = ("prompt", "chosen", "rejected", "completion", "instruction", "output")
_TALKS = ("conversation", "messages", "chat", "dialogue")
_LETTERS = 3  # a heading of fewer says nothing, and its contents speak
_LOOKED_AT = 30  # records


def propose_columns(form: str, columns: Iterable[str], records: Sequence[Record] = ()) -> dict[str, str]:
    """Which of a file's columns may fill the fields of a format.

    Args:
        form: The format's name.
        columns: The file's columns.
        records: Its first records, where their contents may help.
    """
    fields = format_named(form).fields
    names = _without_rivals(list(columns)) if {"completion", "output", "messages"} & {*fields} else list(columns)
    scores = [
        (score, -place, ours, theirs) for place, ours in enumerate(fields) for theirs in names if (score := _heading(ours, theirs))
    ]
    found: dict[str, str] = {}
    for _, _, ours, theirs in sorted(scores, reverse=True):
        if ours in _TEXTS and _are_words(records[:_LOOKED_AT], theirs):
            continue
        if ours not in found and theirs not in found.values():
            found[ours] = theirs
    for ours in fields:
        left = [name for name in names if name not in found.values()]
        guess = _content(ours, left, list(records[:_LOOKED_AT])) if ours not in found else None
        if guess:
            found[ours] = guess
    return {ours: found[ours] for ours in fields if ours in found}


def likely_form(columns: Iterable[str], records: Sequence[Record] = ()) -> tuple[str, dict[str, str]]:
    """The format that these columns fill best, and how; ("", {}) where none is filled."""
    for form in _OFFERED:
        found = propose_columns(form, columns, records)
        if all(field in found for field in format_named(form).fields if field not in _OPTIONAL or _is_needed(form, field)):
            return form, found
    return "", {}


def _without_rivals(names: list[str]) -> list[str]:
    """The columns but for answers of which there are several (answer_a, answer_b): none of them is an example by itself."""
    stems: dict[str, list[str]] = {}
    for name in names:
        found = re.match(r"^(.+?) ?(?:\d+|(?<= )[a-h])$", as_words(name))
        found = found if is_answer(name) or (found and found[1] in _TALKS) else None
        stems.setdefault(found[1] if found else name, []).append(name)
    return [name for name in names if [name] in stems.values()]


def _is_needed(form: str, field: str) -> bool:
    return (form, field) == ("unpaired", "label")


def _heading(ours: str, theirs: str) -> float:
    """How well a heading says that its column is a field: by the name itself, another name, or a word of a longer heading."""
    said, field = _plain(theirs), _SAME.get(ours, ours)
    if said in (ours, field):
        return 4.0 if said == ours else 3.0
    if field == "completion" and (_held(said, "chosen") or _held(said, "rejected")):
        return 0.0  # an answer that is compared is no example
    known = _known(field)
    if said in known:
        return 2.0 - known.index(said) / 1000
    places = _held(said, field)
    return 1.0 - min(places) / 100 if places else 0.0


def _known(field: str) -> list[str]:
    return [_without_accents(word) for word in (field, *_WORDS.get(field, "").split())]


def _held(said: str, field: str) -> list[int]:
    """Where in a heading words for a field stand."""
    parts = said.split("_")
    long = [word for word in _known(field) if len(word) > 2]
    return [parts.index(word) if word in parts else 9 for word in long if word in parts or ("_" in word and word in said)]


def _plain(heading: str) -> str:
    """A heading's words, lower case, without accents, joined by _."""
    return "_".join(re.findall(r"\w+", _without_accents(as_words(heading))))


def _without_accents(text: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


def _content(ours: str, names: list[str], records: list[Record]) -> str | None:
    """The one column whose contents say that it is this field, if there is just one."""
    tests = {"messages": _are_messages, "label": _are_thumbs, "prompt": _are_questions, "instruction": _are_questions}
    test = tests.get(ours)
    if test is None or not records:
        return None
    if ours == "label":
        names = [name for name in names if len(name) < _LETTERS or (is_judging(as_words(name)) and not says_bad(as_words(name)))]
    fitting = [name for name in names if test([record[name] for record in records if record.get(name) not in (None, "")])]
    return fitting[0] if len(fitting) == 1 else None


def _are_messages(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(v, list) and v and all(is_message(turn) for turn in v) for v in values)


def _are_thumbs(values: list[Any]) -> bool:
    return len({str(value) for value in values}) > 1 and all(thumb_of(value) is not None for value in values)


def _are_words(records: Sequence[Record], name: str) -> bool:
    """Whether a column holds nothing but words that judge ("accept", "reject"): no texts."""
    values = [record[name] for record in records if not is_nothing(record.get(name))]
    return len({str(value) for value in values}) > 1 and _are_thumbs(values)


def _are_questions(values: list[Any]) -> bool:
    texts = [value for value in values if isinstance(value, str)]
    asked = sum(text.rstrip().endswith(("?", "？", "؟", ";")) for text in texts)
    return len(texts) == len(values) > 0 and asked > len(values) / 2
