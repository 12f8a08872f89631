"""The window's composition root: makes the parts, connects them, and runs Qt. Never imports torch."""

from __future__ import annotations

import gc
import sys
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeVar

from PySide6.QtCore import QCoreApplication, QEvent, QObject, QRect, QTimer
from PySide6.QtNetwork import QLocalServer, QLocalSocket
from PySide6.QtWidgets import QApplication

from rlhf_desktop.core.crash import bug_report
from rlhf_desktop.core.errors import AppError, Damaged
from rlhf_desktop.core.files import sha256_text, write_atomic
from rlhf_desktop.core.paths import Workspace, default_workspace
from rlhf_desktop.hub.library import Library
from rlhf_desktop.jobs.commands import package_parent, worker_command, worker_environment
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.jobs.window_lock import Holder, WindowLock
from rlhf_desktop.operations import encryption
from rlhf_desktop.operations.opening import open_store
from rlhf_desktop.operations.projects import open_project
from rlhf_desktop.operations.restoring import DatabaseGone, Restored, restored_words
from rlhf_desktop.ui.application import application
from rlhf_desktop.ui.chat.worker_client import WorkerClient
from rlhf_desktop.ui.context import Context, Session
from rlhf_desktop.ui.encryption.idle import LOCK_AFTER, IdleLock
from rlhf_desktop.ui.encryption.request import EncryptionRequest
from rlhf_desktop.ui.encryption.unlocking import Unlocking, UnlockWindow
from rlhf_desktop.ui.encryption.working import WorkWindow
from rlhf_desktop.ui.frame.desk import Desk
from rlhf_desktop.ui.frame.placing import Placing
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.garbage import GuiThreadCollector
from rlhf_desktop.ui.network import NetworkKeeper
from rlhf_desktop.ui.restoring.window import RestoreWindow
from rlhf_desktop.ui.tasks import TaskRunner
from rlhf_desktop.ui.theme.style import Theme

_T = TypeVar("_T")
_RAISE_TIMEOUT_MS = 1000
_GOODBYE_MS = 2000  # how long the worker may take to end by itself


def main(
    argv: list[str] | None = None, workspace: Workspace | None = None, project: str | None = None, *, offline: bool = False
) -> int:
    """Open the window and stay until it is closed. Returns the exit code.

    Args:
        argv: The program's arguments, for Qt.
        workspace: Which folder to work in; the user's own by default.
        project: The project to open; the last one by default.
        offline: Keep this window off the network, whatever Settings say.
    """
    app = application() if QApplication.instance() else QApplication(argv if argv is not None else sys.argv)
    app.setApplicationName("RLHF Desktop")
    app.setQuitOnLastWindowClosed(False)
    code: int | Workspace = (workspace or default_workspace()).ensure()
    while isinstance(code, Workspace):  # another one may be chosen where this one is locked
        code = _work_in(app, code, project, offline)
    return code


def _work_in(app: QApplication, where: Workspace, project: str | None, offline: bool) -> int | Workspace:
    lock = WindowLock(where)
    holder = lock.acquire()
    if holder is not None:
        print(_taken(holder, raise_first(where)), file=sys.stderr)
        return 1
    try:
        return _work(app, where, project, offline)
    except AppError as trouble:
        print(trouble, file=sys.stderr)
        return 1
    finally:
        encryption.lock(where)
        lock.release()


def _work(app: QApplication, where: Workspace, project: str | None, offline: bool) -> int | Workspace:
    """One window after another, until one is closed for good: restoring and encrypting want the database to themselves."""
    left = Left()
    while True:
        if encryption.is_locked(where):
            unlocking = _unlocked(app, where, left)
            if unlocking.outcome in ("closed", "other"):
                return 0 if unlocking.folder is None else Workspace(unlocking.folder).ensure()
            left = replace(left, said=unlocking.said, wants="restore" if unlocking.outcome == "restore" else "")
        if left.wants == "restore":
            left = replace(left, wants="", said=_said(_restored(app, where)))
        try:
            left = _opened(app, where, project, offline, left)
        except (DatabaseGone, Damaged) as trouble:
            print(trouble, file=sys.stderr)
            restored = _restored(app, where)
            if restored is None:
                return 1
            left = replace(left, said=_said(restored))
            continue
        if left.wants == "close":
            return left.code
        if left.wants == "lock":
            encryption.lock(where)
        if left.request is not None:
            left = replace(left, request=None, said=_carried_out(app, where, left.request, left.place))


