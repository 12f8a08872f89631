"""Two answers, nobody says whose: press 1, 2 or =."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QGridLayout, QWidget

from rlhf_desktop.ui.evaluate.blind import BlindTrial
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from rlhf_desktop.ui.widgets.surfaces import Card, Meter, column, row
from rlhf_desktop.ui.widgets.text import Label, caption

_KEYS = {Qt.Key.Key_1: "left", Qt.Key.Key_2: "right", Qt.Key.Key_Equal: "tie"}


class JudgingView(QWidget):
    """Shows the pair a trial is at. Emits `judged` with left, right or tie, and `undone`, `stopped`."""

    judged = Signal(str)
    undone = Signal()
    stopped = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Blind comparison: 1 for the left answer, 2 for the right, equals for a tie")
        box = column(self, 0, t.SPACE_L)
        self.meter = Meter("Progress of the comparison")
        box.addWidget(self.meter)
        prompt_card = Card(kind="turn")
        prompt_card.body.addWidget(caption("Prompt"))
        self._prompt = MarkdownView(name="Prompt")
        prompt_card.body.addWidget(self._prompt)
        box.addWidget(prompt_card)
        grid = QGridLayout()
        grid.setSpacing(t.SPACE_M)
        self._sides = [self._side(grid, place, name) for place, name in enumerate(("1", "2"))]
        box.addLayout(grid)
        box.addLayout(self._buttons())

    def _side(self, grid: QGridLayout, place: int, letter: str) -> MarkdownView:
        card = Card()
        card.body.addWidget(Label(f"Answer {letter}", strong=True))
        text = MarkdownView(name=f"Answer {letter}")
        card.body.addWidget(text)
        card.body.addStretch(1)
        grid.addWidget(card, 0, place)
        grid.setColumnStretch(place, 1)
        return text

    def _buttons(self):
        line = row()
        for text, verdict in (("1 is better", "left"), ("About equal  (=)", "tie"), ("2 is better", "right")):
            button = Button(text)
            button.clicked.connect(lambda _checked=False, verdict=verdict: self.judged.emit(verdict))
            line.addWidget(button)
        line.addWidget(caption("Keys: 1, 2, =   ·   Backspace takes the last one back"), 1)
        self.undo = Button("Back", "quiet", "undo")
        self.undo.clicked.connect(self.undone)
        stop = Button("Finish now", "quiet")
        stop.clicked.connect(self.stopped)
        line.addWidget(self.undo)
        line.addWidget(stop)
        return line

    def show_trial(self, trial: BlindTrial) -> None:
        """Show the pair to judge."""
        done = len(trial.judged)
        self.meter.set_value(done, trial.total, f"{done} of {trial.total} judged")
        self._prompt.set_text(trial.prompt())
        for view, text in zip(self._sides, trial.sides(), strict=True):
            view.set_text(text)
        self.undo.setEnabled(done > 0)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """1, 2, =, Backspace."""
        if event.key() in _KEYS:
            self.judged.emit(_KEYS[event.key()])
        elif event.key() == Qt.Key.Key_Backspace and self.undo.isEnabled():
            self.undone.emit()
        else:
            super().keyPressEvent(event)
