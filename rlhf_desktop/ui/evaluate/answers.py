"""Has two models answer the same prompts through the chat worker, some at a time, with progress and time left."""

import time
from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.protocol import Completion, Done, Sampling
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.operations.blind import Answered
from rlhf_desktop.ui.chat.worker_client import WorkerClient

_TOGETHER = 8  # prompts a request: several times as fast as one by one, and a question in Chat still waits for seconds only


class AnswerMaker(QObject):
    """Asks for everything at once; the worker answers request by request. Emits `finished` with the answered prompts."""

    progressed = Signal(int, int, object)  # answers there, answers in all, seconds left or None
    finished = Signal(list)  # [Answered]
    failed = Signal(object)  # AppError

    def __init__(self, client: WorkerClient, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._client = client
        self._prompts: Sequence[Messages] = ()
        self._wanted: dict[str, tuple[int, int]] = {}  # request → its first prompt, side
        self._total = 0
        self._first: tuple[float, int] | None = None  # when the first request was done, and how many answers there were
        self._completions: dict[tuple[int, int], Completion] = {}
        client.completionFinished.connect(self._completion)
        client.requestDone.connect(self._done)
        client.troubleHappened.connect(self._trouble)

    @property
    def busy(self) -> bool:
        """Whether answers are being written."""
        return bool(self._wanted)

    def start(
        self,
        base: ModelRef,
        prompts: Sequence[Messages],
        old: AdapterRef | None,
        new: AdapterRef | None,
        sampling: Sampling,
        seed: int,
    ) -> None:
        """Ask both models to answer every prompt."""
        self.stop()
        self._prompts, self._completions, self._first = prompts, {}, None
        self._client.load(base.held(old, new))
        for side, adapter in enumerate((old, new)):  # all of one side first: switching adapters costs time
            for first in range(0, len(prompts), _TOGETHER):
                some = prompts[first : first + _TOGETHER]
                self._wanted[self._client.generate_together(some, adapter, sampling, seed + first)] = (first, side)
        self._total = 2 * len(prompts)
        self.progressed.emit(0, self._total, None)

    def stop(self) -> None:
        """Forget what is under way."""
        waiting, self._wanted = list(self._wanted), {}
        for request in waiting:
            self._client.cancel(request)

    def _completion(self, reply: Completion) -> None:
        if reply.id in self._wanted:
            first, side = self._wanted[reply.id]
            self._completions[first + reply.prompt, side] = reply
            self.progressed.emit(len(self._completions), self._total, None if self._first is None else self._left_s())

    def _done(self, reply: Done) -> None:
        if self._wanted.pop(reply.id, None) is None:
            return
        if self._first is None:
            self._first = time.monotonic(), len(self._completions)
        if not self._wanted:
            self.finished.emit(self._pairs())

    def _left_s(self) -> float | None:
        """Seconds left, by what came since the first request was done: that one waited for the model to load."""
        assert self._first is not None
        then, before = self._first
        done = len(self._completions)
        return (time.monotonic() - then) / (done - before) * (self._total - done) if done > before else None

    def _pairs(self) -> list[Answered]:
        """The prompts that both have answered with something to read."""
        pairs: list[Answered] = []
        for place, prompt in enumerate(self._prompts):
            old, new = (self._completions.get((place, side)) for side in (0, 1))
            if old and new and old.text.strip() and new.text.strip():
                pairs.append((prompt, old, new))
        return pairs

    def _trouble(self, request: str, trouble: AppError) -> None:
        if request in self._wanted:
            self.stop()
            self.failed.emit(trouble)
