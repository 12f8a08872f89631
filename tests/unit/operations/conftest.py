"""A workspace with a store and a project; the folder of a model of which nothing is known but its size."""

import json

import pytest
from estimates_helpers import SMOL

from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.store.database import Store


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("RLHF_DESKTOP_STATE", str(tmp_path / "state"))
    return Workspace(tmp_path / "workspace").ensure()


@pytest.fixture
def store(workspace):
    with Store.open(workspace.database) as opened:
        yield opened


@pytest.fixture
def project(store):
    return store.projects.create("Support")


@pytest.fixture
def smol(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(SMOL))
    return ModelRef(name="smol", path=str(tmp_path / "model"), hash="b")
