"""Everything that was said lately, with its undo: what a toast says for five seconds can be read, and taken back, afterwards."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from PySide6.QtCore import QObject, QPoint, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QWidget

from rlhf_desktop.ui import words
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.frame.overlay import Overlay
from rlhf_desktop.ui.theme import icons
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.growing import keep_grown
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import clear, column, hairline, row
from rlhf_desktop.ui.widgets.text import Label, caption, heading

_KEPT = 100
_SHOWN = 40

Undo = Callable[[], None]


@dataclass(eq=False)
class Said:
    """One notice.

    Attributes:
        about: What it belongs to: of all notices about the same thing only the newest counts. "": it stands for itself.
    """

    text: str
    undo: Undo | None = None
    about: str = ""
    at: float = field(default_factory=time.time)

    def take_back(self) -> bool:
        """Undo it, once. False when there is nothing to undo."""
        undo, self.undo = self.undo, None
        if undo is None:
            return False
        undo()
        return True


class NoticeBook(QObject):
    """The notices of this window, the newest last."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.said: list[Said] = []
        self.unread = 0  # that stand for themselves: what answers the user's own key is read at once

    def add(self, text: str, undo: Undo | None = None, about: str = "") -> Said:
        """Write one down. An earlier one about the same thing can no longer be undone from here."""
        for earlier in self.said if about else []:
            earlier.undo = None if earlier.about == about else earlier.undo
        said = Said(text, undo, about)
        self.said = [*self.said, said][-_KEPT:]
        self.unread += not about
        self.changed.emit()
        return said

    def read(self) -> None:
        """They have been looked at."""
        self.unread = 0
        self.changed.emit()


class NoticeList(Overlay):
    """The newest notices over the window's right edge; Esc or a click elsewhere closes it."""

    def __init__(self, host: QWidget, book: NoticeBook) -> None:
        super().__init__(host)
        self.setAccessibleName("Notices")
        self._book = book
        keep_grown(self, lambda: self.setFixedWidth(icons.grown(t.PALETTE_WIDTH) * 3 // 4))
        box = column(self, t.SPACE_M, t.SPACE_S)
        box.addWidget(heading("Notices"))
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._area.setAccessibleName("Notices")
        inner = QWidget()
        inner.setProperty("kind", "plain")
        self._rows = column(inner, 0, t.SPACE_S)
        self._area.setWidget(inner)
        box.addWidget(self._area)
        self.hide()

    def open(self) -> None:
        """Show them, the newest first."""
        self._fill()
        self._book.read()
        self._place()
        self.come(self._area)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The key that closes."""
        if keymap.heard(event, "notices") == "leave":
            self.leave()
        else:
            super().keyPressEvent(event)

    def _fill(self) -> None:
        clear(self._rows)
        newest = self._book.said[::-1][:_SHOWN]
        if not newest:
            self._rows.addWidget(caption("Nothing has been said yet."))
        for place, said in enumerate(newest):
            if place:
                self._rows.addWidget(hairline())
            self._rows.addLayout(self._row(said))
        self._rows.addStretch(1)

    def _row(self, said: Said) -> QHBoxLayout:
        across, beside = row(None, 0, t.SPACE_S), column(None, 0, 0)
        beside.addWidget(Label(said.text, wrap=True))
        beside.addWidget(caption(words.ago(said.at)))
        across.addLayout(beside, 1)
        if said.undo is not None:
            undo = Button("Undo", "quiet")
            undo.setAccessibleName(f"Undo: {said.text}")
            undo.clicked.connect(lambda: self._undo(said))
            across.addWidget(undo, 0, Qt.AlignmentFlag.AlignTop)
        return across

    def _undo(self, said: Said) -> None:
        self.leave()
        said.take_back()

    def _place(self) -> None:
        host = self.host
        inner = self._area.widget()
        inner.adjustSize()
        tall = inner.heightForWidth(self.width() - 2 * t.SPACE_M) if inner.hasHeightForWidth() else inner.sizeHint().height()
        self._area.setFixedHeight(min(tall + t.SPACE_S, host.height() - 2 * t.HEADER_HEIGHT - t.SPACE_XXL))
        self.adjustSize()
        self.move(host.mapFromParent(QPoint(host.width() - self.width() - t.SPACE_M, t.HEADER_HEIGHT)))
