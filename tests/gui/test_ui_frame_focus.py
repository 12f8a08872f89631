"""The focus stays where the eye is: no room behind takes it, and what vanishes gives it to the room's own place."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLineEdit
from run_script import ScriptedRun
from shiboken6 import isValid

from rlhf_desktop.ui.frame.room import ROOMS
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.widgets.buttons import Button


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


@pytest.fixture
def compared(context):
    """What a blind comparison needs: a trained adapter and held-out prompts, which wait in Label too."""
    run = ScriptedRun(context, title="Kinder")
    run.result()
    run.state("done")
    prompts = [[{"role": "user", "content": f"question {i}"}] for i in range(10)]
    context.store.prompts.create_set(context.session.project.id, "Deliveries", prompts, "heldout")
    context.store.prompts.create_set(context.session.project.id, "Waiting", [[{"role": "user", "content": "Why?"}]], "train")


def test_blind_judging_goes_on_by_keyboard_alone(qtbot, context, window, compared):
    """Each stored verdict refreshes Label, which lies behind and used to take the focus with it."""
    window.show_room("label")
    qtbot.waitUntil(lambda: window.room("label").ready.button.isVisible())
    window.show_room("evaluate")
    room = window.room("evaluate")
    qtbot.waitUntil(lambda: room.home.begin.isEnabled())
    room.home.many.set_value(8)
    qtbot.mouseClick(room.home.begin, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: room.pair is not None and room.judging.isVisible())
    for done in range(8):
        before = room.pair
        qtbot.waitUntil(lambda: QApplication.focusWidget() is room.judging)
        qtbot.keyClick(QApplication.focusWidget(), (Qt.Key.Key_1, Qt.Key.Key_2)[done % 2])
        qtbot.waitUntil(lambda before=before: room.pair is not before or room.result is not None)
        context.tasks.wait()
        qtbot.wait(0)
    qtbot.waitUntil(lambda: room.result is not None)
    assert len(context.store.judged(context.session.project.id)) == 8


@pytest.mark.parametrize("key", [spec.key for spec in ROOMS])
@pytest.mark.parametrize("vanishes", [Button.hide, lambda button: button.setEnabled(False)], ids=["hidden", "disabled"])
def test_what_vanishes_gives_the_focus_to_the_rooms_place(qtbot, window, key, vanishes):
    window.show_room(key)
    room = window.room(key)
    button = Button("Export", parent=room.widget().currentWidget() if hasattr(room.widget(), "currentWidget") else room.widget())
    button.show()
    button.setFocus(Qt.FocusReason.TabFocusReason)
    assert QApplication.focusWidget() is button
    vanishes(button)
    qtbot.waitUntil(lambda: QApplication.focusWidget() is room.focus_place())


@pytest.mark.parametrize("key", [spec.key for spec in ROOMS if spec.key != "chat"])
def test_a_room_behind_does_not_take_the_focus(qtbot, window, key):
    room = window.room(key)
    window.show_room(key)
    window.show_room("chat")
    composer = window.room("chat").composer.edit
    assert QApplication.focusWidget() is composer
    room.widget().setFocus()
    for button in room.widget().findChildren(Button)[:5]:
        button.setFocus()
    assert QApplication.focusWidget() is composer


def test_what_a_room_chooses_itself_stands(qtbot, window):
    room = window.room("chat")
    first, second = QLineEdit(parent=room.widget()), QLineEdit(parent=room.widget())
    for field in (first, second):
        field.show()
    first.setFocus()
    first.hide()
    second.setFocus()
    qtbot.wait(20)
    assert QApplication.focusWidget() is second


def test_no_button_has_the_focus_because_code_put_it_there(qtbot, window):
    """The next Space would press it: Begin, Score, Import."""
    room = window.room("chat")
    button = Button("Begin", parent=room.widget())
    button.show()
    button.setFocus()
    assert QApplication.focusWidget() is room.composer.edit
    qtbot.keyClick(room.composer.edit, Qt.Key.Key_Tab)  # but the user may go there
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert QApplication.focusWidget() is button


def test_a_button_chosen_by_code_while_another_window_is_in_front_has_no_focus_afterwards(qtbot, window):
    room, other = window.room("chat"), QLineEdit()
    qtbot.addWidget(other)
    button = Button("Begin", parent=room.widget())
    button.show()
    other.show()
    other.activateWindow()
    qtbot.waitUntil(other.isActiveWindow)
    button.setFocus()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    assert QApplication.focusWidget() is room.composer.edit


def test_what_is_hidden_has_no_focus_but_what_is_about_to_be_shown_may(qtbot, window):
    room = window.room("chat")
    hidden, coming = QLineEdit(parent=room.widget()), QLineEdit(parent=room.widget())
    hidden.setFocus()
    qtbot.waitUntil(lambda: QApplication.focusWidget() is room.composer.edit)
    coming.setFocus()
    coming.show()
    qtbot.wait(0)
    assert QApplication.focusWidget() is coming


def test_the_palette_gives_the_focus_back(qtbot, window):
    window.show_room("train")
    window.room("train").focus_place().setFocus()
    before = QApplication.focusWidget()
    window.palette_view.open()
    assert QApplication.focusWidget() is window.palette_view.field
    qtbot.keyClick(window.palette_view.field, Qt.Key.Key_Escape)
    qtbot.wait(20)
    assert QApplication.focusWidget() is before
    assert not window.palette_view.isVisible()


def test_the_theme_may_change_when_a_window_is_gone(qtbot, context):
    """Its rooms used to be told as long as Python had not let the window go."""
    gone = Window(context)
    gone.show()
    gone.show_room("settings")
    room = gone.room("settings")
    context.tasks.wait()
    with qtbot.waitSignal(gone.destroyed):
        gone.deleteLater()
    context.theme.changed.emit()
    assert not isValid(room)
