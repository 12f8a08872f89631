"""A message sent before the model is ready waits for it, can be taken back, and is never lost."""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt

from rlhf_desktop.core.errors import AppError, ModelTrouble
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.feedback.attachments import AttachedText, with_files
from rlhf_desktop.ui.chat.room import ChatRoom
from rlhf_desktop.ui.frame.desk import Desk
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.loading import Loading, LoadingKeeper


@pytest.fixture
def slow(tmp_path):
    folder = tmp_path / "slow"
    folder.mkdir()
    return ModelRef(name="Slow", path=str(folder), hash="slow-hash")


@pytest.fixture
def window(qtbot, context):
    made = Window(context)
    made.desk = Desk(context, made)
    qtbot.addWidget(made)
    made.show()
    made.show_room("chat")
    yield made
    context.chat.stateChanged.disconnect()
    context.tasks.wait()


@pytest.fixture
def room(window):
    return window.room("chat")


def go(model: ModelRef) -> None:
    (Path(model.path) / "go").touch()


def write(qtbot, room, text):
    qtbot.keyClicks(room.composer.edit, text)
    qtbot.keyClick(room.composer.edit, Qt.Key.Key_Return)


def told(room):
    return [turn.text for turn in room.presenter._turns()] if room.presenter.conversation_id else []


def test_a_message_waits_for_the_model_that_is_prepared_and_loaded(qtbot, window, room, session, slow):
    session.set_model(None)
    session.preparing = True  # as while the starter is prepared
    write(qtbot, room, "hello")
    assert room.composer.edit.toPlainText() == ""
    assert room.waiting.isVisible()
    assert "hello" in room.waiting.words.text()
    assert told(room) == []  # nothing is stored that nobody was asked
    session.preparing = False
    session.set_model(slow)
    qtbot.waitUntil(lambda: "25%" in window.status._model.accessibleName())
    assert "Loading Slow" in window.status._model.accessibleName()
    assert room.presenter.waiting
    with qtbot.waitSignal(room.presenter.writingEnded):
        go(slow)
    assert told(room) == ["hello", "answer 0 to hello"]
    assert not room.waiting.isVisible()
    assert not window.trouble.isVisible()


@pytest.mark.parametrize("path", ["/refused", "/dies"])
def test_the_message_comes_back_when_the_model_cannot_be_loaded(qtbot, window, room, context, session, path):
    session.set_model(ModelRef(name="Bad", path=path, hash="bad"))
    qtbot.waitUntil(lambda: window.trouble.isVisible())
    write(qtbot, room, "hello")
    qtbot.waitUntil(lambda: room.composer.edit.toPlainText() == "hello")
    assert not room.presenter.waiting
    assert not room.waiting.isVisible()
    assert told(room) == []
    session.set_model(ModelRef(name="Good", path="/good", hash="good"))
    qtbot.waitUntil(lambda: not window.trouble.isVisible())  # what was wrong no longer is


def test_the_message_comes_back_when_there_is_no_model(qtbot, window, room, session):
    session.set_model(None)
    session.preparing = True
    write(qtbot, room, "hello")
    qtbot.keyClicks(room.composer.edit, "more")
    window.desk._no_model(ModelTrouble("The starter model is not installed.", "Install it."))
    assert room.composer.edit.toPlainText() == "hello\n\nmore"
    assert "not installed" in window.trouble.words.text()
    assert not room.presenter.send("again", 1)
    assert "There is no model to ask." in window.trouble.words.text()


@pytest.mark.parametrize("how", ["button", "escape", "another conversation"])
def test_what_waits_can_be_taken_back_and_written_on(qtbot, room, session, how):
    session.set_model(None)
    session.preparing = True
    write(qtbot, room, "helo")
    if how == "button":
        room.waiting.edit.click()
    elif how == "escape":
        qtbot.keyClick(room.widget(), Qt.Key.Key_Escape)
    else:
        room.new_conversation()
    assert room.composer.edit.toPlainText() == "helo"
    assert not room.waiting.isVisible()
    assert room.widget().window().focusWidget() is room.composer.edit


def test_what_waits_can_be_cancelled_and_the_undo_brings_it_back(qtbot, window, room, session):
    session.set_model(None)
    session.preparing = True
    write(qtbot, room, "hello")
    room.waiting.cancel.click()
    assert not room.presenter.waiting
    assert room.composer.edit.toPlainText() == ""
    window.toast.undo()
    assert room.composer.edit.toPlainText() == "hello"


