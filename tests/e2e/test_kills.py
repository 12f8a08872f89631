"""What is killed is said, what goes on goes on: the trainer and the window die by SIGKILL in the middle of a real run."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.jobs.queue import Queue
from tests.e2e.loop import CommandLine, write_examples

LONG = [
    "--set",
    "epochs=100",
    "--set",
    "batch_size=1",
    "--set",
    "lora_rank=4",
    "--set",
    "dtype=float32",
    "--set",
    "watched_prompts=0",
]

# A window that asks for a run, as its Train room does, then stays open.
WINDOW = """
import sys
from pathlib import Path
from PySide6.QtWidgets import QApplication
from rlhf_desktop import app
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.operations.projects import choose_base
from rlhf_desktop.operations.training import start_run
qt = QApplication([])
desktop = app.Desktop(qt, Workspace(Path(sys.argv[1])).ensure(), "Support")
desktop.desk.begin = lambda: None
desktop.open()
c = desktop.context
base = choose_base(c.store, c.library, c.session.project, "tiny")
if len(sys.argv) > 2:
    settings = {"epochs": 100, "batch_size": 1, "lora_rank": 4, "dtype": "float32", "watched_prompts": 0}
    start_run(c.store, c.queue, c.session.project, "sft", base=base, title="Long", start=None, reward=None, settings=settings)
    qt.exec()
print([(run.title, run.state) for run in c.queue.runs()])
desktop.put_away()
"""


@pytest.fixture(scope="module")
def cli(tiny_model, tmp_path_factory):
    root = tmp_path_factory.mktemp("kills")
    line = CommandLine(root / "workspace", model="tiny", environment={"RLHF_DESKTOP_STATE": str(root / "state")})
    line("models", "add", tiny_model.path, "--name", "tiny")
    line("feedback", "import", write_examples(root / "examples.jsonl", 12))
    return line


def until(condition, timeout_s=240.0):
    """Wait for a condition of another process, leaving it the cores."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        pause.wait(0.05)
    return found


def checkpointed(run):
    return run.status().worker is not None and any((run.path / "checkpoints").glob("step-*"))


def test_a_killed_trainer_is_said_to_be_and_goes_on_from_its_checkpoint(cli):
    queued = cli("train", "sft", *LONG, "--detach", "--title", "Killed")
    run = Queue(Workspace(cli.workspace)).find(queued["run"])
    until(lambda: checkpointed(run))
    os.kill(run.status().worker.pid, signal.SIGKILL)
    until(lambda: run.state().state == "interrupted")
    shown = cli("runs", "show", queued["run"])
    assert shown["state"] == "interrupted"
    assert "SIGKILL" in shown["message"]
    cli("runs", "resume", queued["run"])
    assert cli.run("runs", "follow", queued["run"], "--json").returncode == 0
    assert cli("runs", "show", queued["run"])["state"] == "done"
    assert '"resumed_step": null' in run.events.read_text().splitlines()[0]
    assert any('"type": "started"' in line and '"resumed_step": null' not in line for line in run.events.read_text().splitlines())


def test_a_killed_window_leaves_the_run_going_and_finds_it_again(cli):
    environment = {**os.environ, **cli.environment, "QT_QPA_PLATFORM": "offscreen"}
    command = [sys.executable, "-c", WINDOW, str(cli.workspace)]
    window = subprocess.Popen([*command, "start"], env=environment, stderr=subprocess.PIPE, text=True)
    queue = Queue(Workspace(cli.workspace))
    try:
        run = until(lambda: next((queue.find(r.id) for r in queue.runs() if r.title == "Long"), None))
        until(lambda: checkpointed(run))
    finally:
        window.kill()
        window.communicate()
    assert run.state().worker_alive
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert again.returncode == 0, again.stderr
    assert "('Long', 'running')" in again.stdout or "('Long', 'done')" in again.stdout
    until(lambda: run.state().state == "done")
