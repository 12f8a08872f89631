"""A run's state: an icon and a word, tinted."""

from PySide6.QtWidgets import QFrame, QWidget

from rlhf_desktop.core.runs import RunState
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.train.wording import STATES
from rlhf_desktop.ui.widgets.surfaces import row
from rlhf_desktop.ui.widgets.text import IconLabel, Label


class StateChip(QFrame):
    """Shows one state."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        across = row(self, 0, t.SPACE_XS)
        self._icon = IconLabel("clock", "muted", t.ICON_SMALL)
        self.word = Label("", strong=True)
        across.addWidget(self._icon)
        across.addWidget(self.word)
        across.addStretch(1)

    def show_state(self, state: RunState, not_responding: bool = False) -> None:
        """Show a state; a worker that has been silent for long is said to be so."""
        words = STATES[state]
        said, tone = ("Not responding", "warning") if not_responding else (words.word, words.tone)
        self._icon.set_icon("alert" if not_responding else words.icon, tone)
        self.word.setText(said)
        self.word.set_tone(tone)
        self.setAccessibleName(f"State: {said}")
