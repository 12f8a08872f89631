"""How well a reward model judges: how often it agrees with the expert, whether it knows when it is unsure, where it is wrong."""

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QWidget

from rlhf_desktop.evaluation.reward_report import Bin, RewardReport
from rlhf_desktop.feedback.quality import Share
from rlhf_desktop.operations.reward_review import Mistake, RewardReview
from rlhf_desktop.ui import words
from rlhf_desktop.ui.evaluate.interval import IntervalBar
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.help.termlabel import TermLabel, term_caption
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.style import Theme, current
from rlhf_desktop.ui.train.charts import dress, plot, strokes
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from rlhf_desktop.ui.widgets.surfaces import Card, EmptyState, Meter, Page, clear, column, row
from rlhf_desktop.ui.widgets.text import ElidedLabel, Label, caption, title

_BINS = 24  # of the score histogram


class RewardPage(Page):
    """Shows one reward model. Emits `reviewAsked` to have the held-out answers scored."""

    closed = Signal()
    runAsked = Signal()
    reviewAsked = Signal()
    reviewStopped = Signal()

    def __init__(self, name: str, report: RewardReport | None, own: Share, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(t.WIDE_WIDTH, parent)
        self._theme = theme
        self._plots: list[pg.PlotWidget] = []
        self.body.addLayout(self._head())
        self.body.addWidget(title(f"How well “{name}” judges"))
        if report is None:
            self.body.addWidget(
                EmptyState(
                    "evaluate",
                    "No held-out report",
                    "It was made before reports were written, or nothing was held out. Train it again to get one.",
                )
            )
        else:
            self._show_report(report, own)
        self.body.addWidget(self._review_card())
        self._review = column(spacing=t.SPACE_M)
        self.body.addLayout(self._review)
        self.body.addStretch(1)
        theme.changed.connect(self._dress)

    def release(self) -> None:
        """Take the plots apart before the page is deleted."""
        self._theme.changed.disconnect(self._dress)
        for made in self._plots:
            made.close()

    def _head(self) -> QHBoxLayout:
        line = row(spacing=t.SPACE_M)
        back = Button("All comparisons", "quiet", "chevron-left", keymap.text("back"))
        back.clicked.connect(self.closed)
        run = Button("Its run", "quiet", "train")
        run.setToolTip("The page of the run that made it")
        run.clicked.connect(self.runAsked)
        line.addWidget(back)
        line.addStretch(1)
        line.addWidget(run)
        return line

    # --- the run's own report

    def _show_report(self, report: RewardReport, own: Share) -> None:
        self.body.addWidget(_agreement(report, own))
        grid = QGridLayout()
        grid.setSpacing(t.SPACE_M)
        grid.addWidget(self._reliability(report), 0, 0)
        grid.addWidget(_confidence(report), 0, 1)
        grid.addWidget(_length(report), 1, 0, 1, 2)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(1, 1)
        self.body.addLayout(grid)

    def _reliability(self, report: RewardReport) -> Card:
        found = report.calibration
        card = Card("Does it know when it is unsure?")
        card.body.addWidget(
            caption("Across: how sure it says it is. Up: how often it is right then. On the dashed line it is honest.", wrap=True)
        )
        made = self._plot("Reliability diagram")
        made.setXRange(0.5, 1.0, padding=0.03)
        made.setYRange(0.0, 1.0, padding=0.08)
        made.plot([0.5, 1.0], [0.5, 1.0], pen=pg.mkPen(current().line, style=Qt.PenStyle.DashLine))
        filled = [part for part in found.reliability if part.pairs]
        made.addItem(_points(filled))
        made.setAccessibleDescription("; ".join(f"{p.predicted:.0%} sure: {p.observed:.0%} right of {p.pairs}" for p in filled))
        card.body.addWidget(made)
        card.body.addWidget(term_caption(f"Off by {found.ece:.0%} on average (expected calibration error)."))
        card.body.addStretch(1)
        return card

    # --- its mistakes, on demand

    def _review_card(self) -> Card:
        card = Card("Its scores and its mistakes")
        self._words = TermLabel(
            "Score the held-out answers you have ranked, see how the scores of better and worse answers fall, and read the "
            "pairs where it was surest and wrong: often it has a point, and often the feedback has a gap there.",
            tone="muted",
            wrap=True,
        )
        card.body.addWidget(self._words)
        self.review = Button("Show its mistakes", icon="play")
        self.stop = Button("Stop", icon="stop")
        self.stop.hide()
        self.meter = Meter("Answers being scored")
        self.meter.hide()
        self.review.clicked.connect(self.reviewAsked)
        self.stop.clicked.connect(self.reviewStopped)
        line = row()
        line.addWidget(self.review)
        line.addWidget(self.stop)
        line.addStretch(1)
        card.body.addLayout(line)
        card.body.addWidget(self.meter)
        return card

    def show_progress(self, share: float, said: str) -> None:
        """Answers are being scored."""
        self._show_running(True)
        self.meter.set_value(share, 1.0 if share else 0.0, said)

    def show_trouble(self, said: str) -> None:
        """They could not be, or ("") it was stopped."""
        self._show_running(False)
        if said:
            self._words.setText(said)
            self._words.set_tone("danger")

    def _show_running(self, on: bool) -> None:
        self.review.setVisible(not on)
        self.stop.setVisible(on)
        self.meter.setVisible(on)

    def show_review(self, review: RewardReview) -> None:
        """Show the scores and the mistakes."""
        self._show_running(False)
        self.review.hide()
        wrong = f"It orders {review.wrong} of {words.count(review.pairs, 'held-out pair')} the other way."
        self._words.setText(wrong)
        self._words.set_tone("")
        clear(self._review)
        self._review.addWidget(self._distribution(review))
        for mistake in review.mistakes:
            self._review.addWidget(_mistake(mistake))

    def _distribution(self, review: RewardReview) -> Card:
        card = Card("Scores of the better and the worse answers")
        made = self._plot("Distribution of the scores", "left")  # so many answers
        edges = np.histogram_bin_edges([*review.preferred, *review.other], _BINS)
        for number, scores in enumerate((review.preferred, review.other)):
            counts, _ = np.histogram(scores, edges)
            dash = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine)[number]
            made.plot(edges, counts, stepMode="center", pen=pg.mkPen(strokes()[number], width=2, style=dash))
        card.body.addWidget(made)
        card.body.addWidget(caption("Line: the answer you preferred. Dashed: the other one. The further apart, the better."))
        return card

    def _plot(self, name: str, *counts: str) -> pg.PlotWidget:
        made = plot(name, *counts)
        dress(made, self._theme.scale)
        self._plots.append(made)
        return made

    def _dress(self) -> None:
        for made in self._plots:
            dress(made, self._theme.scale)


