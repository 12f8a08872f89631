"""The strip where answers are ranked or sorted, the rest of what a protocol asks about all of them, and the keys in words."""

from PySide6.QtCore import Signal
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QLineEdit, QWidget

from rlhf_desktop.feedback.protocol import Protocol
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.judging.card import MIME, LetterChip
from rlhf_desktop.ui.judging.draft import CONFIDENCES, STRENGTHS, Draft, saves_at_once
from rlhf_desktop.ui.judging.ranking import RankingState
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button, IconButton, SegmentedControl
from rlhf_desktop.ui.widgets.flow import Flow
from rlhf_desktop.ui.widgets.surfaces import Card, clear, column, row
from rlhf_desktop.ui.widgets.text import ElidedLabel, Label, caption, restyle

_ONE_LINE = 720  # pixels: fewer do not hold a ranking, its keys and Save in one line


class Bucket(QFrame):
    """A place to drop an answer on: beside those in it, or (a gap) before the bucket of this number."""

    dropped = Signal(int, int, bool)  # answer, bucket, beside

    def __init__(self, number: int, beside: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._number, self._beside = number, beside
        self.setProperty("kind", "bucket")
        self.setAcceptDrops(True)
        self.body = row(self, t.SPACE_XS, t.SPACE_XS)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Light up under an answer."""
        if event.mimeData().hasFormat(MIME):
            event.acceptProposedAction()
            restyle(self, over=True)

    def dragLeaveEvent(self, _event: QDragLeaveEvent) -> None:
        """Dim again."""
        restyle(self, over=False)

    def dropEvent(self, event: QDropEvent) -> None:
        """Say what was dropped where."""
        restyle(self, over=False)
        event.acceptProposedAction()
        self.dropped.emit(int(bytes(event.mimeData().data(MIME).data())), self._number, self._beside)


class JudgingPanel(Card):
    """Shows a draft; says what was pressed."""

    dropped = Signal(int, int, bool)
    tied = Signal()
    allRejected = Signal()
    takenBack = Signal()
    submitted = Signal()
    skipped = Signal()
    flagged = Signal()
    writeRequested = Signal()
    whyTyped = Signal(str)
    strengthChosen = Signal(object)
    confidenceChosen = Signal(object)
    foldPressed = Signal()
    messageRequested = Signal()
    left = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(kind="notice", parent=parent)
        self.setAccessibleName("Your judgement")
        self.body.setContentsMargins(t.SPACE_M, t.SPACE_S, t.SPACE_M, t.SPACE_S)
        self._protocol, self._keys, self._offers_message = Protocol(), "", False
        self._folds, self._open = False, True
        self._make_parts()
        self._first, self._second = row(None, 0, t.SPACE_S), row(None, 0, t.SPACE_S)
        self.body.addLayout(self._first)
        self.body.addLayout(self._second)
        self._buttons = Flow(t.SPACE_XS)
        self._more = QWidget()
        below = column(self._more, 0, t.SPACE_S)
        below.addLayout(self._buttons)
        self._make_buttons()
        self._make_scales()
        self._hint = caption("", wrap=True)
        below.addWidget(self._hint)
        self.body.addWidget(self._more)
        self._lay_out()

    def _make_parts(self) -> None:
        """What is there in one line and in several."""
        self._strip = row(None, 0, t.SPACE_XS)
        self._strip_holder = QWidget()
        self._strip_holder.setLayout(self._strip)
        self._said = Label("", strong=True)
        self._line = ElidedLabel("", "caption", "muted")
        self.why = QLineEdit()
        self.why.setAccessibleName("Why")
        self.why.textEdited.connect(self.whyTyped)
        self.why.returnPressed.connect(self.left)
        self.why.editingFinished.connect(self._show_why)
        self.message = IconButton("chat", "Write a message instead", size=t.ICON_SMALL)
        self.message.setToolTip(keymap.tip("Write a message instead; what is said of the answers is kept", "leave"))
        self.message.clicked.connect(self.messageRequested)
        self.message.hide()
        self.save = Button("Save", "primary")
        self.save.setToolTip(keymap.tip("Save", "save"))
        self.save.clicked.connect(self.submitted)
        self.fold = IconButton("chevron-up", "Show all that can be said", size=t.ICON_SMALL)
        self.fold.clicked.connect(self.foldPressed)

    def _lay_out(self) -> None:
        """All in one line, or in several. The parts keep their parent, and with it the focus."""
        folded = self.folded
        for line in (self._first, self._second):
            while line.takeAt(0) is not None:
                pass
        last = [self._first if folded else self._second, self._first]
        for part, line, stretch in (
            (self._strip_holder, self._first, 0 if folded else 1),
            (self._said, self._first, 0),
            (self._line, self._first, 1),
            (self.why, last[0], 1),
            (self.message, last[0], 0),
            (self.save, last[0], 0),
            (self.fold, last[1], 0),
        ):
            line.addWidget(part, stretch)
        if not folded:
            self._second.insertStretch(1, 0)
        self._more.setVisible(not folded)
        self.fold.set_icon("chevron-up" if folded else "chevron-down")
        self.fold.set_name("Show all that can be said" if folded else "Fold into one line", "")
        self.fold.setToolTip(keymap.tip(self.fold.accessibleName(), "show all"))
        self.fold.setVisible(self._folds and self.width() >= _ONE_LINE)
        self._show_why()

    @property
    def folded(self) -> bool:
        """Whether it takes one line only: wanted so, and wide enough."""
        return self._folds and not self._open and self.width() >= _ONE_LINE

    def set_open(self, on: bool) -> None:
        """Show all that can be said, or one line."""
        if on != self._open:
            self._open = on
            self._lay_out()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """One line needs some width."""
        super().resizeEvent(event)
        if (self.width() >= _ONE_LINE) != (event.oldSize().width() >= _ONE_LINE):
            self._lay_out()

    def ask_why(self) -> None:
        """Put the cursor where the reason is written."""
        if self._protocol.reason != "off":
            self.why.show()
            self._line.hide()
            self.why.setFocus()

    def _show_why(self) -> None:
        """In one line the reason has its field once there is one, or when one is asked for; until then the keys stand there."""
        wanted = bool(self.why.text()) or self._protocol.reason == "required" or self.why.hasFocus()
        self.why.setVisible(self._protocol.reason != "off" and (wanted or not self.folded))
        self._line.setVisible(self.folded and not wanted)

    def _make_scales(self) -> None:
        self.strength = SegmentedControl("How much better", [(word, place) for place, word in enumerate(STRENGTHS, start=1)])
        self.confidence = SegmentedControl("How sure", [("not said", None), *CONFIDENCES])
        self._strength, self._confidence = QWidget(), QWidget()
        for holder, words, scale in (
            (self._strength, "How much better", self.strength),
            (self._confidence, keymap.tip("How sure", "how sure"), self.confidence),
        ):
            across = row(holder, 0, t.SPACE_S)
            across.addWidget(caption(words))
            across.addWidget(scale)
            self._buttons.addWidget(holder)
        self.strength.changed.connect(self.strengthChosen)
        self.confidence.changed.connect(self.confidenceChosen)

    def _make_buttons(self) -> None:
        self.equal, self.none = Button("Tie", "quiet"), Button("None will do", "quiet")
        self.back, self.write = Button("Back", "quiet", icon="undo"), Button("Write my own", "quiet", icon="edit")
        self.skip, self.flag = Button("Skip", "quiet"), Button("Flag", "quiet", icon="flag")
        for button, signal, tip in (
            (self.equal, self.tied, keymap.tip("The next answer equals the last one", "tie")),
            (self.none, self.allRejected, keymap.tip("None of the answers will do", "none")),
            (self.back, self.takenBack, keymap.tip("Take the last one back", "take back")),
            (self.write, self.writeRequested, keymap.tip("Write the answer yourself, as an example", "write")),
            (self.skip, self.skipped, keymap.tip("Do not judge this one", "skip")),
            (self.flag, self.flagged, keymap.tip("Something is wrong with the prompt or the answers", "flag")),
        ):
            button.setToolTip(tip)
            button.clicked.connect(signal)
            self._buttons.addWidget(button)

    def ask(self, protocol: Protocol, answers: int, revising: bool) -> None:
        """Offer what this protocol asks."""
        self._protocol = protocol
        compares = protocol.comparison != "none"
        for part in (self._strip_holder, self._said):
            part.setVisible(compares)
        for part, wanted in (
            (self.equal, protocol.comparison in ("pairwise", "ranking")),
            (self.none, compares),
            (self.back, compares),
            (self.write, protocol.demonstration and not revising),
            (self.skip, not revising),
            (self.flag, not revising),
            (self._confidence, protocol.confidence),
            (self._strength, protocol.strength and answers == 2),
        ):
            part.setVisible(wanted)
        self.why.setPlaceholderText("Why? (asked for)" if protocol.reason == "required" else "Why? (optional)")
        self.save.set_text("Replace" if revising else "Save")
        self._keys = keys_in_words(protocol, answers, revising)
        self._folds = answers > 1 and not revising
        self.message.setVisible(self._offers_message and answers > 1 and not revising)
        self._lay_out()
        self.say("")

    def offer_message(self) -> None:
        """There is a composer that gives way to this bar: offer to bring it back."""
        self._offers_message = True

    def say(self, trouble: str) -> None:
        """Say what is missing; "" shows the keys again."""
        for words in (self._hint, self._line):
            words.setText(trouble or self._keys)
            restyle(words, tone="danger" if trouble else "muted")

    def show_draft(self, draft: Draft) -> None:
        """Show what has been said."""
        if self.why.text() != draft.why:
            self.why.setText(draft.why)
            self._show_why()
        self.show_own(draft.own)
        self.strength.setEnabled(draft.strength > 0)
        self.strength.set_value(draft.strength or 1)
        self.confidence.set_value(draft.confidence if draft.confidence in [v for _w, v in CONFIDENCES] else None)
        compared = draft.compared(self._protocol)
        self.save.setEnabled(compared and (bool(draft.verdicts(self._protocol))))
        clear(self._strip)
        if self._protocol.comparison == "buckets":
            self._show_groups(draft)
        elif self._protocol.comparison != "none":
            self._show_order(draft.ranking)
        self._strip.addStretch(1)
        self._said.setText(self._words(draft, compared))
        self.say("")

    def show_own(self, text: str) -> None:
        """Whether an answer of the user's own has been begun: it is kept, and W goes on with it."""
        self.write.set_text("Go on with my own" if text.strip() else "Write my own")

    def _words(self, draft: Draft, compared: bool) -> str:
        if draft.ranking.all_bad:
            return "None of them will do"
        sure = next((words for words, value in CONFIDENCES if value == draft.confidence), "") if self.folded else ""
        if self._protocol.comparison in ("none", "buckets") or not compared:
            return sure
        strength = STRENGTHS[draft.strength - 1] if draft.strength else ""
        return ", ".join(filter(None, (draft.ranking.describe(), strength, sure)))

    def _show_groups(self, draft: Draft) -> None:
        for number, name in enumerate(self._protocol.buckets):
            bucket = self._bucket(number, f"{number + 1}. {name}")
            for answer, into in enumerate(draft.groups):
                if into == number + 1:
                    bucket.body.addWidget(LetterChip(answer))
            self._strip.addWidget(bucket)
        for answer, into in enumerate(draft.groups):
            if not into:
                self._strip.addWidget(LetterChip(answer))

    def _show_order(self, state: RankingState) -> None:
        self._strip.addWidget(Label("Best", "caption", "muted"))
        for number, answers in enumerate(state.buckets):
            self._strip.addWidget(self._gap(number))
            bucket = self._bucket(number, f"{number + 1}.")
            for answer in answers:
                bucket.body.addWidget(LetterChip(answer))
            self._strip.addWidget(bucket)
        self._strip.addWidget(self._gap(len(state.buckets), wide=not state.buckets))
        self._strip.addWidget(Label("Worst", "caption", "muted"))
        if state.tie_next and not state.complete:
            self._strip.addWidget(caption("the next one ties"))
        if not state.complete:
            self._strip.addSpacing(t.SPACE_L)
            for answer in state.unplaced:
                self._strip.addWidget(LetterChip(answer))

    def _bucket(self, number: int, name: str) -> Bucket:
        bucket = Bucket(number, beside=True)
        bucket.body.addWidget(caption(name))
        bucket.setAccessibleName(f"Place {name}")
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


def keys_in_words(protocol: Protocol, answers: int, revising: bool = False) -> str:
    """The keys that do something under this protocol, on one line."""
    compares, pair, key = protocol.comparison, answers == 2, keymap.shown
    look = f"{key('left')} {key('right')} which answer"
    said = {
        "buckets": [f"1–{len(protocol.buckets)} the answer's group", look],
        "none": [look] if answers > 1 else [],
    }.get(compares, [f"1–{answers} {'the better one' if pair else 'best to worst'}", f"{key('tie')} tie"])
    if compares in ("pairwise", "ranking") and pair and protocol.strength:
        said.append("the same number again: more so")
    said += [f"{key('none')} none will do", f"{key('take back')} takes back"] if compares != "none" else []
    for wanted, words in (
        (protocol.thumbs, f"{key('thumb up')} {key('thumb down')} thumb"),
        (protocol.attributes or protocol.labels, f"{key('rate')} rate, then numbers"),
        (protocol.correction, f"{key('edit')} correct"),
        (protocol.span_categories, f"{key('mark')} mark"),
        (protocol.confidence, f"{key('how sure')} how sure"),
        (protocol.reason != "off", f"{key('why')} why"),
        (protocol.demonstration and not revising, f"{key('write')} write my own"),
    ):
        said += [words] if wanted else []
    said += [] if revising else [f"{key('skip')} skip", f"{key('flag')} flag"]
    said += [f"{key('up')} {key('down')} read on"] if answers > 1 else []
    return "  ·  ".join(said if pair and saves_at_once(protocol) else [*said, f"{key('save')} saves"])
