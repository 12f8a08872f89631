"""An answer as plain text in which passages can be marked: by mouse, or by Shift and the arrow keys."""

from bisect import bisect_left
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QTextCharFormat, QTextCursor, QWheelEvent
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QSizePolicy, QTextEdit, QWidget

from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.style import current


@dataclass(frozen=True)
class Overlay:
    """A marked passage to show: characters `start` to `end` (not included) of the text. A serious one is underlined twice."""

    start: int
    end: int
    serious: bool


class MarkableText(QPlainTextEdit):
    """Grows with its text. Positions are counted in characters (Python's), not in Qt's 16-bit units."""

    passageChosen = Signal(int, int)  # start, end
    left = Signal()  # Esc

    def __init__(self, text: str, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._units = _unit_offsets(text)
        self._overlays: tuple[Overlay, ...] = ()
        self.setProperty("kind", "bare")
        self.setProperty("type", "answer")
        self.setAccessibleName(name)
        self.setReadOnly(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard)
        self.setTabChangesFocus(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.document().setDocumentMargin(0)
        self.setPlainText(text)
        self.document().documentLayout().documentSizeChanged.connect(lambda _size: self._fit())
        self._fit()

    def passage(self) -> tuple[int, int] | None:
        """The selection, as characters; None when nothing is selected."""
        cursor = self.textCursor()
        if not cursor.hasSelection():
            return None
        return bisect_left(self._units, cursor.selectionStart()), bisect_left(self._units, cursor.selectionEnd())

    def choose(self, start: int, end: int) -> None:
        """Select characters `start` to `end`."""
        self.setTextCursor(self._cursor(start, end))

    def show_overlays(self, overlays: tuple[Overlay, ...]) -> None:
        """Show what is marked."""
        self._overlays = overlays
        colours = current()
        shown = []
        for overlay in overlays:
            selection = QTextEdit.ExtraSelection()
            selection.cursor = self._cursor(overlay.start, overlay.end)
            selection.format = _format(overlay, colours)
            shown.append(selection)
        self.setExtraSelections(shown)

    def sizeHint(self) -> QSize:
        """As tall as the text."""
        return QSize(self.fontMetrics().averageCharWidth() * t.MEASURE_CHARACTERS, self.height())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter chooses the passage; Esc leaves."""
        if event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._say()
        else:
            super().keyPressEvent(event)

    def mouseReleaseEvent(self, event) -> None:
        """A passage selected by mouse is chosen."""
        super().mouseReleaseEvent(event)
        self._say()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scrolling belongs to whoever holds this view."""
        event.ignore()

    def resizeEvent(self, event) -> None:
        """Wrap anew."""
        super().resizeEvent(event)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        """Fit again when the font changes, and tint again when the theme does."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._fit()
        if event.type() == QEvent.Type.PaletteChange:
            self.show_overlays(self._overlays)

    def _say(self) -> None:
        chosen = self.passage()
        if chosen:
            self.passageChosen.emit(*chosen)

    def _cursor(self, start: int, end: int) -> QTextCursor:
        cursor = QTextCursor(self.document())
        last = len(self._units) - 1
        cursor.setPosition(self._units[min(start, last)])
        cursor.setPosition(self._units[min(end, last)], QTextCursor.MoveMode.KeepAnchor)
        return cursor

    def _fit(self) -> None:
        lines = max(1, round(self.document().size().height()))  # QPlainTextEdit counts in lines
        self.setFixedHeight(lines * self.fontMetrics().lineSpacing() + t.SPACE_XS)


def _unit_offsets(text: str) -> list[int]:
    """Where each character begins in Qt's 16-bit units, and where the text ends."""
    offsets = [0]
    for character in text:
        offsets.append(offsets[-1] + (2 if ord(character) > 0xFFFF else 1))
    return offsets


def _format(overlay: Overlay, colours: t.Palette) -> QTextCharFormat:
    made = QTextCharFormat()
    tone = colours.danger if overlay.serious else colours.warning
    made.setBackground(QColor(t.mix(colours.surface, tone, 0.22)))
    made.setUnderlineColor(QColor(tone))
    style = QTextCharFormat.UnderlineStyle
    made.setUnderlineStyle(style.WaveUnderline if overlay.serious else style.DashUnderline)
    return made
