"""The window as a user meets it: names for screen readers, keys, toasts, the palette."""

import shutil
from dataclasses import replace

import pytest
from PySide6.QtCore import QEvent, QPoint, QProcess, QRect, Qt
from PySide6.QtGui import QHelpEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QScrollBar,
    QSystemTrayIcon,
    QTextBrowser,
    QWidget,
)
from run_script import ScriptedRun

from rlhf_desktop.core import runs
from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.offline import NetworkRule
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.hub.servers import NamedServer
from rlhf_desktop.hub.tokens import TokenKeeper
from rlhf_desktop.jobs.queue import RunSummary
from rlhf_desktop.operations.servers import keep_server
from rlhf_desktop.ui.frame.desk import Desk
from rlhf_desktop.ui.frame.standing import Seen, run_words
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.theme import tokens as t

CONTROLS = (QAbstractButton, QAbstractItemView, QComboBox, QLineEdit, QPlainTextEdit, QTextBrowser)


@pytest.fixture
def window(qtbot, context):
    made = Window(context)
    made.desk = Desk(context, made)
    qtbot.addWidget(made)
    made.show()
    made.show_room("chat")
    yield made
    context.chat.stateChanged.disconnect()  # the worker ends after the window is gone
    context.tasks.wait()


@pytest.fixture
def room(window):
    return window.room("chat")


def type_and_send(qtbot, room, text, answers):
    room.composer.answers.set_value(answers)
    qtbot.keyClicks(room.composer.edit, text)
    with qtbot.waitSignal(room.presenter.writingEnded):
        qtbot.keyClick(room.composer.edit, Qt.Key.Key_Return)


def nameless(root: QWidget) -> list[str]:
    found = root.findChildren(QWidget)
    return [
        f"{type(widget).__name__} in {type(widget.parent()).__name__}"
        for widget in found
        if isinstance(widget, CONTROLS) and not isinstance(widget, QScrollBar) and not widget.accessibleName()
    ]


def test_every_control_has_a_name(qtbot, window, room):
    type_and_send(qtbot, room, "hello", 4)
    window.show_welcome()
    window.palette_view.open()
    assert nameless(window) == []


def test_four_answers_are_ranked_by_keys_alone(qtbot, window, room, store, session):
    type_and_send(qtbot, room, "hello", 4)
    board = room.area.board
    assert len(board.cards) == 4
    for key in (Qt.Key.Key_3, Qt.Key.Key_1, Qt.Key.Key_Equal, Qt.Key.Key_4, Qt.Key.Key_Return):
        qtbot.keyClick(board, key)
    (judgement,) = store.judgements.effective(session.project.id)
    assert judgement.verdict.ranks == (2, 3, 1, 2)
    assert window.toast.words.text() == "Saved: 5 comparisons, 1 tie"
    assert not room.area.board.isVisible()


def test_judgement_keys_are_dead_in_a_text_field(qtbot, room, store, session):
    type_and_send(qtbot, room, "hello", 2)
    why = room.area.panel.why
    why.setFocus()
    qtbot.keyClicks(why, "1")
    qtbot.keyClick(why, Qt.Key.Key_Return)
    assert why.text() == "1"
    assert store.judgements.effective(session.project.id) == []


