"""The Train room: joins its pages to the queue. Everything slow runs on the task threads."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QWidget

from rlhf_desktop.core.devices import chosen_device
from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.recipes import Algorithm
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.jobs.adapters import AdapterInfo, list_adapters, resolve_adapter
from rlhf_desktop.jobs.device import known_device, wanted_device
from rlhf_desktop.jobs.follow import EventReader
from rlhf_desktop.jobs.measuring import calibrate, known_rates
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.jobs.runnotes import RunNotes, annotate_run, run_notes, title_of
from rlhf_desktop.jobs.turns import end_now, move, waiting_runs
from rlhf_desktop.operations.comparing import compare_runs
from rlhf_desktop.operations.estimates import Estimate
from rlhf_desktop.operations.lineage import adapter_lineage, lineage
from rlhf_desktop.operations.outlook import Outlook, outcome_of, outlook
from rlhf_desktop.operations.preflight import Preflight, preflight, rough_estimates, start_checked
from rlhf_desktop.operations.report import run_report
from rlhf_desktop.operations.report_pages import write_report
from rlhf_desktop.operations.rounds import LearningHint, adopt, learning_hint
from rlhf_desktop.operations.workload import RunPlan
from rlhf_desktop.ui.background import LongWork
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.form_drafts import FormDrafts
from rlhf_desktop.ui.frame.standing import chat_tenant
from rlhf_desktop.ui.one_at_a_time import OneAtATime
from rlhf_desktop.ui.people import who_am_i
from rlhf_desktop.ui.reports import show_report
from rlhf_desktop.ui.train.comparepage import Compared, ComparePage
from rlhf_desktop.ui.train.follower import RunFollower
from rlhf_desktop.ui.train.overview import Overview, TrainFacts
from rlhf_desktop.ui.train.plan import StartRequest
from rlhf_desktop.ui.train.runfacts import RunFacts, result_ref
from rlhf_desktop.ui.train.runpage import RunPage
from rlhf_desktop.ui.train.runview import RunView
from rlhf_desktop.ui.train.startpanel import StartPanel
from rlhf_desktop.ui.widgets.surfaces import Pages

_REFRESH_MS = 1500


_CURVED: tuple[Algorithm, ...] = ("reward", "dpo")  # learn from comparisons: earlier runs say what more of them would bring


@dataclass(frozen=True)
class Known:
    """What the overview's cards say, as long as the feedback and the runs that have ended stay the same."""

    outlook: Outlook
    hints: dict[Algorithm, LearningHint]
    chains: dict[str, list[str]]
    costs: dict[Algorithm, Estimate]
    stamp: tuple[object, ...]  # of what it follows from, the feedback apart


