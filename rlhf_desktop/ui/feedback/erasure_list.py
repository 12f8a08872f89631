"""What a colleague has erased and is here: one line each, with a tick for what is erased here too."""

from collections.abc import Iterable, Sequence

from PySide6.QtWidgets import QWidget

from rlhf_desktop.store.takings import Erasure
from rlhf_desktop.ui import words
from rlhf_desktop.ui.models.datarows import TickModel, TickTable
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.itemmodels import Index
from rlhf_desktop.ui.widgets.surfaces import column, row
from rlhf_desktop.ui.widgets.text import Label, caption

_HEIGHT = 168


class ErasuresModel(TickModel):
    """Nothing is ticked to begin with: nothing goes unasked."""

    HEADS = ("Erase", "Prompt", "What would go", "Judged by")

    def __init__(self, found: Sequence[Erasure]) -> None:
        super().__init__()
        self._found = found
        self._accepted: set[int] = set()

    @property
    def keys(self) -> list[str]:
        """Which are accepted."""
        return [self._found[number].key for number in sorted(self._accepted)]

    def rowCount(self, _parent: Index | None = None) -> int:
        """How many there are."""
        return len(self._found)

    def is_ticked(self, row: int) -> bool:
        """Whether it is erased here too."""
        return row in self._accepted

    def tick(self, rows: Iterable[int], on: bool) -> None:
        """Erase these here too, or keep them."""
        self._accepted = self._accepted | set(rows) if on else self._accepted - set(rows)
        self.look_again()
        self.ticked.emit()

    def cell(self, row: int, column: int) -> str:
        """How it begins, what would go, and who judged."""
        one = self._found[row]
        if column == 1:
            return one.opening or "Without a question"
        if column == 3:
            return ", ".join(one.people)
        parts = ((one.judgements, "judgement"), (one.answers, "answer"), (one.prompts, "prompt"))
        return ", ".join(words.count(n, noun) for n, noun in parts if n) or "a conversation"


class ErasureList(QWidget):
    """The list with what is said above it, and a button for all and for none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        box = column(self, 0, t.SPACE_S)
        said = (
            "Your colleague has erased these. Those you tick are erased here too, for good. The others stay, and you are asked "
            "again at the next merge."
        )
        box.addWidget(caption(said, wrap=True))
        self.table: TickTable[ErasuresModel] = TickTable("What your colleague has erased", _HEIGHT)
        box.addWidget(self.table)
        self.opening = caption("", wrap=True)
        box.addWidget(self.opening)
        self.all, self.none = Button("Tick all", "quiet"), Button("Tick none", "quiet")
        self.words = Label("", tone="muted")
        lower = row()
        lower.addWidget(self.all)
        lower.addWidget(self.none)
        lower.addStretch(1)
        lower.addWidget(self.words)
        box.addLayout(lower)
        self.all.clicked.connect(lambda: self.table.tick_all(True))
        self.none.clicked.connect(lambda: self.table.tick_all(False))

    def show_erasures(self, found: Sequence[Erasure]) -> None:
        """Show these; none is ticked."""
        model = ErasuresModel(found)
        model.ticked.connect(self._count)
        self.table.show_model(model, (5, 0, 19, 11))
        self.table.selectionModel().currentRowChanged.connect(self._show_opening)
        self.opening.hide()
        self._count()

    def _show_opening(self, current: Index) -> None:
        """The line one is on in full: the column may be narrow."""
        if self.table.shown and current.isValid():
            self.opening.setText(self.table.shown.cell(current.row(), 1))
            self.opening.show()

    @property
    def keys(self) -> list[str]:
        """Which are erased here too."""
        return self.table.shown.keys if self.table.shown else []

    def _count(self) -> None:
        if self.table.shown:
            self.words.setText(f"{len(self.keys):,} of {self.table.shown.rowCount():,} are erased")
