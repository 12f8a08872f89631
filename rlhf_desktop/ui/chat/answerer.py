"""Asks whoever answers now: the model in this program's worker, or a server the user named. Rooms need not know which."""

import threading
import traceback
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal, SignalInstance

from rlhf_desktop.core.errors import AppError, ModelTrouble
from rlhf_desktop.core.ids import new_id
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.protocol import Begun, Completion, Done, Sampling
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.feedback.conversations import Generator
from rlhf_desktop.hub.servers import Call, NamedServer
from rlhf_desktop.ui.chat.worker_client import WorkerClient
from rlhf_desktop.ui.context import Session
from rlhf_desktop.ui.tasks import unless_gone


@dataclass(frozen=True)
class Asked:
    """A request under way, and who the record says wrote the answers."""

    request: str
    generator: Generator


class Answerer(QObject):
    """Speaks like the worker's client. Answers of a server come whole, one after the other.

    Args:
        session: Knows who answers.
        client: The worker.
    """

    tokenArrived = Signal(str, int, int, str)  # request, prompt, completion, text to append
    thoughtArrived = Signal(str, int, int, str)
    completionFinished = Signal(object)  # core.protocol.Completion
    requestDone = Signal(object)  # core.protocol.Done
    troubleHappened = Signal(str, object)  # request, AppError
    modelLoaded = Signal()  # the model here begins at once from now on
    loadFailed = Signal(object)  # AppError: it could not be loaded
    quietened = Signal()  # the worker has nothing but background work

    def __init__(self, session: Session, client: WorkerClient, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._client = session, client
        self._calls: dict[str, Call] = {}  # requests at servers
        client.tokenArrived.connect(self.tokenArrived)
        client.thoughtArrived.connect(self.thoughtArrived)
        client.completionFinished.connect(self.completionFinished)
        client.requestDone.connect(self.requestDone)
        client.troubleHappened.connect(self.troubleHappened)
        client.quietened.connect(self.quietened)
        client.modelLoaded.connect(lambda _loaded: self.modelLoaded.emit())
        client.loadFailed.connect(self.loadFailed)

    @property
    def ready(self) -> bool:
        """Whether there is anybody to ask."""
        return self._session.server is not None or self._session.base is not None

    @property
    def loaded(self) -> bool:
        """Whether whoever answers begins at once: a server, or a model that is in memory."""
        session = self._session
        return session.server is not None or (session.base is not None and self._client.has(session.base.held(session.adapter)))

    def load(self) -> None:
        """Have the model here brought into memory, if there is one and it is not."""
        if self._session.server is None and self._session.base is not None:
            self._client.load(self._session.base.held(self._session.adapter))

    @property
    def quiet(self) -> bool:
        """Whether nobody waits for an answer. A server has its own queue."""
        return self._session.server is not None or self._client.quiet

    def ask(self, prompt: Messages, k: int, sampling: Sampling, seed: int, *, ahead: bool = False) -> Asked:
        """Ask for `k` answers; `ahead`: nobody waits for them yet."""
        if self._session.server is not None:
            return self._ask_server(self._session.server, prompt, k, sampling, seed)
        base, adapter = self._model()
        self._client.load(base.held(adapter))
        ask = self._client.generate_ahead if ahead else self._client.generate
        return Asked(ask(prompt, k, adapter, sampling, seed), Generator.of(base, adapter, sampling))

    def go_on(self, prompt: Messages, begun: Begun, sampling: Sampling, seed: int) -> Asked:
        """Ask for the rest of an answer: of the model in the worker, as servers know no way to go on."""
        base, adapter = self._model()
        self._client.load(base.held(adapter))
        request = self._client.generate(prompt, 1, adapter, sampling, seed, begun)
        return Asked(request, Generator.of(base, adapter, sampling))

    def _model(self) -> tuple[ModelRef, AdapterRef | None]:
        if self._session.base is None:
            raise ModelTrouble("There is no model to ask.", "Choose one in Models.")
        return self._session.base, self._session.adapter

    def is_writer(self, generator: Generator) -> bool:
        """Whether the model chosen now is the one that wrote an answer."""
        base, adapter = self._session.base, self._session.adapter
        if self._session.server is not None or base is None:
            return False
        return (base.hash, adapter.hash if adapter else None) == (generator.model_hash, generator.adapter_hash)

    def cancel(self, request: str) -> None:
        """Stop a request; `requestDone` follows."""
        call = self._calls.get(request)
        if call is None:
            self._client.cancel(request)
        else:
            call.end()

    def _ask_server(self, server: NamedServer, prompt: Messages, k: int, sampling: Sampling, seed: int) -> Asked:
        request, call = new_id(), Call()
        self._calls[request] = call
        work = threading.Thread(
            target=self._work, args=(request, call, server, prompt, k, sampling, seed), name="server answers", daemon=True
        )
        work.start()
        return Asked(request, Generator.of(server.reference, None, sampling))

    def _work(self, request: str, call: Call, server: NamedServer, prompt: Messages, k: int, sampling: Sampling, seed: int) -> None:
        """On a thread of its own: the keyring and the server may take their time."""
        try:
            asked = server.connect()
            for number in range(k):
                if call.ended:
                    break
                (answer,) = asked.answers(prompt, 1, sampling, seed + number, call)
                said = Completion(
                    id=request, prompt=0, completion=number, text=answer.text, tokens=answer.tokens or 0, finish=answer.finish,
                    thought=answer.thought,
                )  # fmt: skip
                self._tell(self.completionFinished, said)
            self._tell(self.requestDone, Done(id=request, cancelled=call.ended))
        except AppError as trouble:
            if call.ended:
                self._tell(self.requestDone, Done(id=request, cancelled=True))
            else:
                self._tell(self.troubleHappened, request, trouble)
        except Exception as bug:  # nobody else would hear of it
            words = f"{server.reference.name} could not be asked: {bug}"
            self._tell(self.troubleHappened, request, AppError(words, "Please try again.", traceback.format_exc()))
        finally:
            self._calls.pop(request, None)

    @staticmethod
    def _tell(signal: SignalInstance, *values: object) -> None:
        """Emit, unless the window has closed meanwhile."""
        with unless_gone():
            signal.emit(*values)
