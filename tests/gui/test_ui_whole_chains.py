"""A long sitting in the whole window, by keyboard alone and by mouse alone, and what the database holds afterwards.

Keys go to whatever has the focus; the mouse presses what is drawn, after scrolling to it. Both find things by what they are called.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QPlainTextEdit, QScrollArea, QWidget
from run_script import ScriptedRun
from whole_window import QuietQueue

from rlhf_desktop.feedback.protocol import Attribute, LabelQuestion, Protocol, SpanCategory
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.frame.desk import Desk
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.widgets.markdown import MarkdownView

EVERYTHING = Protocol(
    name="Everything",
    thumbs=True,
    confidence=True,
    attributes=[Attribute(name="clarity")],
    labels=[LabelQuestion(name="Polite?", labels=["yes", "no"])],
    span_categories=[SpanCategory(name="wrong fact")],
)
ITEMS, PAIRS = 40, 30
UNFOLD = "Show all that can be said"


class Hand:
    """What keyboard and mouse have in common: where things are."""

    def __init__(self, qtbot, window: Window) -> None:
        self.qtbot, self.window = qtbot, window

    def until(self, condition: Callable[[], object]) -> None:
        self.qtbot.waitUntil(lambda: bool(condition()))

    def usable(self, name: str, kind: type[QWidget] = QAbstractButton) -> list[QWidget]:
        """What is called so, else what begins so, and can be used now."""
        found = [w for w in self.window.findChildren(kind) if w.isVisible() and w.isEnabled()]
        exact = [w for w in found if w.accessibleName() == name]
        return exact or [w for w in found if w.accessibleName().startswith(name)]

    def find(self, name: str, kind: type[QWidget] = QAbstractButton) -> QWidget:
        """The same, once it is there."""
        self.until(lambda: self.usable(name, kind))
        return self.usable(name, kind)[0]


class Keyboard(Hand):
    """Keys only. Each goes to what has the focus."""

    def say(self, meaning: str, _button: str) -> None:
        """A key of the table."""
        self.chord(keymap.sequences(meaning)[0])

    def number(self, number: int, _button: str) -> None:
        QTest.keyClick(QApplication.focusWidget(), Qt.Key(Qt.Key.Key_0 + number))

    def press(self, name: str) -> None:
        """Tab to a button, and Space."""
        wanted = self.find(name)
        for _ in range(300):
            if QApplication.focusWidget() is wanted:
                QTest.keyClick(wanted, Qt.Key.Key_Space)
                return
            QTest.keyClick(QApplication.focusWidget() or self.window, Qt.Key.Key_Tab)
        raise AssertionError(f"Tab never reaches “{name}”")

    def chord(self, sequence) -> None:
        combination = sequence[0]
        QTest.keyClick(QApplication.focusWidget() or self.window, combination.key(), combination.keyboardModifiers())

    def room(self, key: str, _title: str) -> None:
        self.chord(keymap.sequences(key)[0])
        self.until(lambda: self.window.current_room == key)

    def write(self, text: str) -> None:
        """In place of what is in the field that has the focus."""
        field = QApplication.focusWidget()
        QTest.keyClick(field, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
        QTest.keyClicks(field, text)

    def why(self, text: str) -> None:
        self.say("why", "")
        self.write(text)
        QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Return)

    def rate(self) -> None:
        """The mark, then the label, and back."""
        self.say("rate", "")
        for number in (4, 1):
            self.number(number, "")
        self.say("leave", "")

    def mark(self, _answer: str) -> None:
        self.say("mark", "")
        QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_End, Qt.KeyboardModifier.ShiftModifier)
        self.number(1, "")
        self.say("leave", "")


class Mouse(Hand):
    """The left button only; words are typed, since a mouse has no letters."""

    def say(self, _meaning: str, button: str) -> None:
        if not self.usable(button) and self.usable(UNFOLD):  # what is rarely said is folded away
            self.press(UNFOLD)
        self.press(button)

    def number(self, _number: int, button: str) -> None:
        self.press(button)

    def press(self, name: str) -> None:
        self.click(self.find(name))

    def click(self, wanted: QWidget, click: Callable = QTest.mouseClick) -> None:
        self.until(lambda: self.is_in_sight(wanted))
        at = wanted.mapTo(self.window, wanted.rect().center())
        under = self.window.childAt(at)
        click(under, Qt.MouseButton.LeftButton, pos=under.mapFrom(self.window, QPoint(at)))

    def is_in_sight(self, wanted: QWidget) -> bool:
        """Whether it lies under no other, after scrolling to it."""
        parent = wanted.parentWidget()
        while parent is not None:
            if isinstance(parent, QScrollArea):
                parent.ensureWidgetVisible(wanted)
            parent = parent.parentWidget()
        under = self.window.childAt(wanted.mapTo(self.window, wanted.rect().center()))
        return under is wanted or (under is not None and wanted.isAncestorOf(under))

    def room(self, key: str, title: str) -> None:
        self.press(title)
        self.until(lambda: self.window.current_room == key)

    def write(self, text: str) -> None:
        field = self.window.focusWidget()
        field.selectAll()
        QTest.keyClicks(field, text)

    def why(self, text: str) -> None:
        field = self.window.room("label").area.panel.why
        self.click(field)
        QTest.keyClicks(field, text)

    def rate(self) -> None:
        self.press("clarity, answer A: 4")
        self.press("Polite?, answer A: yes")

    def mark(self, answer: str) -> None:
        self.press(f"Mark parts of answer {answer}")
        text = self.window.room("label").area.board.cards[0]._marks.text
        self.click(text)
        QTest.mouseDClick(text.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(8, 8))
        self.press("Mark as wrong fact")
        self.press("Done")


@pytest.fixture
def window(qtbot, context):
    made = Window(replace(context, queue=QuietQueue(context.workspace)))
    made.desk = Desk(made._context, made)
    qtbot.addWidget(made)
    made.resize(1280, 800)
    made.show()
    made.show_room("chat")
    made.activateWindow()
    qtbot.waitUntil(made.isActiveWindow)
    context.chat.load(context.session.base)
    qtbot.waitUntil(lambda: context.chat.loaded is not None)
    yield made
    made.desk._clock.stop()
    context.chat.stateChanged.disconnect()  # the worker ends after the window is gone
    context.tasks.wait()


@pytest.fixture(params=["keyboard", "mouse"])
def hand(request, qtbot, window):
    return {"keyboard": Keyboard, "mouse": Mouse}[request.param](qtbot, window)


def held(context):
    """The judgements in effect, the oldest first."""
    return context.store.judgements.effective(context.session.project.id)


def waiting(context, count, protocol=EVERYTHING):
    context.store.protocols.set(context.session.project.id, protocol)
    prompts = [[{"role": "user", "content": f"What of number {n}?"}] for n in range(count)]
    context.store.prompts.create_set(context.session.project.id, "Waiting", prompts, "train")


def begin(hand):
    hand.room("label", "Label")
    hand.press("Begin")
    item(hand)


def item(hand):
    """Until there is something to judge, and it has the keys."""
    label = hand.window.room("label")
    hand.until(lambda: label.presenter.judging.showing is not None and label.area.board.isVisible())


def rank(hand):
    for number, letter in ((2, "B"), (1, "A"), (3, "C")):
        hand.number(number, f"Place answer {letter} next")


def ranked(hand):
    rank(hand)
    hand.say("save", "Save")


def tied(hand):
    hand.number(1, "Place answer A next")
    hand.say("tie", "Tie")
    for number, letter in ((2, "B"), (3, "C")):
        hand.number(number, f"Place answer {letter} next")
    hand.say("save", "Save")


def none_will_do(hand):
    hand.say("none", "None will do")
    hand.say("save", "Save")


def corrected(hand):
    hand.say("edit", "Correct answer A")
    hand.write("I am so sorry.")
    hand.say("keep", "Keep correction")
    ranked(hand)


def written(hand):
    hand.say("write", "Write my own")
    hand.write("Please send us the number.")
    hand.say("keep", "Save as example")


def marked(hand):
    hand.mark("A")
    ranked(hand)


def rated(hand):
    rank(hand)
    hand.rate()
    hand.say("save", "Save")


def explained(hand):
    rank(hand)
    hand.why("It says sorry.")
    hand.say("save", "Save")


def sure(hand):
    rank(hand)
    hand.say("how sure", "How sure: a guess")
    hand.say("save", "Save")


def thumbed(hand):
    hand.say("thumb up", "Answer A is good")
    ranked(hand)


def skipped(hand):
    hand.say("skip", "Skip")


def flagged(hand):
    hand.say("flag", "Flag")


def kinds(judgement):
    return {judgement.verdict.kind, *(verdict.kind for verdict in judgement.also)}


FORMS = [  # what is done, and what the database then holds of it
    (ranked, lambda j: kinds(j) == {"ranking"} and j.verdict.ranks == (2, 1, 3, 4)),
    (tied, lambda j: kinds(j) == {"ranking"} and j.verdict.ranks == (1, 1, 2, 3)),
    (none_will_do, lambda j: kinds(j) == {"all_bad"}),
    (corrected, lambda j: kinds(j) == {"ranking", "correction"} and "I am so sorry." in str(j.also)),
    (written, lambda j: kinds(j) == {"demonstration"}),
    (marked, lambda j: kinds(j) == {"ranking", "spans"}),
    (rated, lambda j: kinds(j) == {"ranking", "ratings", "labels"}),
    (explained, lambda j: j.critique == "It says sorry."),
    (sure, lambda j: j.confidence is not None),
    (thumbed, lambda j: kinds(j) == {"ranking", "thumbs"}),
    (skipped, lambda j: kinds(j) == {"skip"}),
    (flagged, lambda j: kinds(j) == {"flag"}),
]


@pytest.mark.timeout(300)
def test_forty_items_in_label_with_every_form(context, hand):
    waiting(context, ITEMS)
    begin(hand)
    done = []
    for number in range(ITEMS):
        item(hand)
        do, _holds = FORMS[number % len(FORMS)]
        do(hand)
        done.append(FORMS[number % len(FORMS)])
        hand.until(lambda number=number: len(held(context)) == number + 1)
    judged = sorted(held(context), key=lambda judgement: judgement.created_at)
    wrong = [(do.__name__, judgement) for (do, holds), judgement in zip(done, judged, strict=True) if not holds(judgement)]
    assert wrong == []


@pytest.mark.timeout(300)
def test_thirty_blind_pairs(context, hand):
    run = ScriptedRun(context, title="Kinder")
    run.result()
    run.state("done")
    prompts = [[{"role": "user", "content": f"question {i}"}] for i in range(PAIRS + 2)]
    context.store.prompts.create_set(context.session.project.id, "Deliveries", prompts, "heldout")
    waiting(context, 3)
    hand.room("label", "Label")  # lies behind from now on, and hears of every verdict
    hand.room("evaluate", "Evaluate")
    room = hand.window.room("evaluate")
    hand.until(lambda: room.home.begin.isEnabled())
    room.home.many.set_value(32)
    hand.press("Compare")
    hand.until(lambda: room.pair is not None and room.judging.isVisible())
    said = [("number", 1, "1 is better"), ("number", 2, "2 is better"), ("tie", 0, "About equal"), ("none", 0, "Neither will do")]
    for done in range(PAIRS):
        before, (meaning, number, button) = room.pair, said[done % 4]
        hand.until(lambda: QApplication.focusWidget() is room.judging)
        hand.number(number, button) if number else hand.say(meaning, button)
        hand.until(lambda before=before: room.pair is not before)
    judged = held(context)
    assert len(judged) == PAIRS
    ranks = [tuple(getattr(j.verdict, "ranks", ())) for j in judged]
    assert (ranks.count((1, 1)), ranks.count(())) == (PAIRS // 4, PAIRS // 4)  # ties, and neither


def test_a_correction_is_kept_seen_opened_again_and_saved(context, hand):
    waiting(context, 2)
    begin(hand)
    for text in ("I am sorry.", "I am very sorry."):
        hand.say("edit", "Correct answer A")
        field = QApplication.focusWidget()
        assert isinstance(field, QPlainTextEdit)
        assert field.toPlainText() == ("I am sorry." if "very" in text else hand.window.room("label").area.board.cards[0]._source)
        hand.write(text)
        hand.say("keep", "Keep correction")
        assert hand.find("Answer A, corrected", MarkdownView).text() == text
    ranked(hand)
    hand.until(lambda: held(context))
    (judgement,) = held(context)
    assert kinds(judgement) == {"ranking", "correction"}
    assert [v.text for v in (judgement.verdict, *judgement.also) if v.kind == "correction"] == ["I am very sorry."]


def test_undo_reaches_from_one_room_to_what_was_said_in_another(context, hand):
    waiting(context, 3)
    begin(hand)
    ranked(hand)
    hand.until(lambda: len(held(context)) == 1)
    hand.room("models", "Models")
    hand.say("undo", "Undo")
    hand.until(lambda: held(context) == [])
    if isinstance(hand, Keyboard):
        hand.say("redo", "")
        hand.until(lambda: len(held(context)) == 1)
        hand.say("undo", "")
        hand.until(lambda: held(context) == [])
    hand.room("label", "Label")
    item(hand)
    assert hand.window.room("label").presenter.judging.showing.texts[0].startswith("answer")
    ranked(hand)
    hand.until(lambda: len(held(context)) == 1)
