"""Work that takes over 50 ms leaves the GUI thread here, and its outcome comes back as a signal on the GUI thread."""

import inspect
import traceback
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QRunnable, QThreadPool, Signal, Slot

from rlhf_desktop.core.errors import AppError


class Task(QObject):
    """One piece of work under way. Connect before returning to the event loop."""

    progressed = Signal(object)  # whatever the work reports
    succeeded = Signal(object)  # its return value
    failed = Signal(object)  # an AppError; bugs arrive wrapped in one, with the traceback as its detail
    ended = Signal()


class TaskRunner(QObject):
    """Runs functions on a small thread pool.

    A function with a parameter `on_progress` is given one, callable from its thread.
    """

    def __init__(self, parent: QObject | None = None, threads: int = 4) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(threads)
        self._running: set[Task] = set()

    def run(
        self,
        work: Callable[..., Any],
        *arguments: Any,
        on_success: Callable[[Any], None] | None = None,
        on_failure: Callable[[AppError], None] | None = None,
        on_progress: Callable[[Any], None] | None = None,
    ) -> Task:
        """Start `work(*arguments)`. The callbacks run on the GUI thread and should belong to an object that lives on."""
        task = Task(self)
        self._running.add(task)
        task.ended.connect(self._forget)
        for signal, callback in ((task.succeeded, on_success), (task.failed, on_failure), (task.progressed, on_progress)):
            if callback is not None:
                signal.connect(_Receiver(task, callback).receive)
        self._pool.start(_Runnable(task, work, arguments))
        return task

    def wait(self, timeout_ms: int = 5000) -> bool:
        """Wait for what is under way; for closing the program and for tests. True when all has ended."""
        return self._pool.waitForDone(timeout_ms)

    @Slot()
    def _forget(self) -> None:
        task = self.sender()
        self._running.discard(task)
        task.deleteLater()


class _Receiver(QObject):
    """Lives on the GUI thread, so that a plain function connected through it is called there."""

    def __init__(self, parent: QObject, callback: Callable[[Any], None]) -> None:
        super().__init__(parent)
        self._callback = callback

    @Slot(object)
    def receive(self, value: Any) -> None:
        self._callback(value)


class _Runnable(QRunnable):
    def __init__(self, task: Task, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        super().__init__()
        self._task, self._work, self._arguments = task, work, arguments

    def run(self) -> None:
        try:
            keywords = {"on_progress": self._task.progressed.emit} if _takes_progress(self._work) else {}
            self._task.succeeded.emit(self._work(*self._arguments, **keywords))
        except AppError as trouble:
            self._task.failed.emit(trouble)
        except Exception as bug:
            self._task.failed.emit(
                AppError(f"Something went wrong: {bug}", "Nothing is lost; please try again.", traceback.format_exc())
            )
        finally:
            self._task.ended.emit()


def _takes_progress(work: Callable[..., Any]) -> bool:
    try:
        return "on_progress" in inspect.signature(work).parameters
    except ValueError:
        return False
