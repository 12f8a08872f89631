"""What a run will take and whether anything stands in its way, before it starts: the cost, then each finding with its remedy."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from rlhf_desktop.operations.checkup import Finding
from rlhf_desktop.operations.estimates import Estimate
from rlhf_desktop.operations.preflight import Preflight
from rlhf_desktop.ui import words
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import Card, Meter, clear, column, row
from rlhf_desktop.ui.widgets.text import IconLabel, caption

_SIGNS: dict[str, tuple[str, t.Role]] = {"well": ("check", "success"), "note": ("info", "warning"), "trouble": ("alert", "danger")}


class PreflightView(Card):
    """Shows a `Preflight`. What is well is folded; what needs a look is not. Emits `measureAsked` for the time."""

    measureAsked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(kind="turn", parent=parent)
        self.setAccessibleName("What it takes")
        head = row(spacing=t.SPACE_M)
        self._icon = IconLabel("clock", "muted")
        self.cost = TermLabel("Working out what it takes…", strong=True, wrap=True)
        self.measure = Button("How long?", icon="clock")
        self.measure.setToolTip("Measure once how fast this computer is with this model: a minute or so")
        self.measure.clicked.connect(self.measureAsked)
        self.measure.hide()
        head.addWidget(self._icon)
        head.addWidget(self.cost, 1)
        head.addWidget(self.measure)
        self.body.addLayout(head)
        self.meter = Meter("Measuring this computer")
        self.meter.hide()
        self.body.addWidget(self.meter)
        self._open = column(spacing=t.SPACE_S)
        self.body.addLayout(self._open)
        self._well = QWidget()
        self._well_box = column(self._well, 0, t.SPACE_S)
        self._well.hide()
        self.fold = Button("Checked", "quiet", "chevron-right")
        self.fold.setCheckable(True)
        self.fold.toggled.connect(self._unfold)
        self.fold.hide()
        line = row()
        line.addWidget(self.fold)
        line.addStretch(1)
        self.body.addLayout(line)
        self.body.addWidget(self._well)

    def show_waiting(self) -> None:
        """The choices have changed; what was found belongs to others."""
        self.cost.setText("Working out what it takes…")
        self._icon.set_icon("clock", "muted")

    def show_measuring(self) -> None:
        """The computer's speed is being measured."""
        self.measure.hide()
        self.meter.show()
        self.meter.set_value(0, 0, "Measuring this computer: a minute or so")

    def show_preflight(self, found: Preflight) -> None:
        """Show what was found."""
        self.meter.hide()
        self._show_cost(found.estimate, bool(found.refusals))
        clear(self._open)
        clear(self._well_box)
        well = [finding for finding in found.findings if finding.state == "well"]
        for finding in found.findings:
            (self._well_box if finding.state == "well" else self._open).addWidget(_finding(finding))
        self.fold.set_text(f"Checked: {words.count(len(well), 'thing is', 'things are')} well")
        self.fold.setVisible(bool(well))

    def _show_cost(self, found: Estimate | None, refused: bool) -> None:
        if refused:
            self.cost.setText("It can't start yet.")
        elif found is None:
            self.cost.setText("What it takes is not known.")
        else:
            fit = {True: "It fits. ", False: "It is tight. ", None: ""}[found.fits]
            self.cost.setText(f"{fit}{found.sentence}")
        tight = found is not None and found.fits is False
        self._icon.set_icon("alert" if refused or tight else "cpu", "danger" if refused else "warning" if tight else "success")
        self.measure.setVisible(found is not None and found.wall_s is None)

    def _unfold(self, on: bool) -> None:
        self.fold.set_icon("chevron-down" if on else "chevron-right")
        self._well.setVisible(on)


def _finding(finding: Finding) -> QWidget:
    made = QWidget()
    line = row(made, 0, t.SPACE_S)
    icon, tone = _SIGNS[finding.state]
    line.addWidget(IconLabel(icon, tone, t.ICON_SMALL))
    said = column(spacing=2)
    said.addWidget(TermLabel(finding.sentence, wrap=True))
    if finding.remedy and finding.state != "well":
        said.addWidget(caption(finding.remedy, wrap=True))
    line.addLayout(said, 1)
    return made
