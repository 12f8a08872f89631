"""Argilla records: `fields`, and `responses` by question (2.x) or by person (1.x feedback records); and both as flat tables.

https://docs.argilla.io: dataset.records.to_json, to_datasets. Severities go as the spans' scores; the names of people and the
scales into the metadata, because Argilla knows people by UUID and keeps scales in its settings. A suggestion is a model's and no
judgement; of responses only the submitted ones are.
"""

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from rlhf_desktop.feedback.formats.asking import Context
from rlhf_desktop.feedback.formats.base import Format, Record, as_words
from rlhf_desktop.feedback.formats.choosing import chosen
from rlhf_desktop.feedback.formats.questionnaire import (
    ANSWER,
    PREFERENCE,
    REASON,
    Said,
    each_person,
    levels_name,
    response,
    shown_fields,
    slug,
)
from rlhf_desktop.feedback.formats.roles import Fields, fields_of, is_prompt, pooled, subject
from rlhf_desktop.feedback.formats.scales import Scale, number_of, scale_of
from rlhf_desktop.feedback.judgements import AllBad, Correction, Demonstrated, Labels, Ranking, Ratings, Spans, Thumbs
from rlhf_desktop.feedback.rankings import rank_of
from rlhf_desktop.feedback.rows import FeedbackRow, Unusable

_OWN = ("id", "status", "_server_id", "external_id", "inserted_at", "updated_at", "metadata", "suggestions", "vectors", "responses")
_USERS, _STATUS = ".responses.users", ".responses.status"


def fits(record: Record) -> float:
    """Fields and responses, or columns with what people answered."""
    if isinstance(record.get("fields"), dict) and isinstance(record.get("responses"), dict | list):
        return 1.0
    if any(str(name).endswith(".responses") for name in record):
        return 1.0
    return 0.9 if any(_is_answers(value) for value in record.values()) else 0.0


def _is_answers(value: Any) -> bool:
    """A column of a 1.x table: who answered what, as a list of objects or an object of lists."""
    one = value[0] if isinstance(value, list) and value else value
    return isinstance(one, dict) and {"user_id", "value"} <= one.keys() <= {"user_id", "value", "status"}


def read(record: Record, context: Context) -> Iterator[FeedbackRow]:
    """What each person answered. Discarded responses and drafts are passed over."""
    record = _nested(record)
    metadata = record.get("metadata") if isinstance(record.get("metadata"), dict) else {}
    people = _by_person(record["responses"], context)
    if not isinstance(record.get("fields"), dict) or not record["fields"]:
        raise Unusable("it has no fields")
    if record.get("suggestions") and not people:
        raise Unusable("nobody has answered it; what a model suggested is no judgement")
    if not people:
        raise Unusable("nobody has answered it")
    shown = fields_of(record["fields"], context, _named(record["fields"], people) | set(context.values("answers")))
    name = (metadata or {}).get("annotator") if len(people) == 1 else None
    said = [(name if isinstance(name, str) else person, values) for person, values in people.items()]
    yield from each_person((_row(who, values, shown, metadata or {}, context) for who, values in said), context)


def _row(who: str, values: Record, shown: Fields, metadata: Mapping[str, Any], context: Context) -> Iterator[FeedbackRow]:
    said = Said(shown, context)
    for question, value in values.items():
        what, about = subject(question, shown.names)
        _hear(said, what, about, value, *_scale(question, what, metadata, context))
    yield from said.rows(who)


def survey(record: Record, context: Context) -> None:
    """Every mark of every question, and every field that some answer names."""
    record = _nested(record)
    people = _by_person(record["responses"], Context())
    names = list(record["fields"])
    for name in _named(record["fields"], people):
        context.saw("answers", name)
    for values in people.values():
        for question, value in values.items():
            number = number_of(value)
            if number is not None and not isinstance(value, str):
                context.saw(f"marks:{pooled(subject(question, names)[0])}", number)


def _scale(question: str, what: str, metadata: Mapping[str, Any], context: Context) -> tuple[Scale | None, bool]:
    """A question's scale as declared, and whether that says which end is the best (our own files do)."""
    written = metadata.get(levels_name(what))
    if isinstance(written, str):
        return scale_of(written), True
    scales = context.declared.scales
    return scales.get(question) or scales.get(what), False


