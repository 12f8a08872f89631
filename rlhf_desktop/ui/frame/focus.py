"""Keeps the keyboard's focus where the eye is: in the room in front.

Qt gives the focus away when what has it is hidden or disabled: to whatever is next, which may be a button that starts hours of
work; and it lets a room that is behind take it. Here both go to the place that the room in front names. What a room, or the user,
does on purpose stands.
"""

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QApplication, QStackedWidget, QWidget


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
        QApplication.instance().focusChanged.connect(self._changed)

    def _changed(self, old: QWidget | None, now: QWidget | None) -> None:
        if now is None or now.window() is not self.parent():
            return
        if self._is_behind(now):
            self._give(old if old is not None and _can_hold(old) and not self._is_behind(old) else None)
        elif old is not None and old.window() is self.parent() and not _can_hold(old):
            self._give(None)  # at once: the room that chooses afterwards is obeyed

    def _give(self, widget: QWidget | None) -> None:
        wanted = (widget, self.parent().focus_place(), self._stack)
        target = next(each for each in wanted if each is not None and (_can_hold(each) or each is self._stack))
        target.setFocus(Qt.FocusReason.OtherFocusReason)

    def _is_behind(self, widget: QWidget) -> bool:
        """Whether a widget is in a room, and that room is not in front."""
        return (
            self._stack.isAncestorOf(widget)
            and not self._stack.currentWidget().isAncestorOf(widget)
            and (widget is not self._stack.currentWidget())
        )


def _can_hold(widget: QWidget) -> bool:
    return widget.isVisible() and widget.isEnabled()
