"""The conversation, newest below: turns, the answer being written, or the board of answers to rank."""

from PySide6.QtCore import QPoint, QRect, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QScrollArea, QSizePolicy, QWidget

from rlhf_desktop.ui.chat.turn_view import TurnView
from rlhf_desktop.ui.chat.turns import Turn
from rlhf_desktop.ui.judging.area import JudgingArea
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.inset import keep_in_sight
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from rlhf_desktop.ui.widgets.surfaces import clear, column, row
from rlhf_desktop.ui.widgets.text import Label, caption

_QUESTION_SHARE = 5  # of what is seen, one part in so many is left to the question above the answers


class ConversationView(QScrollArea):
    """Scrolls with what is written, unless the user has scrolled up to read."""

    turnMade = Signal(object)  # TurnView, to be connected by the room

    def __init__(self, area: JudgingArea, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._area = area
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Conversation")
        self._single: TurnView | None = None
        self._unseen: Label | None = None
        self._pending: dict[int, str] = {}
        self._thoughts: dict[int, str] = {}
        self._follow = True
        page = QWidget()
        page.setProperty("kind", "plain")
        across = row(page)
        across.setContentsMargins(t.SPACE_XL, t.SPACE_L, t.SPACE_XL, t.SPACE_L)
        self._inner = QWidget()
        self._inner.setProperty("kind", "plain")
        self._inner.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        across.addStretch(1)
        across.addWidget(self._inner, 1000)
        across.addStretch(1)
        self._list = column(self._inner, 0, t.SPACE_L)
        self._turns = column(None, 0, t.SPACE_L)
        self._current = column(None, 0, t.SPACE_L)
        self._list.addLayout(self._turns)
        self._list.addLayout(self._current)
        self._list.addWidget(area.board)
        self._list.addStretch(1)
        self.setWidget(page)
        self._frame = QTimer(self)
        self._frame.setSingleShot(True)
        self._frame.setInterval(t.FRAME_MS)
        self._frame.timeout.connect(self.draw)
        self.verticalScrollBar().rangeChanged.connect(self._range_changed)
        self.verticalScrollBar().valueChanged.connect(self._scrolled)

    def settle(self) -> None:
        """Keep what was typed a moment ago of messages that are edited where they stand."""
        for view in self.findChildren(TurnView):
            if view.editor is not None:
                view.editor.settle()

    def show_turns(self, turns: list[Turn]) -> None:
        """Show a branch; whatever was being written or judged is gone from the screen."""
        self.settle()
        clear(self._turns)
        clear(self._current)
        self._area.hide()
        self._single, self._pending, self._thoughts = None, {}, {}
        self._limit(t.CONTENT_WIDTH - t.SIDEBAR_WIDTH)
        for turn in turns:
            view = TurnView(turn)
            self._turns.addWidget(view)
            self.turnMade.emit(view)
        self._unseen = None
        self._follow = True

    def texts(self) -> list[MarkdownView]:
        """The texts of the turns on screen, from the top, and of the answers that are being judged."""
        views = [self._turns.itemAt(place).widget() for place in range(self._turns.count())]
        turns = [view.text for view in views if isinstance(view, TurnView) and view.editor is None]
        return turns + (self._area.board.texts() if self._area.board.isVisibleTo(self) else [])

    def is_above(self, text: MarkdownView, point: QPoint) -> bool:
        """Whether a place of a text has been scrolled out at the top."""
        return text.viewport().mapTo(self.widget(), point).y() < self.verticalScrollBar().value()

    def show_place(self, text: MarkdownView, point: QPoint) -> None:
        """Scroll to a place of a text, also within the card of a long answer."""
        self._follow = False
        keep_in_sight(text.viewport(), QRect(point, QSize(1, t.SPACE_XL)))
        at = text.viewport().mapTo(self.widget(), point)
        self.ensureVisible(at.x(), at.y(), 0, t.SPACE_XXL * 2)

    def mark_unseen(self, place: int) -> None:
        """A line above the turn that is the first the model sees; 0: it sees all."""
        if self._unseen is not None:
            self._turns.removeWidget(self._unseen)
            self._unseen.deleteLater()
            self._unseen = None
        if 0 < place < self._turns.count():
            first = self._turns.itemAt(0).widget()
            but = ", except the instructions" if isinstance(first, TurnView) and first.turn.role == "system" else ""
            self._unseen = Label(f"The model no longer sees what is above this line{but}.", "caption", "warning", wrap=True)
            self._unseen.setContentsMargins(t.SPACE_L, 0, t.SPACE_L, 0)
            self._turns.insertWidget(place, self._unseen)

    def start_writing(self, answers: int, doing: str = "") -> None:
        """Make room for the answers to come: a turn for one, cards for several. `doing` is what comes before the writing."""
        clear(self._current)
        self._pending, self._thoughts = {}, {}
        if answers == 1:
            self._single = TurnView(Turn("", "assistant", doing or "…", "Answer", 0, 1, "", False, False))
            self._current.addWidget(self._single)
        else:
            self._area.start_writing(answers)
            for card in self._area.board.cards:
                card.say_status(doing or "Writing…")
            self.make_room()
        self._follow = True

    def make_room(self) -> None:
        """The cards have come: they may be wider than a conversation."""
        clear(self._current)
        self._single = None
        self._limit(2 * t.CONTENT_WIDTH)
        self._fit_board()
        self._follow = True

    def show_answers(self) -> None:
        """Scroll to where the answers begin: they are read from the top. Those that fit stay in sight by themselves."""
        self._follow = self._room().height() > 0
        QTimer.singleShot(0, self._scroll_to_board)  # once the layout knows how tall they are

    def _scroll_to_board(self) -> None:
        board = self._area.board
        if self._follow:
            return
        if board.isVisible() and board.height() + t.SPACE_XL > self.viewport().height():
            self.verticalScrollBar().setValue(board.mapTo(self.widget(), QPoint(0, 0)).y() - t.SPACE_XL)

    def grow(self, place: int, text: str) -> None:
        """An answer is now this text; drawn with the next frame."""
        self._pending[place] = text
        if not self._frame.isActive():
            self._frame.start()

    def think(self, place: int, thought: str) -> None:
        """What is thought before an answer is now this text. Before several, only that they are thinking is shown."""
        self._thoughts[place] = thought
        if not self._frame.isActive():
            self._frame.start()

    def end(self, place: int, finish: str) -> None:
        """An answer is complete."""
        self.draw()
        if self._single is None:
            self._area.board.cards[place].end(finish)

    def draw(self) -> None:
        """Show what has come in since the last frame."""
        thoughts, self._thoughts = self._thoughts, {}
        for place, thought in thoughts.items():
            if self._single:
                self._single.thought.grow(thought)
            elif place < len(self._area.board.cards):
                self._area.board.cards[place].say_status("Thinking…")
        pending, self._pending = self._pending, {}
        for place, text in pending.items():
            if self._single:
                self._single.thought.end()
                self._single.text.set_text(text)
            elif place < len(self._area.board.cards):
                self._area.board.cards[place].say_status("Writing…")
                self._area.board.cards[place].text.set_text(text)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Side by side when there is room."""
        super().resizeEvent(event)
        self._fit_board()

    def _fit_board(self) -> None:
        self._area.board.fit(self._room())

    def _room(self) -> QSize:
        """Where answers stand side by side they share what is seen, under the question; stacked, they take what they like."""
        if self.window().width() < t.SIDE_BY_SIDE_MIN:
            return QSize(0, 0)
        seen = self.viewport().size()
        room = seen.height() - 3 * t.SPACE_L - min(self._question_height() + t.SPACE_L, seen.height() // _QUESTION_SHARE)
        return QSize(min(seen.width() - 2 * t.SPACE_XL, self._inner.maximumWidth()), max(1, room))

    def _question_height(self) -> int:
        last = self._turns.itemAt(self._turns.count() - 1)
        return last.sizeHint().height() if last is not None else 0

    def _limit(self, width: int) -> None:
        self._inner.setMaximumWidth(width)

    def _range_changed(self, _low: int, high: int) -> None:
        if self._follow:
            self.verticalScrollBar().setValue(high)

    def _scrolled(self, value: int) -> None:
        self._follow = value >= self.verticalScrollBar().maximum() - t.SPACE_S

    def add_note(self, text: str) -> None:
        """A quiet line under the last turn."""
        note = caption(text, wrap=True)
        note.setContentsMargins(t.SPACE_L, 0, t.SPACE_L, 0)
        self._current.addWidget(note)
