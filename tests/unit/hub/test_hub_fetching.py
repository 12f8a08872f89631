"""Files on their way from a Hub on loopback: cut off anywhere, stopped, damaged."""

import random
from pathlib import Path

import pytest

from rlhf_desktop.core.errors import HubTrouble
from rlhf_desktop.hub.remote import look


@pytest.mark.parametrize("seed", range(5))
def test_a_connection_that_breaks_anywhere_is_resumed_within_the_pull(tiny, server, hub, puller, tiny_files, seed):
    offset = random.Random(seed).randrange(len(tiny_files["model.safetensors"]))
    server.break_at("resolve", offset, times=1)
    server.break_at("model.safetensors", offset, times=2)
    ref = puller.model(look(hub, "amina/tiny"))
    assert (Path(ref.path) / "model.safetensors").read_bytes() == tiny_files["model.safetensors"]


def test_a_pull_that_failed_goes_on_where_it_ended(tiny, server, hub, puller, workspace, tiny_files):
    server.break_at("model.safetensors", 200_000, times=1)
    server.fail("model.safetensors", 503, times=99)
    with pytest.raises(HubTrouble) as caught:
        puller.model(look(hub, "amina/tiny"))
    assert "kept" in caught.value.hint
    (kept,) = workspace.models.glob(".pull-*/model.safetensors.part")
    assert kept.stat().st_size == 3 * 65_536
    server.faults.clear()
    server.seen.clear()
    ref = puller.model(look(hub, "amina/tiny"))
    asked = [headers.get("range") for method, path, headers in server.seen if "model.safetensors" in path and method == "GET"]
    assert asked == ["bytes=196608-"]
    assert server.count("GET", "config.json") == 0  # what was whole is not fetched again
    assert (Path(ref.path) / "model.safetensors").read_bytes() == tiny_files["model.safetensors"]


def test_stopping_keeps_what_has_arrived(tiny, hub, puller, workspace):
    with pytest.raises(HubTrouble, match="stopped") as caught:
        puller.model(look(hub, "amina/tiny"), stop=lambda: True)
    assert "go on" in caught.value.hint
    assert puller.model(look(hub, "amina/tiny"))


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_other_bytes_than_promised_are_thrown_away(tiny, server, hub, puller, library, name):
    server.flip(f"/{name}")
    with pytest.raises(HubTrouble, match="did not arrive as the Hub describes"):
        puller.model(look(hub, "amina/tiny"))
    assert library.list() == []
    assert puller.model(look(hub, "amina/tiny"))
