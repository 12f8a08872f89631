"""A run's state: an icon and a word, tinted."""

from PySide6.QtWidgets import QFrame, QWidget

from rlhf_desktop.core.runs import RunState
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.train.wording import HUNG, OBEYING, SLOW, STATES
from rlhf_desktop.ui.widgets.surfaces import row
from rlhf_desktop.ui.widgets.text import IconLabel


class StateChip(QFrame):
    """Shows one state."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        across = row(self, 0, t.SPACE_XS)
        self._icon = IconLabel("clock", "muted", t.ICON_SMALL)
        self.word = TermLabel("", strong=True)
        across.addWidget(self._icon)
        across.addWidget(self.word)
        across.addStretch(1)

    def show_state(self, state: RunState, slow: bool = False, hung: bool = False, asked: str = "") -> None:
        """Show a state; of one under way also whether it is slow or stands still, and what it has been asked to do."""
        words = HUNG if hung else OBEYING[asked] if asked else SLOW if slow else STATES[state]
        self._icon.set_icon(words.icon, words.tone)
        self.word.setText(words.word)
        self.word.set_tone(words.tone)
        self.setAccessibleName(f"State: {words.word}")
