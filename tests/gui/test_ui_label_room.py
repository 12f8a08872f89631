import json
import threading

import pytest
from PySide6.QtCore import Qt

from rlhf_desktop.core.errors import StoreTrouble
from rlhf_desktop.feedback.protocol import PRESETS
from rlhf_desktop.feedback.rows import UnjudgedRow
from rlhf_desktop.operations import labelling
from rlhf_desktop.operations.outlook import outlook
from rlhf_desktop.operations.quality import quality
from rlhf_desktop.store.importing import import_rows
from rlhf_desktop.ui.judging.undoing import Undoing
from rlhf_desktop.ui.label import presenter
from rlhf_desktop.ui.label.room import LabelRoom
from rlhf_desktop.ui.people import who_am_i
from rlhf_desktop.ui.widgets.text import Label


def open_room(qtbot, context):
    made = LabelRoom(context)
    qtbot.addWidget(made.widget(), before_close_func=lambda _widget: made.presenter.leave())
    made.widget().show()
    return made


@pytest.fixture
def room(qtbot, context):
    return open_room(qtbot, context)


def add_prompts(context, n):
    prompts = [[{"role": "user", "content": f"question {i}"}] for i in range(n)]
    context.store.prompts.create_set(context.session.project.id, "tickets", prompts)


def test_an_empty_room_takes_a_file_of_prompts(qtbot, context, room, tmp_path):
    room.activated()
    qtbot.waitUntil(lambda: room.widget().currentWidget() is room.none)
    file = tmp_path / "tickets.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"q {i}"}) + "\n" for i in range(3)))
    room.add_prompts(file)
    qtbot.waitUntil(lambda: room.widget().currentWidget() is room.ready)
    assert len(context.store.prompts.prompts(context.session.project.id, "tickets")) == 3


def test_a_queue_that_takes_long_to_find_is_said_to_be_looked_for(qtbot, context, room, monkeypatch):
    add_prompts(context, 2)
    go_on = threading.Event()

    def slowly(*arguments):
        assert go_on.wait(60)
        return labelling.label_queue(*arguments)

    monkeypatch.setattr(presenter, "label_queue", slowly)
    room.activated()
    assert room.widget().currentWidget() is room.looking
    assert not room.looking.meter.isVisible()  # not for a blink
    qtbot.waitUntil(room.looking.meter.isVisible)
    go_on.set()
    qtbot.waitUntil(lambda: room.widget().currentWidget() is room.ready)


def test_a_queue_that_cannot_be_read_leaves_a_way_to_add_prompts(qtbot, context, room, monkeypatch):
    def broken(*_arguments):
        raise StoreTrouble("The disk failed.", "Check it.")

    monkeypatch.setattr(presenter, "label_queue", broken)
    with qtbot.waitSignal(context.session.troubled):
        room.activated()
    assert room.widget().currentWidget() is room.none


def test_judging_goes_from_prompt_to_prompt_by_keys(qtbot, context, room):
    add_prompts(context, 2)
    room.activated()
    qtbot.waitUntil(lambda: room.widget().currentWidget() is room.ready)
    room.ready.button.click()
    for number in range(2):
        qtbot.waitUntil(lambda: room.presenter.judging.showing is not None)
        assert f"question {number}" in room.page.prompt.text()
        for key in (Qt.Key.Key_2, Qt.Key.Key_1, Qt.Key.Key_3, Qt.Key.Key_Return):
            qtbot.keyClick(room.widget(), key)
    qtbot.waitUntil(lambda: room.widget().currentWidget() is room.summary)
    ranks = [item.judgement.verdict.ranks for item in context.store.judged(context.session.project.id)]
    assert ranks == [(2, 1, 3, 4), (2, 1, 3, 4)]


def test_a_long_queue_is_read_in_parts_and_judged_to_its_end(qtbot, context, room, monkeypatch):
    monkeypatch.setattr(labelling, "AT_ONCE", 2)
    begin(qtbot, context, room, 5)
    assert room.presenter._queue.left == 5
    for number in range(5):
        qtbot.waitUntil(lambda number=number: f"question {number}" in room.page.prompt.text())
        qtbot.waitUntil(lambda: room.presenter.judging.showing is not None)
        press(qtbot, room, *RANK)
    qtbot.waitUntil(lambda: room.widget().currentWidget() is room.summary)
    assert len(context.store.judgements.effective(context.session.project.id)) == 5


