"""Python's cycle collector, on the GUI thread only.

Left to itself it runs on whichever thread allocates: one of `tasks`' threads would then destroy widgets, and Qt crashes.
"""

import gc

from PySide6.QtCore import QObject, QTimer

_LOOK_MS = 500
_WHOLE_EVERY = 5  # times more seldom than Python's: a whole collection keeps the window waiting for 40 ms in a large project


class GuiThreadCollector(QObject):
    """Collects between events, when Python's own thresholds ask for it. `release` gives collecting back to Python."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        gc.disable()
        self._clock = QTimer(self)
        self._clock.setInterval(_LOOK_MS)
        self._clock.timeout.connect(self.look)
        self._clock.start()

    def spare(self) -> None:
        """What is there now stays for good: look at it no more, or a full collection would keep the window waiting for 50 ms."""
        gc.collect()
        gc.freeze()

    def look(self) -> int:
        """Collect the oldest generation that is due. Returns how many objects were freed."""
        young, middle, old = gc.get_threshold()
        wanted = (young, middle, old * _WHOLE_EVERY)
        due = [count > threshold > 0 for count, threshold in zip(gc.get_count(), wanted, strict=True)]
        return gc.collect(max(n for n, is_due in enumerate(due) if is_due)) if any(due) else 0

    def release(self) -> None:
        """Before the event loop ends for good."""
        self._clock.stop()
        gc.unfreeze()
        gc.enable()
