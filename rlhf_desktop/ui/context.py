"""What the window hands to every room's constructor. Rooms reach nothing else, and nothing is global."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from rlhf_desktop.core.offline import NetworkRule
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.hub.servers import NamedServer
from rlhf_desktop.hub.tokens import Keepers

if TYPE_CHECKING:
    from rlhf_desktop.feedback.conversations import Project
    from rlhf_desktop.hub.library import Library
    from rlhf_desktop.jobs.queue import Queue
    from rlhf_desktop.store.database import Store
    from rlhf_desktop.ui.chat.worker_client import WorkerClient
    from rlhf_desktop.ui.label.lookahead import Lookahead
    from rlhf_desktop.ui.loading import Loading
    from rlhf_desktop.ui.tasks import TaskRunner
    from rlhf_desktop.ui.theme.style import Theme


class Session(QObject):
    """What is current, and what just changed. A room that changes something says so here; others listen."""

    projectChanged = Signal()
    projectRenamed = Signal()  # the current one: nothing else about it has changed
    loadingChanged = Signal(object)  # ui.loading.Loading: how far the model is that is being got ready; None: none is
    modelMissing = Signal(object)  # an AppError: no model could be got ready
    modelChanged = Signal()  # the base model or the adapter chat uses
    feedbackChanged = Signal()  # judgements were added or withdrawn, or prompts added
    judgementTakenBack = Signal(object)  # a Judgement that was undone: whoever showed its answers shows them again
    conversationsChanged = Signal()
    runsChanged = Signal()  # a run was queued, removed, or changed its state
    modelsChanged = Signal()  # the library's list
    networkChanged = Signal()  # whether the network may be used
    offlineChosen = Signal(bool)  # the user's switch was turned
    writeAheadChosen = Signal(bool)  # answers for Label are written in every room, or only in Label
    trayChosen = Signal()  # whether the state of runs is shown in the system's tray
    spellingChosen = Signal(str)  # check the spelling of this language, or "off"
    deviceChosen = Signal()  # models are to compute on another device
    roomRequested = Signal(str)  # a room's key
    runRequested = Signal(str)  # show this run's page, by run id (Train listens)
    evaluationRequested = Signal(str)  # show how good the result of this run is, by run id (Evaluate listens)
    publishingRequested = Signal()  # publish the project's comparisons (Models listens)
    promptsRequested = Signal(bool)  # add prompts; whether to keep them aside, to compare models on (Label listens)
    conversationRequested = Signal(str)  # show this conversation (Chat listens)
    sampleProjectRequested = Signal()  # make or open the sample project (Train listens)
    welcomeRequested = Signal()
    lockRequested = Signal()  # close this window and ask for the passphrase
    encryptionRequested = Signal(object)  # an EncryptionRequest: close this window and carry it out
    lockAfterChosen = Signal(int)  # minutes without use; 0: never
    restoreRequested = Signal()  # close this window and restore a backup
    judgementRestored = Signal(object)  # a Judgement that counts again: nobody need judge its answers now
    undoRequested = Signal()  # Ctrl+Z, when no toast offers an undo
    redoRequested = Signal()
    announced = Signal(str, object, str)  # a notice: its words, a function that undoes it or None, and what it is about
    troubled = Signal(object)  # an AppError to show

    def __init__(self, project: Project, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._project = project
        self._base: ModelRef | None = None
        self._adapter: AdapterRef | None = None
        self._server: NamedServer | None = None
        self._network = NetworkRule(offline=False)
        self._loading: Loading | None = None
        self.preparing = False  # whether the project's model is being looked for, or the starter prepared

    @property
    def network(self) -> NetworkRule:
        """Whether the network may be used, and who says so."""
        return self._network

    def set_network(self, rule: NetworkRule) -> None:
        """Say what holds now (the keeper does)."""
        self._network = rule
        self.networkChanged.emit()

    @property
    def loading(self) -> Loading | None:
        """How far the model is that is being got ready; None: none is."""
        return self._loading

    def set_loading(self, loading: Loading | None) -> None:
        """Say how far it is (the frame does)."""
        self._loading = loading
        self.loadingChanged.emit(loading)

    @property
    def project(self) -> Project:
        """The current project."""
        return self._project

    def set_project(self, project: Project) -> None:
        """Make a project current."""
        self._project = project
        self.projectChanged.emit()

    def rename_project(self, project: Project) -> None:
        """The current project has another name."""
        self._project = project
        self.projectRenamed.emit()

    @property
    def base(self) -> ModelRef | None:
        """The base model chat uses; None until one is installed."""
        return self._base

    @property
    def adapter(self) -> AdapterRef | None:
        """The adapter chat uses; None for the base model itself."""
        return self._adapter

    def set_model(self, base: ModelRef | None, adapter: AdapterRef | None = None) -> None:
        """Make a model current."""
        self._base, self._adapter, self._server = base, adapter, None
        self.modelChanged.emit()

    @property
    def server(self) -> NamedServer | None:
        """The server that answers in Chat and Label instead of the model here; None: the model does."""
        return self._server

    def set_server(self, server: NamedServer | None) -> None:
        """Have a server answer, or the model here again."""
        self._server = server
        self.modelChanged.emit()

    def announce(self, text: str, undo: Callable[[], None] | None = None, about: str = "") -> None:
        """Say something in passing. Of what is said `about` the same thing only the newest counts; "": it stands for itself."""
        self.announced.emit(text, undo, about)


@dataclass(frozen=True)
class Context:
    """The program's parts."""

    workspace: Workspace
    store: Store
    queue: Queue
    library: Library
    session: Session
    chat: WorkerClient
    tasks: TaskRunner
    theme: Theme
    keys: Keepers = field(default_factory=Keepers)

    @cached_property
    def ahead(self) -> Lookahead:
        """Writes answers for Label ahead: one for the whole window, whether Label was ever opened or not."""
        from rlhf_desktop.ui.label.lookahead import Lookahead  # it knows the session, which is above

        return Lookahead(self.store, self.session, self.chat, self.tasks, parent=self.session)
