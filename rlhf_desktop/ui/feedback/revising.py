"""A stored judgement judged again: the same cards and keys as anywhere, starting from what was said."""

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.judgements import Judgement
from rlhf_desktop.operations.history import prompt_of, verdict_words
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.judging.area import JudgingArea
from rlhf_desktop.ui.judging.presenter import Judging
from rlhf_desktop.ui.label.item_page import PromptCard
from rlhf_desktop.ui.people import who_am_i
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import column, row
from rlhf_desktop.ui.widgets.text import caption, heading


class RevisingPage(QWidget):
    """Saving adds a version that replaces the one before; nothing is lost."""

    left = Signal()

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self._about = ""  # the first of the answers shown
        self.judging = Judging(context.store, context.session, lambda: who_am_i(context.store), parent=self)
        self.area = JudgingArea(self.judging, self)
        box = column(self, 0, t.SPACE_S)
        box.setContentsMargins(t.SPACE_XL, t.SPACE_M, t.SPACE_XL, t.SPACE_M)
        head = row(spacing=t.SPACE_M)
        self._title = heading("")
        head.addWidget(self._title)
        self._said = caption("")
        head.addWidget(self._said, 1)
        self.cancel = Button("Leave as it is", "quiet")
        self.cancel.setToolTip(keymap.tip("Leave as it is", "leave"))
        head.addWidget(self.cancel)
        box.addLayout(head)
        box.addWidget(self._make_scroll(), 1)
        box.addWidget(self.area.panel)
        self.cancel.clicked.connect(self._leave)
        self.judging.saved.connect(lambda _saved: self.left.emit())
        self.judging.troubled.connect(context.session.troubled)
        self.installEventFilter(self)

    def _make_scroll(self) -> QScrollArea:
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        inner = QWidget()
        inner.setProperty("kind", "plain")
        box = column(inner, 0, t.SPACE_M)
        self.prompt = PromptCard()
        box.addWidget(self.prompt)
        box.addWidget(self.area.board)
        box.addStretch(1)
        scroll.setWidget(inner)
        return scroll

    def begin(self, judgement: Judgement) -> None:
        """Show what was judged."""
        self._show("Revise", judgement.displayed, f"It said: {verdict_words(judgement)}")
        self.judging.revise(judgement)
        self._ready()

    def settle(self, displayed: tuple[str, ...], said: str) -> None:
        """Judge answers that people disagree about, for all of them."""
        self._show("Settle", displayed, said)
        self.judging.begin(displayed, f"settle:{displayed[0]}", "adjudication")
        self._ready()

    def _show(self, title: str, displayed: tuple[str, ...], said: str) -> None:
        self._title.setText(title)
        self._said.setText(said)
        self.prompt.hide()  # it says what the one before was about
        self._about = displayed[0]
        self._context.tasks.run(
            prompt_of, self._context.store, displayed[0],
            on_success=lambda prompt: self._found(displayed[0], prompt), on_failure=self._context.session.troubled.emit,
        )  # fmt: skip

    def _found(self, answer: str, prompt: Messages) -> None:
        if answer == self._about:
            self.prompt.show_prompt(prompt)
            self.prompt.show()

    def _ready(self) -> None:
        self._arrange()
        self.area.board.setFocus()

    def _arrange(self) -> None:
        self.area.board.fit(QSize(self.width() - 2 * t.SPACE_XL, 0))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """As many side by side as stay readable."""
        super().resizeEvent(event)
        self._arrange()

    def _leave(self) -> None:
        self.judging.put_away()
        self.left.emit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The judging's keys; Esc leaves."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if self.area.key(event):
                return True
            if keymap.heard(event, "revising") == "leave":
                self._leave()
                return True
        return super().eventFilter(watched, event)
