"""A label whose technical words lead to the glossary: dotted underneath, told by the pointer, opened by a click.

By keyboard the same words are in the status line's glossary, so that no label takes part in Tab.
"""

from collections.abc import Iterator

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import (
    QColor,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QTextLayout,
    QTextLine,
    QTextOption,
    QWhatsThisClickedEvent,
)
from PySide6.QtWidgets import QApplication

from rlhf_desktop.ui.help.terms import Term, places_in
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.style import current
from rlhf_desktop.ui.widgets.label import Label

_UNDER_PX = 2  # below the letters


class TermLabel(Label):
    """Shows and behaves as any label; whoever holds it hears which page of the guide is wanted, as from Qt's own help texts."""

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """A hand over a word that can be opened."""
        super().mouseMoveEvent(event)
        self.setCursor(Qt.CursorShape.PointingHandCursor if self.term_at(event.position()) else Qt.CursorShape.ArrowCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Open a word."""
        term = self.term_at(event.position())
        if term is None or event.button() != Qt.MouseButton.LeftButton:
            super().mouseReleaseEvent(event)
        else:
            QApplication.sendEvent(self, QWhatsThisClickedEvent(term.target))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """What is pressed here is released here."""
        if self.term_at(event.position()) is None:
            super().mousePressEvent(event)

    def setText(self, text: str) -> None:
        """Show `text`, and look for its words."""
        super().setText(text)
        self._places = places_in(text)
        self.setMouseTracking(bool(self._places))

    def term_at(self, at: QPointF) -> Term | None:
        """The word at a point."""
        reach = t.SPACE_XS
        return next((term for rect, term in self.rects() if rect.adjusted(0, -reach, 0, reach).contains(at)), None)

    def rects(self) -> Iterator[tuple[QRectF, Term]]:
        """Where the words stand; one that goes on in the next line has two places."""
        if not self._places:
            return
        layout, top = self._laid_out()
        for start, end, term in self._places:
            for line in (layout.lineAt(number) for number in range(layout.lineCount())):
                first, last = max(start, line.textStart()), min(end, line.textStart() + line.textLength())
                if first < last:
                    left, right = _x_of(line, first), _x_of(line, last)
                    yield QRectF(left, top + line.y(), right - left, line.height()).translated(self.contentsRect().topLeft()), term

    def paintEvent(self, event: QPaintEvent) -> None:
        """A dotted line under each word."""
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setPen(QPen(QColor(current().muted), t.BORDER, Qt.PenStyle.DotLine))
        for rect, _term in self.rects():
            under = rect.bottom() - self.fontMetrics().descent() + _UNDER_PX
            painter.drawLine(QPointF(rect.left(), under), QPointF(rect.right(), under))

    def _laid_out(self) -> tuple[QTextLayout, float]:
        """The text as the label draws it, and where its first line begins."""
        layout, room = QTextLayout(self.text(), self.font()), self.contentsRect()
        wrapping = QTextOption.WrapMode.WordWrap if self.wordWrap() else QTextOption.WrapMode.NoWrap
        layout.setTextOption(QTextOption(self.alignment()))
        option = layout.textOption()
        option.setWrapMode(wrapping)
        layout.setTextOption(option)
        height = 0.0
        layout.beginLayout()
        while (line := layout.createLine()).isValid():
            line.setLineWidth(room.width())
            line.setPosition(QPointF(0, height))
            height += line.height()
        layout.endLayout()
        return layout, 0.0 if self.alignment() & Qt.AlignmentFlag.AlignTop else (room.height() - height) / 2


def _x_of(line: QTextLine, position: int) -> float:
    x: float = line.cursorToX(position)[0]  # type: ignore[index]  # PySide6's stubs call this pair an object
    return x


def term_caption(text: str, wrap: bool = False) -> TermLabel:
    """Small quiet text with technical words."""
    return TermLabel(text, "caption", "muted", wrap=wrap)