def test_undo_key_takes_a_judgement_back(qtbot, window, room, store, session):
    type_and_send(qtbot, room, "hello", 2)
    qtbot.keyClick(room.area.board, Qt.Key.Key_1)
    assert len(store.judgements.effective(session.project.id)) == 1
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    qtbot.keyClick(room.composer.edit, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert store.judgements.effective(session.project.id) == []
    assert room.area.board.isVisible()


def test_undo_and_redo_reach_back_when_no_toast_offers_it(qtbot, window, room, store, session):
    type_and_send(qtbot, room, "hello", 2)
    qtbot.keyClick(room.area.board, Qt.Key.Key_1)
    window.toast.dismiss()  # its five seconds are over
    session.undoRequested.emit()
    assert store.judgements.effective(session.project.id) == []
    assert room.area.board.isVisible()
    assert window.toast.words.text() == "Taken back: A > B."
    session.redoRequested.emit()
    assert len(store.judgements.effective(session.project.id)) == 1
    assert not room.area.board.isVisible()
    window.toast.dismiss()
    session.redoRequested.emit()
    assert window.toast.words.text() == "Nothing to redo."


def test_dropping_an_answer_ranks_it(qtbot, room):
    type_and_send(qtbot, room, "hello", 4)
    room.area.panel.dropped.emit(2, 0, False)
    assert room.presenter.judging.draft.ranking.buckets == ((2,),)


def test_shift_enter_makes_a_line_and_enter_sends(qtbot, room):
    edit = room.composer.edit
    qtbot.keyClicks(edit, "one")
    qtbot.keyClick(edit, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClicks(edit, "two")
    assert edit.toPlainText() == "one\ntwo"
    with qtbot.waitSignal(room.presenter.writingEnded):
        qtbot.keyClick(edit, Qt.Key.Key_Return)
    assert edit.toPlainText() == ""


def test_the_palette_finds_rooms_and_conversations(qtbot, window, room):
    type_and_send(qtbot, room, "a broken blender", 1)
    palette = window.palette_view
    palette.open()
    qtbot.keyClicks(palette.field, "blender")
    found = lambda: [palette.found.item(i).text().split("    ")[0] for i in range(palette.found.count())]  # noqa: E731
    qtbot.waitUntil(lambda: found() == ["a broken blender"])
    qtbot.keyClicks(palette.field, " x")
    assert found() == []  # what comes of the letters before is not shown any more
    room.new_conversation()
    palette.open()
    qtbot.keyClicks(palette.field, "blender")
    qtbot.waitUntil(lambda: found() == ["a broken blender"])
    qtbot.keyClick(palette.field, Qt.Key.Key_Return)
    assert room.presenter.conversation_id is not None


def test_a_deleted_conversation_is_found_nowhere(qtbot, window, room, monkeypatch):
    type_and_send(qtbot, room, "a broken blender", 1)
    room._remove(room.presenter.conversation_id)
    qtbot.waitUntil(lambda: room.list.model.rowCount() == 0)
    window.palette_view.open()
    looked = []
    palette, add = window.palette_view, window.palette_view._add
    monkeypatch.setattr(palette, "_add", lambda search, found: (looked.append(search), add(search, found)))
    qtbot.keyClicks(palette.field, "blender")
    qtbot.waitUntil(lambda: looked.count(palette._searches) == 2)  # what is found at once, and the conversations
    assert palette.found.count() == 0
    window.toast.undo()
    qtbot.waitUntil(lambda: room.list.model.rowCount() == 1)


def test_conversations_are_filed_and_tagged(qtbot, room, store):
    for text in ("a blender", "a coat"):
        type_and_send(qtbot, room, text, 1)
        room.new_conversation()
    qtbot.waitUntil(lambda: room.list.model.rowCount() == 2)
    coat, blender = (room.list.model.index(n).data(Qt.ItemDataRole.UserRole) for n in range(2))
    room.list.filed.emit(coat, "Clothes")
    room.list._ask_name("New tag", lambda name: room.list.tagged.emit(blender, name, True))
    qtbot.keyClicks(room.list.name, "urgent")
    qtbot.keyClick(room.list.name, Qt.Key.Key_Return)
    names = [room.list.where.itemText(n) for n in range(room.list.where.count())]
    assert names == ["All conversations", "Folder: Clothes", "Tag: urgent"]
    for place, wanted in ((1, "a coat"), (2, "a blender")):
        room.list.where.setCurrentIndex(place)
        room.list.where.activated.emit(place)
        qtbot.waitUntil(lambda: room.list.model.rowCount() == 1)
        qtbot.waitUntil(lambda wanted=wanted: room.list.model.index(0).data() == wanted)


def test_rooms_have_their_keys(window):
    keys = {button.accessibleName(): button.shortcut().toString() for button in window.rail.findChildren(QAbstractButton)}
    assert keys["Chat"] == "Ctrl+1"
    assert keys["Settings"] == "Ctrl+7"
    assert window.header.findChild(QAbstractButton, "find").shortcut().toString() == "Ctrl+K"


def test_a_room_chosen_by_key_takes_the_focus_so_that_the_rail_does_not_cover_it(qtbot, window):
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    QApplication.sendEvent(window.rail, QEvent(QEvent.Type.Leave))  # wherever the pointer happens to be
    rail = {button.accessibleName(): button for button in window.rail.findChildren(QAbstractButton)}
    rail["Feedback"].setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.waitUntil(lambda: window.rail.width() == t.RAIL_WIDTH_OPEN)  # words for who walks through the rail
    qtbot.keyClick(window, Qt.Key.Key_4, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: window.current_room == "train" and window.rail.width() == t.RAIL_WIDTH)
    assert not window.rail.isAncestorOf(QApplication.focusWidget())


def test_the_theme_switches_while_running(window, theme):
    before = window.grab().toImage()
    theme.set_mode("dark")
    assert window.grab().toImage().pixelColor(400, 200) != before.pixelColor(400, 200)
    theme.set_mode("light")
    assert window.grab().toImage().pixelColor(400, 200) == before.pixelColor(400, 200)


def test_the_header_says_where_we_are_and_what_next(qtbot, window, context):
    window.desk.show_project()
    qtbot.waitUntil(lambda: window.header.count.text() == "round 1 · 0 judgements")
    assert window.header.next.text() == "Next: compare a few answers"
    window.header.next.click()
    assert window.current_room == "chat"


def summary(context, run, **changes):
    return replace(context.queue.summary(run.folder), **changes)


def test_the_header_leads_to_the_run_under_way(qtbot, window, context):
    run = ScriptedRun(context, title="Kinder")
    window.desk.show_project()
    qtbot.waitUntil(lambda: "Kinder" in window.header.next.text())
    window.header.next.click()
    assert window.current_room == "train"
    qtbot.waitUntil(lambda: window.room("train").page is not None)
    assert window.room("train")._run.id == run.folder.id
    window.room("train").show_overview()


def test_a_run_that_ends_is_told_once_in_words(qtbot, window, context, monkeypatch):
    told = []
    monkeypatch.setattr(window.desk._notifier, "notify", told.append)
    run = ScriptedRun(context, title="Kinder")
    window.desk._saw(Seen([summary(context, run)], 0))
    run.say(runs.Finished, outcome="done")
    run.state("done")
    for _ in range(2):
        window.desk._saw(Seen([summary(context, run)], 0))
    assert told == ["“Kinder” has finished. Compare it blind to see whether it is better."]
    assert window.toast.words.text() == told[0]


def test_a_notification_is_kept_for_who_looks_elsewhere(qtbot, window, monkeypatch):
    sent = []
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/notify-send")
    monkeypatch.setattr(QSystemTrayIcon, "isSystemTrayAvailable", lambda: False)
    monkeypatch.setattr(QProcess, "startDetached", lambda program, words: (sent.append(words), (True, 1))[1])
    monkeypatch.setattr(window, "isActiveWindow", lambda: True)
    assert not window.desk._notifier.notify("“Kinder” has finished.")
    monkeypatch.setattr(window, "isActiveWindow", lambda: False)
    assert window.desk._notifier.notify("“Kinder” has finished.")
    assert "A run has ended" in sent[0][-1]
    assert not any("Kinder" in word for word in sent[0])  # every user of the computer can list a program's words


def test_chat_leaves_its_memory_to_a_run_that_needs_it_and_comes_back(qtbot, window, context):
    context.chat.load(context.session.base)
    qtbot.waitUntil(lambda: context.chat.loaded is not None and context.chat.state == "ready")
    run = ScriptedRun(context, title="Kinder", state="starting")
    roomy = Seen([summary(context, run)], 600_000_000)
    window.desk._saw(roomy)
    assert context.chat.loaded is not None
    window.desk._saw(replace(roomy, crowding=roomy.runs[0]))
    assert context.chat.loaded is None
    assert "left memory to “Kinder”" in window.toast.words.text()
    assert "while a run trains" in window.status._model.text()
    window.desk._saw(Seen([summary(context, run, state="done")], 0))
    qtbot.waitUntil(lambda: context.chat.loaded is not None)


def test_chat_moves_to_another_device_once_nobody_waits_for_an_answer(qtbot, window, context, monkeypatch):
    context.chat.load(context.session.base)
    qtbot.waitUntil(lambda: context.chat.loaded is not None and context.chat.state == "ready")
    before, moved = context.chat.process_id, []
    monkeypatch.setattr("rlhf_desktop.ui.frame.desk.worker_environment", lambda: moved.append(context.chat.state) or {"A": "B"})
    context.chat._set_state("busy")
    context.session.deviceChosen.emit()
    assert moved == []
    context.chat._set_state("ready")
    assert moved == ["ready"]
    qtbot.waitUntil(lambda: context.chat.process_id not in (0, before) and context.chat.loaded is not None)


def test_a_question_that_waits_for_the_model_is_answered_before_chat_moves(qtbot, window, context):
    answered = []
    context.chat.requestDone.connect(lambda done: answered.append(done.id))
    context.chat.load(context.session.base)
    request = context.chat.generate([{"role": "user", "content": "hello"}], 1, None, Sampling(), 0)
    assert context.chat.state != "busy"  # the model comes first
    before = context.chat.process_id
    context.session.deviceChosen.emit()
    qtbot.waitUntil(lambda: request in answered)
    qtbot.waitUntil(lambda: context.chat.process_id not in (0, before) and context.chat.loaded is not None)


def test_the_status_bar_says_memory_and_who_shares_the_cores(qtbot, window, context):
    context.chat.load(context.session.base)
    qtbot.waitUntil(lambda: context.chat.loaded is not None and context.chat.state == "ready")
    run = ScriptedRun(context, title="Kinder")
    run.steps(1, 41)
    window.desk._saw(Seen([summary(context, run)], 600_000_000))
    assert window.status._model.text() == "Tiny · float32 on cpu · 600 MB · slower while a run trains"
    assert window.status._run.text() == "Kinder 41% · 2 min"


def pressable(window):
    """What can be pressed now, the toast's own button apart, in the window's coordinates."""
    buttons = [b for b in window.findChildren(QAbstractButton) if b.isVisible() and not window.toast.isAncestorOf(b)]
    return [QRect(b.mapTo(window, QPoint()), b.size()) for b in buttons]


@pytest.mark.parametrize("width", [t.WINDOW_MIN_WIDTH, 1280, 1920])
def test_a_toast_lies_on_no_button_and_cuts_what_is_too_long(qtbot, window, session, width):
    window.resize(width, 700)
    window.header.show_project("Support tone", "round 2 · 143 judgements", "Teach your 96 written examples")
    session.announce("The chat's model has left memory to “A run with a long name”. A message brings it back.", lambda: None)
    toast = window.toast
    qtbot.waitUntil(lambda: toast.isVisible() and toast.geometry().right() < window.width())
    covered = QRect(toast.mapTo(window, QPoint()), toast.size())
    assert [button for button in pressable(window) if button.intersects(covered)] == []
    assert toast.button.isVisible()
    assert covered.width() > t.SPACE_XXL * 3
    assert "left memory to" in toast.words.toolTip()


def test_a_toast_makes_room_for_a_suggestion_that_appears(qtbot, window, session):
    window.resize(1000, 700)
    session.announce("Queued. It starts as soon as the device is free.", lambda: None)
    window.header.show_project("Support tone", "round 2", "Compare blind: is “Taught” better than the base?")
    beside = window.header.next
    qtbot.waitUntil(lambda: not window.toast.geometry().intersects(QRect(beside.mapTo(window, QPoint()), beside.size())))


def test_the_models_name_is_cut_at_its_end_and_whole_in_the_tooltip(qtbot, window):
    status, name = window.status, "A model with a rather long name + Taught by a hundred examples · bfloat16 on cpu · 0.6 GB"
    status.show_run("Taught 41% · 3 min")
    status.show_model(name)
    window.resize(t.WINDOW_MIN_WIDTH, t.WINDOW_MIN_HEIGHT)
    qtbot.waitUntil(lambda: status._model.shown().endswith("…"))
    assert name.startswith(status._model.shown()[:-1])
    assert len(status._model.shown()) > 20
    assert status._model.accessibleName() == name
    QApplication.sendEvent(status._model, QHelpEvent(QEvent.Type.ToolTip, QPoint(), QPoint()))
    assert status._model.toolTip() == name
    window.resize(1920, 800)
    qtbot.waitUntil(lambda: status._model.shown() == name)


def test_a_server_that_answers_is_named_though_no_model_is_here(qtbot, window, session):
    session.set_model(None)
    session.set_server(NamedServer("http://127.0.0.1:1/v1", "house-model", TokenKeeper("house")))
    assert "house-model" in window.status._model.accessibleName()
    assert "(a server)" in window.status._model.accessibleName()


def test_a_chosen_server_outlasts_the_search_for_a_model_and_comes_back_with_the_project(window, context, store, session):
    kept = keep_server(store, context.keys, "http://127.0.0.1:1/v1", "house-model")
    session.set_server(kept)
    first, base = session.project, session.base
    window.desk._model_chosen((base, None))  # found only now
    assert session.server == kept
    assert session.base == base
    another = store.projects.create("Another")
    store.settings.set("model", base.name, another.id)  # or the starter would be unpacked for it
    session.set_project(another)
    window.desk._model_chosen((base, None))
    assert session.server is None
    session.set_project(first)
    window.desk._no_model(AppError("There is no model.", "Add one."))
    assert session.server == kept
    assert "house-model" in window.status._model.accessibleName()


def test_a_chosen_server_elsewhere_does_not_come_back_while_offline_is_on(window, context, store, session):
    session.set_server(keep_server(store, context.keys, "https://api.example.com/v1", "big"))
    session.set_network(NetworkRule(offline=True))
    window.desk._model_chosen((session.base, None))
    assert session.server is None


def test_a_model_that_was_started_anew_is_said_and_the_question_is_asked_again_with_one_click(qtbot, window, room, context):
    type_and_send(qtbot, room, "broken", 1)
    assert room.notice.isVisibleTo(room.widget())
    assert room.notice.button.text() == "Ask again"
    qtbot.waitUntil(lambda: "started anew" in window.trouble.words.text())
    with qtbot.waitSignal(context.chat.ended):
        room.notice.button.click()
        assert room.presenter.writing
        assert not room.notice.isVisibleTo(room.widget())
    assert "twice within a minute" in window.trouble.words.text()
    assert room.notice.button.text() == "Restart"
    room.notice.button.click()
    assert room.notice.button.text() == "Ask again"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "Kinder 40% · 2 min"),
        ({"slow": True}, "Kinder · slow"),
        ({"slow": True, "asked": "pause"}, "Kinder · pausing"),
        ({"slow": True, "hung": True, "asked": "stop"}, "Kinder · not responding"),
        ({"step": 10, "eta_s": None, "phase": "measuring the result"}, "Kinder · measuring the result"),
        ({"step": 4, "eta_s": 0.0}, "Kinder 40%"),
    ],
)
def test_the_status_bar_says_how_the_run_is(changes, said):
    run = RunSummary("1", None, "Kinder", "sft", "p", "", "running", step=4, total=10, eta_s=120.0)
    assert run_words(replace(run, **changes)) == said
