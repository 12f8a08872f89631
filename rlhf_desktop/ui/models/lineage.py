"""Which adapter came from which. Qt-free."""

from collections.abc import Iterable
from dataclasses import dataclass

from rlhf_desktop.core.runs import AdapterRef


@dataclass(frozen=True)
class AdapterEntry:
    """An adapter in the library: what it is, and what it was trained on top of."""

    ref: AdapterRef
    run_id: str
    algorithm: str  # "" where nothing says how it was made
    start_hash: str | None
    created: float
    size_bytes: int
    kind: str = "policy"
    measure: str = ""  # how good it is, as far as anybody knows


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
