"""The queue and the past runs, one row each. Rows are kept between refreshes, so the focus stays where it was."""

from collections.abc import Sequence
from datetime import datetime

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QAbstractButton, QCheckBox, QProgressBar, QVBoxLayout, QWidget

from rlhf_desktop.jobs.queue import RunSummary
from rlhf_desktop.ui import words
from rlhf_desktop.ui.theme import icons
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.growing import keep_grown
from rlhf_desktop.ui.train.statechip import StateChip
from rlhf_desktop.ui.train.wording import LIVE, recipe_of
from rlhf_desktop.ui.widgets.buttons import Button, IconButton
from rlhf_desktop.ui.widgets.surfaces import Card, ConfirmRow, column, row, widgets_in
from rlhf_desktop.ui.widgets.text import ElidedLabel, caption


class RunRow(Card):
    """One run. Emits what was pressed, with the run's id."""

    opened = Signal(str)
    picked = Signal()  # for a comparison, or not any more
    asked = Signal(str, str)  # id; "pause", "resume", "stop", "remove", "end", "earlier" or "later"

    def __init__(self, run_id: str, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self.run_id = run_id
        self.body.setContentsMargins(t.SPACE_L, t.SPACE_M, t.SPACE_M, t.SPACE_M)
        across = row(spacing=t.SPACE_M)
        self.pick = QCheckBox()
        self.pick.toggled.connect(self.picked)
        across.addWidget(self.pick)
        self.chip = StateChip()
        keep_grown(self.chip, lambda: self.chip.setFixedWidth(icons.grown(t.SPACE_XXL * 4)))
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
        self.sure = ConfirmRow("End its process? What came after the last checkpoint is lost.", "End it now", "x", "Wait")
        self.sure.confirmed.connect(lambda: self.asked.emit(self.run_id, "end"))
        self.body.addWidget(self.sure)

    def _progress(self) -> QVBoxLayout:
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

    def _buttons(self) -> tuple[QAbstractButton, ...]:
        self.pause = IconButton("pause", "Pause")
        self.resume = IconButton("play", "Resume")
        self.stop = IconButton("stop", "Stop and keep what it has learnt")
        self.earlier = IconButton("chevron-up", "Earlier")
        self.later = IconButton("chevron-down", "Later")
        self.end = Button("End it now…", "danger")
        self.cancel = IconButton("x", "Take out of the queue")
        self.open = Button("Open")
        actions = {
            "earlier": self.earlier,
            "later": self.later,
            "pause": self.pause,
            "resume": self.resume,
            "stop": self.stop,
            "remove": self.cancel,
        }
        self.end.clicked.connect(lambda: self.sure.show())
        for action, button in actions.items():
            button.clicked.connect(lambda _checked=False, action=action: self.asked.emit(self.run_id, action))
        self.open.clicked.connect(lambda: self.opened.emit(self.run_id))
        return *actions.values(), self.end, self.open

    def show_run(self, run: RunSummary, place: int = 0, waiting: int = 0) -> None:
        """Show how the run is now, and for one that waits its `place` among those `waiting`."""
        self.chip.show_state(run.state, run.slow, run.hung, run.asked)
        self._title.setText(run.title)
        self._words.setText(_subtitle(run, place, waiting))
        live = run.state in LIVE
        self._bar.setVisible(run.state in ("starting", "running", "paused", "interrupted") and run.total > 0)
        self._bar.setValue(round(1000 * run.step / run.total) if run.total else 0)
        self._bar.setAccessibleName(f"Progress of {run.title}")
        self._left.setText(_time_left(run))
        self._left.setVisible(bool(self._left.text()))
        queued = run.state == "queued"
        self.pause.setVisible(live)
        self.pause.setEnabled(run.asked != "pause")
        self.stop.setVisible(live and not queued)
        self.stop.setEnabled(run.asked != "stop")
        self.end.setVisible(run.hung)
        self.sure.setVisible(run.hung and not self.sure.isHidden())
        self.cancel.setVisible(queued)
        for button, usable in ((self.earlier, place > 0), (self.later, place < waiting - 1)):
            button.setVisible(queued and waiting > 1)
            button.setEnabled(usable)
        self.resume.setVisible(run.resumable)
        verbs: dict[str, QAbstractButton] = {"Pause": self.pause, "Resume": self.resume, "Open": self.open, "End": self.end}
        for verb, named in verbs.items():
            named.setAccessibleName(f"{verb} {run.title}")
        self.cancel.setAccessibleName(f"Take {run.title} out of the queue")
        self.pick.setAccessibleName(f"Compare {run.title} with others")
        self.pick.setToolTip("Choose for a comparison")
        self.earlier.setAccessibleName(f"Let {run.title} go earlier")
        self.later.setAccessibleName(f"Let {run.title} go later")
        self.stop.setAccessibleName(f"Stop {run.title} and keep what it has learnt")
        self.setAccessibleName(f"{run.title}: {self.chip.word.text()}")


def _subtitle(run: RunSummary, place: int, waiting: int) -> str:
    recipe = recipe_of(run.algorithm)
    made = words.ago(datetime.fromisoformat(run.created).timestamp()) if run.created else ""
    said = _doing(run) if run.state == "running" else run.message if run.state in ("interrupted", "failed") else ""
    said = ("next" if place == 0 else f"{words.ordinal(place + 1)} of {waiting} waiting") if run.state == "queued" else said
    return "  ·  ".join(part for part in (recipe.title if recipe else "", said, made) if part)


def _doing(run: RunSummary) -> str:
    slow = "no step for two minutes" if run.slow else "after this update" if run.asked and run.eta_s else ""
    return slow or run.phase


def _time_left(run: RunSummary) -> str:
    if run.state not in ("starting", "running") or not run.total:
        return ""
    if run.step >= run.total:
        return "Nearly done"  # 100% would say that nothing is done any more
    left = f" · {words.duration(run.eta_s)} left" if run.eta_s and not run.asked and not run.slow else ""
    return f"{run.step / run.total:.0%}{left}"


class RunList(QWidget):
    """All runs of a project, newest first; those under way and waiting on top."""

    opened = Signal(str)
    asked = Signal(str, str)
    pickedChanged = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = column(self, 0, t.SPACE_S)
        self.rows: dict[str, RunRow] = {}

    def picked(self) -> list[str]:
        """The ids of the runs chosen for a comparison, as listed."""
        return [run.run_id for run in widgets_in(self._box, RunRow) if run.pick.isChecked()]

    def show_runs(self, runs: Sequence[RunSummary], waiting: Sequence[str]) -> None:
        """Show these runs, keeping the rows of those already shown; `waiting` is the order of those that wait."""
        places = {run_id: place for place, run_id in enumerate(waiting)}
        under_way = [run for run in runs if run.state in ("starting", "running")]
        queue = sorted((run for run in runs if run.id in places), key=lambda run: places[run.id])
        wanted = [*under_way, *queue, *(run for run in runs if run not in under_way and run not in queue)]
        for gone in set(self.rows) - {run.id for run in wanted}:
            self._box.removeWidget(self.rows[gone])
            self.rows.pop(gone).deleteLater()
        for place, run in enumerate(wanted):
            shown = self.rows.get(run.id) or self._make(run.id)
            shown.show_run(run, places.get(run.id, 0), len(waiting))
            if self._box.indexOf(shown) != place:
                self._box.insertWidget(place, shown, 0, Qt.AlignmentFlag.AlignTop)

    def _make(self, run_id: str) -> RunRow:
        made = self.rows[run_id] = RunRow(run_id)
        made.opened.connect(self.opened)
        made.asked.connect(self.asked)
        made.picked.connect(self.pickedChanged)
        return made
