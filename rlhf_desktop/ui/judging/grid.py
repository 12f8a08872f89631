"""How answers share the room there is: equal widths, and heights by what each row needs, so that none lies under the fold."""

from collections.abc import Sequence
from math import ceil

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtWidgets import QLayoutItem, QWidget

from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.flow import Placed

_NARROWER = 0.8  # of the least width: better than rows too low to read in


def columns_for(count: int, room: QSize, least: QSize) -> int:
    """As many columns as keep answers readable, in rows as even as they get: four in two by two, not three and one.

    Args:
        count: How many answers.
        room: What they share; no height (0) where the page scrolls.
        least: What one answer takes to be read without tiring.
    """
    columns = _even(count, room.width() // max(1, least.width()))
    if room.height() and ceil(count / columns) * least.height() > room.height():
        return _even(count, int(room.width() // (least.width() * _NARROWER)))
    return columns


def _even(count: int, fits: int) -> int:
    rows = ceil(count / min(count, max(1, fits)))
    return ceil(count / rows)


def shared(wanted: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Heights of rows that fit into `room`: none gets more than it wants, and those that want more share the rest equally.

    None gets less than its least, even if all together then take more than the room.
    """
    if sum(wanted) <= room:
        return list(wanted)
    low, high = 0, max(wanted)
    while low < high:  # the greatest height that no row may pass
        middle = (low + high + 1) // 2
        if sum(max(small, min(want, middle)) for want, small in zip(wanted, least, strict=True)) <= room:
            low = middle
        else:
            high = middle - 1
    return [max(small, min(want, low)) for want, small in zip(wanted, least, strict=True)]


class AnswerGrid(Placed):
    """Widgets in rows of equal columns. With `room` the rows share that height; without, each is as tall as it likes."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._columns, self._room = 1, 0
        self.setContentsMargins(0, 0, 0, 0)
        self.setSpacing(t.SPACE_M)

    @property
    def columns(self) -> int:
        """How many stand side by side."""
        return self._columns

    @property
    def room(self) -> int:
        """The height the rows share; 0 for as much as they like."""
        return self._room

    def arrange(self, columns: int, room: int = 0) -> None:
        """So many side by side, in so much height."""
        if (columns, room) != (self._columns, self._room):
            self._columns, self._room = columns, room
            self.invalidate()

    def expandingDirections(self) -> Qt.Orientation:
        """Across."""
        return Qt.Orientation.Horizontal

    def hasHeightForWidth(self) -> bool:
        """Narrower columns are taller, up to the room."""
        return True

    def heightForWidth(self, width: int) -> int:
        """What the rows come to."""
        heights = self._heights(self._column(width))
        return sum(heights) + max(0, len(heights) - 1) * self.spacing()

    def sizeHint(self) -> QSize:
        """What the rows come to in the width they have."""
        widths = [item.sizeHint().width() for item in self._shown()] or [0]
        return QSize(self._across(max(widths)), self.heightForWidth(self.geometry().width()))

    def minimumSize(self) -> QSize:
        """The same height: whoever holds the grid scrolls rather than squeeze it."""
        widths = [item.minimumSize().width() for item in self._shown()] or [0]
        return QSize(self._across(max(widths)), self.heightForWidth(self.geometry().width()))

    def setGeometry(self, rect: QRect) -> None:
        """Place everything."""
        super().setGeometry(rect)
        width, top = self._column(rect.width()), rect.y()
        for row, height in zip(self._rows(), self._heights(width), strict=True):
            for place, item in enumerate(row):
                item.setGeometry(QRect(rect.x() + place * (width + self.spacing()), top, width, height))
            top += height + self.spacing()

    def _shown(self) -> list[QLayoutItem]:
        return [item for item in self._items if not item.isEmpty()]

    def _rows(self) -> list[list[QLayoutItem]]:
        shown = self._shown()
        return [shown[first : first + self._columns] for first in range(0, len(shown), self._columns)]

    def _heights(self, width: int) -> list[int]:
        rows = self._rows()
        wanted = [max(_wanted(item, width) for item in row) for row in rows]
        if not self._room:
            return wanted
        least = [max(_least(item, width) for item in row) for row in rows]
        return shared(wanted, least, self._room - (len(rows) - 1) * self.spacing())

    def _column(self, width: int) -> int:
        return max(0, (width - (self._columns - 1) * self.spacing()) // self._columns)

    def _across(self, width: int) -> int:
        return self._columns * (width + self.spacing()) - self.spacing()


def _wanted(item: QLayoutItem, width: int) -> int:
    return item.heightForWidth(width) if item.hasHeightForWidth() else item.sizeHint().height()


def _least(item: QLayoutItem, width: int) -> int:
    layout = item.widget().layout()
    if layout is not None and layout.hasHeightForWidth():
        return layout.totalMinimumHeightForWidth(width)
    return item.minimumSize().height()
