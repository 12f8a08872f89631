"""Each failure of the Hub is one plain sentence, tried again only where that helps. The real client, over HTTP."""

import pytest

from rlhf_desktop.core import offline
from rlhf_desktop.core.errors import AppError, BadInput, HubTrouble, NotFound
from rlhf_desktop.hub import client
from rlhf_desktop.hub.client import Hub, endpoint_address
from rlhf_desktop.hub.remote import look, search
from rlhf_desktop.hub.tokens import Secret
from tests.hub_server import READER, WRITER


@pytest.fixture
def tiny(server):
    return server.add("amina/tiny", {"config.json": b"{}"})


def trouble(work, kind=AppError):
    with pytest.raises(kind) as caught:
        work()
    said = caught.value
    assert said.message.endswith((".", "!"))
    assert said.hint.endswith(".")
    assert "\n" not in said.message + said.hint
    for word in ("Traceback", "HTTPError", "http://127", WRITER, READER):
        assert word not in said.message + said.hint
    assert WRITER not in said.detail
    return said


def test_the_address_can_be_another_hub(monkeypatch, server):
    assert endpoint_address() == server.url
    monkeypatch.delenv("HF_ENDPOINT")
    assert endpoint_address() == "https://huggingface.co"


def test_who(writer, hub):
    assert writer.who() == "amina"
    assert Hub(Secret("hf_nobodynobodynobody"), writer.endpoint).has_token
    assert "does not accept your token" in trouble(Hub(Secret("hf_nobodynobodynobody")).who, HubTrouble).message


def test_nothing_there_and_private(server, hub, reader, writer):
    assert "not on the Hub" in trouble(lambda: look(reader, "amina/none"), NotFound).message
    server.add("amina/secret", {"config.json": b"{}"}, private=True)
    assert "private" in trouble(lambda: look(reader, "amina/secret"), NotFound).message
    assert "it is private" in trouble(lambda: look(hub, "amina/secret"), NotFound).message
    assert look(writer, "amina/secret").private


def test_a_revision_that_is_not_there(tiny, hub):
    assert "no such revision" in trouble(lambda: look(hub, "amina/tiny", "v9"), NotFound).message


@pytest.mark.parametrize("name", ["a/b/c", "..", "amina/ti ny", "-x-/--"])
def test_names_that_are_none(hub, name):
    assert "not the name of a repository" in trouble(lambda: look(hub, name), BadInput).message


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_what_passes_is_tried_again(server, tiny, hub, waits, status):
    server.fail("/api/models/", status, times=2)
    assert look(hub, "amina/tiny").repo == "amina/tiny"
    assert waits == [1.0, 3.0]


def test_the_hub_says_how_long_to_wait(server, tiny, hub, waits):
    server.fail("/api/models/", 429, Retry_After="7")
    look(hub, "amina/tiny")
    assert waits == [7.0]
    server.fail("/api/models/", 429, Retry_After="3600")
    assert "asks to wait" in trouble(lambda: look(hub, "amina/tiny"), HubTrouble).message
    assert waits == [7.0]  # an hour is the user's to decide


@pytest.mark.parametrize(
    ("status", "words"),
    [(500, "a trouble of its own"), (503, "a trouble of its own"), (429, "asks to wait"),
     (401, "who you are"), (403, "not let everybody"),
     (409, "changed on the Hub"), (418, "refused this")],
)  # fmt: skip
def test_what_lasts_is_said(server, tiny, hub, waits, status, words):
    server.fail("/api/models/", status, times=99)
    assert words in trouble(lambda: look(hub, "amina/tiny")).message
    assert len(waits) == (3 if status in (429, 500, 503) else 0)


def test_a_token_that_may_not(server, tiny, reader):
    server.fail("/api/models/", 403, times=9)
    assert "read permission to download" in trouble(lambda: look(reader, "amina/tiny"), HubTrouble).hint


@pytest.mark.parametrize("offset", [0, 1, 17, 60])
def test_a_broken_connection(server, tiny, hub, offset):
    server.break_at("/api/models/", offset, times=99)
    assert "connection broke" in trouble(lambda: look(hub, "amina/tiny"), HubTrouble).message


@pytest.mark.parametrize(
    ("status", "after", "words", "times"),
    [(429, {"Retry_After": "3600"}, "asks to wait", 1), (429, {"Retry_After": "7"}, "trouble of its own", 3),
     (503, {}, "trouble of its own", 5)],
)  # fmt: skip
def test_the_clients_own_patience_has_an_end(server, tiny, hub, monkeypatch, status, after, words, times):
    """A search is tried again by the client itself: an hour of silence, if the Hub asks for one."""
    slept = []
    monkeypatch.setattr(client.time, "sleep", slept.append)
    server.fail("/api/models", status, times=99, **after)
    assert words in trouble(lambda: search(hub, "tiny"), HubTrouble).message
    assert sum(slept) <= 20
    assert server.count("GET", "/api/models") == times


def test_nobody_there(waits):
    hub = Hub(endpoint="http://127.0.0.1:9", wait=waits.append)
    import huggingface_hub.constants

    huggingface_hub.constants.HF_HUB_OFFLINE, before = False, huggingface_hub.constants.HF_HUB_OFFLINE
    try:
        assert "cannot be reached" in trouble(lambda: look(hub, "amina/tiny"), HubTrouble).message
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE = before
    assert len(waits) == 3


def test_the_environment_forbids(monkeypatch, server, tiny, hub):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in trouble(lambda: look(hub, "amina/tiny"), HubTrouble).message


def test_nonsense_from_the_hub(server, tiny, hub):
    server.repos["model", "amina/tiny"].facts["safetensors"] = {"nonsense": 1}
    assert "could not be used" in trouble(lambda: look(hub, "amina/tiny"), HubTrouble).message


def test_offline_nothing_is_asked(server, tiny, hub):
    offline.set_guard(True)
    assert look(hub, "amina/tiny").repo == "amina/tiny"  # loopback is this computer
    away = Hub(endpoint="https://huggingface.co")
    assert "Offline is on" in trouble(lambda: search(away, "tiny"), offline.OfflineRefused).message


def test_without_a_token_none_is_sent(server, tiny, hub, writer, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_lyingaboutlyingabout")
    look(hub, "amina/tiny")
    assert all("authorization" not in {name.lower() for name in headers} for _, _, headers in server.seen)
    look(writer, "amina/tiny")
    assert server.seen[-1][2]["authorization"] == f"Bearer {WRITER}"
