"""Which adapter came from which, and what fits this machine. Qt-free."""

from collections.abc import Iterable
from dataclasses import dataclass

from rlhf_desktop.core.recipes import Algorithm
from rlhf_desktop.core.runs import AdapterRef
from rlhf_desktop.ui.theme.tokens import Role


@dataclass(frozen=True)
class AdapterEntry:
    """An adapter in the library: what it is, and what it was trained on top of."""

    ref: AdapterRef
    run_id: str
    algorithm: Algorithm
    start_hash: str | None
    created: float
    size_bytes: int


@dataclass(frozen=True)
class LineageRow:
    """One row of the tree as drawn: the entry and how deep it sits."""

    entry: AdapterEntry
    depth: int


def lineage(entries: Iterable[AdapterEntry], base_hash: str) -> list[LineageRow]:
    """The adapters of one base, each below the one it started from; siblings by age.

    An adapter whose parent is gone from the library sits at the top rather than vanish.
    """
    mine = sorted((e for e in entries if e.ref.base_hash == base_hash), key=lambda e: e.created)
    present = {e.ref.hash for e in mine}
    children: dict[str | None, list[AdapterEntry]] = {}
    for entry in mine:
        parent = entry.start_hash if entry.start_hash in present and entry.start_hash != entry.ref.hash else None
        children.setdefault(parent, []).append(entry)
    rows: list[LineageRow] = []
    stack = [(entry, 0) for entry in reversed(children.get(None, []))]
    while stack:
        entry, depth = stack.pop()
        rows.append(LineageRow(entry, depth))
        stack += [(child, depth + 1) for child in reversed(children.pop(entry.ref.hash, []))]
    return rows


@dataclass(frozen=True)
class Suggestion:
    """A stronger base model that one may fetch; the window never fetches by itself."""

    repo: str
    parameters: float
    licence: str
    sentence: str


SUGGESTIONS = (
    Suggestion("HuggingFaceTB/SmolLM2-1.7B-Instruct", 1.71e9, "Apache-2.0", "The starter's larger sister; English."),
    Suggestion("Qwen/Qwen2.5-1.5B-Instruct", 1.54e9, "Apache-2.0", "Strong for its size; 29 languages, Arabic included."),
    Suggestion("ibm-granite/granite-3.1-2b-instruct", 2.53e9, "Apache-2.0", "Trained for work with documents; 12 languages."),
)


def memory_to_train_bytes(parameters: float, bytes_a_weight: int = 2) -> float:
    """A rough need: the weights, a fifth more for adapter and optimiser, and 1.2 GB for activations and libraries."""
    return parameters * bytes_a_weight * 1.2 + 1.2e9


def fits(needed_bytes: float, available_bytes: float | None) -> tuple[str, Role]:
    """A word and a tone: does it fit in this machine's memory with room for the rest of the work?"""
    if available_bytes is None:
        return "memory not measured yet", "muted"
    if needed_bytes <= 0.7 * available_bytes:
        return "fits", "success"
    return ("tight", "warning") if needed_bytes <= available_bytes else ("won’t fit", "danger")
