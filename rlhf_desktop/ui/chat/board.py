"""The answers side by side, and the strip under them where they are ranked by keys, clicks or dragging."""

from PySide6.QtCore import QMimeData, Qt, Signal
from PySide6.QtGui import QDrag, QMouseEvent
from PySide6.QtWidgets import QApplication, QFrame, QGridLayout, QLabel, QLineEdit, QSizePolicy, QWidget

from rlhf_desktop.ui.chat.ranking import LETTERS, RankingState, place_name
from rlhf_desktop.ui.chat.turns import Slot
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from rlhf_desktop.ui.widgets.surfaces import Card, clear, column, row
from rlhf_desktop.ui.widgets.text import Label, caption, restyle

_MIME = "application/x-rlhf-desktop-answer"


class LetterChip(QLabel):
    """An answer's letter; drag it to where the answer belongs."""

    def __init__(self, answer: int, parent: QWidget | None = None) -> None:
        super().__init__(LETTERS[answer], parent)
        self._answer = answer
        self._pressed_at = None
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setProperty("kind", "letter")
        self.setAccessibleName(f"Answer {LETTERS[answer]}")
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setCursor(Qt.CursorShape.OpenHandCursor)
        self.setToolTip("Drag to rank")

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Remember where a drag may begin."""
        self._pressed_at = event.position().toPoint()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Begin dragging once it is meant."""
        if self._pressed_at is None:
            return
        if (event.position().toPoint() - self._pressed_at).manhattanLength() >= QApplication.startDragDistance():
            self._pressed_at = None
            drag = QDrag(self)
            data = QMimeData()
            data.setData(_MIME, str(self._answer).encode())
            drag.setMimeData(data)
            drag.setPixmap(self.grab())
            drag.exec(Qt.DropAction.MoveAction)


