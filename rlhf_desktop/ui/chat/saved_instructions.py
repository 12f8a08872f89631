"""Saved instructions in Chat's setup panel: choose, save, rename, delete."""

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLineEdit, QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.operations.instructions import (
    Instructions,
    delete_instructions,
    rename_instructions,
    save_instructions,
    saved_instructions,
)
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui import words
from rlhf_desktop.ui.chat.actions import Action, below, show_menu
from rlhf_desktop.ui.context import Session
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button, IconButton
from rlhf_desktop.ui.widgets.fields import choice
from rlhf_desktop.ui.widgets.surfaces import column, row
from rlhf_desktop.ui.widgets.text import caption


class InstructionShelf(QObject):
    """Keeps what the panel asks it to keep. Knows no widget."""

    changed = Signal(list)  # [Instructions]

    def __init__(self, store: Store, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store, self._session = store, session
        session.projectChanged.connect(self.show)

    def show(self) -> None:
        """Say which there are."""
        self.changed.emit(saved_instructions(self._store, self._session.project))

    def save(self, name: str, text: str) -> None:
        """Save a text under a name."""
        self._try(lambda: save_instructions(self._store, self._session.project, name, text))

    def rename(self, name: str, new: str) -> None:
        """Give them another name."""
        self._try(lambda: rename_instructions(self._store, self._session.project, name, new))

    def delete(self, name: str) -> None:
        """Delete them; the toast brings them back."""
        project = self._session.project

        def delete() -> None:
            gone = delete_instructions(self._store, project, name)
            said = f"The instructions “{gone.name}” are deleted. Conversations that began with them keep them."
            self._session.announce(said, lambda: self._try(lambda: save_instructions(self._store, project, gone.name, gone.text)))

        self._try(delete)

    def _try(self, do: Callable[[], object]) -> None:
        try:
            do()
        except AppError as trouble:
            self._session.troubled.emit(trouble)
        self.show()


class _Name(QLineEdit):
    """Esc gives the naming up."""

    left = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if keymap.heard(event, "writing") == "leave":
            self.left.emit()
        else:
            super().keyPressEvent(event)


class SavedInstructions(QWidget):
    """A list to choose from, and what can be done with what is written below it."""

    chosen = Signal(str)  # the text of those chosen
    saved = Signal(str, str)  # name, text
    renamed = Signal(str, str)
    deleted = Signal(str)
    left = Signal()  # a name has been given, or given up

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._saved: dict[str, str] = {}
        self._text = ""
        self._naming: Callable[[str], None] = lambda _name: None
        self.list = choice("Saved instructions")
        self.list.setPlaceholderText("Choose saved instructions")
        self.save = Button("Save…", "quiet")
        self.more = IconButton("more", "More for the saved instructions", size=t.ICON_SMALL)
        self.state = caption("")
        box = column(self, 0, t.SPACE_XS)
        across = row(None, 0, t.SPACE_S)
        across.addWidget(self.list)
        across.addWidget(self.state)
        across.addStretch(1)
        across.addWidget(self.save)
        across.addWidget(self.more)
        box.addLayout(across)
        box.addWidget(self._make_naming())
        self.list.activated.connect(self._choose)
        self.save.clicked.connect(self._save)
        self.more.clicked.connect(lambda: show_menu(self, self.actions_now(), below(self.more)))
        self.show_saved([])

    def _make_naming(self) -> QWidget:
        """A line for a name, while one is asked for: nothing modal."""
        self._line, self._asked = QWidget(), caption("")
        self.name = _Name()
        self.name.setAccessibleName("Name of the instructions")
        done, leave = Button("Save"), Button("Cancel", "quiet")
        across = row(self._line, 0, t.SPACE_S)
        across.addWidget(self._asked)
        across.addWidget(self.name, 1)
        across.addWidget(leave)
        across.addWidget(done)
        self._line.hide()
        self.name.returnPressed.connect(self._named)
        self.name.left.connect(self._leave_naming)
        done.clicked.connect(self._named)
        leave.clicked.connect(self._leave_naming)
        return self._line

    def show_saved(self, saved: list[Instructions]) -> None:
        """Which there are; what was chosen stays chosen."""
        before = self.list.currentText()
        self._saved = {one.name: one.text for one in saved}
        self.list.clear()
        self.list.addItems(list(self._saved))
        self.list.setCurrentIndex(self.list.findText(before))
        self.list.setVisible(bool(saved))
        self.show_text(self._text)

    def show_text(self, text: str) -> None:
        """What is written now: one of them is chosen if it says just that."""
        self._text = text.strip()
        same = next((name for name, kept in self._saved.items() if kept == self._text), "")
        if same:
            self.list.setCurrentIndex(self.list.findText(same))
        elif not self._text:
            self.list.setCurrentIndex(-1)
        name = self.list.currentText()
        self.state.setText("" if not name else "Saved" if same else "Changed since it was saved")
        self.save.setEnabled(bool(self._text) and not same)
        self.save.set_text("Save changes" if name and not same else "Save…")
        self.more.setVisible(bool(name))

    def actions_now(self) -> list[Action]:
        """What can be done with those chosen."""
        name = self.list.currentText()
        another = [Action("Save under another name…", self._save_as)] if self._text else []
        return [
            *another,
            Action("Rename…", lambda: self._ask("New name", name, lambda new: self.renamed.emit(name, new))),
            Action("Delete", lambda: self.deleted.emit(name), apart=True),
        ]

    def _choose(self, _place: int) -> None:
        self.chosen.emit(self._saved[self.list.currentText()])

    def _save(self) -> None:
        name = self.list.currentText()
        if name:
            self.saved.emit(name, self._text)
        else:
            self._save_as()

    def _save_as(self) -> None:
        self._ask("Save as", words.shortened(self._text, 30).rstrip("…"), self._save_under)

    def _save_under(self, name: str) -> None:
        self.saved.emit(name, self._text)

    def _ask(self, what: str, name: str, then: Callable[[str], None]) -> None:
        self._naming = then
        self._asked.setText(what)
        self.name.setText(name)
        self._line.show()
        self.name.setFocus()
        self.name.selectAll()

    def _named(self) -> None:
        name = self.name.text().strip()
        if name:
            self._leave_naming()
            self._naming(name)

    def _leave_naming(self) -> None:
        self._line.hide()
        self.left.emit()
