"""The window's end of the inference worker: a child process that speaks JSON lines (core/protocol.py)."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, Qt, QTimer, Signal

from rlhf_desktop.core.errors import AppError, WorkerTrouble
from rlhf_desktop.core.ids import new_id
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.protocol import (
    RESTART_AFTER_S,
    RESTART_EXIT,
    Begun,
    Cancel,
    Completion,
    Done,
    Generate,
    Load,
    Loaded,
    Loading,
    Measure,
    Measured,
    Ready,
    Reply,
    Request,
    Sampling,
    Shutdown,
    Token,
    Trouble,
    Unload,
)
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.jobs.framing import ReplyFramer

State = Literal["off", "starting", "loading", "ready", "busy", "failed"]
_LAST_WORDS = 4000  # characters of the worker's stderr kept for a report


@dataclass(frozen=True)
class ProcessEnd:
    """How the process ended: the one place that decides between stopped and crashed."""

    asked: bool
    exit_code: int
    by_signal: bool
    last_words: str

    @property
    def wants_restart(self) -> bool:
        """Whether it has ended because only a new process can go on."""
        return not self.asked and not self.by_signal and self.exit_code == RESTART_EXIT

    @property
    def trouble(self) -> AppError | None:
        """None when we asked it to end."""
        if self.asked:
            return None
        if self.wants_restart:
            return WorkerTrouble(
                "The model's process had to end twice within a minute, so it is not started again by itself.",
                "Your conversation is saved. Restarting the computer, or a smaller model, may help; then press Restart.",
                self.last_words,
            )
        how = f"was ended by signal {self.exit_code}" if self.by_signal else f"ended with code {self.exit_code}"
        return WorkerTrouble(
            "The model stopped unexpectedly.",
            "Your conversation is saved. Restart it and go on; if it happens again, free memory or choose a smaller model.",
            f"The inference worker {how}.\n{self.last_words}",
        )


class WorkerClient(QObject):
    """Starts the worker, sends requests, and turns its replies into signals.

    Requests may be sent in any state but "off" and "failed"; they wait in the worker and run one after the other. Background
    requests give way: any other request cancels them, and whoever sent them asks again when `quietened` says so.
    """

    tokenArrived = Signal(str, int, int, str)  # request, prompt, completion, text to append
    thoughtArrived = Signal(str, int, int, str)  # the same of what is thought before the answer
    completionFinished = Signal(object)  # core.protocol.Completion
    requestDone = Signal(object)  # core.protocol.Done
    troubleHappened = Signal(str, object)  # request ("" for the worker itself), AppError
    loadProgressed = Signal(float)  # the share of the model that is in memory
    modelLoaded = Signal(object)  # core.protocol.Loaded
    loadFailed = Signal(object)  # AppError: the model could not be loaded, or its process has ended meanwhile
    stateChanged = Signal(str)
    restarted = Signal(object)  # AppError: why a new process was started by itself; the model comes back
    measured = Signal(object)  # core.protocol.Measured
    quietened = Signal()  # nothing but background work is under way
    ended = Signal()

    def __init__(
        self,
        command: Sequence[str],
        environment: dict[str, str] | None = None,
        cwd: Path | None = None,
        parent: QObject | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(parent)
        self._clock, self._restarted_s = clock, -RESTART_AFTER_S
        self._command, self._environment, self._cwd = list(command), environment or {}, cwd
        self._process: QProcess | None = None
        self._framer = ReplyFramer()
        self._state: State = "off"
        self._asked_to_end = False
        self._last_words = ""
        self._base: ModelRef | None = None
        self._open: dict[str, str] = {}  # request id → op
        self._background: set[str] = set()  # those of them that give way
        self.loaded: Loaded | None = None

    @property
    def state(self) -> State:
        """What the worker is doing."""
        return self._state

    def has(self, base: ModelRef) -> bool:
        """Whether this model is in memory, and answers at once."""
        return self.loaded is not None and self._base == base

    @property
    def process_id(self) -> int:
        """The worker's pid; 0 when there is none."""
        return self._process.processId() if self._process else 0

    def start(self) -> None:
        """Start the process, unless it runs."""
        if self._process is not None:
            return
        process = QProcess(self)
        environment = QProcessEnvironment.systemEnvironment()
        for name, value in self._environment.items():
            environment.insert(name, value)
        process.setProcessEnvironment(environment)
        if self._cwd:
            process.setWorkingDirectory(str(self._cwd))
        process.readyReadStandardOutput.connect(self._read)
        process.readyReadStandardError.connect(self._listen)
        process.finished.connect(self._finished)
        process.errorOccurred.connect(self._process_error)
        self._process, self._framer = process, ReplyFramer()
        self._asked_to_end, self._last_words = False, ""
        self._set_state("starting")
        process.start(self._command[0], self._command[1:])

    def restart(self) -> None:
        """Start again after a failure, with the model that was in use."""
        base, self._base = self._base, None
        self.start()
        if base is not None:
            self.load(base)

    def move(self, environment: dict[str, str]) -> None:
        """Go on in a new process with another environment, and the model in use. Not while somebody waits for an answer."""
        self._environment = environment
        if self._process is not None:
            self.ended.connect(self.restart, Qt.ConnectionType.SingleShotConnection)
            self.close()

    def close(self) -> None:
        """Ask the process to end; `ended` follows, at once when there is none."""
        self._asked_to_end = True
        if self._process is None:
            self.ended.emit()
            return
        if self._process.state() == QProcess.ProcessState.Starting:
            self._process.started.connect(self._say_goodbye)
        else:
            self._say_goodbye()

    @property
    def _running(self) -> QProcess:
        if self._process is None:
            raise RuntimeError("The model's process does not run")
        return self._process

    def _say_goodbye(self) -> None:
        self._send(Shutdown(id=new_id()))
        self._running.closeWriteChannel()
        self._running.terminate()

    def kill(self) -> None:
        """End the process now."""
        self._asked_to_end = True
        if self._process is not None:
            self._process.kill()

    def load(self, base: ModelRef) -> None:
        """Make this the base model, in a new process where the last one has ended; nothing happens when it already is."""
        if self._base == base and (self.loaded is not None or "load" in self._open.values()):
            return
        self._base, self.loaded = base, None
        self._request(Load(id=new_id(), base=base))

    def unload(self) -> None:
        """Free the model's memory; the next `load` brings it back."""
        self._base, self.loaded = None, None
        self._request(Unload(id=new_id()))

    def generate(
        self, prompt: Messages, k: int, adapter: AdapterRef | None, sampling: Sampling, seed: int, begun: Begun | None = None
    ) -> str:
        """Ask for `k` answers to one prompt, or with `begun` to go on with one. Returns the request's id."""
        return self._wait_for(
            Generate(id=new_id(), prompts=[prompt], k=k, adapter=adapter, sampling=sampling, seed=seed, begun=begun)
        )

    def generate_together(self, prompts: Sequence[Messages], adapter: AdapterRef | None, sampling: Sampling, seed: int) -> str:
        """Ask for an answer to each prompt, written side by side and not streamed. Returns the request's id."""
        request = Generate(id=new_id(), prompts=list(prompts), adapter=adapter, sampling=sampling, seed=seed, stream=False)
        return self._wait_for(request)

    def _wait_for(self, request: Generate) -> str:
        for waiting in self._background:
            self.cancel(waiting)
        self._request(request)
        return request.id

    @property
    def quiet(self) -> bool:
        """Whether nobody waits for an answer: the time for background work."""
        return not any(op == "generate" and key not in self._background for key, op in self._open.items())

    def generate_ahead(self, prompt: Messages, k: int, adapter: AdapterRef | None, sampling: Sampling, seed: int) -> str:
        """Ask for answers that nobody waits for yet: not streamed, and cancelled by the first request that somebody waits for."""
        request = Generate(id=new_id(), prompts=[prompt], k=k, adapter=adapter, sampling=sampling, seed=seed, stream=False)
        self._background.add(request.id)
        self._request(request)
        return request.id

    def measure(self, prompt: Messages, sampling: Sampling) -> str:
        """Ask how much of what the model can read this takes; `measured` follows. Returns the request's id."""
        request = Measure(id=new_id(), prompt=prompt, sampling=sampling)
        self._request(request)
        return request.id

    def cancel(self, request_id: str) -> None:
        """Stop a request at its next token."""
        if request_id in self._open:
            self._send(Cancel(id=new_id(), target=request_id))

    def _request(self, request: Request) -> None:
        if self._process is None:
            self.start()
        self._open[request.id] = request.op
        self._send(request)
        self._settle()

    def _send(self, request: Request) -> None:
        if self._process is not None:
            self._process.write(request.model_dump_json().encode() + b"\n")

    def _read(self) -> None:
        for reply in self._framer.feed(bytes(self._running.readAllStandardOutput().data())):
            self._handle(reply)

    def _listen(self) -> None:
        words = bytes(self._running.readAllStandardError().data()).decode("utf-8", "replace")
        self._last_words = (self._last_words + words)[-_LAST_WORDS:]

    def _handle(self, reply: Reply) -> None:
        match reply:
            case Token():
                arrived = self.thoughtArrived if reply.thought else self.tokenArrived
                arrived.emit(reply.id, reply.prompt, reply.completion, reply.text)
            case Completion():
                self.completionFinished.emit(reply)
            case Ready():
                self._settle(started=True)
            case Loading():
                self.loadProgressed.emit(reply.share)
            case Loaded():
                self.loaded = reply
                self._close_request(reply.id)
                self.modelLoaded.emit(reply)
            case Measured():
                self.measured.emit(reply)
            case Done():
                self._close_request(reply.id)
                self.requestDone.emit(reply)
            case Trouble():
                op, trouble = self._close_request(reply.id), WorkerTrouble(reply.message, reply.hint, reply.detail)
                if op == "load":
                    self._base = None
                self.troubleHappened.emit(reply.id, trouble)
                if op == "load":
                    self.loadFailed.emit(trouble)

    def _close_request(self, request_id: str) -> str:
        was_quiet = self.quiet
        op = self._open.pop(request_id, "")
        self._background.discard(request_id)
        self._settle()
        if self.quiet and not was_quiet:
            QTimer.singleShot(0, self.quietened.emit)  # after whoever waited has heard
        return op

    def _settle(self, started: bool = False) -> None:
        """Derive the state from what is open."""
        if self._state == "starting" and not started:
            return
        ops = set(self._open.values()) - {"measure"}  # over in a moment, and nobody waits for it
        self._set_state("loading" if "load" in ops else "busy" if ops else "ready")

    def _process_error(self, error: QProcess.ProcessError) -> None:
        if error != QProcess.ProcessError.FailedToStart:
            return  # `finished` follows for the others
        why = self._running.errorString()
        self._give_up(WorkerTrouble("The model's process could not be started.", "Reinstall the program, then try again.", why))

    def _finished(self, exit_code: int, status: QProcess.ExitStatus) -> None:
        self._read()
        self._listen()
        end = ProcessEnd(self._asked_to_end, exit_code, status == QProcess.ExitStatus.CrashExit, self._last_words)
        if end.wants_restart and self._clock() - self._restarted_s >= RESTART_AFTER_S:
            self._begin_anew(end)
        else:
            self._give_up(end.trouble)

    def _begin_anew(self, end: ProcessEnd) -> None:
        """A new process with the same model, by itself. Whoever waited is told to ask again."""
        self._restarted_s = self._clock()
        trouble = WorkerTrouble(
            "The model's process could not go on and was started anew.",
            "Your conversation is saved. The model is being loaded again; ask once more.",
            end.last_words,
        )
        waiting = self._forget_process()
        self._set_state("off")
        self.restart()  # first: who hears of the trouble may ask again at once
        for request_id in waiting:
            self.troubleHappened.emit(request_id, trouble)
        self.restarted.emit(trouble)

    def _forget_process(self) -> list[str]:
        """The requests that were open."""
        self._running.deleteLater()
        self._process, self.loaded = None, None
        waiting, self._open = list(self._open), {}
        self._background.clear()
        return waiting

    def _give_up(self, trouble: AppError | None) -> None:
        """The process is gone: forget it, and say so to whoever waits."""
        was_loading = "load" in self._open.values()
        waiting = self._forget_process()
        self._set_state("failed" if trouble else "off")
        if trouble and was_loading:
            self.loadFailed.emit(trouble)
        if trouble:
            for request_id in [*waiting, ""]:
                self.troubleHappened.emit(request_id, trouble)
        self.ended.emit()

    def _set_state(self, state: State) -> None:
        if state != self._state:
            self._state = state
            self.stateChanged.emit(state)
