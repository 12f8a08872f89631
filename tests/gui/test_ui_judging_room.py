"""Answers have the room while they are judged: all in sight, in Chat, in Label and compared blind, with the bar in one line."""

import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtWidgets import QWidget

from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.feedback.conversations import Generator
from rlhf_desktop.feedback.protocol import PRESETS
from rlhf_desktop.operations.blind import BlindPair
from rlhf_desktop.operations.labelling import Item
from rlhf_desktop.store.conversations import NewCompletion
from rlhf_desktop.ui.evaluate.judgingview import JudgingView
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.judging.grid import shared
from rlhf_desktop.ui.label.presenter import Sitting
from rlhf_desktop.ui.widgets.inset import LEAST_LINES

KEY = Qt.Key
LONG = "Of course. Here is how I would go about it, so that nothing is lost on the way. " * 15
CODE = "Use a loop:\n\n```python\n" + "\n".join(f"for n in range({n}): print('a long line', n)" for n in range(20)) + "\n```"
ARABIC = "بالطبع. إليك الخطوات واحدة تلو الأخرى حتى لا يضيع شيء في الطريق. " * 14
TEXTS = [LONG, CODE, ARABIC, "\n".join(f"* point {n} of the list" for n in range(30))] * 2
PROMPT = [{"role": "user", "content": "My blender arrived broken. What can you do for me, and how long does it take? " * 8}]
SIZES = [(1280, 800), (1920, 1080)]


@pytest.fixture
def window(qtbot, context):
    made = Window(context)
    qtbot.addWidget(made)
    made.show()
    yield made
    context.tasks.wait()


def answers(store, session, count, finish="end"):
    """A question with so many long answers. The second was cut."""
    _, leaf = store.conversations.start(session.project.id, PROMPT)
    made = [NewCompletion(text, 1, "length" if place == 1 else finish, 9) for place, text in enumerate(TEXTS[:count])]
    return store.conversations.add_completions(leaf.id, made, Generator.of(session.base, None, Sampling()))


def in_chat(window, store, session, count):
    nodes = answers(store, session, count)
    window.show_room("chat")
    presenter = window.room("chat").presenter
    presenter.open(nodes[0].conversation_id)
    presenter._start_judging([node.id for node in nodes])
    return window.room("chat").area


def in_label(window, store, session, count):
    nodes = answers(store, session, count)
    window.show_room("label")
    room = window.room("label")
    room.presenter.sitting = Sitting(0.0)
    room._root.setCurrentWidget(room.page)
    room.presenter._show(Item("", nodes[0].conversation_id, tuple(node.id for node in nodes)))
    return room.area


def seen(widget: QWidget) -> QRect:
    """What of a widget is in sight, in its window's pixels."""
    whole = widget.window().rect()
    while widget is not None and not widget.isWindow():
        whole &= QRect(widget.mapTo(widget.window(), QPoint(0, 0)), widget.size())
        widget = widget.parentWidget()
    return whole


def in_sight(*widgets: QWidget) -> bool:
    return all(widget.isVisible() and seen(widget).size() == widget.size() for widget in widgets)


def readable(card) -> bool:
    """The whole card, and at least a few lines of its text."""
    lines = card.inset.viewport().height() / card.text.fontMetrics().lineSpacing()
    return in_sight(card, card.inset) and lines >= LEAST_LINES


