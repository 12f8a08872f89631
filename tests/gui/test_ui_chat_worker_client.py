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


def test_loading_begins_a_new_process_where_the_last_one_has_ended(qtbot, client):
    with qtbot.waitSignal(client.modelLoaded):
        client.load(BASE)
    with qtbot.waitSignal(client.ended):
        ask(client, "crash")
    assert client.state == "failed"
    with qtbot.waitSignal(client.modelLoaded):
        client.load(BASE)
    assert client.has(BASE)


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


def test_a_process_that_can_only_be_replaced_is_replaced_by_itself_with_its_model(qtbot, client):
    client.load(BASE)
    troubles, states = [], []
    client.troubleHappened.connect(lambda request, trouble: troubles.append((request, trouble.message)))
    client.stateChanged.connect(states.append)
    with qtbot.waitSignal(client.restarted) as told, qtbot.assertNotEmitted(client.ended):
        failed, waiting = ask(client, "broken"), ask(client, "hello")
    assert "started anew" in told.args[0].message
    assert troubles == [(failed, "The graphics card has stopped working."), (waiting, told.args[0].message)]
    with qtbot.waitSignal(client.modelLoaded):
        pass
    with qtbot.waitSignal(client.requestDone) as done:
        again = ask(client, "hello")
    assert done.args[0].id == again
    assert "failed" not in states


def test_one_that_ends_so_twice_within_a_minute_is_left_alone_until_it_is_asked_for(qtbot, client):
    now = [1000.0]
    client = WorkerClient(client._command, clock=lambda: now[0])
    client.load(BASE)
    for _ in range(2):
        with qtbot.waitSignal(client.restarted):
            ask(client, "broken")
        now[0] += 61.0
    now[0] -= 2.0
    with qtbot.waitSignal(client.ended), qtbot.assertNotEmitted(client.restarted):
        ask(client, "broken")
    assert client.state == "failed"
    with qtbot.waitSignal(client.modelLoaded):
        client.restart()
    with qtbot.waitSignal(client.ended):
        client.close()


def test_whoever_hears_of_the_trouble_can_ask_again_at_once(qtbot, client):
    client.load(BASE)
    again = []
    client.troubleHappened.connect(lambda request, _: again.append(ask(client, "hello")) if request == waiting else None)
    with qtbot.waitSignal(client.restarted):
        ask(client, "broken")
        waiting = ask(client, "hello")
    with qtbot.waitSignal(client.requestDone) as done:
        pass
    assert done.args[0].id == again[0]