def _opened(app: QApplication, where: Workspace, project: str | None, offline: bool, left: Left) -> Left:
    """The program's window, until it is closed. Nothing of it stays: its widgets have shown what may be locked now."""
    desktop = Desktop(app, where, project, offline)
    try:
        desktop.open(left)
        code = app.exec()
    finally:
        desktop.put_away()
    left = replace(desktop.left, code=code)
    del desktop
    gc.collect()
    return left


def _said(restored: Restored | None) -> str:
    return restored_words(restored) if restored is not None else ""


def _restored(app: QApplication, where: Workspace) -> Restored | None:
    """Let the user restore a backup. None: nothing was changed."""
    return _shown(app, RestoreWindow(where), None)


def _unlocked(app: QApplication, where: Workspace, left: Left) -> Unlocking:
    """Ask for the passphrase. Somebody who has just locked the workspace does not want the keyring to open it again."""
    window = UnlockWindow(where, by_keyring=left.wants != "lock", place=left.place)
    return _shown(app, window, Unlocking("closed"))


def _carried_out(app: QApplication, where: Workspace, request: EncryptionRequest, place: QRect | None) -> str:
    """Encrypt the workspace or remove that. Returns what is to be said."""
    return _shown(app, WorkWindow(where, request, place), "")


def _shown(app: QApplication, window: RestoreWindow | UnlockWindow | WorkWindow, otherwise: _T) -> _T:
    """Show a window until it has finished, and return how: its `finished` says so."""
    theme = Theme(app)
    outcome: list[_T] = []
    window.finished.connect(outcome.append)
    window.finished.connect(app.quit)
    window.show()
    app.exec()
    window.deleteLater()
    theme.deleteLater()
    return outcome[0] if outcome else otherwise


@dataclass(frozen=True)
class Left:
    """How a window was left, and what comes next.

    Attributes:
        wants: "close" it for good, "lock" the workspace or "restore" a backup; "": open it again.
        code: What Qt returned.
        place: Where it stood, for the window that takes its place; None: there has been none.
        request: Encrypt the workspace, or remove that.
        said: To be said when it opens again.
    """

    wants: Literal["", "close", "lock", "restore"] = ""
    code: int = 0
    place: QRect | None = None
    request: EncryptionRequest | None = None
    said: str = ""


