"""The files attached to the message being written: a line for each, with its size, its pages, and what does not fit."""

from dataclasses import replace

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QLineEdit, QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.feedback.attachments import Attachment, ranges_said, that_fit
from rlhf_desktop.feedback.rows import MAX_TEXT_CHARS
from rlhf_desktop.operations.attachments import choose_parts, fit_trouble, prompt_with
from rlhf_desktop.ui import words
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.growing import keep_grown
from rlhf_desktop.ui.widgets.buttons import IconButton
from rlhf_desktop.ui.widgets.surfaces import Notice, column, row
from rlhf_desktop.ui.widgets.text import ElidedLabel, IconLabel, caption

_PAGES_CHARS = 9
_FITS = "Keep what fits"
_QUESTION_TOKENS = 100  # are left for the question itself


class AttachedFile(QFrame):
    """One file: being read, or with the pages that are to be sent."""

    removed = Signal()
    changed = Signal()

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("kind", "notice")
        self.attachment: Attachment | None = None
        self.trouble: AppError | None = None
        self.name = ElidedLabel(name)
        self.facts = ElidedLabel("Reading…", "caption", "muted")
        self.pages = QLineEdit()
        keep_grown(self.pages, self._size_pages)
        self.of = caption("")
        self.remove = IconButton("x", f"Remove {name}", size=t.ICON_SMALL)
        across = row(self, t.SPACE_XS, t.SPACE_S)
        across.setContentsMargins(t.SPACE_S, t.SPACE_XS, t.SPACE_XS, t.SPACE_XS)
        across.addWidget(IconLabel("file", "muted", t.ICON_SMALL))
        across.addWidget(self.name, 1)
        for part in (self.facts, self.pages, self.of, self.remove):
            across.addWidget(part)
        self.pages.hide()
        self.of.hide()
        self.remove.clicked.connect(self.removed)
        self.pages.textEdited.connect(self._choose)

    def _size_pages(self) -> None:
        self.pages.setMaximumWidth(self.pages.fontMetrics().averageCharWidth() * _PAGES_CHARS + 2 * t.SPACE_M)

    def show_attachment(self, attachment: Attachment) -> None:
        """It has been read."""
        document = attachment.document
        self.attachment = attachment
        self.name.setText(document.name)
        several = len(document.parts) > 1
        self.pages.setVisible(several)
        self.of.setVisible(several)
        if several:
            unit = f"{document.unit.capitalize()}s"
            self.pages.setAccessibleName(f"{unit} of {document.name}")
            self.pages.setToolTip(f"{unit} to send, for example 1-3, 7")
            self.pages.setText(ranges_said(attachment.chosen))
            self.of.setText(f"of {len(document.parts)} {document.unit}s")
        self._say(attachment)

    def keep(self, numbers: tuple[int, ...]) -> None:
        """Send only these pages."""
        if self.attachment is not None:
            self.attachment, self.trouble = replace(self.attachment, chosen=numbers), None
            self.pages.setText(ranges_said(numbers))
            self._say(self.attachment)

    def _choose(self, said: str) -> None:
        if self.attachment is None:
            return
        try:
            self.attachment, self.trouble = choose_parts(self.attachment.document, said), None
        except AppError as trouble:
            self.trouble = trouble
        self._say(self.attachment)
        self.changed.emit()

    def _say(self, attachment: Attachment) -> None:
        document = attachment.document
        size = f"{words.size(document.size_bytes)}, " if document.size_bytes else ""
        self.facts.setText(f"{size}about {attachment.tokens:,} tokens")
        if document.note:
            self.facts.setToolTip(document.note)


