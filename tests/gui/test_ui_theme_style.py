"""The size of all text is chosen by key or in Settings, holds at once, and is kept."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QPainter, QPixmap
from PySide6.QtWidgets import QStyle, QStyleOptionButton

from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.style import TEXT_SIZES, Theme
from rlhf_desktop.ui.widgets.buttons import Button, IconButton
from rlhf_desktop.ui.widgets.surfaces import Page
from rlhf_desktop.ui.widgets.text import IconLabel, Label

CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def theme(theme):
    yield theme
    theme.set_text_size(100)


@pytest.fixture
def window(qtbot, context):
    made = Window(context)
    qtbot.addWidget(made)
    made.show()
    made.show_room("settings")
    with qtbot.waitActive(made):
        made.activateWindow()
    yield made
    context.tasks.wait()


def test_sizes_go_up_and_down_within_their_bounds(theme):
    usual = QGuiApplication.font().pixelSize()
    seen = [theme.text_size]
    for _ in TEXT_SIZES:
        theme.step_text_size(1)
        seen.append(theme.text_size)
    assert seen == [100, 110, 125, 150, 175, 200, 200, 200, 200]
    assert QGuiApplication.font().pixelSize() == 2 * usual
    theme.step_text_size(0)
    assert theme.text_size == 100
    for _ in range(3):
        theme.step_text_size(-1)
    assert theme.text_size == 80
    assert QGuiApplication.font().pixelSize() == round(0.8 * t.TYPE_BODY)


@pytest.mark.parametrize("kept", [150, None, "huge", 149, True])
def test_what_was_kept_and_is_no_size_is_the_usual_one(theme, qapp, monkeypatch, kept):
    monkeypatch.setattr(Theme, "_apply", lambda self: None)
    assert Theme(qapp, "light", kept).text_size == (150 if kept == 150 else 100)


def test_what_is_on_screen_grows_at_once_with_its_icons_and_widths(qtbot, theme):
    page = Page(600)
    parts = [Label("Words", "answer"), Button("Go", icon="play"), IconButton("copy", "Copy"), IconLabel("info", size=16)]
    for part in parts:
        page.body.addWidget(part)
    inner = page.body.parentWidget()
    qtbot.addWidget(page)
    page.resize(900, 400)
    page.show()
    words, button, icon, picture = parts
    theme.set_text_size(150)
    qtbot.waitUntil(lambda: words.fontMetrics().height() > 1.4 * t.TYPE_ANSWER)
    assert words.fontInfo().pixelSize() == round(1.5 * t.TYPE_ANSWER)
    assert button.iconSize().width() == 25  # 16 × 20 / 13: the body's size is in whole pixels
    assert icon.iconSize().width() == 31
    assert picture.pixmap().deviceIndependentSize().width() == 25
    assert inner.maximumWidth() == 923
    theme.set_text_size(100)
    assert (button.iconSize().width(), icon.iconSize().width(), inner.maximumWidth()) == (16, 20, 600)


def test_keys_change_it_everywhere_and_it_is_kept(qtbot, window, context):
    place = window.focusWidget()
    qtbot.keyClick(place, Qt.Key.Key_Plus, CTRL)
    qtbot.keyClick(place, Qt.Key.Key_Equal, CTRL)
    assert context.theme.text_size == 125
    assert context.store.settings.get("text_size") == 125
    qtbot.keyClick(place, Qt.Key.Key_Minus, CTRL)
    assert context.store.settings.get("text_size") == 110
    qtbot.keyClick(place, Qt.Key.Key_0, CTRL)
    assert context.store.settings.get("text_size") == 100


def test_settings_show_the_size_and_change_it(qtbot, window, context):
    room = window.room("settings")
    assert room.text_size.currentText() == "100%"
    qtbot.keyClick(window.focusWidget(), Qt.Key.Key_Plus, CTRL)
    assert room.text_size.currentText() == "110%"
    room.text_size.setCurrentIndex(room.text_size.findData(150))
    room.text_size.activated.emit(room.text_size.currentIndex())
    assert context.store.settings.get("text_size") == 150
    assert QGuiApplication.font().pixelSize() == round(1.5 * t.TYPE_BODY)


@pytest.mark.parametrize("kind", ["quiet", "secondary", "danger"])
def test_a_focused_button_has_its_ring_and_no_second_frame_within(qtbot, theme, kind):
    """Once a key had moved the focus, the style drew its own rectangle around the words as well."""
    button = Button(" ", kind)
    qtbot.addWidget(button)
    button.resize(120, 32)
    button.ensurePolished()
    drawn = []
    for flags in (QStyle.StateFlag.State_HasFocus, QStyle.StateFlag.State_HasFocus | QStyle.StateFlag.State_KeyboardFocusChange):
        picture = QPixmap(button.size())
        picture.fill(Qt.GlobalColor.white)
        option = QStyleOptionButton()
        button.initStyleOption(option)
        option.state |= flags | QStyle.StateFlag.State_Active | QStyle.StateFlag.State_Enabled
        with QPainter(picture) as painter:
            button.style().drawControl(QStyle.ControlElement.CE_PushButton, option, painter, button)
        drawn.append(picture.toImage())
    assert drawn[0] == drawn[1]


def test_a_closed_window_keeps_no_text_size(qtbot, context, theme):
    window = Window(context)
    qtbot.addWidget(window)
    window.show()
    theme.set_text_size(110)
    assert context.store.settings.get("text_size") == 110
    window.close()
    theme.set_text_size(125)
    assert context.store.settings.get("text_size") == 110
