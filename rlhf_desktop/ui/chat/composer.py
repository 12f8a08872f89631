"""Where the user writes: grows with the text; Enter sends, Shift+Enter makes a new line."""

from PySide6.QtCore import QEvent, QMimeData, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent, QTextCursor
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QWidget

from rlhf_desktop.feedback.attachments import Attachment, split_files
from rlhf_desktop.ui.chat.attached import Attachments
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button, IconButton, SegmentedControl
from rlhf_desktop.ui.widgets.files import local_files
from rlhf_desktop.ui.widgets.surfaces import column, row
from rlhf_desktop.ui.widgets.text import PartsLabel, align_as_written, caption, either_way, restyle

ANSWERS = (1, 2, 4, 8)
_MOST_LINES = 8
_WRITE, _ASK = "Write a message…", "Ask something about it…"


class GrowingEdit(QPlainTextEdit):
    """A plain text field as tall as its text, up to a few lines."""

    submitted = Signal()
    focused = Signal(bool)
    filesGiven = Signal(list)  # [Path]: pasted or dropped, where `takes_files`
    takes_files = False

    def __init__(self, name: str, placeholder: str, lines: int = 1, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lines = lines
        self.setProperty("kind", "bare")
        self.setProperty("type", "answer")
        self.setAccessibleName(name)
        self.setPlaceholderText(placeholder)
        self.setTabChangesFocus(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.document().setDocumentMargin(0)
        either_way(self.document())
        align_as_written(self.document())
        self.document().documentLayout().documentSizeChanged.connect(self._fit)
        self._fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter submits; with Shift it is a new line."""
        if keymap.heard(event, "composer") == "send":
            self.submitted.emit()
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        """Leave Ctrl+Z to the window while there is no typing to undo: it takes a judgement back."""
        if keymap.overrides(event, "undo", "window"):
            event.setAccepted(self.document().isUndoAvailable())
            return True
        return super().event(event)

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        """Files too, where they are taken."""
        return (self.takes_files and bool(local_files(source))) or super().canInsertFromMimeData(source)

    def insertFromMimeData(self, source: QMimeData) -> None:
        """What is pasted or dropped: files are attached, not written out as addresses."""
        files = local_files(source) if self.takes_files else []
        if files:
            self.filesGiven.emit(files)
        else:
            super().insertFromMimeData(source)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Tell the frame around."""
        super().focusInEvent(event)
        self.focused.emit(True)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Tell the frame around."""
        super().focusOutEvent(event)
        self.focused.emit(False)

    def changeEvent(self, event: QEvent) -> None:
        """Fit again when the font changes."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._fit()

    def _fit(self, *_ignored: object) -> None:
        lines = max(self._lines, min(_MOST_LINES, round(self.document().size().height())))
        self.setFixedHeight(lines * self.fontMetrics().lineSpacing() + t.SPACE_XS)


class Composer(QFrame):
    """The files, the field, how many answers, which model, and the one primary button: send, or stop while writing."""

    attachRequested = Signal()
    filesGiven = Signal(list)  # [Path]
    sendRequested = Signal(str, int)
    stopRequested = Signal()
    modelMenuRequested = Signal(object)  # the button to open the menu at

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("kind", "composer")
        self._writing = False
        box = column(self, t.SPACE_M, t.SPACE_S)
        self.files = Attachments()
        self.edit = GrowingEdit("Message", _WRITE)
        self.edit.takes_files = True
        box.addWidget(self.files)
        box.addWidget(self.edit)
        self.model = Button("No model yet", "quiet", icon="models")
        self.model.setToolTip("Choose the model that answers")
        self.answers = SegmentedControl("Answers", [(str(n), n) for n in ANSWERS], 1)
        self.answers.setToolTip("How many answers to ask for; with two or more you say which is better")
        self.go = IconButton("send", "Send", kind="primary", size=t.ICON_SMALL)
        across = row(None, 0, t.SPACE_S)
        self.attach = IconButton("paperclip", "Attach a file", keymap.text("attach"), size=t.ICON_SMALL)
        across.addWidget(self.attach)
        self.status = PartsLabel("", "caption", "muted")  # how full the conversation is, how fast the model
        across.addWidget(self.model)
        across.addWidget(self.status, 1)
        across.addWidget(caption("Answers"))
        across.addWidget(self.answers)
        across.addSpacing(t.SPACE_XS)
        across.addWidget(self.go)
        box.addLayout(across)
        self.edit.submitted.connect(self._send)
        self.edit.focused.connect(lambda on: restyle(self, focused=on))
        self.edit.textChanged.connect(self._refresh)
        self.edit.filesGiven.connect(self.filesGiven)
        self.files.changed.connect(self._refresh)
        self.attach.clicked.connect(self.attachRequested)
        self.go.clicked.connect(self._go)
        self.model.clicked.connect(lambda: self.modelMenuRequested.emit(self.model))
        self._refresh()

    def set_writing(self, on: bool) -> None:
        """Show stop instead of send."""
        self._writing = on
        self.go.set_icon("stop" if on else "send")
        self.go.setAccessibleName("Stop writing" if on else "Send")
        self.go.setToolTip(keymap.tip("Stop writing", "leave") if on else keymap.tip("Send", "send"))
        self._refresh()

    def draft(self) -> str:
        """What would be sent now, with its files."""
        return "" if self.empty else self.files.whole(self.edit.toPlainText())

    def set_status(self, words: str, explained: str, warning: bool) -> None:
        """Say how full the conversation is."""
        self.status.setText(words)
        self.status.setToolTip("\n".join(filter(None, (self.status.text(), explained))))  # what is left out, and what it means
        self.status.set_tone("warning" if warning else "muted")

    def set_model(self, words: str) -> None:
        """Say which model answers."""
        self.model.set_text(words)

    def clear(self) -> None:
        """Empty the field, once its text is safely stored."""
        self.edit.clear()
        self.files.clear()

    def put(self, prompt: str) -> None:
        """A message that was not sent comes back, with its files, above what has been written since."""
        question, files = split_files(prompt)
        since = self.edit.toPlainText()
        self.edit.setPlainText(f"{question}\n\n{since}" if since.strip() else question)
        for file in files:
            self.files.put(Attachment.again(file))
        self.edit.moveCursor(QTextCursor.MoveOperation.End)

    def write_on(self, prompt: str) -> None:
        """What was to be sent comes back, and is written on."""
        self.put(prompt)
        self.edit.setFocus()

    @property
    def empty(self) -> bool:
        """Whether nothing is being written."""
        return not self.edit.toPlainText() and not self.files.files

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click beside the field is a click into it."""
        super().mousePressEvent(event)
        self.edit.setFocus()

    def _go(self) -> None:
        self.edit.setFocus()  # the button has become its opposite: one more Space would stop what it sent
        if self._writing:
            self.stopRequested.emit()
        else:
            self._send()

    def _send(self) -> None:
        if self.go.isEnabled() and not self._writing and (prompt := self.files.prompt(self.edit.toPlainText())):
            self.sendRequested.emit(prompt, self.answers.value())

    def _refresh(self) -> None:
        self.edit.setPlaceholderText(_ASK if self.files.files else _WRITE)
        can_send = bool(self.edit.toPlainText().strip()) and self.files.ready
        self.go.setEnabled(self._writing or can_send)
