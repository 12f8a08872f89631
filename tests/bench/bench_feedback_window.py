"""The longest stall of the GUI while someone scrolls and searches a large table of judgements.

    make bench ARGS="feedback_window --store FOLDER [--seconds 60] [--runs 3] [--undisturbed]"

FOLDER holds the database that `bench_store.py --keep FOLDER` has made. The real Feedback room of a real window is scrolled by
wheel, page and thumb, searched letter by letter, put in other orders and read row by row. A stall is how much longer than asked a
5 ms timer of the GUI thread took to come; beside it stands how much of that the GUI thread itself computed. A row a run is appended
to results.jsonl. On a machine that others work on, their work is measured with it: `--undisturbed` has this program go before them,
its GUI thread first (Linux, as root). Its own threads still compete with that one. A virtual machine may also be slow for a moment
without saying so, its memory above all; so between the acts the same 40,000 pages of memory are touched again and again, and
`machine_ms` says how long that usually took of the thread's own time, and at worst.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import get_args

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1]), str(HERE.parents[1] / "packaging")]
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np  # noqa: E402
from bench_charts import StallWatch, spin  # noqa: E402
from PySide6.QtCore import Qt  # noqa: E402
from PySide6.QtTest import QTest  # noqa: E402
from PySide6.QtWidgets import QApplication  # noqa: E402
from screenshots import Studio  # noqa: E402

from rlhf_desktop.core.paths import Workspace  # noqa: E402
from rlhf_desktop.feedback.conversations import Project  # noqa: E402
from rlhf_desktop.store.database import Store  # noqa: E402
from rlhf_desktop.store.history import Sort  # noqa: E402
from rlhf_desktop.ui.feedback.judgements_page import JudgementsPage  # noqa: E402
from rlhf_desktop.ui.garbage import GuiThreadCollector  # noqa: E402
from tests.bench.results import keep  # noqa: E402

WORDS = ("roci0", "worivi1", "wo", "roci0 wor", "nothing-like-it")  # of the generator's own
LIMIT_MS = 50


def main() -> None:
    """Open, use, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--undisturbed", action="store_true")
    options = parser.parse_args()
    app = QApplication([])
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RLHF_DESKTOP_STATE"] = str(Path(folder) / "state")
        workspace = Workspace(Path(folder) / "workspace").ensure()
        shutil.copy(options.store / "feedback.db", workspace.database)
        os.sync()  # or the disk would still be writing the copy while the window is measured
        with Store.open(workspace.database) as store:
            (large,) = store.projects.all()
            if store.upkeep:
                store.upkeep.wait()  # the day's check and backup
        studio = Studio(app, workspace.root, (1280, 800), 1.0)  # adds its own small project
        collector = GuiThreadCollector(app)
        collector.spare()  # as the program does
        if options.undisturbed:
            go_first()
        for _ in range(options.runs):
            row = {**measure(studio, large, options.seconds), "undisturbed": options.undisturbed}
            keep(row)
            print(json.dumps(row, indent=1))
        collector.release()
        studio.close()


def go_first() -> None:
    """Before other programs, with all threads: one kept waiting while it holds the interpreter would keep the window waiting."""
    with contextlib.suppress(PermissionError):  # a session already
        os.setsid()
    Path("/proc/self/autogroup").write_text("-19")
    os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))


def measure(studio: Studio, project: Project, seconds: float) -> dict[str, object]:
    """Every act in turn until the time is over."""
    studio.context.session.set_project(project)
    studio.window.show_room("feedback")
    page: JudgementsPage = studio.window.room("feedback").judgements
    wait_for_rows(page)
    studio.settle()  # the starter model is unpacked, once in a workspace's life, by a process that takes both cores
    os.sync()
    watch = StallWatch()
    longest: dict[str, tuple[float, float]] = {}
    acts = {"wheel": wheel, "pages": pages, "thumb": thumb, "search": search, "order": order, "read": read}
    chance, memory, began = random.Random(0), Memory(), time.perf_counter()
    while time.perf_counter() - began < seconds:
        for name, act in acts.items():
            watch.begin()
            act(page, chance)
            stall, own = longest.get(name, (0.0, 0.0))
            longest[name] = max(stall, watch.stall_ms), max(own, watch.own_ms)
            memory.touch(0.5)
    worst = max(stall for stall, _ in longest.values())
    return {
        "bench": "feedback_window",
        "judgements": studio.store.connection.rows("SELECT count(*) AS n FROM judgements")[0]["n"],
        "stall_ms": {name: round(stall, 1) for name, (stall, _) in longest.items()},
        "own_ms": {name: round(own, 1) for name, (_, own) in longest.items()},
        "machine_ms": {"median": round(statistics.median(memory.took_ms), 2), "longest": round(max(memory.took_ms), 1)},
        "holds": worst <= LIMIT_MS,
    }


class Memory:
    """A fixed piece of work that has nothing to do with this program: how steady is the machine?"""

    def __init__(self) -> None:
        page, pages = 4096, 40_000
        self._held = np.ones(page * pages, np.uint8)
        self._places = np.random.default_rng(0).permutation(pages) * page
        self.took_ms: list[float] = []

    def touch(self, seconds: float) -> None:
        """Every page in an order of no order, once in 10 ms."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            began = time.thread_time()
            self._held[self._places].sum()
            self.took_ms.append(1000 * (time.thread_time() - began))
            time.sleep(0.01)


def wait_for_rows(page: JudgementsPage) -> None:
    """Until the table shows something, or says that there is nothing."""
    for _ in range(200):
        spin(0.05)
        if page.nothing.isVisible() or (page.model is not None and page.model.row(0) is not None):
            return
    raise TimeoutError("no rows in ten seconds")


def wheel(page: JudgementsPage, chance: random.Random) -> None:
    bar = page.table.verticalScrollBar()
    for _ in range(40):
        bar.setValue(bar.value() + 3)
        spin(0.03)


def pages(page: JudgementsPage, chance: random.Random) -> None:
    for _ in range(15):
        QTest.keyClick(page.table, Qt.Key.Key_PageDown)
        spin(0.08)


def thumb(page: JudgementsPage, chance: random.Random) -> None:
    """Dragged anywhere, as far as the list is known."""
    bar = page.table.verticalScrollBar()
    for _ in range(15):
        bar.setValue(chance.randint(0, bar.maximum()))
        spin(0.08)


def search(page: JudgementsPage, chance: random.Random) -> None:
    field = page.filters.search
    for letter in chance.choice(WORDS):
        QTest.keyClicks(field, letter)
        spin(0.12)
    spin(0.4)
    field.clear()
    spin(0.4)  # until it is looked for
    wait_for_rows(page)


def order(page: JudgementsPage, chance: random.Random) -> None:
    """Every order the list offers, and back to the first."""
    for value in (*(value for value in get_args(Sort) if value != "newest"), None):
        page.filters.sort.choose(value, value or "")
        spin(0.4)
    wait_for_rows(page)


def read(page: JudgementsPage, chance: random.Random) -> None:
    page.table.setFocus()
    for _ in range(15):
        QTest.keyClick(page.table, Qt.Key.Key_Down)
        spin(0.06)


if __name__ == "__main__":
    main()
