"""Bars in the theme's colours, with the numbers in words beside them for those who do not see them."""

from collections.abc import Sequence

import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.fonts import font
from rlhf_desktop.ui.theme.style import Theme, current
from rlhf_desktop.ui.widgets.axes import WholeAxis
from rlhf_desktop.ui.widgets.surfaces import Card
from rlhf_desktop.ui.widgets.text import caption


class BarCard(Card):
    """One row of bars."""

    def __init__(self, name: str, meaning: str, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._name, self._theme = name, theme
        self.body.setContentsMargins(t.SPACE_M, t.SPACE_M, t.SPACE_M, t.SPACE_S)
        self.body.addWidget(TermLabel(name, strong=True))
        self.body.addWidget(caption(meaning, wrap=True))
        self._axis = WholeAxis("left")
        self._plot = pg.PlotWidget(axisItems={"left": self._axis})
        self._plot.setFixedHeight(t.CHART_HEIGHT)
        self._plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._plot.setMenuEnabled(False)
        self._plot.setMouseEnabled(x=False, y=False)
        self._plot.hideButtons()
        self.body.addWidget(self._plot)
        self._words = caption("", wrap=True)
        self.body.addWidget(self._words)
        self._names: Sequence[str] = ()
        self._values: Sequence[float] = ()
        theme.changed.connect(self._draw)

    def show_bars(self, names: Sequence[str], values: Sequence[float], words: str) -> None:
        """Draw these; `words` says the same."""
        self._names, self._values = names, values
        self._words.setText(words)
        self._plot.setAccessibleName(f"Chart: {self._name}. {words}")
        self._draw()

    def release(self) -> None:
        """Take the plot apart in the right order, before Qt and Python disagree about it."""
        self._theme.changed.disconnect(self._draw)
        self._plot.close()

    def _draw(self) -> None:
        colours = current()
        self._plot.clear()
        self._plot.setBackground(colours.surface)
        self._axis.whole = all(float(value).is_integer() for value in self._values)  # counts, not shares
        places = list(range(len(self._names)))
        bars = pg.BarGraphItem(
            x=places, height=list(self._values), width=0.7, brush=pg.mkBrush(colours.accent), pen=pg.mkPen(colours.accent)
        )
        self._plot.addItem(bars)
        self._plot.setXRange(-0.6, max(1, len(places)) - 0.4, padding=0)
        self._plot.setYRange(0, max([1.0, *self._values]) * 1.1, padding=0)
        step = max(1, len(places) // 8)
        self._plot.getAxis("bottom").setTicks([[(place, self._names[place]) for place in places[::step]]])
        for side in ("left", "bottom"):
            axis = self._plot.getAxis(side)
            axis.setPen(pg.mkPen(colours.hairline))
            axis.setTextPen(pg.mkPen(colours.muted))
            axis.setStyle(tickFont=font(t.TYPE_CAPTION - 1, self._theme.scale), tickLength=0, maxTickLevel=0)
        self._plot.getAxis("left").setWidth(t.SPACE_XXL + t.SPACE_S)
        self._plot.showGrid(y=True, alpha=0.15)
