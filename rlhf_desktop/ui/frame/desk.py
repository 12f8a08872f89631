"""Keeps the frame true: which model is loaded, what runs, what was judged, what to do next. Decides; the window shows."""

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QObject, QTimer

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.protocol import Loaded
from rlhf_desktop.core.runs import AdapterRef, ModelRef, RunState
from rlhf_desktop.feedback.conversations import Conversation, Project
from rlhf_desktop.hub.library import Library, OnProgress
from rlhf_desktop.hub.servers import NamedServer
from rlhf_desktop.jobs.commands import worker_environment
from rlhf_desktop.jobs.device import probe_device
from rlhf_desktop.jobs.queue import RunSummary
from rlhf_desktop.operations.conversations import find_conversations
from rlhf_desktop.operations.outlook import Outlook, outlook
from rlhf_desktop.operations.projects import choose_adapter, choose_base
from rlhf_desktop.operations.servers import named_servers
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.shelf import ConversationQuery
from rlhf_desktop.ui import words
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.frame import finding, keymap
from rlhf_desktop.ui.frame.notify import Notifier, Tray
from rlhf_desktop.ui.frame.palette import Command, Deliver
from rlhf_desktop.ui.frame.room import ROOMS, Room
from rlhf_desktop.ui.frame.standing import LIVE, Seen, chat_tenant, ended_words, look
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.help.first_round import FirstRound
from rlhf_desktop.ui.judging.undoing import Undoing
from rlhf_desktop.ui.label.ahead import WriteAhead
from rlhf_desktop.ui.loading import LoadingKeeper
from rlhf_desktop.ui.one_at_a_time import OneAtATime
from rlhf_desktop.ui.people import who_am_i
from rlhf_desktop.ui.projects.desk import ProjectDesk

_LOOK_MS = 2000
_LIVE_RUNS = "runs under way"  # the setting that remembers them, for who closes the window meanwhile
_SHOWN = 6  # conversations the palette finds
_SETUP = "system prompt, temperature, variety, top-p, longest answer, max tokens, thinking"
_ADDING = "download a model, install a model, new model, hub, hugging face, gguf, ollama, larger model"


def chosen_model(
    store: Store, library: Library, workspace: Workspace, project: Project, on_progress: OnProgress
) -> tuple[ModelRef, AdapterRef | None]:
    """The project's model and adapter; a forgotten adapter is left out. Blocks: the starter may be installed."""
    base = choose_base(store, library, project, on_progress=on_progress)
    try:
        return base, choose_adapter(workspace, store.settings.get("adapter", project_id=project.id), base)
    except AppError:
        return base, None


