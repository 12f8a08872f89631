"""Cards and panel of whatever is being judged, connected to its presenter: the same in Chat, Label and Feedback."""

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractSpinBox, QComboBox, QLineEdit, QPlainTextEdit, QWidget

from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.judging.card import AnswerCard
from rlhf_desktop.ui.judging.draft import Draft
from rlhf_desktop.ui.judging.grid import AnswerGrid, columns_for
from rlhf_desktop.ui.judging.keys import digit
from rlhf_desktop.ui.judging.panel import JudgingPanel
from rlhf_desktop.ui.judging.presenter import Judging, Showing
from rlhf_desktop.ui.judging.writing import WritingPane
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.icons import grown
from rlhf_desktop.ui.widgets.inset import READING
from rlhf_desktop.ui.widgets.markdown import MarkdownView

_TEXT_FIELDS = (QLineEdit, QPlainTextEdit, QComboBox, QAbstractSpinBox)
_REPEATABLE = ("left", "right")  # looking along the answers says nothing of them


class AnswerBoard(QWidget):
    """Equal cards in a grid. Made once and shown again with other answers: making them takes longer than a key press."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Answers to judge")
        self._shown, self._current = 0, 0
        self._grid = AnswerGrid(self)
        self._made: list[AnswerCard] = []

    @property
    def cards(self) -> list[AnswerCard]:
        """Those in use."""
        return self._made[: self._shown]

    def texts(self) -> list[MarkdownView]:
        """The answers' texts, but for those in which parts are marked and those that are corrected now."""
        return [card.text for card in self.cards if card.text.isVisibleTo(card)]

    def set_count(self, count: int) -> list[AnswerCard]:
        """So many cards. Returns those that are new, to be connected."""
        new = [AnswerCard(place) for place in range(len(self._made), count)]
        self._made += new
        self._shown = count
        for card in new:  # before anything is shown: a card without a place would be a window
            self._grid.addWidget(card)
        for place, card in enumerate(self._made):
            card.setVisible(place < count)
        return new

    @property
    def least_width(self) -> int:
        """What one card takes to be read without tiring; more where the text is larger."""
        return grown(t.ANSWER_MIN_WIDTH)

    def fit(self, room: QSize) -> None:
        """Lay the cards out in this room; a height of 0: as tall as they like, and the page scrolls."""
        least = QSize(self.least_width, grown(t.ANSWER_MIN_HEIGHT))
        self._grid.arrange(columns_for(max(1, self._shown), room, least), room.height())

    def show_current(self, current: int) -> None:
        """Keys without a number are about this answer."""
        self._current = current
        for place, card in enumerate(self.cards):
            card.show_current(self._shown > 1 and place == current)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows up and down and the page keys read on in the current answer, where it is longer than its card."""
        step = READING.get(keymap.heard(event, "judging"))
        inset = self.cards[self._current].inset if self._current < self._shown else None
        if step is None or inset is None or inset.whole:
            super().keyPressEvent(event)
        else:
            inset.read_on(step)


class JudgingArea(QObject):
    """Put `board` and `panel` where they belong; both show themselves while something is judged."""

    resized = Signal()  # what is judged needs more or less room

    def __init__(self, judging: Judging, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.judging = judging
        self.board, self.panel = AnswerBoard(), JudgingPanel()
        self._own: WritingPane | None = None
        self.board.hide()
        self.panel.hide()
        self.board.installEventFilter(self)
        self._connect()

    def _connect(self) -> None:
        """Every connection between the widgets and the presenter, but those of cards."""
        j, panel = self.judging, self.panel
        j.began.connect(self._begin)
        j.changed.connect(self._show)
        j.currentChanged.connect(self._show_current)
        j.lacking.connect(self._lacking)
        j.ended.connect(self._end)
        panel.dropped.connect(j.drop)
        panel.tied.connect(j.tie)
        panel.allRejected.connect(j.reject_all)
        panel.takenBack.connect(j.back)
        panel.submitted.connect(j.submit)
        panel.skipped.connect(j.skip)
        panel.flagged.connect(j.flag)
        panel.writeRequested.connect(self.write_own)
        panel.whyTyped.connect(j.set_why)
        panel.strengthChosen.connect(j.set_strength)
        panel.confidenceChosen.connect(j.set_confidence)
        panel.foldPressed.connect(self.fold)
        panel.left.connect(self.board.setFocus)

    def _connect_card(self, place: int, card: AnswerCard) -> None:
        j = self.judging
        card.pressed.connect(lambda: j.press(place))
        card.touched.connect(lambda: j.choose(place))
        card.thumbed.connect(lambda up: j.thumb(place, up))
        card.scored.connect(lambda attribute, score: j.score(attribute, place, score))
        card.labelled.connect(lambda question, labels: j.label(question, place, labels))
        card.correcting.connect(lambda text: j.correcting(place, text))
        card.corrected.connect(lambda text: j.correct(place, text))
        card.marked.connect(j.mark)
        card.unmarked.connect(j.unmark)
        card.left.connect(self.board.setFocus)

    # --- writing

    def start_writing(self, count: int) -> None:
        """Answers are on their way."""
        self._set_count(count)
        for card in self.board.cards:
            card.begin_writing()
        self.panel.hide()
        self.board.show()

    def hide(self) -> None:
        """Nothing is written or judged."""
        self._end()

    # --- judging

    def _set_count(self, count: int) -> None:
        first = len(self.board._made)
        for offset, card in enumerate(self.board.set_count(count)):
            self._connect_card(first + offset, card)

    def _begin(self, showing: Showing) -> None:
        self._drop_own()
        self._set_count(len(showing.displayed))
        for card, text, finish in zip(self.board.cards, showing.texts, showing.finishes, strict=True):
            card.offer(text, showing.protocol, finish)
        self.panel.set_open(self.judging.all_shown)
        self.panel.ask(showing.protocol, len(showing.displayed), showing.revises is not None)
        self.board.show()
        self.panel.show()
        self.resized.emit()

    def _show(self, draft: Draft) -> None:
        for card in self.board.cards:
            card.show_draft(draft)
        self.panel.show_draft(draft)

    def _show_current(self, current: int) -> None:
        self.board.show_current(current)

    def _lacking(self, words: str) -> None:
        self.panel.say(words)
        if words.startswith("Say why"):
            self.panel.ask_why()

    def _end(self) -> None:
        self._drop_own()
        self.board.hide()
        self.panel.hide()

    def write_own(self) -> None:
        """A field for an answer of the user's own."""
        showing = self.judging.showing
        if self._own is None and showing is not None and showing.protocol.demonstration and not showing.revises:
            self._own = WritingPane("Your own answer", self.judging.draft.own, "Save as example", before="", leave="Close")
            self._own.edit.textChanged.connect(lambda: self.judging.set_own(self._own.edit.toPlainText()))
            self._own.kept.connect(self.judging.demonstrate)
            self._own.left.connect(self._leave_own)
            self.panel.body.insertWidget(0, self._own)
            self._own.edit.setFocus()

    def _leave_own(self) -> None:
        self.panel.show_own(self.judging.draft.own)
        self._drop_own()
        self.board.setFocus()

    def _drop_own(self) -> None:
        if self._own is not None:
            self._own.hide()
            self._own.deleteLater()
            self._own = None

    # --- keys

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The board hears its keys before whatever scrolls it: that would take the arrows."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and self.key(event):
            return True
        return super().eventFilter(watched, event)

    def key(self, event: QKeyEvent) -> bool:
        """A key pressed in the room. Whether it was one of ours. Dead while a text field has the focus."""
        focus = self.board.window().focusWidget()
        showing = self.judging.showing
        if showing is None or isinstance(focus, _TEXT_FIELDS):
            return False
        said, typed = keymap.heard(event, "judging"), digit(event)
        action = self._number(typed) if said == "number" and typed is not None else self._actions(showing).get(said)
        if action and (not event.isAutoRepeat() or said in _REPEATABLE):
            action()
        return action is not None

    def _number(self, number: int) -> Callable[[], object]:
        return lambda: self.judging.press(number - 1)

    def _actions(self, showing: Showing) -> dict[str, Callable[[], object] | None]:
        """What the keys of the table do now."""
        j = self.judging
        card, new = self.board.cards[j.current], not showing.revises
        thumbs_only = showing.protocol.comparison == "none" and showing.protocol.thumbs
        return {
            "tie": self._up if thumbs_only else j.tie,
            "thumb up": self._up,
            "thumb down": self._down,
            "none": j.reject_all,
            "edit": card.start_writing if showing.protocol.correction else None,
            "mark": card.toggle_marking,
            "rate": self._rate,
            "how sure": j.next_confidence,
            "why": self._ask_why,
            "write": self.write_own,
            "show all": self.fold,
            "skip": j.skip if new else None,
            "flag": j.flag if new else None,
            "take back": j.back,
            "save": j.submit,
            "left": lambda: j.choose(j.current - 1),
            "right": lambda: j.choose(j.current + 1),
        }

    def _up(self) -> None:
        self._thumb(True)

    def _down(self) -> None:
        self._thumb(False)

    def _thumb(self, up: bool) -> None:
        showing = self.judging.showing
        if showing is not None and showing.protocol.thumbs:
            self.judging.thumb(self.judging.current, up)

    def _rate(self) -> None:
        rows = self.board.cards[self.judging.current].first_row()
        if rows is not None:
            rows.setFocus()

    def _ask_why(self) -> None:
        self.panel.ask_why()

    def fold(self) -> None:
        """The bar in one line, or all of it: the user's choice from now on, in every room."""
        self.judging.show_all(not self.judging.all_shown)
        self.panel.set_open(self.judging.all_shown)
