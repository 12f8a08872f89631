"""Live curves in the theme's colours. Drawn at most ten times a second, and never more points than a screen can show."""

from collections import deque
from collections.abc import Callable, Sequence

import pyqtgraph as pg
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QWidget

from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.fonts import font
from rlhf_desktop.ui.theme.style import Theme, current
from rlhf_desktop.ui.train.runview import RunView
from rlhf_desktop.ui.train.series import Floats, Series
from rlhf_desktop.ui.train.wording import Chart
from rlhf_desktop.ui.widgets.axes import whole_axes
from rlhf_desktop.ui.widgets.surfaces import Card, row
from rlhf_desktop.ui.widgets.text import caption

_FRAME_MS = 100
_TURN_MS = 12  # from one chart to the next
_LEAST_STEPS, _MARGIN_STEPS = 4, 0.2  # across, however few points there are
_SMOOTH_FROM = 40  # shorter curves are shown as they are
DASHES = (
    Qt.PenStyle.SolidLine,
    Qt.PenStyle.DashLine,
    Qt.PenStyle.DotLine,
    Qt.PenStyle.DashDotLine,
)  # beside colour
DASH_WORDS = ("line", "dashed", "dotted", "dash-dot")


def plot(name: str, *counts: str) -> pg.PlotWidget:
    """An empty plot that is only looked at: no menu, no dragging, out of the way of Tab. `counts`: the sides in whole numbers."""
    made = pg.PlotWidget(axisItems=whole_axes(*counts))
    made.setAccessibleName(name)
    made.setFixedHeight(t.CHART_HEIGHT)
    made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    made.setMenuEnabled(False)
    made.setMouseEnabled(x=False, y=False)
    made.hideButtons()
    return made


def dress(made: pg.PlotWidget, scale: float) -> None:
    """Give a plot the theme's colours and type."""
    colours = current()
    made.setBackground(colours.surface)
    for side in ("left", "bottom"):
        axis = made.getAxis(side)
        axis.setPen(pg.mkPen(colours.hairline))
        axis.setTextPen(pg.mkPen(colours.muted))
        axis.setStyle(tickFont=font(t.TYPE_CAPTION - 1, scale), tickLength=0, maxTickLevel=0)
    made.getAxis("left").setWidth(t.SPACE_XXL + t.SPACE_S)
    made.showGrid(y=True, alpha=0.15)


def strokes() -> tuple[str, ...]:
    """The colours of a chart's curves, in order."""
    colours = current()
    return colours.accent, colours.success, colours.warning, colours.danger


class ChartCard(Card):
    """One chart: what it shows, its newest value, the curve, and which way is good."""

    def __init__(self, chart: Chart, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._chart = chart
        self.setAccessibleName(chart.title)
        self.body.setContentsMargins(t.SPACE_M, t.SPACE_M, t.SPACE_M, t.SPACE_S)
        self._value = TermLabel("", strong=True)
        head = row()
        head.addWidget(TermLabel(chart.title, strong=True), 1)
        head.addWidget(self._value)
        self.body.addLayout(head)
        self.body.addWidget(caption(chart.hint, wrap=True))
        self._plot = plot(f"Chart: {chart.title}", "bottom")  # steps
        self._plot.setLimits(xMin=-_MARGIN_STEPS, minXRange=_LEAST_STEPS)  # a first point alone stands at its step
        self._faint = [self._plot.plot() for _ in chart.curves]
        self._lines = [self._plot.plot(antialias=True) for _ in chart.curves]
        self._drawn = [0] * len(chart.curves)
        self.body.addWidget(self._plot)
        self._legend = TermLabel("", "caption", "muted")
        place = self._legend.sizePolicy()
        place.setRetainSizeWhenHidden(True)  # charts side by side stay level
        self._legend.setSizePolicy(place)
        self.body.addWidget(self._legend)
        theme.changed.connect(self._dress)
        self._theme = theme
        self._dress()

    def refresh(self, view: RunView) -> bool:
        """Draw the newest points. False when there are none yet."""
        newest: list[str] = []
        for number, curve in enumerate(self._chart.curves):
            series = view.series.get(curve.metric)
            if series is None or not len(series):
                continue
            if len(series) != self._drawn[number]:
                self._draw(number, series)
            value = self._said(series.last() or 0.0)
            newest.append(f"{value} {curve.label} ({DASH_WORDS[number]})")
            if number == 0 or not self._value.text():
                self._value.setText(value)
        self._legend.setText("   ·   ".join(newest))
        self._legend.setVisible(len(newest) > 1)
        self._plot.setAccessibleDescription("; ".join(newest))
        return bool(newest)

    def release(self) -> None:
        """Take the plot apart in the right order, before Qt and Python disagree about it."""
        self._plot.close()

    def _draw(self, number: int, series: Series) -> None:
        self._drawn[number] = len(series)
        long = len(series) >= _SMOOTH_FROM and number == 0
        if long:
            self._faint[number].setData(*self._scaled(series.drawn()))
        else:
            self._faint[number].clear()
        self._lines[number].setSymbol("o" if len(series) == 1 else None)  # a line needs two points
        self._lines[number].setData(*self._scaled(series.trend() if long else series.drawn()))

    def _scaled(self, points: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        x, y = points
        return (x, y * 100) if self._chart.unit == "%" else (x, y)

    def _said(self, value: float) -> str:
        return f"{value:.0%}" if self._chart.unit == "%" else f"{value:.3g}"

    def _dress(self) -> None:
        dress(self._plot, self._theme.scale)
        for number, (faint, line) in enumerate(zip(self._faint, self._lines, strict=True)):
            pale = QColor(strokes()[number])
            pale.setAlphaF(0.3)
            faint.setPen(pg.mkPen(pale, width=1))
            line.setPen(pg.mkPen(strokes()[number], width=2, style=DASHES[number]))
            line.setSymbolPen(None)
            line.setSymbolBrush(strokes()[number])
            line.setSymbolSize(t.SPACE_S)


class InTurn(QTimer):
    """Draws charts one after the other, with room for everything else between them: all at once would be felt."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setInterval(_TURN_MS)
        self.timeout.connect(self._next)
        self._waiting: deque[tuple[ChartCard, RunView]] = deque()

    def draw(self, cards: Sequence[ChartCard], view: RunView) -> None:
        """Draw these soon; those that still wait from before are drawn first, once."""
        known = {card for card, _ in self._waiting}
        self._waiting.extend((card, view) for card in cards if card not in known)
        if self._waiting and not self.isActive():
            self.start()

    def clear(self) -> None:
        """Draw nothing more."""
        self.stop()
        self._waiting.clear()

    def _next(self) -> None:
        card, view = self._waiting.popleft()
        card.refresh(view)
        if not self._waiting:
            self.stop()


class Redraw(QTimer):
    """Calls a function at most ten times a second, however often it is asked."""

    def __init__(self, draw: Callable[[], object], parent: QWidget) -> None:
        super().__init__(parent)
        self.setSingleShot(True)
        self.setInterval(_FRAME_MS)
        self.timeout.connect(draw)

    def ask(self) -> None:
        """Draw soon."""
        if not self.isActive():
            self.start()
