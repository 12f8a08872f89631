"""An inference worker as the command line and the demo use it: blocking calls, answers streamed to a callback.

The window has its own client, on Qt's event loop; both read replies with `jobs.framing`.
"""

import contextlib
import os
import queue
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import IO, TypeVar

from rlhf_desktop.core.errors import ModelTrouble, WorkerTrouble
from rlhf_desktop.core.ids import new_id
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.platform import signal_name, start_child
from rlhf_desktop.core.protocol import (
    RESTART_AFTER_S,
    RESTART_EXIT,
    Begun,
    Cancel,
    Completion,
    Done,
    Generate,
    Likelihood,
    LikelihoodResult,
    Load,
    Loaded,
    Reply,
    Request,
    Sampling,
    Score,
    ScoreResult,
    Trouble,
    Unload,
)
from rlhf_desktop.core.recipes import Dtype
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.jobs.commands import package_parent, worker_command, worker_environment
from rlhf_desktop.jobs.framing import ReplyFramer

_CHUNK_BYTES = 64 * 1024
_STDERR_LINES = 40
_END_S = 10.0  # for the worker to end by itself once its input is closed

_R = TypeVar("_R", Loaded, ScoreResult, LikelihoodResult)
_Inbox = queue.SimpleQueue[Reply | None]  # None: the worker is gone


