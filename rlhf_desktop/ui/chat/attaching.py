"""Attaching files: chosen, pasted or dropped; read beside the window's thread; measured against what the model takes."""

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QStandardPaths, Qt
from PySide6.QtWidgets import QFileDialog, QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.feedback.attachments import Attachment, Document, clean_name
from rlhf_desktop.operations.attachments import context_tokens, read_document, room_beside_answer
from rlhf_desktop.ui.chat.attached import AttachedFile, Attachments
from rlhf_desktop.ui.context import Context

MOST_FILES = 10
_FOLDER = "attach from"  # a setting: where the last file lay
_DOCUMENTS = QStandardPaths.StandardLocation.DocumentsLocation
_FILTER = "Documents and texts (*.pdf *.docx *.txt *.md *.csv *.tsv *.json *.log *.xml *.py);;All files (*)"


class Attaching(QObject):
    """Reads what is attached, and keeps what the model takes up to date."""

    def __init__(self, context: Context, strip: Attachments, sampling: Callable[[], tuple[str, Sampling]], owner: QWidget) -> None:
        """`sampling`: the instructions of the conversation, and how its answers are drawn."""
        super().__init__(owner)
        self._context, self._strip, self._sampling, self._owner = context, strip, sampling, owner
        context.session.modelChanged.connect(self.measure)

    def choose(self) -> None:
        """Ask which files."""
        dialog = QFileDialog(self._owner, "Attach files", self._begin_in(), _FILTER)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.filesSelected.connect(lambda names: self.add([Path(name) for name in names]))
        dialog.open()

    def _begin_in(self) -> str:
        """The folder of the last file, while it is there; else the user's documents."""
        last = str(self._context.store.settings.get(_FOLDER, ""))
        return last if last and Path(last).is_dir() else QStandardPaths.writableLocation(_DOCUMENTS)

    def add(self, paths: Sequence[Path]) -> None:
        """Read files, all at once."""
        if len(self._strip.files) + len(paths) > MOST_FILES:
            self._context.session.announce(f"At most {MOST_FILES} files go with a message.")
            return
        if paths:
            self._context.store.settings.set(_FOLDER, str(paths[-1].parent))
        for path in paths:
            self._read(path)
        self.measure()

    def _read(self, path: Path) -> None:
        file = self._strip.begin(clean_name(path.name))
        self._context.tasks.run(
            read_document, path,
            on_success=lambda document: self._show(file, document),
            on_failure=lambda trouble: self._strip.refuse(file, trouble),
        )  # fmt: skip

    def _show(self, file: AttachedFile, document: Document) -> None:
        self._strip.show_read(file, Attachment.whole(document))

    def measure(self) -> None:
        """Ask the model's folder how much it reads. Of a server nobody knows."""
        if not self._strip.files:
            return
        base: ModelRef | None = self._context.session.base if self._context.session.server is None else None
        self._context.tasks.run(context_tokens, base, on_success=self._show_room, on_failure=self._unknown)

    def _show_room(self, reads: int | None) -> None:
        instructions, sampling = self._sampling()
        self._strip.set_room(room_beside_answer(reads, sampling.max_new_tokens, instructions))

    def _unknown(self, _trouble: AppError) -> None:
        self._strip.set_room(None)
