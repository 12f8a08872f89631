"""A first round in three steps: one slim line that follows what has really been done, and that can be hidden for good."""

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QFrame, QWidget

from rlhf_desktop.operations.outlook import Outlook
from rlhf_desktop.store.projects import SettingsStore
from rlhf_desktop.ui.frame.bars import GivingButton
from rlhf_desktop.ui.theme import icons
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import row
from rlhf_desktop.ui.widgets.text import restyle

STEPS = ("Ask and compare two answers", "Train on your comparisons", "See blind whether it is better")
_SHOWN = "first_round_shown"


@dataclass(frozen=True)
class Progress:
    """How far a first round is."""

    now: int  # the step to do, from 1; 4: all are done
    so_far: str = ""  # what there is of the step to do

    @property
    def over(self) -> bool:
        """Whether the round is complete."""
        return self.now > len(STEPS)


def progress(found: Outlook) -> Progress:
    """What of a first round is done, by the same outlook that names the next step."""
    if found.round > 1 or found.step.kind == "adopt":
        return Progress(4)
    if found.step.kind in ("evaluate", "prompts") and found.step.run_id:
        return Progress(3)
    if not found.judgements:
        return Progress(1)
    return Progress(2, _so_far(found))


def _so_far(found: Outlook) -> str:
    if found.step.kind == "wait":
        return "under way"
    there = found.amounts["reward"]
    aside = f", {there.held_out:,} held out" if there.held_out and not there.have else ""  # or what was judged seems lost
    return f"{there.have:,} of {there.suggested:,}{aside}" if found.step.kind == "judge" else "enough to begin"


class FirstRoundBar(QFrame):
    """Shows the steps; each leads to where it is done."""

    stepChosen = Signal(int)  # from 1
    hidden = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("kind", "notice")
        self.setAccessibleName("Your first round")
        across = row(self, 0, t.SPACE_S)
        across.setContentsMargins(t.SPACE_M, t.SPACE_XS, t.SPACE_S, t.SPACE_XS)
        self.buttons = [GivingButton(words) for words in STEPS]
        for number, button in enumerate(self.buttons, 1):
            across.addWidget(button)
            button.clicked.connect(lambda _on=False, number=number: self.stepChosen.emit(number))
        across.addStretch(1)
        hide = Button("Hide", "status")
        hide.setAccessibleName("Hide the first round; the help shows it again")
        hide.clicked.connect(self.hidden)
        across.addWidget(hide)
        self.show_progress(Progress(1))
        self.hide()

    def show_progress(self, found: Progress) -> None:
        """Say what is done and what comes."""
        for number, (button, words) in enumerate(zip(self.buttons, STEPS, strict=True), 1):
            state = "done" if number < found.now else "now" if number == found.now else "later"
            so_far = f" ({found.so_far})" if state == "now" and found.so_far else ""
            button.setIcon(icons.icon("check", "success", t.ICON_SMALL) if state == "done" else QIcon())
            button.set_text(f"{number}  {words}{so_far}")
            button.setAccessibleName(f"Step {number}, {state}: {words}{so_far}")
            restyle(button, strong=state == "now")


class FirstRound(QObject):
    """Keeps the line true, and remembers whether it is wanted.

    Args:
        bar: The line.
        settings: Where it is remembered.
        go: Goes to where a step is done.
    """

    def __init__(self, bar: FirstRoundBar, settings: SettingsStore, go: Callable[[int], None]) -> None:
        super().__init__(bar)
        self._bar, self._settings = bar, settings
        bar.stepChosen.connect(go)
        bar.hidden.connect(lambda: self.show(False))
        bar.setVisible(bool(settings.get(_SHOWN, False)))

    def show(self, on: bool = True) -> None:
        """Show the line from now on, or no more."""
        self._settings.set(_SHOWN, on)
        self._bar.setVisible(on)

    def update(self, found: Outlook) -> None:
        """What there is has changed."""
        self._bar.show_progress(progress(found))
