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
