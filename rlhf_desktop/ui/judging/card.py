"""One answer while it is written and judged."""

from PySide6.QtCore import QMimeData, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QDrag, QMouseEvent
from PySide6.QtWidgets import QApplication, QHBoxLayout, QLabel, QSizePolicy, QWidget
from shiboken6 import isValid

from rlhf_desktop.feedback.protocol import Protocol
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.judging.choices import ChoiceRow
from rlhf_desktop.ui.judging.draft import Draft
from rlhf_desktop.ui.judging.marks import MarkPane
from rlhf_desktop.ui.judging.ranking import LETTERS, place_name
from rlhf_desktop.ui.judging.writing import WritingPane
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button, IconButton
from rlhf_desktop.ui.widgets.inset import Inset
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from rlhf_desktop.ui.widgets.surfaces import Card, column, reveal, row
from rlhf_desktop.ui.widgets.text import Label, caption, restyle

MIME = "application/x-rlhf-desktop-answer"


def cut_words(finish: str) -> str:
    """Why an answer is unfinished; "" when it is whole."""
    return {"length": "Cut at the length limit", "cancelled": "Stopped before its end"}.get(finish, "")


class LetterChip(QLabel):
    """An answer's letter; drag it to where the answer belongs."""

    def __init__(self, answer: int, parent: QWidget | None = None) -> None:
        super().__init__(LETTERS[answer], parent)
        self._answer = answer
        self._pressed_at: QPoint | None = None
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
            data.setData(MIME, str(self._answer).encode())
            drag.setMimeData(data)
            drag.setPixmap(self.grab())
            drag.exec(Qt.DropAction.MoveAction)


