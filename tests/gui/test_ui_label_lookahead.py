"""Items are ready before they are asked for, and the model is left alone when somebody else needs it."""

import pytest

from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.feedback.judgements import Judgement, Ranking
from rlhf_desktop.operations.labelling import remembered_ready
from rlhf_desktop.ui.label.lookahead import Lookahead


@pytest.fixture
def lookahead(store, session, client, context, chance):
    made = Lookahead(store, session, client, context.tasks, ahead=2, chance=chance)
    made.set_needed(True)
    yield made
    made.pause()


def prompts(store, session, *texts):
    store.prompts.create_set(session.project.id, "set", [[{"role": "user", "content": text}] for text in texts])
    return store.prompts.prompts(session.project.id)


def texts(store, item):
    return [store.conversations.message(key).content for key in item.displayed]


def test_two_items_wait_and_the_next_is_there_at_once(qtbot, lookahead, store, session):
    lookahead.start(prompts(store, session, "a", "b", "c", "d"), 4)
    qtbot.waitUntil(lambda: lookahead.ready == 2)
    item = lookahead.take()
    assert item is not None  # no turn of the event loop in between
    assert sorted(texts(store, item)) == [f"answer {n} to a" for n in range(4)]
    assert texts(store, item) != sorted(texts(store, item))  # shuffled
    qtbot.waitUntil(lambda: lookahead.ready == 2)
    taken = [lookahead.take() for _ in range(2)]
    assert [texts(store, made)[0][-1] for made in taken] == ["b", "c"]


def test_the_last_item_taken_says_so(qtbot, lookahead, store, session):
    lookahead.start(prompts(store, session, "a"), 2)
    qtbot.waitUntil(lambda: lookahead.ready == 1)
    with qtbot.assertNotEmitted(lookahead.emptied):
        lookahead.take()
    with qtbot.waitSignal(lookahead.emptied):
        assert lookahead.take() is None


def test_chat_goes_first_and_the_prompt_is_asked_again(qtbot, lookahead, store, session, client):
    lookahead.start(prompts(store, session, "forever", "b"), 2)
    with qtbot.waitSignal(client.modelLoaded):
        pass
    with qtbot.waitSignal(client.requestDone, check_params_cb=lambda reply: reply.id == asked):
        asked = client.generate([{"role": "user", "content": "hello"}], 1, None, Sampling(), 0)
    qtbot.waitUntil(lambda: lookahead._asked is not None)
    assert lookahead._asked.prompt.prompt[-1]["content"] == "forever"


def test_a_paused_lookahead_leaves_the_model_alone(qtbot, lookahead, store, session, client):
    lookahead.start(prompts(store, session, "forever"), 2)
    qtbot.waitUntil(lambda: lookahead._asked is not None)
    lookahead.pause()
    assert lookahead._asked is None
    lookahead.resume()
    assert lookahead._asked.prompt.prompt[-1]["content"] == "forever"


def test_what_was_prepared_survives_the_program(qtbot, lookahead, store, session):
    waiting = prompts(store, session, "a", "b", "c")
    lookahead.start(waiting, 2)
    qtbot.waitUntil(lambda: lookahead.ready == 2)
    shown = lookahead.take()
    qtbot.waitUntil(lambda: lookahead.ready == 2)
    remembered = remembered_ready(store, session.project, 2)
    assert remembered[0] == shown  # not judged yet
    assert [item.prompt_id for item in remembered] == [prompt.id for prompt in waiting]
    assert remembered_ready(store, session.project, 4) == []
    store.judgements.add(Judgement(session.project.id, "Ada", shown.displayed, Ranking((1, 2))))
    assert remembered_ready(store, session.project, 2) == remembered[1:]


def test_a_model_that_fails_is_said_and_the_prompt_kept(qtbot, lookahead, store, session):
    with qtbot.waitSignal(lookahead.troubled) as said:
        lookahead.start(prompts(store, session, "trouble"), 2)
    assert "out of memory" in str(said.args[0])
    assert len(lookahead._waiting) == 1
    assert lookahead._asked is None
