"""One turn of the conversation, with what can be done to it."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication, QTextCursor
from PySide6.QtWidgets import QFrame, QWidget

from rlhf_desktop.ui.chat.composer import GrowingEdit
from rlhf_desktop.ui.chat.thought_fold import ThoughtFold
from rlhf_desktop.ui.chat.turns import Turn
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button, IconButton
from rlhf_desktop.ui.widgets.flow import Flow
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from rlhf_desktop.ui.widgets.surfaces import column, row
from rlhf_desktop.ui.widgets.text import Label, caption


class TurnView(QFrame):
    """A message: the user's on a raised surface, the model's on the page."""

    continued = Signal(str)
    regenerated = Signal(str)
    stepped = Signal(str, int)
    compared = Signal(str)
    edited = Signal(str, str)
    judged = Signal(str)
    thumbed = Signal(str, bool)

    def __init__(self, turn: Turn, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._turn = turn
        user = turn.role == "user"
        who = {"user": "You", "system": "Instructions"}.get(turn.role, turn.model or "Answer")
        self.setAccessibleName(f"{who}: {turn.text[:80]}")
        self.setProperty("kind", "turn" if user else "plain")
        self._box = column(self, 0, t.SPACE_XS)
        edge = t.SPACE_M if user else 0
        self._box.setContentsMargins(t.SPACE_L, edge, t.SPACE_L, edge)
        self.name = Label(who, "caption", "muted", strong=True)
        self.text = MarkdownView(turn.text, who)
        self._actions = self._make_actions(turn)
        top = row(None, 0, t.SPACE_S)
        top.addWidget(self.name, 1)
        self._box.addLayout(top)
        self.thought = ThoughtFold(turn.thought, turn.thought_tokens)
        if turn.role == "assistant":
            self._box.addWidget(self.thought)
        self._box.addWidget(self.text)
        if user:
            top.addWidget(self._actions)
        else:
            self._box.addWidget(self._actions)

    def _make_actions(self, turn: Turn) -> QWidget:
        holder = QWidget()
        beside_name = turn.role == "user"  # the others' have the width under the text, and go on in a second line
        across = row(holder, 0, t.SPACE_XS) if beside_name else Flow(t.SPACE_XS, holder)
        if turn.cut:
            across.addWidget(caption(turn.cut))
        if turn.continuable:
            rest = Button("Continue", "link", icon="play")
            rest.setToolTip("Go on from where this answer stopped")
            rest.clicked.connect(lambda: self.continued.emit(turn.id))
            across.addWidget(rest)
        if turn.alternatives > 1:
            self._add_steps(across, turn)
        if turn.role == "assistant":
            self._add(across, "copy", "Copy this answer", self._copy)
            self._add(
                across,
                "refresh",
                "Write another answer",
                lambda: self.regenerated.emit(turn.id),
                keymap.text("another answer") if turn.last else "",
            )
            self._add(across, "thumb-up", "This answer is good", lambda: self.thumbed.emit(turn.id, True))
            self._add(across, "thumb-down", "This answer is not good", lambda: self.thumbed.emit(turn.id, False))
            self._add(across, "label", "Judge or correct this answer", lambda: self.judged.emit(turn.id))
        if turn.role == "user":
            self._add(across, "edit", "Say it differently", self._edit)
        if turn.comparable:
            button = Button(f"Rank these {turn.alternatives} answers", "link", icon="label")
            button.clicked.connect(lambda: self.compared.emit(turn.id))
            across.addWidget(button)
        return holder

    def _add_steps(self, across, turn: Turn) -> None:
        before = IconButton("chevron-left", "Previous alternative", size=t.ICON_SMALL)
        after = IconButton("chevron-right", "Next alternative", size=t.ICON_SMALL)
        before.setEnabled(turn.position > 0)
        after.setEnabled(turn.position + 1 < turn.alternatives)
        before.clicked.connect(lambda: self.stepped.emit(turn.id, -1))
        after.clicked.connect(lambda: self.stepped.emit(turn.id, 1))
        across.addWidget(before)
        across.addWidget(caption(f"{turn.position + 1}/{turn.alternatives}"))
        across.addWidget(after)

    @staticmethod
    def _add(across, icon: str, name: str, action, shortcut: str = "") -> None:
        button = IconButton(icon, name, shortcut, size=t.ICON_SMALL)
        button.clicked.connect(action)
        across.addWidget(button)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._turn.text)

    def _edit(self) -> None:
        """Put a field in the place of the text."""
        self.text.hide()
        self._actions.hide()
        field = GrowingEdit("Say it differently", "")
        field.setPlainText(self._turn.text)
        field.moveCursor(QTextCursor.MoveOperation.End)
        send, cancel = Button("Send", "primary"), Button("Cancel", "quiet")
        across = row(None, 0, t.SPACE_S)
        across.addStretch(1)
        across.addWidget(cancel)
        across.addWidget(send)
        self._box.addWidget(field)
        self._box.addLayout(across)
        field.submitted.connect(lambda: self.edited.emit(self._turn.id, field.toPlainText()))
        send.clicked.connect(field.submitted)
        cancel.clicked.connect(lambda: self.edited.emit(self._turn.id, ""))
        field.setFocus(Qt.FocusReason.OtherFocusReason)
