"""Pulling with the real client from a Hub on loopback: whole, refused, hostile."""

import json
import pickle
import sys
from pathlib import Path

import pytest

from rlhf_desktop.core.errors import AppError, BadInput, HubTrouble, ModelTrouble, NoSpace
from rlhf_desktop.core.imported import imported_adapters
from rlhf_desktop.hub import pull as module
from rlhf_desktop.hub.fetching import Transfer
from rlhf_desktop.hub.library import Library, folder_hash
from rlhf_desktop.hub.pull import Puller
from rlhf_desktop.hub.remote import look
from rlhf_desktop.jobs.adapters import list_adapters, resolve_adapter
from tests import hostile
from tests.hostile import make_adapter


def leftovers(workspace):
    return [p.name for p in workspace.models.iterdir() if p.name.startswith(".") and not p.name.endswith(".lock")]


def test_a_model_arrives_whole_and_nothing_else(tiny, hub, puller, library, workspace, tiny_model):
    seen: list[Transfer] = []
    ref = puller.model(look(hub, "amina/tiny"), on_transfer=seen.append)
    assert ref.name == "tiny"
    names = {file.name for file in Path(ref.path).iterdir()}
    assert "model.safetensors" in names
    assert not names & {"pytorch_model.bin", "modeling.py", "up.json", "params.json", ".lock"}
    assert ref.hash == folder_hash(Path(tiny_model.path))
    (entry,) = library.list()
    assert (entry.licence, entry.source) == ("apache-2.0", f"hub:amina/tiny@{tiny.commits[-1][0]}")
    assert seen[-1].done_bytes == seen[-1].total_bytes
    assert [t.done_bytes for t in seen] == sorted(t.done_bytes for t in seen)
    assert leftovers(workspace) == []
    assert library.get("tiny") == ref
    with pytest.raises(BadInput, match="another model called"):
        puller.model(look(hub, "amina/tiny"))


def test_gated_is_explained(tiny, hub, reader, workspace, library):
    tiny.gated = "auto"
    for who, words in ((hub, "its makers want to know"), (reader, "has not been let in yet")):
        remote = look(who, "amina/tiny")
        assert remote.gated
        with pytest.raises(HubTrouble, match=words) as caught:
            Puller(who, workspace, library).model(remote)
        assert "amina/tiny" in caught.value.hint
    tiny.allowed = ("ben",)
    assert Puller(reader, workspace, library).model(look(reader, "amina/tiny"))


def test_no_room(tiny, hub, puller, monkeypatch):
    monkeypatch.setattr(module, "free_disk_bytes", lambda path: 1000)
    with pytest.raises(NoSpace, match="on this disk"):
        puller.model(look(hub, "amina/tiny"))


def test_a_model_with_code_is_refused_before_its_weights_are_fetched(tiny, server, hub, puller, library, tiny_files):
    config = {**json.loads(tiny_files["config.json"]), "auto_map": {"AutoConfig": "modeling.Config"}, "model_type": "martian"}
    tiny.commit({**tiny_files, "config.json": json.dumps(config).encode()})
    with pytest.raises(ModelTrouble, match="code of its own"):
        puller.model(look(hub, "amina/tiny"))
    assert server.count("GET", "model.safetensors") == 0
    assert library.list() == []


def test_a_family_that_cannot_be_used_is_refused_before_its_weights_are_fetched(tiny, server, hub, puller, library, tiny_files):
    tiny.commit({**tiny_files, "config.json": json.dumps({"model_type": "t5", "is_encoder_decoder": True}).encode()})
    with pytest.raises(ModelTrouble, match="two halves"):
        puller.model(look(hub, "amina/tiny"))
    assert server.count("GET", "resolve") == 1
    assert library.list() == []


def test_a_model_that_is_broken_on_the_hub_leaves_nothing(tiny, hub, puller, workspace, tiny_files):
    tiny.commit({**tiny_files, "model.safetensors": b"nonsense"})
    with pytest.raises(ModelTrouble, match="damaged"):
        puller.model(look(hub, "amina/tiny"))
    assert leftovers(workspace) == []