def begin(qtbot, context, room, n=2):
    add_prompts(context, n)
    room.activated()
    qtbot.waitUntil(lambda: room.widget().currentWidget() is room.ready)
    room.ready.button.click()
    qtbot.waitUntil(lambda: room.presenter.judging.showing is not None)


def press(qtbot, room, *keys):
    for key in keys:
        qtbot.keyClick(room.area.board, key)


RANK = (Qt.Key.Key_1, Qt.Key.Key_2, Qt.Key.Key_3, Qt.Key.Key_Return)


def test_the_next_item_is_there_without_a_turn_of_the_event_loop(qtbot, context, room):
    begin(qtbot, context, room, 3)
    qtbot.waitUntil(lambda: room.presenter.lookahead.ready == 2)
    press(qtbot, room, *RANK)
    assert room.presenter.judging.showing is not None
    assert room.page.prompt.text() == "question 1"
    assert "answer" in room.area.board.cards[0].text.text()


def test_answers_that_came_with_imported_questions_are_judged_and_none_are_written(qtbot, context, room):
    project = context.session.project.id
    context.store.protocols.set(project, PRESETS["Quick pairs"])
    rows = [UnjudgedRow([{"role": "user", "content": f"Q{n}"}], (f"old {n}", f"new {n}")) for n in range(2)]
    import_rows(context.store, project, rows, title="chats")
    context.session.set_model(None)  # nobody could write any
    room.activated()
    qtbot.waitUntil(lambda: room.widget().currentWidget() is room.ready)
    room.ready.button.click()
    qtbot.waitUntil(lambda: room.presenter.judging.showing is not None)
    for n in range(2):
        assert room.page.prompt.text() == f"Q{n}"
        assert set(room.presenter.judging.showing.texts) == {f"old {n}", f"new {n}"}
        press(qtbot, room, Qt.Key.Key_1)
    qtbot.waitUntil(lambda: room.widget().currentWidget() is room.summary)
    assert len(context.store.judgements.effective(project)) == 2


def test_one_key_judges_a_pair(qtbot, context, room):
    context.store.protocols.set(context.session.project.id, PRESETS["Quick pairs"])
    begin(qtbot, context, room, 2)
    qtbot.waitUntil(lambda: room.presenter.lookahead.ready == 1)
    press(qtbot, room, Qt.Key.Key_2)
    assert room.page.prompt.text() == "question 1"
    (judgement,) = context.store.judgements.effective(context.session.project.id)
    assert judgement.verdict.ranks == (2, 1)


def test_a_skipped_item_is_recorded_and_the_next_comes(qtbot, context, room):
    begin(qtbot, context, room)
    qtbot.waitUntil(lambda: room.presenter.lookahead.ready == 1)
    press(qtbot, room, Qt.Key.Key_S)
    assert room.page.prompt.text() == "question 1"
    (judgement,) = context.store.judgements.effective(context.session.project.id)
    assert judgement.kind == "skip"


def test_undo_brings_the_item_back_before_the_one_it_interrupts(qtbot, context, room):
    begin(qtbot, context, room, 3)
    qtbot.waitUntil(lambda: room.presenter.lookahead.ready == 2)
    undos = []
    context.session.announced.connect(lambda _words, undo: undos.append(undo))
    press(qtbot, room, *RANK)
    undos[-1]()
    assert room.page.prompt.text() == "question 0"
    assert context.store.judgements.effective(context.session.project.id) == []
    assert room.presenter.judging.draft.ranking.complete  # as it had been said
    press(qtbot, room, Qt.Key.Key_Return)
    assert room.page.prompt.text() == "question 1"
    assert len(context.store.judgements.effective(context.session.project.id)) == 1


def test_redo_goes_on_where_undo_came_from(qtbot, context, room):
    begin(qtbot, context, room, 3)
    qtbot.waitUntil(lambda: room.presenter.lookahead.ready == 2)
    press(qtbot, room, *RANK)
    undoing = Undoing(context.store, context.session, lambda: who_am_i(context.store))
    undoing.undo()
    assert room.page.prompt.text() == "question 0"
    undoing.redo()
    assert room.page.prompt.text() == "question 1"
    assert len(context.store.judgements.effective(context.session.project.id)) == 1


def test_a_draft_survives_the_window(qtbot, context, room):
    begin(qtbot, context, room)
    press(qtbot, room, Qt.Key.Key_3)
    displayed = room.presenter.judging.showing.displayed
    room.presenter.lookahead.pause()
    again = open_room(qtbot, context)  # as after kill -9: nothing was told to end
    again.activated()
    qtbot.waitUntil(lambda: again.widget().currentWidget() is again.ready)
    again.ready.button.click()
    assert again.presenter.judging.showing.displayed == displayed
    assert again.presenter.judging.draft.ranking.buckets == ((2,),)


