"""The pages of Label beside the item itself: prompts written in place, and what a sitting added up to."""

import statistics
import time

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QLineEdit, QWidget

from rlhf_desktop.operations.labelling import prompts_from_text
from rlhf_desktop.operations.outlook import Outlook
from rlhf_desktop.ui import words
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.judging.writing import LongEdit
from rlhf_desktop.ui.label.presenter import Sitting
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.saved_state import KeptForm, Values
from rlhf_desktop.ui.widgets.surfaces import Card, Page, clear, row
from rlhf_desktop.ui.widgets.text import caption, title

_NAME = "My prompts"


class WritePrompts(Page):
    """A name, and a field for prompts with a blank line between two."""

    written = Signal(str, list, bool)  # the set's name, prompts, whether to keep them aside
    fileRequested = Signal()
    left = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(t.FORM_WIDTH, parent)
        self.body.addWidget(title("Add prompts"))
        self.body.addWidget(caption("The questions your model has to answer well. Leave a blank line between two.", wrap=True))
        self.name = QLineEdit(_NAME)
        self.name.setAccessibleName("Name of the prompt set")
        self.body.addWidget(self.name)
        self.edit = LongEdit("Prompts, a blank line between two")
        self.edit.setPlaceholderText("My order came broken. What now?\n\nHow do I cancel my subscription?")
        self.body.addWidget(self.edit)
        self.aside = QCheckBox("Keep these to compare models on: nothing is ever trained on them")
        self.aside.setAccessibleName(self.aside.text())
        self.body.addWidget(self.aside)
        self._count = caption("")
        self.body.addWidget(self._count)
        lower = row(spacing=t.SPACE_S)
        from_file = Button("From a file…", icon="file")
        lower.addWidget(from_file)
        lower.addStretch(1)
        back, self.add = Button("Back", "quiet"), Button("Add prompts", "primary")
        lower.addWidget(back)
        lower.addWidget(self.add)
        self.body.addLayout(lower)
        self.body.addStretch(1)
        self.edit.textChanged.connect(self._refresh)
        self.edit.submitted.connect(self._add)
        self.edit.left.connect(self.left)
        self.add.clicked.connect(self._add)
        back.clicked.connect(self.left)
        from_file.clicked.connect(self.fileRequested)
        self.kept = KeptForm({"name": self.name, "text": self.edit, "aside": self.aside}, parent=self)
        self.body.insertWidget(self.body.count() - 1, self.kept.words)
        self._refresh()

    def show_draft(self, draft: Values | None) -> None:
        """What was begun in this project."""
        self.name.setText(_NAME)
        self.edit.clear()
        self.aside.setChecked(False)
        self.kept.rest()
        self.kept.take_up(draft)

    def _refresh(self) -> None:
        prompts = prompts_from_text(self.edit.toPlainText())
        how = f"{keymap.shown('keep')} adds them  ·  {keymap.shown('leave')} goes back"
        self._count.setText(words.count(len(prompts), "prompt") if prompts else how)
        self.add.setEnabled(bool(prompts))

    def _add(self) -> None:
        prompts = prompts_from_text(self.edit.toPlainText())
        if prompts:
            self.written.emit(self.name.text().strip() or _NAME, prompts, self.aside.isChecked())
            self.edit.clear()
            self.kept.saved()


class SummaryPage(Page):
    """What was judged since Begin, and what to do next."""

    trainRequested = Signal()
    againRequested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(t.FORM_WIDTH, parent)
        self._title = title("")
        self.body.addWidget(self._title)
        self._card = Card()
        self.body.addWidget(self._card)
        self.next = TermLabel("", strong=True, wrap=True)  # as in the header
        self.next.hide()
        self.body.addWidget(self.next)
        lower = row(spacing=t.SPACE_S)
        self.train, self.again = Button("Go to Train", "primary"), Button("Go on")
        lower.addWidget(self.again)
        lower.addStretch(1)
        lower.addWidget(self.train)
        self.body.addLayout(lower)
        self.body.addStretch(1)
        self.train.clicked.connect(self.trainRequested)
        self.again.clicked.connect(self.againRequested)

    @property
    def has_numbers(self) -> bool:
        """Whether what was judged is in sight."""
        return not self._card.isHidden()

    def show_all_done(self, numbers: bool) -> None:
        """Nothing is left to judge; `numbers`: what was judged just now stays in sight."""
        self._say(all_done=True)
        self._card.setVisible(numbers)

    def show_sitting(self, sitting: Sitting, all_done: bool) -> None:
        """Say what it came to."""
        self._say(all_done)
        self._card.show()
        clear(self._card.body)
        for name, value in sitting_in_words(sitting, time.monotonic()):
            line = row(spacing=t.SPACE_L)
            line.addWidget(TermLabel(name, tone="muted"), 1)
            line.addWidget(TermLabel(value, strong=True))
            self._card.body.addLayout(line)

    def _say(self, all_done: bool) -> None:
        self._title.setText("Every prompt is judged" if all_done else "Until next time")
        self.again.set_text("Add prompts…" if all_done else "Go on")

    def show_next(self, found: Outlook) -> None:
        """What comes next; Train is pointed at only where there is enough to train on."""
        self.next.setText(f"{found.step.sentence}.")
        self.next.show()
        ready = found.step.room == "train"
        self.train.set_kind("primary" if ready else "normal")
        self.again.set_kind("normal" if ready else "primary")


def sitting_in_words(sitting: Sitting, now: float) -> list[tuple[str, str]]:
    """The lines of the summary."""
    judged = [kind for kind in sitting.kinds if kind not in ("skip", "flag")]
    lines = [("Judged", words.count(len(judged), "item")), ("Time", words.duration(now - sitting.began))]
    if sitting.seconds:
        lines.append(("Usually", f"{words.duration(statistics.median(sitting.seconds))} an item"))
    lines += [
        (name, f"{n:,}")
        for name, n in (
            ("Ties", sitting.ties),
            ("None will do", judged.count("all_bad")),
            ("Written by you", judged.count("demonstration")),
            ("Skipped", sitting.kinds.count("skip")),
            ("Flagged", sitting.kinds.count("flag")),
            ("Left out: no answers to compare", sitting.failed),
        )
        if n
    ]
    return lines
