"""A server of the user's own, on loopback, speaking OpenAI's chat completions: well, badly, and not at all."""

import json

import pytest

from rlhf_desktop.core import offline
from rlhf_desktop.core.errors import AppError, BadInput, HubTrouble
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.hub.servers import Server
from rlhf_desktop.hub.tokens import Secret
from tests.chat_server import ChatServer

PROMPT = [{"role": "user", "content": "My lamp is broken."}]


@pytest.fixture
def talker():
    with ChatServer() as made:
        yield made


def test_several_answers_each_with_its_seed(talker):
    server = Server.at(talker.url, "llama", Secret("sk-canarycanary"))
    answers = server.answers(PROMPT, 3, Sampling(temperature=0.5, max_new_tokens=9), seed=7)
    assert [a.text for a in answers] == ["answer 7", "answer 8", "answer 9"]
    assert (answers[0].finish, answers[0].tokens) == ("end", 3)
    path, key, asked = talker.seen[0]
    assert (path, key) == ("/v1/chat/completions", "Bearer sk-canarycanary")
    assert asked["messages"] == PROMPT
    assert (asked["temperature"], asked["max_tokens"], asked["model"]) == (0.5, 9, "llama")


def test_the_record_says_which_server(talker):
    reference = Server.at(talker.url, "llama").reference
    assert reference.name.startswith("llama @ 127.0.0.1:")
    assert reference.hash.startswith("server:")
    assert reference.hash != Server.at(talker.url, "qwen").reference.hash


def test_what_it_offers(talker):
    assert Server.at(talker.url).models() == ["llama", "qwen"]


@pytest.mark.parametrize(
    ("typed", "url"),
    [("localhost:11434", "http://localhost:11434/v1"), ("http://a.example/v1/chat/completions/", "http://a.example/v1"),
     ("https://b.example/api/v2", "https://b.example/api/v2")],
)  # fmt: skip
def test_addresses_as_people_type_them(typed, url):
    assert Server.at(typed).url == url


@pytest.mark.parametrize(
    "typed", ["", "ftp://a.example", "http://", "http://me:secret@a.example", "http://a:99999", "no address at all", "a\x00b"]
)
def test_what_is_no_address(typed):
    with pytest.raises(BadInput, match="not the address of a server"):
        Server.at(typed)


@pytest.mark.parametrize(
    ("status", "say", "words"),
    [
        (401, b"", "wants a key"), (404, b"", "does not know"), (429, b"", "busy"), (500, b"boom", "busy"), (418, b"", "code 418"),
        (302, b"", "code 302"), (200, b"<html>", "did not answer as"), (200, b"[" * 10**5, "did not answer as"),
        (200, b"[]", "did not answer as"), (200, b'{"choices": []}', "cannot be used"),
        (200, b'{"choices": [{"message": {"content": null}}]}', "cannot be used"),
        (200, json.dumps({"choices": [{"message": {"content": "x" * 300_000}}]}).encode(), "cannot be used"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_one_sentence(talker, status, say, words):
    talker.status, talker.say = status, say
    with pytest.raises(HubTrouble, match=words) as caught:
        Server.at(talker.url, "llama", Secret("sk-canarycanary")).answers(PROMPT, 1, Sampling())
    assert caught.value.hint
    assert "canary" not in f"{caught.value}{caught.value.detail}"
    assert len(talker.seen) == 1  # nothing is followed, nothing asked twice


@pytest.mark.parametrize("tokens", [-5, 2**40, 10**30, True, "9", None, 1.5])
def test_a_servers_numbers_are_not_believed(talker, tokens):
    """One that is no count went into the record, and the project's bundle could never be written again."""
    usage = {"completion_tokens": tokens, "completion_tokens_details": {"reasoning_tokens": -7}}
    talker.say = {"choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}], "usage": usage}
    (answer,) = Server.at(talker.url).answers(PROMPT, 1, Sampling())
    assert answer.tokens is None


def test_names_too_long_to_keep_are_not_offered(talker):
    talker.offered = [{"id": "good"}, {"id": "x" * 600}, {"id": ""}]
    assert Server.at(talker.url).models() == ["good"]
    with pytest.raises(BadInput, match="name"):
        Server.at("localhost:1/v1", "x" * 600)


def test_nobody_there():
    with pytest.raises(HubTrouble, match="cannot be reached"):
        Server.at("127.0.0.1:9", "llama").answers(PROMPT, 1, Sampling())


def test_offline_only_this_computer_is_asked(talker):
    offline.set_guard(True)
    assert Server.at(talker.url, "llama").answers(PROMPT, 1, Sampling())
    with pytest.raises(offline.OfflineRefused):
        Server.at("https://api.example.com/v1", "llama").answers(PROMPT, 1, Sampling())
    with pytest.raises(AppError, match="Offline is on"):
        Server.at("http://localhost.example.com/v1", "llama").models()


@pytest.mark.parametrize(
    ("message", "text", "thought"),
    [
        ({"content": "<think>Hm.</think>\n\nYes."}, "Yes.", "Hm."),
        ({"content": "Yes.", "reasoning_content": "Hm."}, "Yes.", "Hm."),
        ({"content": None, "reasoning": "Hm, and"}, "", "Hm, and"),
        ({"content": "<think>Hm, and"}, "", "Hm, and"),
        ({"content": "Yes.", "reasoning_content": None}, "Yes.", ""),
    ],
)
def test_thoughts_are_told_apart_and_not_counted(talker, message, text, thought):
    usage = {"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 7}}
    talker.say = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}
    (answer,) = Server.at(talker.url, "llama").answers(PROMPT, 1, Sampling())
    assert (answer.text, answer.thought, answer.tokens) == (text, thought, 2)
