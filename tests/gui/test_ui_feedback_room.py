import json

import pytest
from PySide6.QtCore import Qt

from rlhf_desktop.feedback.judgements import Judgement, Ranking
from rlhf_desktop.ui.feedback.room import FeedbackRoom


@pytest.fixture
def room(qtbot, context):
    made = FeedbackRoom(context)
    qtbot.addWidget(made.widget())
    made.widget().resize(1200, 700)
    made.widget().show()
    return made


def judge(context, n):
    store, project = context.store, context.session.project
    with store.connection.transaction():
        for i in range(n):
            _, leaf = store.conversations.start(project.id, [{"role": "user", "content": f"question {i}"}])
            nodes = store.conversations.add_answers(leaf.id, ["good", "bad"])
            store.judgements.add(
                Judgement(project.id, "me", tuple(node.id for node in nodes), Ranking.of((1, 2)), critique="Kind.")
            )


def shown(qtbot, room, row):
    qtbot.waitUntil(lambda: room.model is not None and room.model.row(row) is not None)
    return [room.model.data(room.model.index(row, column), Qt.ItemDataRole.DisplayRole) for column in range(4)]


def test_an_empty_room_leads_to_chat(qtbot, context, room):
    room.activated()
    qtbot.waitUntil(lambda: room.model is not None)
    assert room.empty.isVisible()
    with qtbot.waitSignal(context.session.roomRequested) as asked:
        room.empty.button.click()
    assert asked.args == ["chat"]


def test_rows_come_newest_first_and_page_by_page(qtbot, context, room):
    judge(context, 350)
    room.activated()
    assert shown(qtbot, room, 0)[1:] == ["question 349", "A > B", "me"]
    assert room.model.rowCount() == 350
    assert shown(qtbot, room, 349)[1] == "question 0"


def test_the_detail_shows_the_answers_as_displayed(qtbot, context, room):
    judge(context, 3)
    room.activated()
    qtbot.waitUntil(lambda: room.detail._item is not None)
    assert room.detail._item.answers == ("good", "bad")
    assert room.detail._item.prompt[-1]["content"] == "question 2"


def test_withdraw_and_undo_and_restore(qtbot, context, room):
    judge(context, 1)
    store, project = context.store, context.session.project
    room.activated()
    qtbot.waitUntil(lambda: room.detail._item is not None)
    with qtbot.waitSignal(context.session.announced) as toast:
        room.detail.withdraw.click()
    assert store.judgements.effective(project.id) == []
    qtbot.waitUntil(lambda: shown(qtbot, room, 0)[2] == "A > B (taken back)")
    with qtbot.waitSignal(context.session.announced):
        toast.args[1]()
    assert len(store.judgements.effective(project.id)) == 1
    with qtbot.waitSignal(context.session.announced):
        room.detail.withdraw.click()
    with qtbot.waitSignal(context.session.announced):
        room.restore(room.detail._item.row.judgement.id)
    assert len(store.judgements.effective(project.id)) == 1


def test_import_says_what_was_left_out_and_export_writes_it_back(qtbot, context, room, tmp_path):
    good = {"prompt": [{"role": "user", "content": "q"}], "completions": [{"text": "a", "rank": 1}, {"text": "b", "rank": 2}]}
    file = tmp_path / "in.jsonl"
    file.write_text(json.dumps(good) + "\nnot json\n")
    room.activated()
    with qtbot.waitSignal(context.session.feedbackChanged):
        room.import_file(file)
    assert "Imported 1 ranking" in room.notice.words.text()
    assert "1 line could not be used" in room.notice.words.text()
    room.export_file(tmp_path / "out.jsonl")
    qtbot.waitUntil(lambda: "Wrote 1 ranking" in room.notice.words.text())
    assert json.loads((tmp_path / "out.jsonl").read_text())["completions"] == good["completions"]


def test_a_file_of_nonsense_is_one_clear_sentence(qtbot, context, room, tmp_path):
    file = tmp_path / "bad.jsonl"
    file.write_text("")
    room.import_file(file)
    qtbot.waitUntil(lambda: "Reading" not in room.notice.words.text())
    assert room.notice.words.text()
    assert context.store.judgements.size(context.session.project.id) == 0
