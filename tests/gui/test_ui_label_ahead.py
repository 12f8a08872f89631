"""Answers for Label are written in every room. Chat goes first, so does a run; nothing is left when the window closes."""

import pytest
from conftest import BASE
from PySide6.QtCore import Qt

from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.hub.library import Library
from rlhf_desktop.jobs.queue import RunSummary
from rlhf_desktop.operations.labelling import remembered_ready
from rlhf_desktop.ui.frame.desk import Desk
from rlhf_desktop.ui.frame.standing import Seen
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.label.lookahead import AHEAD


@pytest.fixture
def window(qtbot, context, monkeypatch):
    monkeypatch.setattr(Library, "ensure_starter", lambda *_more, **_named: BASE)  # the real one is converted for half a minute
    made = Window(context)
    made.desk = Desk(context, made)
    qtbot.addWidget(made)
    made.show()
    made.show_room("chat")
    yield made
    context.ahead.stop()
    context.chat.stateChanged.disconnect()  # the worker ends after the window is gone
    context.tasks.wait()


def add(context, *texts, project=None):
    prompts = [[{"role": "user", "content": text}] for text in texts]
    context.store.prompts.create_set((project or context.session.project).id, "set", prompts)


def load(qtbot, context):
    with qtbot.waitSignal(context.chat.modelLoaded):
        context.chat.load(context.session.base.held(None))


def questions(context):
    """What has been asked for Label, in its order."""
    ready = remembered_ready(context.store, context.session.project, 4)
    return [context.store.conversations.tree(item.conversation_id).prompt_of(item.displayed[0])[-1]["content"] for item in ready]


def button(window, key="label"):
    return window.rail._buttons[key]


def test_answers_are_written_while_one_chats_and_the_rail_says_how_many(qtbot, window, context):
    add(context, "a", "b", "c", "d", "e")
    asked, ask = [], context.ahead._ask
    context.ahead._ask = lambda prompt: (asked.append(prompt.prompt[-1]["content"]), ask(prompt))
    assert not window.rail._notes["label"].isVisible()
    load(qtbot, context)
    qtbot.waitUntil(lambda: context.ahead.ready == AHEAD)
    assert window.current_room == "chat"
    assert (button(window).accessibleName(), window.rail._notes["label"].text()) == ("Label, 3 ready", "3")
    assert window.rail._notes["label"].isVisible()
    window.rail._open(True)
    assert not window.rail._notes["label"].isVisible()  # the words beside the icon say it
    window.rail._open(False)
    assert window.rail._notes["label"].isVisible()
    window.show_room("label")
    room = window.room("label")
    qtbot.waitUntil(lambda: room.widget().currentWidget() is room.ready)
    assert room.ready.said.text() == "3 ready"
    room.ready.button.click()
    assert room.presenter.judging.showing is not None  # at once: no turn of the event loop in between
    assert room.page.prompt.text() == "a"
    qtbot.waitUntil(lambda: context.ahead.ready == AHEAD)
    assert "3 ready" in room.page.said.text()
    assert sorted(asked) == ["a", "b", "c", "d"]  # none of them twice


def test_a_message_in_chat_is_answered_first_and_the_prompt_is_asked_again(qtbot, window, context):
    add(context, "forever", "b")
    load(qtbot, context)
    qtbot.waitUntil(lambda: context.ahead._asked is not None)
    first = context.ahead._asked.request
    room, order = window.room("chat"), []
    context.chat.requestDone.connect(lambda reply: order.append((reply.id == first, reply.cancelled)))
    with qtbot.waitSignal(room.presenter.writingEnded):
        qtbot.keyClicks(room.composer.edit, "hello")
        qtbot.keyClick(room.composer.edit, Qt.Key.Key_Return)
    assert order[:2] == [(True, True), (False, False)]
    qtbot.waitUntil(lambda: context.ahead._asked is not None)
    assert context.ahead._asked.prompt.prompt[-1]["content"] == "forever"


