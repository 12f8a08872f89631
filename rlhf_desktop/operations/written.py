"""What was written, in words a person understands: what, how much, in which format, where, what was left out and why. Qt-free."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rlhf_desktop.core.words import count
from rlhf_desktop.feedback.bundles import Manifest
from rlhf_desktop.feedback.formats import FORMATS
from rlhf_desktop.operations.exporting import Exported
from rlhf_desktop.operations.feedback import FeedbackExport

_CONTAINERS = {".csv": "CSV", ".parquet": "Parquet", ".json": "JSON, one list"}
_READERS = {".csv": "csv", ".parquet": "parquet"}
_MODELS = {
    "peft": ("an adapter", "Adapter (PEFT), to be put on its base model"),
    "merged": ("a whole model", "safetensors, for transformers, vLLM and others"),
    "gguf": ("a whole model", "GGUF, for llama.cpp, LM Studio and Ollama"),
    "gguf-lora": ("an adapter", "GGUF, beside its base model's, for llama.cpp and Ollama"),
}


@dataclass(frozen=True)
class Written:
    """One export.

    Attributes:
        title: What was written, in one sentence.
        path: The file or the folder.
        facts: Names and values, in the order they are read.
        left_out: What is not in it, and why; empty: nothing.
        next: What to do with it, in a sentence.
        python: Lines that load it, for those who program.
    """

    title: str
    path: Path
    facts: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...] = ()
    next: str = ""
    python: str = ""


def feedback_written(made: FeedbackExport, path: Path, form: str) -> Written:
    """Feedback as a file."""
    suffix = path.suffix.lower()
    facts = [("Format", FORMATS[form].title), ("Kind of file", _CONTAINERS.get(suffix, "JSON lines")), *_sized(path)]
    reader = _READERS.get(suffix, "json")
    python = f'from datasets import load_dataset\n\ndata = load_dataset("{reader}", data_files={str(path)!r}, split="train")'
    title = f"{count(made.records, 'record')} from {count(made.judgements, 'judgement')} written."
    return Written(title, path, tuple(facts), _left_out(made.left_out), python=python)


def _left_out(kinds: Mapping[str, int]) -> tuple[str, ...]:
    if not kinds:
        return ()
    said = ", ".join(f"{kind} ({n:,})" for kind, n in sorted(kinds.items(), key=lambda one: -one[1]))
    return (f"{count(sum(kinds.values()), 'judgement')} of which this format has no place for what they say: {said}.",)


def bundle_written(manifest: Manifest, path: Path) -> Written:
    """A bundle for colleagues: everything is in it."""
    rows = {name.removesuffix(".jsonl"): note.rows for name, note in manifest.files.items()}
    facts = [("Project", manifest.project), ("Format", "A bundle: nothing is lost in it"), *_sized(path)]
    said = "Give it to a colleague: Feedback, Import / export, Open a bundle. It holds the names of who judged."
    return Written(f"{count(rows.get('judgements', 0), 'judgement')} written as a bundle.", path, tuple(facts), next=said)


def model_written(made: Exported, form: str, name: str) -> Written:
    """A model or an adapter as files for other programs."""
    what, kind = _MODELS[form]
    facts = [("Format", kind), ("Files", ", ".join(sorted(file.name for file in made.files))), ("Size", _size(made.size_bytes))]
    python = made.how_to_use.removeprefix("Load it with: ") if form in ("peft", "merged") else ""
    return Written(f"{name} written as {what}.", made.folder, tuple(facts), next="" if python else made.how_to_use, python=python)


def report_written(page: Path) -> Written:
    """A report's page, with its pictures in it."""
    return Written(
        "The report is written.", page, _sized(page), next="One page that opens in any browser; it can be sent as it is."
    )


def _sized(path: Path) -> tuple[tuple[str, str], ...]:
    return (("Size", _size(path.stat().st_size)),)


def _size(n_bytes: int) -> str:
    """Decimal bytes, with as many digits as one reads."""
    for unit, limit in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n_bytes >= limit:
            value = n_bytes / limit
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{n_bytes} bytes"
