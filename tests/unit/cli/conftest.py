"""A command line in this process: a new workspace, a model folder without real weights, and no worker."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from cli_helpers import make_model_folder, write_rows

from rlhf_desktop.cli import run
from rlhf_desktop.core.measures import ModelCheck, RowSize
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.operations import preflight


@dataclass
class Said:
    """What one call said."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """The one document on stdout."""
        assert self.out.count("\n") == 1, self.out
        return json.loads(self.out)


class CommandLine:
    def __init__(self, workspace, capfd):
        self.workspace, self._capfd = workspace, capfd

    def __call__(self, *words) -> Said:
        self._capfd.readouterr()
        code = run(["--workspace", str(self.workspace.root), *map(str, words)])
        return Said(code, *self._capfd.readouterr())


def _sound(base, rows):
    sizes = [RowSize(prompt=20, answers=[10] * len(row.answers)) for row in rows]
    return ModelCheck(has_template=True, end_token="<|im_end|>", end_is_trained=True, sizes=sizes)


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Workspace:
    monkeypatch.setenv("RLHF_DESKTOP_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(Queue, "ensure_supervisor", lambda self: None)  # queued runs stay queued
    monkeypatch.setattr(preflight, "check_model", _sound)  # and no worker is started to look at the model
    monkeypatch.setattr(preflight, "probe_device", lambda: {"device": "cpu", "fast_dtype": "float32"})
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def cli(workspace, capfd) -> CommandLine:
    return CommandLine(workspace, capfd)


@pytest.fixture
def model(cli, tmp_path) -> str:
    """The name of a model whose weights are one number: enough for everything but running it."""
    folder = make_model_folder(tmp_path / "tiny")
    return cli("models", "add", folder, "--name", "tiny", "--json").json["name"]


@pytest.fixture
def rankings(tmp_path) -> Path:
    pair = [{"text": "good", "rank": 1}, {"text": "bad", "rank": 2}]
    return write_rows(tmp_path / "r.jsonl", *({"prompt": f"Question {n}", "completions": pair} for n in range(12)))
