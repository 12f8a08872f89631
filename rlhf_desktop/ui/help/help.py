"""Opens the help for the screen in front, and gives the focus back when it closes."""

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QPoint, Qt
from PySide6.QtGui import QWhatsThisClickedEvent
from PySide6.QtWidgets import QApplication, QWidget
from shiboken6 import isValid

from rlhf_desktop.store.projects import SettingsStore
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.help import places, words
from rlhf_desktop.ui.help.beside import Beside
from rlhf_desktop.ui.help.pane import HelpPane
from rlhf_desktop.ui.theme import tokens as t

_WIDTH = "help_width"


class Help(QObject):
    """Made once, in the window.

    Args:
        window: Whose F1 it is.
        stack: The rooms, one in front.
        settings: Where the width is remembered.
        room: Says the key of the room in front.
    """

    def __init__(self, window: QWidget, stack: QWidget, settings: SettingsStore, room: Callable[[], str]) -> None:
        super().__init__(window)
        self._stack, self._room = stack, room
        self._focus_before: QWidget | None = None
        self._follows = False  # whether the page is the room's own, and so goes with the room
        self.pane = HelpPane()
        self.beside = Beside(stack, self.pane, "Width of the help", int(settings.get(_WIDTH, t.HELP_WIDTH)))
        self.beside.widthChosen.connect(lambda width: settings.set(_WIDTH, width))
        self.pane.closed.connect(self.close)
        words.WordTips(self.beside)
        self.beside.installEventFilter(self)
        window.installEventFilter(self)  # for what the window itself asks
        keymap.listen(window, "help", self.toggle)

    @property
    def shown(self) -> bool:
        """Whether the help is open."""
        return self.pane.isVisibleTo(self.beside)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        """A word of a label was clicked, or F1 pressed in a dialog: such an event goes from parent to parent until it is heard."""
        if not isinstance(event, QWhatsThisClickedEvent):
            return False
        self.open(event.href() or self.place())
        event.accept()
        return True

    def toggle(self) -> None:
        """Open the page for what is in front; from inside the help, close it."""
        focus = QApplication.focusWidget()
        if self.shown and focus is not None and self.pane.isAncestorOf(focus):
            self.close()
        else:
            self.open(self.place(), words.lead(self._stack))
            self._follows = True

    def place(self) -> str:
        """The page for what is in front."""
        return places.place(self._room(), self._stack, QApplication.focusWidget())

    def show_words(self, at: QWidget) -> None:
        """Offer what the words on the screen mean, above a widget."""
        menu = words.menu(self._stack, at, self.open)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(at.mapToGlobal(at.rect().topLeft() - QPoint(0, menu.sizeHint().height())))

    def open(self, target: str, lead: str = "") -> None:
        """Show a page, and have the keys there."""
        focus = QApplication.focusWidget()
        if focus is not None and not self.pane.isAncestorOf(focus):
            self._focus_before = focus
        self._follows = False
        self.beside.show_side(True)
        self.pane.show_target(target, lead)
        self.pane.view.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def follow(self) -> None:
        """Another room has come to the front: its own page follows it, unless the reader has gone elsewhere in the guide."""
        if self.shown and self._follows and self.pane.target.partition("#")[0] in places.ROOMS.values():
            self.pane.show_target(places.ROOMS[self._room()])
        self.beside.place()

    def close(self) -> None:
        """Fold the help; the focus goes back to what had it."""
        before, self._focus_before = self._focus_before, None
        if before is not None and isValid(before) and before.isVisible() and before.isEnabled():
            before.setFocus(Qt.FocusReason.OtherFocusReason)
        self.beside.show_side(False)
