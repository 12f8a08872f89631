"""What a model thought before it answered: one quiet line, which opens."""

from PySide6.QtWidgets import QWidget

from rlhf_desktop.ui import words
from rlhf_desktop.ui.widgets.fold import QuietFold


class ThoughtFold(QuietFold):
    """Folded until it is opened; hidden while there is no thought."""

    def __init__(self, thought: str = "", tokens: int | None = None, parent: QWidget | None = None) -> None:
        super().__init__("", "chevron-right", "Thought", parent)
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
        super()._open(on)
