"""A server that drips, never ends, or sends far too much is given up within its limit, in one sentence."""

import contextlib
import itertools
import socket
import threading

import pytest
from huggingface_hub import get_session

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.hub import patience, servers
from rlhf_desktop.hub.client import Hub
from rlhf_desktop.hub.servers import Call, Server

ASKED = [{"role": "user", "content": "Hello"}]
OK = b"HTTP/1.1 200 OK\r\n"


class Tormentor:
    """Takes a connection, reads a little, and sends what it is made with, piece by piece, until nobody listens."""

    def __init__(self, pieces, pause_s=0.0):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.url = f"http://{self.address}/v1"
        self.sent, self.over, self.begun = 0, threading.Event(), threading.Event()
        self._pieces, self._pause_s = pieces, pause_s
        self._thread = threading.Thread(target=self._serve)

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(65536)
                    for piece in self._pieces():
                        self.begun.set()
                        connection.sendall(piece)
                        self.sent += len(piece)
                        if self.over.wait(self._pause_s):
                            return

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._thread.join()


def drip_body():
    return itertools.chain([OK + b"Content-Length: 100000\r\n\r\n"], itertools.repeat(b" "))


def drip_body_to_the_end_of_the_connection():
    return itertools.chain([OK + b"Connection: close\r\n\r\n"], itertools.repeat(b" "))


def drip_headers():
    return itertools.chain([OK], itertools.repeat(b"X"))


def many_headers():
    return itertools.chain([OK], (b"X-%d: 1\r\n" % number for number in itertools.count()))


def drip_chunks():
    return itertools.chain([OK + b"Transfer-Encoding: chunked\r\n\r\n"], itertools.repeat(b"1\r\n \r\n"))


def hesitate():
    """Says again and again that it will go on."""
    return itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n")


@pytest.mark.parametrize(
    "pieces", [drip_body, drip_body_to_the_end_of_the_connection, drip_headers, many_headers, drip_chunks, hesitate]
)
def test_a_server_that_drips_is_given_up_within_the_limit(pieces, monkeypatch):
    monkeypatch.setattr(servers, "_LIMIT_S", 0.4)
    monkeypatch.setattr(servers, "_LIST_LIMIT_S", 0.4)
    with Tormentor(pieces, pause_s=0.01) as there:
        for ask in (lambda s: s.answers(ASKED, 1, Sampling()), lambda s: s.models()):
            with pytest.raises(AppError) as caught:
                ask(Server.at(there.url, "m"))
            assert there.address in caught.value.message
            assert "\n" not in caught.value.message
            assert caught.value.hint


@pytest.mark.parametrize("length", [b"Content-Length: 10000000000\r\n", b"Connection: close\r\n"])
def test_ten_gigabytes_are_not_read(length):
    endless = lambda: itertools.chain([OK + length + b"\r\n"], itertools.repeat(b" " * 65536))  # noqa: E731
    with Tormentor(endless) as there, pytest.raises(AppError, match="did not answer as such servers do"):
        Server.at(there.url, "m").answers(ASKED, 1, Sampling())
    assert there.sent < 4 * servers._MAX_BYTES


@pytest.mark.parametrize("pieces", [drip_body, drip_body_to_the_end_of_the_connection, drip_headers])
def test_the_user_may_end_it_at_any_moment(pieces):
    call = Call()
    with Tormentor(pieces, pause_s=0.01) as there:
        ending = threading.Thread(target=lambda: (there.begun.wait(10), call.end()))
        ending.start()
        with pytest.raises(AppError):
            Server.at(there.url, "m").answers(ASKED, 1, Sampling(), call=call)
        ending.join()


def test_a_call_that_was_ended_before_it_began_asks_nothing():
    call = Call()
    call.end()
    with Tormentor(drip_body, pause_s=0.01) as there, pytest.raises(AppError):
        Server.at(there.url, "m").answers(ASKED, 1, Sampling(), call=call)


# --- the Hub


def file_that_drips():
    return itertools.chain(
        [OK + b"Content-Type: application/octet-stream\r\nContent-Length: 100000\r\n\r\n"], itertools.repeat(b"x")
    )


@pytest.fixture
def short(monkeypatch):
    for name in ("SILENCE_S", "BEGIN_S", "BEGIN_AFTER_SENDING_S", "ANSWER_S", "SLOWEST_S"):
        monkeypatch.setattr(patience, name, 0.3)


@pytest.mark.parametrize("pieces", [drip_body, drip_body_to_the_end_of_the_connection, drip_headers, many_headers, drip_chunks])
def test_a_hub_that_drips_is_given_up_within_the_limit(pieces, short):
    waited = []
    with Tormentor(pieces, pause_s=0.01) as there:
        hub = Hub(endpoint=f"http://{there.address}", wait=waited.append)
        with pytest.raises(AppError) as caught:
            hub.call("owner/model", lambda api: api.model_info("owner/model"))
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert len(waited) <= 3


@pytest.mark.parametrize("length", [b"Content-Length: 10000000000\r\n", b"Connection: close\r\n"])
def test_ten_gigabytes_of_an_answer_of_the_hub_are_not_read(length, monkeypatch):
    monkeypatch.setattr(patience, "ANSWER_BYTES", 2**20)
    start = OK + b"Content-Type: application/json\r\n" + length + b"\r\n"
    with Tormentor(lambda: itertools.chain([start], itertools.repeat(b" " * 65536))) as there:
        hub = Hub(endpoint=f"http://{there.address}", wait=lambda _: None)
        with pytest.raises(AppError):
            hub.call("owner/model", lambda api: api.model_info("owner/model"))
    assert there.sent < 64 * 2**20


def test_a_file_that_comes_too_slowly_is_given_up(short, monkeypatch):
    monkeypatch.setattr(patience, "SILENCE_S", 5.0)
    with Tormentor(file_that_drips, pause_s=0.01) as there:
        hub = Hub(endpoint=f"http://{there.address}", wait=lambda _: None)
        with pytest.raises(AppError):
            hub.call("owner/model", lambda api: get_session().get(f"{api.endpoint}/owner/model/resolve/main/weights").read())


def test_what_was_sent_for_long_may_still_be_answered(monkeypatch):
    """The time until an answer counts from the last byte that was sent."""
    monkeypatch.setattr(patience, "BEGIN_AFTER_SENDING_S", 5.0)
    progress = patience._Progress()
    progress.asked("PUT")
    progress.end = 0.0  # long ago
    with pytest.raises(Exception, match="too long"):
        progress.wait_s(None)
    progress.wrote()
    assert progress.wait_s(None) > 0