class Attachments(QWidget):
    """All of them, and one notice: why a file is not there, how one was read, or that the model cannot take so much."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.files: list[AttachedFile] = []
        self._room_tokens: int | None = None
        self._refused = ""
        self._too_long = False
        self._box = column(self, 0, t.SPACE_XS)
        self.notice = Notice("alert", "", "warning", _FITS)
        self.notice.acted.connect(self._keep_what_fits)
        self._box.addWidget(self.notice)
        self._refresh()

    @property
    def ready(self) -> bool:
        """Whether a question with these files can be sent."""
        return self._read and not self._too_long

    @property
    def _read(self) -> bool:
        """Whether every file has been read, and its pages are some of its pages."""
        return all(file.attachment is not None and file.trouble is None for file in self.files)

    def prompt(self, question: str) -> str:
        """The question with its files; "" where they are too much together, which is said."""
        try:
            return self._prompt(question)
        except AppError as too_long:
            self.notice.say("alert", str(too_long), "warning")
            self.notice.show()
            self.show()
            return ""

    def whole(self, question: str) -> str:
        """The question with what has been read of its files, however long."""
        return prompt_with(question, self._attachments())

    def _attachments(self) -> list[Attachment]:
        """What has been read."""
        return [file.attachment for file in self.files if file.attachment is not None]

    def _prompt(self, question: str) -> str:
        made = self.whole(question)
        if self.files and (trouble := fit_trouble(made, self._room_tokens)):
            raise trouble
        return made

    def set_room(self, tokens: int | None) -> None:
        """How many tokens a question may have; None: nobody knows."""
        self._room_tokens = tokens
        self._refresh()

    def begin(self, name: str) -> AttachedFile:
        """A file that is being read."""
        self._refused = ""
        return self._add(AttachedFile(name))

    def put(self, attachment: Attachment) -> None:
        """A file that has been read before."""
        self._add(AttachedFile(attachment.document.name)).show_attachment(attachment)
        self._refresh()

    def show_read(self, file: AttachedFile, attachment: Attachment) -> None:
        """A file has been read."""
        if file in self.files:
            file.show_attachment(attachment)
            self._refresh()

    def refuse(self, file: AttachedFile, trouble: AppError) -> None:
        """A file cannot be read: say why, and what to do."""
        if file in self.files:
            self._refused = str(trouble)
            self._remove(file)

    def clear(self) -> None:
        """None."""
        self._refused = ""
        for file in list(self.files):
            self._remove(file)

    def _add(self, file: AttachedFile) -> AttachedFile:
        self.files.append(file)
        self._box.insertWidget(len(self.files) - 1, file)
        file.removed.connect(lambda: self._remove(file))
        file.changed.connect(self._refresh)
        self._refresh()
        return file

    def _remove(self, file: AttachedFile) -> None:
        self.files.remove(file)
        self._box.removeWidget(file)
        file.hide()
        file.deleteLater()
        self._refresh()

    def _keep_what_fits(self) -> None:
        """Of each file from the first on, the first pages that fit."""
        left = self._room()
        for file in list(self.files):
            if file.attachment is not None:
                kept = replace(file.attachment, chosen=that_fit(file.attachment, left))
                left -= kept.tokens
                if kept.chosen:
                    file.keep(kept.chosen)
                else:
                    self._remove(file)
        self._refresh()

    def _room(self) -> int:
        """Tokens for the files: what the model takes, and no more than is kept of a question."""
        kept = MAX_TEXT_CHARS // 5
        most = kept if self._room_tokens is None else min(kept, self._room_tokens)
        return most - _QUESTION_TOKENS

    def _refresh(self) -> None:
        said, fits = self._to_say()
        self.notice.say("alert", said, "warning", _FITS if fits else "")
        self.notice.setVisible(bool(said))
        self.setVisible(bool(self.files) or bool(said))
        self.changed.emit()

    def _to_say(self) -> tuple[str, bool]:
        """The sentence, and whether fewer pages would mend it."""
        self._too_long = False
        trouble = next((file.trouble for file in self.files if file.trouble), None)
        if trouble or not self._read:
            return str(trouble or self._refused), False
        try:
            self._prompt("")
        except AppError as too_long:
            self._too_long = True
            return str(too_long), any(that_fit(each, self._room()) for each in self._attachments())
        notes = (each.document.note for each in self._attachments())
        return " ".join(filter(None, (self._refused, *notes))), False
