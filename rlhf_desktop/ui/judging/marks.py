"""Marking parts of an answer: select by mouse, or with Shift and the arrow keys, then say what is wrong with them."""

import math
from bisect import bisect_left
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QResizeEvent, QTextCharFormat, QTextCursor, QWheelEvent
from PySide6.QtWidgets import QBoxLayout, QFrame, QLayout, QPlainTextEdit, QSizePolicy, QWidget

from rlhf_desktop.feedback.judgements import Span
from rlhf_desktop.feedback.protocol import SpanCategory
from rlhf_desktop.ui import words
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.judging.keys import digit
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.style import current
from rlhf_desktop.ui.widgets.buttons import Button, IconButton, SegmentedControl
from rlhf_desktop.ui.widgets.flow import Flow
from rlhf_desktop.ui.widgets.highlight import highlight
from rlhf_desktop.ui.widgets.inset import Inset, keep_in_sight
from rlhf_desktop.ui.widgets.surfaces import clear, column, reveal, row
from rlhf_desktop.ui.widgets.text import ElidedLabel, align_as_written, caption, either_way, plain_tip

_STEPS = {
    "left": QTextCursor.MoveOperation.Left,
    "right": QTextCursor.MoveOperation.Right,
    "line start": QTextCursor.MoveOperation.StartOfLine,
    "line end": QTextCursor.MoveOperation.EndOfLine,
}
SEVERITIES = ("slight", "serious", "grave")


@dataclass(frozen=True)
class Overlay:
    """A marked passage to show: characters `start` to `end` (not included) of the text. A serious one is underlined twice."""

    start: int
    end: int
    serious: bool


class MarkableText(QPlainTextEdit):
    """Grows with its text. Positions are counted in characters (Python's), not in Qt's 16-bit units."""

    categoryPressed = Signal(int)  # a number key, while something is selected: its place
    severityPressed = Signal()
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
        either_way(self.document())
        align_as_written(self.document())
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
        self.setExtraSelections([highlight(self._cursor(each.start, each.end), _format(each, colours)) for each in overlays])

    def sizeHint(self) -> QSize:
        """As tall as the text."""
        return QSize(self.fontMetrics().averageCharWidth() * t.MEASURE_CHARACTERS, self.height())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Numbers mark what is selected, another key changes how bad it is, or leaves."""
        said = keymap.heard(event, "marking")
        if said == "leave":
            self.left.emit()
        elif said in ("how bad", "number"):
            if not event.isAutoRepeat():
                self._press(digit(event))
        elif said in _STEPS:
            self._move(_STEPS[said])
        else:
            super().keyPressEvent(event)

    def _press(self, number: int | None) -> None:
        if number is None:
            self.severityPressed.emit()
        else:
            self.categoryPressed.emit(number - 1)

    def _move(self, step: QTextCursor.MoveOperation) -> None:
        """Without Shift the arrows move the place where selecting begins; a read-only text would scroll instead."""
        cursor = self.textCursor()
        cursor.clearSelection()
        cursor.movePosition(step)
        self.setTextCursor(cursor)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scrolling belongs to whoever holds this view."""
        event.ignore()

    def resizeEvent(self, event: QResizeEvent) -> None:
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

    def _cursor(self, start: int, end: int) -> QTextCursor:
        cursor = QTextCursor(self.document())
        last = len(self._units) - 1
        cursor.setPosition(self._units[min(start, last)])
        cursor.setPosition(self._units[min(end, last)], QTextCursor.MoveMode.KeepAnchor)
        return cursor

    def _fit(self) -> None:
        block, height = self.document().begin(), 0.0
        while block.isValid():  # by what is drawn: letters of another font make their line taller
            height += self.blockBoundingRect(block).height()
            block = block.next()
        self.setFixedHeight(math.ceil(max(height, self.fontMetrics().lineSpacing())) + t.SPACE_XS)


