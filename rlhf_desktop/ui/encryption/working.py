"""The window that encrypts a workspace, or removes its encryption: every file is written anew, and nothing else may hold one."""

from PySide6.QtCore import QRect, Qt, Signal
from PySide6.QtGui import QCloseEvent, QShowEvent

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.operations import encryption, passphrases
from rlhf_desktop.ui.encryption.around import AroundWindow
from rlhf_desktop.ui.encryption.request import EncryptionRequest
from rlhf_desktop.ui.tasks import TaskRunner
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import Meter, Notice, row
from rlhf_desktop.ui.widgets.text import IconLabel, caption, title

_DONE = {
    "create": "This workspace is encrypted now. The passphrase is asked for when the program starts.",
    "remove": "This workspace is not encrypted any more: everything in it can be read without a passphrase.",
}
_NO_KEYRING = " This computer has no keyring, so the passphrase is not remembered."
_TITLES = {"create": "Encrypting this workspace", "remove": "Removing the encryption"}
_SAFE = (
    "Everything in the workspace is written anew, and the program opens again afterwards. Should the computer be switched off "
    "meanwhile, nothing is lost: it is finished at the next start. Runs that are under way go on."
)


def carry_out(workspace: Workspace, request: EncryptionRequest, on_progress: encryption.Said) -> str:
    """Do what was asked. Returns what is to be said."""
    if request.kind == "remove":
        passphrases.forget(workspace)
        encryption.remove(workspace, request.passphrase, on_progress)
        return _DONE["remove"]
    encryption.create(workspace, request.passphrase, on_progress)
    missed = request.remember and not passphrases.remember(workspace, request.passphrase)
    return _DONE["create"] + (_NO_KEYRING if missed else "")


class WorkWindow(AroundWindow):
    """Shows how far it is; a trouble stays until it is read.

    Args:
        workspace: Which. The caller holds its window lock and has no store open.
        request: What to do.
        place: Where the program's window stood.
    """

    finished = Signal(str)  # what is to be said in the window; "": nothing was done, and the reason has been read

    def __init__(self, workspace: Workspace, request: EncryptionRequest, place: QRect | None = None) -> None:
        super().__init__(_TITLES[request.kind], place)
        self._workspace, self._request = workspace, request
        self._tasks = TaskRunner(self)
        self._busy = self._over = False
        self.meter, self.notice = Meter(_TITLES[request.kind]), Notice("alert", "", "danger")
        self.notice.hide()
        self.back = Button("Back to the program", "primary")
        self.back.hide()
        self.back.clicked.connect(self.close)
        self._lay_out()

    def _lay_out(self) -> None:
        body = self.page.body
        body.setSpacing(t.SPACE_M)
        body.addStretch(1)
        body.addWidget(IconLabel("lock", "muted", t.ICON_LARGE), 0, Qt.AlignmentFlag.AlignHCenter)
        said = title(_TITLES[self._request.kind])
        said.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        for part in (said, self.meter, self.notice, caption(_SAFE, wrap=True)):
            body.addWidget(part)
        across = row()
        across.addStretch(1)
        across.addWidget(self.back)
        body.addLayout(across)
        body.addStretch(2)

    def showEvent(self, event: QShowEvent) -> None:
        """Begin once it is on the screen."""
        super().showEvent(event)
        if not self._busy and not self._over:
            self._busy = True
            self._say("Reading the workspace")
            self._tasks.run(
                carry_out, self._workspace, self._request, on_success=self._end, on_failure=self._failed, on_progress=self._say
            )

    def _say(self, said: object) -> None:
        self.meter.set_value(0, 0, f"{said}…")

    def _failed(self, trouble: AppError) -> None:
        self._busy = False
        self.meter.hide()
        self.notice.say("alert", str(trouble), "danger")
        self.notice.show()
        self.back.show()
        self.back.setFocus(Qt.FocusReason.TabFocusReason)

    def _end(self, said: str) -> None:
        if not self._over:
            self._busy, self._over = False, True
            self._tasks.close()
            self.hide()
            self.finished.emit(said)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Not in the middle of it."""
        if self._busy:
            event.ignore()
            return
        super().closeEvent(event)
        self._end("")
