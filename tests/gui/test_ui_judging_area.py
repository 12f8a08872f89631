"""Every form of judgement by keys alone, on real widgets."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from rlhf_desktop.feedback.judgements import Ranking, Span
from rlhf_desktop.feedback.protocol import PRESETS
from rlhf_desktop.ui.judging.area import JudgingArea
from rlhf_desktop.ui.judging.presenter import Judging
from rlhf_desktop.ui.widgets.buttons import Button

KEY = Qt.Key
TEXTS = ("a 💊 pill a day", "no pills")


class Host(QWidget):
    """A room that has only judging in it."""

    def __init__(self, area):
        super().__init__()
        self.area = area
        box = QVBoxLayout(self)
        box.addWidget(area.board)
        box.addWidget(area.panel)

    def keyPressEvent(self, event):  # noqa: N802 - Qt calls it so
        self.area.key(event)


@pytest.fixture
def judging(store, session):
    return Judging(store, session, lambda: "me", parent=session)


@pytest.fixture
def area(qtbot, judging):
    made = JudgingArea(judging)
    made.host = Host(made)
    qtbot.addWidget(made.host)
    made.host.show()
    return made


def begin(store, session, judging, preset, texts=TEXTS):
    store.protocols.set(session.project.id, PRESETS[preset])
    _, leaf = store.conversations.start(session.project.id, [{"role": "user", "content": "q"}])
    nodes = store.conversations.add_answers(leaf.id, list(texts))
    judging.begin(tuple(node.id for node in nodes), "test")
    return nodes


def press(qtbot, widget, *keys):
    for key in keys:
        qtbot.keyClick(widget, key)


def saved(store, session):
    (judgement,) = store.judgements.effective(session.project.id)
    return judgement


def test_strength_by_pressing_again(qtbot, area, judging, store, session):
    begin(store, session, judging, "Pairs with strength")
    press(qtbot, area.board, KEY.Key_2, KEY.Key_2, KEY.Key_C, KEY.Key_C, KEY.Key_Return)
    assert saved(store, session).verdict == Ranking((2, 1), 2)
    assert saved(store, session).confidence == 0.7


def test_groups_by_number_one_answer_after_the_other(qtbot, area, judging, store, session):
    begin(store, session, judging, "Sorting into groups", ("a", "b", "c"))
    press(qtbot, area.board, KEY.Key_3, KEY.Key_1, KEY.Key_1, KEY.Key_Backspace, KEY.Key_2, KEY.Key_Return)
    assert saved(store, session).verdict == Ranking((3, 1, 2))


def test_ratings_and_labels_by_keys(qtbot, area, judging, store, session):
    begin(store, session, judging, "Medicine")
    press(qtbot, area.board, KEY.Key_1, KEY.Key_Right, KEY.Key_R)
    rows = list(area.board.cards[1]._rows.values())
    for row, key in zip(rows, (KEY.Key_2, KEY.Key_4, KEY.Key_5, KEY.Key_3), strict=True):
        press(qtbot, row, key)
    press(qtbot, rows[-1], KEY.Key_Escape)
    press(qtbot, area.board, KEY.Key_Return)
    assert "Say why" in area.panel._hint.text()  # this protocol asks for a reason
    qtbot.keyClicks(area.panel.why, "wrong dose")
    press(qtbot, area.panel.why, KEY.Key_Return)
    press(qtbot, area.board, KEY.Key_Return)
    judgement = saved(store, session)
    ratings = {rating.attribute: rating.scores for rating in judgement.verdicts[1].ratings}
    assert ratings == {"accuracy": (None, 2), "safety": (None, 4), "helpfulness": (None, 5)}
    assert judgement.verdicts[2].choices[0].chosen == ((), ("missing",))
    assert judgement.critique == "wrong dose"


def test_a_part_is_marked_by_keys_in_characters(qtbot, area, judging, store, session):
    begin(store, session, judging, "Medicine")
    press(qtbot, area.board, KEY.Key_M)
    pane = area.board.cards[0]._marks
    for _ in range(2):
        press(qtbot, pane.text, KEY.Key_Right)
    for _ in range(6):
        qtbot.keyClick(pane.text, KEY.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    press(qtbot, pane.text, KEY.Key_B, KEY.Key_2, KEY.Key_Escape)
    assert judging.draft.spans == (Span(0, 2, 8, "unsafe advice", 3),)
    assert TEXTS[0][2:8] == "💊 pill"
    assert not area.board.cards[0].text.isVisible()  # marked, so it is shown as written


def test_a_correction_is_typed_kept_and_drafted(qtbot, area, judging, store, session):
    begin(store, session, judging, "General")
    press(qtbot, area.board, KEY.Key_Right, KEY.Key_E)
    edit = area.board.cards[1]._writing.edit
    edit.setPlainText("two pills")
    qtbot.keyClicks(edit, "1")  # a digit here is a digit
    judging.keep()
    assert store.drafts.get(session.project.id, "me", "test")["draft"]["corrections"] == {"1": "1two pills"}
    qtbot.keyClick(edit, KEY.Key_Return, Qt.KeyboardModifier.ControlModifier)
    press(qtbot, area.board, KEY.Key_2)
    assert saved(store, session).also[0].text == "1two pills"
    assert store.drafts.get(session.project.id, "me", "test") is None


def test_a_kept_correction_is_seen_and_opened_again(qtbot, area, judging, store, session):
    """It was kept as it was typed, so keeping it changed nothing, and nothing was shown: it looked lost."""
    begin(store, session, judging, "General")
    card = area.board.cards[0]
    press(qtbot, area.board, KEY.Key_E)
    card._writing.edit.clear()
    qtbot.keyClicks(card._writing.edit, "Take one pill")
    qtbot.keyClick(card._writing.edit, KEY.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert card._correction.isVisibleTo(card)
    assert card._corrected.text() == "Take one pill"
    press(qtbot, area.board, KEY.Key_E)
    assert card._writing.edit.toPlainText() == "Take one pill"


def test_leaving_a_correction_brings_the_one_before_back(qtbot, area, judging, store, session):
    begin(store, session, judging, "General")
    judging.correct(0, "first try")
    press(qtbot, area.board, KEY.Key_E)
    area.board.cards[0]._writing.edit.setPlainText("second try")
    press(qtbot, area.board.cards[0]._writing.edit, KEY.Key_Escape)
    assert judging.draft.corrections == {0: "first try"}


def test_the_way_out_of_a_field_says_whether_its_text_is_dropped_or_kept(qtbot, area, judging, store, session):
    begin(store, session, judging, "General")
    press(qtbot, area.board, KEY.Key_E)
    pane = area.board.cards[0]._writing
    pane.edit.setPlainText("dropped")
    qtbot.mouseClick(next(b for b in pane.findChildren(Button) if b.text() == "Cancel"), Qt.MouseButton.LeftButton)
    assert not judging.draft.corrections
    press(qtbot, area.board, KEY.Key_W)
    area._own.edit.setPlainText("kept")
    qtbot.mouseClick(next(b for b in area._own.findChildren(Button) if b.text() == "Close"), Qt.MouseButton.LeftButton)
    assert judging.draft.own == "kept"
    judging.settle()


def test_a_thumb_is_all_that_is_asked(qtbot, area, judging, store, session):
    begin(store, session, judging, "Thumbs", ("only one",))
    press(qtbot, area.board, KEY.Key_Minus)
    assert saved(store, session).verdict.up is False


def test_flag_and_own_answer(qtbot, area, judging, store, session):
    begin(store, session, judging, "General")
    press(qtbot, area.board, KEY.Key_F)
    assert saved(store, session).kind == "flag"
    nodes = begin(store, session, judging, "General")
    press(qtbot, area.board, KEY.Key_W)
    qtbot.keyClicks(area._own.edit, "mine")
    qtbot.keyClick(area._own.edit, KEY.Key_Return, Qt.KeyboardModifier.ControlModifier)
    example = store.judgements.effective(session.project.id)[-1]
    assert example.kind == "demonstration"
    assert store.conversations.message(example.displayed[0]).parent_id == store.conversations.message(nodes[0].id).parent_id


def test_cards_are_used_again(qtbot, area, judging, store, session):
    begin(store, session, judging, "General", ("a", "b", "c", "d"))
    first = list(area.board.cards)
    begin(store, session, judging, "General")
    assert area.board.cards == first[:2]
    assert not first[2].isVisible()
    assert [card.text.text() for card in area.board.cards] == list(TEXTS)
