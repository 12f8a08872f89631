"""A Hub on loopback, and the official client talking to it without waiting between tries."""

import time

import pytest

from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.hub.client import Hub
from rlhf_desktop.hub.library import Library
from rlhf_desktop.hub.pull import Puller
from rlhf_desktop.hub.tokens import Secret
from tests.hub_server import READER, WRITER, HubServer


@pytest.fixture
def server(monkeypatch):
    import huggingface_hub.utils._http as http

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # nobody waits
    with HubServer() as made:
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        yield made
    http.close_session()


@pytest.fixture
def waits():
    return []


@pytest.fixture
def hub(server, waits):
    """Somebody without a token."""
    return Hub(wait=waits.append)


@pytest.fixture
def writer(server, waits):
    return Hub(Secret(WRITER), wait=waits.append)


@pytest.fixture
def reader(server, waits):
    return Hub(Secret(READER), wait=waits.append)


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "ws").ensure()


@pytest.fixture
def library(workspace):
    return Library(workspace)


def files_of(ref: ModelRef) -> dict[str, bytes]:
    from pathlib import Path

    return {file.name: file.read_bytes() for file in Path(ref.path).iterdir() if file.is_file()}


@pytest.fixture(scope="session")
def tiny_files(tiny_model):
    """The tiny model's files, as a repository holds them."""
    return {**files_of(tiny_model), "README.md": b"---\nlicense: apache-2.0\n---\n# Tiny\n"}


@pytest.fixture
def tiny(server, tiny_files):
    extra = {"pytorch_model.bin": b"pickle", "original/params.json": b"{}", "modeling.py": b"raise", "../up.json": b"{}"}
    facts = {"downloads": 12, "safetensors": {"parameters": {"F32": 97728}, "total": 97728}}
    return server.add("amina/tiny", {**tiny_files, **extra}, card={"license": "apache-2.0"}, facts=facts)


@pytest.fixture
def puller(hub, workspace, library):
    return Puller(hub, workspace, library)
