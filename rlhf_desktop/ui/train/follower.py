"""Follows one run: reads its new events off the GUI thread, a slice at a time, so that a long replay never freezes."""

from PySide6.QtCore import QObject, QTimer, Signal

from rlhf_desktop.core.runs import RunEvent
from rlhf_desktop.jobs.follow import EventReader
from rlhf_desktop.jobs.runfolder import RunCondition, RunFolder
from rlhf_desktop.ui.tasks import TaskRunner
from rlhf_desktop.ui.train.runview import RunView

POLL_MS = 400
_SLICE_BYTES = 96 * 1024  # read, then folded in one go: a few hundred events, about 10 ms of either thread


class RunFollower(QObject):
    """A run's page, kept true while the run goes on.

    Args:
        tasks: Reads on its threads.
        run: The run to follow from its first event.
    """

    changed = Signal(object)  # the set of event types just folded in
    conditionChanged = Signal(object)  # the RunCondition, whenever it was looked at
    ended = Signal()  # while it was followed
    replayed = Signal()  # everything written so far is in `view`

    def __init__(self, tasks: TaskRunner, run: RunFolder, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.view = RunView()
        self.condition: RunCondition | None = None
        self._tasks, self._run = tasks, run
        self._reader = EventReader(run.events)
        self._reading = False
        self._clock = QTimer(self)
        self._clock.setInterval(POLL_MS)
        self._clock.timeout.connect(self.poll)

    def start(self) -> None:
        """Read what there is, and go on looking."""
        self.poll()
        self._clock.start()

    def stop(self) -> None:
        """Look no more; what was read stays."""
        self._clock.stop()

    def poll(self) -> None:
        """Look once, unless a look is under way."""
        if self._reading:
            return
        self._reading = True
        self._tasks.run(self._read, on_success=self._arrived, on_failure=self._failed)

    def _read(self) -> tuple[RunCondition, list[RunEvent]]:
        condition = self._run.state()  # before the events: what was written before the end is then not missed
        return condition, self._reader.read_new(_SLICE_BYTES)

    def _arrived(self, found: tuple[RunCondition, list[RunEvent]]) -> None:
        self._reading = False
        before, (self.condition, events) = self.condition, found
        if events:
            self.changed.emit(self.view.apply(events))
        self.conditionChanged.emit(self.condition)
        if before is not None and self.condition.ended and not before.ended:
            self.ended.emit()
        if self._reader.behind:
            self.poll()
        else:
            self.replayed.emit()

    def _failed(self, _trouble: object) -> None:
        self._reading = False  # a damaged folder: its row in the list says so