@pytest.mark.parametrize("size", SIZES, ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize("count", [2, 4, 8])
@pytest.mark.parametrize("show", [in_chat, in_label], ids=["chat", "label"])
def test_all_answers_and_what_the_keys_speak_of_are_in_sight(qtbot, window, store, session, show, count, size):
    window.resize(*size)
    area = show(window, store, session, count)
    cards, panel = area.board.cards, area.panel
    qtbot.waitUntil(lambda: all(readable(card) for card in cards))
    assert in_sight(
        panel, panel.save, panel.fold, panel._strip_holder, *(part for card in cards for part in (card.pick, card.edit))
    )
    assert len({card.width() for card in cards}) == 1
    assert len({seen(card).top() for card in cards}) < count  # side by side
    assert panel.folded
    assert panel.height() <= 2 * panel.save.height()
    first_row = [card.height() for card in cards if seen(card).top() == seen(cards[0]).top()]
    assert len(set(first_row)) == 1


@pytest.fixture
def large(theme):
    theme.blockSignals(True)  # windows of tests before this one would keep the size in stores that are closed
    theme.set_text_size(150)
    yield theme
    theme.set_text_size(100)
    theme.blockSignals(False)


def test_four_answers_are_ranked_by_keyboard_at_half_as_large_again_a_text(qtbot, large, window, store, session):
    window.resize(1280, 800)
    for show in (in_chat, in_label):
        area = show(window, store, session, 4)
        rank_four(qtbot, area)
    for judgement in store.judgements.effective(session.project.id):
        assert (judgement.verdict.ranks, judgement.critique) == ((2, 4, 1, 3), "kinder")


def rank_four(qtbot, area):
    """Three keys, a reason, and Enter: whatever they speak of is in sight."""
    cards, panel = area.board.cards, area.panel
    qtbot.waitUntil(lambda: all(readable(card) for card in cards))
    assert in_sight(panel, panel.save, panel.fold, *(card.pick for card in cards))
    assert panel.folded
    for key in (KEY.Key_3, KEY.Key_1, KEY.Key_4):
        qtbot.keyClick(area.board, key)
        assert in_sight(panel.save, *cards)
    qtbot.keyClick(area.board, KEY.Key_Y)
    qtbot.waitUntil(lambda: in_sight(panel.why, panel.save))
    qtbot.keyClicks(panel.why, "kinder")
    qtbot.keyClick(panel.why, KEY.Key_Return)
    qtbot.keyClick(area.board, KEY.Key_Return)
    assert area.judging.showing is None


@pytest.mark.parametrize("size", SIZES, ids="{0[0]}x{0[1]}".format)
def test_a_blind_pair_is_in_sight_with_its_verdicts(qtbot, dressed, size):
    view = JudgingView()
    qtbot.addWidget(view)
    view.resize(size[0] - 56, size[1] - 84)
    view.show()
    view.show_pair(BlindPair("e", 0, PROMPT * 3, LONG * 2, CODE * 2, 0, 7, ("end", "length")))
    qtbot.waitUntil(lambda: all(readable(card) for card in view._cards))
    assert in_sight(view.meter, view.why, *view.buttons.values())
    assert [card.cut.isVisible() for card in view._cards] == [False, True]
    qtbot.keyClick(view, KEY.Key_PageDown)
    assert all(card.inset.verticalScrollBar().value() > 0 for card in view._cards)
    view.show_pair(BlindPair("e", 1, PROMPT, "Short.", "Kurz.", 1, 7))
    assert not any(card.cut.isVisible() for card in view._cards)


def test_a_cut_answer_says_so_while_it_is_judged_and_nobody_says_who_wrote_it(qtbot, window, store, session):
    area = in_chat(window, store, session, 4)
    assert [card.cut.text() for card in area.board.cards] == ["", "Cut at the length limit", "", ""]
    assert in_sight(area.board.cards[1].cut)
    said = [label.text() for card in area.board.cards for label in (card.cut, card._status, card._place)]
    assert session.base.name not in " ".join(said)


def test_the_composer_leaves_the_room_to_the_answers_and_comes_back_with_a_key(qtbot, window, store, session):
    area = in_chat(window, store, session, 4)
    room = window.room("chat")
    assert not room.composer.isVisible()
    assert room.area.board.hasFocus()
    qtbot.keyClick(area.board, KEY.Key_1)  # said of the answers; it is kept
    qtbot.keyClick(area.board, KEY.Key_Escape)
    assert room.composer.edit.hasFocus()
    qtbot.keyClick(room.composer.edit, KEY.Key_Escape)
    assert (room.composer.isVisible(), area.board.hasFocus()) == (False, True)
    qtbot.mouseClick(area.panel.message, Qt.MouseButton.LeftButton)
    qtbot.keyClicks(room.composer.edit, "Another question")
    qtbot.keyClick(room.composer.edit, KEY.Key_Escape)
    assert room.composer.isVisible()  # what is typed stays in sight
    with qtbot.waitSignal(room.presenter.writingEnded):
        qtbot.keyClick(room.composer.edit, KEY.Key_Return)
    assert room.presenter.judging.showing is None
    kept = [store.drafts.get(session.project.id, room.presenter._who(), f"chat:{area_key}") for area_key in parents(store, room)]
    assert any(draft and draft["draft"]["ranking"]["placed"] == [[0, False]] for draft in kept)
    assert room.composer.isVisible()


def parents(store, room):
    return {node.parent_id for node in store.conversations.tree(room.presenter.conversation_id).nodes if node.parent_id}


def test_the_composer_is_there_again_after_saving(qtbot, window, store, session):
    area = in_chat(window, store, session, 2)
    qtbot.keyClick(area.board, KEY.Key_2)
    assert len(store.judgements.effective(session.project.id)) == 1
    assert window.room("chat").composer.edit.hasFocus()
    assert window.room("chat").composer.isVisible()


def test_one_answer_by_itself_leaves_the_composer(qtbot, window, store, session):
    area = in_chat(window, store, session, 1)
    assert window.room("chat").composer.isVisible()
    assert not area.panel.folded
    assert not area.panel.message.isVisible()


def test_the_bar_unfolds_by_key_and_by_click_and_stays_so_in_every_room(qtbot, window, store, session):
    area = in_chat(window, store, session, 4)
    assert not area.panel.skip.isVisible()
    qtbot.keyClick(area.board, KEY.Key_D)
    assert in_sight(area.panel.skip, area.panel.flag, area.panel.why, area.panel._hint, *area.board.cards)
    assert not in_label(window, store, session, 4).panel.folded
    qtbot.mouseClick(window.room("label").area.panel.fold, Qt.MouseButton.LeftButton)
    assert in_chat(window, store, session, 4).panel.folded


def test_the_reason_has_its_field_in_the_one_line_when_it_is_wanted(qtbot, window, store, session):
    area = in_chat(window, store, session, 4)
    assert not area.panel.why.isVisible()
    qtbot.keyClick(area.board, KEY.Key_Y)
    qtbot.keyClicks(area.panel.why, "kinder")
    qtbot.keyClick(area.panel.why, KEY.Key_Escape)
    assert area.board.hasFocus()
    assert area.panel.why.isVisible()  # what it says stays in sight
    assert not window.room("chat").composer.isVisible()
    qtbot.keyClick(area.board, KEY.Key_Y)
    area.panel.why.clear()
    qtbot.keyClick(area.panel.why, KEY.Key_Return)
    assert not area.panel.why.isVisible()


def test_one_reads_on_in_the_current_answer_by_keys(qtbot, window, store, session):
    area = in_chat(window, store, session, 4)
    qtbot.waitUntil(lambda: not area.board.cards[2].inset.whole)
    for key in (KEY.Key_Right, KEY.Key_Right, KEY.Key_PageDown, KEY.Key_Down):
        qtbot.keyClick(area.board, key)
    at = [card.inset.verticalScrollBar().value() for card in area.board.cards]
    assert [place for place, value in enumerate(at) if value] == [2]
    qtbot.keyClick(area.board, KEY.Key_PageUp)
    qtbot.keyClick(area.board, KEY.Key_Up)
    assert area.board.cards[2].inset.verticalScrollBar().value() == 0


def test_correcting_and_rating_find_their_place_within_a_low_card(qtbot, window, store, session):
    store.protocols.set(session.project.id, PRESETS["Medicine"])
    area = in_label(window, store, session, 4)
    qtbot.waitUntil(lambda: in_sight(*area.board.cards))
    qtbot.keyClick(area.board, KEY.Key_E)
    card = area.board.cards[0]
    qtbot.waitUntil(lambda: in_sight(card._writing.edit, card._writing.keep, *area.board.cards))
    qtbot.keyClick(card._writing.edit, KEY.Key_Escape)
    qtbot.keyClick(area.board, KEY.Key_R)
    rows = list(card._rows.values())
    for row in rows:
        row.setFocus()
        qtbot.waitUntil(lambda row=row: seen(row).height() >= row.fontMetrics().lineSpacing() * 2)


def test_a_kept_correction_is_scrolled_to_below_a_long_answer(qtbot, window, store, session):
    area = in_chat(window, store, session, 4)
    card = area.board.cards[0]
    qtbot.waitUntil(lambda: not card.inset.whole)
    qtbot.keyClick(area.board, KEY.Key_E)
    qtbot.keyClicks(card._writing.edit, "Take one pill. ")
    qtbot.keyClick(card._writing.edit, KEY.Key_Return, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: seen(card._correction).height() >= card.fontMetrics().lineSpacing() * 2)
    assert card.inset.verticalScrollBar().value() > 0


def test_the_caret_stays_in_sight_while_one_marks_a_long_answer(qtbot, window, store, session):
    store.protocols.set(session.project.id, PRESETS["Medicine"])
    area = in_label(window, store, session, 4)
    qtbot.keyClick(area.board, KEY.Key_M)
    text = area.board.cards[0]._marks.text
    for _ in range(12):
        qtbot.keyClick(text, KEY.Key_End)
        for _ in range(2):
            qtbot.keyClick(text, KEY.Key_Right)
    caret = text.cursorRect()
    caret.moveTopLeft(text.mapTo(window, caret.topLeft()))
    assert seen(text).contains(caret.center())


@pytest.mark.parametrize(
    ("wanted", "least", "room", "given"),
    [
        ([100, 50], [20, 20], 400, [100, 50]),
        ([300, 300], [20, 20], 400, [200, 200]),
        ([300, 80], [20, 20], 200, [120, 80]),
        ([300, 300], [150, 20], 200, [150, 50]),
        ([300, 300], [150, 150], 200, [150, 150]),
        ([], [], 200, []),
    ],
)
def test_rows_share_what_there_is(wanted, least, room, given):
    assert shared(wanted, least, room) == given