def test_the_last_round_goes_on_while_one_looks_into_another_room(qtbot, window, context):
    add(context, *"abcdefgh")
    load(qtbot, context)
    window.show_room("label")
    room = window.room("label")
    qtbot.waitUntil(lambda: room.widget().currentWidget() is room.ready)
    room.ready.button.click()
    qtbot.waitUntil(lambda: room.presenter.judging.showing is not None)
    context.ahead._ahead = 5
    window.show_room("chat")
    context.ahead.look_again()
    qtbot.waitUntil(lambda: context.ahead.ready == 5)
    assert room.page.prompt.text() == "a"  # it waits where it was


def test_a_run_that_trains_goes_first(qtbot, window, context):
    add(context, "forever", "b")
    load(qtbot, context)
    qtbot.waitUntil(lambda: context.ahead._asked is not None)
    context.session.runsChanged.disconnect(window.desk.look)  # what it sees is said here
    run = RunSummary("1", None, "Kinder", "sft", context.session.project.id, "", "running", step=4, total=10, eta_s=120.0)
    window.desk._saw(Seen([run], 0))
    assert context.ahead._asked is None
    qtbot.waitUntil(lambda: context.chat.state == "ready")
    window.desk._saw(Seen([], 0))
    assert context.ahead._asked is not None


def test_a_model_that_left_memory_is_not_brought_back_for_later(qtbot, window, context):
    load(qtbot, context)
    context.chat.unload()
    add(context, "a")
    with qtbot.assertNotEmitted(context.chat.modelLoaded):
        window.desk._ahead._look()
        qtbot.waitUntil(lambda: bool(context.ahead._waiting))
        context.ahead.look_again()
        qtbot.waitUntil(lambda: context.chat.state == "ready")
    assert context.ahead._asked is None


def test_chat_moves_to_another_device_at_once_and_the_prompt_is_asked_there(qtbot, window, context):
    add(context, "forever")
    load(qtbot, context)
    qtbot.waitUntil(lambda: context.ahead._asked is not None)
    before = context.chat.process_id
    with qtbot.waitSignal(context.chat.modelLoaded):
        context.session.deviceChosen.emit()
    assert context.chat.process_id != before
    qtbot.waitUntil(lambda: context.ahead._asked is not None)


def test_it_can_be_switched_off_in_settings_and_stays_off(qtbot, window, context):
    add(context, "forever", "b")
    load(qtbot, context)
    qtbot.waitUntil(lambda: context.ahead._asked is not None)
    window.show_room("settings")
    window.room("settings").ahead.click()
    assert context.ahead._asked is None
    context.ahead.look_again()
    assert context.ahead._asked is None
    assert context.store.settings.get("write ahead") is False
    window.room("settings").ahead.click()
    assert context.ahead._asked is not None


def test_another_project_has_its_own(qtbot, window, context):
    add(context, "forever")
    other = context.store.projects.create("Other")
    add(context, "x", "y", project=other)
    load(qtbot, context)
    qtbot.waitUntil(lambda: context.ahead._asked is not None)
    first = context.session.project
    context.session.set_project(other)
    context.session.set_model(ModelRef(name="Tiny", path="/nowhere", hash="tiny-hash"))
    qtbot.waitUntil(lambda: context.ahead.ready == 2)
    assert questions(context) == ["x", "y"]
    assert remembered_ready(context.store, first, 4) == []
    assert button(window).accessibleName() == "Label, 2 ready"


def test_closing_the_window_ends_it(qtbot, window, context):
    add(context, "forever")
    load(qtbot, context)
    qtbot.waitUntil(lambda: context.ahead._asked is not None)
    window.close()
    assert (context.ahead._asked, context.ahead.more) == (None, False)
    with qtbot.waitSignal(context.chat.ended):
        context.chat.close()
    assert context.chat.process_id == 0


def test_what_goes_wrong_for_later_is_no_alarm(qtbot, window, context):
    add(context, "trouble")
    with qtbot.assertNotEmitted(context.session.troubled):
        load(qtbot, context)
        qtbot.waitUntil(lambda: context.ahead._paused)
    window.show_room("label")
    room = window.room("label")
    qtbot.waitUntil(lambda: room.widget().currentWidget() is room.ready)
    with qtbot.waitSignal(context.session.troubled):
        room.ready.button.click()
