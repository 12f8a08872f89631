"""The window that asks for the passphrase of a locked workspace. The program's own has nothing to show meanwhile."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QRect, Qt, Signal
from PySide6.QtGui import QCloseEvent, QShowEvent
from PySide6.QtWidgets import QCheckBox, QFileDialog, QLayout

from rlhf_desktop.core.encryption import WrongPassphrase
from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.operations import encryption, passphrases
from rlhf_desktop.ui.encryption.around import AroundWindow
from rlhf_desktop.ui.encryption.fields import PassphraseField
from rlhf_desktop.ui.tasks import TaskRunner
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import Meter, Notice, row
from rlhf_desktop.ui.widgets.text import ElidedLabel, IconLabel, caption, title

KEYRING = "Remember it in this computer’s keyring"
_NO_KEYRING = "This computer has no keyring, so the passphrase is not remembered: it is asked for at the next start."
_RUNS_GO_ON = "Runs that are under way go on."


@dataclass(frozen=True)
class Unlocking:
    """How it ended: the workspace is open, a backup of it is to be restored, another folder was chosen, or none of it."""

    outcome: Literal["unlocked", "restore", "other", "closed"]
    folder: Path | None = None
    said: str = ""  # to be told in the window


def _unlock(workspace: Workspace, passphrase: str, remember: bool, on_progress: encryption.Said) -> str:
    """Unlock, and remember if that is wanted. Returns what is to be said."""
    encryption.unlock(workspace, passphrase, on_progress)
    return _NO_KEYRING if remember and not passphrases.remember(workspace, passphrase) else ""


def _unlock_remembered(workspace: Workspace, on_progress: encryption.Said) -> bool:
    """Unlock with what the keyring has. Whether that opened it; what it has may be of before the passphrase was changed."""
    found = passphrases.remembered(workspace)
    if found is None:
        return False
    try:
        encryption.unlock(workspace, found, on_progress)
    except WrongPassphrase:
        return False
    return True


class UnlockWindow(AroundWindow):
    """Asks until the passphrase is right.

    Args:
        workspace: Which. The caller holds its window lock and has no store open.
        by_keyring: Ask the keyring first; not where somebody has just locked it.
        place: Where the window stood that was locked.
    """

    finished = Signal(object)  # Unlocking

    def __init__(self, workspace: Workspace, *, by_keyring: bool = True, place: QRect | None = None) -> None:
        super().__init__("Locked", place)
        self._workspace, self._by_keyring = workspace, by_keyring
        self._tasks = TaskRunner(self)
        self._busy = self._over = False
        self._then: Literal["unlocked", "restore"] = "unlocked"
        self.passphrase = PassphraseField("Passphrase")
        self.remember = QCheckBox(KEYRING)
        self.remember.setAccessibleName(KEYRING)
        self.remember.setToolTip("Whoever can use your account on this computer can then open the workspace without it.")
        self.notice = Notice("alert", "", "danger")
        self.notice.hide()
        self.meter = Meter("Unlocking")
        self.meter.hide()
        self._lay_out()
        self.passphrase.submitted.connect(self._unlock)
        self.passphrase.edited.connect(self._refresh)
        self._refresh()

    def _lay_out(self) -> None:
        body = self.page.body
        body.setSpacing(t.SPACE_M)
        body.addStretch(1)
        body.addWidget(IconLabel("lock", "muted", t.ICON_LARGE), 0, Qt.AlignmentFlag.AlignHCenter)
        said = title("This workspace is locked")
        said.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        where = ElidedLabel(str(self._workspace.root), "caption", "muted")
        where.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        for part in (said, where, self.passphrase, self.remember, self.meter, self.notice):
            body.addWidget(part)
        body.addLayout(self._buttons())
        below = caption(f"Nothing in it can be read without the passphrase, not even by this program. {_RUNS_GO_ON}", wrap=True)
        body.addWidget(below)
        body.addStretch(2)

    def _buttons(self) -> QLayout:
        self.other, self.restore = Button("Choose another workspace…", "quiet"), Button("Restore a backup…", "quiet")
        self.go = Button("Unlock", "primary", icon="lock")
        self.other.clicked.connect(self._choose)
        self.restore.clicked.connect(self._restore)
        self.go.clicked.connect(self._unlock)
        across = row()
        for part in (self.other, self.restore):
            across.addWidget(part)
        across.addStretch(1)
        across.addWidget(self.go)
        return across

    def showEvent(self, event: QShowEvent) -> None:
        """The keys go into the field; the keyring is asked first, where it may be."""
        super().showEvent(event)
        self.passphrase.setFocus(Qt.FocusReason.OtherFocusReason)
        if self._by_keyring:
            self._by_keyring = False
            self._set_busy(True, "Asking this computer’s keyring…")
            self._tasks.run(
                _unlock_remembered, self._workspace,
                on_success=self._asked, on_failure=self._failed, on_progress=self._say,
            )  # fmt: skip

    def _asked(self, opened: bool) -> None:
        self._set_busy(False)
        if opened:
            self._end(Unlocking("unlocked"))

    def _restore(self) -> None:
        self._then = "restore"
        self._unlock()

    def _unlock(self) -> None:
        if self._busy:
            return
        if not self.passphrase.text():
            self._then = "unlocked"
            self._show_trouble("Type the passphrase first: backups are encrypted with it too.")
            return
        self.notice.hide()
        self._set_busy(True, "Unlocking…")
        self._tasks.run(
            _unlock, self._workspace, self.passphrase.text(), self.remember.isChecked(),
            on_success=self._unlocked, on_failure=self._failed, on_progress=self._say,
        )  # fmt: skip

    def _unlocked(self, said: str) -> None:
        self._set_busy(False)
        self._end(Unlocking(self._then, said=said))

    def _failed(self, trouble: AppError) -> None:
        self._set_busy(False)
        self._then = "unlocked"
        self._show_trouble(str(trouble))
        self.passphrase.edit.selectAll()

    def _show_trouble(self, said: str) -> None:
        self.notice.say("alert", said, "danger")
        self.notice.show()
        self.passphrase.setFocus(Qt.FocusReason.OtherFocusReason)

    def _say(self, said: object) -> None:
        self.meter.set_value(0, 0, f"{said}…")

    def _choose(self) -> None:
        dialog = QFileDialog(self, "Choose a workspace", str(self._workspace.root.parent))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda name: self._end(Unlocking("other", Path(name))))
        dialog.open()

    def _set_busy(self, busy: bool, said: str = "") -> None:
        self._busy = busy
        self.meter.setVisible(busy)
        if busy:
            self.meter.set_value(0, 0, said)
        for part in (self.passphrase, self.remember, self.other, self.restore):
            part.setEnabled(not busy)
        self._refresh()
        if not busy:
            self.passphrase.setFocus(Qt.FocusReason.OtherFocusReason)

    def _refresh(self) -> None:
        self.go.setEnabled(bool(self.passphrase.text()) and not self._busy)

    def _end(self, unlocking: Unlocking) -> None:
        if not self._over:
            self._over = True
            self.passphrase.clear()
            self._tasks.close()
            self.hide()
            self.finished.emit(unlocking)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Not while files are being written."""
        if self._busy:
            event.ignore()
            return
        super().closeEvent(event)
        self._end(Unlocking("closed"))
