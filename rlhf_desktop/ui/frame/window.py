"""The window: composes rail, header, rooms, status bar and palette, and does nothing else."""

from functools import partial
from typing import Literal, overload

from PySide6.QtCore import QRect, Qt, Signal
from PySide6.QtGui import QCloseEvent, QResizeEvent
from PySide6.QtWidgets import QApplication, QHBoxLayout, QMainWindow, QVBoxLayout, QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.frame.bars import Header, StatusBar
from rlhf_desktop.ui.frame.focus import FocusKeeper
from rlhf_desktop.ui.frame.keysheet import KeySheet
from rlhf_desktop.ui.frame.notices import NoticeBook, NoticeList, Undo
from rlhf_desktop.ui.frame.palette import CommandPalette
from rlhf_desktop.ui.frame.rail import Rail
from rlhf_desktop.ui.frame.room import ROOMS, ChatPlaces, EvaluatePlaces, LabelPlaces, ModelsPlaces, NamesFocus, Room, TrainPlaces
from rlhf_desktop.ui.frame.spelling import Spelling
from rlhf_desktop.ui.frame.textmenu import TextMenus
from rlhf_desktop.ui.frame.toast import Toast
from rlhf_desktop.ui.frame.trouble import TroubleBar
from rlhf_desktop.ui.frame.welcome import WelcomePage
from rlhf_desktop.ui.help.first_round import FirstRoundBar
from rlhf_desktop.ui.help.help import Help
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.surfaces import Pages, hairline