def test_ending_shows_what_the_sitting_came_to(qtbot, context, room):
    begin(qtbot, context, room, 3)
    press(qtbot, room, *RANK)
    room.page.finish.click()
    assert room.widget().currentWidget() is room.summary
    said = [label.text() for label in room.summary.findChildren(Label)]
    assert "1 item" in said
    found = outlook(context.store, context.queue, context.session.project, context.session.base)
    qtbot.waitUntil(lambda: room.summary.next.text() == f"{found.step.sentence}.")
    assert [room.summary.train.property("kind"), room.summary.again.property("kind")] == ["normal", "primary"]
    room.summary.again.click()
    qtbot.waitUntil(lambda: room.widget().currentWidget() is room.ready)


def test_prompts_are_written_in_place(qtbot, context, room):
    room.activated()
    qtbot.waitUntil(lambda: room.widget().currentWidget() is room.none)
    room.none.button.click()
    qtbot.keyClicks(room.writing.edit, "first")
    qtbot.keyClick(room.writing.edit, Qt.Key.Key_Return)
    qtbot.keyClick(room.writing.edit, Qt.Key.Key_Return)
    qtbot.keyClicks(room.writing.edit, "second")
    qtbot.keyClick(room.writing.edit, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: room.widget().currentWidget() is room.ready)
    kept = [prompt.prompt[-1]["content"] for prompt in context.store.prompts.prompts(context.session.project.id, "My prompts")]
    assert kept == ["first", "second"]


def test_guidelines_are_versioned_and_named_in_judgements(qtbot, context, room):
    begin(qtbot, context, room)
    room.page.guidelines.start_writing()
    room.page.guidelines._writing.edit.setPlainText("Be **kind**.")
    room.page.guidelines._writing.keep.click()
    press(qtbot, room, *RANK)
    (judgement,) = context.store.judgements.effective(context.session.project.id)
    assert judgement.guideline_version == 1
    assert room.page.guidelines.text.text() == "Be **kind**."


def test_keys_are_dead_while_guidelines_are_written(qtbot, context, room):
    begin(qtbot, context, room)
    room.page.guidelines.start_writing()
    qtbot.keyClicks(room.page.guidelines._writing.edit, "123")
    assert room.presenter.judging.draft.empty
    room.deactivated()


def test_a_changed_protocol_holds_from_the_next_item(qtbot, context, room):
    begin(qtbot, context, room)
    room.page.protocol.click()
    room.protocol._use_preset("Quick pairs")
    room.protocol.save.click()
    qtbot.waitUntil(lambda: room.presenter.judging.showing is not None and len(room.presenter.judging.showing.displayed) == 2)
    assert room.widget().currentWidget() is room.page


def test_a_changed_protocol_counts_nothing_twice(qtbot, context, room):
    begin(qtbot, context, room, 4)
    qtbot.waitUntil(lambda: room.presenter.lookahead.ready > 0)
    press(qtbot, room, *RANK)
    assert room.page.progress.value() == 1
    room.page.protocol.click()
    room.protocol._use_preset("Quick pairs")
    room.protocol.save.click()
    qtbot.waitUntil(lambda: room.presenter.judging.showing is not None and len(room.presenter.judging.showing.displayed) == 2)
    assert room.page.progress.value() == 1
    press(qtbot, room, Qt.Key.Key_1)
    assert room.page.progress.value() == 2


def test_a_row_that_takes_the_keys_is_scrolled_to(qtbot, context, room):
    context.store.protocols.set(context.session.project.id, PRESETS["Medicine"])
    room.widget().resize(1000, 560)
    begin(qtbot, context, room)
    qtbot.waitExposed(room.widget())
    press(qtbot, room, Qt.Key.Key_R)
    row = room.widget().focusWidget()
    assert row is room.area.board.cards[0].first_row()
    qtbot.waitUntil(lambda: not row.visibleRegion().isEmpty() and row.visibleRegion().boundingRect().height() == row.height())


