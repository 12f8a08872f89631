"""A run's page: where it is, what it costs, whether it learns, and what to do next. The same live, replayed and ended."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QPlainTextEdit, QProgressBar, QWidget

from rlhf_desktop.core.runs import RunConfig
from rlhf_desktop.jobs.runfolder import RunCondition
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.style import Theme
from rlhf_desktop.ui.train.charts import ChartCard, Redraw
from rlhf_desktop.ui.train.follower import RunFollower
from rlhf_desktop.ui.train.runview import outcome_sentence
from rlhf_desktop.ui.train.samples import SampleList
from rlhf_desktop.ui.train.statechip import StateChip
from rlhf_desktop.ui.train.wording import CHARTS, LIVE, RECIPES, STATES
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import Notice, Page, clear, column, row
from rlhf_desktop.ui.widgets.text import Label, caption, title

_TRIED = ("done", "stopped")  # states that leave something to chat with


class RunPage(Page):
    """Shows one run through its follower. Emits `asked` with pause, resume or stop, `tried` for "Chat with it"."""

    closed = Signal()
    asked = Signal(str)
    tried = Signal()

    def __init__(self, config: RunConfig, follower: RunFollower, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(t.WIDE_WIDTH, parent)
        self._config, self._follower, self._view = config, follower, follower.view
        self._recipe = RECIPES[config.algorithm]
        self.body.addLayout(self._head())
        self.body.addLayout(self._progress())
        self._outcome = Notice("info", "")
        self._outcome.hide()
        self.body.addWidget(self._outcome)
        self._warnings = column()
        self.body.addLayout(self._warnings)
        self._build_charts(theme)
        self.samples = SampleList()
        self.body.addWidget(self.samples)
        self._build_log()
        self.body.addStretch(1)
        self._redraw = Redraw(self._draw, self)
        follower.changed.connect(self._changed)
        follower.conditionChanged.connect(self._show_condition)
        self._draw()

    def _head(self):
        line = row(spacing=t.SPACE_M)
        back = Button("All runs", "quiet", "chevron-left", "Alt+Left")
        back.clicked.connect(self.closed)
        self.chip = StateChip()
        self.pause = Button("Pause", icon="pause")
        self.resume = Button("Resume", icon="play")
        self.stop = Button("Stop", icon="stop")
        self.stop.setToolTip("End now and keep what it has learnt")
        self.chat = Button("Chat with it", "primary", "chat")
        self.chat.clicked.connect(self.tried)
        for button, action in ((self.pause, "pause"), (self.resume, "resume"), (self.stop, "stop")):
            button.clicked.connect(lambda _checked=False, action=action: self.asked.emit(action))
        line.addWidget(back)
        line.addStretch(1)
        for button in (self.pause, self.resume, self.stop, self.chat):
            button.hide()
            line.addWidget(button)
        return line

    def _progress(self):
        box = column()
        self._kind = caption(self._makes())
        self._headline = title("")
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName("Progress of this run")
        self._facts = Label("", tone="muted", wrap=True)
        name = row(spacing=t.SPACE_M)
        name.addWidget(Label(self._config.title, "heading"))
        name.addWidget(self.chip, 1)
        box.addLayout(name)
        box.addWidget(self._kind)
        box.addSpacing(t.SPACE_S)
        for part in (self._headline, self._bar, self._facts):
            box.addWidget(part)
        return box

    def release(self) -> None:
        """Before the page is deleted: nothing is drawn any more."""
        self._redraw.stop()
        self._follower.changed.disconnect(self._changed)
        self._follower.conditionChanged.disconnect(self._show_condition)
        for card in self.charts:
            card.release()

    def _makes(self) -> str:
        start = self._config.start.name if self._config.start else self._config.base.name
        marked = f", marked by {self._config.reward.name}" if self._config.reward else ""
        return f"{self._recipe.title} ({self._recipe.technical}), starting from {start}{marked}"

    def _build_charts(self, theme: Theme) -> None:
        self._grid = QGridLayout()
        self._grid.setSpacing(t.SPACE_M)
        self.charts = [ChartCard(chart, theme) for chart in CHARTS[self._config.algorithm]]
        for card in self.charts:
            card.hide()
        self.body.addLayout(self._grid)

    def _build_log(self) -> None:
        self._fold = Button("Log", "quiet", "chevron-right")
        self._fold.setCheckable(True)
        self._fold.toggled.connect(self._unfold)
        line = row()
        line.addWidget(self._fold)
        line.addStretch(1)
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setAccessibleName("Log of this run")
        self.log.setProperty("code", True)
        self.log.setMinimumHeight(t.CHART_HEIGHT * 2)
        self.log.hide()
        self.body.addLayout(line)
        self.body.addWidget(self.log)

    def _unfold(self, on: bool) -> None:
        self._fold.set_icon("chevron-down" if on else "chevron-right")
        self.log.setVisible(on)
        self._draw()

    def _changed(self, _types: set[str]) -> None:
        self._redraw.ask()

    def _draw(self) -> None:
        self._show_facts()
        self._show_charts()
        self._show_warnings()
        self.samples.refresh(self._view)
        if self.log.isVisible():
            self.log.setPlainText("\n".join(self._view.log))
        if self._follower.condition:
            self._show_condition(self._follower.condition)

    def _show_facts(self) -> None:
        self._facts.setText("     ".join(f"{name} {value}" for name, value in self._view.facts()))
        fraction = self._view.fraction
        self._bar.setRange(0, 0 if fraction is None else 1000)
        self._bar.setValue(round(1000 * (fraction or 0)))

    def _show_charts(self) -> None:
        shown = [card for card in self.charts if card.refresh(self._view)]
        for place, card in enumerate(shown):
            if card.isHidden():
                self._grid.addWidget(card, place // 2, place % 2)
                self._grid.setColumnStretch(place % 2, 1)
                card.show()

    def _show_warnings(self) -> None:
        if self._warnings.count() == len(self._view.warnings):
            for place, message in enumerate(self._view.warnings.values()):
                self._warnings.itemAt(place).widget().say("alert", message, "warning")
            return
        clear(self._warnings)
        for message in self._view.warnings.values():
            self._warnings.addWidget(Notice("alert", message, "warning"))

    def _show_condition(self, condition: RunCondition) -> None:
        state = condition.state
        self.chip.show_state(state, condition.not_responding)
        live = state in LIVE
        self._headline.setText(self._view.headline() if state in ("starting", "running") else self._ended_headline(condition))
        self._bar.setVisible((live and state != "queued") or (bool(self._view.fraction) and state != "done"))
        sentence = outcome_sentence(state, condition.message, condition.hint, self._view, self._recipe.makes)
        tone = STATES[state].tone
        self._outcome.say(STATES[state].icon, sentence, tone if tone != "muted" else "text")
        self._outcome.setVisible(bool(sentence) and state not in ("starting", "running", "done"))
        self.pause.setVisible(live)
        self.stop.setVisible(live)
        self.resume.setVisible(condition.resumable)
        self.resume.set_kind("normal" if state == "stopped" else "primary")
        self.chat.setVisible(state in _TRIED and self._view.artifact is not None and self._view.artifact.kind == "policy")

    def _ended_headline(self, condition: RunCondition) -> str:
        if condition.state == "done":
            return f"Finished: {self._recipe.makes} is ready"
        share = f" at {self._view.fraction:.0%}" if self._view.fraction and condition.state != "queued" else ""
        return f"{STATES[condition.state].word}{share}"
