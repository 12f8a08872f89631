"""A rating of one attribute of one answer: a row of numbers, reachable by keys."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QButtonGroup, QFrame, QPushButton, QWidget

from rlhf_desktop.ui.widgets.surfaces import row
from rlhf_desktop.ui.widgets.text import ElidedLabel, restyle


class RatingRow(QFrame):
    """`low` to `high`; pressing the chosen one again takes the rating away."""

    rated = Signal(object)  # the value, or None
    left = Signal()  # Esc

    def __init__(
        self, owner: str, attribute: str, low: int, high: int, words: tuple[str, ...] = (), parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._name, self._low, self._high = f"{attribute} of answer {owner}", low, high
        self._value: int | None = None
        self.setProperty("kind", "rating")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        across = row(self, 2, 2)
        label = ElidedLabel(attribute.capitalize(), "caption", "muted")
        across.addWidget(label, 1)
        self._group = QButtonGroup(self)
        self._group.setExclusive(False)
        for place, value in enumerate(range(low, high + 1)):
            button = QPushButton(str(value), self)
            button.setCheckable(True)
            button.setProperty("kind", "segment")
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            said = words[place] if place < len(words) else str(value)
            button.setAccessibleName(f"{self._name}: {said}")
            button.setToolTip(said)
            self._group.addButton(button, value)
            across.addWidget(button)
        self._group.idClicked.connect(self._pressed)
        self.show_value(None)

    def value(self) -> int | None:
        """The rating, if there is one."""
        return self._value

    def show_value(self, value: int | None) -> None:
        """Show a rating, without emitting `rated`."""
        self._value = value
        for button in self._group.buttons():
            button.setChecked(self._group.id(button) == value)
        self.setAccessibleName(f"{self._name}: {'not rated' if value is None else value}")
        self.setToolTip(f"{self._low} to {self._high}; number keys while this row has the focus")

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Numbers rate, left and right change, up and down go to the neighbour, Backspace clears, Esc leaves."""
        key = event.key()
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(key)
        typed = key - Qt.Key.Key_0
        if self._low <= typed <= self._high and not event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
            self._change(typed)
            self.focusNextChild()
        elif step:
            start = self._low - 1 if step > 0 else self._high + 1
            self._change(max(self._low, min(self._high, (self._value if self._value is not None else start) + step)))
        elif key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.focusNextPrevChild(key == Qt.Key.Key_Down)
        elif key in (Qt.Key.Key_Backspace, Qt.Key.Key_Delete):
            self._change(None)
        elif key == Qt.Key.Key_Escape:
            self.left.emit()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event) -> None:
        """Show where the numbers go."""
        super().focusInEvent(event)
        restyle(self, focused=True)

    def focusOutEvent(self, event) -> None:
        """No longer."""
        super().focusOutEvent(event)
        restyle(self, focused=False)

    def _pressed(self, value: int) -> None:
        self._change(None if value == self._value else value)

    def _change(self, value: int | None) -> None:
        self.show_value(value)
        self.rated.emit(value)
