"""Label Studio tasks: `data`, and `annotations` whose `result` lists what was said with which control.

Understood are pairwise, ranker, rating, number, choices, textarea and text labels; any other control costs itself only. Who stood
left is told by `to_name`, which columns those objects show by the labelling configuration, where it lies in or beside the file.
https://labelstud.io/guide/export
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rlhf_desktop.feedback.formats.asking import Context, Question
from rlhf_desktop.feedback.formats.base import Format, Record, as_words
from rlhf_desktop.feedback.formats.declared import within
from rlhf_desktop.feedback.formats.questionnaire import (
    ANSWER,
    PREFERENCE,
    REASON,
    WORST,
    Said,
    each_person,
    response,
    shown_fields,
    slug,
)
from rlhf_desktop.feedback.formats.roles import Fields, designators, fields_of, is_prompt, pooled, subject
from rlhf_desktop.feedback.formats.scales import Scale, number_of, scale_of, scales_with
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
    task = _task(record, results, context)
    yield from each_person((_person(annotation, task, context) for annotation in done), context)


def _person(annotation: Record, task: "_Task", context: Context) -> Iterator[FeedbackRow]:
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


# --- the task


@dataclass(frozen=True)
class _Task:
    """What was shown, and the names by which results speak of it."""

    shown: Fields
    targets: dict[str, str] = field(default_factory=dict)  # an object's name on the screen → the answer's


def _task(record: Record, results: list[Record], context: Context) -> _Task:
    data = {str(name): value for name, value in record["data"].items() if name not in ("id", "meta")}
    items = _items(data, results, context)
    if items is not None:
        column, answers = items
        others = {name: value for name, value in data.items() if name != column}
        shown = fields_of({**others, **answers}, context, answers, everything=False) if others else None
        prompt = shown.prompt if shown else fields_of(answers, context, answers, everything=False).prompt
        return _Task(Fields(prompt, answers))
    targets = {name: _column(name, data, context, one) for one in results for name in _targets(one)}
    known = {name: column for name, column in targets.items() if column}
    shown = fields_of(data, context, _named(data, results, known) | set(context.values("answers")), everything=False)
    return _Task(shown, {name: column for name, column in known.items() if column in shown.answers})


def _targets(one: Record) -> list[str]:
    return [part.strip() for part in str(one.get("to_name") or "").split(",") if part.strip()]


def _column(name: str, data: Record, context: Context, one: Record) -> str | None:
    """The column that an object on the screen shows; of a pairwise result it must be known."""
    column = context.declared.columns.get(name, name)
    if column in data:
        return column
    given = context.answers.get(f"column:{name}")
    alike = [key for key in data if as_words(key).replace(" ", "") == as_words(name).replace(" ", "")]
    if given in data or len(alike) == 1:
        return given if given in data else alike[0]
    if str(one.get("type", "")).casefold() != "pairwise":
        return None
    texts = [key for key, value in data.items() if isinstance(value, str)]
    return context.ask(Question(
        f"column:{name}",
        f"Which column does “{name}” show? Label Studio's configuration says it; laid beside the file as config.xml it is read.",
        tuple((key, data[key][:40]) for key in texts),
        _same_number(name, texts),
    ))  # fmt: skip


def _same_number(name: str, columns: list[str]) -> str:
    """The one column of a numbered pair with the name's number: "txt-1" and text1, text2."""
    sign = as_words(name).split()[-1][-1:]
    ending = [key for key in columns if as_words(key)[-1:] == sign and sign.isdecimal()]
    stem = as_words(ending[0])[:-1].strip() if len(ending) == 1 else None
    family = [key for key in columns if stem is not None and as_words(key)[:-1].strip() == stem and as_words(key)[-1:].isdecimal()]
    return ending[0] if len(family) == 2 and designators(family) else ""


def _named(data: Record, results: list[Record], targets: dict[str, str]) -> set[str]:
    """The columns that something was said of."""
    columns = [key for key, value in data.items() if isinstance(value, str)]
    found: set[str] = set()
    for one in results:
        pairwise = str(one.get("type", "")).casefold() == "pairwise"
        own = [targets[name] for name in _targets(one) if name in targets]
        found |= {column for column in own if pairwise or not is_prompt(column)}
        place = subject(str(one.get("from_name") or ""), columns)[1]
        found |= {columns[place]} if place is not None and not is_prompt(columns[place]) else set()
        order = _order(one, None) if str(one.get("type", "")).casefold() == "ranker" else []
        found |= {name for group in order for name in group if name in columns}
    return found


def _items(data: Record, results: list[Record], context: Context) -> tuple[str, dict[str, str]] | None:
    """The column of a list that was ranked, and its items' texts by their ids."""
    rankers = [one for one in results if str(one.get("type", "")).casefold() == "ranker"]
    for one in rankers:
        wanted = [context.declared.columns.get(name, name) for name in _targets(one)]
        lists = [key for key, value in data.items() if isinstance(value, list) and value and all(map(_is_item, value))]
        column = next((key for key in wanted if key in lists), lists[0] if len(lists) == 1 else None)
        if column is not None:
            return column, {str(item["id"]): _item_text(item, context) for item in data[column]}
    return None


def _is_item(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("id"), str | int)


def _item_text(item: Record, context: Context) -> str:
    texts = [item.get(name) for name in ("body", "text", "content", "answer", "response", "html", "title")]
    found = [text for text in texts if isinstance(text, str) and text.strip()]
    if not found:
        raise Unusable("an item of the list has no text")
    if item.get("title") and found[0] != item["title"]:
        context.note("The titles of a list's items are left out; their bodies are the answers")
    return found[0]


# --- the results


def _hear(said: Said, task: _Task, one: Record) -> None:
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


def _about(said: Said, task: _Task, one: Record) -> tuple[str, int | None]:
    """What is asked and of which answer: by the control's name, or by the name of what it is attached to."""
    names = said.shown.names
    what, about = subject(str(one.get("from_name") or "question"), names)
    targets = _targets(one)
    if about is None and len(targets) == 1:
        column = task.targets.get(targets[0], targets[0])
        about = names.index(column) if column in names else subject(f"of-{targets[0]}", names)[1]
    return what, about


def _pairwise(said: Said, task: _Task, one: Record) -> None:
    """Left is the first of the two that `to_name` names."""
    names = [task.targets[name] for name in _targets(one) if name in task.targets]
    if len(names) != 2:
        names = [_left(said), ""]
        names[1] = next(name for name in said.shown.names if name != names[0])
    ranks = {"left": (1, 2), "right": (2, 1), "none": (1, 1)}.get(str(one["value"].get("selected")).casefold())
    if ranks is None:
        raise Unusable("a pairwise result selects neither left nor right")
    if WORST.search(as_words(str(one.get("from_name") or ""))):
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
    places = {name: place for place, group in enumerate(_order(one, said), 1) for name in group}
    unknown = next((name for name in places if name not in said.shown.answers), None)
    if unknown is not None:
        raise Unusable(f"the ranking names “{unknown[:40]}”, which is no answer of this task")
    said.order(what, places)


def _order(one: Record, said: Said | None) -> list[list[str]]:
    value = one["value"].get("ranker")
    if isinstance(value, dict):
        lists = [group for name, group in value.items() if name != _LEFT]
        value = (
            lists[0]
            if len(lists) == 1
            else None
            if said
            else [name for group in lists if isinstance(group, list) for name in group]
        )
    if not isinstance(value, list):
        if said is None:
            return []
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
