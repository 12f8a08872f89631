"""A win rate with its interval on a line from 0 to 100%, the middle marked."""

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.style import current


class IntervalBar(QWidget):
    """One row of a forest plot. The numbers are beside it in words; this is the picture."""

    def __init__(self, rate: float, low: float, high: float, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rate, self._low, self._high = rate, low, high
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(f"{rate:.0%}, interval {low:.0%} to {high:.0%}")

    def sizeHint(self) -> QSize:
        """Wide and low."""
        return QSize(t.SIDEBAR_WIDTH, t.SPACE_XL)

    def minimumSizeHint(self) -> QSize:
        """Readable when narrow."""
        return QSize(t.SPACE_XXL * 4, t.SPACE_XL)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the scale, the middle, the interval and the rate."""
        colours, middle = current(), self.height() / 2
        decided = self._low > 0.5 or self._high < 0.5
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(colours.hairline), 2))
        painter.drawLine(QPointF(self._x(0), middle), QPointF(self._x(1), middle))
        painter.setPen(QPen(QColor(colours.line), 1, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(self._x(0.5), 0), QPointF(self._x(0.5), self.height()))
        tone = QColor(colours.accent if decided else colours.muted)
        painter.setPen(QPen(tone, 4, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        painter.drawLine(QPointF(self._x(self._low), middle), QPointF(self._x(self._high), middle))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(tone)
        painter.drawEllipse(QRectF(self._x(self._rate) - t.SPACE_S * 0.75, middle - t.SPACE_S * 0.75, t.SPACE_M, t.SPACE_M))

    def _x(self, share: float) -> float:
        edge = t.SPACE_S
        return edge + share * (self.width() - 2 * edge)
