"""Holds this window to the network rule: at the start, when the switch is turned, and when another project is opened.

Qt opens sockets and pages in C++, where the guard of `core.offline` sees nothing, so Qt is held by its own means: while offline its
sockets are sent to a proxy that is not there, and pages of the internet are handed to `_Pages`, which only shows their address.
"""

from PySide6.QtCore import QObject, QUrl, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtNetwork import QNetworkProxy
from PySide6.QtWidgets import QApplication

from rlhf_desktop.core.offline import choose_offline, is_offline, obey
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.operations.projects import project_network
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.application import application
from rlhf_desktop.ui.context import Session
from rlhf_desktop.ui.widgets.markdown import ask_to_open

PAGES = ("http", "https", "ftp", "mailto")
_NO_PROXY_THERE = QNetworkProxy(QNetworkProxy.ProxyType.HttpProxy, "127.0.0.1", 9)  # only root could listen there


class _Pages(QObject):
    """Is asked to open what would leave this computer. Lives as long as the application, as Qt keeps no note of its end."""

    @Slot(QUrl)
    def refuse(self, url: QUrl) -> None:
        """Show the address while offline; otherwise it was asked too late, and the system opens it."""
        if is_offline():
            ask_to_open(url, "This is a page on the internet.", QApplication.activeWindow())
        else:
            hold_qt(False)
            QDesktopServices.openUrl(url)


def hold_qt(offline: bool) -> None:
    """Keep Qt's own sockets and pages on this computer, or let them go."""
    QNetworkProxy.setApplicationProxy(_NO_PROXY_THERE if offline else QNetworkProxy(QNetworkProxy.ProxyType.DefaultProxy))
    app = application()
    pages = app.findChild(_Pages) or _Pages(app)
    for scheme in PAGES:
        if offline:
            QDesktopServices.setUrlHandler(scheme, pages, "refuse")  # type: ignore[arg-type]  # bytes, as the stub has it, are refused
        else:
            QDesktopServices.unsetUrlHandler(scheme)


class NetworkKeeper(QObject):
    """Decides; rooms show `session.network` and say when the switch is turned.

    Args:
        workspace: Whose policy and switch.
        store: Says of a project whether it stays offline.
        session: Where the rule is told.
        asked: The program was started with --offline.
        parent: Qt's parent.
    """

    def __init__(
        self, workspace: Workspace, store: Store, session: Session, *, asked: bool = False, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._workspace, self._store, self._session, self._asked = workspace, store, session, asked
        session.projectChanged.connect(self.look)
        session.projectRenamed.connect(self.look)  # policies go by names
        session.offlineChosen.connect(self.choose)
        self.look()

    def look(self) -> None:
        """Read the policy and the switch, and obey."""
        rule = obey(project_network(self._store, self._workspace, self._session.project, asked=self._asked))
        hold_qt(rule.offline)
        self._session.set_network(rule)

    def choose(self, offline: bool) -> None:
        """Keep the user's choice; a policy, or --offline, may still say otherwise."""
        choose_offline(self._workspace, offline)
        self.look()
