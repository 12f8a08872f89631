"""Evaluate's first page: choose two models, the comparisons so far, the reward models, and the sample project."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.evaluation.confidence import sentence
from rlhf_desktop.jobs.adapters import AdapterInfo
from rlhf_desktop.operations.agreement import Agreement
from rlhf_desktop.operations.blind_results import EvaluationSummary, prompts_left
from rlhf_desktop.operations.next_step import LEAST_PROMPTS
from rlhf_desktop.operations.outlook import Outlook
from rlhf_desktop.ui import words
from rlhf_desktop.ui.evaluate.interval import IntervalBar
from rlhf_desktop.ui.evaluate.sample import SampleCard
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button, SegmentedControl
from rlhf_desktop.ui.widgets.fields import choice
from rlhf_desktop.ui.widgets.surfaces import Card, Meter, Notice, Page, clear, column, row
from rlhf_desktop.ui.widgets.text import ElidedLabel, Label, caption, heading, title

_USUAL = 16  # prompts to compare on
_SHOWN = 8  # comparisons listed before one asks for more


@dataclass(frozen=True)
class EvaluateFacts:
    """What the page shows, read off the GUI thread."""

    base: ModelRef | None
    policies: Sequence[AdapterInfo]  # newest first, of this base model
    rewards: Sequence[tuple[AdapterInfo, Agreement]]
    outlook: Outlook  # what is held out, and what is next
    evaluations: Sequence[EvaluationSummary]  # newest first


class HomePage(Page):
    """Shows `EvaluateFacts`. Emits what was chosen."""

    began = Signal(object, object, int)  # old and new AdapterRef or None, how many prompts
    cancelled = Signal()
    opened = Signal(str)  # an evaluation's id
    continued = Signal(str)
    rewardOpened = Signal(object)  # AdapterInfo
    promptsRequested = Signal()  # to compare on

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(t.WIDE_WIDTH, parent)
        self.facts: EvaluateFacts | None = None
        head = column(spacing=t.SPACE_XS)
        head.addWidget(title("Evaluate"))
        what = "Is it better? Judge two models without knowing which is which, on prompts that nothing was trained on."
        head.addWidget(TermLabel(what, tone="muted", wrap=True))
        self.next = TermLabel("", strong=True, wrap=True)  # as in the header
        head.addWidget(self.next)
        self.body.addLayout(head)
        self.body.addWidget(self._setup())
        self._past = column()
        self.body.addLayout(self._past)
        self._rewards = column()
        self.body.addLayout(self._rewards)
        self.sample = SampleCard()
        self.body.addWidget(self.sample)
        self.body.addStretch(1)
        self.begin.clicked.connect(self._begin)
        self.cancel.clicked.connect(self.cancelled)
        self.old.currentIndexChanged.connect(self._check)
        self.new.currentIndexChanged.connect(self._check)

    def _setup(self) -> Card:
        card = Card("Compare blind")
        line = row(spacing=t.SPACE_M)
        self.old, self.new = choice("The model before"), choice("The model after")
        self._many_place = row()
        self._samples: tuple[int, ...] = ()
        self.many: SegmentedControl[int] | None = None  # once it is known how many there are
        line.addWidget(self.old, 1)
        line.addWidget(TermLabel("against", tone="muted"))
        line.addWidget(self.new, 1)
        self._on = [Label(word, tone="muted") for word in ("on", "prompts")]
        line.addWidget(self._on[0])
        line.addLayout(self._many_place)
        line.addWidget(self._on[1])
        card.body.addLayout(line)
        below = row(spacing=t.SPACE_M)
        self.begin = Button("Compare")
        self.begin.setEnabled(False)  # until it is known what there is to compare
        self.cancel = Button("Cancel", "quiet")
        self.cancel.hide()
        self._words = caption("", wrap=True)
        below.addWidget(self.begin)
        below.addWidget(self.cancel)
        self.add_prompts = Button("Add prompts…", icon="plus")
        self.add_prompts.setToolTip("Prompts kept aside: models are compared on them, and nothing is trained on them")
        self.add_prompts.clicked.connect(self.promptsRequested)
        self.add_prompts.hide()
        below.addWidget(self._words, 1)
        below.addWidget(self.add_prompts)
        card.body.addLayout(below)
        self.meter = Meter("Answers being written")
        self.meter.hide()
        card.body.addWidget(self.meter)
        self._trouble = Notice("alert", "", "danger")
        self._trouble.hide()
        card.body.addWidget(self._trouble)
        return card

    def _begin(self) -> None:
        if self.many is not None:
            self.began.emit(self.old.currentData(), self.new.currentData(), self.many.value())

    def show_facts(self, facts: EvaluateFacts, proposed: tuple[AdapterRef | None, AdapterRef] | None = None) -> None:
        """Show what there is now; `proposed` chooses the two models."""
        self.facts = facts
        newest = facts.policies[0].ref if facts.policies else None
        old, new = proposed or (None, newest)
        for box, first in ((self.old, old), (self.new, new)):
            _fill(box, facts, first if proposed or not box.count() else box.currentData())
        self.next.setText(f"{facts.outlook.step.sentence}.")
        self._offer(facts.outlook.held_out.samples)
        self._check()
        self._show_past(facts)
        self._show_rewards(facts.rewards)

    def _offer(self, samples: tuple[int, ...]) -> None:
        """On how many prompts to compare: no more than there are; the choice made before holds while it is there."""
        before = self.many.value() if self.many else _USUAL
        if self.many is not None and self._samples == samples:
            return
        clear(self._many_place)
        self._samples = samples
        chosen = before if before in samples else max((n for n in samples if n <= _USUAL), default=0)
        self.many = SegmentedControl("Prompts", [(f"{n}", n) for n in samples or (0,)], chosen)
        self._many_place.addWidget(self.many)
        for part in (*self._on, self.many):
            part.setVisible(bool(samples))

    def _check(self) -> None:
        """Say what is missing before a comparison can begin."""
        facts = self.facts
        if facts is None:
            return
        if facts.base is None:
            problem = "Choose a model in Models first."
        elif not facts.policies:
            problem = "Nothing has been trained yet: there is one model only. Train, or run the sample project below."
        elif not facts.outlook.held_out.prompts:
            problem = facts.outlook.held_out.sentence
        elif self.old.currentData() == self.new.currentData():
            problem = "Choose two different models."
        else:
            problem = ""
        self.begin.setEnabled(not problem)
        can_decide = facts.outlook.held_out.prompts >= LEAST_PROMPTS
        self.begin.set_kind("primary" if can_decide and not problem else "normal")  # one primary action: what leads to a verdict
        self.add_prompts.set_kind("normal" if can_decide else "primary")
        lacks_prompts = not facts.outlook.held_out.enough and problem in ("", facts.outlook.held_out.sentence)
        self.add_prompts.setVisible(lacks_prompts)
        self.sample.start.set_kind("primary" if problem and not facts.evaluations and not lacks_prompts else "normal")
        self._words.setText(problem or facts.outlook.held_out.sentence)

    # --- answers being written

    def show_writing(self, on: bool) -> None:
        """Answers are being written, or not any more."""
        self.begin.setVisible(not on)
        self.cancel.setVisible(on)
        self.meter.setVisible(on)
        self._trouble.hide()
        if on:
            self.meter.set_value(0, 0, "Waiting for the model…")

    def show_progress(self, done: int, total: int, left_s: float | None) -> None:
        """How many answers there are."""
        left = f"  ·  {words.duration(left_s)} left" if left_s is not None else ""
        self.meter.set_value(done, total, f"{done} of {total} answers written{left}")

    def show_trouble(self, trouble: AppError) -> None:
        """No answers could be written."""
        self.show_writing(False)
        self._trouble.say("alert", str(trouble), "danger")
        self._trouble.show()

    # --- what there is to open

    def _show_past(self, facts: EvaluateFacts) -> None:
        clear(self._past)
        if not facts.evaluations:
            return
        self._past.addWidget(heading("Comparisons so far"))
        for summary in facts.evaluations[:_SHOWN]:
            shown = EvaluationRow(summary, prompts_left(summary.total, summary.judged, facts.outlook.held_out.prompts))
            shown.opened.connect(self.opened)
            shown.continued.connect(self.continued)
            self._past.addWidget(shown)

    def _show_rewards(self, rewards: Sequence[tuple[AdapterInfo, Agreement]]) -> None:
        clear(self._rewards)
        if not rewards:
            return
        self._rewards.addWidget(heading("How well the reward models judge"))
        for info, found in rewards[:_SHOWN]:
            card = Card()
            line = row(spacing=t.SPACE_M)
            said = column(spacing=2)
            said.addWidget(ElidedLabel(info.title, strong=True))
            said.addWidget(caption(found.sentence, wrap=True))
            line.addLayout(said, 1)
            button = Button("Open")
            button.setAccessibleName(f"Open the reward model {info.title}")
            button.clicked.connect(lambda _checked=False, info=info: self.rewardOpened.emit(info))
            line.addWidget(button)
            card.body.addLayout(line)
            self._rewards.addWidget(card)


class EvaluationRow(Card):
    """One comparison: what it says so far, and the way on."""

    opened = Signal(str)
    continued = Signal(str)

    def __init__(self, summary: EvaluationSummary, prompts_left: int, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        made, win = summary.evaluation, summary.win
        self.setAccessibleName(made.title)
        line = row(spacing=t.SPACE_M)
        names = column(spacing=2)
        begun = words.ago(datetime.fromisoformat(made.created_at).timestamp())
        names.addWidget(ElidedLabel(f"{made.title}  ·  {begun}", strong=True))
        names.addWidget(caption(sentence(win, made.new_name, made.old_name, prompts_left), wrap=True))
        line.addLayout(names, 2)
        bar = IntervalBar(win.rate, win.low, win.high)
        bar.setFixedWidth(t.SIDEBAR_WIDTH)
        line.addWidget(bar)
        left = summary.total - summary.judged
        if left > 0:
            go_on = Button(f"Go on ({left} left)")
            go_on.setAccessibleName(f"Go on judging {made.title}, {left} left")
            go_on.clicked.connect(lambda: self.continued.emit(made.id))
            line.addWidget(go_on)
        button = Button("Open")
        button.setAccessibleName(f"Open the result of {made.title}")
        button.clicked.connect(lambda: self.opened.emit(made.id))
        line.addWidget(button)
        self.body.addLayout(line)


def _fill(box: QComboBox, facts: EvaluateFacts, chosen: AdapterRef | None) -> None:
    box.blockSignals(True)
    box.clear()
    box.addItem(f"{facts.base.name} as it is" if facts.base else "No model yet", None)
    for info in facts.policies:
        box.addItem(info.title, info.ref)
        if chosen is not None and chosen.hash == info.ref.hash:
            box.setCurrentIndex(box.count() - 1)
    box.blockSignals(False)
