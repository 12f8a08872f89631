"""What is to be published of a project's comparisons: which rows and columns, and what of them is replaced. Qt-free."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.hub.cards import Statement
from rlhf_desktop.hub.privacy import Find, FindGroup, grouped, redacted
from rlhf_desktop.hub.push import PushPlan
from rlhf_desktop.operations.publishing import (
    COLUMNS,
    NEEDED_COLUMNS,
    DatasetDraft,
    draft_dataset,
    narrowed,
    plan_dataset,
    preference_rows,
)
from rlhf_desktop.store.database import Store

Told = Callable[[object], None]
_EVERY = 200  # rows between two signs of progress


@dataclass(frozen=True)
class Reached:
    """How far something is; `total` 0 where that is not known."""

    done: int
    total: int
    words: str


def gather(database: Path, project: Project, on_progress: Told) -> DatasetDraft:
    """Read every comparison and look through it, on a connection of its own. `on_progress` may raise to end it."""
    on_progress(Reached(0, 0, "Reading the comparisons…"))
    with Store.open(database) as store:
        rows = preference_rows(store, project)

    def looked(number: int) -> None:
        if number % _EVERY == 0:
            on_progress(Reached(number, len(rows), f"Looking through the comparisons: {number:,} of {len(rows):,}"))

    return draft_dataset(rows, tuple(COLUMNS), looked)


@dataclass
class Choices:
    """What the user has ticked. Everything found is replaced until he says otherwise."""

    draft: DatasetDraft
    columns: set[str] = field(default_factory=lambda: set(NEEDED_COLUMNS))
    left_out: set[int] = field(default_factory=set)  # rows, by number
    kept: set[tuple[str, str]] = field(default_factory=set)  # (kind, words) of what stays as it is

    @cached_property
    def _by_row(self) -> Mapping[int, tuple[Find, ...]]:
        found: dict[int, list[Find]] = {}
        for find in self.draft.review.finds:
            found.setdefault(find.row, []).append(find)
        return {row: tuple(finds) for row, finds in found.items()}

    def finds(self, row: int) -> list[Find]:
        """What was found in a row's ticked columns."""
        return [find for find in self._by_row.get(row, ()) if find.field.partition(".")[0] in self.columns]

    def groups(self) -> list[FindGroup]:
        """What was found in what is ticked, the same words together."""
        return grouped(find for row in self._by_row if row not in self.left_out for find in self.finds(row))

    def replaced(self, row: int) -> list[Find]:
        """What is replaced in a row."""
        return [find for find in self.finds(row) if (find.kind, find.text) not in self.kept]

    def staying(self) -> list[FindGroup]:
        """What was found and goes out as it is."""
        return [group for group in self.groups() if (group.kind, group.text) in self.kept]

    def keep(self, groups: Iterable[FindGroup], on: bool) -> None:
        """Leave these words as they are, or replace them."""
        names = {(group.kind, group.text) for group in groups}
        self.kept = self.kept | names if on else self.kept - names

    def published(self, row: int) -> dict[str, object]:
        """A row as it would be published."""
        values = {name: value for name, value in self.draft.rows[row].values.items() if name in self.columns}
        finds = [Find(0, f.field, f.kind, f.start, f.end, f.text) for f in self.replaced(row)]
        return redacted([values], finds)[0]

    def plan(self, repo: str, title: str, said: Statement, *, private: bool, tag: str, log: str = "") -> PushPlan:
        """The files as they would go. `log` is the head of the audit log, for the card."""
        draft = narrowed(self.draft, tuple(self.columns))
        replace = [find for row in self._by_row for find in self.replaced(row)]
        return plan_dataset(repo, title, draft, said, replace=replace, leave_out=self.left_out, private=private, tag=tag, log=log)


class Asked:
    """Whether work was asked to stop; set on one thread, seen on another."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def stop(self) -> None:
        """Ask it to stop."""
        self._event.set()

    def reset(self) -> None:
        """Nothing is asked."""
        self._event.clear()

    def stopped(self) -> bool:
        """Whether that was asked."""
        return self._event.is_set()


def text_of(value: object) -> str:
    """A column's value in a table: the last message of a conversation, or the value itself."""
    if isinstance(value, list):
        return str(value[-1].get("content", "")) if value else ""
    return "" if value is None else str(value)


def whole_text(row: Mapping[str, object]) -> str:
    """A row to be read: each column's name, and everything in it."""
    parts = []
    for name, value in row.items():
        if isinstance(value, list):
            said = "\n".join(f"{message.get('role', '')}: {message.get('content', '')}" for message in value)
        else:
            said = text_of(value) or "(nothing)"
        parts.append(f"— {name} —\n{said}")
    return "\n\n".join(parts)
