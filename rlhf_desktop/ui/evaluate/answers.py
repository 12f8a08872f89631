"""Has two models answer the same prompts through the chat worker, one request after the other, with progress and time left."""

import time
from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.protocol import Completion, Done, Sampling
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.operations.blind import Answered
from rlhf_desktop.ui.chat.worker_client import WorkerClient


class AnswerMaker(QObject):
    """Asks for everything at once; the worker answers in order. Emits `finished` with the answered prompts."""

    progressed = Signal(int, int, object)  # answers there, answers in all, seconds left or None
    finished = Signal(list)  # [Answered]
    failed = Signal(object)  # AppError

    def __init__(self, client: WorkerClient, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._client = client
        self._prompts: Sequence[Messages] = ()
        self._wanted: dict[str, tuple[int, int]] = {}  # request → prompt, side
        self._total = 0
        self._first_at: float | None = None
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
        self._prompts, self._completions, self._first_at = prompts, {}, None
        self._client.load(base)
        for side, adapter in enumerate((old, new)):  # all of one side first: switching adapters costs time
            for place, prompt in enumerate(prompts):
                self._wanted[self._client.generate(prompt, 1, adapter, sampling, seed + place)] = (place, side)
        self._total = len(self._wanted)
        self.progressed.emit(0, self._total, None)

    def stop(self) -> None:
        """Forget what is under way."""
        waiting, self._wanted = list(self._wanted), {}
        for request in waiting:
            self._client.cancel(request)

    def _completion(self, reply: Completion) -> None:
        if reply.id in self._wanted:
            self._completions[self._wanted[reply.id]] = reply

    def _done(self, reply: Done) -> None:
        if self._wanted.pop(reply.id, None) is None:
            return
        self.progressed.emit(self._total - len(self._wanted), self._total, self._left_s())
        if not self._wanted:
            self.finished.emit(self._pairs())

    def _left_s(self) -> float | None:
        """Seconds left, from the second answer on: the first one waits for the model to load."""
        now, done = time.monotonic(), self._total - len(self._wanted)
        if self._first_at is None:
            self._first_at = now
            return None
        return (now - self._first_at) / (done - 1) * len(self._wanted)

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
