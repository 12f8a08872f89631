"""A project's feedback as one file for a colleague, and a colleague's file into the project."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QFileDialog, QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.lockedfile import is_locked, unlocked
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.operations.bundles import (
    BundleSummary,
    export_bundle,
    inspect_bundle,
    merge_bundle,
    undo_last_merge,
    undone_words,
)
from rlhf_desktop.operations.written import Written, bundle_written
from rlhf_desktop.store.bundling import Merged
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.unmerging import Undoable, Undone, undoable
from rlhf_desktop.ui import words
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.encryption.fields import NewPassphrase, PassphraseField
from rlhf_desktop.ui.feedback.erasure_list import ErasureList
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.tasks import Outcome
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import Card, Meter, Notice, column, row
from rlhf_desktop.ui.widgets.text import caption
from rlhf_desktop.ui.widgets.written import WrittenCard

_SUFFIX, _LOCKED_SUFFIX = ".rlhf.zip", ".rlhf.locked"
_ITS_OWN = "Without it nobody can open the bundle. Tell your colleague by another way than you send the file."
_MOST_CONFLICTS = 20


class BundleCard(Card):
    """Make a bundle; open one, see what is in it, merge it."""

    merged = Signal()

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__("For a team", parent=parent)
        self._context = context
        self._path: Path | None = None
        self._cancel = threading.Event()
        explained = (
            "A bundle holds everything said in this project, loses nothing, and can be merged any number of times in any order. "
            "What a colleague erased for good goes here too, once you have said so."
        )
        self.body.addWidget(caption(explained, wrap=True))
        held = row()
        self.make, self.open_one = Button("Make a bundle…", icon="download"), Button("Open a bundle…", icon="upload")
        held.addWidget(self.make)
        held.addWidget(self.open_one)
        held.addStretch(1)
        self.body.addLayout(held)
        self._make_protection()
        self.body.addWidget(self._make_asking())
        self.meter = Meter("Bundle")
        self.meter.hide()
        self.stop = Button("Cancel merge")
        self.stop.hide()
        self.notice = Notice("info", "")
        self.notice.hide()
        self.body.addWidget(self._make_summary())
        self.written = WrittenCard()
        for part in (self.meter, self.stop, self.notice, self.written, self._make_undo()):
            self.body.addWidget(part)
        self.conflicts = TermLabel("", "caption", wrap=True)
        self.conflicts.hide()
        self.body.addWidget(self.conflicts)
        self.make.clicked.connect(self._choose_new)
        self.open_one.clicked.connect(self._choose)
        self.merge.clicked.connect(self.run)
        self.leave.clicked.connect(self._forget)
        self.stop.clicked.connect(self._cancel.set)
        self.undo.clicked.connect(self.undo_last)

    def _make_protection(self) -> None:
        """A passphrase for the next bundle that is made."""
        self.protect = QCheckBox("Encrypt the bundle with a passphrase of its own")
        self.protect.setAccessibleName(self.protect.text())
        self.passphrase = NewPassphrase(_ITS_OWN, acknowledged=False)
        self.passphrase.hide()
        self.body.addWidget(self.protect)
        self.body.addWidget(self.passphrase)

        def refresh() -> None:
            self.passphrase.setVisible(self.protect.isChecked())
            self.make.setEnabled(not self.protect.isChecked() or self.passphrase.ready)

        self.protect.toggled.connect(refresh)
        self.passphrase.changed.connect(refresh)
        self.passphrase.submitted.connect(self.make.click)

    def _make_asking(self) -> QWidget:
        """For a bundle that is encrypted."""
        self.asking = QWidget()
        down = column(self.asking, 0, t.SPACE_S)
        self._asked_for = TermLabel("", wrap=True)
        self.key = PassphraseField("Passphrase of the bundle")
        lower = row()
        cancel, self.unlock = Button("Cancel", "quiet"), Button("Open", "primary")
        lower.addStretch(1)
        lower.addWidget(cancel)
        lower.addWidget(self.unlock)
        down.addWidget(self._asked_for)
        down.addWidget(self.key)
        down.addLayout(lower)
        self.asking.hide()
        cancel.clicked.connect(self._forget)
        self.unlock.clicked.connect(self._unlock)
        self.key.submitted.connect(self._unlock)
        return self.asking

    def _forget(self) -> None:
        """The passphrase of a bundle, once it is merged or left."""
        self.key.clear()
        self.asking.hide()
        self.summary.hide()

    def _unlock(self) -> None:
        if self._path is not None and self.key.text():
            self.open(self._path)

    def _ask(self, path: Path) -> None:
        self._end()
        self._asked_for.setText(f"{path.name} is encrypted. Whoever made it has the passphrase.")
        self.asking.show()
        self.key.setFocus()

    def _make_undo(self) -> QWidget:
        self.last = QWidget()
        across = row(self.last)
        self._last_words = TermLabel("", "caption", wrap=True)
        self.undo = Button("Undo merge", icon="undo")
        across.addWidget(self._last_words, 1)
        across.addWidget(self.undo)
        self.last.hide()
        return self.last

    def _make_summary(self) -> QWidget:
        self.summary = QWidget()
        box = column(self.summary)
        self._said = TermLabel("", wrap=True)
        box.addWidget(self._said)
        self.erasures = ErasureList()
        box.addWidget(self.erasures)
        lower = row()
        lower.addStretch(1)
        self.leave, self.merge = Button("Cancel", "quiet"), Button("Merge", "primary")
        lower.addWidget(self.leave)
        lower.addWidget(self.merge)
        box.addLayout(lower)
        self.summary.hide()
        return self.summary

    def _choose_new(self) -> None:
        ending = _LOCKED_SUFFIX if self.protect.isChecked() else _SUFFIX
        dialog = QFileDialog(self, "Make a bundle", f"{self._context.session.project.name}{ending}", f"Bundles (*{ending})")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda path: self.write(Path(path)))
        dialog.open()

    def _choose(self) -> None:
        dialog = QFileDialog(self, "Open a bundle", "", f"Bundles (*.zip *{_LOCKED_SUFFIX});;All files (*)")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda path: self.open(Path(path)))
        dialog.open()

    def write(self, path: Path) -> None:
        """Make a bundle of the project."""
        passphrase = self.passphrase.text() if self.protect.isChecked() else ""
        self._work(
            lambda store, project: bundle_written(export_bundle(store, project, path, passphrase), path),
            f"Writing {path.name}…", self._made,
        )  # fmt: skip

    def _made(self, written: Written) -> None:
        self._end()
        self.passphrase.clear()
        self.protect.setChecked(False)
        self.written.show_written(written)

    def open(self, path: Path) -> None:
        """Look through a bundle; of one that is encrypted, with the passphrase that was typed for it."""
        if path != self._path:
            self._forget()
        self._path, passphrase = path, self.key.text()

        def look(store: Store, project: Project) -> BundleSummary | None:
            with _readable(store, path, passphrase) as plain:
                return inspect_bundle(store, project, plain) if plain is not None else None

        self._work(look, f"Checking {path.name}…", lambda found: self._inspected(path, found))

    def _inspected(self, path: Path, found: BundleSummary | None) -> None:
        if path != self._path:
            return  # another bundle was opened meanwhile
        if found is None:
            self._ask(path)
            return
        self._end()
        self.asking.hide()
        by = f" by {', '.join(found.annotators)}" if found.annotators else ""
        self.erasures.show_erasures(found.erasures)
        self.erasures.setVisible(bool(found.erasures))
        erased = f" A colleague has erased {_taken(found)} that you have here." if found.erases else ""
        self._said.setText(
            f"{path.name}, from the project “{found.project}”: {words.count(found.judgements, 'judgement')}{by}, "
            f"{found.new:,} of them new here; {words.count(found.prompts, 'prompt')}.{erased}"
        )
        self.summary.show()

    def run(self) -> None:
        """Merge the bundle that was looked through."""
        path, cancel = self._path, self._cancel
        if path is None:
            return  # none was looked through
        erasures, passphrase = self.erasures.keys, self.key.text()
        cancel.clear()
        self.summary.hide()
        self.stop.show()

        def work(store: Store, project: Project) -> Merged:
            with _readable(store, path, passphrase) as plain:
                return merge_bundle(store, project, plain or path, erasures=erasures, cancelled=cancel.is_set)

        self._work(work, f"Merging {path.name}…", self._merged)

    def _merged(self, done: Merged) -> None:
        self._forget()
        new = done.added.get("judgements", 0)
        parts = [f"Merged: {words.count(new, 'new judgement')}; {done.already:,} were here already."]
        parts += [f"{words.count(done.erased, 'judgement')} went because they were erased there."] if done.erased else []
        self._say("alert" if done.conflicts else "success", " ".join(parts), "warning" if done.conflicts else "success")
        if done.conflicts:
            more = len(done.conflicts) - _MOST_CONFLICTS
            said = [*done.conflicts[:_MOST_CONFLICTS], *([f"… and {more:,} more"] if more > 0 else [])]
            self.conflicts.setText("Both sides are kept:\n" + "\n".join(said))
            self.conflicts.show()
        self._context.session.feedbackChanged.emit()
        self.look_for_undo()
        self.merged.emit()

    # --- undo

    def look_for_undo(self) -> None:
        """Say which merge can be undone, if one can."""
        store, project = self._context.store, self._context.session.project
        self._context.tasks.run(
            lambda: undoable(store, project.id), on_success=lambda found: self._show_undo(project, found), on_failure=self._failed
        )

    def _show_undo(self, project: Project, found: Undoable | None) -> None:
        if project.id != self._context.session.project.id:
            return  # another project was opened meanwhile
        self.last.setVisible(found is not None)
        if found is not None:
            when = words.moment(datetime.fromisoformat(found.merged_at).timestamp())
            self._last_words.setText(
                f"Last merge: {when}, {words.count(found.judgements, 'new judgement')}. What you have added since stays."
            )

    def undo_last(self) -> None:
        """Undo the last merge."""
        self.last.hide()
        self._work(lambda store, project: undo_last_merge(store, project), "Undoing the merge…", self._undone)

    def _undone(self, done: Undone) -> None:
        self._say("success", undone_words(done), "success")
        self._context.session.feedbackChanged.emit()
        self.look_for_undo()
        self.merged.emit()

    # --- work

    def _work(self, work: Callable[[Store, Project], Outcome], said: str, then: Callable[[Outcome], object]) -> None:
        """Do it on a connection of its own."""
        project, database = self._context.session.project, self._context.store.path

        def do() -> Outcome:
            with Store.open(database) as store:
                return work(store, project)

        self.notice.hide()
        self.written.hide()
        self.conflicts.hide()
        self.meter.set_value(0, 0, said)
        self.meter.show()
        self._context.tasks.run(do, on_success=then, on_failure=self._failed)

    def _failed(self, trouble: AppError) -> None:
        self._say("alert", str(trouble), "danger")
        if self.asking.isVisibleTo(self):
            self.key.setFocus()
            self.key.edit.selectAll()

    def _end(self) -> None:
        self.meter.hide()
        self.stop.hide()

    def _say(self, icon: str, text: str, tone: t.Role) -> None:
        self._end()
        self.notice.say(icon, text, tone)
        self.notice.show()


@contextmanager
def _readable(store: Store, path: Path, passphrase: str) -> Iterator[Path | None]:
    """The bundle as it can be read; None: it is encrypted, and its passphrase is not known yet."""
    if not is_locked(path):
        yield path
    elif not passphrase:
        yield None
    else:
        with unlocked(path, passphrase, store.path.parent) as plain:
            yield plain


def _taken(found: BundleSummary) -> str:
    counts = [(found.takes, "judgement"), (found.takes_messages, "message"), (found.takes_prompts, "prompt")]
    return ", ".join(words.count(number, what) for number, what in counts if number)
