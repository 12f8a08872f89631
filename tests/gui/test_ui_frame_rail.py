"""The rail lies over the page only while somebody looks for a room, and covers none of its own icons."""

import pytest
from PySide6.QtCore import QEvent, QPoint, QRect, QSize, Qt
from PySide6.QtGui import QCursor, QEnterEvent, QHelpEvent
from PySide6.QtWidgets import QApplication, QStyle, QStyleOptionToolButton, QToolButton, QToolTip

from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.theme import icons
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.sheet import stylesheet


@pytest.fixture
def window(qtbot, context):
    made = Window(context)
    qtbot.addWidget(made)
    made.show()
    made.show_room("settings")
    made.activateWindow()
    qtbot.waitUntil(made.isActiveWindow)
    QApplication.sendEvent(made.rail, QEvent(QEvent.Type.Leave))
    yield made
    context.tasks.wait()


def button(window, name):
    return next(each for each in window.rail.findChildren(QToolButton) if each.accessibleName() == name)


def widths(window):
    """Every width the rail takes from now on."""
    seen = []
    window.rail._motion.valueChanged.connect(seen.append)
    return seen


@pytest.mark.parametrize(("key", "room"), [(Qt.Key.Key_6, "models"), (Qt.Key.Key_7, "settings"), (Qt.Key.Key_3, "feedback")])
def test_a_rooms_key_never_opens_the_rail_nor_takes_the_focus_there(qtbot, window, key, room):
    seen, focused = widths(window), []
    connection = QApplication.instance().focusChanged.connect(lambda _old, new: focused.append(new))
    qtbot.keyClick(window, key, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: window.current_room == room and not button(window, room.capitalize()).isDown())
    QApplication.instance().focusChanged.disconnect(connection)
    assert seen == []
    assert not any(new is not None and window.rail.isAncestorOf(new) for new in focused)
    assert not window.rail.isAncestorOf(window.focusWidget())


def test_tab_opens_it_and_escape_goes_back_to_the_room(qtbot, window):
    button(window, "Train").setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.waitUntil(lambda: window.rail.width() == t.RAIL_WIDTH_OPEN)
    qtbot.keyClick(button(window, "Train"), Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: window.rail.width() == t.RAIL_WIDTH)
    assert window.current_room == "settings"
    assert window.focusWidget() is window.focus_place()


def test_choosing_the_room_that_is_in_front_closes_it_too(qtbot, window):
    button(window, "Settings").setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.waitUntil(lambda: window.rail.width() == t.RAIL_WIDTH_OPEN)
    qtbot.keyClick(button(window, "Settings"), Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: window.rail.width() == t.RAIL_WIDTH)
    assert not window.rail.isAncestorOf(window.focusWidget())


def test_a_pointer_that_lay_there_when_the_window_came_opens_nothing(window):
    window.rail._rested_at = QCursor.pos()
    window.rail._rested()
    assert window.rail._motion.endValue() != t.RAIL_WIDTH_OPEN
    window.rail._rested_at = QCursor.pos() + QPoint(5, 5)
    QApplication.sendEvent(window.rail, QEnterEvent(QPoint(3, 3), QPoint(3, 3), QPoint(3, 3)))
    window.rail._resting.timeout.emit()
    assert window.rail._motion.endValue() == t.RAIL_WIDTH_OPEN


def test_a_tooltip_covers_no_icon(qtbot, window):
    for each in window.rail.findChildren(QToolButton):
        middle = each.rect().center()
        QApplication.sendEvent(each, QHelpEvent(QEvent.Type.ToolTip, middle, each.mapToGlobal(middle)))
        qtbot.waitUntil(QToolTip.isVisible)
        tip = next(top for top in QApplication.topLevelWidgets() if top.metaObject().className() == "QTipLabel")
        rail = QRect(window.rail.mapToGlobal(QPoint(0, 0)), window.rail.size())
        assert not tip.geometry().intersects(rail), each.accessibleName()
    QToolTip.hideText()


def test_large_text_has_room_in_the_open_rail(qtbot, window, qapp, theme):
    font, sheet = qapp.font(), qapp.styleSheet()
    grown = qapp.font()
    grown.setPixelSize(round(t.TYPE_BODY * 1.5))
    qapp.setFont(grown)
    qapp.setStyleSheet(stylesheet(t.LIGHT, 1.5))
    try:
        button(window, "Settings").setFocus(Qt.FocusReason.TabFocusReason)
        qtbot.waitUntil(lambda: window.rail.width() == icons.grown(t.RAIL_WIDTH_OPEN))
        for each in window.rail.findChildren(QToolButton):
            option = QStyleOptionToolButton()
            each.initStyleOption(option)
            needed = each.style().sizeFromContents(QStyle.ContentsType.CT_ToolButton, option, QSize(0, 0), each)
            words = each.fontMetrics().boundingRect(each.text())
            assert needed.height() + words.height() <= each.height() + 2, each.accessibleName()
            assert needed.width() + option.iconSize.width() + words.width() <= each.width(), each.accessibleName()
    finally:
        qapp.setFont(font)
        qapp.setStyleSheet(sheet)
