import os
import sys
from types import SimpleNamespace

import pytest
from jobs_helpers import CARDS, PROCESSOR, drive, remember

from rlhf_desktop.core.devices import DEVICE
from rlhf_desktop.core.errors import BadInput, NotFound, WorkerTrouble
from rlhf_desktop.core.paths import Workspace, state_dir
from rlhf_desktop.core.runs import DeviceRef
from rlhf_desktop.jobs import device
from rlhf_desktop.jobs.commands import worker_environment
from rlhf_desktop.jobs.device import (
    Device,
    choose_device,
    device_lock,
    devices_of,
    find_device,
    free_bytes,
    freest,
    held_bytes,
    is_taken,
    known_device,
    probe_device,
    same_device,
    wanted_device,
)


@pytest.fixture(autouse=True)
def never_asked(workspace: Workspace) -> None:
    (state_dir() / "device.json").unlink()


@pytest.fixture
def command(tmp_path) -> list[str]:
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
def test_a_broken_probe_is_said_and_not_remembered(script: str) -> None:
    with pytest.raises(WorkerTrouble) as caught:
        probe_device(command=[sys.executable, "-c", script])
    assert caught.value.detail
    assert known_device() is None


# --- several devices ----------------------------------------------------------------------------------------------------------

LARGE, SMALL = CARDS


@pytest.fixture
def devices() -> list[Device]:
    return devices_of({"devices": [*CARDS, PROCESSOR]})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cuda:1", "cuda:1"),
        ("cpu", "cpu"),
        (SMALL["uuid"], "cuda:1"),
        (SMALL["uuid"].removeprefix("GPU-").upper(), "cuda:1"),
        ("GPU-111", "cuda:1"),
        ("card small", "cuda:1"),
    ],
)
def test_a_device_is_found_by_number_uuid_or_part_of_its_name(devices: list[Device], text: str, found: str) -> None:
    assert find_device(text, devices).id == found


def test_auto_is_no_device_and_a_wrong_name_says_which_there_are(devices: list[Device]) -> None:
    assert find_device("auto", devices) is None
    with pytest.raises(NotFound) as caught:
        find_device("cuda:7", devices)
    assert "cuda:1 (Test Card Small)" in caught.value.hint
    with pytest.raises(BadInput, match="any of 2"):
        find_device("cuda", devices)
    with pytest.raises(NotFound):
        find_device("c", devices)


def test_a_card_is_known_again_in_another_slot(devices: list[Device]) -> None:
    moved = devices_of({"devices": [{**SMALL, "id": "cuda:0"}, {**LARGE, "id": "cuda:1"}]})
    assert same_device(devices[0].ref, moved).id == "cuda:1"


def test_free_memory_is_what_the_driver_says_now(devices: list[Device], imitated_nvml: None) -> None:
    drive({**LARGE, "free": 5 * 10**9, "processes": [(4711, 3 * 10**9), (4712, None)]}, SMALL)
    assert free_bytes(devices[0]) == 5 * 10**9
    drive({**LARGE, "free": 6 * 10**9, "processes": [(4711, 3 * 10**9), (4712, None)]}, SMALL)
    assert free_bytes(devices[0]) == 6 * 10**9
    assert held_bytes(devices[0], 4711) == 3 * 10**9
    assert held_bytes(devices[0], 4712) is None  # the driver does not say how much
    assert held_bytes(devices[0], 4713) is None
    assert freest(devices[:2]).id == "cuda:1"


def test_without_the_driver_a_worker_is_asked_again(devices: list[Device], imitated_nvml: None, monkeypatch) -> None:
    asked = []

    def probe(command: list[str]) -> dict:
        asked.append(command)
        return {"devices": [{**LARGE, "memory_available_bytes": 10**9 * len(asked)}, PROCESSOR]}

    monkeypatch.setattr(device, "_ask", probe)
    assert [free_bytes(devices[0]) for _ in range(2)] == [10**9, 2 * 10**9]  # not the first for ever
    assert free_bytes(devices[0], ask=False) == LARGE["memory_available_bytes"]
    assert len(asked) == 2


def test_the_processors_memory_is_the_computers(devices: list[Device], monkeypatch) -> None:
    monkeypatch.setattr(device.psutil, "virtual_memory", lambda: SimpleNamespace(available=123))
    assert free_bytes(devices[-1]) == 123
    assert held_bytes(devices[-1], os.getpid()) > 0


def test_what_this_process_was_told_goes_before_what_was_chosen(devices: list[Device], monkeypatch) -> None:
    assert wanted_device(devices) is None
    choose_device(devices[1].ref)
    assert wanted_device(devices) == devices[1].ref
    assert worker_environment()[DEVICE] == SMALL["uuid"]
    monkeypatch.setenv(DEVICE, "cuda:0")
    assert wanted_device(devices) == devices[0].ref
    assert worker_environment()[DEVICE] == "cuda:0"
    monkeypatch.setenv(DEVICE, "auto")
    assert wanted_device(devices) is None
    monkeypatch.delenv(DEVICE)
    choose_device(None)
    assert wanted_device(devices) is None
    assert DEVICE not in worker_environment()


def test_the_probe_looks_at_all_devices_whatever_was_chosen(devices: list[Device]) -> None:
    choose_device(devices[1].ref)
    script = f"import json, os; print(json.dumps({{'told': os.environ.get({DEVICE!r})}}))"
    assert probe_device(command=[sys.executable, "-c", script]) == {"told": None}


def test_what_is_said_of_one_device_is_said_of_the_one_that_is_wanted(devices: list[Device], workspace: Workspace) -> None:
    remember(*CARDS, PROCESSOR)
    assert known_device()["device"] == "cpu"  # as it was remembered
    choose_device(devices[1].ref)
    known = known_device()
    assert (known["device"], known["name"], known["memory_total_bytes"]) == ("cuda", "Test Card Small", 8 * 10**9)
    choose_device(DeviceRef(id="cuda:0", uuid="GPU-gone"))
    assert known_device()["device"] == "cpu"


def test_another_card_in_the_computer_is_noticed(command: list[str], imitated_nvml: None) -> None:
    drive(LARGE)
    assert [probe_device(command=command)["n"] for _ in range(2)] == [1, 1]
    drive(LARGE, SMALL)
    assert [probe_device(command=command)["n"] for _ in range(2)] == [2, 2]


def test_each_card_has_a_lock_of_its_own(devices: list[Device]) -> None:
    locks = [device_lock(each) for each in devices]
    assert [lock.acquire() for lock in locks] == [True] * 3
    assert len({lock.path for lock in locks}) == 3
    assert {lock.path.parent for lock in locks} == {state_dir()}
    assert is_taken(devices[0])
    locks[0].release()
    assert not is_taken(devices[0])
    for lock in locks:
        lock.release()
