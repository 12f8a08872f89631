"""The whole window on a filled workspace: a real store, the fake worker, and nothing that works for minutes.

What starts work or destroys something is found, not listed: whatever the window's modules have imported from below that begins so.
Each such start is written down with what had the focus when the key or the click came, and how the focus got there.
"""

import importlib
import pkgutil
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from PySide6.QtCore import QCoreApplication, QEvent, QEventLoop, QObject, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractButton, QApplication, QDialog, QFileDialog, QMainWindow, QMenu, QWidget
from shiboken6 import isValid
from typing_extensions import override

import rlhf_desktop.ui
from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.files import write_json
from rlhf_desktop.core.paths import state_dir
from rlhf_desktop.hub.client import Hub
from rlhf_desktop.hub.library import Library
from rlhf_desktop.jobs import device
from rlhf_desktop.jobs.device import installation_key
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.ui.background import LongWork
from rlhf_desktop.ui.frame.desk import Desk
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.tasks import TaskRunner

sys.path.insert(0, str(Path(__file__).parents[2] / "packaging"))
import screenshot_content

BEGINS = ("start_checked", "run_demo", "erase", "delete_", "export_", "merge_", "import_feedback", "calibrate", "publish", "push")
LOOKS = ("look at the device", "looking through the comparisons")  # asked by rooms and pages as they open: nothing is sent or kept
ON_PURPOSE = (
    Qt.FocusReason.TabFocusReason,
    Qt.FocusReason.BacktabFocusReason,
    Qt.FocusReason.MouseFocusReason,
    Qt.FocusReason.ShortcutFocusReason,
)


class QuietQueue(Queue):
    """A queue whose runs nobody works on."""

    def ensure_supervisor(self) -> None:
        """Start nothing."""


@dataclass(frozen=True)
class Cause:
    """What the user did: to which widget, and how the focus had come to it."""

    what: str
    widget: str
    reason: Qt.FocusReason

    @property
    def on_purpose(self) -> bool:
        """Whether somebody went there, or was put there by the program."""
        return self.reason in ON_PURPOSE


@dataclass(frozen=True)
class Start:
    """Work that began, or something that was destroyed."""

    name: str
    cause: Cause


def _shown_by() -> str:
    """The program's line that shows a widget."""
    frames = [frame for frame in traceback.extract_stack() if "rlhf_desktop" in frame.filename and "tests" not in frame.filename]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "nothing of ours"


def _is_stray(widget: QWidget) -> bool:
    """Whether it is a window though it is part of one: shown before it had a place."""
    return widget.windowType() == Qt.WindowType.Window and not isinstance(widget, QMainWindow)


class Watcher(QObject):
    """How the focus came to whatever has it (the program's buttons know; this knows it of everything), and what windows appear."""

    def __init__(self) -> None:
        super().__init__()
        self.now = Qt.FocusReason.NoFocusReason
        self._had: QWidget | None = None
        self._tabbing = False  # the Tab key is being heard
        self._meant: QWidget | None = None  # where the user went last
        self.strays: list[str] = []  # what was shown as a window of its own, and is none

    @override
    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent):
            self._tabbing = event.type() == QEvent.Type.KeyPress and event.key() in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab)
        if event.type() == QEvent.Type.FocusIn and isinstance(watched, QWidget) and event.reason() not in _RETURNS:
            self._came(watched, event.reason())
        if event.type() == QEvent.Type.Show and isinstance(watched, QWidget) and _is_stray(watched):
            self.strays.append(f"{named(watched)}, shown in {_shown_by()}")
        return False

    def _came(self, widget: QWidget, reason: Qt.FocusReason) -> None:
        """A button that is disabled while it works has the focus again afterwards, if the user went nowhere else: that is meant."""
        moved_on = self._had is not None and isValid(self._had) and not (self._had.isVisible() and self._had.isEnabled())
        if reason in _BY_TAB and moved_on and not self._tabbing:
            reason = Qt.FocusReason.OtherFocusReason  # Qt itself goes on as with Tab from what is disabled or hidden
        if reason in ON_PURPOSE:
            self._meant = widget
        elif reason == Qt.FocusReason.PopupFocusReason and widget is self._meant:
            reason = Qt.FocusReason.TabFocusReason
        self.now, self._had = reason, widget


_BY_TAB = (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)
_RETURNS = (Qt.FocusReason.ActiveWindowFocusReason, Qt.FocusReason.MenuBarFocusReason)


def _no_hub(_client) -> NoReturn:
    """The real one, where it cannot be reached, is asked again and again, for half a minute each time."""
    raise AppError("The Hub is not there in this test.", "Go on.")


