"""Searching and looking at repositories with the real client, on a Hub on loopback."""

import pytest

from rlhf_desktop.hub.remote import SeveralFiles, choose_gguf, look, revisions, search


def test_searching_shows_what_one_chooses_by(tiny, server, hub):
    server.add("ben/tiny-gated", {"config.json": b"{}"}, gated="manual")
    server.add("ben/hidden-tiny", {"config.json": b"{}"}, private=True)
    found = {model.repo: model for model in search(hub, "TINY")}
    assert set(found) == {"amina/tiny", "ben/tiny-gated"}
    assert found["ben/tiny-gated"].gated
    one = found["amina/tiny"]
    assert (one.parameters, one.size_bytes, one.licence, one.downloads) == (97728, 4 * 97728, "apache-2.0", 12)


def test_searching_says_what_can_be_taught_from_what_the_hub_knows(server, hub):
    configs = {
        "llama": {"architectures": ["LlamaForCausalLM"], "model_type": "llama"},
        "bert": {"architectures": ["BertForMaskedLM"], "model_type": "bert"},
        "martian": {"model_type": "martian"},
    }
    for name, config in configs.items():
        server.add(f"amina/{name}", {"config.json": b"{}"}, facts={"config": config})
    server.add("amina/file", {"a.gguf": b"GGUF"}, facts={"gguf": {"total": 5, "architecture": "qwen2"}})
    server.add("amina/other-file", {"a.gguf": b"GGUF"}, facts={"gguf": {"total": 5, "architecture": "clip"}})
    found = {model.repo.split("/")[1]: model.verdict for model in search(hub, "amina")}
    kinds = {name: verdict.kind for name, verdict in found.items()}
    assert kinds == {"llama": "trains", "bert": "refused", "martian": "tried", "file": "trains", "other-file": "refused"}
    assert "encoder" in found["bert"].reason
    assert server.count("GET", "/api/models?") == 2  # one for each kind of page, however many models


def test_a_full_name_finds_what_a_search_leaves_out(server, hub):
    server.add("amina/judge", {"adapter_config.json": b"{}"})
    server.repos["model", "amina/judge"].private = True  # the small Hub's search leaves out what is private
    assert search(hub, "amina/judge") == []
    server.repos["model", "amina/judge"].private = False
    (found,) = search(hub, "amina/judge")
    assert found.kind == "adapter"
    assert search(hub, "amina/nothing") == []


def test_what_can_be_asked_for(tiny, hub):
    tiny.tags |= {"v1": tiny.commits[-1][0]}
    assert revisions(hub, "amina/tiny") == ["main", "v1"]


def test_which_gguf(server, hub):
    server.add("amina/gguf", {"a-Q4.gguf": b"GGUF", "a-F16.gguf": b"GGUF1"})
    remote = look(hub, "amina/gguf")
    assert remote.kind == "gguf"
    for file in (None, "b-Q4.gguf"):
        with pytest.raises(SeveralFiles, match="several GGUF files") as caught:
            choose_gguf(remote, file)
        assert "a-F16.gguf" in caught.value.hint
        assert [f.path for f in caught.value.remote.ggufs] == ["a-F16.gguf", "a-Q4.gguf"]
    assert choose_gguf(remote, "a-Q4.gguf").size == 4
