"""One quiet line that opens: what is there to read, and not in the way."""

from PySide6.QtWidgets import QFrame, QWidget

from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from rlhf_desktop.ui.widgets.surfaces import column, row


class QuietFold(QWidget):
    """A line and, under it, a text that is hidden at first. A subclass says what `toggle` does."""

    def __init__(self, words: str, icon: str, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = box = column(self, 0, t.SPACE_XS)
        self.toggle = Button(words, "status", icon=icon)
        self.toggle.setCheckable(True)
        self.toggle.toggled.connect(self._open)
        line = row(None, 0, 0)
        line.addWidget(self.toggle)
        line.addStretch(1)
        box.addLayout(line)
        self._frame = QFrame()
        self._frame.setProperty("kind", "thought")
        inside = column(self._frame, 0, 0)
        inside.setContentsMargins(t.SPACE_M, 0, 0, 0)
        self.text = MarkdownView("", name)
        inside.addWidget(self.text)
        self._frame.hide()
        box.addWidget(self._frame)

    def _open(self, on: bool) -> None:
        self._frame.setVisible(on)
        self._box.setContentsMargins(0, 0, 0, t.SPACE_S if on else 0)
