"""Label Studio tasks: `data`, and `annotations` whose `result` lists what was said with which control.

Understood are pairwise, ranker, rating, number, choices, textarea and text labels; any other control costs itself only. Who stood
left is told by `to_name`, which columns those objects show by the labelling configuration, where it lies in or beside the file.
https://labelstud.io/guide/export
"""

from collections.abc import Iterator
from typing import Any

from rlhf_desktop.feedback.formats.asking import Context, Question
from rlhf_desktop.feedback.formats.base import Format, Record
from rlhf_desktop.feedback.formats.declared import within
from rlhf_desktop.feedback.formats.label_studio_task import Task, targets_of, task_of
from rlhf_desktop.feedback.formats.questionnaire import (
    ANSWER,
    PREFERENCE,
    REASON,
    Said,
    each_person,
    response,
    shown_fields,
    slug,
)
from rlhf_desktop.feedback.formats.roles import designators, pooled, subject
from rlhf_desktop.feedback.formats.scales import Scale, number_of, scale_of, scales_with
from rlhf_desktop.feedback.formats.thumbs import asks_worst
from rlhf_desktop.feedback.judgements import AllBad, Correction, Demonstrated, Labels, Ranking, Ratings, Spans, Thumbs, dense
from rlhf_desktop.feedback.rows import FeedbackRow, Unusable, who_of

_LABELS = ("labels", "hypertextlabels", "paragraphlabels")
_LOWEST, _HIGHEST = ("minRating", "min_rating", "min"), ("maxRating", "max_rating", "max")
_LEFT_OUT = "left out"
_LEFT = "_"  # where a ranker keeps the items that nobody put into a group


def fits(record: Record) -> float:
    """A task with annotations."""
    return 1.0 if isinstance(record.get("data"), dict) and isinstance(record.get("annotations"), list) else 0.0


def read(record: Record, context: Context) -> Iterator[FeedbackRow]:
    """What each person said. Cancelled (skipped) annotations are passed over; predictions are a model's and no judgement."""
    done = [a for a in record["annotations"] if isinstance(a, dict) and not a.get("was_cancelled")]
    if not done:
        raise Unusable("nobody has annotated it")
    results = [one for annotation in done for one in _results_of(annotation)]
    task = task_of(record, results, context)
    yield from each_person((_person(annotation, task, context) for annotation in done), context)


def _person(annotation: Record, task: Task, context: Context) -> Iterator[FeedbackRow]:
    said = Said(task.shown, context)
    for one in _results_of(annotation):
        _hear(said, task, one)
    yield from said.rows(who_of(annotation.get("completed_by")))


def survey(record: Record, context: Context) -> None:
    """Every mark of every question, and the configuration where a task carries it."""
    declared = within(record)
    if declared and not context.declared:
        context.declared = declared
    names = list(record["data"])
    for annotation in record["annotations"]:
        for name in _chosen_columns(annotation, names):
            context.saw("answers", name)
        for one in _results_of(annotation) if isinstance(annotation, dict) and not annotation.get("was_cancelled") else ():
            mark = _mark_of(one)
            if mark is not None:
                context.saw(f"marks:{pooled(subject(str(one.get('from_name') or 'question'), names)[0])}", mark)


def _chosen_columns(annotation: Any, names: list[str]) -> set[str]:
    """The columns that a choice names: they are answers, in every task that has them."""
    results = annotation.get("result") if isinstance(annotation, dict) else None
    values = [one.get("value") for one in results if isinstance(one, dict)] if isinstance(results, list) else []
    picked = [
        word for value in values if isinstance(value, dict) and isinstance(value.get("choices"), list) for word in value["choices"]
    ]
    return {word for word in picked if isinstance(word, str) and word in names}


def _results_of(annotation: Record) -> list[Record]:
    results = annotation.get("result")
    if not isinstance(results, list):
        raise Unusable("an annotation has no result")
    if not all(isinstance(one, dict) and isinstance(one.get("value"), dict) for one in results):
        raise Unusable("a result has no value")
    return results


# --- the results


def _hear(said: Said, task: Task, one: Record) -> None:
    value, kind = one["value"], str(one.get("type", "")).casefold()
    what, about = _about(said, task, one)
    mark = _mark_of(one)
    if kind == "pairwise":
        _pairwise(said, task, one)
    elif kind == "ranker":
        _ranker(said, what, one)
    elif mark is not None and (kind == "rating" or _scale(one, said.context)[0] or _number_counts(said, what, mark, about)):
        said.rate(what, mark, about, *_scale(one, said.context))
    elif kind == "choices" and _texts(value.get("choices")):
        chosen = value["choices"]
        said.choose(what, chosen[0], about) if len(chosen) == 1 else said.label(what, chosen, about)
    elif kind == "textarea":
        texts = value.get("text")
        for text in [texts] if isinstance(texts, str) else texts if _texts(texts) else []:
            said.write(what, text, about, typed=True)
    elif kind in _LABELS and _texts(value.get(kind) or value.get("labels")):
        severity = (one.get("meta") or {}).get("severity") if isinstance(one.get("meta"), dict) else None
        said.mark(value.get("start"), value.get("end"), (value.get(kind) or value["labels"])[0], about, severity)
    else:
        said.miss(f"“{what[:40]}” is left out: a result of the type “{kind[:40]}” is not understood")


def _number_counts(said: Said, what: str, mark: float, about: int | None) -> bool:
    """Whether a number typed is a mark: only somebody can say, so it is left out until then."""
    if said.place(about) is None:
        return False
    marks = {float(value) for value in said.context.values(f"marks:{pooled(what)}")} | {mark}
    choices = [(str(scale), scale.words) for scale in scales_with(marks)]
    text = f"Is the number “{what[:40]}” a mark? Then say its scale, the worst mark first."
    return said.context.ask(Question(f"scale:{what}", text, (*choices, (_LEFT_OUT, "It is left out")), _LEFT_OUT)) != _LEFT_OUT


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) and text.strip() for text in value)


