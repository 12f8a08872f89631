"""The conversations at the left: a list that fetches as it is scrolled, search, rename in place."""

from collections.abc import Callable
from datetime import datetime

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPoint, QRect, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QFontMetrics, QKeyEvent, QPainter
from PySide6.QtWidgets import QAbstractItemView, QFrame, QLineEdit, QListView, QMenu, QStyle, QStyledItemDelegate, QWidget

from rlhf_desktop.store.conversations import ConversationSummary
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.style import current
from rlhf_desktop.ui.widgets.buttons import IconButton
from rlhf_desktop.ui.widgets.surfaces import column, row
from rlhf_desktop.ui.widgets.text import Label

Fetch = Callable[[str, int], list[ConversationSummary]]  # search text, offset → the next page
_ID = Qt.ItemDataRole.UserRole
_WHEN = Qt.ItemDataRole.UserRole + 1
_SEARCH_PAUSE_MS = 200


class ConversationModel(QAbstractListModel):
    """Conversations, the one last changed first; pages are fetched as the view asks for them."""

    renamed = Signal(str, str)

    def __init__(self, fetch: Fetch, parent=None) -> None:
        super().__init__(parent)
        self._fetch, self._search = fetch, ""
        self._rows: list[ConversationSummary] = []
        self._more = True

    def reload(self, search: str = "") -> None:
        """Start again from the newest."""
        self.beginResetModel()
        self._search, self._rows, self._more = search, [], True
        self._take()
        self.endResetModel()

    def rowCount(self, _parent: QModelIndex | None = None) -> int:
        """How many have been fetched."""
        return len(self._rows)

    def canFetchMore(self, _parent: QModelIndex) -> bool:
        """Whether the store has more."""
        return self._more

    def fetchMore(self, _parent: QModelIndex) -> None:
        """Fetch the next page."""
        page = self._fetch(self._search, len(self._rows))
        self._more = bool(page)
        if page:
            self.beginInsertRows(QModelIndex(), len(self._rows), len(self._rows) + len(page) - 1)
            self._rows += page
            self.endInsertRows()

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Title, id, time."""
        conversation = self._rows[index.row()].conversation
        title = conversation.title or "New conversation"
        when = _when(conversation.updated_at)
        return {
            Qt.ItemDataRole.DisplayRole: title,
            Qt.ItemDataRole.EditRole: title,
            Qt.ItemDataRole.AccessibleTextRole: f"{title}, {when}",
            _ID: conversation.id,
            _WHEN: when,
        }.get(role)

    def setData(self, index: QModelIndex, value: str, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Say that the user gave another title; whoever listens stores it and reloads."""
        if role != Qt.ItemDataRole.EditRole or not value.strip():
            return False
        self.renamed.emit(self._rows[index.row()].conversation.id, value.strip())
        return True

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Titles can be edited."""
        return super().flags(index) | Qt.ItemFlag.ItemIsEditable

    def row_of(self, conversation_id: str | None) -> int:
        """Where a conversation is; -1 if it has not been fetched."""
        return next((i for i, row in enumerate(self._rows) if row.conversation.id == conversation_id), -1)

    def _take(self) -> None:
        page = self._fetch(self._search, 0)
        self._rows, self._more = list(page), bool(page)


class _Delegate(QStyledItemDelegate):
    """A title, and when it was last changed in quiet small type under it."""

    def sizeHint(self, option, _index: QModelIndex) -> QSize:
        return QSize(t.SIDEBAR_WIDTH // 2, 2 * QFontMetrics(option.font).lineSpacing() + t.SPACE_M)

    def paint(self, painter: QPainter, option, index: QModelIndex) -> None:
        painter.save()
        colours = current()
        box = option.rect.adjusted(0, 1, 0, -1)
        if option.state & (QStyle.StateFlag.State_Selected | QStyle.StateFlag.State_MouseOver):
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colours.raised))
            painter.drawRoundedRect(box, t.RADIUS_CONTROL, t.RADIUS_CONTROL)
        inner = box.adjusted(t.SPACE_S, t.SPACE_XS, -t.SPACE_S, -t.SPACE_XS)
        half = inner.height() // 2
        self._line(painter, option.font, QRect(inner.topLeft(), QSize(inner.width(), half)), index.data(), colours.text)
        small = option.font
        small.setPixelSize(max(1, round(small.pixelSize() * t.TYPE_CAPTION / t.TYPE_BODY)))
        below = QRect(inner.topLeft() + QPoint(0, half), QSize(inner.width(), half))
        self._line(painter, small, below, index.data(_WHEN), colours.muted)
        painter.restore()

    @staticmethod
    def _line(painter: QPainter, font, box: QRect, text: str, colour: str) -> None:
        painter.setFont(font)
        painter.setPen(QColor(colour))
        shown = QFontMetrics(font).elidedText(" ".join(text.split()), Qt.TextElideMode.ElideRight, box.width())
        painter.drawText(box, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)


class _List(QListView):
    deletePressed = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Delete:
            self.deletePressed.emit()
        else:
            super().keyPressEvent(event)


class ConversationList(QFrame):
    """New, search, and the list."""

    newRequested = Signal()
    opened = Signal(str)
    renamed = Signal(str, str)
    removed = Signal(str)

    def __init__(self, fetch: Fetch, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("kind", "sidebar")
        self.setFixedWidth(t.SIDEBAR_WIDTH)
        box = column(self, t.SPACE_M, t.SPACE_S)
        top = row()
        top.addWidget(Label("Conversations", strong=True))
        top.addStretch(1)
        new = IconButton("plus", "New conversation", "Ctrl+N")
        top.addWidget(new)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search")
        self.search.setAccessibleName("Search conversations")
        self.search.setClearButtonEnabled(True)
        for button in self.search.findChildren(QWidget):
            button.setAccessibleName("Clear search")
        self.model = ConversationModel(fetch, self)
        self.view = self._make_view()
        self.empty = Label("", "body", "muted", wrap=True)
        box.addLayout(top)
        box.addWidget(self.search)
        box.addWidget(self.empty)
        box.addWidget(self.view, 1)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_SEARCH_PAUSE_MS)
        self._pause.timeout.connect(self.reload)
        new.clicked.connect(self.newRequested)
        self.search.textChanged.connect(self._pause.start)
        self.model.renamed.connect(self.renamed)

    def _make_view(self) -> QListView:
        view = _List()
        view.setModel(self.model)
        view.setItemDelegate(_Delegate(view))
        view.setAccessibleName("Conversations")
        view.setUniformItemSizes(True)
        view.setMouseTracking(True)
        view.setFrameShape(QFrame.Shape.NoFrame)
        view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        view.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        view.customContextMenuRequested.connect(self._menu)
        view.clicked.connect(lambda index: self.opened.emit(index.data(_ID)))
        view.activated.connect(lambda index: self.opened.emit(index.data(_ID)))
        view.deletePressed.connect(self._remove)
        return view

    def reload(self) -> None:
        """Ask the store again, keeping the selection."""
        chosen = self.view.currentIndex().data(_ID)
        self.model.reload(self.search.text().strip())
        self.select(chosen)
        nothing = self.model.rowCount() == 0
        self.empty.setText("Nothing found." if self.search.text().strip() else "Your conversations will be listed here.")
        self.empty.setVisible(nothing)
        self.view.setVisible(not nothing)

    def select(self, conversation_id: str | None) -> None:
        """Mark the conversation being shown."""
        place = self.model.row_of(conversation_id)
        if place < 0:
            self.view.clearSelection()
            self.view.setCurrentIndex(QModelIndex())
        else:
            self.view.setCurrentIndex(self.model.index(place))

    def edit_current(self) -> None:
        """Rename the chosen conversation in place."""
        if self.view.currentIndex().isValid():
            self.view.edit(self.view.currentIndex())

    def _remove(self) -> None:
        if self.view.currentIndex().isValid():
            self.removed.emit(self.view.currentIndex().data(_ID))

    def _menu(self, where: QPoint) -> None:
        if not self.view.indexAt(where).isValid():
            return
        self.view.setCurrentIndex(self.view.indexAt(where))
        menu = QMenu(self)
        menu.addAction("Rename\tF2", self.edit_current)
        menu.addAction("Delete\tDel", self._remove)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.view.viewport().mapToGlobal(where))


def _when(stamp: str) -> str:
    moment = datetime.fromisoformat(stamp).astimezone()
    today = datetime.now().astimezone().date()
    if moment.date() == today:
        return moment.strftime("%H:%M")
    return moment.strftime("%d %b" if moment.year == today.year else "%d %b %Y")
