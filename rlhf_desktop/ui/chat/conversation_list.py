"""The conversations at the left: a list that fetches as it is scrolled, search, folders and tags, rename in place."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPoint, QRect, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QFont, QFontMetrics, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QLineEdit,
    QListView,
    QMenu,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from rlhf_desktop.store.shelf import ConversationCursor, ConversationPage, ConversationQuery, ConversationSummary
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.style import current
from rlhf_desktop.ui.widgets.buttons import IconButton
from rlhf_desktop.ui.widgets.fields import choice
from rlhf_desktop.ui.widgets.itemmodels import Index, drawn
from rlhf_desktop.ui.widgets.surfaces import column, row
from rlhf_desktop.ui.widgets.text import Label

# Asks for a page; what comes is given to the last argument, later.
Fetch = Callable[[ConversationQuery, ConversationCursor | None, Callable[[ConversationPage], None]], None]
_ID = Qt.ItemDataRole.UserRole
_WHEN = Qt.ItemDataRole.UserRole + 1
_SEARCH_PAUSE_MS = 120


@dataclass(frozen=True)
class Shelves:
    """The folders and tags in use, and the tags of one conversation."""

    folders: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class ConversationModel(QAbstractListModel):
    """Conversations, the one last changed first; pages are fetched as the view asks for them, off this thread."""

    renamed = Signal(str, str)
    arrived = Signal()  # the first page

    def __init__(self, fetch: Fetch, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._fetch, self._query = fetch, ConversationQuery()
        self._rows: list[ConversationSummary] = []
        self._next: ConversationCursor | None = None
        self._asked = 0  # only what was asked last is listened to
        self._waiting = False

    def reload(self, query: ConversationQuery) -> None:
        """Start again from the newest. What is shown stays until the new page is there."""
        self._query = query
        self._ask(None)

    def _ask(self, after: ConversationCursor | None) -> None:
        self._asked += 1
        self._waiting = True
        number = self._asked
        self._fetch(self._query, after, lambda page: self._came(number, after is None, page))

    def _came(self, number: int, first: bool, page: ConversationPage) -> None:
        if number != self._asked:
            return
        self._waiting, self._next = False, page.next
        if first:
            self.beginResetModel()
            self._rows = list(page.rows)
            self.endResetModel()
            self.arrived.emit()
        elif page.rows:
            self.beginInsertRows(QModelIndex(), len(self._rows), len(self._rows) + len(page.rows) - 1)
            self._rows += page.rows
            self.endInsertRows()

    def rowCount(self, _parent: Index | None = None) -> int:
        """How many have been fetched."""
        return len(self._rows)

    def canFetchMore(self, _parent: Index) -> bool:
        """Whether the store has more."""
        return self._next is not None and not self._waiting

    def fetchMore(self, _parent: Index) -> None:
        """Ask for the next page."""
        self._ask(self._next)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Title, id, time."""
        conversation = self._rows[index.row()].conversation
        title = conversation.title or "New conversation"
        when = _when(conversation.updated_at) + (f" · {conversation.folder}" if conversation.folder else "")
        return {
            Qt.ItemDataRole.DisplayRole: title,
            Qt.ItemDataRole.EditRole: title,
            Qt.ItemDataRole.AccessibleTextRole: f"{title}, {when}",
            _ID: conversation.id,
            _WHEN: when,
        }.get(role)

    def setData(self, index: Index, value: str, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Say that the user gave another title; whoever listens stores it and reloads."""
        if role != Qt.ItemDataRole.EditRole or not value.strip():
            return False
        self.renamed.emit(self._rows[index.row()].conversation.id, value.strip())
        return True

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Titles can be edited."""
        return super().flags(index) | Qt.ItemFlag.ItemIsEditable

    def row_of(self, conversation_id: str | None) -> int:
        """Where a conversation is; -1 if it has not been fetched."""
        return next((i for i, row in enumerate(self._rows) if row.conversation.id == conversation_id), -1)

    def folder_of(self, conversation_id: str) -> str:
        """The folder a fetched conversation is in."""
        return next((row.conversation.folder for row in self._rows if row.conversation.id == conversation_id), "")


class _Delegate(QStyledItemDelegate):
    """A title, and when it was last changed in quiet small type under it."""

    def sizeHint(self, option: QStyleOptionViewItem, _index: Index) -> QSize:
        return QSize(t.SIDEBAR_WIDTH // 2, 2 * QFontMetrics(drawn(option).font).lineSpacing() + t.SPACE_M)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        painter.save()
        colours = current()
        row = drawn(option)
        box = row.rect.adjusted(0, 1, 0, -1)
        if row.state & (QStyle.StateFlag.State_Selected | QStyle.StateFlag.State_MouseOver):
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colours.raised))
            painter.drawRoundedRect(box, t.RADIUS_CONTROL, t.RADIUS_CONTROL)
        inner = box.adjusted(t.SPACE_S, t.SPACE_XS, -t.SPACE_S, -t.SPACE_XS)
        half = inner.height() // 2
        self._line(painter, row.font, QRect(inner.topLeft(), QSize(inner.width(), half)), index.data(), colours.text)
        small = row.font
        small.setPixelSize(max(1, round(small.pixelSize() * t.TYPE_CAPTION / t.TYPE_BODY)))
        below = QRect(inner.topLeft() + QPoint(0, half), QSize(inner.width(), half))
        self._line(painter, small, below, index.data(_WHEN), colours.muted)
        painter.restore()

    @staticmethod
    def _line(painter: QPainter, font: QFont, box: QRect, text: str, colour: str) -> None:
        painter.setFont(font)
        painter.setPen(QColor(colour))
        shown = QFontMetrics(font).elidedText(" ".join(text.split()), Qt.TextElideMode.ElideRight, box.width())
        painter.drawText(box, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)


