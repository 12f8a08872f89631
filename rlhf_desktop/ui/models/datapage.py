"""Publishing comparisons on the Hub: tick, look through, say what it is, see exactly what goes, and only then send it."""

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QPlainTextEdit, QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.hub.privacy import LABELS
from rlhf_desktop.hub.push import Pushed, PushPlan
from rlhf_desktop.operations.audit import head_words, note_published
from rlhf_desktop.operations.publishing import COLUMNS, NEEDED_COLUMNS, DatasetDraft
from rlhf_desktop.ui import words
from rlhf_desktop.ui.background import LongWork
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.models.datarows import FindsModel, RowsModel, TickTable
from rlhf_desktop.ui.models.datawork import Asked, Choices, Reached, gather, whole_text
from rlhf_desktop.ui.models.planview import PlanView
from rlhf_desktop.ui.models.publishform import PublishForm
from rlhf_desktop.ui.models.work import HubWork, send
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button, SegmentedControl
from rlhf_desktop.ui.widgets.fields import choice
from rlhf_desktop.ui.widgets.flow import Flow
from rlhf_desktop.ui.widgets.surfaces import Card, Meter, Notice, Page, row
from rlhf_desktop.ui.widgets.text import caption, title

_SHOWS = [("All", "all"), ("Something found", "found"), ("Left out", "left out")]


