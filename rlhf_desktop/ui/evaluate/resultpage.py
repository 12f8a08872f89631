"""What a blind comparison has found: one sentence, its interval, by tag and attribute, and the answers themselves."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QWidget

from rlhf_desktop.evaluation.confidence import METHOD, sentence
from rlhf_desktop.evaluation.length import LengthControlled
from rlhf_desktop.operations.blind_results import BlindReport, JudgedPair
from rlhf_desktop.operations.probes import SideEffects
from rlhf_desktop.ui import words
from rlhf_desktop.ui.evaluate.effects import EffectsCard
from rlhf_desktop.ui.evaluate.forest import ForestCard
from rlhf_desktop.ui.evaluate.interval import IntervalBar
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from rlhf_desktop.ui.widgets.surfaces import Card, Page, column, row
from rlhf_desktop.ui.widgets.text import Label, caption, heading
from rlhf_desktop.ui.widgets.written import WrittenCard

_ANSWERS = 6  # judged pairs shown at a time
_TOGETHER = "The bars are intervals that hold all together, at 95%. A row with few prompts says little."


class ResultPage(Page):
    """Shows one `BlindReport`. Emits what to do next."""

    closed = Signal()
    continued = Signal()  # judge what is left
    extended = Signal()  # have more prompts answered
    promptsAsked = Signal()  # add prompts, where none is left
    adopted = Signal(bool)  # True: the new model; False: the old one
    reportAsked = Signal()
    effectsAsked = Signal()
    effectsStopped = Signal()

    def __init__(
        self, report: BlindReport, mine_left: int, more: int, effects: SideEffects | None = None, parent: QWidget | None = None
    ) -> None:
        """What was found, and what can be done.

        Args:
            report: The comparison.
            mine_left: Pairs this person has not judged.
            more: Held-out prompts that are not in it yet.
            effects: Side effects, if they have been measured.
            parent: Qt's.
        """
        super().__init__(t.WIDE_WIDTH, parent)
        self.report = report
        made = report.evaluation
        self.body.addLayout(self._head(mine_left, more))
        self.written = WrittenCard()
        self.body.addWidget(self.written)
        self.body.addWidget(self._verdict(len(made.pairs) - report.win.n + more))
        note = f"Right of the middle: {made.new_name} is preferred. {_TOGETHER}"
        for name, rows in (("By tag", report.by_tag), ("By attribute", report.by_attribute)):
            if rows:
                self.body.addWidget(ForestCard(name, rows, note))
        self.effects = EffectsCard(made.old_name, made.new_name)
        self.effects.asked.connect(self.effectsAsked)
        self.effects.stopped.connect(self.effectsStopped)
        self.body.addWidget(self.effects)
        if effects is not None:
            self.effects.show_effects(effects)
        self._show_answers()
        self.body.addStretch(1)

    def _head(self, mine_left: int, more: int) -> QHBoxLayout:
        win, line = self.report.win, row(spacing=t.SPACE_M)
        back = Button("All comparisons", "quiet", "chevron-left", keymap.text("back"))
        back.clicked.connect(self.closed)
        self.write = Button("Report…", "quiet", "file")
        self.write.setToolTip("Write a page to send to a colleague: the numbers, the charts, sample answers; it names nobody")
        self.write.clicked.connect(self.reportAsked)
        self.go_on = Button(f"Go on judging ({mine_left} left)" if mine_left else "Judge more prompts" if more else "Add prompts…")
        if not mine_left and not more and win.decision != "undecided":
            self.go_on.hide()  # shown before it has a place, it would be a window of its own
        self.go_on.clicked.connect(self.continued if mine_left else self.extended if more else self.promptsAsked)
        self.keep = Button(f"Keep {words.shortened(self.report.evaluation.old_name, 24)}")
        self.adopt = Button(f"Adopt {words.shortened(self.report.evaluation.new_name, 24)}")
        self.keep.setToolTip("Go on with the model before")
        self.adopt.setToolTip("Chat, and the next round, go on with the new model. Undo brings the other one back")
        self.keep.clicked.connect(lambda: self.adopted.emit(False))
        self.adopt.clicked.connect(lambda: self.adopted.emit(True))
        primary = {"better": self.adopt, "worse": self.keep, "undecided": self.go_on}[win.decision]
        primary.set_kind("primary")
        line.addWidget(back)
        line.addStretch(1)
        for button in (self.write, self.keep, self.adopt, self.go_on):
            line.addWidget(button)
        return line

    def _verdict(self, prompts_left: int) -> Card:
        report, win, made = self.report, self.report.win, self.report.evaluation
        card = Card()
        card.body.addWidget(Label(sentence(win, made.new_name, made.old_name, prompts_left), "heading", wrap=True))
        card.body.addWidget(IntervalBar(win.rate, win.low, win.high))
        ends = QGridLayout()  # columns of one width, so that “equal” stands under the middle
        words_and_places = (
            (f"always {made.old_name}", Qt.AlignmentFlag.AlignLeft),
            ("equal", Qt.AlignmentFlag.AlignHCenter),
            (f"always {made.new_name}", Qt.AlignmentFlag.AlignRight),
        )
        for place, (said, side) in enumerate(words_and_places):
            ends.addWidget(caption(said), 0, place, side)
            ends.setColumnStretch(place, 1)
            ends.setColumnMinimumWidth(place, 1)
        card.body.addLayout(ends)
        card.body.addSpacing(t.SPACE_XS)
        card.body.addWidget(TermLabel(self._facts(), tone="muted", wrap=True))
        if report.length is not None:
            card.body.addWidget(TermLabel(_length_words(report.length), tone="muted", wrap=True))
        method = caption(METHOD, wrap=True)
        method.hide()
        fold = Button("How this is computed", "quiet", "chevron-right")
        fold.setCheckable(True)
        fold.toggled.connect(method.setVisible)
        fold.toggled.connect(lambda on: fold.set_icon("chevron-down" if on else "chevron-right"))
        line = row()
        line.addWidget(fold)
        line.addStretch(1)
        card.body.addLayout(line)
        card.body.addWidget(method)
        return card

    def _facts(self) -> str:
        report = self.report
        people = words.count(report.people, "person", "people")
        facts = [f"{report.win.ties:.0%} ties, each counted half", f"judged blind by {people}"]
        if report.seconds is not None:
            facts.append(f"{words.duration(report.seconds)} a judgement")
        both_bad = sum(item.both_bad for item in report.judged)
        if both_bad:
            facts.append(f"neither would do {words.count(both_bad, 'time')}")
        return ", ".join(facts).capitalize() + ". Your judgements are kept, and never trained on."

    # --- the answers themselves

    def _show_answers(self) -> None:
        if not self.report.judged:
            return
        self.body.addWidget(heading("The answers"))
        self._answers = column(spacing=t.SPACE_M)
        self.body.addLayout(self._answers)
        self._shown = 0
        self.more = Button("Show more answers", "quiet", "chevron-down")
        self.more.clicked.connect(self._show_more)
        self.body.addWidget(self.more, 0, Qt.AlignmentFlag.AlignLeft)
        self._show_more()

    def _show_more(self) -> None:
        newest_first = self.report.judged[::-1]
        for pair in newest_first[self._shown : self._shown + _ANSWERS]:
            self._answers.addWidget(_answers(pair, self.report.evaluation.old_name, self.report.evaluation.new_name))
        self._shown += _ANSWERS
        self.more.setVisible(self._shown < len(newest_first))


def _answers(pair: JudgedPair, old: str, new: str) -> Card:
    card = Card()
    head = row()
    head.addWidget(Label(pair.prompt[-1]["content"], strong=True, wrap=True), 1)
    said = "neither would do" if pair.both_bad else {1.0: f"{new} preferred", 0.0: f"{old} preferred"}.get(pair.outcome, "a tie")
    head.addWidget(caption(said))
    card.body.addLayout(head)
    grid = QGridLayout()
    grid.setHorizontalSpacing(t.SPACE_XL)
    for place, (name, text) in enumerate(((old, pair.old), (new, pair.new))):
        grid.addWidget(caption(name), 0, place)
        grid.addWidget(MarkdownView(text, f"Answer of {name}"), 1, place, Qt.AlignmentFlag.AlignTop)
        grid.setColumnStretch(place, 1)
    grid.setRowStretch(2, 1)
    card.body.addLayout(grid)
    if pair.critique:
        card.body.addWidget(caption(f"Why: {pair.critique}", wrap=True))
    return card


def _length_words(length: LengthControlled) -> str:
    return (
        f"At equal length: {length.rate:.0%} ({length.low:.0%}–{length.high:.0%}). The new answers have "
        f"{length.mean_words_new:.0f} words, the old ones {length.mean_words_old:.0f}."
    )
