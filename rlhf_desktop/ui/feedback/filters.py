"""What narrows the list of judgements: words, and chips that each say what they let through."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QLineEdit, QMenu, QWidget

from rlhf_desktop.feedback.judgements import Purpose
from rlhf_desktop.feedback.signals import SIGNALS
from rlhf_desktop.feedback.verdicts import Kind
from rlhf_desktop.store.history import HistoryQuery
from rlhf_desktop.store.listing import Sort
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Chip
from rlhf_desktop.ui.widgets.flow import Flow
from rlhf_desktop.ui.widgets.surfaces import column

MOST_TAGGED = 1_000  # judgements with a tag are counted up to here
_PAUSE_MS = 120
_KINDS: dict[Kind, str] = {signal.kind: signal.label for signal in SIGNALS if signal.kind != "withdrawn"}
_TIMES = {0: "today", 7: "in 7 days", 30: "in 30 days", 365: "in a year"}
_SORTS: dict[Sort, str] = {
    "newest": "newest first",
    "oldest": "oldest first",
    "slowest": "slowest first",
    "quickest": "quickest first",
    "who": "by person",
    "kind": "by form",
}
_PURPOSES: dict[Purpose, str] = {"label": "first judgements", "repeat": "silent repeats", "adjudication": "settled disagreements"}

V = TypeVar("V")


class FilterChip(Chip, Generic[V]):
    """Opens a menu of choices; says the one that holds."""

    chosen = Signal()

    def __init__(self, name: str, nothing: str, parent: QWidget | None = None) -> None:
        super().__init__(name, checkable=True, parent=parent)
        self._name, self._nothing = name, nothing
        self._menu = QMenu(self)
        self._menu.setAccessibleName(name)
        self.value: V | None = None
        self.clicked.connect(self._open)
        self._say("")

    def offer(self, options: Mapping[V, str]) -> None:
        """These may be chosen from now on, or none of them."""
        self._menu.clear()
        self._menu.addAction(self._nothing.capitalize(), lambda: self.choose(None, ""))
        for value, words in options.items():
            self._menu.addAction(words.replace("&", "&&"), lambda value=value, words=words: self.choose(value, words))
        if self.value is not None and self.value not in options:
            self.choose(None, "")

    def choose(self, value: V | None, words: str) -> None:
        """Let only this through; None lets all through."""
        self.value = value
        self._say(words)
        self.chosen.emit()

    def _say(self, words: str) -> None:
        self.setText(f"{self._name}: {words or self._nothing}".replace("&", "&&"))
        self.setAccessibleName(f"{self._name}: {words or self._nothing}")
        self.setChecked(self.value is not None)

    def _open(self) -> None:
        self.setChecked(self.value is not None)
        self._menu.popup(self.mapToGlobal(self.rect().bottomLeft()))


class Filters(QWidget):
    """Emits `changed` with the query, as one types and chooses."""

    changed = Signal(object)  # HistoryQuery

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        box = column(self, 0, t.SPACE_S)
        self.search = QLineEdit()
        self.search.setPlaceholderText(f"Search prompts, answers, reasons…   {keymap.shown('find')}")
        self.search.setAccessibleName("Search judgements")
        self.search.setClearButtonEnabled(True)
        for button in self.search.findChildren(QWidget):
            button.setAccessibleName("Clear search")
        box.addWidget(self.search)
        self.kind: FilterChip[Kind] = FilterChip("Form", "any")
        self.who: FilterChip[str] = FilterChip("Who", "anyone")
        self.tag: FilterChip[str] = FilterChip("Tag", "any")
        self.when: FilterChip[int] = FilterChip("When", "any time")
        self.purpose: FilterChip[Purpose] = FilterChip("Purpose", "any")
        self.standing = Chip("Only what counts", checkable=True)
        self.sort: FilterChip[Sort] = FilterChip("Order", "newest first")
        self.kind.offer(_KINDS)
        self.when.offer(_TIMES)
        self.purpose.offer(_PURPOSES)
        self.sort.offer({value: words for value, words in _SORTS.items() if value != "newest"})
        chips = Flow(t.SPACE_XS)
        shown: tuple[Chip, ...] = (self.kind, self.who, self.tag, self.when, self.purpose, self.standing, self.sort)
        for each in shown:
            chips.addWidget(each)
        box.addLayout(chips)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PAUSE_MS)
        self._pause.timeout.connect(self._say)
        self.search.textChanged.connect(self._pause.start)
        for chosen in (self.kind.chosen, self.who.chosen, self.tag.chosen, self.when.chosen, self.purpose.chosen, self.sort.chosen):
            chosen.connect(self._pause.start)
        self.standing.toggled.connect(lambda _on: self._pause.start())

    def offer(self, people: list[str], tags: dict[str, int]) -> None:
        """Who has judged, and which tags there are."""
        self.who.offer({name: name for name in people})
        self.tag.offer({tag: f"{tag} ({n:,}{'+' if n >= MOST_TAGGED else ''})" for tag, n in tags.items()})

    def query(self) -> HistoryQuery:
        """What is let through."""
        since = ""
        if self.when.value is not None:
            midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
            since = (midnight - timedelta(days=self.when.value)).astimezone(UTC).isoformat(timespec="milliseconds")
        return HistoryQuery(
            kinds=(self.kind.value,) if self.kind.value else (),
            who=self.who.value or "",
            tag=self.tag.value or "",
            text=self.search.text().strip(),
            since=since,
            standing=self.standing.isChecked(),
            purpose=self.purpose.value or "",
            sort=self.sort.value or "newest",
        )

    @property
    def narrow(self) -> bool:
        """Whether anything is held back."""
        return replace(self.query(), sort="newest") != HistoryQuery()

    def _say(self) -> None:
        self.changed.emit(self.query())
