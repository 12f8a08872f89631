"""Runs side by side: their curves over each other, what they were given, what came out, and which is best by a held-out measure."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyqtgraph as pg
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QWidget

from rlhf_desktop.core.recipes import Algorithm
from rlhf_desktop.operations.comparing import MetricRow, RunComparison, SettingRow
from rlhf_desktop.operations.plain_words import measure, setting_label
from rlhf_desktop.ui import words
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.style import Theme
from rlhf_desktop.ui.train.charts import DASH_WORDS, DASHES, dress, plot, strokes
from rlhf_desktop.ui.train.runview import RunView
from rlhf_desktop.ui.train.wording import CHARTS, Chart
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import Card, Notice, Page, row
from rlhf_desktop.ui.widgets.text import ElidedLabel, IconLabel, Label, caption, title

MOST = len(DASHES)  # runs at a time: as many as there are lines to tell apart


@dataclass(frozen=True)
class Compared:
    """What the page shows, read off the GUI thread."""

    comparison: RunComparison
    algorithms: Sequence[Algorithm]
    views: Sequence[RunView]


class ComparePage(Page):
    """Shows `Compared`. Emits `opened` with a run's id."""

    closed = Signal()
    opened = Signal(str)

    def __init__(self, compared: Compared, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(t.WIDE_WIDTH, parent)
        self._compared, found = compared, compared.comparison
        line = row()
        back = Button("All runs", "quiet", "chevron-left", keymap.text("back"))
        back.clicked.connect(self.closed)
        line.addWidget(back)
        line.addStretch(1)
        self.body.addLayout(line)
        self.body.addWidget(title(f"{words.count(len(found.runs), 'run')} side by side"))
        self.best = Notice("trophy" if found.best else "info", found.why, "success" if found.best else "text")
        self.body.addWidget(self.best)
        self.charts: list[OverlayChart] = []
        self._add_charts(theme)
        self.body.addWidget(self._results(found))
        self.body.addWidget(self._settings(found))
        self.body.addStretch(1)

    def release(self) -> None:
        """Take the plots apart before the page is deleted."""
        for chart in self.charts:
            chart.release()

    def _add_charts(self, theme: Theme) -> None:
        grid = QGridLayout()
        grid.setSpacing(t.SPACE_M)
        known = {chart.title: chart for algorithm in self._compared.algorithms for chart in CHARTS[algorithm]}
        for chart in known.values():
            metric = self._shared(chart)
            if metric:
                made = OverlayChart(chart, metric, self._compared, theme)
                grid.addWidget(made, len(self.charts) // 2, len(self.charts) % 2)
                grid.setColumnStretch(len(self.charts) % 2, 1)
                self.charts.append(made)
        self.body.addLayout(grid)

    def _shared(self, chart: Chart) -> str:
        """The chart's last curve (held out, where there is one) that at least two runs have; "" for none."""
        views = self._compared.views
        names = [c.metric for c in chart.curves if sum(c.metric in view.series for view in views) > 1]
        return names[-1] if names else ""

    def _results(self, found: RunComparison) -> Card:
        card = Card("What came out")
        grid = _table(found)
        for place, (run, name) in enumerate(zip(found.runs, found.titles, strict=True), 1):
            button = Button("Open")
            button.setAccessibleName(f"Open {name}")
            button.clicked.connect(lambda _checked=False, run=run: self.opened.emit(run))
            grid.addWidget(button, 1, place)
        for place, metric in enumerate(found.metrics, 2):
            grid.addWidget(TermLabel(measure(metric.name).label), place, 0)
            for column, value in enumerate(metric.values, 1):
                grid.addWidget(Label(_measure(metric, value)), place, column)
        card.body.addLayout(grid)
        return card

    def _settings(self, found: RunComparison) -> Card:
        different = [setting for setting in found.rows if setting.differs]
        same = [setting for setting in found.rows if not setting.differs]
        card = Card("What they were given")
        grid = _table(found)
        _add_settings(grid, different, marked=True)
        card.body.addLayout(grid)
        if not different:
            card.body.addWidget(caption("Nothing differs but chance."))
        rest = QWidget()
        rest_grid = _table(found, names=False)
        _add_settings(rest_grid, same, marked=False)
        rest.setLayout(rest_grid)
        rest.hide()
        self.fold = Button(f"{words.count(len(same), 'setting')} the same in all", "quiet", "chevron-right")
        self.fold.setCheckable(True)
        self.fold.toggled.connect(rest.setVisible)
        self.fold.toggled.connect(lambda on: self.fold.set_icon("chevron-down" if on else "chevron-right"))
        line = row()
        line.addWidget(self.fold)
        line.addStretch(1)
        card.body.addLayout(line)
        card.body.addWidget(rest)
        return card


class OverlayChart(Card):
    """One measure of all runs, a line each; colour, dash and legend tell them apart."""

    def __init__(self, chart: Chart, metric: str, compared: Compared, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        held_out = " (held out)" if metric.startswith("eval/") else ""
        self.body.setContentsMargins(t.SPACE_M, t.SPACE_M, t.SPACE_M, t.SPACE_S)
        self.body.addWidget(TermLabel(f"{chart.title}{held_out}", strong=True))
        self.body.addWidget(caption(chart.hint, wrap=True))
        self._plot = plot(f"Chart: {chart.title}", "bottom")  # steps
        self.body.addWidget(self._plot)
        self._lines, legend = [], []
        for number, (name, view) in enumerate(zip(compared.comparison.titles, compared.views, strict=True)):
            line = self._plot.plot(antialias=True)
            self._lines.append(line)
            series = view.series.get(metric)
            if series is not None and len(series):
                x, y = series.trend()
                line.setData(x, y * 100 if chart.unit == "%" else y)
                value = f"{series.last():.0%}" if chart.unit == "%" else f"{series.last():.3g}"
                legend.append(f"{value} {words.shortened(name, 28)} ({DASH_WORDS[number]})")
        said = TermLabel("   ·   ".join(legend), "caption", "muted", wrap=True)
        self._plot.setAccessibleDescription(said.text())
        self.body.addWidget(said)
        self._theme = theme
        theme.changed.connect(self._dress)
        self._dress()

    def release(self) -> None:
        """Take the plot apart."""
        self._plot.close()

    def _dress(self) -> None:
        dress(self._plot, self._theme.scale)
        for number, line in enumerate(self._lines):
            line.setPen(pg.mkPen(strokes()[number], width=2, style=DASHES[number]))


def _table(found: RunComparison, names: bool = True) -> QGridLayout:
    """A grid with a column a run, its name on top."""
    grid = QGridLayout()
    grid.setHorizontalSpacing(t.SPACE_XL)
    grid.setVerticalSpacing(t.SPACE_S)
    grid.setColumnMinimumWidth(0, t.SIDEBAR_WIDTH)
    for column, (run, name) in enumerate(zip(found.runs, found.titles, strict=True), 1):
        grid.setColumnStretch(column, 1)
        if names:
            head = row(spacing=t.SPACE_XS)
            if run == found.best:
                head.addWidget(IconLabel("trophy", "success", t.ICON_SMALL))
            head.addWidget(ElidedLabel(f"{name} (best)" if run == found.best else name, strong=True), 1)
            grid.addLayout(head, 0, column)
    return grid


def _add_settings(grid: QGridLayout, rows: Sequence[SettingRow], marked: bool) -> None:
    for place, setting in enumerate(rows, 1):
        name = setting_label(setting.name)
        grid.addWidget(TermLabel(f"≠  {name}" if marked else name), place, 0)
        for column, value in enumerate(setting.values, 1):
            grid.addWidget(ElidedLabel(value or "–", strong=marked), place, column)


def _measure(metric: MetricRow, value: float | None) -> str:
    if value is None:
        return "–"
    unit = measure(metric.name).unit
    if unit == "bytes":
        return words.size(value)
    if unit == "s":
        return words.duration(value)
    if unit == "%":
        return f"{value:.1%}"
    said = f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.3g}"
    return f"{said} {unit}" if unit not in ("", "count", "a second") else said
