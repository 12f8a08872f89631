"""What a file does not say, asked in its preview: one field a question, answered by choosing or by typing."""

from collections.abc import Iterable

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QLineEdit, QWidget

from rlhf_desktop.feedback.formats.asking import Note, Question
from rlhf_desktop.ui import words
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.fields import choice
from rlhf_desktop.ui.widgets.surfaces import clear, column
from rlhf_desktop.ui.widgets.text import Label, caption

_SHOWN = 6  # notes


class Questions(QWidget):
    """The open questions of a file, and what is left out of its rows. An answered one stays, so that it can be changed."""

    answered = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = column(self, 0, t.SPACE_S)
        self._notes = column(spacing=t.SPACE_XS)
        self._box.addLayout(self._notes)
        self.fields: dict[str, QComboBox] = {}
        self._answers: dict[str, str] = {}

    @property
    def answers(self) -> dict[str, str]:
        """What was answered, by the questions' keys."""
        return dict(self._answers)

    def forget(self) -> None:
        """Another file: nothing is asked, nothing answered."""
        self._answers.clear()
        self.fields.clear()
        clear(self._box)
        self._notes = column(spacing=t.SPACE_XS)
        self._box.addLayout(self._notes)

    def show_questions(self, questions: Iterable[Question], notes: Iterable[Note]) -> None:
        """Ask what is new, and say what is left out."""
        for question in questions:
            if question.key not in self.fields:
                self._ask(question)
        clear(self._notes)
        for note in list(notes)[:_SHOWN]:
            self._notes.addWidget(caption(f"{note.text} ({words.count(note.rows, 'row')}).", wrap=True))
        self.setVisible(bool(self.fields) or self._notes.count() > 0)

    def _ask(self, question: Question) -> None:
        waiting = "" if question.proposal else f" {words.count(question.rows, 'row')} wait for it."
        self._box.addWidget(Label(f"{question.text}{waiting}", wrap=True, tone="" if question.proposal else "warning"))
        field = choice(question.text)
        field.setEditable(True)  # a scale or a name that is not offered is typed
        field.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        for value, meaning in question.choices:
            field.addItem(f"{value}  ·  {meaning}", value)
        field.setCurrentIndex(field.findData(question.proposal))
        if question.proposal and field.currentIndex() < 0:
            field.setEditText(question.proposal)
        untouched = field.currentText()
        field.activated.connect(lambda _n, key=question.key: self._take(key))
        for line in field.findChildren(QLineEdit):
            line.editingFinished.connect(lambda key=question.key: self._typed(key, untouched))
        self.fields[question.key] = field
        self._box.addWidget(field)

    def _typed(self, key: str, untouched: str) -> None:
        if key in self._answers or self.fields[key].currentText() != untouched:  # leaving a field is no answer
            self._take(key)

    def _take(self, key: str) -> None:
        field = self.fields[key]
        place = field.findText(field.currentText().strip())
        answer = field.itemData(place) if place >= 0 else field.currentText().strip()
        if answer and self._answers.get(key) != answer:
            self._answers[key] = answer
            self.answered.emit()
