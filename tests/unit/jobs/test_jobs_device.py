import sys

import pytest

from rlhf_desktop.core.errors import WorkerTrouble
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.jobs import device
from rlhf_desktop.jobs.device import known_device, probe_device


@pytest.fixture
def command(workspace: Workspace, tmp_path) -> list[str]:
    """A probe that counts how often it is asked."""
    count = f"f = open({str(tmp_path / 'asked')!r}, 'a+'); f.write('x'); f.seek(0)"
    script = count + "; import json; print(json.dumps({'device': 'cpu', 'n': len(f.read())}))"
    return [sys.executable, "-c", script]


def test_the_probe_is_asked_once(command: list[str]) -> None:
    assert known_device() is None
    assert probe_device(command=command) == probe_device(command=command) == known_device() == {"device": "cpu", "n": 1}
    assert probe_device(refresh=True, command=command)["n"] == 2


def test_a_new_version_asks_again(command: list[str], monkeypatch) -> None:
    probe_device(command=command)
    monkeypatch.setattr(device.rlhf_desktop, "__version__", "9.9")
    assert known_device() is None
    assert probe_device(command=command)["n"] == 2


@pytest.mark.parametrize("script", ["raise SystemExit('no torch here')", "print('not json')", "print('[]')"])
def test_a_broken_probe_is_said_and_not_remembered(workspace: Workspace, script: str) -> None:
    with pytest.raises(WorkerTrouble) as caught:
        probe_device(command=[sys.executable, "-c", script])
    assert caught.value.detail
    assert known_device() is None
