"""Windows that are killed while a run goes on, and what must be true after each kill."""

import json
import os
import random
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from rlhf_desktop.core.files import read_jsonl
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.jobs.queue import Queue

# A window as the program opens it: it shows its runs, has one queued when none is under way, and opens that run's page.
WINDOW = """
import json, sys
from pathlib import Path
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from rlhf_desktop import app
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.operations.projects import choose_base
from rlhf_desktop.operations.training import start_run
qt = QApplication([])
desktop = app.Desktop(qt, Workspace(Path(sys.argv[1])).ensure(), "Support")
desktop.desk.begin = lambda: None  # no chat model: the run is what this is about
desktop.open()
c = desktop.context
c.queue.ensure_supervisor()
known = [run.id for run in c.queue.runs()]
live = [run for run in c.queue.runs() if run.state in ("queued", "starting", "running")]
if not live:
    base = choose_base(c.store, c.library, c.session.project, "tiny")
    settings = {"epochs": int(sys.argv[2]), "batch_size": 1, "lora_rank": 4, "dtype": "float32", "watched_prompts": 0}
    start_run(c.store, c.queue, c.session.project, "sft", base=base, settings=settings)
desktop.window.show_room("train")
room = desktop.window.room("train")
def told():
    if room.page is None and room.overview.runs.rows:
        room.show_run(next(iter(room.overview.runs.rows)))
    if room.page is not None and room.follower.condition is not None:
        print(json.dumps({"known": known, "shown": room.follower.condition.state}), flush=True)
        clock.stop()
clock = QTimer()
clock.timeout.connect(told)
clock.start(50)
qt.exec()
"""


@dataclass(frozen=True)
class Kill:
    """What was seen before a window was killed."""

    known: list[str]  # ids of the runs it found when it opened
    shown: str  # the state on its page
    lived_s: float


class Windows:
    """Opens windows on one workspace and kills them."""

    def __init__(self, workspace: Path, environment: dict[str, str], epochs: int = 40) -> None:
        self._workspace, self._epochs = Workspace(workspace), epochs
        self._environment = {**os.environ, **environment, "QT_QPA_PLATFORM": "offscreen"}
        self.queue = Queue(self._workspace)

    def kill_one(self, chance: random.Random, longest_s: float = 3.0) -> Kill:
        """Open a window, wait until it shows its run, live for a random while, and kill it."""
        command = [sys.executable, "-c", WINDOW, str(self._workspace.root), str(self._epochs)]
        window = subprocess.Popen(command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        began = time.monotonic()
        try:
            assert window.stdout is not None
            line = window.stdout.readline()
            assert line, f"the window ended: {window.communicate()[1]}"
            threading.Event().wait(chance.uniform(0.0, longest_s))
        finally:
            window.kill()
            window.communicate()
        return Kill(**json.loads(line), lived_s=time.monotonic() - began)

    def check(self) -> list[str]:
        """What must never be, and is; empty when all is well."""
        wrong = [f"{len(self.trainers())} trainers at once"] if len(self.trainers()) > 1 else []
        for run in self.queue.runs():
            ended = [event["outcome"] for event in read_jsonl(run.folder.events) if event["type"] == "finished"]
            if run.state == "done" and ended[-1:] != ["done"]:
                wrong.append(f"{run.title} is called done, but its trainer has not said so")
            if run.state == "done" and not (run.folder.adapter / "adapter_model.safetensors").is_file():
                wrong.append(f"{run.title} is called done, but there is no model")
            if run.state in ("failed", "interrupted"):
                wrong.append(f"{run.title} is {run.state}: {run.message}")
        return wrong

    def trainers(self) -> list[int]:
        """The training processes of this workspace."""
        found = []
        for process in psutil.process_iter(["pid", "cmdline"]):
            words = process.info["cmdline"] or []
            if "train" in words and any(str(self._workspace.runs) in word for word in words):
                found.append(process.info["pid"])
        return found

    def settled(self, timeout_s: float = 300.0) -> bool:
        """Wait until no run is under way. Whether that came to be."""
        deadline, pause = time.monotonic() + timeout_s, threading.Event()
        while any(run.state in ("queued", "starting", "running") for run in self.queue.runs()):
            if time.monotonic() > deadline:
                return False
            self.queue.ensure_supervisor()
            pause.wait(0.2)
        return True
