"""The rail at the left: an icon a room; words appear while the pointer rests on it, or Tab walks through it."""

from PySide6.QtCore import QEvent, QObject, QPoint, QPropertyAnimation, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QCursor, QEnterEvent, QFocusEvent, QKeyEvent, QShowEvent
from PySide6.QtWidgets import QButtonGroup, QFrame, QLabel, QToolTip, QWidget

from rlhf_desktop.ui.application import application
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.frame.room import RoomSpec
from rlhf_desktop.ui.theme import icons
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import IconButton
from rlhf_desktop.ui.widgets.surfaces import column

_REST_MS = 250  # a pointer on its way to somewhere else opens nothing
_MOST_SHOWN = 99
_WALKING = (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)


class Rail(QFrame):
    """Lies over the room's edge, so that opening it moves nothing. A room's key never opens it; choosing a room closes it."""

    chosen = Signal(str)
    left = Signal()  # Esc: back to the room in front

    def __init__(self, rooms: tuple[RoomSpec, ...], parent: QWidget) -> None:
        super().__init__(parent)
        self.setProperty("kind", "rail")
        self.setAccessibleName("Rooms")
        self.setFixedWidth(t.RAIL_WIDTH)
        box = column(self, t.SPACE_S, t.SPACE_XS)
        self._group = QButtonGroup(self)
        self._buttons: dict[str, IconButton] = {}
        self._specs: dict[str, RoomSpec] = {}
        self._notes: dict[str, _Number] = {}
        self._rested_at = QPoint()  # where the pointer was when the window came: it need not mean the rail
        for spec in rooms:
            if spec.key == "settings":
                box.addStretch(1)
            box.addWidget(self._button(spec))
        self._motion = QPropertyAnimation(self, b"maximumWidth", self)
        self._motion.setDuration(_motion_ms())
        self._motion.valueChanged.connect(lambda width: self.setMinimumWidth(int(width)))
        self._resting = QTimer(self)
        self._resting.setSingleShot(True)
        self._resting.setInterval(_REST_MS)
        self._resting.timeout.connect(self._rested)
        self._show_words(False)
        application().focusChanged.connect(self._focus_moved)

    def set_current(self, key: str) -> None:
        """Mark the room that is shown."""
        self._buttons[key].setChecked(True)

    def set_note(self, key: str, number: int, words: str) -> None:
        """Something waits in a room: its number stands at the icon, and with its words beside the name. 0: nothing does."""
        spec, button = self._specs[key], self._buttons[key]
        said = f"{number:,} {words}" if number else ""
        button.setText("  " + " · ".join(filter(None, (spec.title, said))))
        button.set_name(", ".join(filter(None, (spec.title, said))), spec.shortcut)  # again: Qt forgets a shortcut with the text
        self._notes[key].say(number)

    def showEvent(self, event: QShowEvent) -> None:
        """Remember where the pointer is by accident."""
        super().showEvent(event)
        self._rested_at = QCursor.pos()

    def enterEvent(self, event: QEnterEvent) -> None:
        """Show the words, if the pointer stays."""
        super().enterEvent(event)
        self._resting.start()

    def leaveEvent(self, event: QEvent) -> None:
        """Hide the words."""
        super().leaveEvent(event)
        self._resting.stop()
        self._open(False)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Of the buttons: Tab opens, Esc leaves, and a tooltip stands beside the rail, on none of its icons."""
        if isinstance(event, QFocusEvent) and event.gotFocus() and event.reason() in _WALKING:
            self._open(True)
        elif isinstance(watched, QWidget) and event.type() == QEvent.Type.ToolTip:
            QToolTip.showText(watched.mapToGlobal(QPoint(watched.width() + t.SPACE_M, -t.SPACE_S)), watched.toolTip(), watched)
            return True
        elif isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and keymap.heard(event, "rail") == "leave":
            self._open(False)
            self.left.emit()
            return True
        return super().eventFilter(watched, event)

    def _button(self, spec: RoomSpec) -> IconButton:
        button = IconButton(spec.icon, spec.title, spec.shortcut, kind="rail")
        button.setCheckable(True)
        button.setText("  " + spec.title)
        button.set_name(spec.title, spec.shortcut)  # again: Qt forgets a shortcut when the text changes
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # with more, Qt gives the focus to whatever button has its key pressed
        button.clicked.connect(lambda: self._choose(spec.key))
        button.installEventFilter(self)
        self._group.addButton(button)
        self._buttons[spec.key], self._specs[spec.key], self._notes[spec.key] = button, spec, _Number(button)
        return button

    def _choose(self, key: str) -> None:
        self._resting.stop()
        self._open(False)  # until the pointer comes anew
        self.chosen.emit(key)

    def _rested(self) -> None:
        if QCursor.pos() != self._rested_at:
            self._open(True)

    def _focus_moved(self, _old: QWidget | None, new: QWidget | None) -> None:
        if (new is None or not self.isAncestorOf(new)) and not self.underMouse():
            self._open(False)

    def _open(self, on: bool) -> None:
        width = _open_width() if on else t.RAIL_WIDTH
        if self._motion.endValue() == width or (self.width() == width and not self._motion.endValue()):
            return
        self._show_words(on)
        self._motion.stop()
        self._motion.setStartValue(self.width())
        self._motion.setEndValue(width)
        self._motion.start()

    def _show_words(self, on: bool) -> None:
        style = Qt.ToolButtonStyle.ToolButtonTextBesideIcon if on else Qt.ToolButtonStyle.ToolButtonIconOnly
        width = _open_width() if on else t.RAIL_WIDTH
        for note in self._notes.values():
            note.setVisible(not on and bool(note.text()))  # beside the name its words say it
        for button in self._buttons.values():
            button.setToolButtonStyle(style)
            button.setFixedSize(QSize(width - 2 * t.SPACE_S, t.CONTROL_HEIGHT + t.SPACE_S))


class _Number(QLabel):
    """A small number at an icon's corner. Decoration: the button's name says it."""

    def __init__(self, icon: QWidget) -> None:
        super().__init__(icon)
        self.setProperty("kind", "number")
        self.setProperty("type", "caption")
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def say(self, number: int) -> None:
        """Show it; nothing for 0."""
        self.setText("" if not number else str(number) if number <= _MOST_SHOWN else f"{_MOST_SHOWN}+")
        self.adjustSize()
        self.move(t.RAIL_WIDTH - 2 * t.SPACE_S - self.width(), 0)
        self.setVisible(number > 0)


def _open_width() -> int:
    """Room for the words at the size of text in use."""
    return icons.grown(t.RAIL_WIDTH_OPEN)


def _motion_ms() -> int:
    """No motion where the system asks for less."""
    return t.MOTION_MS if application().isEffectEnabled(Qt.UIEffect.UI_AnimateMenu) else 0
