"""Which model answers: a menu of the base, what was trained on it, and the servers the user named."""

from PySide6.QtCore import QObject, QPoint
from PySide6.QtWidgets import QMenu, QWidget

from rlhf_desktop.core.runs import AdapterRef
from rlhf_desktop.jobs.adapters import AdapterInfo, list_adapters
from rlhf_desktop.operations.servers import named_servers
from rlhf_desktop.ui.chat.actions import popped
from rlhf_desktop.ui.context import Context


class ModelMenu(QObject):
    """Looks up what there is off this thread, then shows it."""

    def __init__(self, context: Context, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._context = context

    def open(self, at: QWidget) -> None:
        """Show it above a button."""
        context = self._context
        context.tasks.run(
            lambda: list_adapters(context.workspace, "policy"),
            on_success=lambda found: self._show(at, found),
            on_failure=context.session.troubled.emit,
        )

    def _show(self, at: QWidget, adapters: list[AdapterInfo]) -> None:
        session = self._context.session
        menu = popped(at)
        base = session.base
        if base:
            self._choice(menu, f"{base.name} (as it came)", session.adapter is None and session.server is None, None)
            fitting = [info for info in adapters if info.ref.base_hash == base.hash]
            if fitting:
                menu.addSeparator()
            for info in fitting:
                adapter = session.adapter if session.server is None else None
                chosen = adapter is not None and adapter.hash == info.ref.hash
                self._choice(menu, info.title, chosen, info.ref)
            menu.addSeparator()
        self._add_servers(menu)
        menu.addAction("More models…", lambda: session.roomRequested.emit("models"))
        menu.popup(at.mapToGlobal(QPoint(0, -menu.sizeHint().height())))

    def _add_servers(self, menu: QMenu) -> None:
        """The servers the user named; offline, only those on this computer can be chosen."""
        session = self._context.session
        servers = named_servers(self._context.store, self._context.keys)
        for server in servers:
            forbidden = session.network.offline and not server.local
            said = f"{server.reference.name} ({'offline is on' if forbidden else 'a server'})"
            action = menu.addAction(said.replace("&", "&&"), lambda server=server: session.set_server(server))
            action.setCheckable(True)
            action.setChecked(session.server == server)
            action.setEnabled(not forbidden)
        if servers:
            menu.addSeparator()

    def _choice(self, menu: QMenu, text: str, chosen: bool, adapter: AdapterRef | None) -> None:
        session = self._context.session
        action = menu.addAction(text.replace("&", "&&"), lambda: session.set_model(session.base, adapter))
        action.setCheckable(True)
        action.setChecked(chosen)