def test_an_item_returns_silently_in_another_order(qtbot, context, room):
    many = PRESETS["Quick pairs"].model_copy(update={"repeat_share": 0.5})
    context.store.protocols.set(context.session.project.id, many)
    begin(qtbot, context, room, 30)
    repeats = []
    room.presenter.judging.saved.connect(lambda saved: repeats.append(saved) if saved.judgement.purpose == "repeat" else None)
    for _ in range(20):
        qtbot.waitUntil(lambda: room.presenter.judging.showing is not None)
        press(qtbot, room, Qt.Key.Key_1)
        qtbot.waitUntil(lambda: not context.tasks._running)
        if repeats:
            break
    (again,) = repeats
    first = next(
        j
        for j in context.store.judgements.effective(context.session.project.id)
        if set(j.displayed) == set(again.judgement.displayed) and j.purpose == "label"
    )
    assert again.judgement.displayed == first.displayed[::-1]
    assert quality(context.store, context.session.project).self_agreement.n == 1


def test_ranking_four_takes_three_keys_and_enter(qtbot, context, room):
    begin(qtbot, context, room, 2)
    qtbot.waitUntil(lambda: room.presenter.lookahead.ready > 0)
    press(qtbot, room, Qt.Key.Key_3, Qt.Key.Key_1, Qt.Key.Key_2)
    assert context.store.judgements.effective(context.session.project.id) == []
    press(qtbot, room, Qt.Key.Key_Return)
    (judgement,) = context.store.judgements.effective(context.session.project.id)
    assert judgement.verdict.ranks == (2, 3, 1, 4)
    assert room.page.prompt.text() == "question 1"


def test_keys_pressed_before_the_next_item_is_there_do_nothing(qtbot, context, room):
    add_prompts(context, 1)
    context.store.prompts.create_set(context.session.project.id, "later", [[{"role": "user", "content": "forever"}]])
    room.activated()
    qtbot.waitUntil(lambda: room.widget().currentWidget() is room.ready)
    room.ready.button.click()
    qtbot.waitUntil(lambda: room.presenter.judging.showing is not None)
    press(qtbot, room, *RANK)
    assert room.presenter.judging.showing is None
    assert room.widget().focusWidget() is room.widget()


def test_cards_stay_equal_while_one_is_corrected(qtbot, context, room):
    room.widget().resize(900, 700)
    begin(qtbot, context, room)
    room.area.board.cards[0].start_writing()
    qtbot.waitExposed(room.widget())
    room.widget().grab()
    widths = {card.width() for card in room.area.board.cards}
    assert max(widths) - min(widths) <= 1


def test_a_look_at_what_waits_leaves_the_summary_of_what_was_just_judged(qtbot, context, room):
    """It said “0 items” and the time since the computer was started."""
    begin(qtbot, context, room, 1)
    press(qtbot, room, *RANK)
    qtbot.waitUntil(lambda: room.widget().currentWidget() is room.summary)
    with qtbot.waitSignal(room.presenter.counted):
        room.presenter.refresh()
    assert room.widget().currentWidget() is room.summary
    said = [label.text() for label in room.summary.findChildren(Label) if label.isVisible()]
    assert "Every prompt is judged" in said
    assert "1 item" in said

    again = open_room(qtbot, context)  # the next day: there is nothing to count
    again.activated()
    qtbot.waitUntil(lambda: again.widget().currentWidget() is again.summary)
    said = [label.text() for label in again.summary.findChildren(Label) if label.isVisible()]
    assert "Every prompt is judged" in said
    assert not {"Judged", "Time", "0 items"} & set(said)


def test_a_colleague_judges_some_of_the_same_items_blind_and_the_team_sees_how_far_they_agree(qtbot, context, room):
    project = context.session.project
    context.store.protocols.set(project.id, PRESETS["Quick pairs"].model_copy(update={"overlap_share": 1.0}))
    begin(qtbot, context, room, 2)
    for number in range(2):
        qtbot.waitUntil(lambda: room.presenter.judging.showing is not None)
        assert room.page.prompt.text() == f"question {number}"
        press(qtbot, room, Qt.Key.Key_1)
    qtbot.waitUntil(lambda: room.widget().currentWidget() is room.summary)
    assert quality(context.store, project).overlap.value == 0
    context.store.settings.set("who", "Bo")
    room._again()
    qtbot.waitUntil(lambda: room.widget().currentWidget() is room.ready)
    room.ready.button.click()
    for number in range(2):
        qtbot.waitUntil(lambda: room.presenter.judging.showing is not None)
        assert room.page.prompt.text() == f"question {number}"
        assert room.presenter.judging.draft.empty
        press(qtbot, room, Qt.Key.Key_1)
    qtbot.waitUntil(lambda: room.widget().currentWidget() is room.summary)
    found = quality(context.store, project)
    assert (found.overlap.value, found.counts["Bo"], len(found.agreement)) == (1.0, 2, 1)
