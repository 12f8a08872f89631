"""A window that labels by itself, as fast as it can, and notes what it was told is saved. Run by test_label_kills, and killed.

    python labelling_script.py WORKSPACE LOG

The log holds a line for each saved judgement ("saved <id>") and each kept draft ("draft <key> <its JSON>"), written after the fact.
"""

import json
import os
import random
import sys
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.hub.library import Library
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.operations.projects import open_project
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.chat.worker_client import WorkerClient
from rlhf_desktop.ui.context import Context, Session
from rlhf_desktop.ui.label.room import LabelRoom
from rlhf_desktop.ui.tasks import TaskRunner
from rlhf_desktop.ui.theme.style import Theme

FAKE_WORKER = [sys.executable, str(Path(__file__).parent.parent / "gui" / "fake_worker.py")]
PROMPTS = 4000


def main() -> None:
    app = QApplication([])
    workspace = Workspace(Path(sys.argv[1])).ensure()
    log = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    store = Store.open(workspace.database)
    project = open_project(store, "Kills")
    if not store.prompts.sets(project.id):
        questions = [[{"role": "user", "content": f"question {n}"}] for n in range(PROMPTS)]
        store.prompts.create_set(project.id, "many", questions)
    session = Session(project)
    session.set_model(ModelRef(name="Tiny", path="/nowhere", hash="tiny"))
    worker, theme = WorkerClient(FAKE_WORKER), Theme(app, "light")
    context = Context(workspace, store, Queue(workspace), Library(workspace), session, worker, TaskRunner(), theme)
    room = LabelRoom(context)
    room.widget().show()
    judging, chance = room.presenter.judging, random.Random()
    judging.saved.connect(lambda saved: os.write(log, f"saved {saved.judgement.id}\n".encode()))

    def note(draft) -> None:
        if judging.showing is not None and not draft.empty:
            os.write(log, f"draft {judging.showing.key} {json.dumps(draft.to_json())}\n".encode())

    judging.changed.connect(note)

    def step() -> None:
        if judging.showing is not None:
            left = judging.draft.ranking.unplaced
            judging.press(chance.choice(left)) if len(left) > 1 else judging.submit()

    clock = QTimer()
    clock.timeout.connect(step)
    room.activated()

    def begin() -> None:
        room.ready.button.click()
        clock.start(3)

    room.presenter.counted.connect(lambda _queue: room.presenter.sitting is None and QTimer.singleShot(0, begin))
    app.exec()


main()