def test_what_waits_when_the_program_ends_is_written_on_at_the_next_start(qtbot, room, context, session):
    session.set_model(None)
    session.preparing = True
    write(qtbot, room, "hello")
    again = ChatRoom(context)  # nothing was closed in between
    qtbot.addWidget(again.widget())
    assert again.composer.edit.toPlainText() == "hello"
    assert not again.presenter.waiting
    third = ChatRoom(context)
    qtbot.addWidget(third.widget())
    assert third.composer.edit.toPlainText() == "hello"  # once, as a draft, until it is sent


def test_what_was_sent_is_not_written_on_at_the_next_start(qtbot, window, room, context, session, slow):
    session.set_model(slow)
    write(qtbot, room, "hello")
    with qtbot.waitSignal(room.presenter.writingEnded):
        go(slow)
    again = ChatRoom(context)
    qtbot.addWidget(again.widget())
    assert again.composer.edit.toPlainText() == ""


def test_what_else_asks_for_the_model_says_that_it_is_not_ready(qtbot, window, room, session):
    write(qtbot, room, "hello")
    qtbot.waitUntil(lambda: told(room)[-1:] == ["answer 0 to hello"])
    session.set_model(None)
    session.preparing = True
    room.presenter.regenerate(room.presenter._tree.active_path()[-1].id)
    assert "still being got ready" in window.toast.words.text()
    assert not window.trouble.isVisible()


def test_of_files_that_wait_with_a_message_the_names_are_shown(room, session):
    session.set_model(None)
    session.preparing = True
    content = with_files("What does it say?", [AttachedText("report.txt", "", "a long text " * 400)])
    room.presenter.send(content, 1)
    assert "“What does it say? [report.txt]”" in room.waiting.words.text()
    room.waiting.edit.click()
    assert room.composer.edit.toPlainText() == "What does it say?"
    assert len(room.composer.files.files) == 1


def test_a_second_message_stays_in_the_composer(qtbot, window, room, session):
    session.set_model(None)
    session.preparing = True
    write(qtbot, room, "one")
    write(qtbot, room, "two")
    assert room.composer.edit.toPlainText() == "two"
    assert "waiting for the model already" in window.toast.words.text()


def test_a_message_brings_a_model_back_that_has_left_memory(qtbot, window, room, context, session, slow):
    go(slow)
    with qtbot.waitSignal(context.chat.modelLoaded):
        session.set_model(slow)
    context.chat.unload()
    qtbot.waitUntil(lambda: context.chat.state == "ready")
    assert "not loaded" in window.desk._model_words()
    with qtbot.waitSignal(room.presenter.writingEnded):
        write(qtbot, room, "hello")
    assert told(room)[-1] == "answer 0 to hello"


def test_an_answer_to_a_changed_question_says_loading_not_writing(qtbot, room, context, session, slow):
    write(qtbot, room, "hello")
    qtbot.waitUntil(lambda: told(room)[-1:] == ["answer 0 to hello"])
    session.set_model(slow)
    first = room.presenter._tree.active_path()[0].id
    room.composer.answers.set_value(2)
    room.presenter.edit(first, "hello again", 2)
    assert {card._status.text() for card in room.area.board.cards} == {"Loading the model…"}
    with qtbot.waitSignal(room.presenter.writingEnded):
        go(slow)


def test_the_welcome_page_shows_how_far_it_is_and_offers_to_try_again(window, session):
    page = window.show_welcome()
    session.set_loading(Loading("Preparing", 12.0, 0.5, 9.0))
    assert page.meter.isVisible()
    assert page.meter._words.text() == "Preparing · 50% · about 9 s left"
    window.desk._no_model(AppError("No.", "Try."))
    assert page.status.button.isVisible()


def test_the_keeper_tells_each_second_until_the_end(qtbot):
    told, now = [], [0.0]
    keeper = LoadingKeeper(told.append, clock=lambda: now[0])
    keeper.begin("Loading Tiny")
    now[0] = 30.0
    keeper.weights("Loading Tiny", 0.75)
    now[0] = 31.0
    keeper._ticking.timeout.emit()
    keeper.end()
    keeper.end()
    assert [each and each.words for each in told] == [
        "Loading Tiny",
        "Loading Tiny · 75% · about 10 s left",
        "Loading Tiny · 75% · 31 s so far",
        None,
    ]


def test_what_waits_is_as_wide_as_the_composer_below_it(qtbot, window, room, session):
    window.resize(1280, 800)
    session.set_model(None)
    session.preparing = True
    write(qtbot, room, "hello")
    qtbot.waitUntil(lambda: room.waiting.isVisible() and room.waiting.width() == room.composer.width())
    assert room.waiting.x() == room.composer.x()
