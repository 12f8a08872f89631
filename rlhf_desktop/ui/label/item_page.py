"""One item, the whole window: a thin bar, the prompt, the cards, the guidelines at the right, the panel below."""

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QScrollArea, QWidget

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.attachments import question_of
from rlhf_desktop.ui import words
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.judging.area import JudgingArea
from rlhf_desktop.ui.label.guidelines import GuidelinePanel
from rlhf_desktop.ui.label.presenter import Progress
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button, IconButton
from rlhf_desktop.ui.widgets.filefold import PromptText
from rlhf_desktop.ui.widgets.inset import Inset
from rlhf_desktop.ui.widgets.surfaces import Card, Notice, clear, column, row
from rlhf_desktop.ui.widgets.text import ElidedLabel, caption

_PROMPT_LEAST = 72  # three lines
_PROMPT_SHARE = 4  # of what is seen, a prompt takes at most one part in so many
_SPEAKERS = {"user": "Prompt", "system": "Instructions", "assistant": "Answer before"}


class PromptCard(Card):
    """What the answers reply to. Folds to one line."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(kind="turn", parent=parent)
        self.body.setContentsMargins(t.SPACE_L, t.SPACE_S, t.SPACE_L, t.SPACE_S)
        head = row(spacing=t.SPACE_S)
        self.toggle = IconButton("chevron-up", "Fold the prompt", size=t.ICON_SMALL)
        self.toggle.setToolTip(keymap.tip("Fold or unfold the prompt", "fold prompt"))
        self._line = ElidedLabel("", "answer")
        self._line.hide()
        head.addWidget(caption("Prompt"))
        head.addWidget(self._line, 1)
        head.addStretch(0)
        head.addWidget(self.toggle)
        self.body.addLayout(head)
        self._whole = Inset()
        self._parts = self._whole.body
        self.body.addWidget(self._whole)
        self.toggle.clicked.connect(self.fold)

    def set_cap(self, height: int) -> None:
        """A longer prompt scrolls in its place: the answers keep theirs."""
        self._whole.set_cap(height)

    @property
    def text_height(self) -> int:
        """What all of it takes."""
        return self._whole.whole_height

    def show_prompt(self, messages: Messages) -> None:
        """Show all of it."""
        self._messages = messages
        clear(self._parts)
        for message in messages:
            name = _SPEAKERS[message["role"]]
            if len(messages) > 1:
                self._parts.addWidget(caption("Prompt" if message is messages[-1] else "You" if name == "Prompt" else name))
            self._parts.addWidget(PromptText(message["content"], name))
        self._whole.to_top()
        self._line.setText(words.shortened(question_of(messages[-1]["content"]), 200) if messages else "")

    def text(self) -> str:
        """What was asked last."""
        return self._messages[-1]["content"]

    def fold(self) -> None:
        """One line, or all of it."""
        folded = self._whole.isVisibleTo(self)
        self._whole.setVisible(not folded)
        self._line.setVisible(folded)
        self.toggle.set_icon("chevron-down" if folded else "chevron-up")
        self.toggle.setAccessibleName("Unfold the prompt" if folded else "Fold the prompt")


class ItemPage(QWidget):
    """Shows what the presenter says; the area's widgets do the judging."""

    promptsRequested = Signal()
    protocolRequested = Signal()
    endRequested = Signal()

    def __init__(self, area: JudgingArea, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._area = area
        self.setProperty("kind", "page")
        box = column(self, 0, 0)
        box.addLayout(self._make_bar())
        across = row(spacing=0)
        middle = column(spacing=0)
        middle.addWidget(self._make_scroll(), 1)
        dock = row()
        dock.setContentsMargins(t.SPACE_XL, t.SPACE_S, t.SPACE_XL, t.SPACE_M)
        dock.addWidget(area.panel)
        middle.addLayout(dock)
        across.addLayout(middle, 1)
        self.guidelines = GuidelinePanel()
        across.addWidget(self.guidelines)
        box.addLayout(across, 1)
        self.guidelines.folded.connect(self.fold_guidelines)

    def _make_bar(self) -> QHBoxLayout:
        bar = row(spacing=t.SPACE_M)
        bar.setContentsMargins(t.SPACE_XL, t.SPACE_S, t.SPACE_L, t.SPACE_S)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName("Prompts judged")
        self.said = caption("")
        bar.addWidget(self.progress, 1)
        bar.addWidget(self.said)
        self.guide = Button("Guidelines", "quiet", icon="book")
        self.guide.setToolTip(keymap.tip("Show or fold the guidelines", "fold guidelines"))
        self.protocol, self.prompts = Button("What is asked", "quiet", icon="tune"), Button("Prompts", "quiet", icon="plus")
        self.finish = Button("End", "quiet")
        self.finish.setToolTip("End this sitting; what is judged is saved")
        for button, signal in (
            (self.guide, self.fold_guidelines),
            (self.protocol, self.protocolRequested),
            (self.prompts, self.promptsRequested),
            (self.finish, self.endRequested),
        ):
            button.clicked.connect(signal)
            bar.addWidget(button)
        return bar

    def _make_scroll(self) -> QScrollArea:
        self.scrolling = QScrollArea()
        self.scrolling.setWidgetResizable(True)
        self.scrolling.setFrameShape(QFrame.Shape.NoFrame)
        self.scrolling.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.scrolling.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inner = QWidget()
        inner.setProperty("kind", "plain")
        box = column(inner, 0, t.SPACE_M)
        box.setContentsMargins(t.SPACE_XL, t.SPACE_S, t.SPACE_XL, t.SPACE_S)
        self.notice = Notice("clock", "")
        self.notice.hide()
        self.prompt = PromptCard()
        for part in (self.notice, self.prompt, self._area.board):
            box.addWidget(part)
        box.addStretch(1)
        self.scrolling.setWidget(inner)
        for watched in (self.prompt, self.notice, self._area.board, self.scrolling.viewport()):
            watched.installEventFilter(self)
        return self.scrolling

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The prompt is folded, the panel below has grown: the answers have other room."""
        if event.type() in (QEvent.Type.Resize, QEvent.Type.Show, QEvent.Type.Hide):
            self.arrange()
        return super().eventFilter(watched, event)

    def show_prompt(self, messages: Messages) -> None:
        """Another item."""
        self.notice.hide()
        self.prompt.show()
        self.prompt.show_prompt(messages)
        self.scrolling.verticalScrollBar().setValue(0)
        self.arrange()

    def wait(self, words_said: str) -> None:
        """Nothing to judge yet."""
        self.prompt.hide()
        self.notice.say("clock", words_said, "muted")
        self.notice.show()

    def show_progress(self, progress: Progress) -> None:
        """How far, how fast, how long yet."""
        self.progress.setRange(0, max(1, progress.total))
        self.progress.setValue(progress.judged)
        parts = [f"{progress.judged:,} of {progress.total:,}"]
        if progress.pace_s is not None and progress.left_s is not None:
            parts += [f"{words.duration(progress.pace_s)} each", f"about {words.duration(progress.left_s)} left"]
        parts.append(f"{progress.ready} ready")
        self.said.setText("  ·  ".join(parts))
        self.progress.setAccessibleDescription(self.said.text())

    def fold_guidelines(self) -> None:
        """Show the guidelines, or make room."""
        self.guidelines.setVisible(not self.guidelines.isVisibleTo(self))
        self.arrange()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Side by side when there is room."""
        super().resizeEvent(event)
        self.arrange()

    def arrange(self) -> None:
        """The answers share what is seen below the prompt; in a narrow window they stand below each other, and the page scrolls."""
        seen, board = self.scrolling.viewport().size(), self._area.board
        taken = self.guidelines.width() if self.guidelines.isVisibleTo(self) else 0
        width = self.width() - taken - 2 * t.SPACE_XL
        cap = max(_PROMPT_LEAST, seen.height() // _PROMPT_SHARE)
        self.prompt.set_cap(cap)
        if self.window().width() < t.SIDE_BY_SIDE_MIN:
            board.fit(QSize(width, 0))
            return
        room = seen.height() - self._above() - 2 * t.SPACE_S
        board.fit(QSize(width, max(1, room)))
        if (short := board.heightForWidth(width) - room) > 0:  # a long prompt gives way first
            self.prompt.set_cap(max(_PROMPT_LEAST, min(cap, self.prompt.text_height) - short))
            board.fit(QSize(width, max(1, seen.height() - self._above() - 2 * t.SPACE_S)))

    def _above(self) -> int:
        """What stands above the answers takes so much."""
        return sum(part.sizeHint().height() + t.SPACE_M for part in (self.prompt, self.notice) if part.isVisibleTo(self))
