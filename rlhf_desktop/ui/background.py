"""Long work on a thread of its own: minutes with a model, which closing the window must not wait for."""

import threading
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, Signal

from rlhf_desktop.core.crash import bug_report
from rlhf_desktop.core.errors import AppError


class Stopped(Exception):
    """Raised inside the work at its next sign of progress after `stop`."""


class LongWork(QObject):
    """One piece of long work at a time, `work(progress)`. The thread is a daemon: the program ends without it.

    Args:
        name: Of the work, as a trouble says it.
        again: What to try after a bug in it.
    """

    progressed = Signal(object)
    succeeded = Signal(object)
    failed = Signal(object)  # AppError
    stopped = Signal()

    def __init__(self, name: str, again: str = "Please try again.", parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._name, self._again = name, again
        self._asked_to_stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._working = False  # until it tells its outcome: its thread may live a moment longer

    @property
    def running(self) -> bool:
        """Whether work is under way."""
        return self._working

    def start(self, work: Callable[[Callable[[Any], None]], Any]) -> None:
        """Begin, unless something is under way."""
        if not self.running:
            self._asked_to_stop.clear()
            self._working = True
            self._thread = threading.Thread(target=self._run, args=(work,), name=self._name, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End at the next sign of progress."""
        self._asked_to_stop.set()

    def wait(self, timeout_s: float = 10.0) -> None:
        """Wait for the end; for tests."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _tell(self, event: Any) -> None:
        if self._asked_to_stop.is_set():
            raise Stopped
        self.progressed.emit(event)

    def _run(self, work: Callable[[Callable[[Any], None]], Any]) -> None:
        outcome: tuple[Any, ...]
        try:
            outcome, tell = (work(self._tell),), self.succeeded
        except Stopped:
            outcome, tell = (), self.stopped
        except AppError as trouble:
            outcome, tell = (trouble,), self.failed
        except Exception as bug:
            said = AppError(f"{self._name.capitalize()} stopped: {bug}", self._again, bug_report(bug))
            outcome, tell = (said,), self.failed
        self._working = False
        tell.emit(*outcome)
