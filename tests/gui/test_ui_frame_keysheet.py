"""The list of keys: by ? and Ctrl+/, the room in front first, with the focus while it is open and not afterwards."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import QApplication

from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.frame.room import ROOMS
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.widgets.buttons import Button

Key = Qt.Key


@pytest.fixture
def window(qtbot, context):
    made = Window(context)
    qtbot.addWidget(made)
    made.show()
    made.show_room("chat")
    made.activateWindow()
    qtbot.waitUntil(made.isActiveWindow)
    yield made
    context.chat.stateChanged.disconnect()  # the worker ends after the window is gone
    context.tasks.wait()


def groups(sheet):
    tops = [sheet.list.topLevelItem(place) for place in range(sheet.list.topLevelItemCount())]
    return {top.text(0): [top.child(row).text(1) for row in range(top.childCount())] for top in tops}


@pytest.mark.parametrize("spec", ROOMS, ids=lambda spec: spec.key)
def test_it_opens_in_every_room_and_the_focus_goes_back(qtbot, context, window, spec):
    window.show_room(spec.key)
    context.tasks.wait()
    qtbot.wait(0)
    room = window.room(spec.key)
    before = room.widget()
    before.setFocus()
    for key in (Key.Key_Question, Key.Key_Slash):
        held = Qt.KeyboardModifier.ControlModifier if key == Key.Key_Slash else Qt.KeyboardModifier.NoModifier
        before = QApplication.focusWidget()
        qtbot.keyClick(before, key, held)
        assert QApplication.focusWidget() is window.keys.list
        mine = [place.title for place in keymap.PLACES.values() if spec.key in place.rooms]
        assert list(groups(window.keys))[: len(mine) + 1] == [*mine, "Everywhere"]
        qtbot.keyClick(window.keys.list, Key.Key_Escape)
        assert not window.keys.isVisible()
        assert QApplication.focusWidget() is before


def test_every_key_of_the_table_is_in_it(window):
    window.keys.open("chat")
    shown = [does for uses in groups(window.keys).values() for does in uses]
    assert len(shown) == len(keymap.USES)


def test_those_who_hear_the_screen_hear_the_key_and_what_it_does(window):
    window.keys.open("evaluate")
    first = window.keys.list.topLevelItem(0).child(0)
    assert first.data(0, Qt.ItemDataRole.AccessibleTextRole) == f"{keymap.shown('back')}: All comparisons"
    assert QAccessible.queryAccessibleInterface(window.keys.list).text(QAccessible.Text.Name) == "Keys, by where they hold"


def test_a_question_mark_in_a_text_is_a_question_mark(qtbot, window):
    edit = window.room("chat").composer.edit
    qtbot.keyClick(edit, Key.Key_Question)
    assert edit.toPlainText() == "?"
    assert not window.keys.isVisible()


def test_tab_stays_within_and_a_click_elsewhere_closes(qtbot, window):
    sheet = window.keys
    sheet.open("chat")
    for _ in range(4):
        qtbot.keyClick(QApplication.focusWidget(), Key.Key_Tab)
        assert sheet.isAncestorOf(QApplication.focusWidget())
    qtbot.mouseClick(window.room("chat").composer.edit.viewport(), Qt.MouseButton.LeftButton)
    assert not sheet.isVisible()
    assert QApplication.focusWidget() is window.room("chat").composer.edit


@pytest.mark.parametrize("which", ["keys", "palette_view"])
def test_a_room_that_is_ready_takes_the_focus_from_nothing_that_lies_over_it(qtbot, context, window, which):
    """Label looked for what waits, and put the focus on Begin behind what had been opened meanwhile."""
    context.store.prompts.create_set(context.session.project.id, "Waiting", [[{"role": "user", "content": "Why?"}]], "train")
    window.show_room("label")
    overlay = getattr(window, which)
    window.show_keys() if which == "keys" else overlay.open()
    qtbot.waitUntil(lambda: window.room("label").ready.isVisible())
    window.room("label").area.board.setFocus()
    assert overlay.isVisible()
    assert overlay.isAncestorOf(QApplication.focusWidget())


def test_it_leads_to_the_guide(qtbot, window):
    window.keys.open("chat")
    qtbot.mouseClick(next(b for b in window.keys.findChildren(Button) if b.text() == "In the guide"), Qt.MouseButton.LeftButton)
    assert (window.help.pane.target, window.keys.isVisible()) == ("feedback#keys", False)
    assert window.help.pane.isAncestorOf(QApplication.focusWidget())


def test_a_link_closes_it_first(qtbot, window):
    opened = []
    link = window.keys.add_link("Help", lambda: opened.append(window.keys.isVisible()))
    window.keys.open("chat")
    link.click()
    assert opened == [False]


@pytest.mark.parametrize("go", ["a page", "a room"])
def test_it_does_not_stay_over_what_comes_to_the_front(window, go):
    window.show_keys()
    assert window.keys.is_open
    if go == "a page":
        window.show_welcome()
    else:
        window.show_room("label")
    assert not window.keys.is_open
    assert not window.keys.isVisible()