class Bucket(QFrame):
    """A place to drop an answer on: beside those in it, or (a gap) before the bucket of this number."""

    dropped = Signal(int, int, bool)  # answer, bucket, beside

    def __init__(self, number: int, beside: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._number, self._beside = number, beside
        self.setProperty("kind", "bucket")
        self.setAcceptDrops(True)
        self.body = row(self, t.SPACE_XS, t.SPACE_XS)

    def dragEnterEvent(self, event) -> None:
        """Light up under an answer."""
        if event.mimeData().hasFormat(_MIME):
            event.acceptProposedAction()
            restyle(self, over=True)

    def dragLeaveEvent(self, _event) -> None:
        """Dim again."""
        restyle(self, over=False)

    def dropEvent(self, event) -> None:
        """Say what was dropped where."""
        restyle(self, over=False)
        event.acceptProposedAction()
        self.dropped.emit(int(bytes(event.mimeData().data(_MIME))), self._number, self._beside)


class AnswerCard(Card):
    """One answer while it is written and judged. Its author stays hidden until then."""

    chosen = Signal(int)

    def __init__(self, answer: int, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        letter = LETTERS[answer]
        self.setAccessibleName(f"Answer {letter}")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        top = row(None, 0, t.SPACE_S)
        self._letter = LetterChip(answer)
        self._status = caption("Writing…")
        self._place = Label("", strong=True)
        self.pick = Button(str(answer + 1), "normal")
        self.pick.setProperty("kind", "chip")
        self.pick.setAccessibleName(f"Place answer {letter} next")
        self.pick.setToolTip(f"Place this answer next (key {answer + 1})")
        self.pick.clicked.connect(lambda: self.chosen.emit(answer))
        self.pick.hide()
        top.addWidget(self._letter)
        top.addWidget(self._place)
        top.addStretch(1)
        top.addWidget(self._status)
        top.addWidget(self.pick)
        self.text = MarkdownView("", f"Answer {letter}")
        self.text.setMinimumHeight(0)
        self.body.addLayout(top)
        self.body.addWidget(self.text)
        self.body.addStretch(1)

    def end(self, finish: str) -> None:
        """The answer is complete, or as complete as it gets."""
        self._status.setText({"length": "Cut at the length limit", "cancelled": "Stopped"}.get(finish, ""))

    def offer(self) -> None:
        """Let the answer be placed."""
        self.pick.show()

    def show_place(self, place: str, best: bool) -> None:
        """Show "1st", "=2nd" or nothing."""
        self._place.setText(place)
        restyle(self._letter, best=best)
        self.set_chosen(best)


class AnswerBoard(QWidget):
    """K equal cards, the rank strip, and the keys in words."""

    placed = Signal(int)
    dropped = Signal(int, int, bool)
    tied = Signal()
    allRejected = Signal()
    takenBack = Signal()
    rankingSubmitted = Signal(str)  # why

    def __init__(self, slots: list[Slot], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Answers to rank")
        self._columns = 0
        box = column(self, 0, t.SPACE_M)
        self._grid = QGridLayout()
        self._grid.setSpacing(t.SPACE_M)
        self.cards = [AnswerCard(place) for place in range(len(slots))]
        for card in self.cards:
            card.chosen.connect(self.placed)
        box.addLayout(self._grid)
        self._panel = self._make_panel()
        self._panel.hide()
        box.addWidget(self._panel)
        self.arrange(1)

    def _make_panel(self) -> Card:
        panel = Card(kind="notice")
        panel.body.setContentsMargins(t.SPACE_M, t.SPACE_M, t.SPACE_M, t.SPACE_M)
        self._strip = row(None, 0, t.SPACE_XS)
        panel.body.addLayout(self._strip)
        lower = row(None, 0, t.SPACE_S)
        self.why = QLineEdit()
        self.why.setPlaceholderText("Why? (optional)")
        self.why.setAccessibleName("Why, optional")
        self.save = Button("Save", "primary")
        self.save.setToolTip("Save the ranking (Enter)")
        none = Button("None will do", "quiet")
        none.setToolTip("None of the answers will do (0)")
        equal = Button("Tie", "quiet")
        equal.setToolTip("The next answer equals the last one (=)")
        back = Button("Back", "quiet", icon="undo")
        back.setToolTip("Take the last one back (Backspace)")
        lower.addWidget(self.why, 1)
        for button, signal in ((equal, self.tied), (none, self.allRejected), (back, self.takenBack)):
            button.clicked.connect(signal)
            lower.addWidget(button)
        lower.addWidget(self.save)
        panel.body.addLayout(lower)
        self._hint = caption("")
        panel.body.addWidget(self._hint)
        self.save.clicked.connect(lambda: self.rankingSubmitted.emit(self.why.text()))
        self.why.returnPressed.connect(self.setFocus)
        return panel

    def arrange(self, columns: int) -> None:
        """Lay the cards out in so many columns."""
        if columns == self._columns:
            return
        self._columns = columns
        for index, card in enumerate(self.cards):
            self._grid.addWidget(card, index // columns, index % columns)
        for number in range(len(self.cards)):
            self._grid.setColumnStretch(number, 1 if number < columns else 0)

    def start_judging(self, texts: list[str]) -> None:
        """All answers are there: show the keys."""
        count = len(self.cards)
        keys = f"1–{count} best to worst  ·  = ties with the last  ·  0 none will do  ·  Backspace takes back"
        self._hint.setText(keys + ("" if count == 2 else "  ·  Enter saves"))
        for card, text in zip(self.cards, texts, strict=True):
            card.text.set_text(text)
            card.end("end")
            card.offer()
        self._panel.show()

    def show_ranking(self, state: RankingState) -> None:
        """Show who is where."""
        for answer, card in enumerate(self.cards):
            place = place_name(state, answer)
            card.show_place(place, best=place.lstrip("=").startswith("1"))
        self.save.setEnabled(state.complete)
        self._show_strip(state)

    def _show_strip(self, state: RankingState) -> None:
        clear(self._strip)
        self._strip.addWidget(Label("Best", "caption", "muted"))
        for number, bucket in enumerate(state.buckets):
            self._strip.addWidget(self._gap(number))
            self._strip.addWidget(self._bucket(number, bucket))
        self._strip.addWidget(self._gap(len(state.buckets), wide=not state.buckets))
        self._strip.addWidget(Label("Worst", "caption", "muted"))
        if state.tie_next and not state.complete:
            self._strip.addWidget(caption("the next one ties"))
        self._strip.addStretch(1)
        if state.all_bad:
            self._strip.addWidget(Label("None of them will do", strong=True))
        elif not state.complete:
            for answer in state.unplaced:
                self._strip.addWidget(LetterChip(answer))
        else:
            self._strip.addWidget(Label(state.describe(), strong=True))

    def _bucket(self, number: int, answers: tuple[int, ...]) -> Bucket:
        bucket = Bucket(number, beside=True)
        bucket.body.addWidget(caption(f"{number + 1}."))
        for answer in answers:
            bucket.body.addWidget(LetterChip(answer))
        bucket.setAccessibleName(f"Place {number + 1}")
        bucket.dropped.connect(self.dropped)
        return bucket

    def _gap(self, number: int, wide: bool = False) -> Bucket:
        gap = Bucket(number, beside=False)
        gap.setProperty("kind", "bucket" if wide else "gap")
        gap.setAccessibleName("A place of its own")
        gap.setToolTip("Drop an answer here to give it a place of its own")
        gap.setFixedWidth(t.SPACE_XXL * 2 if wide else t.SPACE_M)
        gap.dropped.connect(self.dropped)
        return gap
