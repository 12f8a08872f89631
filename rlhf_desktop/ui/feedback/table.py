"""The judgements as a table model over `Pages`: a million rows cost what is on screen."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from PySide6.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from PySide6.QtGui import QColor, QFont, QResizeEvent
from PySide6.QtWidgets import QTableView

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.feedback.attachments import question_of
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.operations.history import HistoryRow, find_history
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.history import Cursor, HistoryQuery
from rlhf_desktop.ui import words
from rlhf_desktop.ui.feedback.pages import Pages
from rlhf_desktop.ui.tasks import TaskRunner
from rlhf_desktop.ui.theme.style import current
from rlhf_desktop.ui.widgets.itemmodels import Index

COLUMNS = ("When", "Prompt", "Verdict", "Who", "Tags")
_QUIET = (0, 3, 4)
_CHARACTERS = (11, 24, 18, 14, 9)  # widths of the columns, where there is room for no more
_SHARES = (0.0, 0.58, 0.3, 0.12, 0.0)  # of the room there is besides: a verdict may be many words, a name whole
_LEAST = 6  # characters of any column, however narrow the window
_ASKED = 50  # rows at a time: two screens


@dataclass(frozen=True)
class Line:
    """A row and its words, which the table asks for again whenever it is painted."""

    row: HistoryRow
    cells: tuple[str, ...]


class HistoryModel(QAbstractTableModel):
    """What a query finds. What was taken back is struck through, and says so."""

    arrived = Signal()  # the first rows, and all above the place to keep; or that there are none
    troubled = Signal(object)  # AppError

    def __init__(self, store: Store, tasks: TaskRunner, project: Project, query: HistoryQuery, until: int = 0) -> None:
        """Ask for the rows up to number `until`."""
        super().__init__()
        self._store, self._tasks, self._project, self._query = store, tasks, project, query
        self._pages: Pages[Line, Cursor] = Pages(self._ask, keep=24)
        self._until, self._wanted, self._there, self._stopped = until, until + 1, False, False
        self._pages.ask_next()

    def stop(self) -> None:
        """Ask for nothing more: another list takes this one's place."""
        self._stopped = True

    def loaded(self) -> dict[str, int]:
        """The judgements in memory, and the numbers of their rows."""
        return {line.row.judgement.id: number for number, line in self._pages.loaded()}

    def row(self, index: int) -> HistoryRow | None:
        """A row, once it has arrived."""
        line = self._pages.row(index)
        return line.row if line else None

    def rowCount(self, parent: Index | None = None) -> int:
        """As many as are known; the view asks for more as it is scrolled."""
        return 0 if parent is not None and parent.isValid() else self._pages.total

    def columnCount(self, _parent: Index | None = None) -> int:
        """When, prompt, verdict, who, tags."""
        return len(COLUMNS)

    def canFetchMore(self, _parent: Index) -> bool:
        """Whether more follow."""
        return self._pages.more

    def fetchMore(self, _parent: Index) -> None:
        """Ask for the next page."""
        self._wanted = self._pages.total + 1
        self._pages.ask_next()

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """The columns' names."""
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return COLUMNS[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """A cell."""
        line = self._pages.row(index.row())
        if line is None:
            return "…" if role == Qt.ItemDataRole.DisplayRole and index.column() == 1 else None
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return line.cells[index.column()]
        if role == Qt.ItemDataRole.ForegroundRole and (not line.row.standing or index.column() in _QUIET):
            return QColor(current().muted)
        if role == Qt.ItemDataRole.FontRole and not line.row.standing and index.column() == 2:
            font = QFont()
            font.setStrikeOut(True)
            return font
        return None

    def _ask(self, number: int, after: Cursor | None) -> None:
        self._tasks.run(
            _find_lines, self._store, self._project, self._query, after,
            on_success=lambda found: self._came(number, *found), on_failure=self._failed,
        )  # fmt: skip

    def _failed(self, trouble: AppError) -> None:
        self.troubled.emit(trouble)

    def _came(self, number: int, lines: Sequence[Line], following: Cursor | None) -> None:
        if self._stopped:
            return
        before = self._pages.total
        fresh = not self._pages.knows(number)
        if fresh and lines:
            self.beginInsertRows(QModelIndex(), before, before + len(lines) - 1)
        shown = self._pages.deliver(number, lines, following)
        if fresh and lines:
            self.endInsertRows()
        elif len(shown):
            self.dataChanged.emit(self.index(shown[0], 0), self.index(shown[-1], len(COLUMNS) - 1))
        if self._pages.more and self._pages.total < self._wanted:  # what is rare comes in small pages
            self._pages.ask_next()
        elif not self._there:
            self._there = True
            self.arrived.emit()


class HistoryTable(QTableView):
    """Prompt and verdict take what the other columns leave; where that is too little, all but the time give way alike."""

    def share_width(self) -> None:
        """Give each column what it usually needs, or its part of what there is."""
        header, wide = self.horizontalHeader(), self.fontMetrics().averageCharWidth()
        if not header.count():
            return
        usual = [wide * characters for characters in _CHARACTERS]
        room = self.viewport().width() - usual[0]
        short = min(1.0, room / sum(usual[1:]))
        widths = [usual[0], *(max(wide * _LEAST, int(width * short)) for width in usual[1:])]
        spare = self.viewport().width() - sum(widths)
        widths[1] += min(0, spare)
        for section, (width, share) in enumerate(zip(widths, _SHARES, strict=True)):
            header.resizeSection(section, width + int(max(0, spare) * share))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share the width anew."""
        super().resizeEvent(event)
        self.share_width()


def _find_lines(
    store: Store, project: Project, query: HistoryQuery, after: Cursor | None
) -> tuple[tuple[Line, ...], Cursor | None]:
    """Some lines, and where to go on. Blocks."""
    page = find_history(store, project, query, after, _ASKED)
    return tuple(Line(row, _cells(row)) for row in page.rows), page.next


def _cells(row: HistoryRow) -> tuple[str, ...]:
    when = words.moment(datetime.fromisoformat(row.judgement.created_at).timestamp())
    verdict = row.verdict if row.standing else f"{row.verdict} (taken back)"
    return when, words.shortened(question_of(row.prompt), 160), verdict, row.judgement.who, ", ".join(row.tags)
