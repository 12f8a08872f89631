"""The window fits every screen with its frame, and comes back as it was left."""

import pytest
from PySide6.QtCore import QMargins, QRect, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

from rlhf_desktop.ui.frame.placing import FRAME, Place, Placing, fitted
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.splitter import KeptSplitter

FIRST = QRect(0, 0, t.WINDOW_WIDTH, t.WINDOW_HEIGHT)
LEFT, RIGHT = QRect(0, 0, 1920, 1080), QRect(1920, 0, 1366, 768)


@pytest.mark.parametrize("size", [(1280, 800), (1280, 770), (1366, 768), (1024, 768), (1920, 1080), (800, 600)])
def test_the_first_window_fits_with_its_title_bar(size):
    screen = QRect(0, 0, *size)
    made = fitted(FIRST, [screen], anywhere=True)
    assert screen.contains(made.marginsAdded(FRAME))
    assert made.width() == min(t.WINDOW_WIDTH, size[0] - FRAME.left() - FRAME.right())
    assert made.height() == min(t.WINDOW_HEIGHT, size[1] - FRAME.top() - FRAME.bottom())


@pytest.mark.parametrize(
    ("kept", "screen"),
    [
        (QRect(2000, 60, 1000, 600), RIGHT),  # on the second screen: it stays there
        (QRect(300, 100, 1280, 800), LEFT),
        (QRect(1700, 100, 1280, 800), RIGHT),  # between two: where most of its title bar is
        (QRect(5000, 5000, 1280, 800), LEFT),  # its screen is gone
        (QRect(-1250, 100, 1280, 800), LEFT),  # too little is left to take hold of
        (QRect(100, -700, 1280, 800), LEFT),  # its title bar is above every screen
        (QRect(0, 0, 5120, 2880), LEFT),
    ],
)
def test_a_window_is_corrected_to_lie_on_one_screen(kept, screen):
    made = fitted(kept, [LEFT, RIGHT])
    assert screen.contains(made.marginsAdded(FRAME))


def test_a_window_that_fits_is_left_alone():
    kept = QRect(2000, 60, 1000, 600)
    assert fitted(kept, [LEFT, RIGHT]) == kept
    assert fitted(kept, [LEFT]) != kept  # the second screen is unplugged


def opened(qtbot, context) -> tuple[Window, Placing]:
    made = Window(context)
    qtbot.addWidget(made)
    return made, Placing(made, context.store.settings)


def test_size_place_and_room_come_back(qtbot, context):
    window, placing = opened(qtbot, context)
    assert placing.room == "chat"
    placing.show()
    frame = window.geometry().marginsAdded(FRAME)
    assert QGuiApplication.primaryScreen().availableGeometry().contains(frame)
    window.show_room("settings")
    window.setGeometry(4, 90, 792, 600)
    window.close()
    again, placing = opened(qtbot, context)
    assert placing.room == "settings"
    placing.show()
    assert again.geometry() == window.geometry()
    again.close()


def test_a_maximised_window_comes_back_maximised_and_knows_its_size_before(qtbot, context):
    window, placing = opened(qtbot, context)
    placing.show()
    window.setGeometry(30, 50, 700, 520)
    normal = window.geometry()
    window.showMaximized()
    qtbot.waitUntil(window.isMaximized)
    window.close()
    kept = Place.model_validate(context.store.settings.get("window"))
    assert (kept.maximized, kept.width, kept.height) == (True, normal.width(), normal.height())
    again, placing = opened(qtbot, context)
    placing.show()
    qtbot.waitUntil(again.isMaximized)
    again.close()


@pytest.mark.parametrize("kept", [{"v": 9}, {"room": "cellar"}, [1, 2], {"width": "wide"}])
def test_a_setting_of_another_version_is_as_good_as_none(qtbot, context, kept):
    context.store.settings.set("window", kept)
    window, placing = opened(qtbot, context)
    assert placing.room == "chat"
    placing.show()
    assert QGuiApplication.primaryScreen().availableGeometry().contains(window.geometry().marginsAdded(QMargins(0, 0, 0, 0)))
    window.close()


def test_the_welcome_page_is_no_room_to_come_back_to(qtbot, context):
    window, placing = opened(qtbot, context)
    window.show_room("models")
    window.show_welcome()
    placing.show()
    window.close()
    assert opened(qtbot, context)[1].room == "chat"


def test_at_the_first_start_no_control_has_the_focus_and_tab_goes_to_the_welcome_page(qtbot, context):
    window, placing = opened(qtbot, context)
    page = window.show_welcome()
    placing.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    assert window.focusWidget() is page
    qtbot.keyClick(page, Qt.Key.Key_Tab)
    assert page.isAncestorOf(window.focusWidget())
    window.close()


def test_a_splitters_widths_come_back(qtbot, store):
    def split():
        made = KeptSplitter("two", store.settings)
        qtbot.addWidget(made)
        for _ in range(2):
            made.addWidget(QWidget())
        made.resize(600, 100)
        made.show()
        return made

    first = split()
    first.moveSplitter(450, 1)
    moved = first.sizes()
    assert moved[0] > moved[1]
    assert split().sizes() == moved
    assert first.orientation() == Qt.Orientation.Horizontal


def test_the_room_is_known_after_an_end_that_was_no_close(qtbot, context):
    window, placing = opened(qtbot, context)
    placing.show()
    window.show_room("feedback")
    again = Window(context)
    qtbot.addWidget(again)
    assert Placing(again, context.store.settings).room == "feedback"
