import json
import os

import pytest
from jobs_helpers import ROWS, make_config

from rlhf_desktop.core.errors import BadInput, ModelTrouble, NotFound
from rlhf_desktop.core.files import sha256_file
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.jobs.adapters import list_adapters, resolve_adapter, weights_hash
from rlhf_desktop.jobs.runfolder import RunFolder


def save_adapter(folder, weights: bytes = b"weights", **config: object) -> None:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", **config}))
    (folder / "adapter_model.safetensors").write_bytes(weights)


def finished(workspace: Workspace, title: str, algorithm: str = "sft", **settings: object) -> RunFolder:
    config = make_config(title, **settings).model_copy(update={"algorithm": algorithm})
    run = RunFolder.create(workspace, config, ROWS)
    save_adapter(run.adapter, title.encode())
    return run


@pytest.fixture
def polite(workspace: Workspace) -> RunFolder:
    return finished(workspace, "Polite")


@pytest.fixture
def judge(workspace: Workspace, polite: RunFolder) -> RunFolder:
    return finished(workspace, "Judge", "reward")


def test_results_are_listed_newest_first_by_kind(workspace: Workspace, polite: RunFolder, judge: RunFolder) -> None:
    RunFolder.create(workspace, make_config("unfinished"), ROWS)
    assert [info.title for info in list_adapters(workspace)] == ["Judge", "Polite"]
    assert [info.run_id for info in list_adapters(workspace, "policy")] == [polite.id]
    assert [info.kind for info in list_adapters(workspace, "reward")] == ["reward"]


def test_every_way_of_naming_one_gives_the_same_adapter(workspace: Workspace, polite: RunFolder) -> None:
    names = (polite.id, polite.id[:13], "Polite", str(polite.path), str(polite.adapter))
    refs = {resolve_adapter(workspace, name) for name in names}
    assert len(refs) == 1
    ref = refs.pop()
    assert ref.hash == sha256_file(polite.adapter / "adapter_model.safetensors")
    assert (ref.name, ref.path, ref.base_hash) == ("Polite", str(polite.adapter), polite.config().base.hash)


def test_how_its_base_was_held_while_it_was_trained_is_known(workspace: Workspace, polite: RunFolder) -> None:
    small = finished(workspace, "Small", quantization="4bit")
    assert [resolve_adapter(workspace, run.id).quantization for run in (polite, small)] == ["none", "4bit"]


@pytest.mark.parametrize("text", [None, "", "base"])
def test_the_base_itself_is_no_adapter(workspace: Workspace, text: str | None) -> None:
    assert resolve_adapter(workspace, text) is None


def test_a_missing_one_names_those_there_are(workspace: Workspace, judge: RunFolder) -> None:
    with pytest.raises(NotFound, match=r"called “Rude”.*Judge.*Polite"):
        resolve_adapter(workspace, "Rude")


def test_an_ambiguous_start_is_refused(workspace: Workspace, polite: RunFolder, judge: RunFolder) -> None:
    with pytest.raises(BadInput, match="Several"):
        resolve_adapter(workspace, polite.id[:6])  # the time, to some hours


def test_the_wrong_kind_is_refused_with_those_of_the_right_one(workspace: Workspace, judge: RunFolder) -> None:
    with pytest.raises(BadInput, match=r"is a reward model, but a tuned model is needed here.*Polite"):
        resolve_adapter(workspace, "Judge", "policy")


def test_a_foreign_folder_is_taken_by_what_it_says_it_is(workspace: Workspace, tmp_path) -> None:
    save_adapter(tmp_path / "theirs", task_type="SEQ_CLS")
    ref = resolve_adapter(workspace, str(tmp_path / "theirs"), "reward")
    assert (ref.name, ref.base_hash) == ("theirs", "")
    with pytest.raises(BadInput):
        resolve_adapter(workspace, str(tmp_path / "theirs"), "policy")


def test_folders_without_an_adapter_say_what_is_missing(workspace: Workspace, tmp_path) -> None:
    with pytest.raises(NotFound, match="no adapter in"):
        resolve_adapter(workspace, str(tmp_path))
    save_adapter(tmp_path / "half")
    (tmp_path / "half" / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelTrouble, match="no weights"):
        resolve_adapter(workspace, str(tmp_path / "half"))
    (tmp_path / "half" / "adapter_config.json").write_text("{")
    with pytest.raises(ModelTrouble, match="damaged"):
        resolve_adapter(workspace, str(tmp_path / "half"))


def test_new_weights_get_a_new_hash(tmp_path) -> None:
    save_adapter(tmp_path / "a", b"one")
    before = weights_hash(tmp_path / "a")
    weights = tmp_path / "a" / "adapter_model.safetensors"
    weights.write_bytes(b"two")
    os.utime(weights, ns=(1, 1))
    assert weights_hash(tmp_path / "a") == sha256_file(weights) != before
