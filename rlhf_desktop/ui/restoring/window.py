"""The window that restores a backup. It opens instead of the program's, which has no database meanwhile."""

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QCloseEvent, QShowEvent
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QMainWindow, QRadioButton, QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.operations.restoring import (
    Backup,
    Current,
    Restored,
    backups_of,
    current,
    current_words,
    held_words,
    made_words,
    open_without_journal,
    restore,
)
from rlhf_desktop.ui.tasks import TaskRunner
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import Card, Meter, Notice, Page, column, row
from rlhf_desktop.ui.widgets.text import Label, caption, title

_TITLES = {
    "well": "Restore a backup",
    "missing": "The database of this workspace is missing",
    "empty": "The database of this workspace is empty",
    "damaged": "The database of this workspace is damaged",
    "journal": "The database has the journal of another file",
}
_EXPLAINED = {
    "well": "What you choose takes the database's place. The database as it is now is kept among the backups.",
    "missing": "There has been one: its backups or runs are here. So the program does not begin with an empty one by itself.",
    "empty": "There has been one: its backups or runs are here. So the program does not begin with an empty one by itself.",
    "damaged": "What can still be read of it is added to the backup you choose. The damaged file is kept.",
    "journal": "Perhaps a backup was copied over it by hand. The file itself is well: it can be opened without the journal, "
    "which is set aside. Or choose a backup.",
}


def _looked(workspace: Workspace) -> tuple[Current, list[Backup]]:
    return current(workspace), backups_of(workspace)


class RestoreWindow(QMainWindow):
    """Shows how the database is and what each backup holds, and restores the one that is chosen.

    Args:
        workspace: Whose. The caller holds its window lock and has no store open.
    """

    finished = Signal(object)  # a Restored; None: nothing was changed

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._tasks = TaskRunner(self)
        self._busy = self._over = False
        self._backups: list[Backup] = []
        self.setWindowTitle("RLHF Desktop – Restore")
        self.resize(t.FORM_WIDTH + 4 * t.SPACE_XL, t.WINDOW_MIN_HEIGHT)
        self._page = Page(t.FORM_WIDTH)
        self._title, self._state, self._explained = title("Looking at the backups…"), Label("", wrap=True), caption("", wrap=True)
        for part in (self._title, self._state, self._explained):
            self._page.body.addWidget(part)
        card = Card("Backups")
        self._list = column(spacing=t.SPACE_M)
        card.body.addLayout(self._list)
        self._page.body.addWidget(card)
        self._choice = QButtonGroup(self)
        self.meter = Meter("Restoring")
        self.notice = Notice("alert", "", "danger")
        self.notice.hide()
        self._page.body.addWidget(self.meter)
        self._page.body.addWidget(self.notice)
        self._page.body.addLayout(self._buttons())
        self._page.body.addStretch(1)
        self.setCentralWidget(self._page)

    def _buttons(self) -> QHBoxLayout:
        self.leave, self.empty = Button("Close"), Button("Start with an empty database", "quiet")
        self.alone, self.go = Button("Open without the journal"), Button("Restore", "primary", icon="undo")
        across = row()
        across.addWidget(self.leave)
        across.addStretch(1)
        for button in (self.empty, self.alone, self.go):
            across.addWidget(button)
        self.leave.clicked.connect(self.close)
        self.empty.clicked.connect(lambda: self._run(restore, None))
        self.alone.clicked.connect(lambda: self._run(open_without_journal))
        self.go.clicked.connect(lambda: self._run(restore, self._backups[self._choice.checkedId()]))
        return across

    def showEvent(self, event: QShowEvent) -> None:
        """Look at what there is, off this thread."""
        super().showEvent(event)
        if not self._backups:
            self._set_busy(True, "Opening each backup…")
            self._tasks.run(_looked, self._workspace, on_success=self._show_all, on_failure=self._failed)

    def _show_all(self, found: tuple[Current, list[Backup]]) -> None:
        state, self._backups = found
        self._title.setText(_TITLES[state.health])
        self._state.setText(f"{current_words(state)}." if not current_words(state).endswith(".") else current_words(state))
        self._explained.setText(_EXPLAINED[state.health])
        for number, backup in enumerate(self._backups):
            self._list.addWidget(self._row(number, backup))
        if not self._backups:
            self._list.addWidget(Label("There are none.", tone="muted"))
        self.empty.setVisible(state.health in ("missing", "empty", "damaged"))
        self.alone.setVisible(state.health == "journal")
        self._set_busy(False)
        self._choose_first()

    def _row(self, number: int, backup: Backup) -> QWidget:
        button = QRadioButton(f"{made_words(backup)} – {backup.kind}")
        button.setAccessibleDescription(backup.problem or held_words(backup.contents))
        button.setEnabled(not backup.problem)
        self._choice.addButton(button, number)
        box = QWidget()
        down = column(box, spacing=t.SPACE_XS)
        down.addWidget(button)
        said = Label(backup.problem or held_words(backup.contents), tone="danger" if backup.problem else "muted", wrap=True)
        said.setIndent(t.SPACE_L)
        down.addWidget(said)
        return box

    def _choose_first(self) -> None:
        """The newest that has feedback."""
        fit = [n for n, backup in enumerate(self._backups) if not backup.problem and backup.contents and backup.contents.has_data]
        if fit:
            self._choice.button(fit[0]).setChecked(True)
            self._choice.button(fit[0]).setFocus(Qt.FocusReason.OtherFocusReason)
        self.go.setEnabled(bool(fit))
        self._choice.idToggled.connect(lambda *_: self.go.setEnabled(self._choice.checkedId() >= 0))

    def _run(self, work: Callable[..., Restored], *arguments: object) -> None:
        self.notice.hide()
        self._set_busy(True, "Restoring…")
        self._tasks.run(
            work, self._workspace, *arguments, on_success=self._done, on_failure=self._failed, on_progress=self._say_progress
        )

    def _say_progress(self, said: object) -> None:
        self.meter.set_value(0, 0, f"{said}…")

    def _set_busy(self, busy: bool, said: str = "") -> None:
        self._busy = busy
        self.meter.setVisible(busy)
        if busy:
            self.meter.set_value(0, 0, said)
        for button in (self.leave, self.empty, self.alone, self.go):
            button.setEnabled(not busy)

    def _failed(self, trouble: AppError) -> None:
        self._set_busy(False)
        self.notice.say("alert", str(trouble), "danger")
        self.notice.show()

    def _done(self, done: Restored) -> None:
        self._set_busy(False)
        self._end(done)

    def _end(self, done: Restored | None) -> None:
        if not self._over:
            self._over = True
            self._tasks.close()
            self.hide()
            self.finished.emit(done)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Not in the middle of a restore."""
        if self._busy:
            event.ignore()
            return
        super().closeEvent(event)
        self._end(None)
