"""Has two models answer the same prompts through the chat worker, one request after the other, with progress."""

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.protocol import Completion, Done, Sampling
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.ui.chat.worker_client import WorkerClient


@dataclass(frozen=True)
class Answered:
    """One prompt with both completions."""

    prompt: Messages
    old: Completion
    new: Completion


class AnswerMaker(QObject):
    """Asks for everything at once; the worker answers in order. Emits `finished` with the answered prompts."""

    progressed = Signal(int, int)  # answers there, answers in all
    finished = Signal(list)  # [Answered]
    failed = Signal(object)  # AppError

    def __init__(self, client: WorkerClient, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._client = client
        self._prompts: Sequence[Messages] = ()
        self._wanted: dict[str, tuple[int, int]] = {}  # request → prompt, side
        self._total = 0
        self._completions: dict[tuple[int, int], Completion] = {}
        client.completionFinished.connect(self._completion)
        client.requestDone.connect(self._done)
        client.troubleHappened.connect(self._trouble)

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
        self._prompts, self._completions = prompts, {}
        self._client.load(base)
        for side, adapter in enumerate((old, new)):  # all of one side first: switching adapters costs time
            for place, prompt in enumerate(prompts):
                self._wanted[self._client.generate(prompt, 1, adapter, sampling, seed + place)] = (place, side)
        self._total = len(self._wanted)
        self.progressed.emit(0, self._total)

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
        self.progressed.emit(self._total - len(self._wanted), self._total)
        if not self._wanted:
            self.finished.emit(self._pairs())

    def _pairs(self) -> list[Answered]:
        """The prompts that both have answered with something to read."""
        pairs = []
        for place, prompt in enumerate(self._prompts):
            old, new = (self._completions.get((place, side)) for side in (0, 1))
            if old and new and old.text.strip() and new.text.strip():
                pairs.append(Answered(prompt, old, new))
        return pairs

    def _trouble(self, request: str, trouble: AppError) -> None:
        if request in self._wanted:
            self.stop()
            self.failed.emit(trouble)
