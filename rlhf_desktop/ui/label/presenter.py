"""Decides what happens in Label: which item is shown, when the next one comes, what the session adds up to. Knows no widget."""

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from PySide6.QtCore import QObject, Signal

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.judgements import Judgement, Ranking
from rlhf_desktop.feedback.quality import Repeat
from rlhf_desktop.operations.labelling import Item, LabelQueue, label_queue
from rlhf_desktop.operations.quality import next_repeat
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.judging.presenter import Judging, Saved

_LOOK_EACH = 5  # judgements between two looks for an item that is due to return
_PACE_OF = 20  # the last so many judgements say how fast it goes


@dataclass(frozen=True)
class Progress:
    """How far the queue is. `pace_s` and `left_s` are None until there is something to go by."""

    judged: int
    total: int
    ready: int
    pace_s: float | None
    left_s: float | None


@dataclass
class Sitting:
    """What has been judged since Begin."""

    began: float
    seconds: list[float] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    ties: int = 0
    failed: int = 0

    @property
    def pace_s(self) -> float | None:
        """The usual time for one item."""
        return statistics.median(self.seconds[-_PACE_OF:]) if self.seconds else None

    def add(self, judgement: Judgement) -> None:
        """One more."""
        self.seconds.append(judgement.seconds_spent or 0.0)
        self.kinds.append(judgement.kind)
        verdict = judgement.verdict
        self.ties += isinstance(verdict, Ranking) and len(set(verdict.ranks)) == 1

    def take_back(self) -> None:
        """One less."""
        if self.seconds:
            self.seconds.pop()
            self.kinds.pop()