class _List(QListView):
    deletePressed = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if keymap.heard(event, "conversations") == "delete":
            self.deletePressed.emit()
        else:
            super().keyPressEvent(event)


class ConversationList(QFrame):
    """New, search, which folder or tag, and the list."""

    newRequested = Signal()
    opened = Signal(str)
    renamed = Signal(str, str)
    removed = Signal(str)
    filed = Signal(str, str)  # conversation, folder ("" for none)
    tagged = Signal(str, str, bool)  # conversation, tag, on or off
    menuRequested = Signal(str, QPoint)  # conversation, where on the screen

    def __init__(
        self, fetch: Fetch, shelves: Callable[[], Shelves], tags_of: Callable[[str], tuple[str, ...]], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._shelves, self._tags_of = shelves, tags_of
        self._chosen: str | None = None
        self._naming: Callable[[str], None] = lambda _name: None
        self.setProperty("kind", "sidebar")
        self.setFixedWidth(t.SIDEBAR_WIDTH)
        box = column(self, t.SPACE_M, t.SPACE_S)
        top = row()
        top.addWidget(Label("Conversations", strong=True))
        top.addStretch(1)
        new = IconButton("plus", "New conversation", keymap.text("new conversation"))
        top.addWidget(new)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search")
        self.search.setAccessibleName("Search conversations")
        self.search.setClearButtonEnabled(True)
        for button in self.search.findChildren(QWidget):
            button.setAccessibleName("Clear search")
        self.where = choice("Folder or tag")
        self.where.hide()
        self.name = QLineEdit()
        self.name.setAccessibleName("Name")
        self.name.hide()
        self.model = ConversationModel(fetch, self)
        self.view = self._make_view()
        self.empty = Label("", "body", "muted", wrap=True)
        box.addLayout(top)
        for part in (self.search, self.where, self.name, self.empty):
            box.addWidget(part)
        box.addWidget(self.view, 1)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_SEARCH_PAUSE_MS)
        self._pause.timeout.connect(self.reload)
        new.clicked.connect(self.newRequested)
        self.search.textChanged.connect(self._pause.start)
        self.where.activated.connect(self.reload)
        self.name.returnPressed.connect(self._named)
        self.model.renamed.connect(self.renamed)
        self.model.arrived.connect(self._arrived)

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
        self._show_shelves()
        query = self.where.currentData() or ConversationQuery()
        self.model.reload(replace(query, text=self.search.text().strip()))

    def _show_shelves(self) -> None:
        shelves, chosen = self._shelves(), self.where.currentText()
        self.where.clear()
        self.where.addItem("All conversations", ConversationQuery())
        for folder in shelves.folders:
            self.where.addItem(f"Folder: {folder}", ConversationQuery(folder=folder))
        for tag in shelves.tags:
            self.where.addItem(f"Tag: {tag}", ConversationQuery(tag=tag))
        self.where.setCurrentIndex(max(0, self.where.findText(chosen)))
        self.where.setVisible(bool(shelves.folders or shelves.tags))

    def _arrived(self) -> None:
        self.select(self._chosen)
        nothing = self.model.rowCount() == 0
        narrowed = self.search.text().strip() or self.where.currentIndex() > 0
        self.empty.setText("Nothing found." if narrowed else "Your conversations will be listed here.")
        self.empty.setVisible(nothing)
        self.view.setVisible(not nothing)

    def select(self, conversation_id: str | None) -> None:
        """Mark the conversation being shown."""
        self._chosen = conversation_id
        place = self.model.row_of(conversation_id)
        if place < 0:
            self.view.clearSelection()
            self.view.setCurrentIndex(QModelIndex())
        else:
            self.view.setCurrentIndex(self.model.index(place))

    def rename_in_place(self, conversation_id: str) -> None:
        """Have a conversation's title edited where it stands; one that the search has hidden is looked for again."""
        if self.model.row_of(conversation_id) < 0:
            self.search.clear()
            self._pause.stop()
            self.where.setCurrentIndex(0)
            self.model.arrived.connect(lambda: self._edit(conversation_id), Qt.ConnectionType.SingleShotConnection)
            self.reload()
        else:
            self._edit(conversation_id)

    def _edit(self, conversation_id: str) -> None:
        self.select(conversation_id)
        if self.view.currentIndex().isValid():
            self.view.edit(self.view.currentIndex())

    def _remove(self) -> None:
        if self.view.currentIndex().isValid():
            self.removed.emit(self.view.currentIndex().data(_ID))

    def _menu(self, where: QPoint) -> None:
        if not self.view.indexAt(where).isValid():
            return
        self.view.setCurrentIndex(self.view.indexAt(where))
        self.menuRequested.emit(self.view.currentIndex().data(_ID), self.view.viewport().mapToGlobal(where))

    def add_shelving(self, menu: QMenu, conversation_id: str) -> None:
        """Add "Folder" and "Tags" to a menu about a conversation."""
        shelves, folder, tags = self._shelves(), self.model.folder_of(conversation_id), self._tags_of(conversation_id)
        into = menu.addMenu("Folder")
        for name in ("", *shelves.folders):
            action = into.addAction((name or "None").replace("&", "&&"), lambda name=name: self.filed.emit(conversation_id, name))
            action.setCheckable(True)
            action.setChecked(name == folder)
        into.addSeparator()
        into.addAction("New folder…", lambda: self._ask_name("New folder", lambda name: self.filed.emit(conversation_id, name)))
        among = menu.addMenu("Tags")
        for name in shelves.tags:
            action = among.addAction(name.replace("&", "&&"))
            action.setCheckable(True)
            action.setChecked(name in tags)
            action.toggled.connect(lambda on, name=name: self.tagged.emit(conversation_id, name, on))
        among.addSeparator()
        among.addAction("New tag…", lambda: self._ask_name("New tag", lambda name: self.tagged.emit(conversation_id, name, True)))

    def _ask_name(self, what: str, then: Callable[[str], None]) -> None:
        """A field in the list's place for it: nothing modal."""
        self._naming = then
        self.name.clear()
        self.name.setPlaceholderText(f"{what}: type its name, then {keymap.shown('save')}")
        self.name.setAccessibleName(what)
        self.name.show()
        self.name.setFocus()

    def _named(self) -> None:
        name = self.name.text().strip()
        self.name.hide()
        if name:
            self._naming(name)


def _when(stamp: str) -> str:
    moment = datetime.fromisoformat(stamp).astimezone()
    today = datetime.now().astimezone().date()
    if moment.date() == today:
        return moment.strftime("%H:%M")
    return moment.strftime("%d %b" if moment.year == today.year else "%d %b %Y")
