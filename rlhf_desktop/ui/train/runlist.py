"""The queue and the past runs, one row each. Rows are kept between refreshes, so the focus stays where it was."""

from collections.abc import Sequence
from datetime import datetime

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QProgressBar, QWidget

from rlhf_desktop.jobs.queue import RunSummary
from rlhf_desktop.ui import words
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.train.statechip import StateChip
from rlhf_desktop.ui.train.wording import LIVE, RECIPES
from rlhf_desktop.ui.widgets.buttons import Button, IconButton
from rlhf_desktop.ui.widgets.surfaces import Card, column, row
from rlhf_desktop.ui.widgets.text import ElidedLabel, caption


class RunRow(Card):
    """One run. Emits what was pressed, with the run's id."""

    opened = Signal(str)
    asked = Signal(str, str)  # id; "pause", "resume" or "stop"

    def __init__(self, run_id: str, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self.run_id = run_id
        self.body.setContentsMargins(t.SPACE_L, t.SPACE_M, t.SPACE_M, t.SPACE_M)
        across = row(spacing=t.SPACE_M)
        self.chip = StateChip()
        self.chip.setFixedWidth(t.SPACE_XXL * 4)
        across.addWidget(self.chip)
        names = column(spacing=2)
        self._title = ElidedLabel("", strong=True)
        self._words = ElidedLabel("", "caption", "muted")
        names.addWidget(self._title)
        names.addWidget(self._words)
        across.addLayout(names, 1)
        across.addLayout(self._progress())
        for button in self._buttons():
            across.addWidget(button)
        self.body.addLayout(across)

    def _progress(self):
        box = column(spacing=t.SPACE_XS)
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setRange(0, 1000)
        self._bar.setFixedWidth(t.SPACE_XXL * 5)
        self._left = caption("")
        box.addStretch(1)
        box.addWidget(self._bar)
        box.addWidget(self._left)
        box.addStretch(1)
        return box

    def _buttons(self):
        self.pause = IconButton("pause", "Pause")
        self.resume = IconButton("play", "Resume")
        self.stop = IconButton("stop", "Stop and keep what it has learnt")
        self.open = Button("Open")
        for button, action in ((self.pause, "pause"), (self.resume, "resume"), (self.stop, "stop")):
            button.clicked.connect(lambda _checked=False, action=action: self.asked.emit(self.run_id, action))
        self.open.clicked.connect(lambda: self.opened.emit(self.run_id))
        return self.pause, self.resume, self.stop, self.open

    def show_run(self, run: RunSummary) -> None:
        """Show how the run is now."""
        self.chip.show_state(run.state, run.not_responding)
        self._title.setText(run.title)
        self._words.setText(_subtitle(run))
        live = run.state in LIVE
        self._bar.setVisible(run.state in ("starting", "running", "paused", "interrupted") and run.total > 0)
        self._bar.setValue(round(1000 * run.step / run.total) if run.total else 0)
        self._bar.setAccessibleName(f"Progress of {run.title}")
        self._left.setText(_time_left(run))
        self._left.setVisible(bool(self._left.text()))
        self.pause.setVisible(live)
        self.stop.setVisible(live)
        self.resume.setVisible(run.resumable)
        for button, verb in ((self.pause, "Pause"), (self.resume, "Resume"), (self.open, "Open")):
            button.setAccessibleName(f"{verb} {run.title}")
        self.stop.setAccessibleName(f"Stop {run.title} and keep what it has learnt")
        self.setAccessibleName(f"{run.title}: {self.chip.word.text()}")


def _subtitle(run: RunSummary) -> str:
    recipe = RECIPES.get(run.algorithm)  # type: ignore[call-overload]
    made = words.ago(datetime.fromisoformat(run.created).timestamp()) if run.created else ""
    said = run.phase if run.state == "running" else run.message if run.state in ("interrupted", "failed") else ""
    return "  ·  ".join(part for part in (recipe.title if recipe else "", said, made) if part)


def _time_left(run: RunSummary) -> str:
    if run.state not in ("starting", "running") or not run.total:
        return ""
    left = f" · {words.duration(run.eta_s)} left" if run.eta_s is not None else ""
    return f"{run.step / run.total:.0%}{left}"


class RunList(QWidget):
    """All runs of a project, newest first; those under way and waiting on top."""

    opened = Signal(str)
    asked = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = column(self, 0, t.SPACE_S)
        self.rows: dict[str, RunRow] = {}

    def show_runs(self, runs: Sequence[RunSummary]) -> None:
        """Show these runs, keeping the rows of those already shown."""
        wanted = sorted(runs, key=lambda run: run.state not in ("starting", "running"))
        for gone in set(self.rows) - {run.id for run in wanted}:
            self.rows.pop(gone).deleteLater()
        for place, run in enumerate(wanted):
            shown = self.rows.get(run.id) or self._make(run.id)
            shown.show_run(run)
            if self._box.indexOf(shown) != place:
                self._box.insertWidget(place, shown, 0, Qt.AlignmentFlag.AlignTop)

    def _make(self, run_id: str) -> RunRow:
        made = self.rows[run_id] = RunRow(run_id)
        made.opened.connect(self.opened)
        made.asked.connect(self.asked)
        return made
