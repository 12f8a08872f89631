"""Keeps a few items ready ahead of the expert, so that the next one is there before the key is pressed. Knows no widget."""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from PySide6.QtCore import QObject, Signal

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.protocol import Completion, Done
from rlhf_desktop.feedback.conversations import Generator, Project
from rlhf_desktop.operations.labelling import Item, keep_answers, remember_ready
from rlhf_desktop.operations.sampling import usual_sampling
from rlhf_desktop.store.conversations import NewCompletion
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.prompts import StoredPrompt
from rlhf_desktop.ui.chat.answerer import Answerer
from rlhf_desktop.ui.chat.worker_client import WorkerClient
from rlhf_desktop.ui.context import Session
from rlhf_desktop.ui.tasks import TaskRunner

AHEAD = 3
_SEEDS = 2**31


@dataclass
class _Asked:
    """Answers on their way."""

    request: str
    prompt: StoredPrompt
    project: Project
    generator: Generator
    seed: int
    completions: dict[int, NewCompletion] = field(default_factory=dict)


class Lookahead(QObject):
    """Asks for answers to the prompts that come next, one request at a time, whenever nobody else waits for the model.

    While somebody judges in Label (`set_needed`) it loads the model, asks a server, and says what is wrong. Otherwise it writes for
    later: only while it may (`set_allowed`: the user's switch, and no run that trains), with the model that is loaded here anyway.
    """

    arrived = Signal()  # an item is ready
    readyChanged = Signal(int)  # so many wait
    emptied = Signal()  # the last item has been taken
    progressed = Signal(int, int)  # answers written of the item under way, of how many
    failed = Signal(object)  # StoredPrompt whose answers say nothing; it is left out
    troubled = Signal(object)  # AppError: the model is gone, or the disk is full; goes on with `resume`

    def __init__(
        self,
        store: Store,
        session: Session,
        client: WorkerClient,
        tasks: TaskRunner,
        ahead: int = AHEAD,
        chance: random.Random | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._store, self._session, self._tasks, self._client = store, session, tasks, client
        self._project = session.project
        self._needed, self._allowed, self._sitting = False, False, False
        self._answerer = Answerer(session, client, self)
        self._ahead, self._chance = ahead, chance or random.Random()
        self._waiting: deque[StoredPrompt] = deque()
        self._ready: deque[Item] = deque()
        self._current: Item | None = None
        self._answers = 2
        self._asked: _Asked | None = None
        self._keeping: _Asked | None = None  # being stored
        self._paused = True
        self._broken = False  # whether it is a trouble that has paused it
        self._answerer.completionFinished.connect(self._completion)
        self._answerer.requestDone.connect(self._done)
        self._answerer.troubleHappened.connect(self._trouble)
        self._answerer.quietened.connect(self._fill)
        self._answerer.modelLoaded.connect(self._model_loaded)

    @property
    def ready(self) -> int:
        """How many items wait."""
        return len(self._ready)

    @property
    def more(self) -> bool:
        """Whether prompts wait whose answers are not ready."""
        return bool(self._waiting) or self._asked is not None or self._keeping is not None

    @property
    def sitting(self) -> bool:
        """Whether somebody judges what is written here."""
        return self._sitting

    def start(self, prompts: Sequence[StoredPrompt], answers: int, ready: Sequence[Item] = (), sitting: bool = False) -> None:
        """Work through `prompts` from now on, for later or for a sitting.

        `ready` were prepared before; what has been made since for these prompts stays too.
        """
        self._sitting = sitting
        goes_on = (self._project, self._answers) == (self._session.project, answers)
        asked, wanted = self._asked, {prompt.id: prompt for prompt in prompts}
        if not (goes_on and asked and asked.prompt.id in wanted):
            self._drop()
        if not (goes_on and self._keeping and self._keeping.prompt.id in wanted):
            self._keeping = None  # what arrives of the queue before is not for this one
        known = {item.displayed for item in ready}
        since = [item for item in self._ready if goes_on and item.prompt_id in wanted and item.displayed not in known]
        under_way = {made.prompt.id for made in (self._asked, self._keeping) if made}
        done = {item.prompt_id for item in (*ready, *since)} | under_way
        self._project = self._session.project
        self._waiting = deque(prompt for prompt in prompts if prompt.id not in done)
        self._ready = deque((*ready, *since))
        self._current, self._answers, self._paused = None, answers, False
        self.readyChanged.emit(self.ready)
        self._fill()

    def stop(self) -> None:
        """Forget the queue: another project, or the window closes. What is stored of it is found again."""
        self._paused = True
        self._drop()
        self._keeping, self._current, self._sitting = None, None, False
        self._waiting.clear()
        self._ready.clear()
        self.readyChanged.emit(0)

    def set_needed(self, on: bool) -> None:
        """Somebody judges, and waits for the next one; or nobody does."""
        self._needed = on
        if on:
            self.resume()
        else:
            self._give_way()

    def set_allowed(self, on: bool) -> None:
        """Whether to write for later."""
        self._allowed = on
        self._give_way()
        self._fill()

    def release(self) -> None:
        """Nobody judges any more: what was on screen waits first in line."""
        if self._current is not None:
            self._ready.appendleft(self._current)
        self._current, self._sitting = None, False
        self._remember()
        self.set_needed(False)

    def let_go(self) -> None:
        """The model is about to be loaded anew, elsewhere: what is under way is asked again then."""
        self._drop()

    def _may_write(self) -> bool:
        """For later: not at a server somebody may pay for, and not by loading a model that nobody asked for."""
        return self._needed or (self._allowed and self._session.server is None and self._client.loaded is not None)

    def _give_way(self) -> None:
        if not self._may_write():
            self._drop()

    def take(self) -> Item | None:
        """The next item, if one is ready. What was taken before is done with."""
        self._current = self._ready.popleft() if self._ready else None
        self._remember()
        self._fill()
        return self._current

    def put_first(self, item: Item) -> None:
        """Show this one next: an undo, or a repeat."""
        self._ready.appendleft(item)
        self._remember()

    def put_last(self, item: Item) -> None:
        """Show this one after those that are ready."""
        self._ready.append(item)
        self._remember()
        self.arrived.emit()

    def pause(self) -> None:
        """Leave the model alone until `resume`."""
        self._paused, self._broken = True, False
        self._drop()

    def resume(self) -> None:
        """Go on."""
        self._paused = self._broken = False
        self._fill()

    def look_again(self) -> None:
        """A model has been chosen: go on, unless paused."""
        self._give_way()
        self._fill()

    def _model_loaded(self) -> None:
        """A model is there again: what its trouble has paused goes on."""
        if self._broken:
            self.resume()
        else:
            self._fill()

    def _drop(self) -> None:
        """Give up what is under way; its prompt is asked again later."""
        if self._asked:
            self._answerer.cancel(self._asked.request)
            self._waiting.appendleft(self._asked.prompt)
            self._asked = None

    def _fill(self) -> None:
        if self._paused or self._asked or self._keeping or not self._may_write():
            return
        if not self._waiting:
            if not self._ready and self._current is None:
                self.emptied.emit()
            return
        if not self._answerer.quiet or not self._answerer.ready:
            return
        if len(self._ready) < self._ahead:
            self._ask(self._waiting.popleft())

    def _ask(self, prompt: StoredPrompt) -> None:
        sampling = usual_sampling(self._store, self._project)
        seed = self._chance.randrange(_SEEDS)
        asked = self._answerer.ask(prompt.prompt, self._answers, sampling, seed, ahead=True)
        self._asked = _Asked(asked.request, prompt, self._project, asked.generator, seed)
        self.progressed.emit(0, self._answers)

    def _completion(self, reply: Completion) -> None:
        if self._asked and self._asked.request == reply.id:
            made = NewCompletion.of(reply, self._asked.seed)
            self._asked.completions[reply.completion] = made
            self.progressed.emit(len(self._asked.completions), self._answers)

    def _done(self, reply: Done) -> None:
        asked = self._asked
        if asked is None or asked.request != reply.id:
            return
        self._asked = None
        if reply.cancelled:  # somebody else needed the model
            self._waiting.appendleft(asked.prompt)
            self._fill()
            return
        self._keeping = asked
        completions = [asked.completions[number] for number in sorted(asked.completions)]
        self._tasks.run(
            keep_answers, self._store, asked.project, asked.prompt, completions, asked.generator, self._chance,
            on_success=lambda item: self._kept(asked, item),
            on_failure=lambda trouble: self._not_kept(asked, trouble),
        )  # fmt: skip

    def _kept(self, asked: _Asked, item: Item | None) -> None:
        if self._keeping is not asked:
            return
        self._keeping = None
        if item is None:
            self.failed.emit(asked.prompt)
        else:
            self._ready.append(item)
            self._remember()
            self.arrived.emit()
        self._fill()

    def _not_kept(self, asked: _Asked, trouble: AppError) -> None:
        if self._keeping is not asked:
            return
        self._keeping, self._paused = None, True
        self._waiting.appendleft(asked.prompt)
        self._say(trouble)

    def _trouble(self, request: str, trouble: AppError) -> None:
        asked = self._asked
        if asked is None or asked.request != request:
            return
        self._asked, self._paused, self._broken = None, True, True
        self._waiting.appendleft(asked.prompt)
        self._say(trouble)

    def _say(self, trouble: AppError) -> None:
        """Only to somebody who waits; what was written for later is tried again when it is needed, or a model is loaded."""
        if self._needed:
            self.troubled.emit(trouble)

    def _remember(self) -> None:
        """The item on screen counts as ready: after a crash it comes back."""
        shown = [self._current] if self._current else []
        kept = [item for item in (*shown, *self._ready) if not item.shared]  # found again by itself, for whoever judges then
        remember_ready(self._store, self._project, kept)
        self.readyChanged.emit(self.ready)
