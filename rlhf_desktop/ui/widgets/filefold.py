"""The text of a file that stands in a prompt: one quiet line with the file's name, which opens."""

from PySide6.QtWidgets import QWidget

from rlhf_desktop.feedback.attachments import AttachedText, as_markdown, estimated_tokens, split_files
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.fold import QuietFold
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from rlhf_desktop.ui.widgets.surfaces import column


class FileFold(QuietFold):
    """Folded until it is opened."""

    def __init__(self, file: AttachedText, parent: QWidget | None = None) -> None:
        which = f", {file.which}" if file.which else ""
        super().__init__(f"{file.name}{which}", "file", f"Text of {file.name}", parent)
        self._file = file
        self.toggle.setToolTip(f"Show or hide the text of this file: about {estimated_tokens(file.text):,} tokens")

    def _open(self, on: bool) -> None:
        if on:
            self.text.set_text(as_markdown(self._file))
        super()._open(on)


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
