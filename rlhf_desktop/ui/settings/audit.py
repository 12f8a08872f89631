"""The audit log's card in Settings: who did what and when, whether the chain holds, and its head to copy."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QAbstractTableModel, QModelIndex, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QAbstractItemView, QFileDialog, QHeaderView, QTableView, QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.operations.audit import Checked, Line, check_log, lines
from rlhf_desktop.ui import words
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.itemmodels import Index
from rlhf_desktop.ui.widgets.surfaces import Card, Notice, row
from rlhf_desktop.ui.widgets.text import Label, caption

_T = TypeVar("_T")
_PAGE = 200  # entries asked for at once
_HEIGHT = 260
_COLUMNS = ("When", "Who", "What", "Details")
_CHARACTERS = (11, 11, 20, 0)  # widths; 0 for what shares the rest


class LogModel(QAbstractTableModel):
    """The entries that have been asked for, newest first."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Line] = []

    def show_lines(self, found: Sequence[Line]) -> None:
        """Show these instead of what there was."""
        self.beginResetModel()
        self.lines = list(found)
        self.endResetModel()

    def add_lines(self, found: Sequence[Line]) -> None:
        """Add older ones below."""
        if found:
            self.beginInsertRows(QModelIndex(), len(self.lines), len(self.lines) + len(found) - 1)
            self.lines += found
            self.endInsertRows()

    def rowCount(self, parent: Index | None = None) -> int:
        """How many are shown."""
        return 0 if parent is not None and parent.isValid() else len(self.lines)

    def columnCount(self, _parent: Index | None = None) -> int:
        """When, who, what, details."""
        return len(_COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """The columns' names."""
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return _COLUMNS[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """A cell."""
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return None
        line = self.lines[index.row()]
        when = words.moment(datetime.fromisoformat(line.at).timestamp())
        details = ": ".join(part for part in (words.shortened(line.project, 40), line.facts) if part)
        return (when, words.shortened(line.who, 40), line.act, details)[index.column()]


class AuditCard(Card):
    """Shows the log; looks it through when asked."""

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__("Audit log", parent=parent)
        self._context = context
        said = (
            "Who judged, exported, trained, published, erased and restored what and when; none of your texts. Each entry’s hash "
            "has the one before it in it: up to a head that somebody else keeps, nothing can be changed unnoticed."
        )
        self.body.addWidget(caption(said, wrap=True))
        self.model = LogModel()
        self.body.addWidget(self._make_table())
        self.empty = Label("Nothing has been done here yet.", tone="muted")
        self.body.addWidget(self.empty)
        line = row()
        self.verify, self.compare = Button("Verify", icon="check"), Button("Verify with a file…", "quiet")
        self.copy, self.older = Button("Copy the head", "quiet", "copy"), Button("Older entries", "quiet")
        for button in (self.verify, self.compare, self.copy):
            line.addWidget(button)
        line.addStretch(1)
        line.addWidget(self.older)
        self.body.addLayout(line)
        self.result = Notice("info", "")
        self.result.hide()
        self.body.addWidget(self.result)
        self.verify.clicked.connect(lambda: self.check([]))
        self.compare.clicked.connect(self._choose)
        self.copy.clicked.connect(self._copy)
        self.older.clicked.connect(self._ask_older)
        self._show([])

    def _make_table(self) -> QTableView:
        self.table = table = QTableView()
        table.setModel(self.model)
        table.setAccessibleName("Audit log")
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.setTabKeyNavigation(False)
        table.setFixedHeight(_HEIGHT)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(t.CONTROL_HEIGHT)
        header, wide = table.horizontalHeader(), table.fontMetrics().averageCharWidth()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        for section, characters in enumerate(_CHARACTERS):
            if characters:
                header.resizeSection(section, wide * characters + 2 * t.SPACE_S)
            else:
                header.setSectionResizeMode(section, QHeaderView.ResizeMode.Stretch)
        return table

    # --- the list

    def look(self) -> None:
        """Show what is there now."""
        self._run(lambda: self._entries(None), self._show)

    def _entries(self, before: int | None) -> list[Line]:
        store = self._context.store
        return lines(store, store.audit.entries(before=before, limit=_PAGE))

    def _show(self, found: list[Line]) -> None:
        self.model.show_lines(found)
        self._show_whether_more(found)

    def _ask_older(self) -> None:
        last = self.model.lines[-1].seq
        self._run(lambda: self._entries(last), self._show_older)

    def _show_older(self, found: list[Line]) -> None:
        if found and self.model.lines and found[0].seq < self.model.lines[-1].seq:  # else the list was read anew meanwhile
            self.model.add_lines(found)
        self._show_whether_more(found)

    def _show_whether_more(self, found: Sequence[Line]) -> None:
        there = bool(self.model.lines)
        self.older.setVisible(there and len(found) == _PAGE and self.model.lines[-1].seq > 1)
        self.table.setVisible(there)
        self.empty.setVisible(not there)
        for button in (self.verify, self.compare, self.copy):
            button.setEnabled(there)

    # --- verifying

    def check(self, files: Sequence[Path]) -> None:
        """Look the whole log through, with what these files say of it."""
        store = self._context.store
        self._say("clock", "Verifying…", "muted")
        self._run(lambda: check_log(store, files=files), self._checked)

    def _checked(self, found: Checked) -> None:
        if found.problems:
            self._say("alert", f"The audit log does not hold: {found.sentence}", "danger")
        else:
            self._say("success", found.sentence, "success")

    def _choose(self) -> None:
        dialog = QFileDialog(self, "A bundle, a report or a published card", "", "All files (*)")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.filesSelected.connect(lambda paths: self.check([Path(path) for path in paths]))
        dialog.open()

    def _copy(self) -> None:
        head = self._context.store.audit.head()
        QGuiApplication.clipboard().setText(str(head))
        self._say("success", f"Copied the head of entry {head.seq:,}. Keep it elsewhere: it pins all entries up to it.", "success")

    def _run(self, work: Callable[[], _T], then: Callable[[_T], object]) -> None:
        self._context.tasks.run(work, on_success=then, on_failure=self._failed)

    def _failed(self, trouble: AppError) -> None:
        self._say("alert", str(trouble), "danger")

    def _say(self, icon: str, text: str, tone: t.Role) -> None:
        self.result.say(icon, text, tone)
        self.result.show()