def _mark_of(one: Record) -> float | None:
    """A mark above 0: no star at all is no mark where stars are counted from 1."""
    kind = str(one.get("type", "")).casefold()
    mark = number_of(one["value"].get(kind)) if kind in ("rating", "number", "slider") else None
    return None if kind == "rating" and mark == 0 else mark


def _scale(one: Record, context: Context) -> tuple[Scale | None, bool]:
    """As declared, by the result itself or by the configuration, and whether that says which end is the best (our own files do)."""
    given = one.get("meta")
    meta: Record = given if isinstance(given, dict) else {}
    if isinstance(meta.get("scale"), str):
        return scale_of(meta["scale"]), True
    for holder in (meta, one["value"], one):
        low, top = (next((holder[name] for name in names if holder.get(name) is not None), None) for names in (_LOWEST, _HIGHEST))
        worst, best = number_of(low), number_of(top)
        if best is not None and best > (1 if worst is None else worst):
            return Scale(1 if worst is None else worst, best), False
    return context.declared.scales.get(str(one.get("from_name") or "")), False


def _about(said: Said, task: Task, one: Record) -> tuple[str, int | None]:
    """What is asked and of which answer: by the control's name, or by the name of what it is attached to."""
    names = said.shown.names
    what, about = subject(str(one.get("from_name") or "question"), names)
    targets = targets_of(one)
    if about is None and len(targets) == 1:
        column = task.targets.get(targets[0], targets[0])
        about = names.index(column) if column in names else subject(f"of-{targets[0]}", names)[1]
    return what, about


def _pairwise(said: Said, task: Task, one: Record) -> None:
    """Left is the first of the two that `to_name` names."""
    names = [task.targets[name] for name in targets_of(one) if name in task.targets]
    if len(names) != 2:
        names = [_left(said), ""]
        names[1] = next(name for name in said.shown.names if name != names[0])
    ranks = {"left": (1, 2), "right": (2, 1), "none": (1, 1)}.get(str(one["value"].get("selected")).casefold())
    if ranks is None:
        raise Unusable("a pairwise result selects neither left nor right")
    if asks_worst(str(one.get("from_name") or "")):
        ranks = ranks[::-1]
    said.rank({names[0]: ranks[0], names[1]: ranks[1]})


def _left(said: Said) -> str:
    names = said.shown.names
    if len(names) != 2:
        raise Unusable("a pairwise result needs a task with two answers")
    known = designators(names)
    first = names[known[min(known, key=lambda sign: (len(sign), sign))]] if known else ""
    choices = tuple((name, said.shown.answers[name][:40]) for name in names)
    left = said.context.ask(Question("left", "Which column stood left? The results do not say it.", choices, first))
    if left not in names:
        raise Unusable(f"“{left[:40]}” is no answer of this task")
    return left


def _ranker(said: Said, what: str, one: Record) -> None:
    """The names best first; a name inside a list of its own is tied with the others there."""
    value = one["value"].get("ranker")
    groups = [name for name in value if name != _LEFT] if isinstance(value, dict) else []
    if isinstance(value, dict) and value.get(_LEFT):
        said.context.note("Items that nobody moved into a ranker's groups are not ranked")
    if len(groups) > 1:
        _grouped(said, what, {name: [str(one) for one in value[name]] for name in groups if isinstance(value[name], list)})
        return
    places = {name: place for place, group in enumerate(_order(one), 1) for name in group}
    unknown = next((name for name in places if name not in said.shown.answers), None)
    if unknown is not None:
        raise Unusable(f"the ranking names “{unknown[:40]}”, which is no answer of this task")
    said.order(what, places)


def _order(one: Record) -> list[list[str]]:
    value = one["value"].get("ranker")
    if isinstance(value, dict):
        value = next((group for name, group in value.items() if name != _LEFT), None)
    if not isinstance(value, list):
        raise Unusable("a ranker's result is not a list of answers")
    return [[str(name) for name in group] if isinstance(group, list) else [str(group)] for group in value]


def _grouped(said: Said, what: str, groups: dict[str, list[str]]) -> None:
    """Groups of a ranker are labels, unless somebody says that they are better and worse."""
    names = ", ".join(groups)
    answer = said.context.ask(Question(
        f"order:{what}",
        f"Are the groups of “{what}” ({names}) better and worse? Name them with commas between, the best first, or say labels.",
        (("labels", "They are labels, no order"), (",".join(groups), "In this order, the best first")),
        "labels",
    ))  # fmt: skip
    order = [part.strip() for part in answer.split(",")]
    if set(order) == set(groups):
        said.rank({name: place for place, group in enumerate(order, 1) for name in groups[group]})
        return
    for group, members in groups.items():
        for name in members:
            if name in said.shown.answers:
                said.label(what, (group,), said.shown.names.index(name))


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
                    yield _result(
                        f"{slug(rating.attribute)}-{response(i)}",
                        response(i),
                        "rating",
                        {"rating": score},
                        meta={"scale": f"1-{rating.levels}"},
                    )
    else:
        for choice in verdict.choices:
            for i, labels in enumerate(choice.chosen):
                if labels:
                    yield _result(f"{slug(choice.question)}-{response(i)}", response(i), "choices", {"choices": list(labels)})


LABEL_STUDIO = Format(
    "label-studio", "Label Studio tasks", "data, annotations with result", fits, read, write, listed=True, survey=survey
)
