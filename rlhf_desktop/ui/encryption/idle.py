"""Locks the workspace when nobody has used the window for a time. Runs go on."""

import time
from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QTimer, Signal

from rlhf_desktop.ui.application import application

LOCK_AFTER = "lock after minutes"
"""The setting: minutes without a key or the mouse; 0: never."""

CHOICES = (("Never", 0), ("5 minutes", 5), ("15 minutes", 15), ("An hour", 60))
_LOOK_MS = 5_000
_USE = frozenset(
    {
        QEvent.Type.KeyPress,
        QEvent.Type.MouseButtonPress,
        QEvent.Type.MouseMove,
        QEvent.Type.Wheel,
        QEvent.Type.TouchBegin,
        QEvent.Type.TabletPress,
    }
)


def _clocks() -> tuple[float, float]:
    """One stops while the computer sleeps, the other can be set: the larger time counts."""
    return time.monotonic(), time.time()


class IdleLock(QObject):
    """Watches keys and the mouse in the program's windows, while there is a time to wait for.

    Args:
        minutes: How long nothing may be used; 0: for ever.
        clocks: Seconds by two clocks.
    """

    idle = Signal()

    def __init__(self, minutes: int, clocks: Callable[[], tuple[float, float]] = _clocks, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._clocks, self._used, self._minutes = clocks, clocks(), 0
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_MS)
        self._timer.timeout.connect(self.look)
        self.set_minutes(minutes)

    def set_minutes(self, minutes: int) -> None:
        """Wait so long from now on. Events are looked at only while it matters: there are thousands a second."""
        app = application()
        if bool(minutes) != bool(self._minutes):
            (app.installEventFilter if minutes else app.removeEventFilter)(self)
        self._minutes, self._used = minutes, self._clocks()
        if minutes:
            self._timer.start()
        else:
            self._timer.stop()

    def look(self) -> bool:
        """Say so when nothing has been used for long enough. Whether that is so."""
        passed = max(now - then for now, then in zip(self._clocks(), self._used, strict=True))
        over = bool(self._minutes) and passed >= 60 * self._minutes
        if over:
            self.set_minutes(0)
            self.idle.emit()
        return over

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        """Note that somebody is there: too late, where the computer slept meanwhile."""
        if event.type() not in _USE:
            return False
        if self.look():
            return True
        self._used = self._clocks()
        return False
