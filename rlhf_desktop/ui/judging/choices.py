"""A question about one answer with a few fixed replies: a rating's scale, or labels. Reachable by keys."""

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent
from PySide6.QtWidgets import QButtonGroup, QFrame, QLayout, QPushButton, QWidget

from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.judging.keys import digit
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.flow import Flow
from rlhf_desktop.ui.widgets.surfaces import column, reveal, row
from rlhf_desktop.ui.widgets.text import ElidedLabel, caption, plain_tip, restyle


class ChoiceRow(QFrame):
    """One line of replies. With `several`, any number holds; else pressing the one that holds takes it away.

    Args:
        question: What is asked.
        about: Of what, for those who hear the screen ("answer A").
        replies: In words.
        numbered: Show numbers instead of the words; the words of what was chosen stand at the end.
        several: More than one may hold.
        meaning: What the question means.
    """

    chosen = Signal(tuple)  # places of the replies that hold
    left = Signal()  # Esc

    def __init__(
        self,
        question: str,
        about: str,
        replies: list[str],
        numbered: bool = False,
        several: bool = False,
        meaning: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._name, self._replies, self._several = f"{question}, {about}", replies, several
        self.setProperty("kind", "rating")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setToolTip(plain_tip(meaning) or "Number keys while this row has the focus")
        self._label = ElidedLabel(question[:1].upper() + question[1:], "caption", "muted")
        self._label.setToolTip(plain_tip(meaning))
        self._words = caption("")
        self._scale = f"{len(replies)} is best" if numbered else ""
        across = self._lay_out(numbered)
        self._group = QButtonGroup(self)
        self._group.setExclusive(False)
        for place, reply in enumerate(replies):
            self._add(across, place, str(place + 1) if numbered else reply, reply)
        self._numbered = numbered
        self._group.idClicked.connect(self._press)
        self.show_chosen(())

    def _lay_out(self, numbered: bool) -> QLayout:
        """Numbers stand beside the question, words under it, in as many lines as they take."""
        if numbered:
            across = row(self, 2, 2)
            across.addWidget(self._label, 1)
            across.addWidget(self._words)
            return across
        down = column(self, 2, 0)
        down.addWidget(self._label)
        under = Flow(2)
        down.addLayout(under)
        return under

    def _add(self, across: QLayout, place: int, text: str, said: str) -> None:
        button = QPushButton(text.replace("&", "&&"), self)
        button.setCheckable(True)
        button.setProperty("kind", "segment")
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        button.setAccessibleName(f"{self._name}: {said}")
        button.setToolTip(plain_tip(f"{said}  ({place + 1})"))
        self._group.addButton(button, place)
        across.addWidget(button)

    def show_chosen(self, places: tuple[int, ...]) -> None:
        """Show what holds, without emitting `chosen`."""
        self._places = tuple(places)
        for button in self._group.buttons():
            button.setChecked(self._group.id(button) in places)
        said = ", ".join(self._replies[place] for place in places)
        self._words.setText(("" if said.isdigit() else said or self._scale) if self._numbered else "")
        self.setAccessibleName(f"{self._name}: {said or 'not said'}")

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Numbers choose, left and right change, up and down go to the neighbour, Backspace clears, Esc leaves."""
        said, typed = keymap.heard(event, "rating"), digit(event)
        if said == "number" and typed is not None and typed <= len(self._replies):
            if not event.isAutoRepeat():
                self._type(typed - 1)
        elif said in ("left", "right") and not self._several:
            self._step(1 if said == "right" else -1)
        elif said in ("up", "down"):
            self.focusNextPrevChild(said == "down")
        elif said == "clear":
            self._change(())
        elif said == "leave":
            self.left.emit()
        else:
            super().keyPressEvent(event)

    def _type(self, place: int) -> None:
        self._press(place)
        if not self._several:
            self.focusNextChild()

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show where the numbers go."""
        super().focusInEvent(event)
        restyle(self, focused=True)
        reveal(self)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """No longer."""
        super().focusOutEvent(event)
        restyle(self, focused=False)

    def minimumSizeHint(self) -> QSize:
        """Questions with many replies may be cut rather than widen the card."""
        made = super().minimumSizeHint()
        made.setWidth(min(made.width(), t.ANSWER_MIN_WIDTH))
        return made

    def _step(self, by: int) -> None:
        start = self._places[0] if self._places else (-1 if by > 0 else len(self._replies))
        self._change((max(0, min(len(self._replies) - 1, start + by)),))

    def _press(self, place: int) -> None:
        rest = tuple(held for held in self._places if held != place)
        if place in self._places:
            self._change(rest)
        else:
            self._change(tuple(sorted((*rest, place))) if self._several else (place,))

    def _change(self, places: tuple[int, ...]) -> None:
        self.show_chosen(places)
        self.chosen.emit(places)