def _agreement(report: RewardReport, own: Share) -> Card:
    """The one number, its interval, and each attribute's."""
    found = report.accuracy
    card = Card()
    card.body.addWidget(
        Label(
            f"It agrees with {found.value:.0%} of your choices ({found.low:.0%}–{found.high:.0%}) on prompts it has not seen.",
            "heading",
            wrap=True,
        )
    )
    card.body.addWidget(IntervalBar(found.value, found.low, found.high))
    ties = f" and {words.count(report.ties, 'tie')}" if report.ties else ""
    said = f"{words.count(found.pairs, 'pair')}{ties} from {words.count(report.prompts, 'held-out prompt')}. 50% is chance."
    if report.members > 1:
        each = ", ".join(f"{value:.0%}" for value in report.member_accuracy)
        said += f" Its {report.members} scorers by themselves: {each}."
        if report.spread is not None:
            said += f" On an answer they differ by {report.spread:.2f} points; the more they do, the less it knows."
    card.body.addWidget(TermLabel(said, tone="muted", wrap=True))
    card.body.addWidget(caption(_own_words(own), wrap=True))
    grid = QGridLayout()
    grid.setHorizontalSpacing(t.SPACE_L)
    for place, (name, part) in enumerate(report.attributes.items()):
        grid.addWidget(ElidedLabel(name.capitalize()), place, 0)
        grid.addWidget(TermLabel(f"{part.value:.0%}", strong=True), place, 1)
        grid.addWidget(IntervalBar(part.value, part.low, part.high), place, 2)
        grid.addWidget(caption(f"{part.low:.0%}–{part.high:.0%} on {words.count(part.pairs, 'pair')}"), place, 3)
    grid.setColumnStretch(2, 1)
    card.body.addLayout(grid)
    return card


