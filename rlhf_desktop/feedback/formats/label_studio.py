"""Label Studio tasks: `data`, and `annotations` whose `result` lists what was said with which control.

Understood are pairwise, ranker, rating, choices, taxonomy-free textarea and text labels. https://labelstud.io/guide/export
"""

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
from rlhf_desktop.feedback.judgements import AllBad, Correction, Demonstrated, Labels, Ranking, Ratings, Spans, Thumbs, dense
from rlhf_desktop.feedback.rows import FeedbackRow, Unusable

_LABELS = ("labels", "hypertextlabels", "paragraphlabels")


def fits(record: Record) -> float:
    """A task with annotations."""
    return 1.0 if isinstance(record.get("data"), dict) and isinstance(record.get("annotations"), list) else 0.0


def read(record: Record) -> Iterator[FeedbackRow]:
    """What each person said. Cancelled (skipped) annotations are passed over."""
    shown = fields_of({name: value for name, value in record["data"].items() if name not in ("id", "meta")})
    done = [a for a in record["annotations"] if isinstance(a, dict) and not a.get("was_cancelled")]
    if not done:
        raise Unusable("nobody has annotated it")
    for annotation in done:
        yield _row(shown, annotation)


def _row(shown: Fields, annotation: Record) -> FeedbackRow:
    results = annotation.get("result")
    if not isinstance(results, list):
        raise Unusable("an annotation has no result")
    said = Said(shown)
    for one in results:
        if not isinstance(one, dict) or not isinstance(one.get("value"), dict):
            raise Unusable("a result has no value")
        _hear(said, one)
    return said.row(_who(annotation.get("completed_by")))


def _who(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("email") or value.get("username") or value.get("id")
    return str(value)[:200] if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _hear(said: Said, one: Record) -> None:
    value, kind = one["value"], str(one.get("type", "")).casefold()
    what, about = _about(said, one)
    if kind == "pairwise":
        _pairwise(said, value.get("selected"))
    elif kind == "ranker":
        _ranker(said, value.get("ranker"))
    elif kind == "rating" and isinstance(value.get("rating"), int) and not isinstance(value["rating"], bool):
        said.rate(what, value["rating"], about)
    elif kind == "choices" and _texts(value.get("choices")):
        chosen = value["choices"]
        said.choose(what, chosen[0], about) if len(chosen) == 1 else said.label(what, chosen, about)
    elif kind == "textarea":
        texts = value.get("text")
        for text in [texts] if isinstance(texts, str) else texts if _texts(texts) else []:
            said.write(what, text, about)
    elif kind in _LABELS and _texts(value.get(kind) or value.get("labels")):
        severity = (one.get("meta") or {}).get("severity") if isinstance(one.get("meta"), dict) else None
        said.mark(value.get("start"), value.get("end"), (value.get(kind) or value["labels"])[0], about, severity)
    else:
        raise Unusable(f"a result of the type “{kind[:40]}” is not understood")


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) and text.strip() for text in value)


def _about(said: Said, one: Record) -> tuple[str, int | None]:
    """What is asked and of which answer: by the control's name, or by the name of what it is attached to."""
    names = said.shown.names
    what, about = subject(str(one.get("from_name") or "question"), names)
    target = str(one.get("to_name") or "")
    if about is None and target in names:
        about = names.index(target)
    elif about is None:
        about = subject(f"of-{target}", names)[1]
    return what, about


def _pairwise(said: Said, selected: Any) -> None:
    if len(said.shown.answers) != 2:
        raise Unusable("a pairwise result needs a task with two answers")
    first, second = said.shown.names
    ranks = {"left": (1, 2), "right": (2, 1), "none": (1, 1)}.get(str(selected).casefold())
    if ranks is None:
        raise Unusable("a pairwise result selects neither left nor right")
    said.rank({first: ranks[0], second: ranks[1]})


def _ranker(said: Said, value: Any) -> None:
    """The names best first; a name inside a list of its own is tied with the others there."""
    order = value.get("rank") if isinstance(value, dict) else value
    if not isinstance(order, list):
        raise Unusable("a ranker's result is not a list of answers")
    groups = [group if isinstance(group, list) else [group] for group in order]
    said.rank({str(name): place for place, group in enumerate(groups, 1) for name in group})


def write(row: FeedbackRow) -> Iterator[Record]:
    """One task with one annotation."""
    result = list(_results(row))
    if row.critique:
        result.append(_result(REASON, "prompt", "textarea", {"text": [row.critique]}))
    if result:
        annotation = {"completed_by": row.annotator, "was_cancelled": False, "result": result}
        yield {"data": shown_fields(row), "annotations": [annotation]}


def _result(name: str, target: str, kind: str, value: Record, **more: Any) -> Record:
    return {"from_name": name, "to_name": target, "type": kind, "value": value, **more}


def _results(row: FeedbackRow) -> Iterator[Record]:
    for verdict in row.verdicts:
        if isinstance(verdict, Ranking):
            yield _preference(dense(verdict.ranks))
        elif isinstance(verdict, AllBad):
            yield _result(PREFERENCE, "prompt", "choices", {"choices": ["none"]})
        elif isinstance(verdict, Demonstrated):
            yield _result(ANSWER, "prompt", "textarea", {"text": [row.completions[0]]})
        elif isinstance(verdict, Thumbs):
            name = response(verdict.index)
            yield _result(f"thumb-{name}", name, "choices", {"choices": ["up" if verdict.up else "down"]})
        elif isinstance(verdict, Correction):
            name = response(verdict.index)
            yield _result(f"correction-{name}", name, "textarea", {"text": [verdict.text]})
        elif isinstance(verdict, Ratings | Labels):
            yield from _marks(verdict)
        elif isinstance(verdict, Spans):
            for span in verdict.spans:
                value = {"start": span.start, "end": span.end, "labels": [span.category]}
                value["text"] = row.completions[span.index][span.start : span.end]
                name = response(span.index)
                yield _result(f"spans-{name}", name, "labels", value, meta={"severity": span.severity})


def _preference(ranks: tuple[int, ...]) -> Record:
    if len(ranks) == 2:
        selected = {(1, 2): "left", (2, 1): "right"}.get((ranks[0], ranks[1]), "none")
        return _result(PREFERENCE, "response-1,response-2", "pairwise", {"selected": selected})
    groups = [[response(i) for i, rank in enumerate(ranks) if rank == place] for place in sorted(set(ranks))]
    order = [group[0] if len(group) == 1 else group for group in groups]
    return _result(PREFERENCE, "prompt", "ranker", {"ranker": {"rank": order}})


def _marks(verdict: Ratings | Labels) -> Iterator[Record]:
    if isinstance(verdict, Ratings):
        for rating in verdict.ratings:
            for i, score in enumerate(rating.scores):
                if score is not None:
                    yield _result(f"{slug(rating.attribute)}-{response(i)}", response(i), "rating", {"rating": score})
    else:
        for choice in verdict.choices:
            for i, labels in enumerate(choice.chosen):
                if labels:
                    yield _result(f"{slug(choice.question)}-{response(i)}", response(i), "choices", {"choices": list(labels)})


LABEL_STUDIO = Format("label-studio", "Label Studio tasks", "data, annotations with result", fits, read, write, listed=True)