class LabelPresenter(QObject):
    """One item after the other."""

    counted = Signal(object)  # LabelQueue, while nothing has begun
    itemShown = Signal(list)  # the prompt's messages
    waitingBegan = Signal()  # no item is ready yet
    answersWritten = Signal(int, int)  # of the item under way, while waiting
    finished = Signal(object)  # Sitting: the queue is empty, or the user ended it
    progressed = Signal(object)  # Progress
    troubled = Signal(object)  # AppError

    def __init__(
        self,
        context: Context,
        who: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._context, self._clock, self._who = context, clock, who
        self._chance = chance or random.Random()
        self._returning = False  # whether an item judged before is on its way back
        self.judging = Judging(context.store, context.session, who, clock, self)
        self.lookahead = context.ahead
        self.sitting: Sitting | None = None
        self._queue: LabelQueue | None = None
        self._item: Item | None = None
        self._done: dict[tuple[str, ...], Item] = {}  # what was judged in this sitting, to be shown again when it is taken back
        self._counted_done = 0  # how many of those the queue knew of when it was counted
        self.judging.saved.connect(self._saved)
        self.judging.troubled.connect(self.troubled)
        self.lookahead.arrived.connect(self._arrived)
        self.lookahead.emptied.connect(self._emptied)
        self.lookahead.failed.connect(self._failed)
        self.lookahead.progressed.connect(self.answersWritten)
        self.lookahead.troubled.connect(self.troubled)
        context.session.judgementTakenBack.connect(self._taken_back)
        context.session.judgementRestored.connect(self._restored)
        self.lookahead.readyChanged.connect(self._say_progress)

    # --- the queue

    def refresh(self) -> None:
        """Look at what waits, unless a sitting is under way."""
        if self.sitting is None:
            self._count(self._counted)

    def _count(self, then: Callable[[LabelQueue], None]) -> None:
        project, made = self._context.session.project, self._made()

        def counted(queue: LabelQueue) -> None:
            if project == self._context.session.project:
                self._counted_done = made
                then(queue)

        self._context.tasks.run(
            label_queue, self._context.store, project, self._who(), on_success=counted, on_failure=self.troubled.emit
        )  # fmt: skip

    def _made(self) -> int:
        """Items of the queue judged in this sitting."""
        return sum(not item.repeats for item in self._done.values()) if self.sitting is not None else 0

    def _counted(self, queue: LabelQueue) -> None:
        self._queue = queue
        if self.sitting is None:
            self.lookahead.start(queue.waiting, queue.protocol.answers, queue.ready)
            self.counted.emit(queue)
            self._say_progress()

    def begin(self) -> None:
        """Start a sitting."""
        if self._queue is not None and self.sitting is None:
            self.sitting, self._done, self._returning = Sitting(self._clock()), {}, False
            self._counted_done = 0
            self._start(self._queue)

    def go_on(self) -> None:
        """Start a sitting as soon as it is known what waits: the window was closed in one, and has opened again."""

        def known(queue: LabelQueue) -> None:
            self._counted(queue)
            self.begin()

        self._count(known)

    def restart(self) -> None:
        """The prompts or the protocol have changed: look again, and go on."""
        if self.sitting is None:
            self.refresh()
        else:
            self._count(self._start)

    def _start(self, queue: LabelQueue) -> None:
        self._queue = queue
        self.judging.put_away()
        self._item = None
        self.lookahead.start(queue.waiting, queue.protocol.answers, [*queue.ready, *queue.shared], sitting=True)
        self.lookahead.set_needed(True)
        self.next()

    def end(self) -> None:
        """End the sitting. An item begun stays as a draft."""
        sitting, self.sitting = self.sitting, None
        self.judging.put_away()
        self.lookahead.release()
        self._item = None
        if sitting is not None:
            self.finished.emit(sitting)

    def leave(self) -> None:
        """Forget everything: another project."""
        self.sitting = None
        self.lookahead.stop()  # first: the item on screen belongs to the project before
        self.end()
        self._queue = None

    def set_in_front(self, on: bool) -> None:
        """While the room is looked at somebody waits for the next item; otherwise they are written for later."""
        self.lookahead.set_needed(on and self.sitting is not None)

    # --- one item after the other

    def next(self) -> None:
        """Show the next item, at once if it is ready."""
        self._item = self.lookahead.take()
        if self._item is not None:
            self._show(self._item)
        elif self.sitting is not None:
            self.waitingBegan.emit()
        self._say_progress()

    def _show(self, item: Item, judgement: Judgement | None = None) -> None:
        self._item = item
        if judgement is None:
            self.judging.begin(item.displayed, item.key, "repeat" if item.repeats else "label")
        else:
            self.judging.take_up(judgement, item.key)
        self.itemShown.emit(self._prompt(item))

    def _prompt(self, item: Item) -> Messages:
        tree = self._context.store.conversations.tree(item.conversation_id)
        return tree.prompt_of(item.displayed[0])

    def _arrived(self) -> None:
        if self.sitting is not None and self._item is None:
            self.next()
        self._say_progress()

    def _emptied(self) -> None:
        """The queue is done, or the part of it that was read: then the next."""
        if self.sitting is None or self._item is not None:
            return
        if self._queue is not None and self._queue.more and self._made() > self._counted_done:
            self.restart()
        else:
            self.end()

    def _failed(self, _prompt: object) -> None:
        if self.sitting is not None:
            self.sitting.failed += 1

    def _saved(self, saved: Saved) -> None:
        if self.sitting is None or self._item is None:
            return
        self._done[saved.showing.displayed] = self._item
        self.sitting.add(saved.judgement)
        if self._item.repeats:
            self._returning = False
        self._item = None
        self.next()
        goes_on = self.sitting is not None  # the last item ends it
        if goes_on and not self._returning and len(self.sitting.seconds) % _LOOK_EACH == 0:
            self._look_for_repeat()

    def _look_for_repeat(self) -> None:
        """Now and then an item comes back silently, in another order: among the others, so that nothing gives it away."""
        context, project = self._context, self._context.session.project
        context.tasks.run(
            next_repeat, context.store, project, self._who(), self._chance,
            on_success=lambda found: self._repeat(found) if found and project == context.session.project else None,
            on_failure=self.troubled.emit,
        )  # fmt: skip

    def _repeat(self, repeat: Repeat) -> None:
        if self.sitting is None or self._returning:
            return
        self._returning = True  # until it is judged, every look finds that one is due
        conversation = self._context.store.conversations.message(repeat.displayed[0]).conversation_id
        self.lookahead.put_last(Item("", conversation, repeat.displayed, repeat.of.id))

    def _taken_back(self, judgement: Judgement) -> None:
        """An item of this sitting was undone: it is shown again, and the one it interrupts comes after it."""
        item = self._done.pop(judgement.displayed, None)
        if self.sitting is None or item is None:
            return
        self.judging.put_away()
        if self._item is not None:
            self.lookahead.put_first(self._item)
        self.sitting.take_back()
        self._show(item, judgement)
        self._say_progress()

    def _restored(self, judgement: Judgement) -> None:
        """The item shown to be judged again counts again: the next one."""
        item = self._item
        if self.sitting is not None and item is not None and item.displayed == judgement.displayed:
            self.judging.put_away()
            self._done[item.displayed] = item
            self.sitting.add(judgement)
            self.next()

    def _say_progress(self, _ready: int = 0) -> None:
        queue = self._queue
        if queue is None:
            return
        made = self._made() - self._counted_done
        pace = self.sitting.pace_s if self.sitting is not None else None
        left = max(0, queue.total - queue.judged - made)
        self.progressed.emit(
            Progress(queue.judged + made, queue.total, self.lookahead.ready, pace, None if pace is None else pace * left)
        )
