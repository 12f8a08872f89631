"""Two answers, nobody says whose: press 1, 2, =, or 0 when neither will do."""

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QSizePolicy, QWidget

from rlhf_desktop.operations.blind import BlindPair, BlindVerdict
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.judging.card import cut_words
from rlhf_desktop.ui.judging.keys import digit
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.growing import keep_grown
from rlhf_desktop.ui.theme.icons import grown
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.filefold import PromptText
from rlhf_desktop.ui.widgets.inset import READING, Inset
from rlhf_desktop.ui.widgets.markdown import MarkdownView
from rlhf_desktop.ui.widgets.surfaces import Card, Meter, column, row
from rlhf_desktop.ui.widgets.text import Label, caption

_PROMPT_SHARE = 5  # of the view, a prompt takes at most one part in so many
_BY_NUMBER: dict[int, BlindVerdict] = {1: "left", 2: "right"}
_BY_NAME: dict[str, BlindVerdict] = {"tie": "tie", "none": "both_bad", "skip": "skip"}
VERDICTS: dict[BlindVerdict, str] = {
    "left": "1 is better",
    "tie": f"About equal ({keymap.shown('tie')})",
    "right": "2 is better",
    "both_bad": f"Neither will do ({keymap.shown('none')})",
    "skip": f"Skip ({keymap.shown('skip')})",
}