class AnswerCard(Card):
    """The text, and under it what the protocol asks about it. Its author stays hidden until it is judged."""

    pressed = Signal()  # its number
    touched = Signal()  # it is current now
    thumbed = Signal(bool)
    scored = Signal(str, object)  # attribute, mark from 1 or None
    labelled = Signal(str, tuple)  # question, labels
    correcting = Signal(str)  # a correction as it is typed
    corrected = Signal(str)
    marked = Signal(object)  # Span
    unmarked = Signal(object)  # Span
    left = Signal()  # a field of the card was left with Esc

    def __init__(self, answer: int, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._answer, self.letter = answer, LETTERS[answer]
        self._protocol: Protocol | None = None
        self._rows: dict[tuple[str, str], ChoiceRow] = {}
        self._marks: MarkPane | None = None
        self._writing: WritingPane | None = None
        self._marking = False
        self.setAccessibleName(f"Answer {self.letter}")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.body.setContentsMargins(t.SPACE_L, t.SPACE_M, t.SPACE_M, t.SPACE_M)
        self.body.addLayout(self._make_head())
        self.text = MarkdownView("", f"Answer {self.letter}")
        self.text.setMinimumHeight(0)
        self.inset = Inset()  # what is too long for the card scrolls in it; what is asked about it stays
        self.inset.body.addWidget(self.text)
        self._correction = self._make_correction()
        self.inset.body.addWidget(self._correction)
        self.inset.body.addStretch(1)
        self.body.addWidget(self.inset)
        self._text_place = column()
        self.body.addLayout(self._text_place)
        self.cut = caption("")
        self.cut.set_tone("warning")
        self.cut.setToolTip("The answer goes no further than this. It says nothing of who wrote it: all have the same limit.")
        self.cut.hide()
        self.body.addWidget(self.cut)
        self.body.addStretch(1)
        self._asked = Inset(2, least_lines=2)  # many questions scroll in their place too, where the card is low
        self._questions = self._asked.body
        self.body.addWidget(self._asked)
        self._asked.hide()

    def _make_head(self) -> QHBoxLayout:
        top = row(None, 0, t.SPACE_S)
        self._letter = LetterChip(self._answer)
        self._status = caption("Writing…")
        self._place = Label("", strong=True)
        letter = self.letter
        self.up = IconButton("thumb-up", f"Answer {letter} is good", size=t.ICON_SMALL)
        self.down = IconButton("thumb-down", f"Answer {letter} is not good", size=t.ICON_SMALL)
        for button, up, key in ((self.up, True, "thumb up"), (self.down, False, "thumb down")):
            button.setCheckable(True)
            button.setToolTip(keymap.tip(button.accessibleName(), key))
            button.clicked.connect(lambda _on=False, up=up: self.thumbed.emit(up))
        self.edit = IconButton("edit", f"Correct answer {letter}", size=t.ICON_SMALL)
        self.edit.setToolTip(keymap.tip(f"Correct answer {letter}", "edit"))
        self.edit.clicked.connect(self.start_writing)
        self.mark = IconButton("mark", f"Mark parts of answer {letter}", size=t.ICON_SMALL)
        self.mark.setToolTip(keymap.tip(f"Mark parts of answer {letter}", "mark"))
        self.mark.clicked.connect(self.toggle_marking)
        self.pick = Button(str(self._answer + 1), "normal")
        self.pick.setProperty("kind", "chip")
        self.pick.clicked.connect(self.pressed)
        top.addWidget(self._letter)
        top.addWidget(self._place)
        top.addStretch(1)
        top.addWidget(self._status)
        hidden: tuple[QWidget, ...] = (self.up, self.down, self.edit, self.mark, self.pick)
        for part in hidden:
            top.addWidget(part)
            part.hide()
        return top

    def _make_correction(self) -> QWidget:
        holder = QWidget()
        box = column(holder, 0, t.SPACE_XS)
        box.addWidget(Label("Corrected to", "caption", "success", strong=True))
        self._corrected = MarkdownView("", f"Answer {self.letter}, corrected")
        box.addWidget(self._corrected)
        holder.hide()
        return holder

    # --- being written

    def begin_writing(self) -> None:
        """An answer is on its way."""
        self._put_away()
        self.text.set_text("")
        self._status.setText("Writing…")
        self._place.setText("")
        self.set_chosen(False)
        self._correction.hide()
        self._show_cut("")
        for part in (self.up, self.down, self.edit, self.mark, self.pick):
            part.hide()
        self._asked.hide()

    def say_status(self, words: str) -> None:
        """What the model is doing about this answer."""
        self._status.setText(words)

    def end(self, finish: str) -> None:
        """The answer is complete, or as complete as it gets."""
        self._status.setText("")
        self._show_cut(cut_words(finish))

    def _show_cut(self, words: str) -> None:
        self.cut.setText(words)
        self.cut.setVisible(bool(words))

    # --- being judged

    def offer(self, text: str, protocol: Protocol, finish: str = "") -> None:
        """The answer is there: offer what the protocol asks. `finish`: how it ended, which is part of what is judged."""
        self._put_away()
        self._source = text
        if self.text.text() != text:
            self.text.set_text(text)
        self.inset.to_top()
        self._status.setText("")
        self._show_cut(cut_words(finish))
        if protocol != self._protocol:
            self._protocol = protocol
            self._ask(protocol)
        self._show_asked()
        buckets = protocol.comparison == "buckets"
        self.pick.setVisible(protocol.comparison in ("pairwise", "ranking"))
        self.pick.setAccessibleName(f"Place answer {self.letter} next")
        self.pick.setToolTip(f"Place this answer next (key {self._answer + 1})")
        self.up.setVisible(protocol.thumbs)
        self.down.setVisible(protocol.thumbs)
        self.edit.setVisible(protocol.correction)
        self.mark.setVisible(bool(protocol.span_categories))
        self._letter.setToolTip("Drag into a group" if buckets else "Drag to rank")

    def _ask(self, protocol: Protocol) -> None:
        while self._rows:
            self._rows.popitem()[1].deleteLater()
        about = f"answer {self.letter}"
        for attribute in protocol.attributes:
            made = ChoiceRow(attribute.name, about, list(attribute.levels), numbered=True, meaning=attribute.help)
            made.chosen.connect(lambda places, name=attribute.name: self.scored.emit(name, places[0] + 1 if places else None))
            self._add_row(("score", attribute.name), made)
        for question in protocol.labels:
            labels = list(question.labels)
            made = ChoiceRow(question.name, about, labels, several=question.several, meaning=question.help)
            made.chosen.connect(
                lambda places, name=question.name, labels=labels: self.labelled.emit(name, tuple(labels[place] for place in places))
            )
            self._add_row(("label", question.name), made)

    def _add_row(self, key: tuple[str, str], made: ChoiceRow) -> None:
        made.left.connect(self.left)
        made.chosen.connect(lambda _places: self.touched.emit())
        self._rows[key] = made
        self._questions.addWidget(made)

    def show_draft(self, draft: Draft) -> None:
        """Show what has been said about this answer."""
        place = self._place_words(draft)
        best = place.lstrip("=").startswith("1")
        self._place.setText(place)
        restyle(self._letter, best=best)
        self.set_chosen(best)
        self.up.setChecked(draft.thumbs[self._answer] is True)
        self.down.setChecked(draft.thumbs[self._answer] is False)
        for (kind, name), held in self._rows.items():
            held.show_chosen(self._places(draft, kind, name))
        correction = draft.corrections.get(self._answer, "")
        self._corrected.set_text(correction)
        self._correction.setVisible(bool(correction) and self._writing is None)
        self._show_asked()
        self._show_spans(draft)

    def _show_asked(self) -> None:
        """What is asked gives way while the answer is corrected or marked, and comes back."""
        self._asked.setVisible(bool(self._rows) and self._writing is None and not self._marking)

    def _place_words(self, draft: Draft) -> str:
        if self._protocol is None or self._protocol.comparison != "buckets" or draft.ranking.all_bad:
            return place_name(draft.ranking, self._answer)
        into = draft.groups[self._answer]
        return f"{into}. {self._protocol.buckets[into - 1]}" if into else ""

    def _places(self, draft: Draft, kind: str, name: str) -> tuple[int, ...]:
        if kind == "score":
            score = draft.scores.get(name, (None,) * draft.count)[self._answer]
            return () if score is None else (score - 1,)
        labels = self._protocol.labels if self._protocol is not None else ()
        question = next(q for q in labels if q.name == name)
        given = draft.chosen.get(name, ((),) * draft.count)[self._answer]
        return tuple(place for place, label in enumerate(question.labels) if label in given)

    def _show_spans(self, draft: Draft) -> None:
        spans = tuple(span for span in draft.spans if span.index == self._answer)
        if self._marks is None and (spans or self._marking) and self._protocol is not None:
            self._marks = MarkPane(self._answer, self.letter, self._source, list(self._protocol.span_categories))
            self._marks.marked.connect(self.marked)
            self._marks.unmarked.connect(self.unmarked)
            self._marks.left.connect(self.stop_marking)
            self._text_place.addWidget(self._marks)
        plain = bool(spans) or self._marking  # positions are those of the text as written, so it is shown as written
        if self._marks is not None:
            self._marks.show_spans(spans)
            self._marks.setVisible(plain and self._writing is None)
        self.text.setVisible(not plain)
        self._draft = draft

    def show_current(self, on: bool) -> None:
        """Keys without a number are about this answer, or not."""
        restyle(self, current=on)

    def first_row(self) -> ChoiceRow | None:
        """Where R goes."""
        return next(iter(self._rows.values()), None)

    # --- correcting and marking

    def start_writing(self) -> None:
        """Put the answer into a field, to be corrected."""
        self.touched.emit()
        if self._writing is None:
            self.stop_marking()
            before = self._draft.corrections.get(self._answer, "")
            words = before or self._source
            self._writing = WritingPane(f"Answer {self.letter}, corrected", words, "Keep correction", gives_way=True)
            self._writing.edit.textChanged.connect(lambda: self.correcting.emit(self._writing.edit.toPlainText()))
            self._writing.kept.connect(self._keep)
            self._writing.left.connect(lambda: self._keep(before))
            self._text_place.addWidget(self._writing)
            self.inset.hide()  # the field has its place, and at first its words
            self.show_draft(self._draft)
        self._writing.edit.setFocus()
        reveal(self._writing)

    def _keep(self, text: str) -> None:
        self._stop_writing()
        self.corrected.emit(text)
        if self._draft.corrections.get(self._answer):
            QTimer.singleShot(0, self._scroll_to_correction)  # once the layout knows where it is

    def _scroll_to_correction(self) -> None:
        """It stands below an answer that may fill the card: what was just kept is what is seen."""
        if isValid(self):
            self.inset.verticalScrollBar().setValue(self._correction.y())

    def _stop_writing(self) -> None:
        if self._writing is not None:
            self._writing.hide()
            self._writing.deleteLater()
            self._writing = None
            self.inset.show()
            self.show_draft(self._draft)
            self.left.emit()

    def toggle_marking(self) -> None:
        """Begin to mark, or end it."""
        self.touched.emit()
        if self._marking:
            self.stop_marking()
        elif self._protocol is not None and self._protocol.span_categories:
            self._marking = True
            self._show_asked()
            self._show_spans(self._draft)
            if self._marks is not None:
                self._marks.set_marking(True)

    def stop_marking(self) -> None:
        """Only show the marks."""
        if self._marking:
            self._marking = False
            if self._marks is not None:
                self._marks.set_marking(False)
            self._show_asked()
            self._show_spans(self._draft)
            self.left.emit()

    def _put_away(self) -> None:
        """Nothing of the answer before stays."""
        self._marking = False
        for pane in (self._marks, self._writing):
            if pane is not None:
                pane.hide()
                pane.deleteLater()
        self._marks = self._writing = None
        self.text.show()
        self.inset.show()
        self._draft = Draft.blank(self._answer + 1)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click makes the answer current."""
        super().mousePressEvent(event)
        self.touched.emit()
