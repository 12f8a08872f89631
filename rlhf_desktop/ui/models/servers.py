"""“Models that run elsewhere”: name a server, test it, choose one of its models; Chat and Label can ask it from then on."""

from collections.abc import Callable, Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLineEdit, QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.offline import NetworkRule
from rlhf_desktop.hub.servers import NamedServer, Server
from rlhf_desktop.operations.servers import forget_server, keep_server, named_servers
from rlhf_desktop.ui import words
from rlhf_desktop.ui.background import LongWork
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.models.publishform import line_field
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button, IconButton
from rlhf_desktop.ui.widgets.fields import Form, choice, writable
from rlhf_desktop.ui.widgets.surfaces import Card, Notice, clear, column, hairline, row, widgets_in
from rlhf_desktop.ui.widgets.text import ElidedLabel, IconLabel, caption


class ServerLine(QWidget):
    """One that is kept."""

    used = Signal()
    tested = Signal()
    removed = Signal()

    def __init__(self, server: NamedServer, rule: NetworkRule, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        name = server.reference.name
        across = row(self, 0, t.SPACE_M)
        across.addWidget(IconLabel("link", "muted", t.ICON_SMALL))
        names = column(spacing=2)
        names.addWidget(ElidedLabel(name, strong=True))
        where = "on this computer" if server.local else "elsewhere: your conversation is sent there"
        forbidden = rule.offline and not server.local
        names.addWidget(ElidedLabel(f"{where}{'; not asked while offline is on' if forbidden else ''}", "caption", "muted"))
        across.addLayout(names, 1)
        self.use, self.test = Button("Use in Chat and Label"), Button("Test", "quiet")
        self.use.setAccessibleName(f"Use {name} in Chat and Label")
        self.test.setAccessibleName(f"Test {name}")
        self.remove = IconButton("trash", f"Remove {name}")
        for button, signal in ((self.use, self.used), (self.test, self.tested), (self.remove, self.removed)):
            button.clicked.connect(signal)
            across.addWidget(button)
        self.use.setEnabled(not forbidden)
        self.test.setEnabled(not forbidden)


class ServerCard(Card):
    """Address, key, test; then one of its models."""

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__("Models that run elsewhere", parent=parent)
        self._context = context
        said = (
            "Any server that speaks OpenAI's chat completions: llama.cpp, vLLM, Ollama, LM Studio, or a hosted one. "
            "Its answers are judged like any others, and the record names the server."
        )
        self.body.addWidget(caption(said, wrap=True))
        self._lines = column(spacing=t.SPACE_M)
        self._lines.setContentsMargins(0, t.SPACE_XS, 0, 0)
        self.body.addLayout(self._lines)
        self.address = line_field("Address of the server", "", "for example http://localhost:11434/v1")
        self.key = line_field("Key of the server", "", "only if it wants one; kept in this system's keyring, never in a file")
        self.key.setEchoMode(QLineEdit.EchoMode.Password)
        self.model = choice("Model on the server")
        writable(self.model, "Model on the server", "press Test to see what it offers, or type a name")
        form = Form()
        for label, field in (("Address", self.address), ("Key", self.key), ("Model", self.model)):
            form.add(label, field)
        self.body.addLayout(form)
        self.notice = Notice("info", "")
        self.notice.hide()
        self.body.addWidget(self.notice)
        self.test, self.keep = Button("Test", icon="refresh"), Button("Keep this server", icon="plus")
        self.test.setAccessibleName("Test the server at this address")
        across = row()
        across.addWidget(self.test)
        across.addWidget(self.keep)
        across.addStretch(1)
        self.body.addLayout(across)
        self.asking = LongWork("asking the server", parent=self)
        self._connect()
        self.show_servers()

    def _connect(self) -> None:
        """Every connection of this card."""
        self.test.clicked.connect(self._test)
        self.address.returnPressed.connect(self._test)
        self.key.returnPressed.connect(self._test)
        self.keep.clicked.connect(self._keep)
        self.asking.succeeded.connect(self._answered)
        self.asking.failed.connect(self._failed)
        self._context.session.networkChanged.connect(self.show_servers)

    def show_servers(self) -> None:
        """List what is kept."""
        clear(self._lines)
        servers = named_servers(self._context.store, self._context.keys)
        for server in servers:
            line = ServerLine(server, self._context.session.network)
            line.used.connect(lambda server=server: self.use(server))
            line.tested.connect(lambda server=server: self.ask(server.connect, server.model))
            line.removed.connect(lambda server=server: self.remove(server))
            self._lines.addWidget(line)
        if servers:
            self._lines.addWidget(hairline())

    def lines(self) -> list[ServerLine]:
        """The lines shown."""
        return widgets_in(self._lines, ServerLine)

    # --- asking

    def _typed(self) -> Server | None:
        """The server at the address that was typed; None, and why is said."""
        try:
            return Server.at(self.address.text(), self.model.currentText().strip())
        except AppError as trouble:
            self._failed(trouble)
            self.address.setFocus()
            return None

    def _test(self) -> None:
        found = self._typed()
        if found is None:
            return
        keeper, typed = self._context.keys.of(found.url), self.key.text().strip()
        self.key.clear()

        def connect() -> Server:
            if typed:
                keeper.keep(typed)
            return Server(found.url, found.model, keeper.get())

        self.ask(connect, found.model)

    def ask(self, connect: Callable[[], Server], model: str) -> None:
        """Ask a server what it offers, off this thread."""
        if self.asking.running:
            return
        self._busy(True)
        self._say("clock", "Asking the server…", "muted")

        def work(_tell: Callable[[object], None]) -> tuple[Server, Sequence[str], str]:
            server = connect()
            return server, server.models(), model

        self.asking.start(work)

    def _answered(self, found: tuple[Server, Sequence[str], str]) -> None:
        server, names, model = found
        self._busy(False)
        if names and Server.at(self.address.text() or server.url).url == server.url:
            self.model.clear()
            self.model.addItems(list(names))
            self.model.setCurrentText(model if model in names else names[0])
        if model and model not in names:
            self._say("alert", f"{server.host} answers, but does not list “{model}”.", "warning")
        else:
            self._say("success", f"{server.host} answers, and offers {words.count(len(names), 'model')}.", "success")

    def _failed(self, trouble: AppError) -> None:
        self._busy(False)
        self._say("alert", str(trouble), "danger")

    def _busy(self, on: bool) -> None:
        for button in (self.test, self.keep):
            button.setEnabled(not on)

    # --- keeping

    def _keep(self) -> None:
        found = self._typed()
        if found is None:
            return
        if not found.model:
            self._failed(AppError("Which of its models?", "Press Test to see what it offers, or type a name."))
            self.model.setFocus()
            return
        if typed := self.key.text().strip():
            self._context.tasks.run(self._context.keys.of(found.url).keep, typed, on_failure=self._failed)
            self.key.clear()
        keep_server(self._context.store, self._context.keys, found.url, found.model)
        self._say("success", f"{found.reference.name} is kept. Choose it here, or under the model's name in Chat.", "success")
        self.show_servers()

    def use(self, server: NamedServer) -> None:
        """Have it answer in Chat and Label until another model is chosen."""
        self._context.session.set_server(server)
        where = "" if server.local else " What you write is sent there."
        self._context.session.announce(f"{server.reference.name} answers now.{where}")

    def remove(self, server: NamedServer) -> None:
        """Forget it. What it has answered stays."""
        forget_server(self._context.store, server)
        if self._context.session.server == server:
            self._context.session.set_server(None)
        self.show_servers()
        self._say("success", f"{server.reference.name} was removed. Its answers and your judgements stay.", "success")

    def _say(self, icon: str, text: str, tone: t.Role) -> None:
        self.notice.say(icon, text, tone)
        self.notice.show()
