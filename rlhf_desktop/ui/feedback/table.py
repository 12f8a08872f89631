"""The judgements as a table model over `Pages`: a million rows cost what is on screen."""

from datetime import datetime

from PySide6.QtCore import QAbstractTableModel, QModelIndex, Qt
from PySide6.QtGui import QColor, QFont

from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.operations.history import HistoryRow, history_page
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui import words
from rlhf_desktop.ui.feedback.pages import Pages
from rlhf_desktop.ui.tasks import TaskRunner
from rlhf_desktop.ui.theme.style import current

COLUMNS = ("When", "Prompt", "Verdict", "Who")


class HistoryModel(QAbstractTableModel):
    """Newest first. What was taken back is struck through, and says so."""

    def __init__(self, store: Store, tasks: TaskRunner, project: Project, total: int) -> None:
        super().__init__()
        self._store, self._tasks, self._project = store, tasks, project
        self._pages: Pages[HistoryRow] = Pages(self._ask, total)

    def row(self, index: int) -> HistoryRow | None:
        """A row, once it has arrived."""
        return self._pages.row(index)

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """All judgements."""
        return 0 if parent is not None and parent.isValid() else self._pages.total

    def columnCount(self, _parent: QModelIndex | None = None) -> int:
        """When, prompt, verdict, who."""
        return len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole):
        """The columns' names."""
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return COLUMNS[section]
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        """A cell."""
        row = self._pages.row(index.row())
        if row is None:
            return "…" if role == Qt.ItemDataRole.DisplayRole and index.column() == 1 else None
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return _cell(row, index.column())
        if role == Qt.ItemDataRole.ForegroundRole and (not row.standing or index.column() in (0, 3)):
            return QColor(current().muted)
        if role == Qt.ItemDataRole.FontRole and not row.standing and index.column() == 2:
            font = QFont()
            font.setStrikeOut(True)
            return font
        return None

    def _ask(self, number: int, offset: int, size: int) -> None:
        self._tasks.run(history_page, self._store, self._project, offset, size, on_success=lambda rows: self._arrived(number, rows))

    def _arrived(self, number: int, rows: list[HistoryRow]) -> None:
        shown = self._pages.deliver(number, rows)
        if len(shown):
            self.dataChanged.emit(self.index(shown[0], 0), self.index(shown[-1], len(COLUMNS) - 1))


def _cell(row: HistoryRow, column: int) -> str:
    if column == 0:
        return words.moment(datetime.fromisoformat(row.judgement.created_at).timestamp())
    if column == 1:
        return words.shortened(row.prompt, 160)
    if column == 2:
        return row.verdict if row.standing else f"{row.verdict} (taken back)"
    return row.judgement.who