class Starts:
    """Writes down what starts. Nothing of it is done: whoever asked is told that it failed."""

    def __init__(self, monkeypatch, only_look: bool) -> None:
        self.seen: list[Start] = []
        self.cause = Cause("nothing", "", Qt.FocusReason.NoFocusReason)
        self._thread = threading.local()
        for module, name in beginners():
            if not (only_look and name == "start_checked"):
                monkeypatch.setattr(module, name, self._refusing(name))
        monkeypatch.setattr(LongWork, "start", self._not_begun())
        monkeypatch.setattr(Library, "ensure_starter", self._refusing("ensure_starter"))
        monkeypatch.setattr(device, "_ask", self._refusing("look at the device"))
        monkeypatch.setattr(Hub, "api", _no_hub)
        monkeypatch.setattr(TaskRunner, "run", self._with_cause(TaskRunner.run))

    def _refusing(self, name: str) -> Callable:
        def refuse(*_arguments, **_more):
            self.seen.append(Start(name, getattr(self._thread, "cause", self.cause)))
            raise AppError("Not in this test.", "Go on.")

        return refuse

    def _not_begun(self) -> Callable:
        def start(work: LongWork, _do) -> None:
            self.seen.append(Start(work._name, self.cause))
            work.failed.emit(AppError("Not in this test.", "Go on."))

        return start

    def _with_cause(self, run: Callable) -> Callable:
        """What runs on another thread began when it was asked for."""

        def asked(runner: TaskRunner, work, *arguments, **more):
            cause = self.cause

            def carried(*given, **keywords):
                self._thread.cause = cause
                return work(*given, **keywords)

            carried.__signature__ = _signature(work)
            return run(runner, carried, *arguments, **more)

        return asked

    def accidental(self) -> list[Start]:
        """Those whose control nobody had gone to."""
        return [start for start in self.seen if not start.cause.on_purpose and start.name not in LOOKS]


def _signature(work):
    import inspect

    try:
        return inspect.signature(work)
    except ValueError:
        return inspect.Signature()


def beginners() -> Iterator[tuple[object, str]]:
    """Where the window's modules hold a function from below that begins something."""
    for found in pkgutil.walk_packages(rlhf_desktop.ui.__path__, "rlhf_desktop.ui."):
        module = importlib.import_module(found.name)
        for name, value in vars(module).items():
            if name.startswith(BEGINS) and callable(value) and not isinstance(value, type):
                yield module, name


class Whole:
    """The window, and hands for it."""

    def __init__(self, context, starts: Starts, morning) -> None:
        self.context, self.starts, self.morning = context, starts, morning
        self.window = Window(context)
        self.desk = Desk(context, self.window)
        self.reasons = Watcher()
        QApplication.instance().installEventFilter(self.reasons)
        self.troubles: list[AppError] = []
        context.session.troubled.connect(self.troubles.append)

    def open(self, qtbot) -> None:
        """Show it, and let it find what it looks for."""
        self.window.show()
        self.window.activateWindow()
        qtbot.waitUntil(self.window.isActiveWindow)
        self.desk.show_project()
        self.window.show_room("chat")
        self.context.chat.load(self.context.session.base)
        self.settle()

    def settle(self) -> None:
        """Until nothing is under way."""
        rest = 0
        while rest < 2:
            self.context.tasks.wait(30_000)
            QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents)
            QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
            busy = self.context.tasks.busy or self.context.chat.state in ("busy", "loading", "starting")
            rest = 0 if busy else rest + 1
            if busy:
                QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)

    @property
    def focus(self) -> QWidget | None:
        """What has the keys."""
        return QApplication.activePopupWidget() or QApplication.focusWidget() or QApplication.activeWindow() or self.window

    def causing(self, what: str) -> None:
        """The next thing the user does, to what has the focus now."""
        widget, reason = QApplication.focusWidget(), self.reasons.now
        if isinstance(QApplication.activePopupWidget(), QMenu):  # opened by a key, it has the keys itself: what is chosen is meant
            reason = Qt.FocusReason.ShortcutFocusReason
        self.starts.cause = Cause(what, named(widget), reason)

    def dialogs(self) -> list[QDialog]:
        """Dialogs that are open."""
        return [top for top in QApplication.topLevelWidgets() if isinstance(top, QDialog) and top.isVisible()]

    def close_dialogs(self) -> None:
        """As with Esc. Files are chosen in the system's own dialog: that is none of this program's."""
        for dialog in self.dialogs():
            dialog.reject()
        QCoreApplication.processEvents()

    def put_away(self) -> None:
        """Before the window is destroyed."""
        QApplication.instance().removeEventFilter(self.reasons)
        self.desk._clock.stop()
        self.context.chat.stateChanged.disconnect()
        self.context.tasks.wait()


def named(widget: QWidget | None) -> str:
    """A widget in words."""
    if widget is None:
        return "nothing"
    text = widget.text() if isinstance(widget, QAbstractButton) else ""
    return f"{type(widget).__name__} “{widget.accessibleName() or text}”"


@contextmanager
def no_other_window(monkeypatch) -> Iterator[list[str]]:
    """The system's file dialog, the browser and the file manager are asked for and not opened; says which."""
    asked: list[str] = []
    from PySide6.QtGui import QDesktopServices

    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: asked.append(url.toString()) or True)
    monkeypatch.setattr(QFileDialog, "open", lambda dialog, *_: (asked.append(dialog.windowTitle()), dialog.reject()))
    yield asked


def make_whole(context, monkeypatch, only_look: bool = False) -> Whole:
    """The window on a morning's feedback, with runs and models in every state."""
    from dataclasses import replace

    from rlhf_desktop.ui.context import Session

    write_json(state_dir() / "device.json", {"key": installation_key(), "device": screenshot_content.DEVICE})  # nobody has to look
    prompts = tuple(text.replace("broken", "damaged") for text in screenshot_content.PROMPTS)  # at “broken” the fake worker ends
    monkeypatch.setattr(screenshot_content, "PROMPTS", prompts)
    morning = screenshot_content.fill(context.workspace, context.store)
    session = Session(morning.project)
    session._base, session._adapter = morning.base, morning.adapter
    queue = QuietQueue(context.workspace)
    starts = Starts(monkeypatch, only_look)
    return Whole(replace(context, session=session, queue=queue), starts, morning)
