"""A workspace with a store and a project."""

import pytest

from rlhf_desktop.core.paths import Workspace
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
