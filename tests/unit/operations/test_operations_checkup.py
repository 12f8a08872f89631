"""The checkup says what is well and what to do; one broken thing does not hide the others."""

import pytest
from operations_helpers import BASE

from rlhf_desktop.core.errors import ModelTrouble, WorkerTrouble
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
    assert list(found) == ["system", "device", "memory", "disk", "database", "starter model"]
    assert not [f for f in found.values() if f.state == "trouble"]
    assert found["device"].sentence == "Training runs on cpu (A processor) in bfloat16."
    assert found["database"].state == "well" or store.notice


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
