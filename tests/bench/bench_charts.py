"""The longest stall of the GUI while a run's page shows long curves that grow, and a chat streams beside it.

    make bench ARGS="charts [--points 100000] [--seconds 30]"

A PPO run with POINTS steps (each with all the curves of its charts: at least six) is replayed into the real Train room of a real
window; then 20 points a second are appended to its events while a stand-in for the inference worker streams an answer. A stall is
how much longer than asked a 5 ms timer of the GUI thread took to come; beside it stands how much of that the GUI thread itself
computed, because the machine may be busy with something else. A row is appended to results.jsonl beside this file.
"""

import argparse
import json
import math
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[1] / "packaging"), str(HERE.parents[1] / "tests" / "gui")]
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QEventLoop, QObject, Qt, QTimer  # noqa: E402
from PySide6.QtWidgets import QApplication  # noqa: E402
from screenshot_content import Story, write_run  # noqa: E402
from screenshots import Studio  # noqa: E402

from rlhf_desktop.core.files import append_jsonl  # noqa: E402
from rlhf_desktop.core.protocol import Sampling, Token  # noqa: E402
from rlhf_desktop.jobs.runfolder import RunFolder  # noqa: E402
from rlhf_desktop.ui.garbage import GuiThreadCollector  # noqa: E402
from rlhf_desktop.ui.train.wording import CHARTS  # noqa: E402
from tests.bench.results import keep  # noqa: E402

POINTS_PER_S = 20
TICK_MS = 5
CURVES = [curve.metric for chart in CHARTS["ppo"] for curve in chart.curves]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    return parser.parse_args()


class StallWatch(QObject):
    """A timer that says how late it came."""

    def __init__(self) -> None:
        super().__init__()
        self._clock = QTimer(self)
        self._clock.setTimerType(Qt.TimerType.PreciseTimer)
        self._clock.setInterval(TICK_MS)
        self._clock.timeout.connect(self._tick)
        self.begin()
        self._clock.start()

    def begin(self) -> None:
        """Forget what was."""
        self._last, self._cpu = time.perf_counter(), time.thread_time()
        self.stall_ms, self.own_ms, self.ticks = 0.0, 0.0, 0

    def _tick(self) -> None:
        now, cpu = time.perf_counter(), time.thread_time()
        self.stall_ms = max(self.stall_ms, 1000 * (now - self._last) - TICK_MS)
        self.own_ms = max(self.own_ms, 1000 * (cpu - self._cpu))
        self.ticks += 1
        self._last, self._cpu = now, cpu


def values(step: int) -> dict[str, float]:
    """A point of every curve: waves, with a little roughness."""
    return {name: math.sin(step / (900 + 170 * n)) + 0.1 * math.sin(step * 12.9898 + n) for n, name in enumerate(CURVES)}


def event(step: int) -> dict[str, object]:
    """A line of `events.jsonl`."""
    return {"v": 1, "seq": step, "time": time.time(), "type": "metrics", "step": step, "values": values(step)}


def write_history(run: RunFolder, points: int) -> None:
    """The events of a long run, as its trainer would have written them."""
    with run.events.open("w", encoding="utf-8") as f:
        for step in range(points):
            f.write(json.dumps(event(step)) + "\n")


def spin(seconds: float) -> None:
    """Let the window live."""
    loop = QEventLoop()
    QTimer.singleShot(round(1000 * seconds), loop.quit)
    loop.exec()


def grow(run: RunFolder, first: int, stop: threading.Event) -> None:
    """Append points as a trainer does, until told to stop. Runs in a thread: files only."""
    step = first
    while not stop.wait(1 / POINTS_PER_S):
        append_jsonl(
            run.events, {"v": 1, "seq": step, "time": time.time(), "type": "metrics", "step": step, "values": values(step)}
        )
        run.heartbeat.touch()
        step += 1


class Streamer(QObject):
    """Streams an answer into Chat, 30 tokens a second."""

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self._chat = studio.context.chat
        session = studio.context.session
        self._request = self._chat.generate([{"role": "user", "content": "Tell me."}], 1, session.adapter, Sampling(), 0)
        self._clock = QTimer(self)
        self._clock.setInterval(33)
        self._clock.timeout.connect(self._token)
        self._clock.start()

    def _token(self) -> None:
        self._chat._handle(Token(id=self._request, prompt=0, completion=0, text=" word"))


def main() -> None:
    options = arguments()
    app = QApplication([])
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RLHF_DESKTOP_STATE"] = str(Path(folder) / "state")
        studio = Studio(app, Path(folder) / "workspace", (1280, 800), 1.0)
        collector = GuiThreadCollector(app)
        story = Story("ppo", "Long", "running", 0.0, 1)
        run = write_run(studio.workspace, studio.story.base, studio.story.project.id, story, os.getpid())
        write_history(run, options.points)
        watch = StallWatch()
        row = measure(studio, run, options, watch)
        collector.release()
        keep(row)
        print(json.dumps(row, indent=1))
        studio.close()


def measure(studio: Studio, run: RunFolder, options: argparse.Namespace, watch: StallWatch) -> dict[str, object]:
    """Replay, then append."""
    studio.window.show_room("train")
    spin(2.0)
    watch.begin()
    began = time.perf_counter()
    room = studio.window.room("train")
    room.show_run(run.id)
    while room.follower is None or len(room.follower.view.series.get(CURVES[0], ())) < options.points:
        spin(0.05)
    replay = {"replay_s": time.perf_counter() - began, "replay_stall_ms": watch.stall_ms, "replay_own_ms": watch.own_ms}
    spin(1.0)
    streamer, stop = Streamer(studio), threading.Event()
    writer = threading.Thread(target=grow, args=(run, options.points, stop))
    writer.start()
    watch.begin()
    spin(options.seconds)
    appended = {"stall_ms": watch.stall_ms, "own_ms": watch.own_ms, "ticks": watch.ticks}
    stop.set()
    writer.join()
    streamer.deleteLater()
    grown = len(room.follower.view.series[CURVES[0]]) - options.points
    assert grown >= 0.7 * POINTS_PER_S * options.seconds, f"only {grown} points arrived"
    machine = {"bench": "charts", "python": sys.version.split()[0]}
    return {**machine, "points": options.points, "curves": len(CURVES), "appended": grown, **replay, **appended}


if __name__ == "__main__":
    main()
