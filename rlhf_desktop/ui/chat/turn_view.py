"""One turn of the conversation, with what can be done to it."""

from collections.abc import Callable

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QGuiApplication
from PySide6.QtWidgets import QFrame, QLayout, QWidget

from rlhf_desktop.feedback.attachments import question_of, split_files
from rlhf_desktop.ui.chat.actions import Action, below, show_menu
from rlhf_desktop.ui.chat.thought_fold import ThoughtFold
from rlhf_desktop.ui.chat.turn_edit import TurnEdit
from rlhf_desktop.ui.chat.turns import Turn
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button, IconButton
from rlhf_desktop.ui.widgets.filefold import FileFold
from rlhf_desktop.ui.widgets.flow import Flow
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from rlhf_desktop.ui.widgets.surfaces import column, row
from rlhf_desktop.ui.widgets.text import Label, caption


class TurnView(QFrame):
    """A message: the user's on a raised surface, the model's on the page."""

    continued = Signal(str)
    regenerated = Signal(str)
    answered = Signal(str)  # a question without an answer
    stepped = Signal(str, int)
    compared = Signal(str)
    edited = Signal(str, str)  # a question
    corrected = Signal(str, str)  # an answer
    drafted = Signal(str, str)
    editLeft = Signal()
    judged = Signal(str)
    thumbed = Signal(str, bool)
    deleted = Signal(str)
    instructionsAsked = Signal()

    def __init__(self, turn: Turn, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.turn = turn
        self.editor: TurnEdit | None = None
        user = turn.role == "user"
        who = {"user": "You", "system": "Instructions"}.get(turn.role, turn.model or "Your own answer")
        self.setAccessibleName(f"{who}: {question_of(turn.text)[:80]}")
        self.setProperty("kind", "turn" if user else "plain")
        self._box = column(self, 0, t.SPACE_XS)
        edge = t.SPACE_M if user else 0
        self._box.setContentsMargins(t.SPACE_L, edge, t.SPACE_L, edge)
        self.name = Label(who, "caption", "muted", strong=True)
        question, files = split_files(turn.text) if user else (turn.text, ())
        self.files = [FileFold(file) for file in files]
        self.text = MarkdownView(question, who)
        self.text.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.text.customContextMenuRequested.connect(lambda where: self._show_actions(self.text.viewport().mapToGlobal(where)))
        self._buttons = self._make_buttons(turn)
        top = row(None, 0, t.SPACE_S)
        top.addWidget(self.name, 1)
        self._box.addLayout(top)
        self.thought = ThoughtFold(turn.thought, turn.thought_tokens)
        if turn.role == "assistant":
            self._box.addWidget(self.thought)
        for fold in self.files:
            self._box.addWidget(fold)
        self._box.addWidget(self.text)
        if turn.role == "assistant":
            self._box.addWidget(self._buttons)
        else:
            top.addWidget(self._buttons)
        if turn.draft:
            self._open_editor()
            self._make_way()

    def actions_now(self) -> list[Action]:
        """What can be done to this message, for its buttons, its ⋯ and the right button alike."""
        turn = self.turn
        if not turn.id:  # it is being written
            return []
        made = {"user": self._question_actions, "assistant": self._answer_actions, "system": self._instruction_actions}[turn.role]()
        if turn.role == "system":  # all the rest follows it
            return made
        return [*made, Action(f"Delete {_THIS[turn.role]}", lambda: self.deleted.emit(turn.id), apart=True)]

    def _question_actions(self) -> list[Action]:
        turn = self.turn
        made = [Action("Edit this message", self.edit, "edit", in_sight=True), Action("Copy this message", self._copy, "copy")]
        if turn.last:
            made.append(Action("Write an answer", lambda: self.answered.emit(turn.id), "refresh", in_sight=True))
        return made

    def _instruction_actions(self) -> list[Action]:
        return [Action("Edit the instructions", self.instructionsAsked.emit), Action("Copy the instructions", self._copy, "copy")]

    def _answer_actions(self) -> list[Action]:
        turn = self.turn
        another = keymap.text("another answer") if turn.last else ""
        rest = [Action("Continue this answer", lambda: self.continued.emit(turn.id))] if turn.continuable else []
        rank = [Action(f"Rank these {turn.alternatives} answers", lambda: self.compared.emit(turn.id))] if turn.comparable else []
        return [
            *rest,
            Action("Copy this answer", self._copy, "copy", in_sight=True),
            Action("Write another answer", lambda: self.regenerated.emit(turn.id), "refresh", another, in_sight=True),
            Action("This answer is good", lambda: self.thumbed.emit(turn.id, True), "thumb-up", in_sight=True, apart=True),
            Action("This answer is not good", lambda: self.thumbed.emit(turn.id, False), "thumb-down", in_sight=True),
            Action("Edit this answer", self.edit, "edit", in_sight=True),
            Action("Judge this answer", lambda: self.judged.emit(turn.id), "label", in_sight=True),
            *rank,
        ]

    def _make_buttons(self, turn: Turn) -> QWidget:
        holder = QWidget()
        beside_name = turn.role != "assistant"  # the others' have the width under the text, and go on in a second line
        across = row(holder, 0, t.SPACE_XS) if beside_name else Flow(t.SPACE_XS, holder)
        if turn.cut:
            across.addWidget(caption(turn.cut))
        if turn.continuable:
            self._add_link(across, "Continue", "play", lambda: self.continued.emit(turn.id))
        if turn.alternatives > 1:
            self._add_steps(across, turn)
        actions = self.actions_now()
        for action in actions:
            if action.in_sight:
                button = IconButton(action.icon, action.words, action.key, size=t.ICON_SMALL)
                button.clicked.connect(action.do)
                across.addWidget(button)
        if turn.comparable:
            self._add_link(across, f"Rank these {turn.alternatives} answers", "label", lambda: self.compared.emit(turn.id))
        if actions:
            more = IconButton("more", f"More for {_THIS[turn.role]}", size=t.ICON_SMALL)
            more.clicked.connect(lambda: show_menu(self, self.actions_now(), below(more)))
            across.addWidget(more)
        return holder

    @staticmethod
    def _add_link(across: QLayout, words: str, icon: str, do: Callable[[], None]) -> None:
        button = Button(words, "link", icon=icon)
        button.clicked.connect(do)
        across.addWidget(button)

    def _add_steps(self, across: QLayout, turn: Turn) -> None:
        before = IconButton("chevron-left", "Previous alternative", size=t.ICON_SMALL)
        after = IconButton("chevron-right", "Next alternative", size=t.ICON_SMALL)
        before.setEnabled(turn.position > 0)
        after.setEnabled(turn.position + 1 < turn.alternatives)
        before.clicked.connect(lambda: self.stepped.emit(turn.id, -1))
        after.clicked.connect(lambda: self.stepped.emit(turn.id, 1))
        across.addWidget(before)
        across.addWidget(caption(f"{turn.position + 1}/{turn.alternatives}"))
        across.addWidget(after)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """The right button beside the text, and the menu key on one of the buttons."""
        self._show_actions(event.globalPos())
        event.accept()

    def _show_actions(self, at: QPoint) -> None:
        """The same as behind ⋯, and what is selected can be copied."""
        actions = self.actions_now()
        if self.text.textCursor().hasSelection():
            actions.insert(0, Action("Copy what is selected", self.text.copy))
        if actions and self.editor is None:
            show_menu(self, actions, at)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.turn.text)

    # --- edited where it stands

    def edit(self) -> None:
        """Put a field in the place of the text, and the focus in it."""
        editor = self._open_editor()
        editor.show()  # what is hidden cannot have the focus
        editor.begin()
        self._make_way()

    def _open_editor(self) -> TurnEdit:
        if self.editor is not None:
            return self.editor
        turn = self.turn
        editor = self.editor = TurnEdit(turn.role, turn.text, turn.draft)
        self._box.addWidget(editor)
        given = self.edited if turn.role == "user" else self.corrected
        editor.saved.connect(lambda text: given.emit(turn.id, text))
        editor.drafted.connect(lambda text: self.drafted.emit(turn.id, text))
        editor.left.connect(self._close_editor)
        return editor

    def _make_way(self) -> None:
        self.text.hide()
        self._buttons.hide()

    def _close_editor(self) -> None:
        if self.editor is not None:
            self.editor.deleteLater()
            self._box.removeWidget(self.editor)
            self.editor = None
        self.text.show()
        self._buttons.show()
        self.editLeft.emit()


_THIS = {"user": "this message", "assistant": "this answer", "system": "the instructions"}