def _named(fields: Mapping[str, Any], people: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """The fields that an answer names: ranked, chosen, or asked about."""
    names = [str(name) for name in fields]
    found: set[str] = set()
    for values in people.values():
        for question, value in values.items():
            place = subject(question, names)[1]
            told = [
                part.get("value") if isinstance(part, dict) else part for part in (value if isinstance(value, list) else [value])
            ]
            found |= {str(one) for one in told if isinstance(one, str) and one in names}
            if place is not None and not is_prompt(names[place]):
                found.add(names[place])
    return found


# --- the shapes


def _nested(record: Record) -> Record:
    """A flat record as one with fields and responses."""
    if "responses" in record and "fields" in record:
        return record
    names = [str(name) for name in list(record)]
    if any(name.endswith(".responses") for name in names):
        return _from_columns(record, names)
    answers = {name: record[name] for name in names if _is_answers(record[name])}
    fields = {n: record[n] for n in names if n not in answers and n not in _OWN and "-suggestion" not in n}
    return {
        "fields": fields,
        "responses": {name: _listed(value) for name, value in answers.items()},
        "metadata": record.get("metadata"),
    }


def _listed(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    width = len(value["value"]) if isinstance(value["value"], list) else 0
    return [{key: part[n] for key, part in value.items() if isinstance(part, list) and n < len(part)} for n in range(width)]


def _from_columns(record: Record, names: list[str]) -> Record:
    """2.x: `quality.responses`, `quality.responses.users` and `quality.responses.status`, each a list."""
    responses: dict[str, list[Record]] = {}
    for column in (name for name in names if name.endswith(".responses")):
        question = column.removesuffix(".responses")
        values = record[column] if isinstance(record[column], list) else []
        users, states = record.get(question + _USERS) or [], record.get(question + _STATUS) or []
        responses[question] = [
            {"value": value, "user_id": _at(users, n), "status": _at(states, n) or "submitted"} for n, value in enumerate(values)
        ]
    questions = tuple(f"{question}." for question in responses)
    fields = {n: record[n] for n in names if n not in _OWN and not n.startswith((*questions, "metadata.", "vectors."))
              and ".suggestion" not in n}  # fmt: skip
    metadata = {n.removeprefix("metadata."): record[n] for n in names if n.startswith("metadata.")}
    return {"fields": fields, "responses": responses, "metadata": metadata}


def _at(values: Any, place: int) -> Any:
    return values[place] if isinstance(values, list) and place < len(values) else None


def _by_person(responses: Any, context: Context) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    if isinstance(responses, list):  # 1.x: [{"user_id", "values": {question: {"value"}}, "status"}]
        for number, one in enumerate(responses):
            if not isinstance(one, dict) or not isinstance(one.get("values"), dict | None):
                raise Unusable("a response has no values")
            if _submitted(one, context):
                values = {str(q): v.get("value") if isinstance(v, dict) else v for q, v in (one.get("values") or {}).items()}
                found[_person(one, number)] = values
        return found
    for question, answers in responses.items():  # 2.x: {question: [{"value", "user_id"}]}
        for number, one in enumerate(answers if isinstance(answers, list) else [answers]):
            if not isinstance(one, dict) or "value" not in one:
                raise Unusable(f"the responses to “{str(question)[:40]}” have no values")
            if _submitted(one, context):
                found.setdefault(_person(one, number), {})[str(question)] = one["value"]
    return found


def _submitted(one: Record, context: Context) -> bool:
    status = one.get("status") or "submitted"
    if as_words(str(status)) in ("submitted", "responsestatus submitted"):
        return True
    context.note("Responses that were discarded or are drafts are left out")
    return False


def _person(one: Record, number: int) -> str:
    who = one.get("user_id")
    return who[:200] if isinstance(who, str) and who else f"annotator {number + 1}"


# --- the answers


def _hear(said: Said, what: str, about: int | None, value: Any, scale: Scale | None, directed: bool) -> None:
    if value is None or value == [] or (isinstance(value, str) and not value.strip()):
        return
    if isinstance(value, bool):
        said.choose(what, "up" if value else "down", about)
    elif isinstance(value, int | float):
        said.rate(what, float(value), about, scale, directed)
    elif isinstance(value, str):
        said.write(what, value, about, typed=said.context.declared.kinds.get(what) == "text")
    elif isinstance(value, dict) and isinstance(value.get("value"), list) and isinstance(value.get("rank"), list):  # a table's
        _rank(said, what, [{"value": v, "rank": r} for v, r in zip(value["value"], value["rank"], strict=False)])
    elif isinstance(value, dict) and value and all(_answer(said, name) for name in value):
        _rank(said, what, [{"value": name, "rank": rank} for name, rank in value.items()])
    elif isinstance(value, list):
        _hear_list(said, what, about, value)
    else:
        said.miss(f"The answers to “{what[:40]}” are left out: nothing here is like them")


def _hear_list(said: Said, what: str, about: int | None, value: list[Any]) -> None:
    if all(isinstance(part, str) and part.strip() for part in value):
        _hear_names(said, what, about, value)
    elif all(isinstance(part, dict) and "rank" in part for part in value):
        _rank(said, what, value)
    elif all(isinstance(part, dict) and isinstance(part.get("label"), str) for part in value):
        for part in value:
            said.mark(part.get("start"), part.get("end"), part["label"], about, part.get("score"))
    else:
        raise Unusable(f"the answer to “{what[:40]}” is neither a ranking, labels nor spans")


def _hear_names(said: Said, what: str, about: int | None, value: list[str]) -> None:
    """A ranking is the list of its answers, best first (2.x); any other list is of labels."""
    names = [_answer(said, word) for word in value]
    kind = said.context.declared.kinds.get(what)
    whole = None not in names and len(set(names)) == len(names) > 1 and about is None
    if whole and kind in (None, "ranking") and (kind or len(names) == len(said.shown.names) or "rank" in what.casefold()):
        said.order(what, {str(name): place for place, name in enumerate(names, 1)})
    elif kind == "ranking" or (about is None and "rank" in what.casefold() and len(said.shown.names) > 1):
        raise Unusable(f"the ranking “{what[:40]}” names an answer that was not shown")
    elif names and None not in names:  # "which are good?": the answers that were ticked
        for name in names:
            said.label(what, ("yes",), said.shown.names.index(str(name)))
    else:
        said.label(what, value, about)


def _answer(said: Said, word: Any) -> str | None:
    found = chosen(str(word), said.shown.names) if len(said.shown.names) > 1 else None
    return said.shown.names[found.place] if found and found.says == "better" else None


def _rank(said: Said, what: str, value: list[Any]) -> None:
    places = {}
    for part in value:
        name = _answer(said, part.get("value"))
        if name is None:
            raise Unusable(f"the ranking “{what[:40]}” names an answer that was not shown")
        if part["rank"] is not None:
            places[name] = rank_of(part["rank"])
    said.order(what, places)


def write(row: FeedbackRow) -> Iterator[Record]:
    """One record."""
    answers = dict(_answers(row))
    if row.critique:
        answers[REASON] = row.critique
    if answers:
        user = str(uuid.uuid5(uuid.NAMESPACE_OID, row.annotator))
        yield {
            "fields": shown_fields(row),
            "metadata": {"annotator": row.annotator, **_scales(row)},
            "suggestions": {},
            "vectors": {},
            "responses": {question: [{"value": value, "user_id": user}] for question, value in answers.items()},
        }


def _scales(row: FeedbackRow) -> dict[str, str]:
    """The marks' scales, so that they are read back as they were given."""
    given = [rating for verdict in row.verdicts if isinstance(verdict, Ratings) for rating in verdict.ratings]
    return {levels_name(rating.attribute): f"1-{rating.levels}" for rating in given}


def _answers(row: FeedbackRow) -> Iterator[tuple[str, Any]]:
    for verdict in row.verdicts:
        if isinstance(verdict, Ranking):
            yield PREFERENCE, [{"value": response(i), "rank": rank} for i, rank in enumerate(verdict.ranks)]
        elif isinstance(verdict, AllBad):
            yield PREFERENCE, "none"
        elif isinstance(verdict, Demonstrated):
            yield ANSWER, row.completions[0]
        elif isinstance(verdict, Thumbs):
            yield f"thumb-{response(verdict.index)}", "up" if verdict.up else "down"
        elif isinstance(verdict, Correction):
            yield f"correction-{response(verdict.index)}", verdict.text
        elif isinstance(verdict, Ratings):
            for rating in verdict.ratings:
                marks = enumerate(rating.scores)
                yield from ((f"{slug(rating.attribute)}-{response(i)}", score) for i, score in marks if score is not None)
        elif isinstance(verdict, Labels):
            for choice in verdict.choices:
                given = enumerate(choice.chosen)
                yield from ((f"{slug(choice.question)}-{response(i)}", list(labels)) for i, labels in given if labels)
        elif isinstance(verdict, Spans):
            for i in sorted({span.index for span in verdict.spans}):
                marked = [span for span in verdict.spans if span.index == i]
                parts = [{"start": s.start, "end": s.end, "label": s.category, "score": s.severity} for s in marked]
                yield f"spans-{response(i)}", parts


ARGILLA = Format("argilla", "Argilla records", "fields, responses", fits, read, write, survey=survey)
