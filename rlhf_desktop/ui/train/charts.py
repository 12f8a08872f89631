"""Live curves in the theme's colours. Drawn at most ten times a second, thinned to what a screen can show."""

import pyqtgraph as pg
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QWidget

from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.fonts import font
from rlhf_desktop.ui.theme.style import Theme, current
from rlhf_desktop.ui.train.runview import RunView
from rlhf_desktop.ui.train.series import smoothed, thinned
from rlhf_desktop.ui.train.wording import Chart
from rlhf_desktop.ui.widgets.surfaces import Card, row
from rlhf_desktop.ui.widgets.text import Label, caption

_FRAME_MS = 100
_SMOOTH_FROM = 40  # shorter curves are shown as they are


class ChartCard(Card):
    """One chart: what it shows, its newest value, the curve, and which way is good."""

    def __init__(self, chart: Chart, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._chart = chart
        self.setAccessibleName(chart.title)
        self.body.setContentsMargins(t.SPACE_M, t.SPACE_M, t.SPACE_M, t.SPACE_S)
        self._value = Label("", strong=True)
        head = row()
        head.addWidget(Label(chart.title, strong=True), 1)
        head.addWidget(self._value)
        self.body.addLayout(head)
        self._hint = caption(chart.hint, wrap=True)
        self.body.addWidget(self._hint)
        self._plot = pg.PlotWidget()
        self._plot.setAccessibleName(f"Chart: {chart.title}")
        self._plot.setFixedHeight(t.CHART_HEIGHT)
        self._plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._plot.setMenuEnabled(False)
        self._plot.setMouseEnabled(x=False, y=False)
        self._plot.hideButtons()
        self._faint = [self._plot.plot(antialias=True) for _ in chart.curves]
        self._lines = [self._plot.plot(antialias=True) for _ in chart.curves]
        self.body.addWidget(self._plot)
        self._legend = Label("", "caption", "muted")
        self.body.addWidget(self._legend)
        theme.changed.connect(self._dress)
        self._scale = theme.scale
        self._dress()

    def refresh(self, view: RunView) -> bool:
        """Draw the newest points. False when there are none yet."""
        newest: list[str] = []
        for number, curve in enumerate(self._chart.curves):
            series = view.series.get(curve.metric)
            if series is None:
                continue
            self._draw(number, series.x, series.y)
            newest.append(self._say(curve.label, float(series.y[-1])))
        self._value.setText(newest[-1].split(" ", 1)[0] if newest else "")
        self._legend.setText("   ·   ".join(newest))
        self._legend.setVisible(len(newest) > 1)
        return bool(newest)

    def release(self) -> None:
        """Take the plot apart in the right order, before Qt and Python disagree about it."""
        self._plot.close()

    def _draw(self, number: int, x, y) -> None:
        y = y * 100 if self._chart.unit == "%" else y
        long = len(y) >= _SMOOTH_FROM and number == 0
        few_x, few_y = thinned(x, y)
        self._faint[number].setData(few_x, few_y) if long else self._faint[number].clear()
        self._lines[number].setData(*thinned(x, smoothed(y, max(5, len(y) // 25)) if long else y))

    def _say(self, label: str, value: float) -> str:
        number = f"{value:.0%}" if self._chart.unit == "%" else f"{value:.3g}"
        return f"{number} {label}"

    def _dress(self) -> None:
        colours = current()
        self._plot.setBackground(colours.surface)
        for side in ("left", "bottom"):
            axis = self._plot.getAxis(side)
            axis.setPen(pg.mkPen(colours.hairline))
            axis.setTextPen(pg.mkPen(colours.muted))
            axis.setStyle(tickFont=font(t.TYPE_CAPTION - 1, self._scale), tickLength=0, maxTickLevel=0)
        self._plot.getAxis("left").setWidth(t.SPACE_XXL + t.SPACE_S)
        self._plot.showGrid(y=True, alpha=0.15)
        strokes = (colours.accent, colours.success, colours.warning)
        dashes = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine)  # colour is never the only sign
        for number, (faint, line) in enumerate(zip(self._faint, self._lines, strict=True)):
            pale = QColor(strokes[number])
            pale.setAlphaF(0.3)
            faint.setPen(pg.mkPen(pale, width=1))
            line.setPen(pg.mkPen(strokes[number], width=2, style=dashes[number]))


class Redraw(QTimer):
    """Calls a function at most ten times a second, however often it is asked."""

    def __init__(self, draw, parent: QWidget) -> None:
        super().__init__(parent)
        self.setSingleShot(True)
        self.setInterval(_FRAME_MS)
        self.timeout.connect(draw)

    def ask(self) -> None:
        """Draw soon."""
        if not self.isActive():
            self.start()
