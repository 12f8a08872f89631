"""The Evaluate room: judge two models blind on held-out prompts, or see the whole loop on the sample project."""

import random
import time
from collections.abc import Sequence

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QStackedWidget, QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.evaluation.winrate import win_rate
from rlhf_desktop.feedback.conversations import Generator
from rlhf_desktop.jobs.adapters import AdapterInfo, list_adapters
from rlhf_desktop.operations.blind import keep_blind_judgement
from rlhf_desktop.operations.demo import read_report
from rlhf_desktop.operations.demo_report import DemoReport
from rlhf_desktop.operations.history import heldout_prompts
from rlhf_desktop.ui import words
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.evaluate.answers import Answered, AnswerMaker
from rlhf_desktop.ui.evaluate.blind import BlindTrial, Judged, Pair, verdict_sentence
from rlhf_desktop.ui.evaluate.demorunner import DemoRunner
from rlhf_desktop.ui.evaluate.interval import IntervalBar
from rlhf_desktop.ui.evaluate.judgingview import JudgingView
from rlhf_desktop.ui.evaluate.sample import SampleCard
from rlhf_desktop.ui.people import who_am_i
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button, SegmentedControl
from rlhf_desktop.ui.widgets.fields import choice
from rlhf_desktop.ui.widgets.surfaces import Card, Meter, Notice, Page, clear, column, row
from rlhf_desktop.ui.widgets.text import Label, caption, title

_SEEDS = 2**31


