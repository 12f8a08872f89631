"""How good the judgements are: each number with its interval and what it means, then the plots."""

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QWidget

from rlhf_desktop.feedback.quality import DayPace, Share
from rlhf_desktop.operations.quality import QualityReport, quality
from rlhf_desktop.ui import words
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.feedback.plots import BarCard
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.surfaces import Card, EmptyState, Meter, Notice, Page, clear, column, row
from rlhf_desktop.ui.widgets.text import caption, heading

_ENOUGH_RETURNED = 20  # items, before self-agreement says much
_DAYS = 60
_TAGS = 12


class QualityPage(Page):
    """Made anew each time it is looked at; counted off this thread."""

    tooFastRequested = Signal()

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__(t.WIDE_WIDTH, parent)
        self._context = context
        self._plots: list[BarCard] = []
        self.meter = Meter("Counting")
        self.body.addWidget(self.meter)
        self.meter.hide()
        self._content = column(spacing=t.SPACE_L)
        self.body.addLayout(self._content)
        self.body.addStretch(1)

    def refresh(self) -> None:
        """Count again."""
        context, project = self._context, self._context.session.project
        self.meter.set_value(0, 0, "Counting…")
        self.meter.show()
        context.tasks.run(
            quality, context.store, project,
            on_success=lambda report: self.show_report(report) if project == context.session.project else None,
            on_failure=context.session.troubled.emit,
        )  # fmt: skip

    def show_report(self, report: QualityReport) -> None:
        """Show what was counted."""
        self.meter.hide()
        for plot in self._plots:
            plot.release()
        self._plots = []
        clear(self._content)
        if not report.counts:
            lines = (
                "How well you agree with yourself, how fast you are, which prompts are covered: it shows once there are judgements."
            )
            self._content.addWidget(EmptyState("evaluate", "Nothing to count yet", lines))
            return
        if report.hasty:
            n = words.count(len(report.hasty), "judgement was", "judgements were")
            said = f"{n} made faster than anyone can have read the answers. Look at them before training."
            notice = Notice("alert", said, "warning", "Show the quickest")
            notice.acted.connect(self.tooFastRequested)
            self._content.addWidget(notice)
        if said := of_how_many(report):
            self._content.addWidget(caption(said, wrap=True))
        self._content.addLayout(_numbers(report))
        self._content.addLayout(self._charts(report))
        if report.coverage:
            self._content.addWidget(_coverage(report.coverage))

    def _charts(self, report: QualityReport) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(t.SPACE_L)
        days = _by_day(report.pace)[-_DAYS:]
        if days:
            counts = [n for _day, n, _seconds in days]
            said = f"On {words.count(len(days), 'day')}: at most {max(counts):,} in one."
            self._add(grid, "Judgements a day", "How steadily you work.", [words.day(day) for day, _n, _s in days], counts, said)
        timed = [(words.day(day), seconds) for day, _n, seconds in days if seconds is not None]
        if timed:
            said = f"Lately {words.duration(timed[-1][1])} each."
            labels, times = zip(*timed, strict=True)
            self._add(grid, "Seconds for one", "The middle of each day's.", labels, times, said)
        for name, given in report.marks.items():
            total = sum(given)
            said = ", ".join(f"{step}: {n / total:.0%}" for step, n in enumerate(given, start=1)) if total else ""
            steps = [str(step + 1) for step in range(len(given))]
            self._add(grid, name[:1].upper() + name[1:], "How often each step was given, worst first.", steps, list(given), said)
        return grid

    def _add(self, grid: QGridLayout, name: str, meaning: str, names: Sequence[str], values: Sequence[float], said: str) -> None:
        card = BarCard(name, meaning, self._context.theme)
        card.show_bars(names, values, said)
        grid.addWidget(card, len(self._plots) // 2, len(self._plots) % 2)
        self._plots.append(card)


def of_how_many(report: QualityReport) -> str:
    """What is said when not all judgements were looked at; "" when they were."""
    if report.looked_at == report.judgements:
        return ""
    return f"From the newest {report.looked_at:,} of {report.judgements:,} judgements; prompts judged by tag are of all."


def _numbers(report: QualityReport) -> QGridLayout:
    grid = QGridLayout()
    grid.setSpacing(t.SPACE_L)
    returned = report.self_agreement
    few = f" Wait for {_ENOUGH_RETURNED} before believing it." if 0 < returned.n < _ENOUGH_RETURNED else ""
    none = "Some items come back silently in another order; this shows once a few have."
    bias = report.position_bias
    lean = (
        "" if bias.low <= 0.5 <= bias.high else "  You lean to the first." if bias.value > 0.5 else "  You lean to the later ones."
    )
    cards = (
        ("You agree with yourself", returned, f"on items that came back.{few}" if returned.n else none),
        ("The answer shown first wins", bias, f"of what was decided; half would be no bias.{lean}"),
        ("Ties", report.ties, "of the pairs were called equally good."),
        ("None will do", report.refusals, "of the items had no good answer."),
    )
    for place, (name, number, meaning) in enumerate(cards):
        grid.addWidget(_number(name, number, meaning), place // 2, place % 2)
    return grid


def _number(name: str, value: Share, meaning: str) -> Card:
    card = Card()
    card.body.addWidget(TermLabel(name, strong=True))
    line = row(spacing=t.SPACE_M)
    line.addWidget(heading(f"{value.value:.0%}" if value.n else "–"))
    if value.n:
        line.addWidget(caption(f"between {value.low:.0%} and {value.high:.0%}, from {words.count(value.n, 'item')}"))
    line.addStretch(1)
    card.body.addLayout(line)
    card.body.addWidget(caption(meaning, wrap=True))
    return card


def _coverage(found: dict[str, tuple[int, int]]) -> Card:
    """How much of each tag's prompts has been judged."""
    card = Card("Prompts judged, by tag")
    for name, (done, total) in sorted(found.items(), key=lambda pair: pair[1][0] / pair[1][1])[:_TAGS]:
        meter = Meter(f"Judged of {name or 'prompts without a tag'}")
        meter.set_value(done, total, f"{name or 'Without a tag'}: {done:,} of {total:,}")
        card.body.addWidget(meter)
    if len(found) > _TAGS:
        card.body.addWidget(caption(f"The {_TAGS} least covered of {len(found)} tags."))
    return card


def _by_day(pace: Sequence[DayPace]) -> list[tuple[str, int, float | None]]:
    """Everybody's judgements a day, and the time one took (the busiest person's)."""
    found: dict[str, list[DayPace]] = {}
    for one in pace:
        found.setdefault(one.day, []).append(one)
    return [
        (day, sum(one.judgements for one in people), max(people, key=lambda one: one.judgements).median_s)
        for day, people in sorted(found.items())
    ]