class ChatWorker:
    """A running inference worker; started at once, usable as a context manager. Safe to call from several threads.

    One that ends because only a new process can go on is replaced at the next request, with its model; not twice in a minute.

    Args:
        command: What to start; None: this program's own worker.
        env: Its whole environment; None: this one's, offline.
        clock: Seconds, for the minute.

    Raises:
        WorkerTrouble: it could not be started.
    """

    def __init__(
        self,
        command: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command, self._environment = command or worker_command("chat"), env or worker_environment()
        self._clock, self._replaced_s = clock, -RESTART_AFTER_S
        self._replacing = threading.Lock()
        self._model: Load | None = None  # what a new process has to load
        self._lock = threading.Lock()  # around _inboxes and _gone
        self._start()

    def _start(self) -> None:
        pipe = subprocess.PIPE
        where, environment = package_parent(), self._environment
        try:
            self._process = start_child(self._command, cwd=where, env=environment, stdin=pipe, output=pipe, errors=pipe)
        except OSError as problem:
            hint = "Installing the program again helps."
            raise WorkerTrouble("The model process could not be started.", hint, str(problem)) from None
        self._sending = threading.Lock()  # one whole line at a time
        self._inboxes: dict[str, _Inbox] = {}
        self._gone = False
        self._replies = ReplyFramer()
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._read_replies, self._read_stderr)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> "ChatWorker":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # --- what to ask ----------------------------------------------------------------------------------------------------------

    def load(self, base: ModelRef, dtype: Dtype = "auto") -> Loaded:
        """Make this the base model; quick when it already is."""
        return self._only(Loaded, Load(id=new_id(), base=base, dtype=dtype))

    def unload(self) -> None:
        """Free the model's memory."""
        for _ in self.request(Unload(id=new_id())):
            pass

    def generate(
        self,
        prompts: list[Messages],
        k: int = 1,
        adapter: AdapterRef | None = None,
        sampling: Sampling | None = None,
        seed: int = 0,
        on_reply: Callable[[Reply], None] | None = None,
        begun: Begun | None = None,
    ) -> list[list[Completion]]:
        """`k` answers to each prompt, in their order; with `begun` the rest of one. `on_reply` sees tokens and answers come."""
        request = Generate(
            id=new_id(),
            prompts=prompts,
            k=k,
            adapter=adapter,
            sampling=sampling or Sampling(),
            seed=seed,
            stream=on_reply is not None,
            begun=begun,
        )
        answers: list[list[Completion]] = [[] for _ in prompts]
        for reply in self.request(request):
            if isinstance(reply, Completion):
                answers[reply.prompt].append(reply)
            if on_reply:
                on_reply(reply)
        return [sorted(row, key=lambda answer: answer.completion) for row in answers]

    def score(self, reward: AdapterRef, prompts: list[Messages], completions: list[list[str]]) -> ScoreResult:
        """The reward model's score of each completion of each prompt, and its members' disagreement."""
        request = Score(id=new_id(), reward=reward, prompts=prompts, completions=completions)
        return self._only(ScoreResult, request)

    def likelihood(self, adapter: AdapterRef | None, prompts: list[Messages], completions: list[list[str]]) -> LikelihoodResult:
        """Log-likelihoods of completions under the base with `adapter`."""
        request = Likelihood(id=new_id(), adapter=adapter, prompts=prompts, completions=completions)
        return self._only(LikelihoodResult, request)

    def cancel(self, target: str) -> None:
        """Stop the request with this id; its own replies say when it has."""
        self._send(Cancel(id=new_id(), target=target))

    def request(self, request: Request) -> Iterator[Reply]:
        """Send a request and yield its replies up to and including `Done`.

        Raises:
            ModelTrouble: the worker says why it cannot; it lives on.
            WorkerTrouble: the worker has died; what it last wrote is in `detail`.
        """
        self._replace_if_due()
        if isinstance(request, Load):
            self._model = request
        elif isinstance(request, Unload):
            self._model = None
        yield from self._exchange(request)

    def _exchange(self, request: Request) -> Iterator[Reply]:
        inbox: _Inbox = queue.SimpleQueue()
        with self._lock:
            if self._gone:
                raise self._death()
            self._inboxes[request.id] = inbox
        ended = False
        try:
            self._send(request)
            while not ended:
                reply = inbox.get()
                ended = reply is None or isinstance(reply, Done | Trouble)
                if reply is None:
                    raise self._death()
                if isinstance(reply, Trouble):
                    raise ModelTrouble(reply.message, reply.hint, reply.detail)
                yield reply
        finally:
            with self._lock:
                self._inboxes.pop(request.id, None)  # a new process has none of the old one's
            if not ended:  # the caller has lost interest
                with contextlib.suppress(WorkerTrouble):
                    self.cancel(request.id)

    def close(self) -> None:
        """End the worker: it ends by itself when its input does, and is killed if it does not."""
        with self._replacing:
            self._close_process()

    def _close_process(self) -> None:
        pipes = (self._process.stdin, self._process.stdout, self._process.stderr)
        with self._sending, contextlib.suppress(OSError):  # it may be gone already
            _close(pipes[0])
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join()
        _close(*pipes[1:])

    def _replace_if_due(self) -> None:
        """Start a new process, with the model, if the old one has ended because only a new one can go on."""
        with self._replacing:
            if not self._gone or self._exit_code() != RESTART_EXIT or self._clock() - self._replaced_s < RESTART_AFTER_S:
                return
            self._replaced_s = self._clock()
            self._close_process()
            self._start()
            if self._model is not None:
                for _ in self._exchange(self._model.model_copy(update={"id": new_id()})):
                    pass

    # --- how it is carried ----------------------------------------------------------------------------------------------------

    def _only(self, kind: type[_R], request: Request) -> _R:
        """The one reply of this kind that answers the request."""
        found = [reply for reply in self.request(request) if isinstance(reply, kind)]
        if not found:
            raise WorkerTrouble("The model process did not answer the question.", "Trying again helps.", self._last_words())
        return found[0]

    def _send(self, request: Request) -> None:
        assert self._process.stdin
        line = request.model_dump_json().encode("utf-8") + b"\n"
        with self._sending:
            try:
                self._process.stdin.write(line)
                self._process.stdin.flush()
            except (OSError, ValueError):  # a broken pipe, or closed by us
                raise self._death() from None

    def _read_replies(self) -> None:
        assert self._process.stdout
        while chunk := os.read(self._process.stdout.fileno(), _CHUNK_BYTES):
            for reply in self._replies.feed(chunk):
                self._deliver(reply)
        with self._lock:
            self._gone = True
            for inbox in self._inboxes.values():
                inbox.put(None)

    def _deliver(self, reply: Reply) -> None:
        with self._lock:
            if inbox := self._inboxes.get(reply.id):  # nobody waits for `ready`, nor for what a cancel is answered
                inbox.put(reply)

    def _read_stderr(self) -> None:
        assert self._process.stderr
        for line in self._process.stderr:
            self._stderr.append(line.decode("utf-8", "replace").rstrip())

    def _exit_code(self) -> int | None:
        """Of a process that is gone."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)  # its output has ended, so it is about to
            self._threads[1].join(_END_S)  # so that its last words are complete
        return self._process.returncode

    def _death(self) -> WorkerTrouble:
        code = self._exit_code()
        if code == RESTART_EXIT:
            hint = "Nothing you wrote is lost. Ask once more; should it happen again at once, restart the computer."
            return WorkerTrouble("The model process could not go on and has to be started anew.", hint, self._last_words())
        how = f"signal {signal_name(-code)}" if code is not None and code < 0 else f"exit code {code}"
        return WorkerTrouble(
            f"The model process has ended unexpectedly ({how}).",
            "Nothing you wrote is lost. If memory is short, close other programs or choose a smaller model, then try again.",
            self._last_words(),
        )

    def _last_words(self) -> str:
        return "\n".join([*self._stderr, *self._replies.nonsense[-5:]])


def _close(*pipes: IO[bytes] | None) -> None:
    for pipe in pipes:
        if pipe is not None:
            pipe.close()
