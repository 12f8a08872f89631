"""The window that pictures are taken of: on a filled workspace, with nothing behind it that computes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import screenshot_content as content
from PySide6.QtGui import QCursor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from rlhf_desktop.core.files import write_json
from rlhf_desktop.core.paths import Workspace, state_dir
from rlhf_desktop.core.protocol import Loaded
from rlhf_desktop.hub.library import Library
from rlhf_desktop.jobs.device import installation_key
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.chat.worker_client import WorkerClient
from rlhf_desktop.ui.context import Context, Session
from rlhf_desktop.ui.frame.desk import Desk
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.tasks import TaskRunner
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.style import Theme

REST_MS = 180  # longer than any pause and motion of the window
_SILENT_WORKER = [sys.executable, "-c", "import sys; sys.stdin.read()"]
Scene = Callable[["Studio"], None]


class QuietQueue(Queue):
    """A queue whose runs nobody works on: the pictures show them as they were written."""

    def ensure_supervisor(self) -> None:
        """Start nothing."""


class Studio:
    """A window on a filled workspace."""

    def __init__(self, app: QApplication, root: Path, size: tuple[int, int], scale: float) -> None:
        write_json(state_dir() / "device.json", {"key": installation_key(), "device": content.DEVICE})  # nobody has to look
        self.workspace = Workspace(root).ensure()
        self.store = Store.open(self.workspace.database)
        self.story = content.fill(self.workspace, self.store)
        font = app.font()
        font.setPixelSize(round(t.SYSTEM_FONT_PX * scale))
        app.setFont(font)
        self.theme = Theme(app, "light")
        session = Session(self.story.project)
        self.tasks = TaskRunner(app)
        chat = WorkerClient(_SILENT_WORKER, dict(os.environ), root, app)
        queue, library = QuietQueue(self.workspace), Library(self.workspace)
        self.context = Context(self.workspace, self.store, queue, library, session, chat, self.tasks, self.theme)
        self.window = Window(self.context)
        self.desk = Desk(self.context, self.window)
        self.window.resize(*size)
        session._base, session._adapter = self.story.base, self.story.adapter
        QCursor.setPos(*(part - 1 for part in size))  # the rail opens under the pointer
        self.window.show()
        self.desk.show_project()
        self.desk._show_model()
        self.desk.look()

    def settle(self, rounds: int = 3) -> None:
        """Let background work arrive, and what it leads to, and layouts come to rest; so many times."""
        for _ in range(rounds):
            resting = False
            while not resting:
                self.tasks.wait()
                resting = not self.tasks.busy
                QTest.qWait(REST_MS)

    def show_loaded(self) -> None:
        """The silent worker has no model; the status bar says it has."""
        self.context.chat.loaded = Loaded(id="", device="cpu", dtype="bfloat16", load_s=1.0)
        self.desk._show_model()

    def close(self) -> None:
        """Give everything back."""
        self.window.close()
        self.context.chat.kill()
        self.settle(1)
        self.tasks.wait()
        self.store.close()
