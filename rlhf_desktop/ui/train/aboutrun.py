"""What people say about a run, and what is behind it: name, notes, where it comes from to the exact feedback, its report."""

from collections.abc import Sequence
from datetime import datetime

from PySide6.QtCore import QEvent, QObject, Signal
from PySide6.QtWidgets import QLineEdit, QPlainTextEdit, QWidget

from rlhf_desktop.jobs.runnotes import MAX_TITLE_CHARS, RunNotes
from rlhf_desktop.operations.lineage import LineageStep
from rlhf_desktop.ui import words
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.train.wording import RECIPES
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.fields import Form
from rlhf_desktop.ui.widgets.surfaces import Card, column, row
from rlhf_desktop.ui.widgets.text import caption

_CODE = ("rlhf-desktop", "torch", "transformers", "peft")


class AboutRun(QWidget):
    """Folded until asked for. Emits what was changed or wished for."""

    renamed = Signal(str)
    noted = Signal(str)
    archived = Signal(bool)
    adoptAsked = Signal()
    reportAsked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._notes_seen = RunNotes()
        box = column(self, 0, t.SPACE_S)
        self.fold = Button("About this run: name, notes, where it comes from", "quiet", "chevron-right")
        self.fold.setCheckable(True)
        self.fold.toggled.connect(self._unfold)
        self.report = Button("Report…", "quiet", "file")
        self.report.setToolTip("Write a page to send to a colleague: settings, charts, sample answers, lineage. It names nobody")
        self.report.clicked.connect(self.reportAsked)
        line = row()
        line.addWidget(self.fold)
        line.addWidget(self.report)
        line.addStretch(1)
        box.addLayout(line)
        self._card = self._build()
        self._card.hide()
        box.addWidget(self._card)

    def _build(self) -> Card:
        card = Card()
        self.title = QLineEdit()
        self.title.setAccessibleName("Name of this run")
        self.title.setMaxLength(MAX_TITLE_CHARS)
        self.title.editingFinished.connect(self._rename)
        self.notes = QPlainTextEdit()
        self.notes.setAccessibleName("Notes on this run")
        self.notes.setPlaceholderText("What you tried, what you saw, what to try next")
        self.notes.setFixedHeight(t.CHART_HEIGHT)
        self.notes.setTabChangesFocus(True)
        self.notes.installEventFilter(self)
        form = Form()
        form.add("Name", self.title)
        form.add("Notes", self.notes)
        card.body.addLayout(form)
        self._lineage = column(spacing=t.SPACE_M)
        card.body.addLayout(self._lineage)
        self.adopt = Button("Use it from now on", icon="check")
        self.adopt.setToolTip("Chat, and the next round, go on with this model. Undo brings the other one back")
        self.adopt.clicked.connect(self.adoptAsked)
        self.archive = Button("Archive", "quiet", "folder")
        self.archive.setToolTip("Out of the list, not deleted")
        self.archive.clicked.connect(lambda: self.archived.emit(not self._notes_seen.archived))
        line = row()
        line.addWidget(self.adopt)
        line.addWidget(self.archive)
        line.addStretch(1)
        card.body.addLayout(line)
        return card

    def show_run(self, title: str, notes: RunNotes, steps: Sequence[LineageStep], usable: bool) -> None:
        """Show a run's name, notes and lineage; `usable`: it has made a model to talk to."""
        self.title.setText(title)
        self.notes.setPlainText(notes.notes)
        self.show_notes(notes)
        for step in steps:
            self._lineage.addWidget(_step(step))
        self.adopt.setVisible(usable)

    def show_notes(self, notes: RunNotes) -> None:
        """What is kept now."""
        self._notes_seen = notes
        self.archive.set_text("Take out of the archive" if notes.archived else "Archive")

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Notes are kept when one leaves their field."""
        if watched is self.notes and event.type() == QEvent.Type.FocusOut:
            self.keep_notes()
        return super().eventFilter(watched, event)

    def keep_notes(self) -> None:
        """Say what the notes are, if they have changed."""
        if self.notes.toPlainText().strip() != self._notes_seen.notes:
            self.noted.emit(self.notes.toPlainText())

    def _rename(self) -> None:
        if self.title.isModified():
            self.title.setModified(False)
            self.renamed.emit(self.title.text())

    def _unfold(self, on: bool) -> None:
        self.fold.set_icon("chevron-down" if on else "chevron-right")
        self._card.setVisible(on)


def _step(step: LineageStep) -> QWidget:
    """One run behind the result, in two lines."""
    made = QWidget()
    box = column(made, 0, 2)
    box.addWidget(TermLabel(f"{step.title}  ·  {RECIPES[step.config.algorithm].title}", strong=True))
    box.addWidget(caption("  ·  ".join(part for part in _facts(step) if part), wrap=True))
    return made


def _facts(step: LineageStep) -> list[str]:
    guidelines = ", ".join(str(version) for version in step.guideline_versions if version)
    code = ", ".join(f"{name} {step.versions[name]}" for name in _CODE if name in step.versions)
    return [
        words.moment(datetime.fromisoformat(step.config.created).timestamp()),
        f"learned from {words.count(step.trained_on, 'row')}, {step.held_out:,} held out",
        f"{words.count(len(step.judgements), 'judgement')} of {_span(step.first, step.last)}" if step.judgements else "",
        f"guideline version {guidelines}" if guidelines else "",
        f"feedback {step.data_sha256[:12]}",
        code,
    ]


def _span(first: str, last: str) -> str:
    """When the judgements were made."""
    return first[:10] if first[:10] == last[:10] else f"{first[:10]} to {last[:10]}"
