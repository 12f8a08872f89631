"""The client of the inference worker, against a scripted process."""

import sys

from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.ui.chat.worker_client import ProcessEnd, WorkerClient

BASE = ModelRef(name="Tiny", path="/nowhere", hash="tiny-hash")


def ask(client, text, k=1):
    return client.generate([{"role": "user", "content": text}], k, None, Sampling(), 0)


def test_answers_stream_and_end(qtbot, client):
    heard = []
    client.tokenArrived.connect(lambda *token: heard.append(token))
    client.load(BASE)
    with qtbot.waitSignals([client.modelLoaded, client.requestDone]):
        request = ask(client, "hello", k=2)
    assert [token[0] for token in heard] == [request, request]
    assert client.state == "ready"
    assert client.loaded.device == "cpu"


def test_loading_the_same_base_again_asks_nothing(qtbot, client):
    with qtbot.waitSignal(client.modelLoaded):
        client.load(BASE)
    client.load(BASE)
    assert client.state == "ready"


def test_a_process_that_cannot_start_says_so(qtbot):
    client = WorkerClient(["/no/such/program"])
    with qtbot.waitSignal(client.troubleHappened) as trouble:
        client.start()
    assert client.state == "failed"
    assert "could not be started" in trouble.args[1].message


def test_a_crash_is_said_to_whoever_waits_and_can_be_restarted(qtbot, client):
    client.load(BASE)
    troubles = []
    client.troubleHappened.connect(lambda request, trouble: troubles.append((request, trouble)))
    with qtbot.waitSignal(client.ended):
        request = ask(client, "crash")
    assert [name for name, _trouble in troubles] == [request, ""]
    assert "code 3" in troubles[0][1].detail
    assert client.state == "failed"
    with qtbot.waitSignal(client.modelLoaded):
        client.restart()
    assert client.state == "ready"


def test_a_refused_request_leaves_the_worker_alive(qtbot, client):
    with qtbot.waitSignal(client.troubleHappened) as trouble:
        request = ask(client, "trouble")
    assert trouble.args[0] == request
    assert trouble.args[1].hint == "Ask for fewer answers."
    assert client.state == "ready"


def test_closing_ends_the_process_without_a_trouble(qtbot):
    client = WorkerClient([sys.executable, "-c", "import sys; sys.stdin.read()"])
    with qtbot.assertNotEmitted(client.troubleHappened), qtbot.waitSignal(client.ended):
        client.start()
        client._process.started.connect(client.close)
    assert client.state == "off"


def test_only_an_unasked_end_is_a_trouble():
    assert ProcessEnd(True, 15, True, "").trouble is None
    assert "signal 9" in ProcessEnd(False, 9, True, "").trouble.detail


def ask_ahead(client, text):
    return client.generate_ahead([{"role": "user", "content": text}], 2, None, Sampling(), 0)


def test_background_work_gives_way_to_whoever_waits(qtbot, client):
    client.load(BASE)
    with qtbot.waitSignal(client.modelLoaded):
        ahead = ask_ahead(client, "forever")
    assert client.quiet
    done = []
    client.requestDone.connect(lambda reply: done.append((reply.id, reply.cancelled)))
    with qtbot.waitSignal(client.quietened):
        asked = ask(client, "hello")
        assert not client.quiet
    assert done == [(ahead, True), (asked, False)]


def test_nobody_is_told_of_quiet_that_never_ended(qtbot, client):
    client.load(BASE)
    with qtbot.assertNotEmitted(client.quietened), qtbot.waitSignal(client.requestDone):
        ask_ahead(client, "hello")


def test_closing_before_the_process_has_started_ends_it_too(qtbot, client):
    with qtbot.waitSignal(client.ended):
        client.start()
        client.close()
    assert client.state == "off"
