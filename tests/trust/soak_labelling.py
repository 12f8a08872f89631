"""Label's room labels by itself, so many items; prints how much more the process holds in the end. Run by test_trust_soak.

python soak_labelling.py FOLDER CYCLES
"""

import json
import os
import sys
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.feedback.judgements import Judgement, Ranking
from rlhf_desktop.hub.library import Library
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.operations.opening import open_store
from rlhf_desktop.operations.projects import open_project
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.chat.worker_client import WorkerClient
from rlhf_desktop.ui.context import Context, Session
from rlhf_desktop.ui.garbage import GuiThreadCollector
from rlhf_desktop.ui.label.room import LabelRoom
from rlhf_desktop.ui.people import who_am_i
from rlhf_desktop.ui.tasks import TaskRunner
from rlhf_desktop.ui.theme.style import Theme
from tests.trust.soaking import Soak

FAKE_WORKER = [sys.executable, str(Path(__file__).parents[1] / "gui" / "fake_worker.py")]
LOOKS, BEFORE = 10, 2000


def judged_before(store: Store, project: Project) -> None:
    """As many as are read back to choose one that returns: until there are so many, more memory is needed for each."""
    with store.connection.transaction():
        for number in range(BEFORE):
            _, question = store.conversations.start(project.id, [{"role": "user", "content": f"earlier {number}"}])
            answers = store.conversations.add_answers(question.id, [f"answer {n} to earlier {number}" for n in range(4)])
            shown = tuple(answer.id for answer in answers)
            store.judgements.add(Judgement(project.id, who_am_i(store), shown, Ranking((1, 2, 3, 4))))


def main() -> None:
    folder, cycles = Path(sys.argv[1]), int(sys.argv[2])
    warm_up = max(100, cycles // 5)
    app = QApplication([])
    workspace = Workspace(folder).ensure()
    store = open_store(workspace)
    project = open_project(store, "Soak")
    judged_before(store, project)
    questions = [[{"role": "user", "content": f"question {n}"}] for n in range(cycles + warm_up + 20)]
    store.prompts.create_set(project.id, "many", questions)
    session = Session(project)
    session.set_model(ModelRef(name="Tiny", path="/nowhere", hash="tiny"))
    worker, tasks, theme, garbage = WorkerClient(FAKE_WORKER), TaskRunner(), Theme(app, "light"), GuiThreadCollector()
    room = LabelRoom(Context(workspace, store, Queue(workspace), Library(workspace), session, worker, tasks, theme))
    room.widget().show()
    soak, judging, saved = Soak(warm_up, max(1, cycles // LOOKS)), room.presenter.judging, []
    judging.saved.connect(lambda _saved: saved.append(1))

    def step() -> None:
        soak.at(len(saved))
        if len(saved) >= warm_up + cycles:
            clock.stop()
            app.quit()
        elif judging.showing is not None:
            left = judging.draft.ranking.unplaced
            judging.press(left[0]) if len(left) > 1 else judging.submit()

    clock = QTimer()
    clock.timeout.connect(step)
    room.activated()

    def begin() -> None:
        room.ready.button.click()
        clock.start(0)

    room.presenter.counted.connect(lambda _queue: room.presenter.sitting is None and QTimer.singleShot(0, begin))
    app.exec()
    held = len(store.judgements.all(project.id)) - BEFORE
    print(json.dumps({"done": len(saved), "held": held, "growth": soak.growth()}), flush=True)
    room.presenter.leave()
    worker.kill()
    tasks.close()
    garbage.release()
    store.close()
    os._exit(0)


main()
