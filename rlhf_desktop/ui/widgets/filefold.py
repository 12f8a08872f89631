"""The text of a file that stands in a prompt: one quiet line with the file's name, which opens."""

from PySide6.QtWidgets import QFrame, QWidget

from rlhf_desktop.feedback.attachments import AttachedText, as_markdown, estimated_tokens, split_files
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from rlhf_desktop.ui.widgets.surfaces import column, row


class FileFold(QWidget):
    """Folded until it is opened."""

    def __init__(self, file: AttachedText, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._file = file
        box = column(self, 0, t.SPACE_XS)
        which = f", {file.which}" if file.which else ""
        self.toggle = Button(f"{file.name}{which}", "status", icon="file")
        self.toggle.setCheckable(True)
        self.toggle.setToolTip(f"Show or hide the text of this file: about {estimated_tokens(file.text):,} tokens")
        self.toggle.toggled.connect(self._open)
        line = row(None, 0, 0)
        line.addWidget(self.toggle)
        line.addStretch(1)
        box.addLayout(line)
        self._frame = QFrame()
        self._frame.setProperty("kind", "thought")
        inside = column(self._frame, 0, 0)
        inside.setContentsMargins(t.SPACE_M, 0, 0, 0)
        self.text = MarkdownView("", f"Text of {file.name}")
        inside.addWidget(self.text)
        self._frame.hide()
        box.addWidget(self._frame)

    def _open(self, on: bool) -> None:
        if on:
            self.text.set_text(as_markdown(self._file))
        self._frame.setVisible(on)
        self.layout().setContentsMargins(0, 0, 0, t.SPACE_S if on else 0)


class PromptText(QWidget):
    """A prompt as it is shown: its files folded, then the question."""

    def __init__(self, content: str = "", name: str = "Prompt", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = column(self, 0, t.SPACE_XS)
        self.files: list[FileFold] = []
        self.text = MarkdownView("", name)
        self._box.addWidget(self.text)
        self.set_text(content)

    def set_text(self, content: str) -> None:
        """Show another prompt."""
        question, files = split_files(content)
        for fold in self.files:
            self._box.removeWidget(fold)
            fold.deleteLater()
        self.files = [FileFold(file) for file in files]
        for place, fold in enumerate(self.files):
            self._box.insertWidget(place, fold)
        self.text.set_text(question)
