"""The sample project: one click, progress in words, then the report."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.operations.demo import DemoEvent
from rlhf_desktop.operations.demo_report import DemoReport
from rlhf_desktop.ui import words
from rlhf_desktop.ui.evaluate.report import ReportView
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import Card, Meter, Notice, column, row

_WHAT = (
    "Written examples, some 200 ranked answers, a reward model and PPO on the small starter model: watch it learn to acknowledge a "
    "customer's trouble before offering a solution. About a quarter of an hour, in the background, in a project of its own."
)


class SampleCard(Card):
    """Explains, starts and follows the sample project, and holds its report."""

    started = Signal()
    stopped = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("See the whole loop on a sample project", parent=parent)
        self.body.addWidget(TermLabel(_WHAT, tone="muted", wrap=True))
        self._step = TermLabel("", strong=True)
        self.meter = Meter("Progress of the sample project")
        self._trouble = Notice("alert", "", "danger")
        for part in (self._step, self.meter, self._trouble):
            part.hide()
            self.body.addWidget(part)
        line = row()
        self.start = Button("Run the sample project", "primary", "play")
        self.stop = Button("Stop", icon="stop")
        self.stop.setToolTip("What is done is kept; starting again goes on")
        self.start.clicked.connect(self.started)
        self.stop.clicked.connect(self.stopped)
        self.stop.hide()
        line.addWidget(self.start)
        line.addWidget(self.stop)
        line.addStretch(1)
        self.body.addLayout(line)
        self._report_place = column(spacing=t.SPACE_L)
        self.body.addLayout(self._report_place)
        self.report: ReportView | None = None

    def show_running(self, on: bool) -> None:
        """Started or ended."""
        self.start.setVisible(not on)
        self.stop.setVisible(on)
        self._step.setVisible(on)
        self.meter.setVisible(on)
        if on:
            self._trouble.hide()
            self._step.setText("Getting ready…")
            self.meter.set_value(0, 0)

    def show_progress(self, event: DemoEvent) -> None:
        """Where it is."""
        whole = "" if event.foreseen_s is None else f"  ·  about {words.duration(event.foreseen_s)} in all"
        self._step.setText(f"Step {event.number} of {event.of}: {event.title}{whole}")
        left = f"about {words.duration(event.eta_s)} left in this step" if event.eta_s else ""
        said = "  ·  ".join(part for part in (event.text, left) if part)
        done = event.number - 1 + (event.fraction or 0.0)
        self.meter.set_value(done, event.of, said)

    def show_trouble(self, trouble: AppError) -> None:
        """It ended early; starting again goes on."""
        self.show_running(False)
        self._trouble.say("alert", str(trouble), "danger")
        self._trouble.show()
        self.start.set_text("Go on")

    def show_report(self, report: DemoReport) -> None:
        """It came to its end."""
        self.show_running(False)
        self.start.set_text("Run it again")
        if self.report is not None:
            self.report.hide()
            self.report.deleteLater()
        self.report = ReportView(report)
        self._report_place.addWidget(self.report)