class JudgingView(QWidget):
    """Shows a blind pair. Emits `judged` with the verdict and why, and `undone`, `stopped`."""

    judged = Signal(str, str)
    undone = Signal()
    stopped = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Blind comparison: 1 for the left answer, 2 for the right, equals for a tie, 0 when neither will do")
        self.meter = Meter("Progress of the comparison")
        prompt_card = Card(kind="turn")
        prompt_card.body.addWidget(caption("Prompt"))
        self._prompt = PromptText()
        self._prompt_place = Inset()
        self._prompt_place.body.addWidget(self._prompt)
        prompt_card.body.addWidget(self._prompt_place)
        sides = QWidget()
        sides.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)
        across = row(sides, 0, t.SPACE_M)
        self._cards = [_Side(name) for name in ("1", "2")]
        self._sides = [card.text for card in self._cards]
        for card in self._cards:
            across.addWidget(card, 1)
        box = column(self, 0, 0)
        box.addWidget(_centred((self.meter, prompt_card, sides)), 1)
        box.addWidget(self._bar())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """A long prompt scrolls in its place: the answers keep theirs."""
        super().resizeEvent(event)
        self._prompt_place.set_cap(self.height() // _PROMPT_SHARE)

    def _bar(self) -> QWidget:
        """The verdicts stay in one place, however long the answers are."""
        bar, inner = QWidget(), QWidget()
        across = row(bar)
        across.setContentsMargins(t.SPACE_XL, t.SPACE_S, t.SPACE_XL, t.SPACE_M)
        keep_grown(inner, lambda: inner.setMaximumWidth(grown(t.WIDE_WIDTH)))
        across.addStretch(1)
        across.addWidget(inner, 1000)
        across.addStretch(1)
        lines = column(inner, 0, t.SPACE_S)
        lines.addLayout(self._verdicts())
        lines.addLayout(self._below())
        return bar

    def _verdicts(self) -> QHBoxLayout:
        line = row()
        self.buttons: dict[BlindVerdict, Button] = {}
        for verdict, text in VERDICTS.items():
            button = Button(text, "quiet" if verdict == "skip" else "normal")
            button.clicked.connect(lambda _checked=False, verdict=verdict: self._say(verdict))
            self.buttons[verdict] = button
            line.addWidget(button)
        line.addStretch(1)
        self.undo = Button("Take back", "quiet", "undo")
        self.undo.setToolTip(keymap.tip("Take the last verdict back", "take back"))
        self.undo.clicked.connect(self.undone)
        self.stop = Button("See the result so far", "quiet", "evaluate")
        self.stop.setToolTip(keymap.tip("You may look at any time and go on later: the interval stays honest", "leave"))
        self.stop.clicked.connect(self.stopped)
        line.addWidget(self.undo)
        line.addWidget(self.stop)
        return line

    def _below(self) -> QHBoxLayout:
        line = row(spacing=t.SPACE_M)
        self.why = QLineEdit()
        self.why.setAccessibleName("Why, if you like")
        self.why.setPlaceholderText("Why? Write it first (optional)")
        self.why.setToolTip("Optional: write it first, then Enter and 1, 2, = or 0")
        self.why.setMaxLength(2000)
        self.why.returnPressed.connect(self.setFocus)
        line.addWidget(self.why, 1)
        line.addWidget(caption(_keys_in_words()))
        return line

    def show_pair(self, pair: BlindPair) -> None:
        """Show a pair to judge."""
        self.meter.set_value(pair.done, pair.total, f"{pair.done} of {pair.total} judged")
        self._prompt.set_text(_conversation(pair))
        for card, text, finish in zip(self._cards, (pair.left, pair.right), pair.finishes, strict=True):
            card.show_answer(text, finish)
        self.why.clear()
        self._prompt_place.to_top()
        self.undo.setEnabled(pair.done > 0)
        self.setEnabled(True)
        self.setFocus()

    def _say(self, verdict: BlindVerdict) -> None:
        if self.isEnabled():
            self.setEnabled(False)  # until the next pair is there: one press, one verdict
            self.judged.emit(verdict, self.why.text().strip())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """A verdict, or what the table of keys says; arrows and the page keys read on in both answers."""
        action, step = self._action(event), READING.get(keymap.heard(event, "blind"))
        if step is not None:
            for card in self._cards:
                card.inset.read_on(step)
        elif action is None:
            super().keyPressEvent(event)
        elif not event.isAutoRepeat():
            action()

    def _action(self, event: QKeyEvent) -> Callable[[], None] | None:
        said = keymap.heard(event, "blind")
        verdict = _BY_NUMBER.get(digit(event) or 0) if said == "number" else _BY_NAME.get(said)
        if verdict:
            return lambda: self._say(verdict)
        back = self.undone.emit if self.undo.isEnabled() else None
        return {"why": self.why.setFocus, "take back": back, "leave": self.stopped.emit}.get(said)


class _Side(Card):
    """One of the two answers."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self.body.addWidget(Label(f"Answer {name}", strong=True))
        self.text = MarkdownView(name=f"Answer {name}")
        self.inset = Inset()
        self.inset.body.addWidget(self.text)
        self.body.addWidget(self.inset)
        self.cut = caption("")
        self.cut.set_tone("warning")
        self.body.addWidget(self.cut)
        self.body.addStretch(1)

    def show_answer(self, text: str, finish: str) -> None:
        """What it says, and whether it was cut."""
        self.text.set_text(text)
        self.inset.to_top()
        self.cut.setText(cut_words(finish))
        self.cut.setVisible(bool(cut_words(finish)))


def _centred(parts: tuple[QWidget, ...]) -> QWidget:
    outer, inner = QWidget(), QWidget()
    across = row(outer)
    across.setContentsMargins(t.SPACE_XL, t.SPACE_L, t.SPACE_XL, 0)
    keep_grown(inner, lambda: inner.setMaximumWidth(grown(t.WIDE_WIDTH)))
    across.addStretch(1)
    across.addWidget(inner, 1000)
    across.addStretch(1)
    lines = column(inner, 0, t.SPACE_M)
    for part in parts:
        lines.addWidget(part)
    lines.addStretch(1)
    return outer


def _keys_in_words() -> str:
    key = keymap.shown
    said = [f"{key('up')} {key('down')} read on", f"{key('take back')} takes back", f"{key('why')} why", f"{key('leave')} result"]
    return "   ·   ".join([f"Keys: 1  2  {key('tie')}  {key('none')}", *said])


def _conversation(pair: BlindPair) -> str:
    """The prompt; with who said what when it is longer than one message."""
    if len(pair.prompt) == 1:
        return pair.prompt[0]["content"]
    return "\n\n".join(f"**{message['role'].capitalize()}:** {message['content']}" for message in pair.prompt)