def test_only_pickles_are_refused_before_anything_is_fetched(server, hub, puller):
    server.add("amina/old", {"config.json": b"{}", "pytorch_model.bin": pickle.dumps({})})
    with pytest.raises(ModelTrouble, match="not safe to load"):
        puller.model(look(hub, "amina/old"))
    assert server.count("GET", "resolve") == 0
    server.add("amina/empty", {"README.md": b""})
    with pytest.raises(ModelTrouble, match="holds no model"):
        puller.model(look(hub, "amina/empty"))


def test_a_gguf_model_remembers_where_it_came_from(server, hub, workspace, tmp_path):
    """The file is gone once it is converted."""
    converter = "import json, pathlib, sys; (pathlib.Path(sys.argv[2]) / 'model.safetensors').write_text('weights'); "
    converter += "print(json.dumps({'parameters': 7, 'licence': 'mit'}))"
    library = Library(workspace, convert_command=[sys.executable, "-c", converter])
    content = hostile.gguf(tmp_path / "a.gguf", keys=hostile.LLAMA).read_bytes()
    repo = server.add("amina/gguf", {"a.gguf": content}, card={"license": "apache-2.0"})
    Puller(hub, workspace, library).model(look(hub, "amina/gguf"))
    (model,) = library.list()
    assert (model.source, model.licence) == (f"hub:amina/gguf@{repo.commits[-1][0]}", "apache-2.0")
    assert leftovers(workspace) == []


def test_a_gguf_model_of_another_kind_is_refused_before_it_is_fetched(server, hub, puller):
    server.add("amina/gguf", {"a.gguf": b"GGUF"}, facts={"gguf": {"total": 5, "architecture": "martian"}})
    remote = look(hub, "amina/gguf")
    assert remote.parameters == 5
    with pytest.raises(ModelTrouble, match="holds a “martian” model"):
        puller.model(remote)
    assert server.count("GET", "resolve") == 0


def test_an_older_revision(tiny, hub, puller, tiny_files):
    old = tiny.commits[-1][0]
    tiny.commit({"config.json": b"{}", "model.safetensors": b"other"})
    tiny.tags["v1"] = old
    assert look(hub, "amina/tiny", "v1").revision == old
    assert puller.model(look(hub, "amina/tiny", "v1"))


# --- adapters


@pytest.fixture
def adapter(server, tmp_path):
    folder = make_adapter(tmp_path / "adapter")
    return server.add("amina/kind", {file.name: file.read_bytes() for file in folder.iterdir()}, card={"license": "mit"})


@pytest.fixture
def base(library, tiny_model):
    library.add(tiny_model.path, "tiny")
    return library.list()[0]


def test_an_adapter_finds_its_base_by_its_shapes(adapter, hub, puller, workspace, base):
    origin = puller.adapter(look(hub, "amina/kind"), [base])
    assert (origin.base_hash, origin.kind, origin.licence) == (base.hash, "policy", "mit")
    (info,) = list_adapters(workspace)
    assert (info.title, info.base_name, info.ref.base_hash) == ("kind", "tiny", base.hash)
    assert resolve_adapter(workspace, "kind") == info.ref == resolve_adapter(workspace, info.ref.path)
    with pytest.raises(BadInput, match="another adapter called"):
        puller.adapter(look(hub, "amina/kind"), [base])
    assert puller.adapter(look(hub, "amina/kind"), [base], name="kind-2").name == "kind-2"


def test_an_adapter_of_another_base_is_refused_with_its_name(adapter, hub, puller, workspace, base):
    facts = {"base_hash": "other", "base_name": "Bigger"}
    adapter.commit({**adapter.files, "rlhf_desktop.json": json.dumps(facts).encode()})
    with pytest.raises(ModelTrouble, match="made for “Bigger”"):
        puller.adapter(look(hub, "amina/kind"), [base])
    adapter.commit({**adapter.files, "rlhf_desktop.json": b"{}"})
    with pytest.raises(ModelTrouble, match="fits none"):
        puller.adapter(look(hub, "amina/kind"), [])
    assert imported_adapters(workspace) == []
    assert leftovers(workspace) == []


def test_a_hostile_adapter_is_not_taken_in(adapter, hub, puller, workspace, base):
    config = {**json.loads(adapter.files["adapter_config.json"]), "target_modules": "(.*)*x"}
    adapter.commit({**adapter.files, "adapter_config.json": json.dumps(config).encode()})
    with pytest.raises(AppError, match="refused"):
        puller.adapter(look(hub, "amina/kind"), [base])
    assert imported_adapters(workspace) == []
