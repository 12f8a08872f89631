"""From judging one item to seeing the next, in the real Label room on a real database, with answers ready.

    make bench ARGS="label_next [--items 300] [--prompts 500]"

Four answers of some 120 words each are ranked by three keys and Enter; a stand-in for the model has written the next ones
already. Measured is from Enter pressed to the next item painted, its judgement stored durably in between; beside the longest wait
stands the most that the GUI thread itself computed for one. A row is appended to results.jsonl.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from PySide6.QtCore import QEventLoop, Qt, QTimer  # noqa: E402
from PySide6.QtTest import QTest  # noqa: E402
from PySide6.QtWidgets import QApplication  # noqa: E402

from rlhf_desktop.core.paths import Workspace  # noqa: E402
from rlhf_desktop.core.runs import ModelRef  # noqa: E402
from rlhf_desktop.hub.library import Library  # noqa: E402
from rlhf_desktop.jobs.queue import Queue  # noqa: E402
from rlhf_desktop.operations.projects import open_project  # noqa: E402
from rlhf_desktop.store.database import Store  # noqa: E402
from rlhf_desktop.ui.chat.worker_client import WorkerClient  # noqa: E402
from rlhf_desktop.ui.context import Context, Session  # noqa: E402
from rlhf_desktop.ui.label.room import LabelRoom  # noqa: E402
from rlhf_desktop.ui.tasks import TaskRunner  # noqa: E402
from rlhf_desktop.ui.theme.style import Theme  # noqa: E402
from tests.bench.results import keep  # noqa: E402

LONGEST_S = 0.1
WORKER = [sys.executable, str(HERE.parent / "gui" / "fake_worker.py")]  # its answers repeat the question
QUESTION = (
    "I am sorry to write again about **order {n}**: the kettle leaks, the box was open, and nobody called me back as promised. " * 5
)


def live_until(condition) -> None:
    """Let the event loop run until something holds."""
    loop = QEventLoop()
    clock = QTimer()
    clock.timeout.connect(lambda: condition() and loop.quit())
    clock.start(2)
    loop.exec()


def judge(room: LabelRoom) -> tuple[float, float]:
    """Rank the item shown and save it. Seconds until the next was painted, and how much of that this thread computed."""
    live_until(lambda: room.presenter.judging.showing is not None and room.presenter.lookahead.ready > 0)
    for key in (Qt.Key.Key_2, Qt.Key.Key_1, Qt.Key.Key_3):
        QTest.keyClick(room.area.board, key)
    QApplication.processEvents()
    before = room.page.prompt.text()
    started, own = time.perf_counter(), time.thread_time()
    QTest.keyClick(room.area.board, Qt.Key.Key_Return)
    QApplication.processEvents()  # lays out and paints
    took, own = time.perf_counter() - started, time.thread_time() - own
    assert room.page.prompt.text() != before, "the next item is not there"
    return took, own


def measure(root: Path, items: int, prompts: int) -> list[tuple[float, float]]:
    """The waits of so many items."""
    app = QApplication([])
    workspace = Workspace(root).ensure()
    store = Store.open(workspace.database)
    project = open_project(store, "Pace")
    questions = [[{"role": "user", "content": QUESTION.format(n=n)}] for n in range(prompts)]
    store.prompts.create_set(project.id, "many", questions)
    session = Session(project)
    session.set_model(ModelRef(name="Tiny", path="/nowhere", hash="tiny"))
    worker, theme, tasks = WorkerClient(WORKER), Theme(app, "light"), TaskRunner()
    room = LabelRoom(Context(workspace, store, Queue(workspace), Library(workspace), session, worker, tasks, theme))
    try:
        room.widget().resize(1280, 800)
        room.widget().show()
        room.activated()
        live_until(lambda: room.widget().currentWidget() is room.ready)
        room.ready.button.click()
        found = [judge(room) for _ in range(items)]
        assert len(store.judgements.effective(project.id)) == items
        return found
    finally:
        room.presenter.leave()
        worker.kill()
        tasks.wait()
        store.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--prompts", type=int, default=500)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        os.environ["RLHF_DESKTOP_STATE"] = str(Path(folder) / "state")
        found = measure(Path(folder) / "workspace", options.items, options.prompts)
    took = sorted(wait for wait, _ in found)
    p95 = took[int(0.95 * len(took))]
    row = {"bench": "label_next", "items": len(took), "prompts": options.prompts,
           "p50_ms": round(1000 * took[len(took) // 2], 1), "p95_ms": round(1000 * p95, 1), "longest_ms": round(1000 * took[-1], 1),
           "longest_own_ms": round(1000 * max(own for _, own in found), 1), "load": os.getloadavg()[0],
           "holds": p95 <= LONGEST_S}  # fmt: skip
    print(json.dumps(row, indent=1))
    keep(row)
    return 0 if row["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