class EvaluateRoom(QObject):
    """Is the new model better, and how sure are we?"""

    title, icon = "Evaluate", "evaluate"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self.demo = DemoRunner(context.workspace, parent=self)
        self._maker = AnswerMaker(context.chat, self)
        self._prompts: Sequence[Messages] = ()
        self.trial: BlindTrial | None = None
        self._answered: dict[int, Answered] = {}
        self._events: list[str] = []
        self._since = 0.0
        self._proposed = ""
        self._names = ("", "")
        self._sides: tuple[Generator, Generator] | None = None
        self._seed = 0
        self._root = QStackedWidget()
        self._root.setProperty("kind", "page")
        self._build()
        self._connect()

    def _build(self) -> None:
        page = Page(t.WIDE_WIDTH)
        head = column(spacing=t.SPACE_XS)
        head.addWidget(title("Evaluate"))
        head.addWidget(
            Label(
                "Judge two models without knowing which is which, on prompts that nothing was trained on.", tone="muted", wrap=True
            )
        )
        page.body.addLayout(head)
        page.body.addWidget(self._setup())
        self._result = column()
        page.body.addLayout(self._result)
        self.sample = SampleCard()
        page.body.addWidget(self.sample)
        page.body.addStretch(1)
        self._root.addWidget(page)
        judging = Page(t.WIDE_WIDTH)
        self.judging = JudgingView()
        judging.body.addWidget(self.judging)
        judging.body.addStretch(1)
        self._root.addWidget(judging)

    def _setup(self) -> Card:
        card = Card("Compare blind")
        line = row(spacing=t.SPACE_M)
        self.old, self.new = choice("The model before"), choice("The model after")
        self.many = SegmentedControl("Prompts", [("8", 8), ("16", 16), ("32", 32)])
        line.addWidget(self.old, 1)
        line.addWidget(Label("against", tone="muted"))
        line.addWidget(self.new, 1)
        line.addWidget(Label("on", tone="muted"))
        line.addWidget(self.many)
        line.addWidget(Label("prompts", tone="muted"))
        card.body.addLayout(line)
        below = row(spacing=t.SPACE_M)
        self.begin = Button("Compare")
        self.begin.setEnabled(False)  # until it is known what there is to compare
        self.cancel = Button("Cancel", "quiet")
        self.cancel.hide()
        self._words = caption("", wrap=True)
        below.addWidget(self.begin)
        below.addWidget(self.cancel)
        below.addWidget(self._words, 1)
        card.body.addLayout(below)
        self.meter = Meter("Answers being written")
        self.meter.hide()
        card.body.addWidget(self.meter)
        self._trouble = Notice("alert", "", "danger")
        self._trouble.hide()
        card.body.addWidget(self._trouble)
        return card

    def _connect(self) -> None:
        """Every connection of this room."""
        session = self._context.session
        self.begin.clicked.connect(self.compare)
        self.cancel.clicked.connect(self._cancel)
        self.old.currentIndexChanged.connect(self._check)
        self.new.currentIndexChanged.connect(self._check)
        self._maker.progressed.connect(lambda n, total: self.meter.set_value(n, total, f"{n} of {total} answers written"))
        self._maker.finished.connect(self._begin_judging)
        self._maker.failed.connect(self._failed)
        self.judging.judged.connect(self._judge)
        self.judging.undone.connect(self._undo)
        self.judging.stopped.connect(self._finish)
        self.sample.started.connect(self.run_sample)
        self.sample.stopped.connect(self.demo.stop)
        self.demo.progressed.connect(self.sample.show_progress)
        self.demo.succeeded.connect(self._sample_done)
        self.demo.failed.connect(self.sample.show_trouble)
        self.demo.stopped.connect(lambda: self.sample.show_running(False))
        session.projectChanged.connect(self.refresh)
        session.modelChanged.connect(self.refresh)

    def widget(self) -> QWidget:
        """The room."""
        return self._root

    def activated(self) -> None:
        """Look again."""
        self.refresh()
        if self.trial:
            self.judging.setFocus()
        if self.sample.report is None and not self.demo.running:
            self._context.tasks.run(_last_report, self._context.workspace, on_success=lambda r: r and self.sample.show_report(r))

    def deactivated(self) -> None:
        """What is under way goes on."""

    # --- choosing

    def show_result_of(self, run_id: str) -> None:
        """Propose to compare what a run has made with what it started from."""
        self._proposed = run_id
        self.refresh()

    def refresh(self) -> None:
        """Which models and held-out prompts there are."""
        self._context.tasks.run(self._load, on_success=self._show, on_failure=self._context.session.troubled.emit)

    def _load(self) -> tuple[list[AdapterInfo], list[Messages]]:
        context = self._context
        base = context.session.base
        adapters = [a for a in list_adapters(context.workspace, "policy") if base and a.ref.base_hash == base.hash]
        return adapters, heldout_prompts(context.store, context.session.project)

    def _show(self, found: tuple[list[AdapterInfo], list[Messages]]) -> None:
        adapters, self._prompts = found
        base = self._context.session.base
        made = next((info.ref for info in adapters if info.run_id == self._proposed), None)
        self._proposed = ""
        for box, first in ((self.old, None), (self.new, made or (adapters[0].ref if adapters else None))):
            kept = box.currentData() if box.count() and made is None else first
            box.blockSignals(True)
            box.clear()
            box.addItem(f"{base.name} as it is" if base else "No model yet", None)
            for info in adapters:
                box.addItem(info.title, info.ref)
                if kept is not None and kept.hash == info.ref.hash:
                    box.setCurrentIndex(box.count() - 1)
            box.blockSignals(False)
        self._check()

    def _check(self) -> None:
        """Say what is missing before a comparison can begin."""
        same = self.old.currentData() == self.new.currentData()
        if self._context.session.base is None:
            problem = "Choose a model in Models first."
        elif self.new.count() < 2:
            problem = "Nothing has been trained yet: there is one model only. Train, or run the sample project below."
        elif not self._prompts:
            problem = "No held-out prompts yet: one in seven prompts is kept aside by itself as you judge, or add prompts in Label."
        elif same:
            problem = "Choose two different models."
        else:
            problem = ""
        self.begin.setEnabled(not problem)
        self.begin.set_kind("normal" if problem else "primary")  # one primary action: compare, once that is possible
        self.sample.start.set_kind("primary" if problem else "normal")
        self._words.setText(problem or f"{words.count(len(self._prompts), 'held-out prompt')} to draw from.")

    # --- writing the answers

    def compare(self) -> None:
        """Have both models answer, then judge."""
        session, sampling = self._context.session, Sampling()
        chance = random.Random()
        self._seed = chance.randrange(_SEEDS)
        prompts = list(self._prompts)
        chance.shuffle(prompts)
        old, new = self.old.currentData(), self.new.currentData()
        self._names = (self.old.currentText(), self.new.currentText())
        self._sides = Generator.of(session.base, old, sampling), Generator.of(session.base, new, sampling)
        self._writing(True)
        self._maker.start(session.base, prompts[: self.many.value()], old, new, sampling, self._seed)

    def _writing(self, on: bool) -> None:
        self.begin.setVisible(not on)
        self.cancel.setVisible(on)
        self.meter.setVisible(on)
        self._trouble.hide()

    def _cancel(self) -> None:
        self._maker.stop()
        self._writing(False)

    def _failed(self, trouble: AppError) -> None:
        self._writing(False)
        self._trouble.say("alert", str(trouble), "danger")
        self._trouble.show()

    # --- judging

    def _begin_judging(self, answered: list[Answered]) -> None:
        self._writing(False)
        if not answered:
            self._failed(AppError("The models answered nothing that can be compared.", "Try again, or choose other models."))
            return
        pairs = [Pair(item.prompt[-1]["content"], item.old.text, item.new.text) for item in answered]
        self._answered = {id(pair): item for pair, item in zip(pairs, answered, strict=True)}
        self._events = []
        self.trial = BlindTrial(pairs, self._seed)
        self._next()

    def _next(self) -> None:
        if self.trial.over:
            self._finish()
            return
        self._root.setCurrentIndex(1)
        self.judging.show_trial(self.trial)
        self.judging.setFocus()
        self._since = time.monotonic()

    def _judge(self, verdict: str) -> None:
        if self.trial is None or self.trial.over:
            return
        judged = self.trial.judge(verdict, time.monotonic() - self._since)
        try:
            self._events.append(self._keep(judged))
        except AppError as trouble:
            self.trial.undo()
            self._context.session.troubled.emit(trouble)
            return
        self._next()

    def _keep(self, judged: Judged) -> str:
        item = self._answered[id(judged.pair)]
        old, new = (item.old, self._sides[0]), (item.new, self._sides[1])
        displayed = (new, old) if judged.new_on_left else (old, new)
        ranks = {"left": (1, 2), "right": (2, 1), "tie": (1, 1)}[judged.verdict]
        store = self._context.store
        return keep_blind_judgement(
            store,
            self._context.session.project,
            item.prompt,
            displayed,
            ranks,
            who=who_am_i(store),
            seconds=judged.seconds,
            seed=self._seed,
        ).id

    def _who(self) -> str:
        return who_am_i(self._context.store)

    def _undo(self) -> None:
        if self.trial.undo() and self._events:
            self._context.store.judgements.withdraw(self._events.pop(), self._who())
            self._next()

    def _finish(self) -> None:
        """Show the verdict on what was judged."""
        self._root.setCurrentIndex(0)
        trial, self.trial = self.trial, None
        clear(self._result)
        if trial and trial.judged:
            self._result.addWidget(_verdict_card(trial, *self._names))
            self._context.session.feedbackChanged.emit()

    # --- the sample project

    def run_sample(self) -> None:
        """Start the sample project, or go on with it."""
        self.sample.show_running(True)
        self.demo.start()

    def _sample_done(self, report: DemoReport) -> None:
        self.sample.show_report(report)
        self._context.session.runsChanged.emit()
        self._context.session.announce("The sample project is done.")


def _last_report(workspace) -> DemoReport | None:
    """The report of the last sample project, if one came to its end."""
    return read_report(workspace) if (workspace.root / "demo-report.json").is_file() else None


def _verdict_card(trial: BlindTrial, old: str, new: str) -> Card:
    won = win_rate([[score] for score in trial.scores()])
    card = Card()
    card.body.addWidget(Label(verdict_sentence(won.rate, won.low, won.high, won.prompts, new, old), "heading", wrap=True))
    card.body.addWidget(IntervalBar(won.rate, won.low, won.high))
    card.body.addWidget(caption(f"{won.ties:.0%} ties, each counted half. Your judgements are kept, and never trained on."))
    return card
