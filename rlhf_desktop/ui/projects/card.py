"""One project on the page of projects: what is in it, what can be done with it, and the questions that asks, in place."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QCheckBox, QFrame, QLineEdit, QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.projects.facts import ProjectFacts
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button, Chip
from rlhf_desktop.ui.widgets.surfaces import Card, Notice, column, reveal, row
from rlhf_desktop.ui.widgets.text import ElidedLabel, Label, caption, restyle

_ACTIONS = {
    "open": ("Open", ""),
    "rename": ("Rename", "edit"),
    "duplicate": ("Duplicate settings", "copy"),
    "archive": ("Archive", "folder"),
    "unarchive": ("Unarchive", "undo"),
    "restore": ("Restore", "undo"),
    "delete": ("Delete", "trash"),
    "erase": ("Delete now", "trash"),
}
_NAMING = {"rename": ("New name", "Rename"), "duplicate": ("Name of the new project", "Create")}
_SURE = "I have read this, and want it gone for good"


def actions_for(facts: ProjectFacts, current: bool) -> tuple[str, ...]:
    """What can be done with a project."""
    if facts.project.deleted_at:
        return ("restore", "erase")
    if facts.project.archived_at:
        return ("unarchive", "delete")
    return (*(() if current else ("open",)), "rename", "duplicate", "archive", "delete")


class Asking(QFrame):
    """A question about one project: its new name, or whether it is to go. Esc leaves it."""

    answered = Signal(str)  # the name; "" where there is none to give
    left = Signal()

    def __init__(self, question: str, yes: str, no: str, name: str | None = None, sure: str = "") -> None:
        super().__init__()
        self.setProperty("kind", "notice")
        box = column(self, t.SPACE_M, t.SPACE_S)
        self.question = Label(question, wrap=True)
        self.name, self.sure = QLineEdit(name or ""), QCheckBox(sure)
        self.name.setAccessibleName(question)
        self.sure.setAccessibleName(sure or question)
        self.trouble = Label("", tone="danger", wrap=True)
        self.yes = Button(yes, "normal" if name is not None else "danger", "" if name is not None else "trash")
        self.no = Button(no)
        lower = row()
        lower.addWidget(self.yes)
        lower.addWidget(self.no)
        lower.addStretch(1)
        for part in (self.question, self.name, self.trouble):
            box.addWidget(part)
        box.insertWidget(2, self.sure, 0, Qt.AlignmentFlag.AlignLeft)
        box.addLayout(lower)
        self.name.setVisible(name is not None)
        self.sure.setVisible(bool(sure))
        self.yes.setEnabled(not sure)
        self.trouble.hide()
        self.sure.toggled.connect(self.yes.setEnabled)
        self.name.returnPressed.connect(self._answer)
        self.yes.clicked.connect(self._answer)
        self.no.clicked.connect(self.left)

    def begin(self) -> None:
        """Take the focus, once shown: the name, else the harmless answer."""
        if not self.name.isHidden():
            self.name.setFocus()
            self.name.selectAll()
        else:
            (self.no if self.sure.isHidden() else self.sure).setFocus(Qt.FocusReason.PopupFocusReason)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc leaves the question."""
        if keymap.heard(event, "projects") == "leave":
            self.left.emit()
        else:
            super().keyPressEvent(event)

    def show_trouble(self, trouble: AppError) -> None:
        """Say why it was not done; the name can be typed again."""
        self.trouble.setText(str(trouble))
        self.trouble.show()
        self.setEnabled(True)
        self.begin()

    def _answer(self) -> None:
        if self.yes.isEnabled():
            self.trouble.hide()
            self.answered.emit(self.name.text())


class ProjectCard(Card):
    """Says what the user chose; the desk does it."""

    chosen = Signal(str, str)  # an action, and the name it needs
    runRequested = Signal(str)
    left = Signal()  # a question was left: the focus may go elsewhere

    def __init__(self, facts: ProjectFacts, current: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self.facts = facts
        restyle(self, current=current)
        self.body.setSpacing(t.SPACE_XS)
        upper = row(spacing=t.SPACE_S)
        self.name = ElidedLabel(facts.project.name)
        restyle(self.name, strong=True)
        upper.addWidget(self.name, 1)
        if current:
            upper.addWidget(Chip("Open now"))
        if facts.project.sample:
            upper.addWidget(Chip("Sample"))
        self.body.addLayout(upper)
        self.body.addWidget(caption(facts.words, wrap=True))
        self.body.addSpacing(t.SPACE_XS)
        self.buttons: dict[str, Button] = {}
        lower = row(spacing=t.SPACE_S)
        for action in actions_for(facts, current):
            lower.addWidget(self._button(action))
        lower.addStretch(1)
        self.body.addLayout(lower)
        self.notice = Notice("alert", "", "danger")
        self.notice.hide()
        self.notice.acted.connect(lambda: self.runRequested.emit(facts.live.id if facts.live else ""))
        self.body.addWidget(self.notice)
        self.asking: Asking | None = None

    def _button(self, action: str) -> Button:
        words, icon = _ACTIONS[action]
        button = Button(words, "normal" if action in ("open", "unarchive", "restore") else "quiet", icon)
        button.setAccessibleName(f"{words}: {self.facts.project.name}")
        button.clicked.connect(lambda: self.ask(action))
        self.buttons[action] = button
        return button

    def ask(self, action: str, name: str = "") -> None:
        """Begin an action: at once, or with the question that comes before it."""
        self.leave()
        if action in ("archive", "delete") and self.facts.live is not None:
            self._say_live(action)
        elif action in _NAMING:
            self._open(Asking(*_NAMING[action], "Cancel", name or self.facts.project.name), action)
        elif action == "delete":
            self._open(Asking(self.facts.deleting, "Delete", "Keep"), action)
        elif action == "erase":
            self._open(Asking(self.facts.erasing, "Delete now", "Keep", sure=_SURE), action)
        else:
            self.chosen.emit(action, "")

    def _say_live(self, action: str) -> None:
        assert self.facts.live is not None
        done = {"archive": "archived", "delete": "deleted"}[action]
        title = self.facts.live.title
        said = f"It cannot be {done} while its run “{title}” is not over. Stop the run, which keeps what it has learnt, or wait."
        self.notice.say("alert", said, "danger", "Show the run")
        self.notice.show()

    def _open(self, asking: Asking, action: str) -> None:
        self.asking = asking
        self.body.addWidget(asking)
        asking.answered.connect(lambda name: self._answered(action, name))
        asking.left.connect(self._leave_asking)
        asking.show()
        asking.begin()
        reveal(asking)

    def _answered(self, action: str, name: str) -> None:
        assert self.asking is not None
        self.asking.setEnabled(False)
        self.chosen.emit(action, name)

    def _leave_asking(self) -> None:
        self.leave()
        self.left.emit()

    def leave(self) -> None:
        """Put the question away."""
        self.notice.hide()
        if self.asking is not None:
            self.asking.hide()
            self.asking.deleteLater()
            self.asking = None

    def show_trouble(self, trouble: AppError) -> None:
        """Say why something was not done, where it was asked for."""
        if self.asking is not None:
            self.asking.show_trouble(trouble)
        else:
            self.notice.say("alert", str(trouble), "danger", "Show the run" if self.facts.live else "")
            self.notice.show()
