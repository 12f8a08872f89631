"""The set-up's modules, which import one another by their plain names, as they do when `setup_env.py` is started."""

import importlib
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "packaging"
NAMES = ("nvidia_driver", "torch_builds", "setup_checks", "checked_wheels", "setup_env", "licences", "audit", "trust")


@pytest.fixture(scope="session")
def packaging():
    """The folder, on the path: `sys.modules` and the path are as before afterwards."""
    sys.path.insert(0, str(FOLDER))
    yield {name: importlib.import_module(name) for name in NAMES}
    sys.path.remove(str(FOLDER))
    for name in NAMES:
        sys.modules.pop(name, None)


@pytest.fixture
def setup_env(packaging):
    return packaging["setup_env"]


@pytest.fixture
def setup_checks(packaging):
    return packaging["setup_checks"]


@pytest.fixture
def torch_builds(packaging):
    return packaging["torch_builds"]


@pytest.fixture
def nvidia_driver(packaging, monkeypatch):
    """Without the driver and the tool of the machine the tests run on."""
    module = packaging["nvidia_driver"]
    monkeypatch.setattr(module, "LIBRARIES", {})
    monkeypatch.setenv("PATH", "")
    return module


@pytest.fixture
def checked_wheels(packaging):
    return packaging["checked_wheels"]
