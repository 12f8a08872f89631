"""Killing the window harms no run: a small version of tests/bench/bench_window_kills.py."""

import random

import pytest

from tests.e2e.loop import CommandLine, write_examples
from tests.e2e.window_kills import Windows


@pytest.fixture(scope="module")
def windows(tiny_model, tmp_path_factory):
    root = tmp_path_factory.mktemp("windows")
    environment = {"RLHF_DESKTOP_STATE": str(root / "state")}
    cli = CommandLine(root / "workspace", model="tiny", environment=environment)
    cli("models", "add", tiny_model.path, "--name", "tiny")
    cli("feedback", "import", write_examples(root / "examples.jsonl", 12))
    return Windows(root / "workspace", environment, epochs=15)


def test_runs_end_well_and_are_found_again_however_windows_die(windows):
    chance = random.Random(3)
    before: set[str] = set()
    for _ in range(3):
        kill = windows.kill_one(chance, longest_s=1.5)
        assert before <= set(kill.known)  # found again
        assert windows.check() == []
        before = {run.id for run in windows.queue.runs()}
    assert windows.settled()
    assert windows.check() == []
    assert {run.state for run in windows.queue.runs()} == {"done"}
