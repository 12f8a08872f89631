"""The Label room: composes its pages and connects them to the presenter, all in one place."""

from pathlib import Path

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFileDialog, QLineEdit, QPlainTextEdit, QWidget

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.prompt_files import read_prompts
from rlhf_desktop.feedback.protocol import Protocol
from rlhf_desktop.feedback.snapshot import Split
from rlhf_desktop.operations.labelling import LabelQueue, add_prompt_set
from rlhf_desktop.operations.outlook import outlook
from rlhf_desktop.ui import words
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.form_drafts import FormDrafts
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.judging.area import JudgingArea
from rlhf_desktop.ui.label.item_page import ItemPage
from rlhf_desktop.ui.label.pages import SummaryPage, WritePrompts
from rlhf_desktop.ui.label.presenter import LabelPresenter, Sitting
from rlhf_desktop.ui.label.protocol_page import ProtocolPage
from rlhf_desktop.ui.loading import Loading
from rlhf_desktop.ui.people import who_am_i
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import EmptyState, Looking, Pages, column, row
from rlhf_desktop.ui.widgets.text import caption

_PROTOCOL, _PROMPTS, _GUIDELINES = "what is asked", "prompts", "guidelines"  # forms, by the names of their drafts
_FILES = "Prompts (*.jsonl *.json *.csv *.tsv *.xlsx *.parquet *.txt);;All files (*)"


