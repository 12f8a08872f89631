"""Bringing feedback in: what the file seems to be, its first rows, which column is what, progress, and what was left out."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QFileDialog, QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.feedback.columns import propose_columns
from rlhf_desktop.feedback.formats import FORMATS
from rlhf_desktop.feedback.judgements import Correction, Thumbs, Verdict
from rlhf_desktop.feedback.rows import FeedbackRow
from rlhf_desktop.feedback.verdicts import Ranking
from rlhf_desktop.operations.feedback import (
    ImportCancelled,
    ImportPreview,
    ImportReport,
    import_feedback,
    preview_import,
)
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui import words
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.feedback.asking import Questions
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.people import who_am_i
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.fields import Form, choice
from rlhf_desktop.ui.widgets.surfaces import Card, Meter, Notice, clear, column, row
from rlhf_desktop.ui.widgets.text import ElidedLabel, caption

_KINDS = "*.jsonl *.json *.ndjson *.csv *.tsv *.xlsx *.parquet *.zip *.gz *.bz2 *.xz *.zst *.txt *.md"
_FILES = f"Feedback and conversations ({_KINDS});;All files (*)"
_SHOWN = 4  # rows of the preview
_FIELDS = {  # a column mapper's fields in words; the format's own name where a reader of its documentation would miss it
    "chosen": "Better answer (chosen)",
    "rejected": "Worse answer (rejected)",
    "completion": "Answer",
    "label": "Good? (label)",
    "annotator": "Who judged",
    "messages": "Conversation",
    "instruction": "Question",
    "output": "Answer",
}
_USUAL = "preference"  # what a table without known columns mostly holds: a better and a worse answer
_AUTO = ""  # each record in the format it fits best


class ImportCard(Card):
    """One file at a time. Nothing is changed before Import is pressed."""

    imported = Signal()

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__("Import", parent=parent)
        self._context = context
        self._path: Path | None = None
        self._looks = 0
        self._likely = ""
        self._proposed: Mapping[str, str] = {}
        self._cancel = threading.Event()
        explained = (
            f"{len(FORMATS)} formats, as JSON, tables (CSV, Excel), Parquet or archives, and conversations exported from other "
            "programs. You see what will happen before it does."
        )
        self.body.addWidget(caption(explained, wrap=True))
        self.choose = Button("Choose a file…", "primary", icon="upload")
        self.choose_folder = Button("Choose a folder…")
        held = row()
        held.addWidget(self.choose)
        held.addWidget(self.choose_folder)
        held.addStretch(1)
        self.body.addLayout(held)
        self.notice = Notice("info", "")
        self.notice.hide()
        self.body.addWidget(self.notice)
        self.body.addWidget(self._make_preview())
        self.body.addWidget(self._make_progress())
        self._connect()

    def _make_preview(self) -> QWidget:
        self.preview = QWidget()
        box = column(self.preview, 0, t.SPACE_S)
        self.file = ElidedLabel("", strong=True)
        box.addWidget(self.file)
        form = Form()
        self.form = choice("Format of the file")
        form.add("Format", self.form)
        self.counted = caption("", wrap=True)
        box.addWidget(self.counted)
        box.addLayout(form)
        self._mapper = form
        self._columns: dict[str, QComboBox] = {}
        self.asking = caption(
            "No row fits a format as it is. Choose what the file holds, then say which column is what.", wrap=True
        )
        box.addWidget(self.asking)
        self.questions = Questions()
        box.addWidget(self.questions)
        self._rows = column(spacing=t.SPACE_S)
        box.addLayout(self._rows)
        lower = row(spacing=t.SPACE_S)
        lower.addStretch(1)
        self.leave, self.go = Button("Cancel", "quiet"), Button("Import", "primary")
        lower.addWidget(self.leave)
        lower.addWidget(self.go)
        box.addLayout(lower)
        self.preview.hide()
        return self.preview

    def _make_progress(self) -> QWidget:
        self.progress = QWidget()
        across = row(self.progress, 0, t.SPACE_M)
        self.meter = Meter("Import")
        self.stop = Button("Cancel import")
        across.addWidget(self.meter, 1)
        across.addWidget(self.stop)
        self.progress.hide()
        return self.progress

    def _connect(self) -> None:
        self.choose.clicked.connect(lambda: self._choose(QFileDialog.FileMode.ExistingFile))
        self.choose_folder.clicked.connect(lambda: self._choose(QFileDialog.FileMode.Directory))
        self.form.activated.connect(lambda _n: self._look(fresh_columns=True))
        self.questions.answered.connect(self._look)
        self.leave.clicked.connect(self._close)
        self.go.clicked.connect(self.run)
        self.stop.clicked.connect(self._cancel.set)

    def _choose(self, mode: QFileDialog.FileMode) -> None:
        dialog = QFileDialog(self, "Import feedback", "", _FILES)
        dialog.setFileMode(mode)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda path: self.open(Path(path)))
        dialog.open()

    # --- looking

    def open(self, path: Path) -> None:
        """Look at a file."""
        self._path = path
        self._forget(path)
        self._say("info", f"Looking at {path.name}…", "muted")
        number = self._looks
        self._context.tasks.run(
            preview_import,
            path,
            on_success=lambda preview: (
                self._guessed(preview) if number == self._looks else None
            ),  # another file was chosen meanwhile
            on_failure=self._failed,
        )

    def _forget(self, path: Path) -> None:
        """Nothing of the file before stays in sight, or could be imported."""
        self._looks += 1
        self.preview.hide()
        self.go.setEnabled(False)
        self.file.setText(path.name)
        self.form.clear()
        self._clear_mapper()
        self.questions.forget()

    def _guessed(self, preview: ImportPreview) -> None:
        self.notice.hide()
        self.form.addItem("Recognise each row by itself", _AUTO)
        sure = {guess.format.name: guess.confidence for guess in preview.guesses}
        for name, form in sorted(FORMATS.items(), key=lambda pair: -sure.get(pair[0], 0)):
            self.form.addItem(f"{form.title}{f'  ·  {sure[name]:.0%} likely' if name in sure else ''}", name)
        self._names, (self._likely, self._proposed) = preview.columns, preview.likely
        if not preview.rows and not preview.questions:
            likeliest = 1 if sure and not self._likely else self.form.findData(self._likely or _USUAL)
            self.form.setCurrentIndex(likeliest)  # nothing fits by itself: offer its mapper
            self._look(fresh_columns=True)
        else:
            self._show(preview)

    def _look(self, fresh_columns: bool = False) -> None:
        if fresh_columns:
            self._offer_columns()
        path, name, columns, answers = self._path, self.form.currentData() or None, self._mapped(), self.questions.answers
        if path is None:
            return  # no file was chosen
        self._looks += 1
        number = self._looks
        self._context.tasks.run(
            lambda: preview_import(path, form=name, columns=columns, answers=answers),
            on_success=lambda preview: self._show(preview) if number == self._looks else None,  # an earlier look may take longer
            on_failure=self._failed,
        )

    def _offer_columns(self) -> None:
        self._clear_mapper()
        name = self.form.currentData()
        if not name:
            return
        proposed = propose_columns(name, self._names) | dict(self._proposed if name == self._likely else {})
        for field in FORMATS[name].fields:
            shown = _FIELDS.get(field, field.capitalize())
            column_choice = choice(f"Column for {shown}")
            column_choice.addItem("—", "")
            for theirs in self._names:
                column_choice.addItem(theirs, theirs)
            column_choice.setCurrentIndex(max(0, column_choice.findData(proposed.get(field, ""))))
            column_choice.activated.connect(lambda _n, field=field: self._mapped_to(field))
            self._columns[field] = column_choice
            self._mapper.add(shown, column_choice)

    def _mapped_to(self, field: str) -> None:
        """A column fills one field: another one that had it is without."""
        for other, box in self._columns.items():
            if other != field and box.currentData() == self._columns[field].currentData():
                box.setCurrentIndex(0)
        self._look()

    def _clear_mapper(self) -> None:
        self._columns = {}
        while self._mapper.rowCount() > 1:  # the format stays
            self._mapper.removeRow(1)

    def _mapped(self) -> dict[str, str] | None:
        found = {field: box.currentData() for field, box in self._columns.items() if box.currentData()}
        same = all(field == theirs for field, theirs in found.items())
        return found if found and not same else None

    def _show(self, preview: ImportPreview) -> None:
        self.preview.show()
        self.questions.show_questions(preview.questions, preview.notes)
        self.asking.setVisible(not preview.rows and not preview.questions)
        self.counted.setText(_counted(preview))
        clear(self._rows)
        for found in preview.rows[:_SHOWN]:
            self._rows.addWidget(_row(found))
        if preview.problems:
            first = preview.problems[0]
            n = words.count(len(preview.problems), "row")
            self._rows.addWidget(TermLabel(f"{n} of the first {len(preview.rows) + len(preview.problems)} cannot be used. "
                                       f"Line {first.line}: {first.reason}.", tone="warning", wrap=True))  # fmt: skip
        self.go.set_text(f"Import {words.count(preview.usable, 'row')}" if preview.usable and preview.whole else "Import")
        self.go.setEnabled(bool(preview.rows))
        self.form.setFocus()

    def _close(self) -> None:
        self._looks += 1
        self.preview.hide()

    # --- importing

    def import_file(self, path: Path) -> None:
        """Import a file as it is recognised, without asking."""
        self._path = path
        self._forget(path)
        self.run()

    def run(self) -> None:
        """Import, on a connection of its own."""
        path, project, database = self._path, self._context.session.project, self._context.store.path
        who, name, columns = who_am_i(self._context.store), self.form.currentData() or None, self._mapped()
        answers = self.questions.answers
        if path is None:
            return  # no file was chosen
        self._cancel.clear()
        cancel = self._cancel

        def work(on_progress: Callable[[float], None]) -> ImportReport:
            with Store.open(database) as store:
                return import_feedback(
                    store,
                    project,
                    path,
                    annotator=who,
                    form=name,
                    columns=columns,
                    answers=answers,
                    on_share=on_progress,
                    cancelled=cancel.is_set,
                )

        self.preview.hide()
        self.choose.setEnabled(False)
        self.meter.set_value(0, 0, f"Reading {path.name}…")
        self.progress.show()
        self._context.tasks.run(
            work, on_success=self._done, on_failure=self._failed,
            on_progress=lambda share: self.meter.set_value(share, 1.0, f"{share:.0%} of {path.name}"),
        )  # fmt: skip

    def _done(self, report: ImportReport) -> None:
        self._end()
        parts = [f"Imported {report.summary}." if report.summary else f"Imported {words.count(report.imported, 'judgement')}."]
        if report.alternatives:
            parts.append("Their answers wait for you in Label.")
        if report.duplicates:
            parts.append(f"{words.count(report.duplicates, 'row')} were here already.")
        if report.questions:
            parts.append("Taken as likely: " + "; ".join(f"{q.text} {q.proposal}" for q in report.questions if q.proposal))
        parts += [f"{note.text} ({words.count(note.rows, 'row')})." for note in report.notes if note.rows]
        if report.rejected:
            aside = report.rejected_file.name if report.rejected_file else ""
            parts.append(f"{words.count(report.rejected, 'row')} could not be used ({report.first_reason}); kept in {aside}.")
        self._say("alert" if report.rejected else "success", " ".join(parts), "warning" if report.rejected else "success")
        self._context.session.feedbackChanged.emit()
        self.imported.emit()

    def _failed(self, trouble: AppError) -> None:
        self._end()
        asked = isinstance(trouble, ImportCancelled)
        self._say("info" if asked else "alert", str(trouble), "muted" if asked else "danger")

    def _end(self) -> None:
        self.progress.hide()
        self.choose.setEnabled(True)

    def _say(self, icon: str, text: str, tone: t.Role) -> None:
        self.notice.say(icon, text, tone)
        self.notice.show()


def _counted(preview: ImportPreview) -> str:
    """How many rows come in, and how the file was read."""
    first = "" if preview.whole else "Of the first part of the file, "
    cannot = f", {preview.unusable:,} cannot" if preview.unusable else ""
    counted = f"{first}{words.count(preview.usable, 'row')} can be used{cannot}."
    return " ".join([f"{first}{preview.summary}." if preview.summary else counted, *preview.understood])


def _row(found: FeedbackRow) -> Card:
    """One row as it would be imported."""
    card = Card(kind="turn")
    card.body.setContentsMargins(t.SPACE_M, t.SPACE_S, t.SPACE_M, t.SPACE_S)
    card.body.addWidget(caption(words.shortened(found.prompt[-1]["content"], 100)))
    ranks = next((v.ranks for v in found.verdicts if isinstance(v, Ranking)), ())
    for place, text in enumerate(found.completions):
        lead = f"{words.ordinal(ranks[place])}  " if ranks else ""
        card.body.addWidget(ElidedLabel(f"{lead}{words.shortened(text, 120)}"))
    others = [_said(v) for v in found.verdicts if v.kind != "ranking"] if found.verdicts else ["to be judged"]
    if others:
        card.body.addWidget(caption(", ".join(others)))
    return card


def _said(verdict: Verdict) -> str:
    """What a verdict says, short."""
    if isinstance(verdict, Thumbs):
        return "thumb up" if verdict.up else "thumb down"
    return f"corrected: {words.shortened(verdict.text, 100)}" if isinstance(verdict, Correction) else verdict.kind.replace("_", " ")
