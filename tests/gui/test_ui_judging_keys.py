"""What keys say, on four keyboards and in every room that judges: one verdict a press, and none beside Ctrl or Alt."""

import sys

import pytest
from PySide6.QtCore import QEvent, QLocale, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QApplication

from rlhf_desktop.feedback.protocol import PRESETS, SpanCategory
from rlhf_desktop.operations.blind import BlindPair
from rlhf_desktop.ui.chat.setup_panel import SetupPanel
from rlhf_desktop.ui.evaluate.judgingview import JudgingView
from rlhf_desktop.ui.judging.area import JudgingArea
from rlhf_desktop.ui.judging.choices import ChoiceRow
from rlhf_desktop.ui.judging.keys import digit, symbol
from rlhf_desktop.ui.judging.marks import MarkPane
from rlhf_desktop.ui.judging.presenter import Judging

K, M = Qt.Key, Qt.KeyboardModifier
PLAIN, SHIFT = M.NoModifier, M.ShiftModifier
# What is meant: the key as Qt names it, the modifier it takes, the text it writes, and its place (a PC scan code)
LAYOUTS = {
    "QWERTY": {"1": (K.Key_1, PLAIN, "1", 2), "0": (K.Key_0, PLAIN, "0", 11), "=": (K.Key_Equal, PLAIN, "=", 13),
               "-": (K.Key_Minus, PLAIN, "-", 12), "S": (K.Key_S, PLAIN, "s", 31), "W": (K.Key_W, PLAIN, "w", 17),
               "Y": (K.Key_Y, PLAIN, "y", 21), "B": (K.Key_B, PLAIN, "b", 48)},
    "QWERTZ": {"1": (K.Key_1, PLAIN, "1", 2), "0": (K.Key_0, PLAIN, "0", 11), "=": (K.Key_Equal, SHIFT, "=", 11),
               "-": (K.Key_Minus, PLAIN, "-", 53), "S": (K.Key_S, PLAIN, "s", 31), "W": (K.Key_W, PLAIN, "w", 17),
               "Y": (K.Key_Y, PLAIN, "y", 44), "B": (K.Key_B, PLAIN, "b", 48)},
    "AZERTY": {"1": (K.Key_1, SHIFT, "1", 2), "0": (K.Key_0, SHIFT, "0", 11), "=": (K.Key_Equal, PLAIN, "=", 13),
               "-": (K.Key_Minus, PLAIN, "-", 7), "S": (K.Key_S, PLAIN, "s", 31), "W": (K.Key_W, PLAIN, "w", 44),
               "Y": (K.Key_Y, PLAIN, "y", 21), "B": (K.Key_B, PLAIN, "b", 48)},
    "Cyrillic": {"1": (K.Key_1, PLAIN, "1", 2), "0": (K.Key_0, PLAIN, "0", 11), "=": (K.Key_Equal, PLAIN, "=", 13),
                 "-": (K.Key_Minus, PLAIN, "-", 12), "S": (0x42B, PLAIN, "ы", 31), "W": (0x426, PLAIN, "ц", 17),
                 "Y": (0x41D, PLAIN, "н", 21), "B": (0x418, PLAIN, "и", 48)},
}  # fmt: skip
KEYBOARDS = [(name, meant) for name, keys in LAYOUTS.items() for meant in keys]
MAC_CODES = {31: 1, 17: 13, 21: 16, 48: 11}


def event(key, modifiers=PLAIN, text="", place=0, repeat=False, system=sys.platform):
    scan, virtual = (place + 8, 0) if system == "linux" else (place, 0)
    if system == "darwin":
        scan, virtual = 1, MAC_CODES.get(place, 0)
    return QKeyEvent(QEvent.Type.KeyPress, key, modifiers, scan, virtual, 0, text, repeat, 1)


def send(widget, made):
    QApplication.sendEvent(widget, made)


