"""What a Label Studio task shows: its prompt, its answers, and the names by which results speak of them.

Results name objects on the screen. Which column of the data each shows is said by the labelling configuration; without it, by the
same name, or it is asked.
"""

from dataclasses import dataclass, field
from typing import Any

from rlhf_desktop.feedback.formats.asking import Context, Question
from rlhf_desktop.feedback.formats.base import Record, as_words
from rlhf_desktop.feedback.formats.roles import Fields, designators, fields_of, is_prompt, subject
from rlhf_desktop.feedback.rows import Unusable


@dataclass(frozen=True)
class Task:
    """What was shown, and the names by which results speak of it."""

    shown: Fields
    targets: dict[str, str] = field(default_factory=dict)  # an object's name on the screen → the answer's


def task_of(record: Record, results: list[Record], context: Context) -> Task:
    """What a task shows, with what is known of it by the results of all who annotated it.

    Raises:
        Unusable: which column is what is not known.
    """
    data = {str(name): value for name, value in record["data"].items() if name not in ("id", "meta")}
    items = _items(data, results, context)
    if items is not None:
        column, answers = items
        others = {name: value for name, value in data.items() if name != column}
        shown = fields_of({**others, **answers}, context, answers, everything=False) if others else None
        prompt = shown.prompt if shown else fields_of(answers, context, answers, everything=False).prompt
        return Task(Fields(prompt, answers))
    targets = {name: _column(name, data, context, one) for one in results for name in targets_of(one)}
    known = {name: column for name, column in targets.items() if column}
    shown = fields_of(data, context, _named(data, results, known) | set(context.values("answers")), everything=False)
    return Task(shown, {name: column for name, column in known.items() if column in shown.answers})


def targets_of(one: Record) -> list[str]:
    """The objects on the screen that a result is about."""
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
        own = [targets[name] for name in targets_of(one) if name in targets]
        found |= {column for column in own if pairwise or not is_prompt(column)}
        place = subject(str(one.get("from_name") or ""), columns)[1]
        found |= {columns[place]} if place is not None and not is_prompt(columns[place]) else set()
        found |= _ranked(one) & set(columns)
    return found


def _ranked(one: Record) -> set[str]:
    """The names that a ranker's result holds, whatever groups they are in."""
    value = one["value"].get("ranker") if str(one.get("type", "")).casefold() == "ranker" else None
    groups = list(value.values()) if isinstance(value, dict) else [value]
    found: set[str] = set()
    for group in (group for group in groups if isinstance(group, list)):
        for name in group:
            found |= {str(inner) for inner in name} if isinstance(name, list) else {str(name)}
    return found


def _items(data: Record, results: list[Record], context: Context) -> tuple[str, dict[str, str]] | None:
    """The column of a list that was ranked, and its items' texts by their ids."""
    rankers = [one for one in results if str(one.get("type", "")).casefold() == "ranker"]
    for one in rankers:
        wanted = [context.declared.columns.get(name, name) for name in targets_of(one)]
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