class Desk(QObject):
    """Made once, beside the window."""

    def __init__(self, context: Context, window: Window) -> None:
        super().__init__(window)
        self._context, self._window = context, window
        self._outlook: Outlook | None = None
        self.first_round = FirstRound(window.first_round, context.store.settings, self._go_to_step)
        window.help.pane.offer("first-round", "Show these steps in the window", self.first_round.show)
        self._counts = OneAtATime(self._count)
        self._named = ""  # the project whose name the header shows
        self._asleep_for = ""  # the run that has the chat's memory
        self._training = False
        self._tray = Tray(window, context.store.settings)
        self._notifier = Notifier(window, self._tray)
        self._loading = LoadingKeeper(context.session.set_loading, self)
        self._model_trouble: AppError | None = None  # why there is no model to ask
        self._without = "No model yet"  # what is said where there is none
        # what ended unseen is told at once
        self._runs: dict[str, RunState] = dict.fromkeys(context.store.settings.get(_LIVE_RUNS, []), "running")
        self._looking = False
        self.projects = ProjectDesk(context, window, self)
        self._undoing = Undoing(context.store, context.session, lambda: who_am_i(context.store), self)
        self._ahead = WriteAhead(context, lambda: who_am_i(context.store), self)
        self._chat_bytes = 0
        self._is_to_move = False  # chat, to another device, once nobody waits for an answer
        self._noticed = ""  # what was said of how the database is kept
        self._clock = QTimer(self)
        self._clock.setInterval(_LOOK_MS)
        self._connect()

    def _connect(self) -> None:
        """Every connection of the frame."""
        session, chat, window = self._context.session, self._context.chat, self._window
        session.projectChanged.connect(self.choose_model)
        session.projectChanged.connect(self.show_project)
        session.projectRenamed.connect(self.show_project)
        session.feedbackChanged.connect(self.show_project)
        session.runsChanged.connect(self.look)
        session.runsChanged.connect(self.show_project)
        session.modelChanged.connect(self._model_changed)
        session.sampleProjectRequested.connect(self.show_sample_project)
        session.runRequested.connect(self.show_run)
        session.evaluationRequested.connect(self._show_evaluation)
        session.publishingRequested.connect(self._show_publishing)
        session.promptsRequested.connect(self._show_prompts)
        session.conversationRequested.connect(self._show_conversation)
        session.welcomeRequested.connect(self.show_welcome)
        chat.stateChanged.connect(self._follow_loading)
        chat.loadFailed.connect(self._not_loaded)
        chat.loadProgressed.connect(self._follow_weights)
        session.loadingChanged.connect(self._show_model)
        chat.stateChanged.connect(self._show_model)
        chat.modelLoaded.connect(self._show_loaded)
        chat.troubleHappened.connect(self._trouble)
        chat.restarted.connect(session.troubled)
        window.header.projectMenuRequested.connect(self.projects.show_menu)
        window.header.nextRequested.connect(self._go_to_next_step)
        window.status.modelRequested.connect(lambda: window.show_room("models"))
        window.status.runRequested.connect(lambda: window.show_room("train"))
        window.status.networkRequested.connect(lambda: window.show_room("settings"))
        session.networkChanged.connect(self._show_network)
        session.trayChosen.connect(self._tray.refresh)
        session.deviceChosen.connect(self._move_chat)
        chat.stateChanged.connect(self._move_when_quiet)
        self._show_network()
        window.palette_view.set_source(self.find, self.find_conversations)
        self._ahead.readyChanged.connect(lambda ready: window.rail.set_note("label", ready, "ready"))
        window.closed.connect(self._ahead.stop)
        window.closed.connect(self._clock.stop)
        self._clock.timeout.connect(self.look)
        self._clock.timeout.connect(self.projects.look)

    def begin(self) -> None:
        """After the window is shown: fetch what takes time."""
        self._tray.refresh()
        self._context.tasks.run(self._context.queue.ensure_supervisor, on_failure=self._context.session.troubled.emit)
        self._context.chat.start()
        self.choose_model()
        self.show_project()
        self.look()
        self._clock.start()
        self.projects.erase_expired()

    # --- the model

    def choose_model(self) -> None:
        """Load the project's model; the starter is installed at need."""
        context, project = self._context, self._context.session.project
        context.session.preparing = True
        self._loading.begin("Looking for the project’s model")

        def work(on_progress: OnProgress) -> tuple[ModelRef, AdapterRef | None]:
            return chosen_model(context.store, context.library, context.workspace, project, on_progress)

        context.tasks.run(work, on_success=self._model_chosen, on_failure=self._no_model, on_progress=self._loading.step)

    def _model_chosen(self, found: tuple[ModelRef, AdapterRef | None]) -> None:
        server = self._chosen_server()
        self._context.session.preparing = False
        self._loading.end()
        self._context.session.set_model(*found)
        if server is not None:
            self._context.session.set_server(server)

    def _chosen_server(self) -> NamedServer | None:
        """The server that answers in this project, if it is still kept and may be asked."""
        store, session = self._context.store, self._context.session
        name = store.settings.get("server", project_id=session.project.id)
        may = [s for s in named_servers(store, self._context.keys) if s.local or not session.network.offline]
        return next((server for server in may if server.reference.name == name), None)

    def _no_model(self, trouble: AppError) -> None:
        session = self._context.session
        session.preparing, self._without = False, "No model"
        self._loading.end()
        session.set_server(self._chosen_server())
        self._model_trouble = trouble
        session.troubled.emit(trouble)
        session.modelMissing.emit(trouble)
        if self._window.welcome:
            self._window.welcome.show_trouble(str(trouble))

    def _follow_loading(self, _state: str = "") -> None:
        """Whether the model is being loaded: from when its process starts until it answers."""
        session, chat = self._context.session, self._context.chat
        if session.preparing:
            return
        waits = session.server is None and session.base is not None and chat.loaded is None
        if not waits or chat.state not in ("starting", "loading"):
            self._loading.end()
        elif not self._loading.active and session.base is not None:
            self._loading.begin(f"Loading {session.base.name}")

    def _follow_weights(self, share: float) -> None:
        if self._loading.active and self._context.session.base is not None:
            self._loading.weights(f"Loading {self._context.session.base.name}", share)

    def _model_changed(self) -> None:
        session, settings = self._context.session, self._context.store.settings
        if session.base:
            settings.set("model", session.base.name, session.project.id)
            settings.set("adapter", session.adapter.path if session.adapter else None, session.project.id)
            self._context.chat.load(session.base.held(session.adapter))
        settings.set("server", session.server.reference.name if session.server else None, session.project.id)
        self._follow_loading()
        self._show_model()
        self.show_project()  # what comes next may depend on the base model

    def _not_loaded(self, trouble: AppError) -> None:
        self._model_trouble = trouble

    def _show_loaded(self, loaded: Loaded) -> None:
        self._window.trouble.take_back(self._model_trouble)
        self._show_model()
        if loaded.note:
            self._context.session.announce(loaded.note)

    def _show_model(self, _change: object = None) -> None:
        self._window.status.show_model(self._model_words())
        if self._window.welcome:
            session = self._context.session
            self._window.welcome.show_loading(session.loading, self._model_words(), ready=self._context.chat.loaded is not None)

    def _model_words(self) -> str:
        session, chat = self._context.session, self._context.chat
        if session.loading is not None:
            return session.loading.words
        if session.server is not None:
            return f"{session.server.reference.name} (a server)"
        if session.base is None:
            return self._without
        name = session.base.name + (f" + {session.adapter.name}" if session.adapter else "")
        if chat.state == "failed":
            return f"{name} · stopped"
        if self._asleep_for:
            return f"{name} · out of memory’s way while a run trains"
        if chat.loaded is None and chat.state != "loading":
            return f"{name} · not loaded"
        if chat.loaded is None:
            return f"{name} · loading…"
        memory = f" · {words.size(self._chat_bytes)}" if self._chat_bytes else ""
        doing = " · writing" if chat.state == "busy" else " · slower while a run trains" if self._training else ""
        engine = " by llama.cpp" if chat.loaded.engine == "llama.cpp" else ""
        return f"{name} · {chat.loaded.dtype} on {chat.loaded.device}{engine}{memory}{doing}"

    def _move_chat(self) -> None:
        self._is_to_move = True
        self._move_when_quiet(self._context.chat.state)

    def _move_when_quiet(self, state: str) -> None:
        if self._is_to_move and state != "busy" and self._context.chat.quiet:  # or a question behind a load would be lost
            self._is_to_move = False
            self._context.chat.move(worker_environment())

    def _trouble(self, request: str, trouble: AppError) -> None:
        if not request or self._context.chat.loaded is None:
            self._context.session.troubled.emit(trouble)

    # --- project and header

    def show_project(self) -> None:
        """Refresh the header: at once the name, and the counts when they are there."""
        self._show_name()
        self._counts.ask(self._context.session.project)

    def _count(self, project: Project) -> None:
        context = self._context
        context.tasks.run(
            outlook, context.store, context.queue, project, context.session.base,
            on_success=lambda found: self._counted(project, found), on_failure=self._not_counted,
        )  # fmt: skip

    def _show_name(self) -> None:
        """Another project has nothing of the last one's counts, even until its own are there."""
        project = self._context.session.project
        if project.id != self._named:
            self._named, self._outlook = project.id, None
            self._window.header.show_project(project.name, "", "")

    def _counted(self, project: Project, found: Outlook) -> None:
        now = self._context.session.project
        if project.id == now.id:
            self._outlook = found
            self._window.header.show_project(now.name, found.words, found.step.sentence)
            self.first_round.update(found)
        self._counts.done()

    def _not_counted(self, trouble: AppError) -> None:
        self._context.session.troubled.emit(trouble)
        self._counts.done()

    def _go_to_next_step(self) -> None:
        if self._outlook is None:
            return
        step, window, session = self._outlook.step, self._window, self._context.session
        if step.room == "evaluate" and step.evaluation_id:
            window.show_room("evaluate")
            window.room("evaluate").show_result(step.evaluation_id)
        elif step.room == "evaluate" and step.run_id:
            self._show_evaluation(step.run_id)
        elif step.kind == "wait" and step.run_id:
            self.show_run(step.run_id)
        elif step.kind == "prompts":
            session.promptsRequested.emit(step.algorithm != "ppo")
        else:
            window.show_room(step.room)

    def _show_network(self) -> None:
        rule = self._context.session.network
        self._window.status.show_network(rule.offline, rule.why)

    # --- runs

    def look(self) -> None:
        """See what runs do, off this thread; and say once what the database's daily check and backup have found."""
        if (notice := self._context.store.notice) != self._noticed:
            self._noticed = notice
            self._context.session.troubled.emit(AppError(notice, "It stays readable in Settings."))
        if not self._looking:
            self._looking = True
            queue, tenant = self._context.queue, chat_tenant(self._context.chat, self._context.session.base)
            self._context.tasks.run(look, queue, tenant, on_success=self._saw, on_failure=self._saw_nothing)

    def _saw_nothing(self, trouble: AppError) -> None:
        self._looking = False
        self._context.session.troubled.emit(trouble)

    def _saw(self, seen: Seen) -> None:
        self._looking = False
        self._chat_bytes, self._training = seen.chat_bytes, bool(seen.training)
        self._window.status.show_run(seen.words)
        self._tray.show_run(seen.words)
        self._ahead.set_training(self._training)
        self._share_memory(seen)
        self._show_model()
        states = {run.id: run.state for run in seen.runs}
        if states != self._runs:
            before, self._runs = self._runs, states
            self._context.store.settings.set(_LIVE_RUNS, sorted(key for key, state in states.items() if state in LIVE))
            self._tell_ends([run for run in seen.runs if before.get(run.id) in LIVE and run.state not in LIVE])
            self._context.session.runsChanged.emit()

    def _tell_ends(self, ended: Sequence[RunSummary]) -> None:
        """Say what has ended by itself, in the window and, when it is not in front, outside it."""
        for said in filter(None, map(ended_words, ended)):
            self._context.session.announce(said)
            self._notifier.notify(said)

    def _share_memory(self, seen: Seen) -> None:
        """Chat and a run that don't fit together: the chat's model leaves memory, and comes back afterwards or when asked."""
        chat, session = self._context.chat, self._context.session
        if seen.crowding is not None and chat.state == "ready" and chat.loaded is not None:
            self._asleep_for = seen.crowding.id
            chat.unload()
            session.announce(f"The chat's model has left memory to “{seen.crowding.title}”. A message brings it back.")
        elif self._asleep_for and (chat.loaded is not None or not any(run.id == self._asleep_for for run in _live(seen))):
            self._asleep_for = ""
            if session.base is not None:
                chat.load(session.base.held(session.adapter))

    # --- going places

    def show_welcome(self) -> None:
        """The first-run page, and the memory it talks about."""
        page = self._window.show_welcome()
        page.chatRequested.connect(lambda: self._window.show_room("chat"))
        page.tryAgainRequested.connect(self.choose_model)
        page.sampleRequested.connect(self._context.session.sampleProjectRequested)
        self._show_model()
        self._context.tasks.run(
            probe_device, on_success=lambda found: page.set_memory(found.get("memory_total_bytes")), on_failure=self._no_probe
        )

    def _no_probe(self, trouble: AppError) -> None:
        self._context.session.troubled.emit(trouble)

    def show_sample_project(self) -> None:
        """Train's page of the sample project."""
        self._window.show_room("train")
        self._window.room("train").show_sample_project()

    def show_run(self, run_id: str) -> None:
        """Train's page of a run."""
        self._window.show_room("train")
        self._window.room("train").show_run(run_id)

    def _show_evaluation(self, run_id: str) -> None:
        self._window.show_room("evaluate")
        self._window.room("evaluate").show_result_of(run_id)

    def _show_conversation(self, conversation_id: str) -> None:
        self._window.show_room("chat")
        self._window.room("chat").show_conversation(conversation_id)

    def _show_prompts(self, keep_aside: bool) -> None:
        self._window.show_room("label")
        self._window.room("label").write_prompts(keep_aside)

    def _show_publishing(self) -> None:
        self._window.show_room("models")
        self._window.room("models").show_publishing()

    def find(self, text: str) -> list[Command]:
        """What the palette offers at once for a few letters."""
        return finding.rank(text, self._commands(), self._window.help.open)

    def find_conversations(self, text: str, deliver: Deliver) -> None:
        """The conversations that the palette offers besides."""
        context = self._context
        context.tasks.run(
            find_conversations, context.store, context.session.project, ConversationQuery(text=text), None, _SHOWN,
            on_success=lambda page: deliver([self._going_to(summary.conversation) for summary in page.rows]),
            on_failure=context.session.troubled.emit,
        )  # fmt: skip

    def _going_to(self, conversation: Conversation) -> Command:
        return Command(conversation.title, "chat", lambda: self._show_conversation(conversation.id), "conversation")

    def _commands(self) -> list[Command]:
        window, session, theme = self._window, self._context.session, self._context.theme
        rooms = [Command(spec.title, spec.icon, partial(window.show_room, spec.key), spec.shortcut) for spec in ROOMS]
        return [
            *rooms,
            Command("Instructions and sampling", "tune", self._show_setup, aliases=_SETUP),
            Command("New conversation", "plus", self._new_conversation, keymap.shown("new conversation"), "new chat"),
            *self.projects.commands(),
            Command("Open the sample project", "spark", self.show_sample_project),
            Command("Publish comparisons on the Hub", "upload", session.publishingRequested.emit),
            Command("Undo the last judgement", "undo", session.undoRequested.emit, keymap.shown("undo"), "undo, take back, revert"),
            Command("Redo", "refresh", session.redoRequested.emit, keymap.shown("redo")),
            Command("Light theme", "sun", lambda: theme.set_mode("light"), aliases="light mode, day, bright"),
            Command("Dark theme", "moon", lambda: theme.set_mode("dark"), aliases="dark mode, night"),
            Command("Theme of the system", "settings", lambda: theme.set_mode("system")),
            Command("Notices: what was said lately", "bell", window.notices.open, aliases="notifications, messages"),
            Command("Keys", "keyboard", window.show_keys, keymap.shown("keys"), "keyboard shortcuts, hotkeys, key bindings"),
            Command("Help for what is in front", "help", window.help.toggle, keymap.shown("help"), "help, manual, guide"),
            Command("Add a model", "models", self._add_model, aliases=_ADDING),
            *finding.spots(self._brought),
            Command("A first round in three steps", "book", self.first_round.show, aliases="tutorial, tour, getting started"),
            Command(
                "Lock this workspace", "lock", session.lockRequested.emit, keymap.shown("lock"), "encrypt, passphrase, password"
            ),
            Command("Restart the model", "refresh", self._context.chat.restart),
            Command("Show the welcome page", "info", session.welcomeRequested.emit),
        ]

    def _go_to_step(self, number: int) -> None:
        """Where a step of the first round is done."""
        if number == 2:
            self._go_to_next_step()
        else:
            self._window.show_room("chat" if number == 1 else "evaluate")

    def _brought(self, key: str) -> Room:
        self._window.show_room(key)
        return self._window.room(key)

    def _show_setup(self) -> None:
        self._window.show_room("chat")
        self._window.room("chat").show_setup()

    def _add_model(self) -> None:
        self._window.show_room("models")
        self._window.room("models").show_adding()

    def _new_conversation(self) -> None:
        self._window.show_room("chat")
        self._window.room("chat").new_conversation()


def _live(seen: Seen) -> list[RunSummary]:
    return [run for run in seen.runs if run.state in LIVE]
