"""A forest plot: one win rate a row with its interval, the middle marked, the numbers beside it in words."""

from collections.abc import Mapping

from PySide6.QtWidgets import QGridLayout, QWidget

from rlhf_desktop.evaluation.confidence import WinInterval
from rlhf_desktop.ui import words
from rlhf_desktop.ui.evaluate.interval import IntervalBar
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.surfaces import Card
from rlhf_desktop.ui.widgets.text import ElidedLabel, IconLabel, Label, caption

_SIGNS: dict[str, tuple[str, t.Role, str]] = {
    "better": ("check", "success", "better"),
    "worse": ("alert", "danger", "worse"),
    "undecided": ("minus", "muted", "undecided"),
}
_MOST_ROWS = 12


class ForestCard(Card):
    """Rows by name, those with most prompts first."""

    def __init__(self, heading: str, rows: Mapping[str, WinInterval], note: str = "", parent: QWidget | None = None) -> None:
        super().__init__(heading, parent=parent)
        grid = QGridLayout()
        grid.setHorizontalSpacing(t.SPACE_L)
        grid.setVerticalSpacing(t.SPACE_S)
        shown = sorted(rows.items(), key=lambda item: (-item[1].n, item[0]))[:_MOST_ROWS]
        for place, (name, win) in enumerate(shown):
            self._add(grid, place, name, win)
        grid.setColumnStretch(2, 1)
        grid.setColumnMinimumWidth(0, t.SIDEBAR_WIDTH)
        self.body.addLayout(grid)
        rest = len(rows) - len(shown)
        more = f" {words.count(rest, 'smaller group')} not shown." if rest else ""
        self.body.addWidget(caption(f"{note}{more}".strip(), wrap=True))

    def _add(self, grid: QGridLayout, place: int, name: str, win: WinInterval) -> None:
        icon, tone, word = _SIGNS[win.decision]
        grid.addWidget(ElidedLabel(name), place, 0)
        grid.addWidget(Label(f"{win.rate:.0%}", strong=True), place, 1)
        grid.addWidget(IntervalBar(win.rate, win.low, win.high), place, 2)
        grid.addWidget(caption(f"{win.low:.0%}–{win.high:.0%} on {words.count(win.n, 'prompt')}"), place, 3)
        grid.addWidget(IconLabel(icon, tone, t.ICON_SMALL), place, 4)
        grid.addWidget(TermLabel(word, "caption", tone), place, 5)