class DataPage(Page):
    """A page, not a dialogue: there is time to read it. Nothing is sent before Publish."""

    left = Signal()

    def __init__(self, context: Context, hub: HubWork, parent: QWidget | None = None) -> None:
        super().__init__(t.CONTENT_WIDTH, parent)
        self._context, self._hub = context, hub
        self.choices: Choices | None = None
        self.plan: PushPlan | None = None
        self._asked = Asked()
        self._generation = 0  # what was changed while a plan was made is not in it
        self.looking = LongWork("looking through the comparisons", parent=self)
        self.planning = LongWork("preparing the files", parent=self)
        self.sending = LongWork("publishing", "Publish again: what has arrived is not sent twice.", self)
        self._build()
        self._connect()

    # --- parts

    def _build(self) -> None:
        head = row()
        head.addWidget(title("Publish comparisons"), 1)
        self.back = Button("Back to Models", "quiet", icon="chevron-left")
        head.addWidget(self.back, 0, Qt.AlignmentFlag.AlignBottom)
        self.body.addLayout(head)
        said = (
            "As a dataset on the Hugging Face Hub, in the form TRL and others train from. Nothing is sent before you press Publish."
        )
        self.body.addWidget(TermLabel(said, tone="muted", wrap=True))
        self.notice = Notice("info", "")
        self.notice.hide()
        self.body.addWidget(self.notice)
        self.meter = Meter("Looking through the comparisons")
        self.stop = Button("Stop", "quiet", icon="stop")
        line = row(spacing=t.SPACE_M)
        line.addWidget(self.meter, 1)
        line.addWidget(self.stop, 0, Qt.AlignmentFlag.AlignTop)
        self.body.addLayout(line)
        self.cards = (self._what(), self._privacy(), self._about(), self._exactly())
        for card in self.cards:
            self.body.addWidget(card)
        self.body.addStretch(1)
        self._working(False)

    def _what(self) -> Card:
        card = Card("1  What goes")
        columns = Flow(t.SPACE_L)
        self.columns: dict[str, QCheckBox] = {}
        for name, holds in COLUMNS.items():
            tick = QCheckBox(name)
            tick.setAccessibleName(f"Column {name}: {holds}")
            tick.setToolTip(holds)
            tick.setChecked(name in NEEDED_COLUMNS)
            tick.setEnabled(name not in NEEDED_COLUMNS)
            self.columns[name] = tick
            columns.addWidget(tick)
        card.body.addLayout(columns)
        self.shown = SegmentedControl("Rows shown", _SHOWS, "all")
        self.tick_all, self.untick_all = Button("Tick those shown"), Button("Leave those shown out")
        card.body.addLayout(_across(self.shown, self.tick_all, self.untick_all))
        self.rows: TickTable[RowsModel] = TickTable("Rows to publish", 2 * t.CHART_HEIGHT)
        card.body.addWidget(self.rows)
        self.count = caption("", wrap=True)
        card.body.addWidget(self.count)
        self.detail = _reading("The chosen row as it would be published", t.CHART_HEIGHT)
        card.body.addWidget(self.detail)
        return card

    def _privacy(self) -> Card:
        card = Card("2  What may tell who somebody is")
        said = (
            "What is ticked is replaced by its kind, as in “write to [e-mail]”. Take the tick away from what is harmless. "
            "This helps your eye; it does not replace it."
        )
        card.body.addWidget(caption(said, wrap=True))
        self.kind = choice("Kind shown")
        self.kind.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.kind.setMinimumContentsLength(len("Everything found (12,345)"))  # its entries come later
        self.replace_all, self.keep_all = Button("Replace those shown"), Button("Keep those shown")
        card.body.addLayout(_across(self.kind, self.replace_all, self.keep_all))
        self.finds: TickTable[FindsModel] = TickTable("What was found", 2 * t.CHART_HEIGHT)
        card.body.addWidget(self.finds)
        self.staying = TermLabel("", wrap=True)
        card.body.addWidget(self.staying)
        self.sure = QCheckBox("I have looked at what stays as it is")
        self.sure.setAccessibleName(self.sure.text())
        card.body.addWidget(self.sure)
        return card

    def _about(self) -> Card:
        card = Card("3  What it is, and who may read it")
        self.form = PublishForm(False, languages=True)
        card.body.addWidget(self.form)
        return card

    def _exactly(self) -> Card:
        card = Card("4  Exactly what would be sent")
        self.files = PlanView()
        self.files.hide()
        card.body.addWidget(self.files)
        self.offline = Notice("wifi-off", "", "muted")
        card.body.addWidget(self.offline)
        self.preview = Button("Show exactly what would be sent", "primary", icon="search")
        self.send = Button("Publish", "primary", icon="upload")
        self.send.hide()
        across = row()
        across.addWidget(self.preview)
        across.addWidget(self.send)
        across.addStretch(1)
        card.body.addLayout(across)
        return card

    def _connect(self) -> None:
        """Every connection of this page."""
        self.back.clicked.connect(self._leave)
        self.stop.clicked.connect(self._stop)
        for tick in self.columns.values():
            tick.toggled.connect(self._columns_changed)
        self.shown.changed.connect(self._show_rows)
        self.tick_all.clicked.connect(lambda: self.rows.tick_all(True))
        self.untick_all.clicked.connect(lambda: self.rows.tick_all(False))
        self.replace_all.clicked.connect(lambda: self.finds.tick_all(True))
        self.keep_all.clicked.connect(lambda: self.finds.tick_all(False))
        self.kind.activated.connect(self._show_kind)
        self.sure.toggled.connect(self._refresh)
        self.form.changed.connect(self._changed)
        self.preview.clicked.connect(self._prepare)
        self.send.clicked.connect(self.publish)
        self._context.session.networkChanged.connect(self._show_network)
        self._context.session.projectChanged.connect(self._leave)
        for work, done in ((self.looking, self._looked), (self.planning, self._planned), (self.sending, self._sent)):
            work.progressed.connect(self._reached)
            work.succeeded.connect(done)
            work.failed.connect(self._failed)
            work.stopped.connect(self._stopped if work is self.looking else lambda: self._working(False))
        self._show_network()

    # --- looking through

    def begin(self) -> None:
        """Gather the project's comparisons and look through them, unless something is under way."""
        if self.busy:
            return
        self.choices, self.plan = None, None
        self.notice.hide()
        for card in self.cards:
            card.hide()
        context, project = self._context, self._context.session.project
        self._context.tasks.run(
            self._hub.keeper.get, on_success=lambda token: self.form.show_token(token is not None), on_failure=self._failed
        )
        self._working(True)
        self.looking.start(lambda tell: gather(context.store.path, project, tell))
        self.stop.setFocus(Qt.FocusReason.PopupFocusReason)  # on purpose: it starts nothing

    def _looked(self, draft: DatasetDraft) -> None:
        self._working(False)
        self.choices = Choices(draft)
        for name, tick in self.columns.items():
            tick.setChecked(name in NEEDED_COLUMNS)
        for card in self.cards:
            card.show()
        self.shown.set_value("all")
        self._show_rows()
        finds = FindsModel(self.choices)
        finds.ticked.connect(self._changed)
        self.finds.show_model(finds, (8, 24, 26, 7, 0))
        self._offer_kinds()
        self.sure.setChecked(False)
        self._changed()
        self.rows.setFocus()

    def _show_rows(self, _shown: object = None) -> None:
        if self.choices is None:
            return
        rows = RowsModel(self.choices, str(self.shown.value()))
        rows.ticked.connect(self._rows_changed)
        self.rows.show_model(rows, (6, 10, 0, 0, 0, 6))
        self.rows.selectionModel().currentRowChanged.connect(lambda _now, _before: self._show_row())
        if rows.rowCount():
            self.rows.selectRow(0)
        self._show_row()

    def _show_row(self) -> None:
        rows, at = self.rows.shown, self.rows.currentIndex().row()
        if self.choices is not None and rows is not None and 0 <= at < rows.rowCount():
            self.detail.setPlainText(whole_text(self.choices.published(rows.number(at))))
        else:
            self.detail.setPlainText("")

    def _offer_kinds(self) -> None:
        groups = self.choices.groups() if self.choices is not None else []
        chosen = self.kind.currentData()
        self.kind.clear()
        self.kind.addItem(f"Everything found ({sum(len(group.finds) for group in groups):,})", "")
        for kind, label in LABELS.items():
            if places := sum(len(group.finds) for group in groups if group.kind == kind):
                self.kind.addItem(f"{label} ({places:,})", kind)
        self.kind.setCurrentIndex(max(0, self.kind.findData(chosen)))
        self._show_kind()

    def _show_kind(self) -> None:
        if self.finds.shown is not None:
            self.finds.shown.show(self.kind.currentData())

    # --- ticking

    def _columns_changed(self) -> None:
        if self.choices is not None:
            self.choices.columns = {name for name, tick in self.columns.items() if tick.isChecked()}
            if self.rows.shown is not None:
                self.rows.shown.look_again()
            self._rows_changed()

    def _rows_changed(self) -> None:
        self._offer_kinds()
        self._changed()

    def _changed(self) -> None:
        """What was shown to be sent is not what would be sent now."""
        self._generation += 1
        self.plan = None
        if self.choices is not None:
            self._show_row()
        self._refresh()

    def _refresh(self) -> None:
        if self.choices is None:
            return
        going = len(self.choices.draft.rows) - len(self.choices.left_out)
        out = len(self.choices.left_out)
        self.count.setText(
            f"{words.count(going, 'comparison')} would go"
            + (f", {out:,} stay here" if out else "")
            + ". Space ticks what is selected. Below: the chosen row as it would be published."
        )
        stays = sum(len(group.finds) for group in self.choices.staying())
        found = bool(self.choices.groups())
        said = f"{words.count(stays, 'place')} would go out unchanged." if stays else "Everything found is replaced."
        self.staying.setText(said if found else "Nothing was found. Read some rows all the same.")
        self.staying.set_tone("warning" if stays else "success" if found else "muted")
        self.sure.setVisible(stays > 0)
        ready = going > 0 and (stays == 0 or self.sure.isChecked()) and not self.busy
        self.preview.setEnabled(ready)
        self.preview.set_kind("normal" if self.plan else "primary")
        self.preview.setToolTip("" if ready or self.busy else "Tick a row first, or say that you have looked at what stays.")
        self.files.setVisible(self.plan is not None)
        self.send.setVisible(self.plan is not None)
        self.send.setEnabled(not self.busy and not self._context.session.network.offline)

    # --- exactly what goes

    def _prepare(self) -> None:
        """Make the files as they would go, off this thread."""
        try:
            repo = self.form.repository()
        except AppError as trouble:
            self._failed(trouble)
            self.form.repo.setFocus()
            return
        if self.choices is None:
            return  # nothing has been looked through
        choices, said, heading = self.choices, self.form.statement(), f"{self._context.session.project.name}: comparisons"
        store = self._context.store
        private, tag, generation = not self.form.public.isChecked(), self.form.tag.text().strip(), self._generation
        self.notice.hide()
        self._working(True)
        self._reached(Reached(0, 0, "Preparing the files…"))

        def work(tell: Callable[[Reached], None]) -> tuple[int, PushPlan]:
            made = choices.plan(repo, heading, said, private=private, tag=tag, log=head_words(store))
            tell(Reached(0, 0, "Ready"))  # or stopped meanwhile
            return generation, made

        self.planning.start(work)

    def _planned(self, made: tuple[int, PushPlan]) -> None:
        self._working(False)
        generation, plan = made
        if generation == self._generation:
            self.plan = plan
            self.files.show_plan(plan)
        self._refresh()
        if self.plan:
            self.files.which.setFocus()

    def publish(self) -> None:
        """Send what was shown, and nothing else."""
        plan, hub = self.plan, self._hub
        if plan is None or self.busy:
            return
        typed = self.form.take_token()
        self._asked.reset()
        self.notice.hide()
        self._working(True)

        store, project = self._context.store, self._context.session.project

        def note(done: Pushed) -> None:
            note_published(store, plan, done, project.id)

        self.sending.start(lambda tell: send(hub, plan, typed, tell, self._asked.stopped, note))

    def _sent(self, done: Pushed) -> None:
        self._working(False)
        self._say("success", f"Published: {done.url}. {done.words}", "success")
        self.form.show_token(True)
        self.back.setFocus(Qt.FocusReason.PopupFocusReason)

    # --- while something is under way

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return self.stop.isVisibleTo(self)

    def _working(self, on: bool) -> None:
        self.meter.setVisible(on)
        self.stop.setVisible(on)
        self.stop.setEnabled(True)
        for card in self.cards:
            card.setEnabled(not on)
        if self.choices is not None:
            self._refresh()

    def _reached(self, far: Reached) -> None:
        self.meter.set_value(far.done, far.total, far.words)

    def _stop(self) -> None:
        self.stop.setEnabled(False)
        self._asked.stop()
        self.looking.stop()
        self.planning.stop()

    def _stopped(self) -> None:
        """Only looking through ends so; there is nothing to show then."""
        self._working(False)
        self.left.emit()

    def _failed(self, trouble: AppError) -> None:
        self._working(False)
        self._say("alert", str(trouble), "danger")

    def _say(self, icon: str, text: str, tone: t.Role) -> None:
        self.notice.say(icon, text, tone)
        self.notice.show()
        self.ensureWidgetVisible(self.notice)

    def _show_network(self) -> None:
        rule = self._context.session.network
        self.offline.words.setText(f"Offline is on, so nothing can be published. {rule.why}".strip())
        self.offline.setVisible(rule.offline)
        self._refresh()

    def _leave(self) -> None:
        """Back to the list. What is being sent goes on; looking through ends."""
        self.looking.stop()
        self.left.emit()


def _across(shown: QWidget, *buttons: Button) -> QHBoxLayout:
    """What is shown at the left, what is done with all of it at the right."""
    across = row()
    across.addWidget(shown)
    across.addStretch(1)
    for button in buttons:
        across.addWidget(button)
    return across


def _reading(name: str, height: int) -> QPlainTextEdit:
    made = QPlainTextEdit()
    made.setReadOnly(True)
    made.setTabChangesFocus(True)
    made.setAccessibleName(name)
    made.setFixedHeight(height)
    return made
