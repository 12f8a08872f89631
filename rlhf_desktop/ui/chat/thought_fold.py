"""What a model thought before it answered: one quiet line, which opens."""

from PySide6.QtWidgets import QFrame, QWidget

from rlhf_desktop.ui import words
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from rlhf_desktop.ui.widgets.surfaces import column, row


class ThoughtFold(QWidget):
    """Folded until it is opened; hidden while there is no thought."""

    def __init__(self, thought: str = "", tokens: int | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        box = column(self, 0, t.SPACE_XS)
        self.toggle = Button("", "status", icon="chevron-right")
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
        self.text = MarkdownView("", "Thought")
        inside.addWidget(self.text)
        self._frame.hide()
        box.addWidget(self._frame)
        self.show_thought(thought, tokens)

    def show_thought(self, thought: str, tokens: int | None) -> None:
        """A thought that has ended."""
        said = f"Thought for {words.count(tokens, 'token')}" if tokens else "Thought"
        self._show(said, thought)

    def grow(self, thought: str) -> None:
        """A thought while it comes."""
        self._show("Thinking…", thought)

    def end(self) -> None:
        """The answer has begun."""
        self.toggle.set_text("Thought")

    def _show(self, said: str, thought: str) -> None:
        if self.toggle.text() != said:
            self.toggle.set_text(said)
            self.toggle.setToolTip("Show or hide what was thought. It is never judged, and nothing learns from it.")
        self._thought = thought
        if self.toggle.isChecked():
            self.text.set_text(thought)
        self.setVisible(bool(thought))

    def _open(self, on: bool) -> None:
        self.toggle.set_icon("chevron-down" if on else "chevron-right")
        if on:
            self.text.set_text(self._thought)
        self._frame.setVisible(on)
        self.layout().setContentsMargins(0, 0, 0, t.SPACE_S if on else 0)