class Window(QMainWindow):
    """Rooms are made on their first visit."""

    closed = Signal()
    roomChanged = Signal(str)

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self._rooms: dict[str, Room] = {}
        self._current = ""
        self.setWindowTitle("RLHF Desktop")
        self.setMinimumSize(t.WINDOW_MIN_WIDTH, t.WINDOW_MIN_HEIGHT)
        self.resize(t.WINDOW_WIDTH, t.WINDOW_HEIGHT)
        self.header, self.status, self.stack = Header(), StatusBar(), Pages()
        self.trouble = TroubleBar()
        self.help = Help(self, self.stack, context.store.settings, lambda: self._current)
        self.first_round = FirstRoundBar()
        centre = self._lay_out()
        self.rail = Rail(ROOMS, centre)
        self.text_menus = TextMenus(self)
        self.spelling = Spelling(context.store.settings, context.tasks, self)
        self.text_menus.more = self.spelling.offers
        context.session.spellingChosen.connect(self.spelling.choose)
        self.toast = Toast(centre, self._toast_lane)
        self.book = NoticeBook(self)
        self.header.installEventFilter(self.toast)
        self.focus = FocusKeeper(self.stack, self)  # before the overlays, which close when it has let the focus go elsewhere
        self.palette_view, self.keys, self.notices = CommandPalette(centre), KeySheet(centre), NoticeList(centre, self.book)
        self.keys.add_link("In the guide", lambda: self.help.open("feedback#keys"))
        for overlay in (self.palette_view, self.keys, self.notices):
            self.focus.add_overlay(overlay)
        self.welcome: WelcomePage | None = None
        self.rail.chosen.connect(self._enter_room)
        self.rail.left.connect(self._leave_rail)
        self.header.searchRequested.connect(self.palette_view.open)
        self.header.helpRequested.connect(self.help.toggle)
        self.status.wordsRequested.connect(self.help.show_words)
        keymap.listen(self, "keys", self.show_keys)
        for name, by in (("larger text", 1), ("smaller text", -1), ("usual text", 0)):
            keymap.listen(self, name, partial(context.theme.step_text_size, by))
        self._is_closed = False
        context.theme.textSizeChanged.connect(self._keep_text_size)
        keymap.listen(self, "undo", self._undo)
        keymap.listen(self, "redo", context.session.redoRequested.emit)
        keymap.listen(self, "lock", context.session.lockRequested.emit)
        keymap.listen(self, "quit", self.close)
        self.header.noticesRequested.connect(self.notices.open)
        self.book.changed.connect(lambda: self.header.show_unread(self.book.unread))
        context.session.announced.connect(self._announce)
        context.session.troubled.connect(self.show_trouble)
        context.session.roomRequested.connect(self.show_room)

    def _lay_out(self) -> QWidget:
        centre = QWidget()
        centre.setProperty("kind", "page")
        across = QHBoxLayout(centre)
        across.setContentsMargins(t.RAIL_WIDTH, 0, 0, 0)
        across.setSpacing(0)
        down = QVBoxLayout()
        down.setSpacing(0)
        for part in (self.header, hairline(), self.trouble, self.first_round, self.help.beside, hairline(), self.status):
            down.addWidget(part, 1 if part is self.help.beside else 0)
        across.addLayout(down)
        self.setCentralWidget(centre)
        return centre

    def _toast_lane(self) -> QRect:
        """Where a toast covers no button: in the header."""
        lane = self.header.lane()
        return QRect(self.header.mapTo(self.centralWidget(), lane.topLeft()), lane.size())

    def _keep_text_size(self, percent: int) -> None:
        if not self._is_closed:  # the theme is the application's and may outlive the store
            self._context.store.settings.set("text_size", percent)

    @property
    def current_room(self) -> str:
        """The key of the room shown; "" for a page that is no room: the welcome, the projects."""
        return self._current

    @overload
    def room(self, key: Literal["chat"]) -> ChatPlaces: ...

    @overload
    def room(self, key: Literal["label"]) -> LabelPlaces: ...

    @overload
    def room(self, key: Literal["train"]) -> TrainPlaces: ...

    @overload
    def room(self, key: Literal["evaluate"]) -> EvaluatePlaces: ...

    @overload
    def room(self, key: Literal["models"]) -> ModelsPlaces: ...

    @overload
    def room(self, key: str) -> Room: ...

    def room(self, key: str) -> Room:
        """A room, made if this is its first use."""
        if key not in self._rooms:
            spec = next(spec for spec in ROOMS if spec.key == key)
            self._rooms[key] = spec.make(self._context)
            self.stack.addWidget(self._rooms[key].widget())
        return self._rooms[key]

    def show_room(self, key: str) -> None:
        """Bring a room to the front."""
        room = self.room(key)
        self.focus.close_overlays()
        if self._current and self._current != key:
            self._rooms[self._current].deactivated()
        self._current = key
        self.rail.set_current(key)
        self.stack.setCurrentWidget(room.widget())
        room.activated()
        if self.focusWidget() in (None, self.stack):
            room.focus_place().setFocus()
        self.help.follow()
        self.roomChanged.emit(key)

    def focus_place(self) -> QWidget | None:
        """Where the focus belongs when nothing has taken it: what the room or page in front names."""
        front = self._rooms[self._current] if self._current else self.stack.currentWidget()
        return front.focus_place() if isinstance(front, NamesFocus) else None

    def _enter_room(self, key: str) -> None:
        """A room chosen on the rail, with its keys too: the focus goes with it, or the open rail would cover the room."""
        self.show_room(key)
        focus = QApplication.focusWidget()
        if focus is None or self.rail.isAncestorOf(focus):
            self.room(key).focus_place().setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _undo(self) -> None:
        if not self.toast.undo():
            self._context.session.undoRequested.emit()

    def _announce(self, text: str, undo: Undo | None, about: str) -> None:
        self.toast.announce(self.book.add(text, undo, about))

    def _leave_rail(self) -> None:
        """Back to the room in front."""
        (self.focus_place() or self.stack).setFocus(Qt.FocusReason.ShortcutFocusReason)

    def show_welcome(self) -> WelcomePage:
        """Show the first-run page instead of a room."""
        if self.welcome is None:
            self.welcome = WelcomePage()
        self.show_page(self.welcome)
        self.welcome.setFocus()  # or the first control of the header would have it; Tab goes on within the page
        return self.welcome

    def show_page(self, page: QWidget) -> None:
        """Show a page that is no room instead of one."""
        self.focus.close_overlays()
        if self.stack.indexOf(page) < 0:
            self.stack.addWidget(page)
        if self._current:
            self._rooms[self._current].deactivated()
        self._current = ""
        self.stack.setCurrentWidget(page)

    def show_trouble(self, trouble: AppError) -> None:
        """Say what happened, what is safe and what to try."""
        self.book.add(str(trouble))
        self.trouble.show_trouble(trouble)

    def show_keys(self) -> None:
        """All keys, those of the room in front first; once more closes them."""
        if self.keys.is_open:
            self.keys.leave()
        else:
            self.keys.open(self._current)

    def bring_to_front(self) -> None:
        """For a second start on the same workspace."""
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.show()
        self.raise_()
        self.activateWindow()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The rail is as tall as the window."""
        super().resizeEvent(event)
        self.rail.setFixedHeight(self.centralWidget().height())

    def closeEvent(self, event: QCloseEvent) -> None:
        """Closes the window only: runs go on."""
        super().closeEvent(event)
        self._is_closed = True
        if self._current:
            self._rooms[self._current].deactivated()
        self.closed.emit()
