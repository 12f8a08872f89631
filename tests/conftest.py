"""Fixtures every test may use. Nothing here imports torch or Qt until a test asks."""

import os

import pytest
from hypothesis import HealthCheck, settings

from rlhf_desktop.core import offline
from rlhf_desktop.core.devices import DEVICE
from rlhf_desktop.core.measures import FamilyCheck
from rlhf_desktop.operations import door
from rlhf_desktop.store import driver
from tests.tiny import make_tiny_model
from tests.trust import trial

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.update(offline.QUIET)
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")


settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # no test is about this machine
settings.load_profile("patient")


def pytest_configure(config):
    """Tiny models get one thread, as a second only waits for the first; the slower tests use the starter model, which gets all."""
    if config.getoption("markexpr") not in ("slow", "acceptance"):
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_runtest_logreport(report):
    """`make trust` wants to know why something was not tried."""
    if report.skipped:
        trial.note({"skipped": report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)})


@pytest.fixture
def trust(request):
    """How often a test of `make trust` shall try, and what it finds. Its mark names its row and how often the usual tests try."""
    made = trial.Trial(*request.node.get_closest_marker("trust").args)
    yield made
    made.write()
    made.check()


@pytest.fixture(autouse=True)
def _network_rule_restored():
    """A command run with --offline or --device in this process holds it to that; the next test starts without."""
    yield
    offline.set_guard(False)
    os.environ.pop(DEVICE, None)


@pytest.fixture(autouse=True)
def hasty_disk():
    """Nobody in this process waits for the disk, which took a third of the tests' time: no test here cuts the power.

    Processes of their own wait, and so do the tests that have a fixture of this name: those of the driver, and tests/e2e.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda fd: None)
        patched.setattr(driver, "SYNCHRONOUS", "OFF")
        yield


@pytest.fixture(autouse=True)
def nobody_tries(monkeypatch):
    """No worker is started to try a model that is added; what tries it has tests of its own (`try_family`, `worker trial`)."""
    monkeypatch.setattr(door, "try_family", lambda base, command=None: FamilyCheck(kind="trains", road="fast"))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """The `ModelRef` of a tiny random model, saved once a session. Read only."""
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "model")
