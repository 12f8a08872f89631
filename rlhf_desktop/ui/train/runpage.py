"""A run's page: where it is, what it costs, whether it learns, and what to do next. The same live, replayed and ended."""

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from rlhf_desktop.core.runs import RunConfig
from rlhf_desktop.jobs.runfolder import RunCondition
from rlhf_desktop.operations.outlook import Outcome
from rlhf_desktop.ui import words
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.help.termlabel import TermLabel, term_caption
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.style import Theme
from rlhf_desktop.ui.train.aboutrun import AboutRun
from rlhf_desktop.ui.train.charts import ChartCard, InTurn, Redraw
from rlhf_desktop.ui.train.follower import RunFollower
from rlhf_desktop.ui.train.lineage import LineageStrip
from rlhf_desktop.ui.train.runlog import RunLog
from rlhf_desktop.ui.train.runview import outcome_sentence
from rlhf_desktop.ui.train.samples import SampleList
from rlhf_desktop.ui.train.statechip import StateChip
from rlhf_desktop.ui.train.wording import CHARTS, LIVE, OBEYING, RECIPES, STATES, Chart
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import ConfirmRow, Notice, Page, clear, column, row, widgets_in
from rlhf_desktop.ui.widgets.text import title
from rlhf_desktop.ui.widgets.written import WrittenCard

_TRIED = ("done", "stopped")  # states that leave something to chat with
_SLOW = "No step for {}. The computer may be busy with something else, or the step be long. Pause and Stop take effect after it."
_HUNG = "No step for {}, and no processor time used either: the training process may hang. It can be ended now."
_END = "End the training process? What came after the last checkpoint is lost; Resume goes on from there."