class TrainRoom(QObject):
    """Recipes, the queue, and the page of one run at a time."""

    title, icon = "Train", "train"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self._root = Pages()
        self._root.setProperty("kind", "page")
        self.setParent(self._root)  # what comes back from a task is for nobody once the window is gone
        self.overview = Overview()
        self.overview.drafts = FormDrafts(context)
        self._root.addWidget(self.overview)
        self.page: RunPage | None = None
        self.comparison: ComparePage | None = None
        self.follower: RunFollower | None = None
        self._run: RunFolder | None = None
        self._reads = OneAtATime(self._read)
        self._stale = False  # what is being read is of feedback, or a project, that is another now
        self._front = False
        self._known: Known | None = None  # kept between refreshes; it changes with the feedback and with what has ended
        self._looks = OneAtATime(self._look_at)  # at a plan: they leave threads for everything else
        self.measuring = LongWork("measuring this computer", parent=self)
        self._clock = QTimer(self)
        self._clock.setInterval(_REFRESH_MS)
        self._clock.timeout.connect(self._refresh_in_front)
        self._connect()

    def _connect(self) -> None:
        """Every connection of this room."""
        session = self._context.session
        self.overview.startRequested.connect(self.start)
        self.overview.planChanged.connect(self._look_before)
        self.overview.measureRequested.connect(self._measure)
        self.measuring.succeeded.connect(lambda _rates: self.overview.panel.tell_plan() if self.overview.panel else None)
        self.measuring.failed.connect(session.troubled)
        self.overview.opened.connect(self.show_run)
        self.overview.compared.connect(self.compare)
        self.overview.asked.connect(lambda run_id, action: self._ask(RunFolder(self._context.workspace.runs / run_id), action))
        self.overview.notice.acted.connect(lambda: session.roomRequested.emit("models"))
        session.projectChanged.connect(self._project_changed)
        session.feedbackChanged.connect(self._feedback_changed)
        session.runsChanged.connect(self._feedback_changed)  # adopted, compared: what comes next may be another thing
        for signal in (session.modelChanged, session.modelsChanged):
            signal.connect(self._refresh_in_front)

    def widget(self) -> QWidget:
        """The room."""
        return self._root

    def focus_place(self) -> QWidget:
        """No control at all: Space must not start a run."""
        return self._root

    def activated(self) -> None:
        """Refresh, and go on refreshing while in front."""
        self._front = True
        self.refresh()
        self._judge_result()  # it may have been compared meanwhile
        self._clock.start()
        if self.follower:
            self.follower.start()

    def deactivated(self) -> None:
        """Stop looking; the runs go on."""
        self._front = False
        self._clock.stop()
        if self.overview.panel is not None:
            self.overview.panel.kept.settle()
        if self.follower:
            self.follower.stop()

    def show_sample_project(self) -> None:
        """The sample project is made and shown in Evaluate."""
        self._context.session.roomRequested.emit("evaluate")

    # --- the overview

    def refresh(self) -> None:
        """Read runs, adapters and (when it may have changed) readiness, off this thread."""
        self._reads.ask()

    def _read(self) -> None:
        self._stale = False
        self._context.tasks.run(
            self._load, self._context.session.base, self._known, on_success=self._loaded, on_failure=self._load_failed
        )

    def _load(self, base: ModelRef | None, known: Known | None) -> tuple[Known, TrainFacts]:
        context = self._context
        project = context.session.project
        runs = [run for run in context.queue.runs() if run.project_id in (project.id, "")]
        states = tuple((run.id, run.state) for run in runs)
        archived = {run.id for run in runs if run.archived}
        adapters = [
            a for a in list_adapters(context.workspace) if base and a.ref.base_hash == base.hash and a.project_id == project.id
        ]
        waiting = [run.id for run in waiting_runs(context.workspace)]
        measured = base and known_rates(base)
        stamp = (states, frozenset(archived), base and base.hash, known_device() is not None, chosen_device(), measured is not None)
        if known is None or known.stamp != stamp:
            known = self._know(stamp, base, adapters)
        return known, TrainFacts(known.outlook, runs, adapters, waiting, archived, known.hints, known.chains, known.costs)

    def _know(self, stamp: tuple[object, ...], base: ModelRef | None, adapters: Sequence[AdapterInfo]) -> Known:
        """What takes longer to read and changes rarely."""
        context, project = self._context, self._context.session.project
        found = outlook(context.store, context.queue, project, base)
        hint = learning_hint(context.store, context.queue, project, found.amounts["reward"].have)
        chains = {a.ref.hash: [config.title for config in reversed(lineage(context.workspace.runs, a.ref))] for a in adapters}
        reward = next((a.ref for a in adapters if a.kind == "reward"), None)
        chat = chat_tenant(context.chat, base)
        costs = rough_estimates(context.store, context.workspace, project, base, reward, chat) if base else {}
        return Known(found, dict.fromkeys(_CURVED, hint), chains, costs, stamp)

    def _loaded(self, found: tuple[Known, TrainFacts]) -> None:
        if not self._stale:
            self._known, facts = found
            base = self._context.session.base
            self.overview.show_facts(facts, base.name if base else "", self._context.session.adapter)
        self._reads.done()

    def _load_failed(self, trouble: AppError) -> None:
        self._clock.stop()  # say it once, not every second
        self._context.session.troubled.emit(trouble)
        self._reads.done()

    def _refresh_in_front(self) -> None:
        if self._front and self.page is None and self.comparison is None:
            self.refresh()

    def _feedback_changed(self) -> None:
        self._known, self._stale = None, True
        self._refresh_in_front()

    def _project_changed(self) -> None:
        self._known, self._stale = None, True
        self.overview.close_panel()
        self.show_overview()

    # --- before a run begins

    def _look_before(self, request: StartRequest) -> None:
        """Work out what the run would take, and whether anything stands in its way."""
        self._looks.ask(request)

    def _look_at(self, request: StartRequest) -> None:
        context, base = self._context, self._context.session.base
        if base is None:
            self._looks.done()
        else:
            panel, project, wanted = self.overview.panel, context.session.project, self._plan(request, base)
            chat = chat_tenant(context.chat, base)
            context.tasks.run(
                lambda: (panel, wanted, preflight(context.store, context.workspace, project, wanted, chat=chat)),
                on_success=self._looked,
                on_failure=self._look_failed,
            )

    @staticmethod
    def _plan(request: StartRequest, base: ModelRef) -> RunPlan:
        return RunPlan(request.algorithm, base, request.settings, request.start, request.reward)

    def _looked(self, found: tuple[StartPanel | None, RunPlan, Preflight]) -> None:
        panel, wanted, seen = found
        if not self._looks.overtaken and panel is not None and self.overview.panel is panel:  # still open
            panel.show_preflight(seen)
            if seen.estimate is not None:
                self.overview.show_estimate(wanted.algorithm, seen.estimate, not wanted.settings)
        self._looks.done()

    def _look_failed(self, trouble: AppError) -> None:
        self._context.session.troubled.emit(trouble)
        self._looks.done()

    def _measure(self) -> None:
        """Measure this computer's speed with the base model, once; then the time is known."""
        base = self._context.session.base
        if base is not None and self.overview.panel is not None:
            self.overview.panel.preflight.show_measuring()
            self.measuring.start(lambda _tell: calibrate(base))

    def start(self, request: StartRequest) -> None:
        """Queue a run as the panel asks."""
        context = self._context
        base, project = context.session.base, context.session.project
        if base is None:  # it was removed while the panel was open
            self._not_queued(AppError("There is no base model to train on.", "Choose one in Models."))
            return
        chat = chat_tenant(context.chat, base)

        def queue() -> RunFolder:
            return start_checked(context.store, context.queue, project, self._plan(request, base), title=request.title, chat=chat)

        context.tasks.run(queue, on_success=self._queued, on_failure=self._not_queued)

    def _queued(self, run: RunFolder) -> None:
        if self.overview.panel is not None:
            self.overview.panel.kept.saved()
        self.overview.close_panel()
        session = self._context.session
        session.runsChanged.emit()
        session.announce("Queued. It starts as soon as the device is free.", lambda: self._take_back(run))
        self.refresh()

    def _take_back(self, run: RunFolder) -> None:
        """Undo of Start: take it out of the queue, or stop it when it has begun."""
        self._ask(run, "stop")

    def _not_queued(self, trouble: AppError) -> None:
        if self.overview.panel:
            self.overview.panel.fail(str(trouble))
        else:
            self._context.session.troubled.emit(trouble)

    def _ask(self, run: RunFolder, action: str) -> None:
        """Pause, resume, stop or end a run, take it out of the queue, or let it go earlier or later."""
        queue, workspace, troubled = self._context.queue, self._context.workspace, self._context.session.troubled
        acts: dict[str, Callable[[], object]] = {
            "pause": lambda: queue.pause(run),
            "stop": lambda: queue.stop(run),
            "cancel": lambda: queue.cancel(run),
            "earlier": lambda: move(workspace, run, -1),
            "later": lambda: move(workspace, run, 1),
            "end": lambda: end_now(run),
            "remove": lambda: queue.remove_from_queue(run),
            "resume": lambda: queue.resume(run, wanted_device()),
        }
        self._context.tasks.run(acts[action], on_success=lambda _: self._asked(run, action), on_failure=troubled.emit)

    def _asked(self, run: RunFolder, action: str) -> None:
        if action == "remove":
            self._context.session.announce("Taken out of the queue.", lambda: self._ask(run, "resume"))
        self._context.session.runsChanged.emit()
        self.refresh()
        if self.follower:
            self.follower.poll()

    # --- a run's page

    def show_run(self, run_id: str) -> None:
        """Open a run's page and replay what it has said."""
        run = RunFolder(self._context.workspace.runs / run_id)
        self._context.tasks.run(
            self._look_up, run, on_success=lambda found: self._open(run, found), on_failure=self._context.session.troubled.emit
        )

    def _look_up(self, run: RunFolder) -> RunFacts:
        config = run.config()
        steps = adapter_lineage(self._context.workspace, result_ref(run, config))
        said = outcome_of(self._context.store, self._context.session.project, self._context.queue.summary(run))
        return RunFacts(title_of(run, config.title), config, run_notes(run), steps, said)

    def _open(self, run: RunFolder, facts: RunFacts) -> None:
        self._close_page()
        self._run = run
        self.follower = RunFollower(self._context.tasks, run, self)
        self.follower.ended.connect(self._context.session.runsChanged)  # the header and the status bar say it at once
        self.follower.ended.connect(self._judge_result)
        page = self.page = RunPage(facts.config, self.follower, self._context.theme, facts.chain)
        page.name.setText(facts.title)
        page.show_result(facts.outcome)
        page.about.show_run(facts.title, facts.notes, facts.steps, False)
        page.closed.connect(self.show_overview)
        page.asked.connect(lambda action: self._ask(run, action))
        page.tried.connect(lambda: self._chat_with(run))
        page.judged.connect(lambda: self._context.session.evaluationRequested.emit(run.id))
        page.about.renamed.connect(lambda title: self._annotate(run, title=title))
        page.about.noted.connect(lambda notes: self._annotate(run, notes=notes))
        page.about.archived.connect(lambda on: self._annotate(run, archived=on))
        page.about.adoptAsked.connect(lambda: self._make_current(run))
        page.about.reportAsked.connect(lambda: self._report(run))
        self._show_page(page)
        self.follower.start()

    def _judge_result(self) -> None:
        """Say on the open page what may be said of the result by now."""
        page, run, context = self.page, self._run, self._context
        if page is not None and run is not None:
            look = functools.partial(outcome_of, context.store, context.session.project)
            context.tasks.run(
                lambda: look(context.queue.summary(run)),
                on_success=lambda found: page.show_result(found) if page is self.page else None,
                on_failure=context.session.troubled.emit,
            )

    def _show_page(self, page: QWidget) -> None:
        self._root.addWidget(page)
        self._root.setCurrentWidget(page)

    def compare(self, run_ids: list[str]) -> None:
        """Open some runs side by side."""
        runs = [RunFolder(self._context.workspace.runs / run_id) for run_id in run_ids]

        def read() -> Compared:
            views = []
            for run in runs:
                view = RunView()
                view.apply(EventReader(run.events).read_new())
                views.append(view)
            return Compared(compare_runs(runs), [run.config().algorithm for run in runs], views)

        self._context.tasks.run(read, on_success=self._open_comparison, on_failure=self._context.session.troubled.emit)

    def _open_comparison(self, compared: Compared) -> None:
        self._close_page()
        self.comparison = ComparePage(compared, self._context.theme)
        self.comparison.closed.connect(self.show_overview)
        self.comparison.opened.connect(self.show_run)
        self._show_page(self.comparison)

    def show_overview(self) -> None:
        """Back to the recipes and the queue."""
        self._root.setCurrentWidget(self.overview)
        self._close_page()
        self._refresh_in_front()

    def _close_page(self) -> None:
        if self.comparison is not None:
            self.comparison.release()
            self._root.removeWidget(self.comparison)
            self.comparison.deleteLater()
            self.comparison = None
        if self.page is None or self.follower is None:
            return
        self.page.about.keep_notes()
        self.follower.stop()
        self.page.release()
        self.follower.deleteLater()
        self._root.removeWidget(self.page)
        self.page.deleteLater()
        self.page = self.follower = self._run = None

    # --- what is said about a run, and done with its result

    def _annotate(
        self, run: RunFolder, *, title: str | None = None, notes: str | None = None, archived: bool | None = None
    ) -> None:
        """Rename a run, keep notes on it, put it into the archive or take it out."""

        def kept(made: RunNotes) -> None:
            if self.page is not None and self._run is not None and self._run.id == run.id:
                self.page.about.show_notes(made)
                if made.title:
                    self.page.name.setText(made.title)
            if archived is not None:
                said = "Archived." if archived else "Back in the list."
                self._context.session.announce(said, lambda: self._annotate(run, archived=not archived))
            self._context.session.runsChanged.emit()

        self._context.tasks.run(
            lambda: annotate_run(run, title=title, notes=notes, archived=archived),
            on_success=kept,
            on_failure=self._context.session.troubled.emit,
        )

    def _make_current(self, run: RunFolder) -> None:
        """Adopt a run's result, an old one too: that is rolling back. Undo brings back what was current."""
        store, session = self._context.store, self._context.session
        project, before = session.project, (session.base, session.adapter)

        def change(adapter: AdapterRef | None) -> None:
            adopt(store, project, adapter, who=who_am_i(store))

        def back() -> None:
            self._context.tasks.run(change, before[1], on_success=lambda _none: session.set_model(*before))

        def find_and_change() -> tuple[ModelRef, AdapterRef | None]:
            base, adapter = run.config().base, resolve_adapter(self._context.workspace, run.id, "policy")
            change(adapter)
            return base, adapter

        def changed(found: tuple[ModelRef, AdapterRef | None]) -> None:
            base, adapter = found
            session.set_model(base, adapter)
            session.runsChanged.emit()
            session.announce(f"{(adapter or base).name} is the current model now.", back)

        self._context.tasks.run(find_and_change, on_success=changed, on_failure=session.troubled.emit)

    def _report(self, run: RunFolder) -> None:
        """Write the run's report and show it in the browser."""
        store, workspace, card = self._context.store, self._context.workspace, self.page.written if self.page else None

        def write() -> Path:
            files = write_report(run_report(store, workspace, run), workspace.root / "reports")
            store.exports.note_files(run.config().project_id, (files.html, files.markdown), "report", workspace.root)
            return files.html

        self._context.tasks.run(
            write,
            on_success=lambda page: show_report(self._context.session, page, card),
            on_failure=self._context.session.troubled.emit,
        )

    def _chat_with(self, run: RunFolder) -> None:
        """Make the run's result current, on its own base model, and go to Chat."""
        workspace = self._context.workspace

        def find() -> tuple[ModelRef, AdapterRef | None]:
            config = run.config()
            return config.base, next((a.ref for a in list_adapters(workspace, "policy") if a.run_id == run.id), None)

        self._context.tasks.run(find, on_success=self._adopt, on_failure=self._context.session.troubled.emit)

    def _adopt(self, found: tuple[ModelRef, AdapterRef | None]) -> None:
        base, adapter = found
        if adapter is None:
            self._context.session.troubled.emit(AppError("This run has left no model to chat with.", "Resume it, or train again."))
            return
        self._context.session.set_model(base, adapter)
        self._context.session.roomRequested.emit("chat")
