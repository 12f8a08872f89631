"""Keeps the keyboard's focus where the eye is: in the room in front, in what lies over it, and on no button by accident.

Qt gives the focus away when what has it is hidden or disabled: to whatever is next, which may be a button that starts hours of
work; it lets a room that is behind take it, or what is hidden; and code put it on a button that the next Space then pressed. Here
all of these go to the place that the room in front names. What the user does with Tab, arrows or the mouse stands, and so does a
field, a list or a board that a room chooses.
"""

from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtWidgets import QApplication, QStackedWidget, QWidget
from shiboken6 import isValid

from rlhf_desktop.ui.application import application
from rlhf_desktop.ui.frame.overlay import Overlay
from rlhf_desktop.ui.frame.room import NamesFocus
from rlhf_desktop.ui.widgets.buttons import Button, IconButton


class FocusKeeper(QObject):
    """Watches where the focus goes in one window.

    It holds no reference to the window but Qt's own, or neither would be let go when the window is closed.

    Args:
        stack: The rooms, one in front.
        window: Its `focus_place()` says where the focus belongs when nothing else has taken it; None: there is no room.
    """

    def __init__(self, stack: QStackedWidget, window: QWidget) -> None:
        super().__init__(window)
        self._stack = stack
        self._overlays: list[Overlay] = []
        self._last: QWidget | None = None
        application().focusChanged.connect(self._changed)

    def add_overlay(self, overlay: Overlay) -> None:
        """Something that lies over the rooms at times: it keeps the focus until it is closed or a click goes elsewhere."""
        self._overlays.append(overlay)

    def close_overlays(self) -> None:
        """Another room comes to the front."""
        for overlay in self._overlays:
            overlay.leave()

    def _changed(self, old: QWidget | None, now: QWidget | None) -> None:
        if now is None or now.window() is not self.parent():
            return
        over = next((each for each in self._overlays if each.is_open), None)
        if old is None or old.window() is not self.parent():  # back from another window, where code may have chosen meanwhile
            old = self._last if self._last is not None and isValid(self._last) else None
        self._last = now
        if over is not None and self._is_taken(now):
            self._give(over.place)
        elif self._is_behind(now):
            self._give(old if old is not None and _can_hold(old) and not self._is_behind(old) else None)
        elif old is not None and old.window() is self.parent() and not _can_hold(old):
            self._give(None)  # at once: the room that chooses afterwards is obeyed
        elif now is not old and _is_put_on_a_button(now):
            self._give(None)
        elif not _can_hold(now):
            QTimer.singleShot(0, self, self._look_again)  # it may have been made just now, and be about to be shown

    def _look_again(self) -> None:
        now = QApplication.focusWidget()
        if now is not None and now.window() is self.parent() and not _can_hold(now):
            self._give(None)

    def _give(self, widget: QWidget | None) -> None:
        window = self.parent()
        wanted = (widget, window.focus_place() if isinstance(window, NamesFocus) else None, self._stack)
        target = next(each for each in wanted if each is not None and (_can_hold(each) or each is self._stack))
        target.setFocus(Qt.FocusReason.PopupFocusReason)

    def _is_behind(self, widget: QWidget) -> bool:
        """Whether a widget is in a room, and that room is not in front."""
        front = self._stack.currentWidget()  # None while the first one comes and the last one goes
        return front is not None and self._stack.isAncestorOf(widget) and widget is not front and not front.isAncestorOf(widget)

    def _is_taken(self, widget: QWidget) -> bool:
        """Whether a room has taken the focus by itself: nobody has clicked there."""
        return self._stack.isAncestorOf(widget) and QApplication.mouseButtons() == Qt.MouseButton.NoButton


def _can_hold(widget: QWidget) -> bool:
    return widget.isVisible() and widget.isEnabled()


def _is_put_on_a_button(widget: QWidget) -> bool:
    """Whether code has put the focus on a button, where nobody has asked for it; perhaps while another window was in front."""
    by_itself = (Qt.FocusReason.OtherFocusReason, Qt.FocusReason.ActiveWindowFocusReason)
    return isinstance(widget, Button | IconButton) and widget.focus_reason in by_itself
