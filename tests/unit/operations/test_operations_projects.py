"""Which project, model and adapter: named, remembered, or the obvious one."""

import json

import pytest
from operations_helpers import BASE, adapter

from rlhf_desktop.core.errors import ModelTrouble, NotFound
from rlhf_desktop.core.files import write_json
from rlhf_desktop.operations.projects import FIRST_PROJECT, check_fits, choose_adapter, choose_base, open_project


class Shelf:
    """A library of two models."""

    def get(self, name):
        if name not in ("starter", "big"):
            raise NotFound(f"There is no model called “{name}”.", "There are: starter, big.")
        return BASE.model_copy(update={"name": name})

    def ensure_starter(self, progress=None):
        return self.get("starter")


def test_the_first_time_there_is_a_first_project(store):
    assert open_project(store).name == FIRST_PROJECT
    assert [p.name for p in store.projects.all()] == [FIRST_PROJECT]


def test_a_named_project_is_made_and_is_then_the_last_used(store, project):
    named = open_project(store, "Nurses")
    assert open_project(store) == named
    assert open_project(store, "support") == project
    assert open_project(store) == project


def test_a_sample_project_is_never_opened_by_default(store):
    store.projects.create("Sample", sample=True)
    assert open_project(store).name == FIRST_PROJECT


def test_the_base_is_the_named_one_then_the_projects_then_the_starter(store, project):
    assert choose_base(store, Shelf(), project).name == "starter"
    store.settings.set("model", "big", project.id)
    assert choose_base(store, Shelf(), project).name == "big"
    assert choose_base(store, Shelf(), project, "starter").name == "starter"


def test_a_projects_model_that_is_gone_is_said_with_the_project(store, project):
    store.settings.set("model", "lost", project.id)
    with pytest.raises(NotFound, match=r"“Support” uses the model “lost”") as trouble:
        choose_base(store, Shelf(), project)
    assert trouble.value.hint
    with pytest.raises(NotFound, match="no model called “other”"):
        choose_base(store, Shelf(), project, "other")


def test_an_adapter_of_another_base_is_refused_and_one_that_does_not_say_is_not():
    check_fits(adapter(), BASE)
    check_fits(adapter(base_hash=""), BASE)
    with pytest.raises(ModelTrouble, match="made for another base model"):
        check_fits(adapter(base_hash="other"), BASE)


def test_no_name_and_base_mean_no_adapter_and_an_unknown_one_is_not_found(workspace, tmp_path):
    assert choose_adapter(workspace, None, BASE) is None
    assert choose_adapter(workspace, "base", BASE) is None
    with pytest.raises(NotFound, match="no adapter called “Tuned”"):
        choose_adapter(workspace, "Tuned", BASE)
    folder = tmp_path / "mine"
    write_json(folder / "adapter_config.json", json.loads('{"task_type": "CAUSAL_LM"}'))
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    assert choose_adapter(workspace, str(folder), BASE).name == "mine"
