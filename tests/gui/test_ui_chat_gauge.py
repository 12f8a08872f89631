"""How full the conversation is and how fast the model: what is measured, when, and what is said of it."""

import pytest

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.protocol import Done, Measured, Sampling
from rlhf_desktop.ui.chat.gauge import Asked, Gauge, Reading

TALK = [{"role": "user", "content": "one two three"}]


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def asked():
    return [Asked(TALK, Sampling(max_new_tokens=20))]


@pytest.fixture
def gauge(client, session, asked):
    return Gauge(client, session, lambda: asked[0], Clock())


def load(qtbot, client, session):
    with qtbot.waitSignal(client.modelLoaded):
        client.load(session.base)


@pytest.mark.parametrize(
    ("reading", "words", "nearly_full"),
    [
        (Reading(), "", False),
        (Reading(1240, 8192, 256, 0, 9.84, 0.8), "1,240 of 8,192 tokens · 9.8 tokens/s", False),
        (Reading(7200, 8192, 256), "Nearly full · 7,200 of 8,192 tokens", True),
        (Reading(7900, 8192, 256, 4), "Full · 7,900 of 8,192 tokens", True),
        (Reading(speed=12.0, first_s=0.5), "12.0 tokens/s", False),
    ],
    ids=["nothing", "room", "nearly full", "full", "speed alone"],
)
def test_what_is_said(reading, words, nearly_full):
    assert (reading.words, reading.nearly_full) == (words, nearly_full)
    assert bool(reading.explained) == bool(words)
    if nearly_full:
        assert "left out" in reading.explained


def test_nothing_is_measured_before_a_model_is_loaded_and_then_it_is(qtbot, gauge, client, session):
    gauge.look()
    assert client.process_id == 0  # no worker was started for it
    with qtbot.waitSignal(gauge.changed):
        load(qtbot, client, session)
    assert gauge.reading == Reading(tokens=3, limit=1000, answer=20)


def test_measuring_is_not_work_that_anybody_waits_for(qtbot, gauge, client, session):
    load(qtbot, client, session)
    states = []
    client.stateChanged.connect(states.append)
    with qtbot.waitSignal(gauge.changed):
        gauge.look()
    assert states == []
    assert client.quiet


def test_another_model_or_a_server_begins_with_nothing(qtbot, gauge, client, session, asked):
    load(qtbot, client, session)
    with qtbot.waitSignal(gauge.changed):
        gauge.look()
    session.set_model(session.base)
    assert gauge.reading == Reading()
    asked[0] = None
    gauge.look()
    assert gauge.reading == Reading()


def test_speed_counts_from_the_first_token_and_the_wait_for_it_apart(client, session, asked):
    clock = Clock()
    gauge = Gauge(client, session, lambda: None, clock)
    gauge.begin("r")
    clock.now += 1.5
    client.tokenArrived.emit("r", 0, 0, "a")
    client.tokenArrived.emit("another", 0, 0, "a")
    clock.now += 2.0
    client.tokenArrived.emit("r", 0, 0, "b")
    client.requestDone.emit(Done(id="r", stats={"tokens": 21}))
    assert (gauge.reading.speed, gauge.reading.first_s) == (10.0, 1.5)
    client.requestDone.emit(Done(id="r", stats={"tokens": 2100}))  # it has ended already
    assert gauge.reading.speed == 10.0


def test_an_answer_of_one_token_has_no_speed(client, session):
    gauge = Gauge(client, session, lambda: None, Clock())
    gauge.begin("r")
    client.tokenArrived.emit("r", 0, 0, "a")
    client.requestDone.emit(Done(id="r", stats={"tokens": 1}))
    assert gauge.reading.speed is None


class Held:
    """A client whose measurements wait."""

    def __init__(self, client, monkeypatch):
        self.asked = []
        client.loaded = object()
        monkeypatch.setattr(client, "measure", lambda prompt, _sampling: self.asked.append(prompt) or f"m{len(self.asked)}")


def test_one_measurement_waits_at_a_time_and_the_last_words_are_measured_after_it(gauge, client, asked, monkeypatch):
    held = Held(client, monkeypatch)
    gauge.look()
    for words in ("one", "one two"):
        asked[0] = Asked([{"role": "user", "content": words}], Sampling(max_new_tokens=20))
        gauge.look()
    assert held.asked == [TALK]
    client.measured.emit(Measured(id="m1", tokens=3, limit=1000))
    assert gauge.reading.tokens == 3
    assert held.asked[1:] == [[{"role": "user", "content": "one two"}]]


def test_what_was_measured_of_another_conversation_is_not_shown(gauge, client, monkeypatch):
    held = Held(client, monkeypatch)
    gauge.look()
    gauge.forget()
    client.measured.emit(Measured(id="m1", tokens=3, limit=1000))
    assert gauge.reading == Reading()
    gauge.look()
    assert len(held.asked) == 2


def test_what_cannot_be_measured_does_not_stop_the_gauge(gauge, client, monkeypatch):
    held = Held(client, monkeypatch)
    gauge.look()
    client.troubleHappened.emit("another", AppError("No."))
    gauge.look()
    assert len(held.asked) == 1
    client.troubleHappened.emit("m1", AppError("The template refuses."))
    gauge.look()
    assert len(held.asked) == 2
