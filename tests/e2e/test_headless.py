"""Without Qt: the command line, the supervisor and the trainers do all their work where PySide6 is not installed."""

import json
import os

import pytest

from tests.e2e.loop import CommandLine, write_examples

WITHOUT_QT = """
import importlib.machinery as machinery
find = machinery.PathFinder.find_spec
QT = {"PySide6", "shiboken6", "pyqtgraph"}
machinery.PathFinder.find_spec = staticmethod(lambda name, *rest: None if name.partition(".")[0] in QT else find(name, *rest))
"""  # as sitecustomize: Python runs it at every start


@pytest.fixture
def cli(tiny_model, tmp_path):
    """A command line whose processes, and theirs, cannot import Qt."""
    (tmp_path / "no-qt").mkdir()
    (tmp_path / "no-qt" / "sitecustomize.py").write_text(WITHOUT_QT)
    path = os.pathsep.join([str(tmp_path / "no-qt"), os.environ.get("PYTHONPATH", "")])
    environment = {"PYTHONPATH": path, "RLHF_DESKTOP_STATE": str(tmp_path / "state"), "DISPLAY": "", "WAYLAND_DISPLAY": ""}
    line = CommandLine(tmp_path / "workspace", model="tiny", environment=environment)
    line("models", "add", tiny_model.path, "--name", "tiny")
    return line


def test_a_run_is_queued_trained_and_used(cli, tmp_path):
    cli("feedback", "import", write_examples(tmp_path / "examples.jsonl", 12))
    trained = cli("train", "sft", "--set", "epochs=1", "--set", "lora_rank=4", "--set", "watched_prompts=0")
    assert trained["metrics"]["examples"] > 0
    assert [run["state"] for run in cli("runs", "list")["runs"]] == ["done"]
    answer = cli("chat", "--adapter", trained["run"], "--prompt", "Hello")
    assert json.dumps(answer)


def test_the_window_says_in_one_sentence_that_it_cannot_open(cli):
    done = cli.run()
    assert done.returncode == 1
    assert "libraries are not installed" in done.stderr
    assert "Traceback" not in done.stderr
