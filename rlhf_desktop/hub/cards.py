"""Cards: the README.md beside an adapter or a dataset on the Hub, made from what the run and the project know.

The user fills in the licence, who it is for and what it is not for; everything else is facts. A card never holds a path of this
computer, an answer or a prompt.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_LICENCES = ("apache-2.0", "mit", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc0-1.0", "other")
_HOW = {
    "sft": "imitating written examples (SFT)",
    "reward": "learning which answers are preferred (Bradley–Terry reward model)",
    "ppo": "practising against a reward model (PPO)",
    "dpo": "direct preference optimisation (DPO)",
    "kto": "learning from good and bad marks (KTO)",
}


def licence_choices() -> tuple[str, ...]:
    """Licences offered by name; any other can be typed."""
    return _LICENCES


@dataclass(frozen=True)
class Measure:
    """One measured number with its interval, e.g. how often it was preferred."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None

    @property
    def words(self) -> str:
        """The number as the card says it."""
        spread = "" if self.low is None or self.high is None else f" ({self.low:.3g} to {self.high:.3g})"
        count = "" if self.n is None else f", n = {self.n:,}"
        return f"{self.value:.4g}{spread}{count}"


@dataclass(frozen=True)
class Statement:
    """What only the user can say."""

    licence: str = ""
    licence_name: str = ""  # with licence "other"
    intended_use: str = ""
    limits: str = ""
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class AdapterCard:
    """The facts of an adapter's card."""

    title: str
    algorithm: str
    base_name: str
    base_hash: str
    base_repo: str = ""  # on the Hub, where that is known
    started_from: str = ""
    rows: Mapping[str, int] = field(default_factory=dict)  # "used for training" → 143
    settings: Mapping[str, Any] = field(default_factory=dict)
    measures: Sequence[Measure] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    log: str = ""  # the head of the audit log

    def render(self, said: Statement) -> str:
        """The whole README.md."""
        reward = self.algorithm == "reward"
        tags = ["rlhf-desktop", "lora", *([self.algorithm] if self.algorithm else [])]
        front = {
            **_licence_fields(said),
            "base_model": self.base_repo,
            "library_name": "peft",
            "pipeline_tag": "text-classification" if reward else "text-generation",
            "tags": tags,
        }
        made = _HOW.get(self.algorithm, "")
        parts = [
            f"# {_inline(self.title)}",
            f"A LoRA adapter for {_inline(self.base_name)}" + (f", made by {made}" if made else "") + " with RLHF Desktop.",
            _section("Intended use", said.intended_use or "Its makers have not said."),
            _section("Limits", said.limits or "Its makers have not said. It repeats the limits and biases of its base model."),
            _section("Base model", self._base_words()),
            _table("Data", ("rows", "count"), {name: f"{count:,}" for name, count in self.rows.items()}),
            _table("Recipe", ("setting", "value"), self.settings),
            _table("Measures", ("measure", "value"), {m.name: m.words for m in self.measures}),
            _table("Versions", ("software", "version"), self.versions),
            _section("Audit log", self.log) if self.log else "",
        ]
        return _front(front) + "\n\n".join(part for part in parts if part) + "\n"

    def _base_words(self) -> str:
        words = f"{_inline(self.base_name)}, identity `{self.base_hash}`. It fits no other file of the same model."
        if self.started_from:
            words += f" Training started from the adapter “{_inline(self.started_from)}”, which is contained in this one."
        return words


@dataclass(frozen=True)
class DatasetCard:
    """The facts of a preference dataset's card."""

    title: str
    columns: Mapping[str, str]  # name → what it holds
    rows: Mapping[str, int]  # split → count
    redacted: Mapping[str, int] = field(default_factory=dict)  # kind → places replaced
    annotators: int = 0
    log: str = ""  # the head of the audit log

    def render(self, said: Statement) -> str:
        """The whole README.md."""
        total = sum(self.rows.values())
        files = [{"split": split, "path": f"data/{split}.jsonl"} for split in self.rows]
        front = {
            **_licence_fields(said),
            "language": list(said.languages),
            "task_categories": ["text-generation"],
            "tags": ["preference", "trl", "rlhf", "rlhf-desktop"],
            "size_categories": [_size_category(total)],
            "configs": [{"config_name": "default", "data_files": files}],
        }
        people = f" by {self.annotators} {'person' if self.annotators == 1 else 'people'}" if self.annotators else ""
        hidden = ", ".join(f"{count} × {kind}" for kind, count in self.redacted.items())
        parts = [
            f"# {_inline(self.title)}",
            f"Comparisons of answers{people}, in TRL's explicit preference format, written by RLHF Desktop.",
            _section("Intended use", said.intended_use or "Its makers have not said."),
            _section("Limits", said.limits or "Its makers have not said."),
            _table("Columns", ("column", "holds"), self.columns),
            _table("Rows", ("split", "rows"), {split: f"{count:,}" for split, count in self.rows.items()}),
            _section("Privacy", f"Replaced before publishing: {hidden}." if hidden else "Nothing was replaced before publishing."),
            _section("Audit log", self.log) if self.log else "",
        ]
        return _front(front) + "\n\n".join(part for part in parts if part) + "\n"


def _licence_fields(said: Statement) -> dict[str, Any]:
    if said.licence in _LICENCES[:-1] or not said.licence:
        return {"license": said.licence}
    return {"license": "other", "license_name": said.licence_name or said.licence}


def _front(values: Mapping[str, Any]) -> str:
    """YAML front matter. JSON is YAML, so nothing a user types can break out of its field."""
    kept = {key: value for key, value in values.items() if value not in ("", [], None)}
    return "".join(["---\n", *(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in kept.items()), "---\n\n"])


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text.strip()}"


def _table(title: str, heads: tuple[str, str], rows: Mapping[str, Any]) -> str:
    if not rows:
        return ""
    lines = [f"| {heads[0]} | {heads[1]} |", "|---|---|"]
    lines += [f"| {_inline(key)} | {_inline(value)} |" for key, value in rows.items()]
    return _section(title, "\n".join(lines))


def _inline(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")


def _size_category(rows: int) -> str:
    for limit, name in ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M")):
        if rows < limit:
            return name
    return "n>1M"
