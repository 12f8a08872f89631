import json

import pytest
from PySide6.QtCore import Qt

from rlhf_desktop.ui.label.room import LabelRoom


@pytest.fixture
def room(qtbot, context):
    made = LabelRoom(context)
    qtbot.addWidget(made.widget())
    made.widget().show()
    return made


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


def test_judging_goes_from_prompt_to_prompt_by_keys(qtbot, context, room):
    add_prompts(context, 2)
    room.activated()
    qtbot.waitUntil(lambda: room.widget().currentWidget() is room.ready)
    room.ready.button.click()
    for number in range(2):
        qtbot.waitUntil(lambda: room.presenter.judging)
        assert f"question {number}" in room.prompt.text()
        for key in (Qt.Key.Key_2, Qt.Key.Key_1, Qt.Key.Key_3, Qt.Key.Key_Return):
            qtbot.keyClick(room.widget(), key)
    qtbot.waitUntil(lambda: room.widget().currentWidget() is room.done)
    ranks = [item.judgement.verdict.ranks for item in context.store.judged(context.session.project.id)]
    assert ranks == [(2, 1, 3, 4), (2, 1, 3, 4)]


def test_a_skipped_prompt_comes_last(qtbot, context, room):
    add_prompts(context, 2)
    room.activated()
    qtbot.waitUntil(lambda: room.widget().currentWidget() is room.ready)
    room.begin()
    qtbot.waitUntil(lambda: room.presenter.judging)
    room.skip.click()
    qtbot.waitUntil(lambda: room.presenter.judging)
    assert "question 1" in room.prompt.text()
