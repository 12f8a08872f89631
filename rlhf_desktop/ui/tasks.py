"""Work that takes over 50 ms leaves the GUI thread here, and its outcome comes back as a signal on the GUI thread."""

import functools
import inspect
import itertools
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from PySide6.QtCore import QObject, Qt, Signal, Slot
from shiboken6 import isValid

from rlhf_desktop.core.crash import bug_report
from rlhf_desktop.core.errors import AppError

Outcome = TypeVar("Outcome")  # of one piece of work


@dataclass(frozen=True, eq=False)
class Task:
    """One piece of work under way, and who hears of it. Plain Python: a QObject a task, deleted as often, has crashed Qt."""

    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    heard_by: dict[str, Callable[[Any], object] | None]  # by "succeeded", "failed", "progressed"

    def tell(self, name: str, value: Any) -> None:
        """Call who wants to hear it, unless they are gone."""
        callback = self.heard_by[name]
        owner = getattr(callback, "__self__", None)
        if callback is not None and (not isinstance(owner, QObject) or isValid(owner)):
            with unless_gone():
                callback(value)


SWITCH_S = 0.001  # after so long a thread that computes in Python gives way; with the usual 5 ms the window waits noticeably


class TaskRunner(QObject):
    """Runs functions on a small pool of Python's threads.

    A function with a parameter `on_progress` is given one, callable from its thread. Python's threads, so that nothing of Qt's but
    the signal is ever touched from another thread.
    """

    _told = Signal(int, str, object)  # task number, what happened, value: from the threads to the GUI thread

    def __init__(self, parent: QObject | None = None, threads: int = 4) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(threads, "task")
        self._started: set[Future[None]] = set()
        sys.setswitchinterval(SWITCH_S)
        self._running: dict[int, Task] = {}  # the threads know only the number: what a task belongs to must not end its life there
        self._numbers = itertools.count()
        self._told.connect(self._pass_on, Qt.ConnectionType.QueuedConnection)

    def run(
        self,
        work: Callable[..., Outcome],
        *arguments: Any,
        on_success: Callable[[Outcome], object] | None = None,
        on_failure: Callable[[AppError], object] | None = None,
        on_progress: Callable[[Any], object] | None = None,
    ) -> Task:
        """Start `work(*arguments)`. The callbacks run on the GUI thread.

        Bugs in `work` reach `on_failure` wrapped in an AppError, with the traceback as its detail.
        """
        task = Task(work, arguments, {"succeeded": on_success, "failed": on_failure, "progressed": on_progress})
        number = next(self._numbers)
        self._running[number] = task
        started = self._pool.submit(_carry_out, [(work, arguments)], functools.partial(self._told.emit, number))
        self._started = {future for future in self._started if not future.done()} | {started}
        return task

    @property
    def busy(self) -> bool:
        """Whether something is under way, or has ended and nobody has heard of it yet."""
        return bool(self._running)

    def wait(self, timeout_ms: int = 5000) -> bool:
        """Wait for what is under way. True when all has ended."""
        return not wait(self._started, timeout_ms / 1000).not_done

    def close(self) -> None:
        """Wait, and tell nobody any more: what they would do with an answer needs what is being closed."""
        self.wait()
        self._running.clear()

    @Slot(int, str, object)
    def _pass_on(self, number: int, name: str, value: Any) -> None:
        task = self._running.pop(number, None) if name == "ended" else self._running.get(number)
        if task is not None and name != "ended":
            task.tell(name, value)


def _carry_out(held: list[tuple[Callable[..., Any], tuple[Any, ...]]], emit: Callable[[str, Any], None]) -> None:
    """Do the work that is held. The pool keeps the list for a moment more, so it is emptied: its parts end their life elsewhere."""
    work, arguments = held.pop()
    tell = functools.partial(_tell, emit)
    try:
        keywords = {"on_progress": lambda value: tell("progressed", value)} if _takes_progress(work) else {}
        tell("succeeded", work(*arguments, **keywords))
    except AppError as trouble:
        tell("failed", trouble)
    except Exception as bug:
        tell("failed", AppError(f"Something went wrong: {bug}", "Nothing is lost; please try again.", bug_report(bug)))
    finally:
        del work, arguments  # before it is said that this has ended
        tell("ended", None)


def _tell(emit: Callable[[str, Any], None], name: str, value: Any) -> None:
    """Emit, unless the window has closed meanwhile: then nobody listens any more."""
    with unless_gone():
        emit(name, value)


@contextmanager
def unless_gone() -> Iterator[None]:
    """Whoever is called may belong to a widget that Qt has deleted, which of a lambda cannot be known before."""
    try:
        yield
    except RuntimeError as problem:
        if "deleted" not in str(problem):
            raise


def _takes_progress(work: Callable[..., Any]) -> bool:
    try:
        return "on_progress" in inspect.signature(work).parameters
    except ValueError:
        return False
