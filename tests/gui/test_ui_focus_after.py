"""Where the focus is after what people do most, in the whole window, when it succeeds."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog
from whole_window import make_whole, no_other_window

from rlhf_desktop.core.measures import ModelCheck, RowSize
from rlhf_desktop.operations import preflight

Key = Qt.Key


def sound(_base, rows):
    """A model that is well, without a worker that looks at it."""
    sizes = [RowSize(prompt=20, answers=[10] * len(row.answers)) for row in rows]
    return ModelCheck(has_template=True, end_token="<|im_end|>", end_is_trained=True, sizes=sizes)


@pytest.fixture
def whole(qtbot, context, monkeypatch, tmp_path):
    monkeypatch.setattr(preflight, "check_model", sound)
    with no_other_window(monkeypatch):
        made = make_whole(context, monkeypatch, only_look=True)
        qtbot.addWidget(made.window)
        made.open(qtbot)
        yield made
        made.put_away()


def press(button):
    """As somebody who went there with Tab."""
    button.setFocus(Qt.FocusReason.TabFocusReason)
    QTest.keyClick(button, Key.Key_Space)


def ask(whole, qtbot, text, answers=1):
    room = whole.window.room("chat")
    room.composer.answers.set_value(answers)
    QTest.keyClicks(room.composer.edit, text)
    QTest.keyClick(room.composer.edit, Key.Key_Return)
    return room


def test_after_a_run_was_started(whole, qtbot, monkeypatch):
    queued, run = [], whole.morning.runs["Quick try"]
    monkeypatch.setattr("rlhf_desktop.ui.train.room.start_checked", lambda *_a, **_k: queued.append(run) or run)
    whole.window.show_room("train")
    room = whole.window.room("train")
    whole.settle()
    room.overview.open_panel("sft")
    whole.settle()
    room.overview.panel.button.setEnabled(True)  # whatever stands in the way of this model
    press(room.overview.panel.button)
    qtbot.waitUntil(lambda: room.overview.panel is None)
    whole.settle()
    assert queued == [run]
    assert QApplication.focusWidget() is room.focus_place()


def test_after_a_run_was_named_enter_starts_nothing(whole, monkeypatch):
    queued = []
    monkeypatch.setattr("rlhf_desktop.ui.train.room.start_checked", lambda *_a, **_k: queued.append(1))
    whole.window.show_room("train")
    room = whole.window.room("train")
    whole.settle()
    room.overview.open_panel("sft")
    whole.settle()
    room.overview.panel.button.setEnabled(True)
    for _ in range(2):
        QTest.keyClick(room.overview.panel._name, Key.Key_Return)
    whole.settle()
    assert queued == []
    assert room.overview.panel is not None


def test_after_stop_the_focus_is_in_the_composer(whole, qtbot):
    room = ask(whole, qtbot, "forever")
    qtbot.waitUntil(lambda: room.presenter.writing)
    with qtbot.waitSignal(room.presenter.writingEnded):
        press(room.composer.go)
    whole.settle()
    assert QApplication.focusWidget() is room.composer.edit


def test_after_answers_came_the_focus_is_on_the_board_and_then_in_the_composer(whole, qtbot):
    room = ask(whole, qtbot, "hello", answers=2)
    qtbot.waitUntil(lambda: room.presenter.judging.showing is not None)
    assert QApplication.focusWidget() is room.area.board
    QTest.keyClick(room.area.board, Key.Key_1)
    whole.settle()
    assert QApplication.focusWidget() is room.composer.edit
    QTest.keyClick(room.composer.edit, Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    whole.settle()
    assert QApplication.focusWidget() is room.area.board


def test_after_compare_the_focus_is_on_the_pair(whole, qtbot):
    whole.window.show_room("evaluate")
    room = whole.window.room("evaluate")
    qtbot.waitUntil(room.home.begin.isEnabled)
    press(room.home.begin)
    qtbot.waitUntil(lambda: room.pair is not None and room.judging.isVisible())
    whole.settle()
    assert QApplication.focusWidget() is room.judging


def test_after_an_export_nothing_that_starts_has_the_focus(whole, qtbot, monkeypatch, tmp_path):
    file, exported = tmp_path / "out.jsonl", []
    monkeypatch.setattr("rlhf_desktop.ui.feedback.exporting.export_feedback", lambda *_a, **_k: exported.append(file) or 3)
    monkeypatch.setattr(QFileDialog, "open", lambda dialog: (dialog.fileSelected.emit(str(file)), dialog.accept()))
    whole.window.show_room("feedback")
    room = whole.window.room("feedback")
    room.tabs.setCurrentIndex(3)
    whole.settle()
    choose = next(b for b in room.files.findChildren(type(room.files.imports.choose)) if b.text().startswith("Save as"))
    press(choose)
    qtbot.waitUntil(lambda: bool(exported))
    whole.settle()
    assert QApplication.focusWidget() in (choose, room.focus_place())
