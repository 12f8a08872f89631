"""A window on a real store and a fake inference worker, without a screen."""

import os
import random
import sys
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest
from pytestqt.qtbot import QtBot
from typing_extensions import override

from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.hub.library import Library
from rlhf_desktop.jobs import device
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.chat.worker_client import WorkerClient
from rlhf_desktop.ui.context import Context, Session
from rlhf_desktop.ui.garbage import GuiThreadCollector
from rlhf_desktop.ui.tasks import TaskRunner
from rlhf_desktop.ui.theme.style import Theme

FAKE_WORKER = [sys.executable, str(Path(__file__).with_name("fake_worker.py"))]
BASE = ModelRef(name="Tiny", path="/nowhere", hash="tiny-hash")

COMPUTER = {
    "device": "cpu",
    "name": "Test CPU",
    "memory_total_bytes": 8 * 2**30,
    "memory_available_bytes": 8 * 2**30,
    "ram_total_bytes": 8 * 2**30,
    "ram_available_bytes": 8 * 2**30,
    "fast_dtype": "float32",
    "versions": {},
}
WAIT_MS = 30_000  # ends at once when what is waited for happens; a machine under load may take long to get there


class PatientBot(QtBot):
    """pytest-qt's, which gives up only when nothing will come any more."""

    @override
    def waitUntil(self, callback, *, timeout=WAIT_MS):
        super().waitUntil(callback, timeout=timeout)

    @override
    def waitSignal(self, signal, *, timeout=WAIT_MS, **more):
        return super().waitSignal(signal, timeout=timeout, **more)

    @override
    def waitSignals(self, signals, *, timeout=WAIT_MS, **more):
        return super().waitSignals(signals, timeout=timeout, **more)


@pytest.fixture
def qtbot(qapp, request):
    return PatientBot(request)


@pytest.fixture(scope="session", autouse=True)
def collector(qapp):
    """As in the program: widgets are destroyed on the GUI thread only."""
    made = GuiThreadCollector()
    yield made
    made.release()


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "feedback.db") as opened:
        yield opened


@pytest.fixture
def client(qtbot):
    made = WorkerClient(FAKE_WORKER)
    yield made
    if made.process_id:
        with qtbot.waitSignal(made.ended):
            made.close()


@pytest.fixture
def session(store, qapp):
    made = Session(store.projects.create("Test project"))
    made.set_model(BASE)
    return made


@pytest.fixture(scope="session")
def dressed(qapp):
    """The one theme: dressing the application again takes as long as many tests."""
    return Theme(qapp, "light")


@pytest.fixture
def theme(qapp, dressed):
    before = qapp.styleSheet()
    yield dressed
    dressed.blockSignals(True)  # or a window of this test would keep the size in a store that is closed
    dressed.set_text_size(100)  # keys pressed at random, and a walk through the settings, have changed it
    dressed.blockSignals(False)
    if qapp.styleSheet() != before:
        dressed.set_mode("light")


@pytest.fixture
def context(tmp_path, store, client, session, theme, monkeypatch):
    monkeypatch.setenv("RLHF_DESKTOP_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(device, "_ask", lambda _command: COMPUTER)  # the real one starts a process that imports torch
    workspace = Workspace(tmp_path).ensure()
    tasks = TaskRunner()
    yield Context(
        workspace=workspace,
        store=store,
        queue=Queue(workspace),
        library=Library(workspace),
        session=session,
        chat=client,
        tasks=tasks,
        theme=theme,
    )
    tasks.wait(WAIT_MS)
    tasks.close()


@pytest.fixture
def chance():
    return random.Random(7)