class RunPage(Page):
    """Shows one run through its follower.

    Emits `asked` with pause, resume, stop, cancel or end; `tried` for “Chat with it”, `judged` for “Is it better?”.
    """

    closed = Signal()
    asked = Signal(str)
    tried = Signal()
    judged = Signal()

    def __init__(
        self,
        config: RunConfig,
        follower: RunFollower,
        theme: Theme,
        chain: Sequence[str] = (),
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(t.WIDE_WIDTH, parent)
        self._config, self._follower, self._view = config, follower, follower.view
        self._recipe = RECIPES[config.algorithm]
        self._result: Outcome | None = None
        self.body.addLayout(self._head())
        self.written = WrittenCard()
        self.body.addWidget(self.written)
        self.body.addLayout(self._progress(chain))
        self._outcome = Notice("info", "")
        self._outcome.hide()
        self._silent = Notice("clock", "")
        self._silent.hide()
        self.end = ConfirmRow(_END, "End it now", "x", "Wait")
        self._silent.acted.connect(self.end.show)
        self.end.confirmed.connect(lambda: self.asked.emit("end"))
        self.body.addWidget(self._outcome)
        self.body.addWidget(self._silent)
        self.body.addWidget(self.end)
        self._warnings = column()
        self.body.addLayout(self._warnings)
        self._build_charts(theme)
        self.samples = SampleList()
        self.about = AboutRun()
        self.log = RunLog(self._view)
        self.body.addWidget(self.samples)
        self.body.addWidget(self.about)
        self.body.addWidget(self.log)
        self.body.addStretch(1)
        self._redraw = Redraw(self._draw, self)
        follower.changed.connect(self._changed)
        follower.conditionChanged.connect(self._show_condition)
        self._draw()

    def _head(self) -> QHBoxLayout:
        line = row(spacing=t.SPACE_M)
        back = Button("All runs", "quiet", "chevron-left", keymap.text("back"))
        back.clicked.connect(self.closed)
        self.pause = Button("Pause", icon="pause")
        self.resume = Button("Resume", icon="play")
        self.stop = Button("Stop and keep", icon="stop")
        self.stop.setToolTip("End now and keep what it has learnt")
        self.cancel = Button("Cancel", "quiet", "x")
        self.cancel.setToolTip("End and keep nothing of it")
        asks = "How well does it judge?" if self._config.algorithm == "reward" else "Is it better?"
        self.judge = Button(asks, "primary", "evaluate")
        self.judge.setToolTip("See in Evaluate how good the result is")
        self.chat = Button("Chat with it", icon="chat")
        self.chat.clicked.connect(self.tried)
        self.judge.clicked.connect(self.judged)
        for button, action in ((self.pause, "pause"), (self.resume, "resume"), (self.stop, "stop"), (self.cancel, "cancel")):
            button.clicked.connect(lambda _checked=False, action=action: self.asked.emit(action))
        line.addWidget(back)
        line.addStretch(1)
        for button in (self.cancel, self.pause, self.stop, self.resume, self.chat, self.judge):
            button.hide()
            line.addWidget(button)
        return line

    def _progress(self, chain: Sequence[str]) -> QVBoxLayout:
        box = column()
        self.chip = StateChip()
        self._headline = title("")
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName("Progress of this run")
        self._facts = TermLabel("", tone="muted", wrap=True)
        self.name = TermLabel(self._config.title, "heading")
        name = row(spacing=t.SPACE_M)
        name.addWidget(self.name)
        name.addWidget(self.chip, 1)
        box.addLayout(name)
        marked = f", marked by {self._config.reward.name}" if self._config.reward else ""
        box.addWidget(term_caption(f"{self._recipe.title} ({self._recipe.technical}){marked}"))
        self.lineage = LineageStrip()
        self.lineage.show_chain(chain or (self._config.base.name, self._config.title))
        box.addWidget(self.lineage)
        box.addSpacing(t.SPACE_S)
        for part in (self._headline, self._bar, self._facts):
            box.addWidget(part)
        return box

    def release(self) -> None:
        """Before the page is deleted: nothing is drawn any more."""
        self._redraw.stop()
        self._turns.clear()
        self._follower.changed.disconnect(self._changed)
        self._follower.conditionChanged.disconnect(self._show_condition)
        for card in self.charts:
            card.release()

    def _build_charts(self, theme: Theme) -> None:
        self._grid = QGridLayout()
        self._grid.setSpacing(t.SPACE_M)
        self._theme = theme
        self._to_come = list(CHARTS[self._config.algorithm])
        self.charts: list[ChartCard] = []
        self._turns = InTurn(self)
        self.body.addLayout(self._grid)

    def _changed(self, _types: set[str]) -> None:
        self._redraw.ask()

    def _draw(self) -> None:
        self._show_facts()
        self._show_charts()
        self._show_warnings()
        self.samples.refresh(self._view)
        self.log.refresh()
        if self._follower.condition:
            self._show_condition(self._follower.condition)

    def _show_facts(self) -> None:
        self._facts.setText("     ".join(f"{name} {value}" for name, value in self._view.facts()))
        fraction = self._view.fraction
        self._bar.setRange(0, 0 if fraction is None else 1000)
        self._bar.setValue(round(1000 * (fraction or 0)))

    def _show_charts(self) -> None:
        self._turns.draw(self.charts, self._view)
        ready = next((chart for chart in self._to_come if any(c.metric in self._view.series for c in chart.curves)), None)
        if ready is not None:
            self._to_come.remove(ready)
            self._add_chart(ready)
            self._redraw.start()  # a chart takes 20 ms to make: one at a time

    def _add_chart(self, chart: Chart) -> None:
        card, place = ChartCard(chart, self._theme), len(self.charts)
        self.charts.append(card)
        self._grid.addWidget(card, place // 2, place % 2)
        self._grid.setColumnStretch(place % 2, 1)
        card.refresh(self._view)

    def _show_warnings(self) -> None:
        if self._warnings.count() == len(self._view.warnings):
            for notice, message in zip(widgets_in(self._warnings, Notice), self._view.warnings.values(), strict=True):
                notice.say("alert", message, "warning")
            return
        clear(self._warnings)
        for message in self._view.warnings.values():
            self._warnings.addWidget(Notice("alert", message, "warning"))

    def _show_condition(self, condition: RunCondition) -> None:
        state = condition.state
        live = state in LIVE
        self.chip.show_state(state, condition.slow, condition.hung, condition.asked or "")
        self._show_silence(condition)
        self._headline.setText(
            self._live_headline(condition) if state in ("starting", "running") else self._ended_headline(condition)
        )
        self._bar.setVisible((live and state != "queued") or (bool(self._view.fraction) and state != "done"))
        result = self._result.sentence if self._result else ""
        sentence = outcome_sentence(state, condition.message, condition.hint, self._view, result)
        tone, icon = STATES[state].tone, STATES[state].icon
        if state == "done" and not (self._result and self._result.ready):
            tone, icon = "muted", "info"  # it has ended well, which says nothing of its result
        self._outcome.say(icon, sentence, tone if tone != "muted" else "text")
        self._outcome.setVisible(bool(sentence) and state not in ("starting", "running"))
        self._offer(condition, live)

    def show_result(self, result: Outcome) -> None:
        """What a comparison, or the choices it has not seen, say of the result; before that, nothing is praised."""
        self._result = result
        if self._follower.condition:
            self._show_condition(self._follower.condition)

    def _live_headline(self, condition: RunCondition) -> str:
        return self._view.obeying(OBEYING[condition.asked].word) if condition.asked else self._view.headline(slow=condition.slow)

    def _show_silence(self, condition: RunCondition) -> None:
        """A run without a step for long; its process can be ended where it stands still as well."""
        self._silent.setVisible(condition.slow)
        self.end.setVisible(condition.hung and not self.end.isHidden())
        silent = words.duration(condition.status.signs.silent_s)
        if condition.hung:
            self._silent.say("alert", _HUNG.format(silent), "danger", "End it now…")
        else:
            self._silent.say("clock", _SLOW.format(silent), "warning")

    def _offer(self, condition: RunCondition, live: bool) -> None:
        """The buttons that make sense now."""
        state, made = condition.state, self._view.artifact if condition.state in _TRIED else None
        for button, action in ((self.pause, "pause"), (self.stop, "stop"), (self.cancel, "cancel")):
            button.setEnabled(condition.asked != action)  # it was heard
        for button in (self.pause, self.stop):
            button.setVisible(live)
        self.cancel.setVisible(live or state in ("paused", "interrupted"))
        self.resume.setVisible(condition.resumable)
        self.resume.set_kind("normal" if state == "stopped" and made else "primary")
        self.chat.setVisible(made is not None and made.kind == "policy")
        self.judge.setVisible(made is not None)
        self.about.adopt.setVisible(made is not None and made.kind == "policy")

    def _ended_headline(self, condition: RunCondition) -> str:
        if condition.state == "done":
            return f"Finished: {self._recipe.makes} is ready" if self._result and self._result.ready else "Finished"
        share = f" at {self._view.fraction:.0%}" if self._view.fraction and condition.state != "queued" else ""
        return f"{STATES[condition.state].word}{share}"
