"""The Evaluate room: which of two models is better, and how sure are we? Joins its pages; what is slow runs on the task threads."""

import functools
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from rlhf_desktop.core.errors import AppError, BadInput
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.core.words import count
from rlhf_desktop.jobs.adapters import AdapterInfo
from rlhf_desktop.operations.blind import (
    Answered,
    BlindPair,
    BlindVerdict,
    Evaluation,
    add_answers,
    begin_evaluation,
    judge_pair,
    next_pair,
    undo_last,
)
from rlhf_desktop.operations.demo import read_report, run_demo
from rlhf_desktop.operations.demo_report import DemoReport
from rlhf_desktop.operations.generation import BatchProgress
from rlhf_desktop.operations.report import evaluation_report
from rlhf_desktop.operations.report_pages import write_report
from rlhf_desktop.operations.rounds import adopt, adoptions
from rlhf_desktop.operations.sampling import usual_sampling
from rlhf_desktop.ui import words
from rlhf_desktop.ui.background import LongWork
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.evaluate import lookup
from rlhf_desktop.ui.evaluate.answers import AnswerMaker
from rlhf_desktop.ui.evaluate.home import EvaluateFacts, HomePage
from rlhf_desktop.ui.evaluate.judgingview import JudgingView
from rlhf_desktop.ui.evaluate.resultpage import ResultPage
from rlhf_desktop.ui.evaluate.rewardpage import RewardPage
from rlhf_desktop.ui.people import who_am_i
from rlhf_desktop.ui.reports import show_report
from rlhf_desktop.ui.tasks import Outcome
from rlhf_desktop.ui.widgets.surfaces import Pages

_SEEDS = 2**31
_MORE = 16  # prompts added when a comparison is not decided


