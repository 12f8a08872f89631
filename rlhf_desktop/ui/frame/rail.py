"""The rail at the left: an icon a room; words appear while the pointer or the focus is on it."""

from PySide6.QtCore import QEvent, QPropertyAnimation, QSize, Qt, Signal
from PySide6.QtWidgets import QApplication, QButtonGroup, QFrame, QWidget

from rlhf_desktop.ui.frame.room import RoomSpec
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import IconButton
from rlhf_desktop.ui.widgets.surfaces import column


class Rail(QFrame):
    """Lies over the room's edge, so that opening it moves nothing."""

    chosen = Signal(str)

    def __init__(self, rooms: tuple[RoomSpec, ...], parent: QWidget) -> None:
        super().__init__(parent)
        self.setProperty("kind", "rail")
        self.setAccessibleName("Rooms")
        self.setFixedWidth(t.RAIL_WIDTH)
        box = column(self, t.SPACE_S, t.SPACE_XS)
        self._group = QButtonGroup(self)
        self._buttons: dict[str, IconButton] = {}
        for spec in rooms:
            if spec.key == "settings":
                box.addStretch(1)
            box.addWidget(self._button(spec))
        self._motion = QPropertyAnimation(self, b"maximumWidth", self)
        self._motion.setDuration(_motion_ms())
        self._motion.valueChanged.connect(lambda width: self.setMinimumWidth(int(width)))
        self._show_words(False)
        QApplication.instance().focusChanged.connect(self._focus_moved)

    def set_current(self, key: str) -> None:
        """Mark the room that is shown."""
        self._buttons[key].setChecked(True)

    def enterEvent(self, event: QEvent) -> None:
        """Show the words."""
        super().enterEvent(event)
        self._open(True)

    def leaveEvent(self, event: QEvent) -> None:
        """Hide the words."""
        super().leaveEvent(event)
        self._open(False)

    def _button(self, spec: RoomSpec) -> IconButton:
        button = IconButton(spec.icon, spec.title, spec.shortcut, kind="rail")
        button.setCheckable(True)
        button.setText("  " + spec.title)
        button.set_name(spec.title, spec.shortcut)  # again: Qt forgets a shortcut when the text changes
        button.clicked.connect(lambda: self.chosen.emit(spec.key))
        self._group.addButton(button)
        self._buttons[spec.key] = button
        return button

    def _focus_moved(self, _old: QWidget | None, new: QWidget | None) -> None:
        by_keyboard = new is not None and self.isAncestorOf(new) and not self.underMouse()
        if by_keyboard or not self.underMouse():
            self._open(by_keyboard)

    def _open(self, on: bool) -> None:
        width = t.RAIL_WIDTH_OPEN if on else t.RAIL_WIDTH
        if self._motion.endValue() == width or (self.width() == width and not self._motion.endValue()):
            return
        self._show_words(on)
        self._motion.stop()
        self._motion.setStartValue(self.width())
        self._motion.setEndValue(width)
        self._motion.start()

    def _show_words(self, on: bool) -> None:
        style = Qt.ToolButtonStyle.ToolButtonTextBesideIcon if on else Qt.ToolButtonStyle.ToolButtonIconOnly
        width = t.RAIL_WIDTH_OPEN if on else t.RAIL_WIDTH
        for button in self._buttons.values():
            button.setToolButtonStyle(style)
            button.setFixedSize(QSize(width - 2 * t.SPACE_S, t.CONTROL_HEIGHT + t.SPACE_S))


def _motion_ms() -> int:
    """No motion where the system asks for less."""
    return t.MOTION_MS if QApplication.instance().isEffectEnabled(Qt.UIEffect.UI_AnimateMenu) else 0
