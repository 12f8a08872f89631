"""What is killed is said, and goes on: the trainer dies by SIGKILL in a real run. (Windows die in `test_window_kills`.)"""

import os
import signal
import threading
import time

import pytest

from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.jobs.queue import Queue
from tests.e2e.loop import CommandLine, write_examples

LONG = [f"--set={setting}" for setting in ("epochs=100", "batch_size=1", "lora_rank=4", "dtype=float32", "watched_prompts=0")]


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
