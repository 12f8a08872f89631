"""What lies over the room for a moment: it has the focus while it is open, and gives it back."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QHideEvent
from PySide6.QtWidgets import QApplication, QFrame, QWidget
from shiboken6 import isValid

from rlhf_desktop.ui.application import application


class Overlay(QFrame):
    """Closes when a click takes the focus elsewhere, or when its own `leave` is called; Tab stays within."""

    def __init__(self, host: QWidget) -> None:
        super().__init__(host)
        self.setProperty("kind", "palette")
        self.place: QWidget = self  # the part that has the focus first
        self.is_open = False
        self._lender: QWidget | None = None  # what had the focus when this was opened
        application().focusChanged.connect(self._focus_moved)
        self.hide()

    @property
    def host(self) -> QWidget:
        """What it lies over."""
        over = self.parentWidget()
        if over is None:
            raise RuntimeError("An overlay lies over nothing")
        return over

    def come(self, focused: QWidget) -> None:
        """Show above everything, with the focus on a part of it."""
        if not self.is_open:
            self._lender = QApplication.focusWidget()
        self.place, self.is_open = focused, True
        self.show()
        self.raise_()
        focused.setFocus(Qt.FocusReason.PopupFocusReason)

    def leave(self) -> None:
        """Close, and give the focus back to what had it; if that is gone, the window says where it belongs."""
        if not self.is_open:
            return
        self.is_open = False
        lender, self._lender = self._lender, None
        if lender is not None and isValid(lender) and lender.isVisible() and lender.isEnabled():
            lender.setFocus(Qt.FocusReason.PopupFocusReason)
        self.hide()

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Tab goes round within."""
        inside = [part for part in self.findChildren(QWidget) if _takes_tab(part)]
        if not inside:
            return False
        focus = QApplication.focusWidget()
        place = inside.index(focus) if focus in inside else -1 if forward else 0
        inside[(place + (1 if forward else -1)) % len(inside)].setFocus(Qt.FocusReason.TabFocusReason)
        return True

    def _focus_moved(self, _old: QWidget | None, _now: QWidget | None) -> None:
        now = QApplication.focusWidget()  # whoever was told before may have moved it on
        elsewhere = now is not None and now.window() is self.window() and now is not self and not self.isAncestorOf(now)
        if elsewhere and self.is_open:
            self.hide()

    def hideEvent(self, event: QHideEvent) -> None:
        """However it came to be hidden."""
        super().hideEvent(event)
        self.is_open = False


def _takes_tab(part: QWidget) -> bool:
    return part.isVisible() and part.isEnabled() and bool(part.focusPolicy() & Qt.FocusPolicy.TabFocus)
