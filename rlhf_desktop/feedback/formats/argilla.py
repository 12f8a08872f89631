"""Argilla records: `fields`, and `responses` by question (2.x) or by person (1.x feedback records).

https://docs.argilla.io: dataset.records.to_json. Severities go as the spans' scores; the names of people into the metadata, because
Argilla knows them by UUID.
"""

import uuid
from collections.abc import Iterator
from typing import Any

from rlhf_desktop.feedback.formats.base import Format, Record
from rlhf_desktop.feedback.formats.questionnaire import (
    ANSWER,
    PREFERENCE,
    REASON,
    Fields,
    Said,
    fields_of,
    response,
    shown_fields,
    slug,
    subject,
)
from rlhf_desktop.feedback.judgements import AllBad, Correction, Demonstrated, Labels, Ranking, Ratings, Spans, Thumbs
from rlhf_desktop.feedback.rows import FeedbackRow, Unusable


def fits(record: Record) -> float:
    """Fields and responses."""
    return 1.0 if isinstance(record.get("fields"), dict) and isinstance(record.get("responses"), dict | list) else 0.0


def read(record: Record) -> Iterator[FeedbackRow]:
    """What each person answered. Discarded responses are passed over."""
    shown = fields_of(record["fields"])
    metadata = record.get("metadata") if isinstance(record.get("metadata"), dict) else {}
    people = _by_person(record["responses"])
    if not people:
        raise Unusable("nobody has answered it")
    for person, values in people.items():
        name = (metadata or {}).get("annotator") if len(people) == 1 else None
        yield _row(shown, values, name if isinstance(name, str) else person)


def _by_person(responses: Any) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    if isinstance(responses, list):  # 1.x: [{"user_id", "values": {question: {"value"}}, "status"}]
        for number, one in enumerate(responses):
            if not isinstance(one, dict) or not isinstance(one.get("values"), dict):
                raise Unusable("a response has no values")
            if one.get("status", "submitted") == "submitted":
                values = {str(q): v.get("value") if isinstance(v, dict) else v for q, v in one["values"].items()}
                found[_person(one, number)] = values
        return found
    for question, answers in responses.items():  # 2.x: {question: [{"value", "user_id"}]}
        for number, one in enumerate(answers if isinstance(answers, list) else [answers]):
            if not isinstance(one, dict) or "value" not in one:
                raise Unusable(f"the responses to “{str(question)[:40]}” have no values")
            if one.get("status", "submitted") == "submitted":
                found.setdefault(_person(one, number), {})[str(question)] = one["value"]
    return found


def _person(one: Record, number: int) -> str:
    who = one.get("user_id")
    return who[:200] if isinstance(who, str) and who else f"annotator {number + 1}"


def _row(shown: Fields, values: dict[str, Any], annotator: str) -> FeedbackRow:
    said = Said(shown)
    for question, value in values.items():
        what, about = subject(question, shown.names)
        _hear(said, what, about, value)
    return said.row(annotator)


def _hear(said: Said, what: str, about: int | None, value: Any) -> None:
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, int):
        said.rate(what, value, about)
    elif isinstance(value, str) and value.strip():
        said.write(what, value, about)
    elif isinstance(value, list) and value:
        _hear_list(said, what, about, value)


def _hear_list(said: Said, what: str, about: int | None, value: list[Any]) -> None:
    if all(isinstance(part, str) and part.strip() for part in value):
        said.label(what, value, about)
    elif all(isinstance(part, dict) and isinstance(part.get("rank"), int) and part["rank"] > 0 for part in value):
        said.rank({str(part.get("value")): part["rank"] for part in value})
    elif all(isinstance(part, dict) and isinstance(part.get("label"), str) for part in value):
        for part in value:
            said.mark(part.get("start"), part.get("end"), part["label"], about, part.get("score"))
    else:
        raise Unusable(f"the answer to “{what[:40]}” is neither a ranking, labels nor spans")


def write(row: FeedbackRow) -> Iterator[Record]:
    """One record."""
    answers = dict(_answers(row))
    if row.critique:
        answers[REASON] = row.critique
    if answers:
        user = str(uuid.uuid5(uuid.NAMESPACE_OID, row.annotator))
        yield {
            "fields": shown_fields(row),
            "metadata": {"annotator": row.annotator},
            "suggestions": {},
            "vectors": {},
            "responses": {question: [{"value": value, "user_id": user}] for question, value in answers.items()},
        }


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


ARGILLA = Format("argilla", "Argilla records", "fields, responses", fits, read, write)