@pytest.mark.parametrize("system", ["linux", "win32", "darwin"])
@pytest.mark.parametrize(("layout", "meant"), KEYBOARDS)
def test_every_keyboard_says_the_same(layout, meant, system):
    assert symbol(event(*LAYOUTS[layout][meant], system=system), system) == meant


def test_what_says_nothing():
    for modifier in (M.ControlModifier, M.AltModifier, M.MetaModifier, M.ControlModifier | M.ShiftModifier):
        assert symbol(event(K.Key_1, modifier, "1")) == ""
        assert symbol(event(K.Key_S, modifier, "s")) == ""
    assert symbol(event(K.Key_Exclam, SHIFT, "!")) == ""
    assert symbol(event(K.Key_Ampersand, PLAIN, "&", 2)) == ""  # AZERTY without Shift
    assert symbol(event(K.Key_Eacute, PLAIN, "é", 3)) == ""
    assert symbol(event(K.Key_Backspace, PLAIN, "\b")) == ""


def test_digits_of_the_keypad_and_of_other_scripts():
    assert digit(event(K.Key_3, M.KeypadModifier, "3")) == 3
    assert digit(event(0x0663, PLAIN, "٣")) == 3
    assert digit(event(K.Key_S, PLAIN, "s")) is None


# --- blind comparisons


@pytest.fixture
def blind(qtbot, theme):
    view = JudgingView()
    qtbot.addWidget(view)
    view.said = []
    view.judged.connect(lambda verdict, _why: view.said.append(verdict))
    view.show_pair(BlindPair("e", 0, [{"role": "user", "content": "q"}], "a", "b", 1, 8))
    return view


@pytest.mark.parametrize("layout", LAYOUTS)
def test_blind_verdicts_on_every_keyboard(blind, layout):
    for meant, verdict in {"1": "left", "=": "tie", "0": "both_bad", "S": "skip"}.items():
        blind.setEnabled(True)
        send(blind, event(*LAYOUTS[layout][meant]))
        assert blind.said.pop() == verdict


def test_a_held_key_is_one_blind_verdict_and_takes_one_back(blind):
    send(blind, event(K.Key_1, PLAIN, "1"))
    for _ in range(30):
        blind.setEnabled(True)  # the next pair is there
        send(blind, event(K.Key_1, PLAIN, "1", repeat=True))
    assert blind.said == ["left"]
    taken = []
    blind.undone.connect(lambda: taken.append(1))
    send(blind, event(K.Key_Backspace))
    for _ in range(30):
        send(blind, event(K.Key_Backspace, repeat=True))
    assert taken == [1]


def test_shortcuts_of_the_window_judge_nothing_blind(blind):
    for key, text in ((K.Key_Equal, ""), (K.Key_0, ""), (K.Key_S, "\x13"), (K.Key_1, "1")):
        for modifier in (M.ControlModifier, M.AltModifier, M.MetaModifier):
            send(blind, event(key, modifier, text))
    assert blind.said == []


# --- chat and label


@pytest.fixture
def area(qtbot, store, session, theme):
    judging = Judging(store, session, lambda: "me", parent=session)
    made = JudgingArea(judging)
    qtbot.addWidget(made.board)
    qtbot.addWidget(made.panel)
    return made


def begin(area, store, session, preset="General", texts=("a", "b")):
    store.protocols.set(session.project.id, PRESETS[preset])
    _, leaf = store.conversations.start(session.project.id, [{"role": "user", "content": "q"}])
    nodes = store.conversations.add_answers(leaf.id, list(texts))
    area.judging.begin(tuple(node.id for node in nodes), "test")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ranking_and_skipping_on_every_keyboard(area, store, session, layout):
    begin(area, store, session)
    assert area.key(event(*LAYOUTS[layout]["1"]))
    assert store.judgements.effective(session.project.id)[-1].verdict.ranks == (1, 2)
    begin(area, store, session)
    assert area.key(event(*LAYOUTS[layout]["S"]))
    assert store.judgements.effective(session.project.id)[-1].kind == "skip"


