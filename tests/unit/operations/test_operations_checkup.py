"""The checkup says what is well and what to do; one broken thing does not hide the others."""

import pytest
from operations_helpers import BASE

from rlhf_desktop.core.errors import ModelTrouble, WorkerTrouble
from rlhf_desktop.jobs.nvml import Card
from rlhf_desktop.operations import checkup as module
from rlhf_desktop.operations.checkup import checkup

CPU = {"device": "cpu", "name": "A processor", "fast_dtype": "bfloat16"}


class Shelf:
    def __init__(self, trouble=None):
        self._trouble = trouble

    def list(self):
        return [BASE]

    def ensure_starter(self, progress=None):
        if self._trouble:
            raise self._trouble
        return BASE


def findings(workspace, shelf=None, probe=lambda: CPU):
    return {finding.name: finding for finding in checkup(workspace, shelf or Shelf(), probe=probe)}


def test_a_sound_computer(workspace, store):
    found = findings(workspace)
    assert list(found) == ["system", "device", "engine", "memory", "disk", "privacy", "database", "spelling", "starter model"]
    assert not [f for f in found.values() if f.state == "trouble"]
    assert found["device"].sentence == "Training runs on cpu (A processor, computes in bfloat16)."
    assert found["database"].state == "well" or store.notice


@pytest.mark.parametrize(
    ("told", "state", "words"),
    [
        ({"release": "2026.1", "trouble": ""}, "well", "Torch and llama.cpp (xllamacpp 2026.1) can compute answers"),
        ({"release": "", "trouble": "The xllamacpp package is not installed."}, "note", "The xllamacpp package is not installed."),
    ],
)
def test_which_engines_there_are_and_why_not(workspace, store, told, state, words):
    found = findings(workspace, probe=lambda: {**CPU, "engines": {"llama.cpp": told}})["engine"]
    assert (found.state, words in found.sentence) == (state, True)


CARDS = [
    {"id": f"cuda:{n}", "kind": "nvidia", "name": f"Card {n}", "uuid": f"GPU-{n}", "memory_total_bytes": 8 * 1024**3,
     "memory_available_bytes": (n + 1) * 1024**3, "fast_dtype": "float16"}
    for n in range(2)
]  # fmt: skip


def test_every_device_is_said_with_its_memory_and_number_format(workspace, store):
    processor = {**CPU, "id": "cpu", "kind": "cpu"}
    found = findings(workspace, probe=lambda: {"devices": [*CARDS, processor], "versions": {"torch": "2.9+cu126"}})
    assert found["device"].sentence == "Training runs on cuda:1 (Card 1, 8.0 GiB, 2.0 free, computes in float16)."
    assert found["cuda:0"].sentence == "Also here: Card 0, 8.0 GiB, 1.0 free, computes in float16."
    assert found["cpu"].sentence == "Also here: A processor, computes in bfloat16."
    assert "card" not in found


@pytest.mark.parametrize(
    ("torch", "visible", "why", "remedy"),
    [
        ("2.9+cpu", None, "build for the processor alone", "make run"),
        ("2.9+cu126", None, "does not see it", "make run"),
        ("2.9+cu126", "1", "CUDA_VISIBLE_DEVICES", "Unset"),
    ],
)
def test_a_card_that_torch_cannot_use_is_said_with_the_reason(workspace, store, monkeypatch, torch, visible, why, remedy):
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(module.nvml, "cards", lambda: [Card("GPU-7", "Unseen Card")])
    finding = findings(workspace, probe=lambda: {**CPU, "versions": {"torch": torch}})["card"]
    assert (finding.state, "Unseen Card" in finding.sentence, why in finding.sentence) == ("note", True, True)
    assert remedy in finding.remedy


def test_troubles_have_a_remedy_and_do_not_hide_each_other(workspace):
    def broken():
        raise WorkerTrouble("torch is broken.", "Install it again.")

    found = findings(workspace, Shelf(ModelTrouble("The starter model is not installed.", "pip install it.")), broken)
    troubles = {name: f.remedy for name, f in found.items() if f.state == "trouble"}
    assert troubles == {"device": "Install it again.", "starter model": "pip install it."}


def test_a_damaged_database_is_a_trouble(workspace):
    workspace.database.write_bytes(b"no database" * 1000)
    assert findings(workspace)["database"].state == "trouble"


@pytest.mark.parametrize(("free", "state"), [(1024**3, "note"), (10 * 1024**3, "well")])
def test_a_disk_that_fills_up_is_noted(workspace, monkeypatch, free, state):
    monkeypatch.setattr(module, "free_disk_bytes", lambda _: free)
    assert findings(workspace)["disk"].state == state


def test_a_workspace_that_others_can_list_is_noted_with_the_remedy(workspace, store):
    workspace.root.chmod(0o755)
    found = findings(workspace)["privacy"]
    assert found.state == "note"
    assert f"chmod 700 {workspace.root}" in found.remedy
    workspace.root.chmod(0o700)
    assert findings(workspace)["privacy"].state == "well"
