"""What can be done to a turn is in sight, in one line where there is room."""

from PySide6.QtWidgets import QApplication

from rlhf_desktop.ui.chat.turn_view import TurnView
from rlhf_desktop.ui.chat.turns import Turn
from rlhf_desktop.ui.widgets.buttons import IconButton


def shown(qtbot, turn, width):
    view = TurnView(turn)
    qtbot.addWidget(view)
    view.resize(width, 300)
    with qtbot.waitExposed(view):
        view.show()
    QApplication.sendPostedEvents()  # the layout comes to rest
    buttons = view.findChildren(IconButton)
    assert buttons
    return view, [button.mapTo(view, button.rect().center()) for button in buttons]


def test_a_message_said_in_two_ways_has_its_actions_in_one_line(qtbot):
    view, places = shown(qtbot, Turn("1", "user", "My kettle leaks.", "", 0, 2, "", False, False), 600)
    assert len({place.y() for place in places}) == 1
    assert all(0 < place.x() < view.width() for place in places)


def test_an_answers_actions_go_on_in_a_second_line(qtbot):
    turn = Turn("2", "assistant", "I am sorry.", "tiny", 0, 5, "Cut at the limit", True, True)
    _, wide = shown(qtbot, turn, 900)
    assert len({place.y() for place in wide}) == 1
    view, narrow = shown(qtbot, turn, 260)
    assert len({place.y() for place in narrow}) > 1
    assert all(0 < place.x() < view.width() for place in narrow)