class Desktop(QObject):
    """Everything one window needs, from its opening to its end."""

    def __init__(self, app: QApplication, workspace: Workspace, project: str | None = None, offline: bool = False) -> None:
        super().__init__()
        self._app = app
        self.left = Left("close")
        self._store = open_store(workspace)
        self._theme = Theme(app, self._store.settings.get("appearance", "system"), self._store.settings.get("text_size"))
        self._client = WorkerClient(worker_command("chat"), worker_environment(), package_parent(), self)
        self._tasks = TaskRunner(self)
        self._garbage = GuiThreadCollector(self)
        self.context = Context(
            workspace=workspace,
            store=self._store,
            queue=Queue(workspace),
            library=Library(workspace),
            session=Session(open_project(self._store, project), self),
            chat=self._client,
            tasks=self._tasks,
            theme=self._theme,
        )
        self.network = NetworkKeeper(workspace, self._store, self.context.session, asked=offline, parent=self)
        self.window = Window(self.context)
        self.desk = Desk(self.context, self.window)
        self.placing = Placing(self.window, self._store.settings)
        self.window.closed.connect(self._close)
        self._goodbye = QTimer(self)
        self._goodbye.setSingleShot(True)
        self._goodbye.setInterval(_GOODBYE_MS)
        self._goodbye.timeout.connect(app.quit)
        session = self.context.session
        session.restoreRequested.connect(self._restore)
        session.encryptionRequested.connect(self._encrypt)
        session.lockRequested.connect(self._lock)
        self._is_encrypted = encryption.status(workspace).encrypted
        self.idle = IdleLock(self._store.settings.get(LOCK_AFTER, 0) if self._is_encrypted else 0, parent=self)
        self.idle.idle.connect(self._lock)
        session.lockAfterChosen.connect(self._lock_after)
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._second_start)
        QLocalServer.removeServer(_server_name(workspace))
        self._server.listen(_server_name(workspace))
        self._hook = sys.excepthook
        sys.excepthook = self._bug

    def open(self, left: Left | None = None) -> None:
        """Show the window first; whatever takes time comes after.

        Args:
            left: How the window before it was left.
        """
        if left is not None and left.place is not None:
            self.desk.projects.go_on()
        elif self._store.settings.get("welcomed"):
            self.window.show_room(self.placing.room)
        else:
            self.desk.show_welcome()
            self.desk.first_round.show()
            self._store.settings.set("welcomed", True)
        self._garbage.spare()
        self.placing.show()
        QTimer.singleShot(0, self.desk.begin)
        if left is not None and left.said:
            self.context.session.announce(left.said)

    def put_away(self) -> None:
        """After the event loop: give everything back."""
        sys.excepthook = self._hook
        self.idle.set_minutes(0)
        self._goodbye.stop()  # it would end the window that opens next, and so would what comes of the kill
        self._goodbye.timeout.disconnect(self._app.quit)
        self._client.kill()
        self._tasks.close()
        self._garbage.release()
        self._server.close()
        self.window.deleteLater()  # with all that its widgets show
        QCoreApplication.sendPostedEvents(self.window, QEvent.Type.DeferredDelete)
        self._store.close()
        encryption.seal_rest(self.context.workspace)

    def _close(self) -> None:
        """The window is closed: end the chat worker, then the program. Runs belong to the supervisor and go on."""
        self._client.ended.connect(self._goodbye.timeout)
        self._goodbye.start()
        self._client.close()

    def _restore(self) -> None:
        self._close_to(Left("restore"))

    def _encrypt(self, request: EncryptionRequest) -> None:
        self._close_to(Left(request=request))

    def _lock_after(self, minutes: int) -> None:
        self.idle.set_minutes(minutes if self._is_encrypted else 0)

    def _lock(self) -> None:
        if self._is_encrypted:
            self._close_to(Left("lock"))
        else:
            self.context.session.announce("This workspace is not encrypted. Settings has what encrypts it, under Encryption.")

    def _close_to(self, left: Left) -> None:
        """Close the window to open again where it is now: what is typed is kept as drafts."""
        self.left = replace(left, place=self.window.geometry())
        self.desk.projects.remember()
        self.window.close()

    def _second_start(self) -> None:
        self._server.nextPendingConnection().disconnectFromServer()
        self.window.bring_to_front()

    def _bug(self, kind: type[BaseException], bug: BaseException, _trace: TracebackType | None) -> None:
        """A bug: keep a report, say so, go on. What the user did is already in the database."""
        report = bug_report(bug)
        print(report, file=sys.stderr)
        if not issubclass(kind, Exception):
            self._app.quit()
            return
        path = self._keep(report)
        self.window.show_trouble(
            AppError(f"Something went wrong in the program: {bug}", "Your work is saved.", f"{report}\n{path}")
        )

    def _keep(self, report: str) -> Path:
        stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        path = self.context.workspace.root / "reports" / f"{stamp}.txt"
        write_atomic(path, report)
        return path


def raise_first(workspace: Workspace) -> bool:
    """Ask the window that has this workspace to come to the front. Whether it heard."""
    socket = QLocalSocket()
    socket.connectToServer(_server_name(workspace))
    return socket.waitForConnected(_RAISE_TIMEOUT_MS)


def _server_name(workspace: Workspace) -> str:
    return f"rlhf-desktop-{sha256_text(str(workspace.root.resolve()))[:16]}"


def _taken(holder: Holder, heard: bool) -> str:
    since = time.strftime("%H:%M", time.localtime(holder.since))
    where = "It has been brought to the front." if heard else "Close it first, or choose another folder with --workspace."
    return f"This workspace is already open in another window (process {holder.pid}, since {since}). {where}"
