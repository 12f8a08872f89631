"""The help lies beside the room wherever the room can make do with what is left, and over it only elsewhere."""

import pytest
from PySide6.QtCore import QSize
from PySide6.QtWidgets import QWidget

from rlhf_desktop.ui.help.beside import Beside
from rlhf_desktop.ui.theme import tokens as t


class Room(QWidget):
    """Needs `least`, and up to `most` while it has that."""

    def __init__(self, least: int, most: int) -> None:
        super().__init__()
        self._least, self._most = least, most

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        return QSize(self._most if self.width() >= self._most else self._least, 100)


@pytest.fixture
def make(qtbot):
    def made(least: int, most: int, width: int, chosen: int = t.HELP_WIDTH) -> Beside:
        beside = Beside(Room(least, most), QWidget(), "Width", chosen)
        qtbot.addWidget(beside)
        beside.resize(width, 600)
        beside.show()
        beside.show_side(True)
        return beside

    return made


def widths(beside):
    return beside._main.width(), beside._side.width(), beside.over


def test_a_room_that_can_be_narrower_makes_room(make):
    assert widths(make(600, 1100, 1200)) == (800, 400, False)


def test_the_help_is_narrower_where_the_room_needs_it(make):
    kept = 850 + t.SPACE_M
    assert widths(make(850, 850, 1200)) == (kept, 1200 - kept, False)


def test_the_help_lies_over_a_room_that_needs_all(make):
    assert widths(make(1000, 1000, 1200)) == (1200, 400, True)


def test_folded_away_it_takes_nothing(make):
    beside = make(600, 600, 1200)
    beside.show_side(False)
    assert beside._main.width() == 1200
    assert not beside._side.isVisible()
    assert not beside.grip.isVisible()


def test_dragging_the_edge_is_bounded_and_told(make):
    beside = make(500, 500, 1200)
    told = []
    beside.widthChosen.connect(told.append)
    beside.grip.moved.emit(-100)
    assert widths(beside) == (700, 500, False)
    beside.grip.moved.emit(5000)
    assert beside._side.width() == t.HELP_MIN_WIDTH
    assert told == [500, t.HELP_MIN_WIDTH]
