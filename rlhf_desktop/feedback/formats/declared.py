"""What a file says of itself: Label Studio's labelling configuration, or Argilla's settings, in it or beside it."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from rlhf_desktop.feedback.formats.scales import Scale, number_of

_MAX_BYTES = 2**20  # of a configuration
_MAX_WHOLE_BYTES = 2**24  # of a file that may begin with its configuration
_LS_STARS = 5  # Label Studio's Rating without maxRating
_SETTINGS = ("settings.json", ".argilla/settings.json")


@dataclass(frozen=True)
class Declared:
    """What is known of a file's questions and fields.

    Attributes:
        scales: By the question's (control's) name.
        columns: The column that an object on the screen shows, by the object's name.
        fields: The fields that hold what is shown, in order; empty: not known.
        buckets: The groups of a ranker, in the order they stand, by the ranker's name.
        kinds: What kind of question each is ("ranking", "rating", …), by its name.
    """

    scales: Mapping[str, Scale] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    buckets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.scales or self.columns or self.fields or self.buckets or self.kinds)


def beside(path: Path) -> Declared:
    """What a file, or one beside it, declares: `NAME.xml`, `config.xml`, … or `settings.json`; nothing where there is none."""
    own = _around(path)
    if own:
        return own
    for other in _candidates(path):
        try:
            if other.is_file() and other.stat().st_size <= _MAX_BYTES:
                found = from_text(other.read_text(encoding="utf-8-sig"))
                if found:
                    return found
        except (OSError, UnicodeDecodeError):
            continue
    return Declared()


def _around(path: Path) -> "Declared":
    """What an object around the records declares, in a JSON file of moderate size."""
    try:
        if path.suffix.casefold() != ".json" or not path.is_file() or path.stat().st_size > _MAX_WHOLE_BYTES:
            return Declared()
        with path.open(encoding="utf-8-sig") as file:
            if not file.read(1024).lstrip().startswith("{"):
                return Declared()
            file.seek(0)
            whole = json.load(file)
    except (OSError, ValueError, RecursionError):
        return Declared()
    return within(whole) if isinstance(whole, Mapping) else Declared()


def _candidates(path: Path) -> Iterator[Path]:
    folder = path.parent
    yield from (folder / f"{path.stem}{end}" for end in (".xml", ".config.xml", "_config.xml", ".settings.json", "_settings.json"))

    yield from (folder / name for name in ("config.xml", "label_config.xml", "labeling_config.xml", "label-config.xml"))
    yield from (folder / name for name in _SETTINGS)


def from_text(text: str) -> Declared:
    """A configuration in XML or settings in JSON; nothing where it is neither."""
    start = text.lstrip()[:1]
    if start == "<":
        return label_config(text)
    with suppress(ValueError, RecursionError):
        return argilla_settings(json.loads(text))
    return Declared()


def within(wrapper: Mapping[str, Any]) -> Declared:
    """What an object around (or of) the records declares: a configuration as a text, or settings with questions."""
    for name in ("label_config", "labeling_config", "labelling_config", "config"):
        if isinstance(wrapper.get(name), str):
            return label_config(wrapper[name])
    for inner in (wrapper.get("project"), wrapper.get("settings"), wrapper.get("dataset")):
        if isinstance(inner, Mapping):
            found = within(inner) or argilla_settings(inner)
            if found:
                return found
    return argilla_settings(wrapper)


# --- Label Studio


def label_config(xml: str) -> Declared:
    """Label Studio's labelling configuration (https://labelstud.io/tags)."""
    if len(xml) > _MAX_BYTES or re.search(r"<!(DOCTYPE|ENTITY)", xml, re.IGNORECASE):  # no configuration has either
        return Declared()
    try:
        tags = [tag for tag in ElementTree.fromstring(xml).iter() if isinstance(tag.tag, str)]
    except ElementTree.ParseError:
        return Declared()
    named = [(tag.tag.casefold(), tag.get("name", ""), tag) for tag in tags if tag.get("name")]
    columns = {name: value[1:] for _, name, tag in named if (value := tag.get("value") or "").startswith("$")}
    scales = {name: scale for kind, name, tag in named if (scale := _scale(kind, tag))}
    buckets = {name: tuple(b.get("name", "") for b in tag.iter("Bucket")) for kind, name, tag in named if kind == "ranker"}
    return Declared(scales, columns, tuple(dict.fromkeys(columns.values())), {name: b for name, b in buckets.items() if b})


def _scale(kind: str, tag: ElementTree.Element) -> Scale | None:
    if kind == "rating":
        top = number_of(tag.get("maxRating")) or number_of(tag.get("maxrating")) or _LS_STARS
        return Scale(1, top) if top > 1 else None
    if kind in ("number", "slider"):
        low, high, step = (number_of(tag.get(name)) for name in ("min", "max", "step"))
        return Scale(low or 0, high, step or 1) if high is not None and high > (low or 0) else None
    return None


# --- Argilla


def argilla_settings(settings: Any) -> Declared:
    """Argilla's settings.json (2.x), or the configuration of a 1.x dataset (https://docs.argilla.io)."""
    if not isinstance(settings, Mapping) or not isinstance(settings.get("questions"), list):
        return Declared()
    questions = [q for q in settings["questions"] if isinstance(q, Mapping) and isinstance(q.get("name"), str)]
    scales = {question["name"]: scale for question in questions if (scale := _rated(question))}
    kinds = {question["name"]: _kind(question) for question in questions}
    fields = settings.get("fields")
    names = [f.get("name") for f in fields if isinstance(f, Mapping)] if isinstance(fields, list) else []
    shown = tuple(name for name in names if isinstance(name, str))
    return Declared(scales, {}, shown, kinds={name: kind for name, kind in kinds.items() if kind})


def _settings(question: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = question.get("settings")
    return inner if isinstance(inner, Mapping) else question


def _kind(question: Mapping[str, Any]) -> str:
    kind = _settings(question).get("type") or question.get("type")
    return kind if isinstance(kind, str) else ""


def _rated(question: Mapping[str, Any]) -> Scale | None:
    settings = _settings(question)
    if _kind(question) not in ("rating", ""):
        return None
    options = settings.get("options") or settings.get("values") or []
    listed = options if isinstance(options, list) else []
    marks = [number_of(one.get("value") if isinstance(one, Mapping) else one) for one in listed]
    values = sorted({mark for mark in marks if mark is not None})
    if len(values) < 2 or len(values) != len(marks):
        return None
    step = min(b - a for a, b in pairwise(values))
    return Scale(values[0], values[-1], step)
