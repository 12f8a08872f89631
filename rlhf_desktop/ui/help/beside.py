"""A main widget with another beside it, or over its right edge where the window is too narrow for both."""

from PySide6.QtCore import QEvent, QPoint, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget

from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.theme import tokens as t

_STEP = t.SPACE_XL


class Grip(QFrame):
    """The edge that is dragged, or moved with the arrow keys."""

    moved = Signal(int)  # by so many pixels, to the right

    def __init__(self, name: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setProperty("kind", "grip")
        self.setAccessibleName(name)
        self.setToolTip(f"{name}: drag, or {keymap.shown('left')} and {keymap.shown('right')}")
        self.setCursor(Qt.CursorShape.SplitHCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setFixedWidth(t.SPACE_S)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Follow the pointer."""
        self.moved.emit(round(event.position().x()) - self.width() // 2)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """A step to the side."""
        step = {"left": -_STEP, "right": _STEP}.get(keymap.heard(event, "help"))
        if step is None:
            super().keyPressEvent(event)
        else:
            self.moved.emit(step)


class Beside(QWidget):
    """Places the two. The side comes and goes with `show_side`, and keeps the width it was given."""

    widthChosen = Signal(int)

    def __init__(self, main: QWidget, side: QWidget, name: str, width: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._main, self._side, self._width, self._over = main, side, width, False
        main.setParent(self)
        side.setParent(self)
        self.grip = Grip(name, self)
        self.grip.moved.connect(self._moved)
        self.show_side(False)

    @property
    def over(self) -> bool:
        """Whether the side lies over the main widget, because there is no room for both."""
        return self._over

    def show_side(self, on: bool) -> None:
        """Open or fold the side."""
        self._side.setVisible(on)
        self.grip.setVisible(on)
        self.place()

    def minimumSizeHint(self) -> QSize:
        """The side lies over where it must, so the main widget decides."""
        return self._main.minimumSizeHint()

    def sizeHint(self) -> QSize:
        """As the main widget."""
        return self._main.sizeHint()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Place both anew."""
        super().resizeEvent(event)
        self.place()

    def event(self, event: QEvent) -> bool:
        """The main widget takes another size."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().event(event)

    def _moved(self, by: int) -> None:
        self._width = max(t.HELP_MIN_WIDTH, min(self._side.width() - by, self.width() - t.SPACE_XXL))
        self.place()
        self.widthChosen.emit(self._width)

    def _needed(self) -> int:
        """How wide the main widget has to be for nothing in it to be cut, as it is laid out now.

        What scrolls up and down only says so in no other way.
        """
        areas = [area for area in self._main.findChildren(QScrollArea) if area.isVisible() and area.widget() is not None]
        inside = [area.mapTo(self._main, QPoint()).x() + area.widget().minimumSizeHint().width() for area in areas]
        return max([self._main.minimumSizeHint().width(), *inside]) + t.SPACE_M

    def _has_room(self, width: int) -> bool:
        """Give the side so much. Whether nothing in the main widget is cut then: it may lay itself out in another way first."""
        self._main.setGeometry(0, 0, self.width() - width, self.height())
        return self._needed() <= self.width() - width

    def place(self) -> None:
        """Lay both out; for when another page of the main widget is in front, which may take another width."""
        width = min(self._width, self.width())
        self._over = False
        if self._side.isVisibleTo(self):
            narrower = (width, self.width() - self._needed(), t.HELP_MIN_WIDTH)
            found = next((each for each in narrower if t.HELP_MIN_WIDTH <= each <= width and self._has_room(each)), None)
            self._over, width = found is None, width if found is None else found
        if self._over or not self._side.isVisibleTo(self):
            self._main.setGeometry(0, 0, self.width(), self.height())
        self._side.setGeometry(self.width() - width, 0, width, self.height())
        self.grip.setGeometry(self.width() - width - self.grip.width() // 2, 0, self.grip.width(), self.height())
        self._side.raise_()
        self.grip.raise_()
