"""--device stands anywhere on the line, is frozen in a run, and goes before what was chosen in Settings."""

import os

import pytest

from rlhf_desktop.core.devices import DEVICE, choose_device
from rlhf_desktop.core.runs import DeviceRef
from rlhf_desktop.jobs import device
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.operations import preflight

CARD = {"kind": "nvidia", "memory_total_bytes": 24 * 10**9, "memory_available_bytes": 20 * 10**9, "fast_dtype": "bfloat16"}
DEVICES = [
    {**CARD, "id": "cuda:0", "name": "Small Card", "uuid": "GPU-a"},
    {**CARD, "id": "cuda:1", "name": "Large Card", "uuid": "GPU-b"},
    {"id": "cpu", "kind": "cpu", "name": "Processor", "uuid": "", "fast_dtype": "float32"},
]


@pytest.fixture
def two_cards(workspace, monkeypatch):
    for module in (device, preflight):
        monkeypatch.setattr(module, "probe_device", lambda **_: {"devices": DEVICES})
    monkeypatch.setattr(device.nvml, "free_bytes", {"GPU-a": 20 * 10**9, "GPU-b": 10**9}.get)


def started(cli, rankings, *words) -> RunFolder:
    answer = cli("train", "dpo", "--data", rankings, "--model", "tiny", "--detach", "--json", *words)
    assert answer.code == 0, answer.err
    return RunFolder(cli.workspace.runs / answer.json["run"])


def test_the_flag_is_frozen_in_the_run_by_uuid_and_name(cli, model, rankings, two_cards):
    run = started(cli, rankings, "--device", "large")
    assert run.config().device == DeviceRef(id="cuda:1", uuid="GPU-b", name="Large Card")
    assert os.environ[DEVICE] == "GPU-b"  # so do the processes this one starts


def test_the_flag_goes_before_the_setting_and_without_either_nothing_is_frozen(cli, model, rankings, two_cards):
    assert started(cli, rankings).config().device is None
    choose_device(DeviceRef(id="cuda:1", uuid="GPU-b", name="Large Card"))
    assert started(cli, rankings).config().device.id == "cuda:1"
    assert started(cli, rankings, "--device", "cpu").config().device.id == "cpu"
    assert started(cli, rankings, "--device", "auto").config().device is None


def test_a_resumed_run_goes_where_the_flag_says(cli, model, rankings, two_cards):
    run = started(cli, rankings, "--device", "cuda:1")
    cli("runs", "pause", run.id)
    assert cli("runs", "resume", run.id, "--device", "cuda:0").code == 0
    assert run.status().wanted.uuid == "GPU-a"


def test_an_unknown_device_says_which_there_are(cli, model, rankings, two_cards):
    answer = cli("--device", "cuda:9", "runs", "list")
    assert answer.code == 1
    assert "cuda:1 (Large Card)" in answer.err


def test_check_lists_them_all(cli, two_cards, monkeypatch):
    from rlhf_desktop.operations import checkup

    monkeypatch.setattr(checkup, "probe_device", lambda: {"devices": DEVICES})
    said = cli("check").out
    assert "Training runs on cuda:0 (Small Card" in said
    assert "Also here: Large Card" in said
