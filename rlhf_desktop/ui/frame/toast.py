"""The line over the header that says what has just happened."""

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QRect, QTimer
from PySide6.QtWidgets import QFrame, QWidget

from rlhf_desktop.ui.frame.notices import Said
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import row
from rlhf_desktop.ui.widgets.text import ElidedLabel

_LEAST_MS = 2000  # a notice that was interrupted is shown at least so long again


class Toast(QFrame):
    """One notice over `host` for five seconds, with Undo when there is something to undo. It stays in its lane, on no button.

    What comes now is said now: it may answer the user's own key. What it interrupts is shown again afterwards, unless both are
    about the same.

    Args:
        host: What it lies over.
        lane: Says where in the host it may lie now; what is too long for it is cut, and whole in the tooltip.
    """

    def __init__(self, host: QWidget, lane: Callable[[], QRect]) -> None:
        super().__init__(host)
        self._lane = lane
        self.setProperty("kind", "toast")
        self._shown: Said | None = None
        self._later: list[tuple[Said, int]] = []  # what was interrupted, and the milliseconds it had left; the newest last
        self._across = across = row(self, 0, t.SPACE_M)
        across.setContentsMargins(t.SPACE_L, t.SPACE_XS, t.SPACE_S, t.SPACE_XS)
        self.words = ElidedLabel("")
        self.button = Button("Undo", "quiet")
        self.button.clicked.connect(self._undo_shown)
        across.addWidget(self.words)
        across.addWidget(self.button)
        self._clock = QTimer(self)
        self._clock.setSingleShot(True)
        self._clock.timeout.connect(self.dismiss)
        self._moving = QTimer(self)  # however often the host is laid out in one go, this lies down once
        self._moving.setSingleShot(True)
        self._moving.setInterval(0)
        self._moving.timeout.connect(self._place)
        host.installEventFilter(self)
        self.hide()

    def announce(self, said: Said) -> None:
        """Show it."""
        if self._shown is not None:
            self._later.append((self._shown, max(_LEAST_MS, self._clock.remainingTime())))
        self._later = [(each, left) for each, left in self._later if not _replaces(said, each)]
        self._show(said, t.TOAST_MS)

    def undo(self) -> bool:
        """Take back the newest of what is, or will again be, on the screen. False when there is nothing to take back."""
        on_screen = [*(each for each, _ in self._later), *([self._shown] if self._shown else [])]
        newest = next((each for each in reversed(on_screen) if each.undo is not None), None)
        return newest is not None and self._take_back(newest)

    def dismiss(self) -> None:
        """Hide; show again what it has interrupted."""
        self._clock.stop()
        self._shown = None
        self.hide()
        if self._later:
            self._show(*self._later.pop())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stay in the lane, which moves with the host and with whatever else is laid out beside it."""
        if event.type() in (QEvent.Type.Resize, QEvent.Type.LayoutRequest) and self.isVisible():
            self._moving.start()  # once the layout knows
        return super().eventFilter(watched, event)

    def _undo_shown(self) -> None:
        if self._shown is not None:
            self._take_back(self._shown)

    def _take_back(self, said: Said) -> bool:
        self._later = [(each, left) for each, left in self._later if each is not said]
        if said is self._shown:
            self.dismiss()
        return said.take_back()

    def _show(self, said: Said, for_ms: int) -> None:
        self._shown = said
        self.words.setText(said.text)
        self.button.setVisible(said.undo is not None)
        margins = self._across.contentsMargins()
        margins.setRight(t.SPACE_S if said.undo else t.SPACE_L)
        self._across.setContentsMargins(margins)
        self.setAccessibleName(said.text)
        self._across.activate()
        self._place()
        self.show()
        self.raise_()
        self._clock.start(for_ms)

    def _place(self) -> None:
        lane, wanted = self._lane(), self.sizeHint()
        self.resize(min(wanted.width(), lane.width()), min(wanted.height(), lane.height()))
        self.move(lane.center() - self.rect().center())


def _replaces(new: Said, old: Said) -> bool:
    """Whether nobody need read the old one any more."""
    return new.text == old.text or (new.about != "" and new.about == old.about)
