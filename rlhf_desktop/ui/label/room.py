"""The Label room: one prompt after the other, answers to each, the same cards and keys as in Chat."""

from collections import deque
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFileDialog, QLineEdit, QStackedWidget, QWidget

from rlhf_desktop.feedback.prompt_files import read_prompts
from rlhf_desktop.operations.history import unjudged_prompts
from rlhf_desktop.store.prompts import StoredPrompt
from rlhf_desktop.ui import words
from rlhf_desktop.ui.chat.board import AnswerBoard
from rlhf_desktop.ui.chat.presenter import ChatPresenter
from rlhf_desktop.ui.chat.turns import Slot
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.people import who_am_i
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button, SegmentedControl
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from rlhf_desktop.ui.widgets.surfaces import Card, EmptyState, Meter, Notice, Page, column, row
from rlhf_desktop.ui.widgets.text import Label, caption, title

_FILES = "Prompts (*.jsonl *.json *.csv *.txt);;All files (*)"


class LabelRoom(QObject):
    """Judge from a queue. What was judged is saved at once; leaving loses nothing but an unfinished ranking."""

    title, icon = "Label", "label"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self.presenter = ChatPresenter(context.store, context.session, context.chat, lambda: who_am_i(context.store), parent=self)
        self.waiting: deque[StoredPrompt] = deque()
        self._total = 0
        self._skipped: set[str] = set()
        self._begun = False
        self.board: AnswerBoard | None = None
        self._texts: dict[int, str] = {}
        self._drawing = QTimer(self)
        self._drawing.setSingleShot(True)
        self._drawing.setInterval(t.FRAME_MS)
        self._drawing.timeout.connect(self._draw)
        self._root = QStackedWidget()
        self._root.setProperty("kind", "page")
        self._root.installEventFilter(self)
        self._build()
        self._connect()

    def _build(self) -> None:
        self.none = EmptyState(
            "label",
            "Judge from a list of prompts",
            "Bring the questions your model has to answer well. For each, it writes several answers and you say which is better.",
            "Add prompts…",
        )
        self.ready = EmptyState(
            "label", "", "The model writes answers to each prompt; you rank them with the number keys.", "Begin"
        )
        self.done = EmptyState("success", "Every prompt is judged", "Train on what you said, or add more prompts.", "Go to Train")
        self._page = Page(t.WIDE_WIDTH)
        for view in (self.none, self.ready, self.done, self._page):
            self._root.addWidget(view)
        self._page.body.addLayout(self._head())
        self.notice = Notice("alert", "", "warning")
        self.notice.hide()
        self._page.body.addWidget(self.notice)
        card = Card(kind="turn")
        card.body.addWidget(caption("Prompt"))
        self.prompt = MarkdownView(name="Prompt")
        card.body.addWidget(self.prompt)
        self._page.body.addWidget(card)
        self._board_place = column()
        self._page.body.addLayout(self._board_place)
        self._page.body.addStretch(1)

    def _head(self):
        head = row(spacing=t.SPACE_L)
        head.addWidget(title("Label"))
        self.meter = Meter("Prompts judged")
        head.addWidget(self.meter, 1)
        head.addWidget(Label("Answers", tone="muted"))
        self.answers = SegmentedControl("Answers", [("2", 2), ("4", 4)], 4)
        head.addWidget(self.answers)
        self.skip = Button("Skip", "quiet")
        self.skip.clicked.connect(self._skip)
        head.addWidget(self.skip)
        self.adding = Button("Add prompts…", "quiet", "plus")
        self.adding.clicked.connect(self._choose)
        head.addWidget(self.adding)
        return head

    def _connect(self) -> None:
        """Every connection of this room."""
        session, p = self._context.session, self.presenter
        self.none.began.connect(self._choose)
        self.ready.began.connect(self.begin)
        self.done.began.connect(lambda: session.roomRequested.emit("train"))
        p.writingStarted.connect(self._writing_started)
        p.answerGrew.connect(self._grew)
        p.answerEnded.connect(lambda place, finish: self.board.cards[place].end(finish))
        p.writingEnded.connect(self._writing_ended)
        p.judgingStarted.connect(self._judging_started)
        p.rankingChanged.connect(lambda state: self.board and self.board.show_ranking(state))
        p.judged.connect(lambda _models, _best: self._judged())
        p.troubled.connect(session.troubled)
        session.projectChanged.connect(self._restart)
        session.feedbackChanged.connect(self._recount)

    def widget(self) -> QWidget:
        """The room."""
        return self._root

    def activated(self) -> None:
        """Look again; go on where it was."""
        if not self._begun:
            self.refresh()
        elif self.board:
            self.board.setFocus()

    def deactivated(self) -> None:
        """Answers under way are kept, and so is a ranking begun."""

    # --- the queue

    def _restart(self) -> None:
        self.presenter.new_conversation()
        self._begun, self._skipped = False, set()
        self.refresh()

    def refresh(self) -> None:
        """Which prompts nobody has judged yet."""
        self._context.tasks.run(
            unjudged_prompts,
            self._context.store,
            self._context.session.project,
            on_success=self._show,
            on_failure=self._context.session.troubled.emit,
        )

    def _recount(self) -> None:
        """Something was judged or withdrawn, here or elsewhere."""
        if not self.presenter.writing and not self.presenter.judging:
            self.refresh()

    def _show(self, found: tuple[list[StoredPrompt], int]) -> None:
        prompts, self._total = found
        self.waiting = deque(sorted(prompts, key=lambda p: p.id in self._skipped))  # skipped ones come last
        judged = self._total - len(prompts)
        self.meter.set_value(judged, self._total, f"{judged:,} of {words.count(self._total, 'prompt')} judged")
        if not self._total:
            self._root.setCurrentWidget(self.none)
        elif not prompts:
            self._root.setCurrentWidget(self.done)
        elif not self._begun:
            self._root.removeWidget(self.ready)
            self.ready.deleteLater()
            said = f"{words.count(len(prompts), 'prompt waits', 'prompts wait')} for you"
            self.ready = EmptyState("label", said, "The model writes answers to each; you rank them with the number keys.", "Begin")
            self.ready.began.connect(self.begin)
            self._root.addWidget(self.ready)
            self._root.setCurrentWidget(self.ready)
        elif not self.presenter.writing and not self.presenter.judging:
            self._ask()

    def begin(self) -> None:
        """Ask for answers to the first prompt."""
        self._begun = True
        self._ask()

    def _ask(self) -> None:
        if not self.waiting:
            self.refresh()
            return
        self._root.setCurrentWidget(self._page)
        prompt = self.waiting[0].prompt
        self.prompt.set_text(prompt[-1]["content"])
        store, project = self._context.store, self._context.session.project
        conversation, leaf = store.conversations.start(project.id, prompt, "label")
        self.presenter.open(conversation.id)
        if not self.presenter.answer(leaf.id, self.answers.value()):
            self._begun = False

    def _skip(self) -> None:
        if self.waiting:
            self._skipped.add(self.waiting[0].id)
            self.waiting.rotate(-1)
            self._drop_board()
            self._ask()

    # --- what the presenter says

    def _writing_started(self, slots: list[Slot]) -> None:
        self._drop_board()
        self._texts = {}
        self.notice.hide()
        board = self.board = AnswerBoard(slots)
        board.arrange(2)
        p = self.presenter
        board.placed.connect(p.place)
        board.dropped.connect(p.drop)
        board.tied.connect(p.tie)
        board.allRejected.connect(p.reject_all)
        board.takenBack.connect(p.back)
        board.rankingSubmitted.connect(p.submit)
        self._board_place.addWidget(board)
        board.setFocus()

    def _drop_board(self) -> None:
        if self.board:
            self.board.hide()
            self.board.deleteLater()
            self.board = None

    def _grew(self, place: int, text: str) -> None:
        self._texts[place] = text
        if not self._drawing.isActive():
            self._drawing.start()

    def _draw(self) -> None:
        for place, text in self._texts.items():
            if self.board and self.board.cards[place].text.text() != text:
                self.board.cards[place].text.set_text(text)

    def _judging_started(self, slots: list[Slot], texts: list[str]) -> None:
        if self.board is None or len(self.board.cards) != len(slots):  # an empty answer was left out, or an undo brought it back
            self._writing_started(slots)
        self.board.start_judging(texts)
        self.board.setFocus()

    def _writing_ended(self) -> None:
        self._draw()
        QTimer.singleShot(0, self._check_answers)  # judging starts right after, if there is enough to judge

    def _check_answers(self) -> None:
        if not self.presenter.judging and not self.presenter.writing and self.board:
            self.notice.say("alert", "There were not enough answers to compare. Skip this prompt, or try again.", "warning")
            self.notice.show()

    def _judged(self) -> None:
        """Saved: the next one. Undo stays on screen; an undone prompt comes back by itself."""
        if self.waiting:
            self.waiting.popleft()
        self._drop_board()
        self.refresh()

    # --- keys and files

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The ranking's keys, while no text field has the focus."""
        if event.type() == QEvent.Type.KeyPress and self._key(event):
            return True
        return super().eventFilter(watched, event)

    def _key(self, event: QKeyEvent) -> bool:
        in_text = isinstance(self._root.window().focusWidget(), QLineEdit)
        if not self.presenter.judging or in_text or event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
            return False
        digit = event.key() - Qt.Key.Key_1
        if 0 <= digit < len(self.board.cards):
            self.presenter.place(digit)
            return True
        action = {
            Qt.Key.Key_Equal: self.presenter.tie,
            Qt.Key.Key_0: self.presenter.reject_all,
            Qt.Key.Key_Backspace: self.presenter.back,
            Qt.Key.Key_Return: lambda: self.presenter.submit(self.board.why.text()),
            Qt.Key.Key_Enter: lambda: self.presenter.submit(self.board.why.text()),
        }.get(event.key())
        if action:
            action()
        return action is not None

    def _choose(self) -> None:
        dialog = QFileDialog(self._root, "Add prompts", "", _FILES)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda path: self.add_prompts(Path(path)))
        dialog.open()

    def add_prompts(self, path: Path) -> None:
        """Make a prompt set of a file, named after it."""
        store, project = self._context.store, self._context.session.project

        def work() -> int:
            prompts = read_prompts(path)
            taken = {made.name for made in store.prompts.sets(project.id)}
            names = (path.stem if n == 1 else f"{path.stem} {n}" for n in range(1, len(taken) + 2))
            store.prompts.create_set(project.id, next(name for name in names if name not in taken), prompts)
            return len(prompts)

        self._context.tasks.run(work, on_success=self._added, on_failure=self._context.session.troubled.emit)

    def _added(self, count: int) -> None:
        self._context.session.announce(f"Added {words.count(count, 'prompt')}.")
        self.refresh()
