import json
import shutil
import sys

import pytest
from operations_helpers import adapter

from rlhf_desktop.core.errors import BadInput, ModelTrouble, NoSpace, NotFound
from rlhf_desktop.hub.library import Library
from rlhf_desktop.operations import exporting as module
from rlhf_desktop.operations.audit import heads_of_file
from rlhf_desktop.operations.exporting import export_adapter
from tests.hostile import edit, make_adapter

# Stands in for `worker export`: writes a file, or fails as told by the title, or dies.
WORKER = """
import json, os, pathlib, sys
asked = json.loads(sys.argv[1])
target = pathlib.Path(asked["target"])
(target / "half").write_text("x")
if asked["title"] == "die":
    os.abort()
if asked["title"] == "bad":
    print(json.dumps({"error": {"kind": "NoSpace", "message": "Full.", "hint": "", "detail": ""}}))
    sys.exit(1)
(target / "half").rename(target / "whole")
print(json.dumps({"files": ["whole"]}))
"""
COMMAND = [sys.executable, "-c", WORKER]


@pytest.fixture
def library(workspace, tiny_model):
    made = Library(workspace)
    made.add(tiny_model.path, "tiny")
    return made


@pytest.fixture
def base(library):
    return library.get("tiny")


def test_whole_and_said_how_to_use_it(library, base, tmp_path):
    said = []
    done = export_adapter(
        library, base, adapter(base_hash=base.hash, path=make_adapter(tmp_path / "adapter")), "merged", tmp_path / "out",
        on_note=said.append, command=COMMAND,
    )  # fmt: skip
    assert [file.name for file in done.files] == ["whole"]
    assert done.size_bytes == 1
    assert str(tmp_path / "out") in done.how_to_use
    assert said


def test_a_model_that_also_sees_is_loaded_as_one(workspace, tiny_model, tmp_path):
    shutil.copytree(tiny_model.path, tmp_path / "model")
    library = Library(workspace)
    library.add(tmp_path / "model", "sees")
    done = export_adapter(library, library.get("sees"), None, "merged", tmp_path / "text", command=COMMAND)
    assert "AutoModelForCausalLM" in done.how_to_use
    edit(tmp_path / "model" / "config.json", model_type="qwen2_5_vl")
    done = export_adapter(library, library.get("sees"), None, "merged", tmp_path / "whole", command=COMMAND)
    assert "AutoModelForImageTextToText" in done.how_to_use


@pytest.mark.parametrize(("title", "kind", "words"), [("die", ModelTrouble, "did not come to its end"), ("bad", NoSpace, "Full")])
def test_what_fails_leaves_nothing(library, base, tmp_path, title, kind, words):
    (tmp_path / "place").mkdir()
    with pytest.raises(kind, match=words) as caught:
        export_adapter(library, base, None, "gguf", tmp_path / "place" / "out", name=title, command=COMMAND)
    assert caught.value.hint
    assert list((tmp_path / "place").iterdir()) == []


def test_what_is_refused_before_any_work(library, base, tmp_path, monkeypatch):
    with pytest.raises(BadInput, match="no export format"):
        export_adapter(library, base, None, "exe", tmp_path / "out", command=COMMAND)
    with pytest.raises(BadInput, match="is there already"):
        export_adapter(library, base, None, "gguf", tmp_path, command=COMMAND)
    with pytest.raises(ModelTrouble, match="another base model"):
        export_adapter(library, base, adapter(base_hash="other"), "gguf", tmp_path / "out", command=COMMAND)
    monkeypatch.setattr(module, "free_disk_bytes", lambda path: 10)
    with pytest.raises(NoSpace, match="needs about"):
        export_adapter(library, base, None, "gguf", tmp_path / "out", command=COMMAND)
    with pytest.raises(NotFound, match="base model of this adapter"):
        library.by_hash("other")


def test_a_reward_model_leaves_as_an_adapter_only(library, base, tmp_path):
    folder = make_adapter(tmp_path / "judge")
    edit(folder / "adapter_config.json", task_type="SEQ_CLS")
    judge = adapter("Judge", base_hash=base.hash, path=folder)
    for form in ("merged", "gguf", "gguf-lora"):
        with pytest.raises(BadInput, match="marks answers and writes none"):
            export_adapter(library, base, judge, form, tmp_path / form, command=COMMAND)
    assert export_adapter(library, base, judge, "peft", tmp_path / "peft", command=COMMAND).files


def test_the_real_worker_writes_every_format(library, base, tmp_path):
    ref = adapter(base_hash=base.hash, path=make_adapter(tmp_path / "adapter"))
    files = {}
    for form in module.FORMATS:
        done = export_adapter(library, base, ref, form, tmp_path / form, name="My kinder one")
        files[form] = {file.name for file in done.files}
    assert files["peft"] >= {"adapter_model.safetensors", "adapter_config.json"}
    assert files["merged"] >= {"model.safetensors", "config.json", "tokenizer.json"}
    assert files["gguf"] == {"My-kinder-one-F16.gguf", "Modelfile"}
    assert files["gguf-lora"] == {"My-kinder-one-lora.gguf", "tiny-F16.gguf", "Modelfile"}
    assert json.loads((tmp_path / "peft" / "adapter_config.json").read_text())["base_model_name_or_path"] == "tiny"
    assert "ADAPTER ./My-kinder-one-lora.gguf" in (tmp_path / "gguf-lora" / "Modelfile").read_text()
    with pytest.raises(BadInput, match="no adapter to export"):
        export_adapter(library, base, None, "peft", tmp_path / "none")


def test_the_card_of_an_exported_model_names_the_head_of_the_audit_log(library, base, tmp_path):
    written = '(target / "half").write_text("x")'
    command = [sys.executable, "-c", WORKER.replace(written, f'{written}; (target / "README.md").write_text("# It")')]
    export_adapter(library, base, None, "merged", tmp_path / "out", log=f"Head: {'ab' * 32}:7", command=command)
    assert [str(head) for head in heads_of_file(tmp_path / "out" / "README.md")] == [f"{'ab' * 32}:7"]
    export_adapter(library, base, None, "merged", tmp_path / "plain", command=command)
    assert (tmp_path / "plain" / "README.md").read_text() == "# It"
