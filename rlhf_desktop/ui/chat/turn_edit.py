"""A message edited where it stands: a question is asked anew, an answer becomes a correction. What is typed is kept as a draft."""

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QTextCursor
from PySide6.QtWidgets import QWidget

from rlhf_desktop.feedback.attachments import split_files, with_files
from rlhf_desktop.ui.chat.composer import GrowingEdit
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.judging.writing import LongEdit
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import column, row
from rlhf_desktop.ui.widgets.text import caption

_TYPING_MS = 250  # a draft is kept this soon after the last letter
_MEANS = {
    "user": "The conversation goes on from the edited message. What is here now stays: step back to it with the arrows.",
    "assistant": "Saved as a correction, which training learns from. The conversation goes on from it; the answer itself stays.",
}


class TurnEdit(QWidget):
    """The field, what saving means, whether there is something to save."""

    saved = Signal(str)
    drafted = Signal(str)  # what is typed so far; "": nothing to keep
    left = Signal()

    def __init__(self, role: str, text: str, draft: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        is_question = role == "user"
        text, self._files = split_files(text) if is_question else (text, ())  # files stay with an edited question
        self._before = text.strip()
        self.field = GrowingEdit("Edit this message", "") if is_question else LongEdit("Edit this answer")
        self.field.setPlainText(draft or text)
        self.field.moveCursor(QTextCursor.MoveOperation.End)
        self.field.installEventFilter(self)
        self.save = Button("Send" if is_question else "Save correction", "primary")
        cancel = Button("Cancel", "quiet")
        self.state = caption("Draft kept" if draft else "")
        box = column(self, 0, t.SPACE_S)
        box.addWidget(self.field)
        box.addWidget(caption(_MEANS[role], wrap=True))
        across = row(None, 0, t.SPACE_S)
        across.addWidget(self.state)
        across.addStretch(1)
        across.addWidget(cancel)
        across.addWidget(self.save)
        box.addLayout(across)
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(_TYPING_MS)
        self._typing.timeout.connect(self.keep)
        self.field.textChanged.connect(self._changed)
        self.field.submitted.connect(self._save)
        self.save.clicked.connect(self._save)
        cancel.clicked.connect(self._leave)
        self._refresh()

    @property
    def changed(self) -> bool:
        """Whether there is something to save."""
        now = self.field.toPlainText().strip()
        return bool(now) and now != self._before

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Esc gives the edit up."""
        if keymap.pressed(event, "writing") == "leave":
            self._leave()
            return True
        return super().eventFilter(watched, event)

    def begin(self) -> None:
        """Write on."""
        self.field.setFocus(Qt.FocusReason.OtherFocusReason)

    def settle(self) -> None:
        """Keep what was typed a moment ago."""
        if self._typing.isActive():
            self.keep()

    def keep(self) -> None:
        """Have what is typed kept now."""
        self._typing.stop()
        self.drafted.emit(self.field.toPlainText() if self.changed else "")
        self.state.setText("Draft kept" if self.changed else "")

    def _changed(self) -> None:
        self._typing.start()
        self.state.setText("")
        self._refresh()

    def _refresh(self) -> None:
        self.save.setEnabled(self.changed)

    def _save(self) -> None:
        if self.changed:
            self.keep()  # it may not be saved now: then it is not lost either
            self.saved.emit(with_files(self.field.toPlainText(), self._files))

    def _leave(self) -> None:
        self._typing.stop()
        self.drafted.emit("")
        self.left.emit()