class EvaluateRoom(QObject):
    """Is the new model better, and how sure are we?"""

    title, icon = "Evaluate", "evaluate"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self.demo = LongWork("the sample project", "Start it again: it goes on.", self)
        self.measuring = LongWork("measuring side effects", parent=self)
        self.reviewing = LongWork("scoring held-out answers", parent=self)
        self._maker = AnswerMaker(context.chat, self)
        self._write: Callable[[Sequence[Answered]], Evaluation] | None = (
            None  # what to do with the answers being written: begin a comparison, or add to one
        )
        self.pair: BlindPair | None = None
        self._since = 0.0
        self._proposed: tuple[AdapterRef | None, AdapterRef] | None = None
        self._root = Pages()
        self._root.setProperty("kind", "page")
        self.setParent(self._root)  # what comes back from a task is for nobody once the window is gone
        self.home = HomePage()
        self.sample = self.home.sample
        self._root.addWidget(self.home)
        self.judging = JudgingView()
        self._root.addWidget(self.judging)
        self.result: ResultPage | None = None
        self.reward: RewardPage | None = None
        self._connect()

    def _connect(self) -> None:
        """Every connection of this room."""
        session = self._context.session
        self.home.began.connect(self.compare)
        self.home.cancelled.connect(self._cancel)
        self.home.opened.connect(self.show_result)
        self.home.continued.connect(self.go_on)
        self.home.rewardOpened.connect(self.show_reward)
        self.home.promptsRequested.connect(lambda: session.promptsRequested.emit(True))
        self._maker.progressed.connect(self.home.show_progress)
        self._maker.finished.connect(self._answered)
        self._maker.failed.connect(self.home.show_trouble)
        self.judging.judged.connect(self._judge)
        self.judging.undone.connect(self._undo)
        self.judging.stopped.connect(self._stop_judging)
        self.measuring.progressed.connect(self._show_measuring)
        self.measuring.succeeded.connect(lambda found: self.result.effects.show_effects(found) if self.result else None)
        self.measuring.failed.connect(lambda trouble: self.result.effects.show_trouble(str(trouble)) if self.result else None)
        self.measuring.stopped.connect(lambda: self.result.effects.show_trouble("") if self.result else None)
        self.reviewing.progressed.connect(self._show_reviewing)
        self.reviewing.succeeded.connect(lambda found: self.reward.show_review(found) if self.reward else None)
        self.reviewing.failed.connect(lambda trouble: self.reward.show_trouble(str(trouble)) if self.reward else None)
        self.reviewing.stopped.connect(lambda: self.reward.show_trouble("") if self.reward else None)
        self.sample.started.connect(self.run_sample)
        self.sample.stopped.connect(self.demo.stop)
        self.demo.progressed.connect(self.sample.show_progress)
        self.demo.succeeded.connect(self._sample_done)
        self.demo.failed.connect(self.sample.show_trouble)
        self.demo.stopped.connect(lambda: self.sample.show_running(False))
        session.projectChanged.connect(self._project_changed)
        session.modelChanged.connect(self.refresh)
        session.runsChanged.connect(self.refresh)
        session.feedbackChanged.connect(self._refresh_home)

    def widget(self) -> QWidget:
        """The room."""
        return self._root

    def focus_place(self) -> QWidget:
        """The pair while it is judged, else no control at all."""
        return self.judging if self._root.currentWidget() is self.judging else self._root

    def activated(self) -> None:
        """Look again."""
        self.refresh()
        if self._root.currentWidget() is self.judging:
            self.judging.setFocus()
        if self.sample.report is None and not self.demo.running:
            self._run(_last_report, self._context.workspace, then=lambda r: self.sample.show_report(r) if r else None)

    def deactivated(self) -> None:
        """What is under way goes on."""

    def _run(
        self,
        work: Callable[..., Outcome],
        *arguments: object,
        then: Callable[[Outcome], object] | None = None,
        failed: Callable[[AppError], object] | None = None,
    ) -> None:
        troubled = self._context.session.troubled.emit
        self._context.tasks.run(work, *arguments, on_success=then, on_failure=failed or troubled)

    # --- choosing

    def refresh(self) -> None:
        """Which models, held-out prompts and comparisons there are."""
        context = self._context
        where = context.store, context.queue, context.workspace
        self._run(functools.partial(lookup.facts, *where, context.session.project, context.session.base), then=self._show)

    def _refresh_home(self) -> None:
        if self._root.isVisible() and self._root.currentWidget() is self.home:
            self.refresh()

    def _show(self, found: EvaluateFacts) -> None:
        self.home.show_facts(found, self._proposed)
        self._proposed = None

    def show_result_of(self, run_id: str) -> None:
        """How good what a run has made is: a reward model's page, or the proposal to compare before and after."""

        def show(found: AdapterInfo | tuple[AdapterRef | None, AdapterRef] | None) -> None:
            if isinstance(found, AdapterInfo):
                self.show_reward(found)
            else:
                self._proposed = found
                self.show_home()

        workspace = self._context.workspace
        self._run(lambda: lookup.reward_info(workspace, run_id) or lookup.before_and_after(workspace, run_id), then=show)

    def show_home(self) -> None:
        """Back to the first page."""
        self._root.setCurrentWidget(self.home)
        self._drop_result()
        self.refresh()

    def _project_changed(self) -> None:
        self._maker.stop()
        self.home.show_writing(False)
        self.pair = None
        self.show_home()

    # --- writing the answers

    def compare(self, old: AdapterRef | None, new: AdapterRef | None, many: int) -> None:
        """Have both models answer some held-out prompts, then judge."""
        session, seed = self._context.session, random.randrange(_SEEDS)
        base = session.base
        if base is None:
            self.home.show_trouble(BadInput("There is no model to compare with.", "Choose one in Models."))
            return
        sampling = usual_sampling(self._context.store, session.project)
        begin = functools.partial(
            begin_evaluation,
            self._context.store,
            session.project,
            base=base,
            old=old,
            new=new,
            sampling=sampling,
            seed=seed,
        )
        self._have_answered(None, base, old, new, sampling, seed, many, lambda answered: begin(answered=answered))

    def _extend(self, made: Evaluation) -> None:
        """More prompts for a comparison that is not decided."""
        workspace, base = self._context.workspace, self._context.session.base

        def begin(found: list[AdapterRef | None]) -> None:
            assert base is not None  # or `adapter_of` had refused
            old, new = found
            add = functools.partial(add_answers, self._context.store, made.id)
            seed = made.seed + len(made.pairs)
            self._have_answered(made.id, base, old, new, made.new.sampling, seed, _MORE, add)

        self.show_home()
        self._run(lookup.sides_of, workspace, made, base, then=begin)

    def _have_answered(
        self,
        known_in: str | None,
        base: ModelRef,
        old: AdapterRef | None,
        new: AdapterRef | None,
        sampling: Sampling,
        seed: int,
        many: int,
        write: Callable[[Sequence[Answered]], Evaluation],
    ) -> None:
        def start(prompts: list[Messages]) -> None:
            random.Random(seed).shuffle(prompts)
            if not prompts:
                self.home.show_trouble(BadInput("All held-out prompts are in this comparison.", "Add prompts to go on."))
                return
            self._maker.start(base, prompts[:many], old, new, sampling, seed)

        self._write = write
        self.home.show_writing(True)
        self._run(lookup.fresh_prompts, self._context.store, self._context.session.project, known_in, then=start)

    def _cancel(self) -> None:
        self._maker.stop()
        self.home.show_writing(False)

    def _answered(self, answered: list[Answered]) -> None:
        self.home.show_writing(False)
        assert self._write is not None  # there are answers only to what was asked
        self._run(self._write, answered, then=self._begun, failed=self.home.show_trouble)

    def _begun(self, made: Evaluation) -> None:
        self._context.session.feedbackChanged.emit()  # there is something to judge now: what comes next is another thing
        self.go_on(made.id)

    # --- judging

    def go_on(self, evaluation_id: str) -> None:
        """Judge the pairs of a comparison that this person has not judged."""
        store = self._context.store
        self._run(lambda: next_pair(store, evaluation_id, who_am_i(store)), then=lambda pair: self._next(evaluation_id, pair))

    def _next(self, evaluation_id: str, pair: BlindPair | None) -> None:
        if pair is None:
            self.show_result(evaluation_id)
            return
        self.pair, self._since = pair, time.monotonic()
        self._root.setCurrentWidget(self.judging)
        self._drop_result()
        self.judging.show_pair(pair)

    def _stop_judging(self) -> None:
        if self.pair is not None:
            self.show_result(self.pair.evaluation_id)

    def _judge(self, verdict: BlindVerdict, why: str) -> None:
        store, pair, seconds = self._context.store, self.pair, time.monotonic() - self._since
        if pair is None:
            return  # another project was opened meanwhile

        def keep() -> BlindPair | None:
            who = who_am_i(store)
            judge_pair(store, pair, verdict, who=who, seconds=seconds, critique=why)
            return next_pair(store, pair.evaluation_id, who)

        self._run(keep, then=lambda shown: self._kept(pair.evaluation_id, shown), failed=self._not_kept)

    def _kept(self, evaluation_id: str, shown: BlindPair | None) -> None:
        self._context.session.announce("Saved", self._undo, "judgement")
        self._context.session.feedbackChanged.emit()
        self._next(evaluation_id, shown)

    def _not_kept(self, trouble: AppError) -> None:
        self.judging.setEnabled(True)
        self.judging.setFocus()
        self._context.session.troubled.emit(trouble)

    def _undo(self) -> None:
        if self.pair is None:
            return
        store, key = self._context.store, self.pair.evaluation_id

        def taken_back(shown: BlindPair | None) -> None:
            if shown is not None:
                self._context.session.feedbackChanged.emit()
                self._next(key, shown)

        self._run(lambda: undo_last(store, key, who_am_i(store)), then=taken_back)

    # --- the result

    def show_result(self, evaluation_id: str) -> None:
        """Open what a comparison has found."""
        context, session = self._context, self._context.session
        store, places = context.store, (context.store, context.workspace, session.project, session.base)
        self._run(lambda: lookup.result(*places, evaluation_id, who_am_i(store)), then=self._open_result)

    def _open_result(self, found: lookup.Result) -> None:
        self._drop_result()
        made = found.report.evaluation
        self.result = ResultPage(found.report, found.mine_left, found.more, found.effects)
        self.result.closed.connect(self.show_home)
        self.result.continued.connect(lambda: self.go_on(made.id))
        self.result.extended.connect(lambda: self._extend(made))
        self.result.promptsAsked.connect(lambda: self._context.session.promptsRequested.emit(True))
        self.result.adopted.connect(lambda new: self._adopt(made, new))
        self.result.reportAsked.connect(lambda: self._report(made))
        self.result.effectsAsked.connect(lambda: self._measure(made))
        self.result.effectsStopped.connect(self.measuring.stop)
        self._root.addWidget(self.result)
        self._root.setCurrentWidget(self.result)

    def _report(self, made: Evaluation) -> None:
        """Write the comparison's report and show it in the browser."""
        store, workspace, base = self._context.store, self._context.workspace, self._context.session.base
        card = self.result.written if self.result else None

        def write() -> Path:
            effects = lookup.known_effects(workspace, base, made)
            report = evaluation_report(store, workspace, made.id, side_effects=effects)
            files = write_report(report, lookup.report_folder(workspace))
            store.exports.note_files(made.project_id, (files.html, files.markdown), "report", workspace.root)
            return files.html

        self._run(write, then=lambda page: show_report(self._context.session, page, card))

    def _measure(self, made: Evaluation) -> None:
        """Measure what else has changed from one model to the other."""
        workspace, base = self._context.workspace, self._context.session.base
        if self.result is not None:
            self.result.effects.show_progress(0.0, "Loading the model…")
        self.measuring.start(lambda tell: lookup.measure_effects(workspace, base, made, tell))

    def _show_measuring(self, told: tuple[str, BatchProgress]) -> None:
        name, progress = told
        if self.result is not None:
            left = f"  ·  {words.duration(progress.eta_s)} left in this part" if progress.eta_s else ""
            said = f"{name}: {progress.done} of {count(progress.total, 'question')}{left}"
            self.result.effects.show_progress(progress.done / progress.total, said)

    def _drop_result(self) -> None:
        self.measuring.stop()
        self.reviewing.stop()
        if self.reward is not None:
            self.reward.release()
            self._root.removeWidget(self.reward)
            self.reward.deleteLater()
            self.reward = None
        if self.result is not None:
            self._root.removeWidget(self.result)
            self.result.deleteLater()
            self.result = None

    def _adopt(self, made: Evaluation, new: bool) -> None:
        """Make one of the two the model the project talks to; Undo brings back the one before."""
        store, workspace, session = self._context.store, self._context.workspace, self._context.session
        before, project, base = session.adapter, session.project, session.base

        def change(adapter: AdapterRef | None, evaluation_id: str | None) -> AdapterRef | None:
            adopt(store, project, adapter, who=who_am_i(store), evaluation_id=evaluation_id)
            return adapter

        def find_and_change() -> AdapterRef | None:
            chosen = lookup.adapter_of(workspace, made.new if new else made.old, base)
            latest = next(iter(adoptions(store, project)), None)
            if latest and latest.adapter_hash == (chosen.hash if chosen else None):
                return chosen
            return change(chosen, made.id)

        def changed(chosen: AdapterRef | None) -> None:
            session.set_model(base, chosen)
            session.runsChanged.emit()
            back = lambda: self._run(change, before, None, then=lambda old: session.set_model(base, old))  # noqa: E731
            session.announce(f"{made.new_name if new else made.old_name} is the current model now.", back)

        self._run(find_and_change, then=changed)

    # --- a reward model's page

    def show_reward(self, info: AdapterInfo) -> None:
        """Open the page of a reward model."""
        store, workspace, project = self._context.store, self._context.workspace, self._context.session.project
        self._run(
            lambda: lookup.reward_facts(store, workspace, project, info, who_am_i(store)),
            then=lambda facts: self._open_reward(info, facts),
        )

    def _open_reward(self, info: AdapterInfo, facts: lookup.RewardFacts) -> None:
        self._drop_result()
        page = self.reward = RewardPage(info.title, facts.report, facts.own, self._context.theme)
        page.closed.connect(self.show_home)
        page.runAsked.connect(lambda: self._context.session.runRequested.emit(info.run_id))
        page.reviewAsked.connect(lambda: self._review(info))
        page.reviewStopped.connect(self.reviewing.stop)
        self._root.addWidget(page)
        self._root.setCurrentWidget(page)

    def _review(self, info: AdapterInfo) -> None:
        session = self._context.session
        places = self._context.store, self._context.workspace, session.project, session.base
        if self.reward is not None:
            self.reward.show_progress(0.0, "Loading the model…")
        self.reviewing.start(lambda tell: lookup.review(*places, info.ref, tell))

    def _show_reviewing(self, progress: BatchProgress) -> None:
        if self.reward is not None:
            left = f"  ·  {words.duration(progress.eta_s)} left" if progress.eta_s else ""
            self.reward.show_progress(progress.done / progress.total, f"{progress.done} of {count(progress.total, 'prompt')}{left}")

    # --- the sample project

    def run_sample(self) -> None:
        """Start the sample project, or go on with it."""
        self.sample.show_running(True)
        workspace = self._context.workspace
        self.demo.start(lambda tell: run_demo(workspace, progress=tell))

    def _sample_done(self, report: DemoReport) -> None:
        self.sample.show_report(report)
        self._context.session.runsChanged.emit()
        self._context.session.announce("The sample project is done.")


def _last_report(workspace: Workspace) -> DemoReport | None:
    """The report of the last sample project, if one came to its end."""
    return read_report(workspace) if (workspace.root / "demo-report.json").is_file() else None