class MarkPane(QWidget):
    """The text with its marks; while marking also the kinds of mark, and how bad it is. `fixed`: only to be read."""

    marked = Signal(object)  # Span
    unmarked = Signal(object)  # Span
    left = Signal()

    def __init__(
        self,
        answer: int,
        letter: str,
        text: str,
        categories: list[SpanCategory],
        fixed: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._answer, self._text, self._categories, self._fixed = answer, text, categories, fixed
        box = column(self, 0, t.SPACE_XS)
        self.text = MarkableText(text, f"Answer {letter}, to mark")
        self._list = column(spacing=0)
        held = box if fixed else self._inset(box)
        held.addWidget(self.text)
        held.addLayout(self._list)
        self._bar = self._make_bar(letter)
        self._bar.hide()
        box.addWidget(self._bar)
        self.text.cursorPositionChanged.connect(lambda: keep_in_sight(self.text, self.text.cursorRect()))
        self.text.categoryPressed.connect(self._mark)
        self.text.severityPressed.connect(self._next_severity)
        self.text.left.connect(self.left)

    @staticmethod
    def _inset(box: QLayout) -> QBoxLayout:
        """The text and its marks scroll where the room is short; what one marks with stays."""
        made = Inset(t.SPACE_XS)
        box.addWidget(made)
        return made.body

    def _make_bar(self, letter: str) -> QWidget:
        bar = QWidget()
        box = column(bar, 0, t.SPACE_XS)
        self._hint = caption(
            f"Select text (Shift and arrows, or the mouse), then press the number of what is wrong.  {keymap.shown('leave')} ends.",
            wrap=True,
        )
        box.addWidget(self._hint)
        kinds = Flow()
        for place, category in enumerate(self._categories):
            button = Button(f"{place + 1}  {category.name}", "normal")
            button.setProperty("kind", "chip")
            button.setAccessibleName(f"Mark as {category.name}")
            button.setToolTip(plain_tip(category.help))
            button.clicked.connect(lambda _on=False, place=place: self._mark(place))
            kinds.addWidget(button)
        box.addLayout(kinds)
        self._severity = SegmentedControl(
            f"How bad, answer {letter}", [(name, place) for place, name in enumerate(SEVERITIES, start=1)], 2
        )
        done = Button("Done", "quiet")
        done.clicked.connect(self.left)
        lower = Flow(t.SPACE_S)
        for part in (caption(keymap.tip("How bad", "how bad")), self._severity, done):
            lower.addWidget(part)
        box.addLayout(lower)
        return bar

    def set_marking(self, on: bool) -> None:
        """Offer the kinds of mark, or only show the marks."""
        self._bar.setVisible(on)
        if on:
            self.text.setFocus()
            reveal(self._bar)

    def show_spans(self, spans: tuple[Span, ...]) -> None:
        """Show this answer's marks, each with a button that takes it away."""
        self.text.show_overlays(tuple(Overlay(span.start, span.end, span.severity > 1) for span in spans))
        clear(self._list)
        for span in spans:
            line = QWidget()
            across = row(line, 0, t.SPACE_XS)
            quoted = words.shortened(self._text[span.start : span.end], 40)
            said = f"{span.category}, {SEVERITIES[span.severity - 1]}: “{quoted}”"
            across.addWidget(ElidedLabel(said, "caption"), 1)
            if not self._fixed:
                remove = IconButton("x", f"Remove mark: {said}", size=t.ICON_SMALL)
                remove.clicked.connect(lambda _on=False, span=span: self.unmarked.emit(span))
                across.addWidget(remove)
            self._list.addWidget(line)

    def _next_severity(self) -> None:
        self._severity.set_value(self._severity.value() % len(SEVERITIES) + 1)

    def _mark(self, place: int) -> None:
        chosen = self.text.passage()
        if chosen and place < len(self._categories):
            self.marked.emit(Span(self._answer, *chosen, self._categories[place].name, self._severity.value()))
        elif chosen is None:
            self._hint.setText(f"Select some text first: Shift and arrows, or the mouse.  {keymap.shown('leave')} ends.")


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