def _own_words(own: Share) -> str:
    """The expert's own agreement: the bar no model is measured above."""
    limit = "No model can agree with you more often than you agree with yourself"
    if not own.n:
        return f"{limit}: judge some answers twice (Label brings some back by itself) to know."
    return f"{limit}: {own.value:.0%} ({own.low:.0%}–{own.high:.0%}) on {words.count(own.n, 'answer')} that came back."


def _confidence(report: RewardReport) -> Card:
    """Right more often where the scores are further apart?"""
    card = Card("Right where it is sure?")
    card.body.addWidget(caption("Pairs by how far apart it scores them, from near to far; and how often it is right.", wrap=True))
    grid = QGridLayout()
    grid.setHorizontalSpacing(t.SPACE_M)
    for place, band in enumerate(report.by_lead):
        grid.addWidget(TermLabel(f"{band.low:.1f} to {band.high:.1f}"), place, 0)
        meter = Meter(f"Right on pairs {band.low:.1f} to {band.high:.1f} apart")
        meter.set_value(band.value, 1.0, f"{band.value:.0%} of {band.pairs}")
        grid.addWidget(meter, place, 1)
    grid.setColumnStretch(1, 1)
    card.body.addLayout(grid)
    card.body.addStretch(1)
    return card


def _length(report: RewardReport) -> Card:
    """Does it only count words?"""
    found, card = report.length, Card("Does it only like long answers?")
    facts = []
    if found.longer_preferred is not None and found.longer_scored is not None:
        facts.append(f"You prefer the longer answer {found.longer_preferred:.0%} of the time; it does {found.longer_scored:.0%}.")
    for part, said in (
        (found.accuracy_longer, "the longer answer is better"),
        (found.accuracy_shorter, "the shorter one is"),
        (found.accuracy_alike, "both are about as long"),
    ):
        if part is not None:
            facts.append(f"Right {part.value:.0%} of the time where {said} ({words.count(part.pairs, 'pair')}).")
    card.body.addWidget(TermLabel(" ".join(facts) or "Too few pairs of different length to say.", wrap=True))
    return card


def _points(bins: list[Bin]) -> pg.ScatterPlotItem:
    """A dot a bin, larger for more pairs."""
    most = max((part.pairs for part in bins), default=1)
    spots = [{"pos": (p.predicted, p.observed), "size": 6 + 12 * (p.pairs / most) ** 0.5} for p in bins]
    return pg.ScatterPlotItem(spots, brush=pg.mkBrush(current().accent), pen=pg.mkPen(None))


def _mistake(mistake: Mistake) -> Card:
    card = Card()
    head = row()
    head.addWidget(Label(mistake.prompt[-1]["content"], strong=True, wrap=True), 1)
    head.addWidget(caption(f"{mistake.sure:.0%} sure, and wrong"))
    card.body.addLayout(head)
    grid = QGridLayout()
    grid.setHorizontalSpacing(t.SPACE_XL)
    for place, (name, text) in enumerate((("You preferred", mistake.better), ("It scores higher", mistake.worse))):
        grid.addWidget(caption(name), 0, place)
        grid.addWidget(MarkdownView(text, name), 1, place, Qt.AlignmentFlag.AlignTop)
        grid.setColumnStretch(place, 1)
    card.body.addLayout(grid)
    return card
