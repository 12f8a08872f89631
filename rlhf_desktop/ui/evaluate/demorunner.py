"""Runs the sample project on a thread of its own and tells the window where it is."""

import threading
import traceback

from PySide6.QtCore import QObject, Signal

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.operations.demo import DemoEvent, run_demo


class _Stopped(Exception):
    """The user pressed Stop; what was done is kept."""


class DemoRunner(QObject):
    """One demo at a time. The thread is a daemon: closing the window does not wait for it, and starting again goes on."""

    progressed = Signal(object)  # DemoEvent
    succeeded = Signal(object)  # DemoReport
    failed = Signal(object)  # AppError
    stopped = Signal()

    def __init__(self, workspace: Workspace, work=run_demo, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._workspace, self._work = workspace, work
        self._asked_to_stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether a demo is under way."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin, or go on where the last one was cut short."""
        if not self.running:
            self._asked_to_stop.clear()
            self._thread = threading.Thread(target=self._run, name="sample project", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End at the next sign of progress."""
        self._asked_to_stop.set()

    def _tell(self, event: DemoEvent) -> None:
        if self._asked_to_stop.is_set():
            raise _Stopped
        self.progressed.emit(event)

    def _run(self) -> None:
        try:
            self.succeeded.emit(self._work(self._workspace, progress=self._tell))
        except _Stopped:
            self.stopped.emit()
        except AppError as trouble:
            self.failed.emit(trouble)
        except Exception as bug:
            self.failed.emit(AppError(f"The sample project stopped: {bug}", "Start it again: it goes on.", traceback.format_exc()))