def test_a_held_key_is_one_judgement(area, store, session):
    for _ in range(8):
        begin(area, store, session)
        area.key(event(K.Key_1, PLAIN, "1", repeat=bool(store.judgements.effective(session.project.id))))
    assert len(store.judgements.effective(session.project.id)) == 1


def test_arrows_may_be_held_to_look_along_the_answers(area, store, session):
    begin(area, store, session, "Sorting into groups", ("a", "b", "c"))
    area.key(event(K.Key_Right))
    area.key(event(K.Key_Right, repeat=True))
    assert area.judging.current == 2


def test_shortcuts_of_the_window_judge_nothing(area, store, session):
    begin(area, store, session)
    for key, text in ((K.Key_Equal, ""), (K.Key_0, ""), (K.Key_S, "\x13"), (K.Key_1, "1"), (K.Key_Return, "\r")):
        for modifier in (M.ControlModifier, M.AltModifier, M.MetaModifier):
            assert not area.key(event(key, modifier, text))
    assert not store.judgements.effective(session.project.id)


# --- marks, labels, marked parts


@pytest.mark.parametrize("layout", LAYOUTS)
def test_marks_are_given_on_every_keyboard_once_a_press(qtbot, layout):
    row = ChoiceRow("accuracy", "answer A", ["bad", "good"], numbered=True)
    qtbot.addWidget(row)
    said = []
    row.chosen.connect(said.append)
    key, modifiers, text, place = LAYOUTS[layout]["1"]
    send(row, event(key, modifiers, text, place))
    send(row, event(key, modifiers, text, place, repeat=True))  # would take it away again
    send(row, event(key, M.ControlModifier, text, place))
    assert said == [(0,)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_parts_are_marked_on_every_keyboard_once_a_press(qtbot, theme, layout):
    pane = MarkPane(0, "A", "some text", [SpanCategory(name="wrong fact")])
    qtbot.addWidget(pane)
    marked = []
    pane.marked.connect(marked.append)
    pane.text.choose(0, 4)
    send(pane.text, event(*LAYOUTS[layout]["B"]))
    send(pane.text, event(*LAYOUTS[layout]["B"], repeat=True))
    send(pane.text, event(*LAYOUTS[layout]["1"]))
    send(pane.text, event(*LAYOUTS[layout]["1"], repeat=True))
    assert [(span.start, span.end, span.severity) for span in marked] == [(0, 4, 3)]


# --- numbers


@pytest.mark.parametrize(("language", "country"), [
    (QLocale.Language.German, QLocale.Country.Germany),
    (QLocale.Language.English, QLocale.Country.UnitedStates),
    (QLocale.Language.French, QLocale.Country.Switzerland),
    (QLocale.Language.Russian, QLocale.Country.Russia),
])  # fmt: skip
def test_variety_is_typed_with_a_point_or_a_comma(qtbot, theme, language, country):
    panel = SetupPanel()
    qtbot.addWidget(panel)
    panel.setLocale(QLocale(language, country))
    inner = panel.temperature.lineEdit()
    for typed in ("0.7", "0,7", ".7", "0,70"):
        panel.temperature.setValue(1.0)
        inner.selectAll()
        qtbot.keyClicks(inner, typed)
        panel.temperature.interpretText()
        assert panel.temperature.value() == 0.7
    shown = QLocale(language, country).decimalPoint()
    assert panel.temperature.text() == f"0{shown}70"


def test_a_digit_typed_into_a_number_is_no_verdict(qtbot, area, store, session, theme):
    begin(area, store, session)
    panel = SetupPanel(area.board)
    area.board.show()
    panel.temperature.setFocus()
    assert area.board.window().focusWidget() is panel.temperature
    assert not area.key(event(K.Key_S, PLAIN, "s"))
