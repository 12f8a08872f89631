"""Start from … → makes …: the panel that opens under the recipe cards. Not modal; what is chosen in it stays when it is closed."""

import contextlib
from collections.abc import Mapping, Sequence

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QWidget

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.recipes import Algorithm
from rlhf_desktop.core.runs import AdapterRef
from rlhf_desktop.operations.preflight import Preflight
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.train import plan
from rlhf_desktop.ui.train.lineage import LineageStrip
from rlhf_desktop.ui.train.preflightview import PreflightView
from rlhf_desktop.ui.train.settingsform import SettingsForm
from rlhf_desktop.ui.train.wording import RECIPES
from rlhf_desktop.ui.widgets.buttons import Button, SegmentedControl
from rlhf_desktop.ui.widgets.fields import Form, choice
from rlhf_desktop.ui.widgets.saved_state import KeptForm, Values
from rlhf_desktop.ui.widgets.surfaces import Card, Notice, row
from rlhf_desktop.ui.widgets.text import caption, heading

_SETTLE_MS = 250  # after the last change, before what it takes is worked out
_START, _STARTING = "Start", "Checking and starting…"


class StartPanel(Card):
    """Asks what a run needs and emits `started` with a checked `StartRequest`, or `cancelled`."""

    started = Signal(object)
    planChanged = Signal(object)  # a checked StartRequest, shortly after the choices have changed
    cancelled = Signal()

    def __init__(
        self,
        algorithm: Algorithm,
        base_name: str,
        policies: Sequence[AdapterRef],
        rewards: Sequence[AdapterRef],
        taken: set[str],
        current: AdapterRef | None,
        chains: Mapping[str, Sequence[str]] | None = None,
        draft: Values | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent=parent)
        recipe = RECIPES[algorithm]
        self.algorithm, self._taken, self._named, self._refused = algorithm, taken, False, False
        self._base_name, self._chains = base_name, chains or {}
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(_SETTLE_MS)
        self._settled.timeout.connect(self.tell_plan)
        self.setAccessibleName(f"Start: {recipe.title}")
        self.body.setSpacing(t.SPACE_L)
        self.body.addWidget(heading(recipe.title))
        self.body.addWidget(TermLabel(recipe.sentence, tone="muted", wrap=True))
        self._start = _adapter_box("Start from", policies, f"{base_name} as it is", current)
        self._reward = _adapter_box("Reward model", rewards, "", None)
        self._name = QLineEdit()
        self._name.setAccessibleName("Name of the result")
        self._name.setMaxLength(80)
        self._preset = SegmentedControl("Preset", [(p.name, p) for p in plan.PRESETS], plan.USUAL)
        self._preset_words = caption("")
        self.lineage = LineageStrip()
        self.body.addWidget(self.lineage)
        self.body.addLayout(self._form(algorithm))
        self._build_advanced(algorithm)
        self._trouble = Notice("alert", "", "danger")
        self._trouble.hide()
        self.preflight = PreflightView()
        self.body.addWidget(self.preflight)
        self.body.addWidget(self._trouble)
        self.body.addLayout(self._buttons())
        self._wire()
        self._choose_preset(plan.USUAL)
        self._suggest_name()
        self._keep_what_is_chosen(draft)
        self._changed()

    def _keep_what_is_chosen(self, draft: Values | None) -> None:
        """What differs from the usual is kept until a run has started with it."""
        settings = {f"setting:{name}": field.field for name, field in self.form.fields.items()}
        self.kept = KeptForm({"start": self._start, "reward": self._reward, "name": self._name, **settings}, parent=self)
        self._named = draft is not None
        self._usual = Button("Back to the usual settings", "link")
        self._usual.clicked.connect(self._use_usual)
        line = row(spacing=t.SPACE_S)
        line.addWidget(self.kept.words)
        line.addWidget(self._usual)
        line.addStretch(1)
        self.body.insertLayout(self.body.count() - 1, line)
        self.kept.take_up(draft)  # now that its words have a place: before, they would be a window of their own
        self.kept.changed.connect(self._show_kept)
        self._show_kept(self.kept.dirty)

    def _show_kept(self, on: bool) -> None:
        self.kept.words.setText("Not as usual; kept until you start it." if on else "")
        self._usual.setVisible(on)

    def _use_usual(self) -> None:
        self._named = False
        self.kept.discard()
        self._preset.set_value(plan.USUAL)
        self._choose_preset(plan.USUAL)
        self._suggest_name()
        self._name.setFocus()

    def _form(self, algorithm: Algorithm) -> Form:
        form = Form()
        form.add("Start from", self._start)
        if algorithm == "ppo":
            form.add("Marked by", self._reward)
        form.add("Makes", self._name)
        presets = row()
        presets.addWidget(self._preset)
        presets.addWidget(self._preset_words, 1)
        form.add("How long", presets)
        return form

    def _build_advanced(self, algorithm: Algorithm) -> None:
        self._fold = Button("Advanced settings", "quiet", "chevron-right")
        self._fold.setCheckable(True)
        self._fold.setToolTip("Every setting of this run; the defaults are good")
        self.form = SettingsForm(algorithm)
        self.form.hide()
        line = row()
        line.addWidget(self._fold)
        line.addStretch(1)
        self.body.addLayout(line)
        self.body.addWidget(self.form)

    def _buttons(self) -> QHBoxLayout:
        line = row(spacing=t.SPACE_M)
        self.button = Button(_START, "primary")
        cancel = Button("Close", "quiet")
        cancel.clicked.connect(self.cancelled)
        line.addWidget(self.button)
        line.addWidget(cancel)
        line.addWidget(caption("It runs in the background, even with the window closed."), 1)
        return line

    def _wire(self) -> None:
        self.button.clicked.connect(self._submit)
        self._fold.toggled.connect(self._unfold)
        self._preset.changed.connect(self._choose_preset)
        self._start.currentIndexChanged.connect(self._suggest_name)
        self._name.textEdited.connect(self._rename)
        self.form.edited.connect(self._changed)
        for box in (self._start, self._reward):
            box.currentIndexChanged.connect(self._changed)
        self._name.textChanged.connect(self._show_lineage)

    def fail(self, message: str) -> None:
        """Say why the run could not be queued; everything typed stays."""
        self.button.set_text(_START)
        self._trouble.say("alert", message, "danger")
        self._trouble.setVisible(bool(message))
        self._show_startable()

    def focus_first(self) -> None:
        """Put the focus where typing makes sense."""
        self._name.setFocus()
        self._name.selectAll()

    def _unfold(self, on: bool) -> None:
        self.form.setVisible(on)
        self._fold.set_icon("chevron-down" if on else "chevron-right")

    def _choose_preset(self, preset: plan.Preset) -> None:
        self.form.set_values(plan.preset_values(self.algorithm, preset))
        self._preset_words.setText(preset.sentence)

    def _rename(self) -> None:
        self._named = True

    def _suggest_name(self) -> None:
        if not self._named:
            self._name.setText(plan.suggested_title(self.algorithm, self._start.currentData(), self._taken))

    def show_preflight(self, found: Preflight) -> None:
        """Show what the run takes; a refusal keeps Start shut."""
        self.preflight.show_preflight(found)
        self._refused = bool(found.refusals)
        self._show_startable()

    def _changed(self) -> None:
        """The choices are others now."""
        self._refused = False
        self.preflight.show_waiting()
        self._show_startable()
        self._show_lineage()
        self._settled.start()

    def _show_startable(self) -> None:
        waits = self.button.text() == _STARTING  # for the answer to having been pressed
        self.button.setEnabled(self.form.valid() and not self._refused and not waits)

    def _show_lineage(self) -> None:
        start = self._start.currentData()
        before = self._chains.get(start.hash, (start.name,)) if start else ()
        self.lineage.show_chain([self._base_name, *before, self._name.text().strip() or "…"])

    def tell_plan(self) -> None:
        """Say what would be started now, if it can be."""
        with contextlib.suppress(BadInput):  # said when Start is pressed, and beside the field
            self.planChanged.emit(self._request())

    def _request(self) -> plan.StartRequest:
        start = self._start.currentData()
        reward = self._reward.currentData() if self.algorithm == "ppo" else None
        return plan.check_request(plan.StartRequest(self.algorithm, self._name.text(), start, reward, self.form.values()))

    def _submit(self) -> None:
        try:
            request = self._request()
        except BadInput as trouble:
            self.fail(str(trouble))
            return
        self.button.setEnabled(False)
        self.button.set_text(_STARTING)
        self._trouble.hide()
        self.started.emit(request)


def _adapter_box(name: str, refs: Sequence[AdapterRef], nothing: str, chosen: AdapterRef | None) -> QComboBox:
    """A choice of adapters, newest first; `nothing` is the choice of none, left out when empty."""
    box = choice(name)
    if nothing:
        box.addItem(nothing, None)
    for ref in refs:
        box.addItem(ref.name, ref)
        if chosen is not None and ref.hash == chosen.hash:
            box.setCurrentIndex(box.count() - 1)
    if not box.count():
        box.addItem("None yet: run “Learn my preferences” first", None)
    return box
