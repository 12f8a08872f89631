"""Find in the conversation: in the whole window, by keyboard and by mouse."""

import pytest
from PySide6.QtCore import Qt

from rlhf_desktop.ui.frame.desk import Desk
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.widgets.buttons import IconButton


@pytest.fixture
def window(qtbot, context):
    made = Window(context)
    made.desk = Desk(context, made)
    qtbot.addWidget(made)
    made.resize(1280, 800)
    with qtbot.waitExposed(made):
        made.show()
    made.show_room("chat")
    yield made
    context.chat.stateChanged.disconnect()  # the worker ends after the window is gone
    context.tasks.wait()


@pytest.fixture
def room(window, store, session):
    """A long conversation, in which every answer speaks of a kettle twice."""
    conversation, question = store.conversations.start(session.project.id, [{"role": "user", "content": "Kettle?"}])
    for n in range(12):
        (answer,) = store.conversations.add_answers(question.id, [f"The kettle, number {n}:\n\n* a **KETTLE**\n* a pot"])
        question = store.conversations.add_message(conversation.id, answer.id, "user", f"And then, {n}?")
    shown = window.room("chat")
    shown.show_conversation(conversation.id)
    return shown


def find(qtbot, room, words):
    room.composer.edit.setFocus()
    room.find.open()
    qtbot.keyClicks(room.find.field, words)
    qtbot.keyClick(room.find.field, Qt.Key.Key_Return)


def highlighted(room):
    return sum(len(view.extraSelections()) for view in room.conversation.texts())


def is_in_sight(room):
    match = room.find._finder.matches[room.find._finder.current]
    at = match.view.viewport().mapTo(room.conversation.viewport(), match.view.cursorRect(match.cursor).center())
    return room.conversation.viewport().rect().contains(at)


def test_all_turns_are_highlighted_counted_and_stepped_through(qtbot, room):
    find(qtbot, room, "kettle")
    assert room.find.count.text().endswith(" of 25")
    assert highlighted(room) == 25  # whatever their case, and within bold text
    start = room.find._finder.current
    seen = set()
    for step in range(1, 26):
        qtbot.keyClick(room.find.field, Qt.Key.Key_Return)
        assert room.find._finder.current == (start + step) % 25
        qtbot.waitUntil(lambda: is_in_sight(room))
        seen.add(room.find.count.text())
    assert len(seen) == 25
    qtbot.keyClick(room.find.field, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    assert room.find._finder.current == (start - 1) % 25
    qtbot.mouseClick(room.find.after, Qt.MouseButton.LeftButton)
    assert room.find._finder.current == start


def test_the_answers_that_are_judged_are_searched_too(qtbot, room, store, session):
    conversation, question = store.conversations.start(session.project.id, [{"role": "user", "content": "Which one?"}])
    long = "\n\n".join(["A line of an answer."] * 60)
    answers = store.conversations.add_answers(question.id, [f"{long}\n\nThe kettle.", "A pot.", f"A kettle.\n\n{long}"])
    room.show_conversation(conversation.id)
    room.presenter.compare(answers[0].id)
    qtbot.waitUntil(lambda: room.area.board.isVisible())
    find(qtbot, room, "kettle")
    assert room.find.count.text().endswith(" of 2")
    for _ in range(2):
        qtbot.waitUntil(lambda: is_in_sight(room))
        match = room.find._finder.matches[room.find._finder.current]
        inset = next(card.inset for card in room.area.board.cards if card.text is match.view)
        at = match.view.viewport().mapTo(inset.viewport(), match.view.cursorRect(match.cursor).center())
        assert inset.viewport().rect().contains(at), "the card has not scrolled to it"
        qtbot.keyClick(room.find.field, Qt.Key.Key_Return)


def test_esc_takes_the_highlights_away_and_gives_the_focus_back(qtbot, window, room):
    find(qtbot, room, "kettle")
    assert window.focusWidget() is room.find.field
    qtbot.keyClick(room.find.field, Qt.Key.Key_Escape)
    assert not room.find.isVisible()
    assert highlighted(room) == 0
    assert window.focusWidget() is room.composer.edit


def test_what_is_not_there_is_said_and_nothing_can_be_stepped_to(qtbot, room):
    find(qtbot, room, "teapot")
    assert room.find.count.text() == "Not found"
    assert not room.find.after.isEnabled()
    qtbot.keyClick(room.find.field, Qt.Key.Key_Return)
    room.find.field.clear()
    qtbot.waitUntil(lambda: room.find.count.text() == "")


def test_another_conversation_is_searched_at_once(qtbot, room, store, session):
    find(qtbot, room, "kettle")
    conversation, _ = store.conversations.start(session.project.id, [{"role": "user", "content": "A kettle."}])
    room.show_conversation(conversation.id)
    assert room.find.count.text() == "1 of 1"
    assert highlighted(room) == 1
    room.new_conversation()
    assert room.find.count.text() == "Not found"


def test_it_is_opened_and_closed_by_mouse(qtbot, window, room):
    def press(name):
        button = next(b for b in room.widget().findChildren(IconButton) if b.accessibleName() == name and b.isVisible())
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    press("Find in the conversation")
    qtbot.keyClicks(window.focusWidget(), "pot")
    qtbot.waitUntil(lambda: room.find.count.text().endswith(" of 12"))
    press("Close the search")
    assert (room.find.isVisible(), highlighted(room)) == (False, 0)


def test_the_key_is_heard_in_chat_and_feedback_keeps_its_own(qtbot, window, room):
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    qtbot.keyClick(room.composer.edit, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(room.find.isVisible)
    assert window.focusWidget() is room.find.field
    qtbot.keyClick(room.find.field, Qt.Key.Key_Escape)
    window.show_room("feedback")
    feedback = window.room("feedback")
    feedback.focus_place().setFocus()
    qtbot.keyClick(window.focusWidget(), Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    assert not room.find.isVisible()
