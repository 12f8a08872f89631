"""The window's composition root: makes the parts, connects them, and runs Qt. Never imports torch."""

import sys
import time
from datetime import datetime
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QObject, QTimer
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
from rlhf_desktop.operations.encryption import seal_rest
from rlhf_desktop.operations.opening import open_store
from rlhf_desktop.operations.projects import open_project
from rlhf_desktop.operations.restoring import DatabaseGone, Restored, restored_words
from rlhf_desktop.ui.application import application
from rlhf_desktop.ui.chat.worker_client import WorkerClient
from rlhf_desktop.ui.context import Context, Session
from rlhf_desktop.ui.frame.desk import Desk
from rlhf_desktop.ui.frame.placing import Placing
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.garbage import GuiThreadCollector
from rlhf_desktop.ui.network import NetworkKeeper
from rlhf_desktop.ui.restoring.window import RestoreWindow
from rlhf_desktop.ui.tasks import TaskRunner
from rlhf_desktop.ui.theme.style import Theme

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
    where = (workspace or default_workspace()).ensure()
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
        lock.release()


def _work(app: QApplication, where: Workspace, project: str | None, offline: bool) -> int:
    """One window after another, until one is closed for good: restoring wants the database to itself."""
    restored: Restored | None = None
    while True:
        try:
            desktop = Desktop(app, where, project, offline)
        except (DatabaseGone, Damaged) as trouble:
            print(trouble, file=sys.stderr)
            if (restored := _restored(app, where)) is None:
                return 1
            continue
        try:
            desktop.open(restored)
            code = app.exec()
        finally:
            desktop.put_away()
        if not desktop.wants_restoring:
            return code
        restored = _restored(app, where)


def _restored(app: QApplication, where: Workspace) -> Restored | None:
    """Let the user restore a backup. None: nothing was changed."""
    theme = Theme(app)
    window = RestoreWindow(where)
    outcome: list[Restored | None] = []
    window.finished.connect(outcome.append)
    window.finished.connect(app.quit)
    window.show()
    app.exec()
    window.deleteLater()
    theme.deleteLater()
    return outcome[0] if outcome else None


class Desktop(QObject):
    """Everything one window needs, from its opening to its end."""

    def __init__(self, app: QApplication, workspace: Workspace, project: str | None = None, offline: bool = False) -> None:
        super().__init__()
        self._app = app
        self.wants_restoring = False
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
        self.network = NetworkKeeper(workspace, self.context.session, asked=offline, parent=self)
        self.window = Window(self.context)
        self.desk = Desk(self.context, self.window)
        self.placing = Placing(self.window, self._store.settings)
        self.window.closed.connect(self._close)
        self.context.session.restoreRequested.connect(self._close_to_restore)
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._second_start)
        QLocalServer.removeServer(_server_name(workspace))
        self._server.listen(_server_name(workspace))
        self._hook = sys.excepthook
        sys.excepthook = self._bug

    def open(self, restored: Restored | None = None) -> None:
        """Show the window first; whatever takes time comes after.

        Args:
            restored: What was restored just before.
        """
        if self._store.settings.get("welcomed"):
            self.window.show_room(self.placing.room)
        else:
            self.desk.show_welcome()
            self.desk.first_round.show()
            self._store.settings.set("welcomed", True)
        self._garbage.spare()
        self.placing.show()
        QTimer.singleShot(0, self.desk.begin)
        if restored is not None:
            self.context.session.announce(restored_words(restored))

    def put_away(self) -> None:
        """After the event loop: give everything back."""
        sys.excepthook = self._hook
        self._client.kill()
        self._tasks.close()
        self._garbage.release()
        self._server.close()
        self._store.close()
        seal_rest(self.context.workspace)

    def _close(self) -> None:
        """The window is closed: end the chat worker, then the program. Runs belong to the supervisor and go on."""
        self._client.ended.connect(self._app.quit)
        QTimer.singleShot(_GOODBYE_MS, self._app.quit)
        self._client.close()

    def _close_to_restore(self) -> None:
        self.wants_restoring = True
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
