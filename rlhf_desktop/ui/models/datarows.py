"""Two tables with ticks: the rows that would be published, and what was found in them."""

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

from PySide6.QtCore import QAbstractTableModel, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from rlhf_desktop.hub.privacy import LABELS, FindGroup
from rlhf_desktop.ui import words
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.models.datawork import Choices, text_of
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.style import current
from rlhf_desktop.ui.widgets.itemmodels import Index

_LONGEST = 160
_AROUND = 12  # characters shown on either side of what was found


class TickModel(QAbstractTableModel):
    """Rows with a tick in the first column."""

    ticked = Signal()  # the user changed some
    HEADS: tuple[str, ...] = ()

    def is_ticked(self, row: int) -> bool:
        """Whether a shown row is ticked."""
        raise NotImplementedError

    def tick(self, rows: Iterable[int], on: bool) -> None:
        """Tick shown rows, or take their ticks away."""
        raise NotImplementedError

    def cell(self, row: int, column: int) -> str:
        """A shown row's text."""
        raise NotImplementedError

    def columnCount(self, _parent: Index | None = None) -> int:
        """As many as there are heads."""
        return len(self.HEADS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """The columns' names."""
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return self.HEADS[section]
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        """The first column can be ticked."""
        tick = Qt.ItemFlag.ItemIsUserCheckable if index.column() == 0 else Qt.ItemFlag(0)
        return super().flags(index) | tick

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """A cell."""
        row, column = index.row(), index.column()
        if role == Qt.ItemDataRole.CheckStateRole and column == 0:
            return Qt.CheckState.Checked if self.is_ticked(row) else Qt.CheckState.Unchecked
        if role == Qt.ItemDataRole.DisplayRole and column:
            return words.shortened(self.cell(row, column), _LONGEST)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            state = "ticked" if self.is_ticked(row) else "not ticked"
            return state if column == 0 else words.shortened(self.cell(row, column), _LONGEST)
        if role == Qt.ItemDataRole.ForegroundRole and not self.is_ticked(row):
            return QColor(current().muted)
        return None

    def setData(self, index: Index, value: object, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """A click on the tick."""
        if role != Qt.ItemDataRole.CheckStateRole:
            return False
        self.tick([index.row()], Qt.CheckState(value) == Qt.CheckState.Checked)
        return True

    def look_again(self) -> None:
        """Ticks or words have changed; the rows are the same."""
        if self.rowCount():
            self.dataChanged.emit(self.index(0, 0), self.index(self.rowCount() - 1, len(self.HEADS) - 1))


class RowsModel(TickModel):
    """Every comparison, or those with something found in them, or those left out."""

    HEADS = ("Goes", "Half", "Prompt", "Preferred", "Other", "Found")

    def __init__(self, choices: Choices, show: str = "all") -> None:
        super().__init__()
        self._choices = choices
        self._numbers: Sequence[int] = ()
        self.show(show)

    def show(self, what: str) -> None:
        """Show "all", "found" or "left out"."""
        every = range(len(self._choices.draft.rows))
        keep = {"found": lambda n: bool(self._choices.finds(n)), "left out": lambda n: n in self._choices.left_out}.get(what)
        self.beginResetModel()
        self._numbers = [n for n in every if keep(n)] if keep else every
        self.endResetModel()

    def number(self, row: int) -> int:
        """A shown row's number in the draft."""
        return self._numbers[row]

    def rowCount(self, _parent: Index | None = None) -> int:
        """How many are shown."""
        return len(self._numbers)

    def is_ticked(self, row: int) -> bool:
        """Whether it goes."""
        return self._numbers[row] not in self._choices.left_out

    def tick(self, rows: Iterable[int], on: bool) -> None:
        """Publish these, or leave them out."""
        numbers = {self._numbers[row] for row in rows}
        out = self._choices.left_out
        self._choices.left_out = out - numbers if on else out | numbers
        self.look_again()
        self.ticked.emit()

    def cell(self, row: int, column: int) -> str:
        """Which half of the split, the texts, and how many places were found."""
        number = self._numbers[row]
        made = self._choices.draft.rows[number]
        if column == 1:
            return {"train": "training", "test": "held out"}.get(made.split, made.split)
        if column == 5:
            return str(len(self._choices.finds(number)) or "")
        return text_of(made.values[("prompt", "chosen", "rejected")[column - 2]])


class FindsModel(TickModel):
    """What was found, the same words in one line; ticked is replaced."""

    HEADS = ("Replace", "Kind", "Words", "Places", "For example")

    def __init__(self, choices: Choices, kind: str = "") -> None:
        super().__init__()
        self._choices = choices
        self._kind = kind
        self.groups: list[FindGroup] = []
        self.show(kind)

    def show(self, kind: str) -> None:
        """Show one kind; "" for all."""
        self._kind = kind
        self.beginResetModel()
        self.groups = [group for group in self._choices.groups() if not kind or group.kind == kind]
        self.endResetModel()

    def look(self) -> None:
        """Rows or columns have changed: find again what is in them."""
        self.show(self._kind)

    def rowCount(self, _parent: Index | None = None) -> int:
        """How many different words."""
        return len(self.groups)

    def is_ticked(self, row: int) -> bool:
        """Whether it is replaced."""
        return (self.groups[row].kind, self.groups[row].text) not in self._choices.kept

    def tick(self, rows: Iterable[int], on: bool) -> None:
        """Replace these words, or leave them as they are."""
        self._choices.keep([self.groups[row] for row in rows], not on)
        self.look_again()
        self.ticked.emit()

    def cell(self, row: int, column: int) -> str:
        """Kind, words, how many places, and one of them with what stands around it."""
        group = self.groups[row]
        if column == 4:
            return self._context(group)
        return ("", LABELS[group.kind], group.text, f"{len(group.finds):,}")[column]

    def _context(self, group: FindGroup) -> str:
        find = group.finds[0]
        column, _, at = find.field.partition(".")
        value = self._choices.draft.rows[find.row].values[column]
        text = str(value[int(at)]["content"]) if isinstance(value, list) else str(value)
        before, after = text[max(0, find.start - _AROUND) : find.start], text[find.end : find.end + _AROUND]
        return f"{'…' if find.start > _AROUND else ''}{before}{find.text}{after}{'…' if find.end + _AROUND < len(text) else ''}"


M = TypeVar("M", bound=TickModel)


class TickTable(QTableView, Generic[M]):
    """Space ticks what is selected, or takes the ticks away."""

    def __init__(self, name: str, height: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.shown: M | None = None
        self.setAccessibleName(name)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setFixedHeight(height)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.verticalHeader().setDefaultSectionSize(t.CONTROL_HEIGHT)
        self.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.horizontalHeader().setHighlightSections(False)

    def show_model(self, model: M, widths: Sequence[int]) -> None:
        """Show a model; `widths` in characters, 0 for what shares the rest."""
        before, self.shown = self.model(), model
        self.setModel(model)
        if before is not None:
            before.deleteLater()
        header, wide = self.horizontalHeader(), self.fontMetrics().averageCharWidth()
        for section, characters in enumerate(widths):
            header.setSectionResizeMode(
                section, QHeaderView.ResizeMode.Interactive if characters else QHeaderView.ResizeMode.Stretch
            )
            if characters:
                header.resizeSection(section, wide * characters + 2 * t.SPACE_S)

    def tick_all(self, on: bool) -> None:
        """Tick every shown row, or take the ticks away."""
        if self.shown is not None:
            self.shown.tick(range(self.shown.rowCount()), on)

    def selected(self) -> list[int]:
        """The selected rows, in their order."""
        return sorted(index.row() for index in self.selectionModel().selectedRows()) if self.selectionModel() else []

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Space ticks."""
        model, rows = self.shown, self.selected()
        if keymap.heard(event, "ticking") == "tick" and model is not None and rows:
            model.tick(rows, not all(model.is_ticked(row) for row in rows))
        else:
            super().keyPressEvent(event)
