"""Nothing that was said is lost: a notice interrupts another and gives way again, and the list keeps them all."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QLabel
from run_script import ScriptedRun

from rlhf_desktop.core import runs
from rlhf_desktop.core.errors import AppError
from rlhf_desktop.ui.frame.desk import Desk
from rlhf_desktop.ui.frame.standing import Seen
from rlhf_desktop.ui.frame.window import Window


@pytest.fixture
def window(qtbot, context):
    made = Window(context)
    made.desk = Desk(context, made)
    qtbot.addWidget(made)
    made.show()
    made.show_room("settings")
    yield made
    context.chat.stateChanged.disconnect()
    context.tasks.wait()


def shown(window):
    return window.toast.words.text() if window.toast.isVisible() else ""


def later(window):
    """The time of the notice on the screen is over."""
    window.toast._clock.timeout.emit()


def listed(window):
    return [label.text() for label in window.notices.findChildren(QLabel) if label.isVisible()]


def test_what_a_notice_interrupts_is_shown_again_with_its_undo(window, session):
    undone = []
    session.announce("Conversation deleted.", lambda: undone.append("conversation"))
    session.announce("“Kinder” is ready.")
    assert shown(window) == "“Kinder” is ready."
    later(window)
    assert shown(window) == "Conversation deleted."
    assert window.toast.button.isVisible()
    window.toast.button.click()
    assert undone == ["conversation"]
    assert shown(window) == ""


def test_the_undo_key_reaches_the_newest_undo_behind_a_notice(window, session):
    undone = []
    session.announce("Taken out of the queue.", lambda: undone.append("queue"))
    session.announce("Conversation deleted.", lambda: undone.append("conversation"))
    session.announce("“Kinder” is ready.")
    assert window.toast.undo()
    assert shown(window) == "“Kinder” is ready."  # it is still read
    assert window.toast.undo()
    assert undone == ["conversation", "queue"]
    assert not window.toast.undo()


def test_quick_judgements_do_not_pile_up(window, session):
    undone = []
    for number in range(30):
        session.announce(f"Saved: {number} comparisons", lambda number=number: undone.append(number), "judgement")
    assert shown(window) == "Saved: 29 comparisons"
    assert window.toast.undo()
    assert not window.toast.undo()
    assert undone == [29]
    assert shown(window) == ""
    assert window.header.bell.accessibleName() == "Notices"  # what answers one's own key is read at once


def test_the_list_has_all_of_it_and_an_undo_that_lasts(qtbot, window, session):
    undone = []
    session.announce("Conversation deleted.", lambda: undone.append("conversation"))
    session.announce("Saved: 1 comparison", lambda: undone.append("old"), "judgement")
    session.announce("Saved: 2 comparisons", lambda: undone.append("new"), "judgement")
    session.troubled.emit(AppError("The disk is full.", "Free some space."))
    assert window.header.bell.accessibleName() == "Notices: 2 new"
    for _ in range(3):
        later(window)
    window.header.bell.click()
    assert window.header.bell.accessibleName() == "Notices"
    said = listed(window)
    assert [text for text in said if text.startswith(("The disk", "Saved", "Conv"))] == [
        "The disk is full. Free some space.",
        "Saved: 2 comparisons",
        "Saved: 1 comparison",
        "Conversation deleted.",
    ]
    undos = [button for button in window.notices.findChildren(QAbstractButton) if button.text() == "Undo"]
    assert [button.accessibleName() for button in undos] == ["Undo: Saved: 2 comparisons", "Undo: Conversation deleted."]
    undos[1].click()
    assert undone == ["conversation"]
    assert not window.notices.isVisible()


def test_the_list_is_left_by_escape_and_the_focus_goes_back(qtbot, window):
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    before = window.focus_place()
    before.setFocus()
    window.notices.open()
    assert "Nothing has been said yet." in listed(window)
    qtbot.keyClick(window.focusWidget(), Qt.Key.Key_Escape)
    assert not window.notices.isVisible()
    assert window.focusWidget() is before


def test_the_list_fits_the_window_however_much_was_said(window, session):
    for number in range(120):
        session.announce(f"Notice {number}: " + "a long sentence about what has just happened, " * 3)
    window.resize(800, 560)
    window.notices.open()
    assert window.centralWidget().rect().contains(window.notices.geometry())
    assert len(window.book.said) == 100


def test_a_run_that_ended_while_the_window_was_closed_is_told_once(qtbot, window, context, session):
    run, early = ScriptedRun(context, title="Kinder"), ScriptedRun(context, title="Ended before", state="done")
    window.desk._saw(Seen(context.queue.runs(), 0))
    assert shown(window) == ""
    run.say(runs.Finished, outcome="done")
    run.state("done")
    told = []
    session.announced.connect(lambda text, _undo, _about: told.append(text))
    for _ in range(2):  # the window is opened twice
        again = Desk(context, window)
        again._saw(Seen(context.queue.runs(), 0))
        again._clock.stop()
    assert len(told) == 1
    assert told[0].startswith("“Kinder” has finished.")
    assert early.folder.id != run.folder.id