class ReadyPage(QWidget):
    """So many prompts wait: begin, add more, or change what is asked."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        box = column(self, 0, 0)
        self.state = EmptyState("label", " ", "Answers are written ahead, so the next one is ready before you are.", "Begin")
        box.addWidget(self.state, 1)
        self.said = caption("")
        self.said.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        box.addWidget(self.said)
        lower = row()
        lower.addStretch(1)
        self.prompts, self.protocol = Button("Add prompts…", "quiet", "plus"), Button("What is asked…", "quiet", "tune")
        lower.addWidget(self.prompts)
        lower.addWidget(self.protocol)
        lower.addStretch(1)
        box.addLayout(lower)
        box.addStretch(1)
        self.button = self.state.button

    def show_queue(self, queue: LabelQueue) -> None:
        """Say how many wait."""
        self.state.set_title(f"{words.count(queue.left, 'prompt waits', 'prompts wait')} for you")

    def show_ready(self, ready: int) -> None:
        """Say how many have their answers."""
        self.said.setText(f"{ready:,} ready" if ready else "")


class LabelRoom(QObject):
    """Judge from a queue. What is judged is saved at once; a judgement begun is kept as a draft."""

    title, icon = "Label", "label"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self.presenter = LabelPresenter(context, lambda: who_am_i(context.store), parent=self)
        self.area = JudgingArea(self.presenter.judging, self)
        self._root = Pages()
        self._root.setProperty("kind", "page")
        self._root.installEventFilter(self)
        self._before: QWidget | None = None
        self.none = EmptyState(
            "label",
            "Judge from a list of prompts",
            "Bring the questions your model has to answer well. It writes answers to each, and you say which is better.",
            "Add prompts",
        )
        self.looking = Looking("Looking for what waits…")
        self.ready, self.page = ReadyPage(), ItemPage(self.area)
        self.summary, self.writing, self.protocol = SummaryPage(), WritePrompts(), ProtocolPage()
        self._drafts = FormDrafts(context)
        self._drafts.watch(_PROTOCOL, self.protocol.kept)
        self._drafts.watch(_PROMPTS, self.writing.kept)
        self.writing.show_draft(self._drafts.get(_PROMPTS))
        for view in (self.looking, self.none, self.ready, self.page, self.summary, self.writing, self.protocol):
            self._root.addWidget(view)
        self._connect()

    def _connect(self) -> None:
        """Every connection of this room."""
        session, p, page = self._context.session, self.presenter, self.page
        self.none.began.connect(lambda: self.write_prompts(False))
        self.ready.button.clicked.connect(p.begin)
        self.ready.prompts.clicked.connect(lambda: self.write_prompts(False))
        self.ready.protocol.clicked.connect(self._open_protocol)
        page.promptsRequested.connect(lambda: self.write_prompts(False))
        page.protocolRequested.connect(self._open_protocol)
        page.endRequested.connect(p.end)
        page.guidelines.saved.connect(self._save_guidelines)
        page.guidelines.drafted.connect(lambda values: self._drafts.keep(_GUIDELINES, values))
        page.guidelines.left.connect(self._focus)
        self.summary.trainRequested.connect(lambda: session.roomRequested.emit("train"))
        self.summary.againRequested.connect(self._again)
        self.writing.written.connect(self._add)
        self.writing.fileRequested.connect(self._choose)
        self.writing.left.connect(self._close)
        self.protocol.saved.connect(self._save_protocol)
        self.protocol.left.connect(self._close)
        p.counted.connect(self._counted)
        p.itemShown.connect(self._show_item)
        p.waitingBegan.connect(lambda: self._wait(0, 0))
        p.answersWritten.connect(self._wait)
        p.finished.connect(self._finished)
        p.progressed.connect(page.show_progress)
        p.lookahead.readyChanged.connect(self.ready.show_ready)
        p.troubled.connect(session.troubled)
        p.troubled.connect(self._not_found)
        session.projectChanged.connect(self._restart)
        session.feedbackChanged.connect(p.refresh)
        session.loadingChanged.connect(self._say_loading)

    def widget(self) -> QWidget:
        """The room."""
        return self._root

    @property
    def judges(self) -> bool:
        """Whether somebody is judging from the queue, here or in another room meanwhile."""
        return self.presenter.sitting is not None

    def go_on(self) -> None:
        """Judge on as soon as it is known what waits."""
        self.presenter.go_on()

    def focus_place(self) -> QWidget:
        """The board while answers are judged, else no control at all: keys pressed too early do nothing."""
        return self.area.board if self._judges() else self._root

    def activated(self) -> None:
        """Look again; go on where it was."""
        self.presenter.set_in_front(True)
        self._show_guidelines()
        if self._root.currentWidget() is not self.summary:
            self.presenter.refresh()
        self._focus()

    def deactivated(self) -> None:
        """What is begun is kept."""
        self.presenter.judging.settle()
        self._settle()
        self.presenter.set_in_front(False)

    def _settle(self) -> None:
        """What was typed a moment ago is kept, saved or not."""
        for form in (self.protocol.kept, self.writing.kept, self.page.guidelines):
            form.settle()

    def _judges(self) -> bool:
        return self.presenter.judging.showing is not None and self._root.currentWidget() is self.page

    def _focus(self) -> None:
        if self.presenter.judging.showing is not None:
            self.area.board.setFocus()

    # --- pages

    def _restart(self) -> None:
        self.presenter.leave()
        self.protocol.kept.rest()
        self.page.guidelines.forget()
        self.writing.show_draft(self._drafts.get(_PROMPTS))
        self._root.setCurrentWidget(self.looking)
        self._show_guidelines()
        self.presenter.refresh()

    def _counted(self, queue: LabelQueue) -> None:
        if self._root.currentWidget() in (self.writing, self.protocol):
            self._before = None
            return
        self._show_queue(queue)

    def _not_found(self) -> None:
        """What waits could not be looked up: prompts can still be added."""
        if self._root.currentWidget() is self.looking:
            self._root.setCurrentWidget(self.none)

    def _show_queue(self, queue: LabelQueue) -> None:
        if not queue.total:
            self._root.setCurrentWidget(self.none)
        elif not queue.left:
            before = self._root.currentWidget() is self.summary and self.summary.has_numbers
            self.summary.show_all_done(numbers=before)
            self._say_next()
            self._root.setCurrentWidget(self.summary)
        else:
            self.ready.show_queue(queue)
            self._root.setCurrentWidget(self.ready)

    def _show_item(self, prompt: Messages) -> None:
        if self._root.currentWidget() not in (self.writing, self.protocol):
            self._root.setCurrentWidget(self.page)
        self.page.show_prompt(prompt)
        self._focus()

    def _wait(self, written: int, of: int) -> None:
        if self.presenter.sitting is None or self.presenter.judging.showing is not None:
            return
        if self._root.currentWidget() is self.ready or self._root.currentWidget() is self.summary:
            self._root.setCurrentWidget(self.page)
        self._root.setFocus()  # not to whatever button comes next: keys pressed too early do nothing
        done = f" {written} of {of} are there." if of and written else ""
        if self._context.session.loading is not None:
            self._say_loading(self._context.session.loading)
        else:
            self.page.wait(f"The model is writing answers to the next prompt.{done} It works ahead from now on.")

    def _say_loading(self, loading: Loading | None) -> None:
        """How far the model is, while an item waits for it."""
        p = self.presenter
        if loading is not None and p.sitting is not None and p.judging.showing is None and self._root.currentWidget() is self.page:
            self.page.wait(f"{loading.words}. Answers are written as soon as the model is ready.")

    def _finished(self, sitting: Sitting) -> None:
        queue_empty = self.presenter.lookahead.ready == 0 and not self.presenter.lookahead.more
        self.summary.show_sitting(sitting, all_done=queue_empty)
        self._say_next()
        self._root.setCurrentWidget(self.summary)

    def _say_next(self) -> None:
        """What comes next, on the summary: the same as in the header."""
        context, session = self._context, self._context.session
        context.tasks.run(
            outlook, context.store, context.queue, session.project, session.base,
            on_success=self.summary.show_next, on_failure=session.troubled.emit,
        )  # fmt: skip

    def _again(self) -> None:
        self._root.setCurrentWidget(self.looking)
        self.presenter.refresh()

    def _open(self, page: QWidget) -> None:
        self._before = self._root.currentWidget()
        self._root.setCurrentWidget(page)
        if page is self.writing:
            self.writing.edit.setFocus()

    def write_prompts(self, keep_aside: bool) -> None:
        """Open the page where prompts are added, to be judged and trained on or kept aside."""
        self.writing.aside.setChecked(keep_aside)
        self._open(self.writing)

    def _open_protocol(self) -> None:
        asked = self._context.store.protocols.get(self._context.session.project.id)
        self.protocol.show_protocol(asked, self._drafts.get(_PROTOCOL))
        self._open(self.protocol)
        self.protocol.preset.setFocus()

    def _close(self) -> None:
        """Back from a page that lay over another."""
        self._settle()
        before, self._before = self._before, None
        self._root.setCurrentWidget(before or self.looking)
        if self.presenter.sitting is None:
            self.presenter.refresh()
        self._focus()

    # --- what the user changes

    def _save_protocol(self, protocol: Protocol) -> None:
        self._context.store.protocols.set(self._context.session.project.id, protocol)
        self._context.session.announce("Saved. It holds from the next item on.")
        self._close()
        self.presenter.restart()

    def _show_guidelines(self) -> None:
        versions = self._context.store.guidelines.versions(self._context.session.project.id)
        self.page.guidelines.show_versions(versions, self._drafts.get(_GUIDELINES))

    def _save_guidelines(self, text: str) -> None:
        saved = self._context.store.guidelines.save(self._context.session.project.id, text, who_am_i(self._context.store))
        self._show_guidelines()
        self.presenter.judging.set_guideline(saved.version)
        self._context.session.announce(f"Version {saved.version} of the guidelines holds from now on.")

    def _choose(self) -> None:
        dialog = QFileDialog(self._root, "Add prompts", "", _FILES)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda path: self.add_prompts(Path(path)))
        dialog.open()

    def add_prompts(self, path: Path) -> None:
        """Make a prompt set of a file, named after it."""
        store, project, split = self._context.store, self._context.session.project, _half(self.writing.aside.isChecked())
        self._context.tasks.run(
            lambda: add_prompt_set(store, project, path.stem, read_prompts(path), split),
            on_success=self._added,
            on_failure=self._context.session.troubled.emit,
        )

    def _add(self, name: str, prompts: list[Messages], aside: bool) -> None:
        self._context.tasks.run(
            add_prompt_set, self._context.store, self._context.session.project, name, prompts, _half(aside),
            on_success=self._added, on_failure=self._context.session.troubled.emit,
        )  # fmt: skip

    def _added(self, count: int) -> None:
        self._context.session.announce(f"Added {words.count(count, 'prompt')}.")
        if self._root.currentWidget() is self.writing:
            self._close()
        self.presenter.restart()
        self._context.session.feedbackChanged.emit()

    # --- keys

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The judging's keys, and those of the page, while no text field has the focus."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and self._root.currentWidget() is self.page:
            return self._key(event) or super().eventFilter(watched, event)
        return super().eventFilter(watched, event)

    def _key(self, event: QKeyEvent) -> bool:
        if self.area.key(event):
            return True
        in_text = isinstance(self._root.window().focusWidget(), (QLineEdit, QPlainTextEdit))
        folds = {"fold guidelines": self.page.fold_guidelines, "fold prompt": self.page.prompt.fold}
        action = None if in_text else folds.get(keymap.heard(event, "label"))
        if action and not event.isAutoRepeat():
            action()
        return action is not None


def _half(aside: bool) -> Split | None:
    """The half of the split that prompts are put in; None lets the project's split decide."""
    return "heldout" if aside else None
