"""Chat in the whole window: what can be done to a turn and a conversation, by mouse and by keyboard, and what is stored of it."""

import json

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QContextMenuEvent, QGuiApplication, QTextCursor
from PySide6.QtPrintSupport import QPrintDialog, QPrinter
from PySide6.QtWidgets import QApplication, QDialog, QMenu, QPushButton

from rlhf_desktop.operations.instructions import Instructions, saved_instructions
from rlhf_desktop.ui.chat.turn_view import TurnView
from rlhf_desktop.ui.frame.desk import Desk
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.widgets.buttons import IconButton
from rlhf_desktop.ui.widgets.text import Label


@pytest.fixture
def window(qtbot, context):
    made = Window(context)
    made.desk = Desk(context, made)
    qtbot.addWidget(made)
    made.resize(1280, 800)
    made.show()
    made.show_room("chat")
    yield made
    context.chat.stateChanged.disconnect()  # the worker ends after the window is gone
    context.tasks.wait()


@pytest.fixture
def room(window):
    return window.room("chat")


def say(qtbot, room, text):
    room.composer.answers.set_value(1)
    room.composer.edit.setFocus()
    qtbot.keyClicks(room.composer.edit, text)
    with qtbot.waitSignal(room.presenter.writingEnded):
        qtbot.keyClick(room.composer.edit, Qt.Key.Key_Return)


def turn_views(room):
    """The turns on screen, from the top."""
    QApplication.sendPostedEvents()  # what the layout has still to show
    views = [view for view in room.conversation.findChildren(TurnView) if view.isVisible() and view.turn.id]
    shown = [turn.id for turn in room.presenter._turns()]
    assert sorted(view.turn.id for view in views) == sorted(shown)
    return sorted(views, key=lambda view: shown.index(view.turn.id))


def press(qtbot, view, name):
    """A button of a turn, by mouse."""
    button = next(b for b in view.findChildren(QPushButton) + view.findChildren(IconButton) if b.accessibleName() == name)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def menu_now(qtbot):
    qtbot.waitUntil(lambda: QApplication.activePopupWidget() is not None)
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    return menu


def words_of(menu):
    return [action.text().partition("\t")[0] for action in menu.actions() if not action.isSeparator()]


def choose(menu, words):
    action = next(action for action in menu.actions() if action.text().partition("\t")[0] == words)
    menu.close()
    action.trigger()


def right_click(widget):
    where = widget.rect().center()
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, where, widget.mapToGlobal(where))
    QApplication.sendEvent(widget, event)


@pytest.mark.parametrize("place", [0, 1], ids=["question", "answer"])
def test_the_right_button_and_the_dots_offer_the_same(qtbot, room, place):
    say(qtbot, room, "hello")
    view = turn_views(room)[place]
    right_click(view.text.viewport())
    menu = menu_now(qtbot)
    by_right_button = words_of(menu)
    menu.close()
    press(qtbot, view, ("More for this message", "More for this answer")[place])
    menu = menu_now(qtbot)
    assert words_of(menu) == by_right_button
    menu.close()
    assert by_right_button[-1] == ("Delete this message", "Delete this answer")[place]
    for button in view.findChildren(IconButton):  # a button in sight is in the menu under the same name
        if not button.accessibleName().startswith("More"):
            assert button.accessibleName() in by_right_button


def test_the_menu_key_opens_the_same_menu(qtbot, room):
    say(qtbot, room, "hello")
    view = turn_views(room)[1]
    more = next(b for b in view.findChildren(IconButton) if b.accessibleName() == "More for this answer")
    more.setFocus()
    QApplication.sendEvent(more, QContextMenuEvent(QContextMenuEvent.Reason.Keyboard, QPoint(1, 1), more.mapToGlobal(QPoint(1, 1))))
    menu = menu_now(qtbot)
    assert "Copy this answer" in words_of(menu)
    choose(menu, "Copy this answer")
    assert QGuiApplication.clipboard().text() == "answer 0 to hello"


def test_an_answer_edited_where_it_stands_is_a_correction_seen_at_once(qtbot, room, store, session):
    announced = []
    session.announced.connect(lambda words, undo: announced.append((words, undo)))
    say(qtbot, room, "hello")
    view = turn_views(room)[1]
    press(qtbot, view, "Edit this answer")
    editor = view.editor
    assert room.widget().window().focusWidget() is editor.field
    assert not editor.save.isEnabled()  # nothing has been changed
    qtbot.keyClick(editor.field, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClicks(editor.field, "Hello, Ada.")
    assert editor.save.isEnabled()
    qtbot.keyClick(editor.field, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    (judgement,) = store.judgements.effective(session.project.id)
    assert (judgement.kind, judgement.verdict.text) == ("correction", "Hello, Ada.")
    assert store.conversations.message(judgement.displayed[0]).content == "answer 0 to hello"
    last = turn_views(room)[-1]
    assert (last.turn.text, last.name.text(), last.turn.alternatives) == ("Hello, Ada.", "Your own answer", 2)
    assert room.widget().window().focusWidget() is room.composer.edit
    assert store.connection.rows("SELECT * FROM drafts WHERE key LIKE 'edit:%'") == []
    words, undo = announced[-1]
    assert words == "Saved: 1 correction"
    undo()
    assert store.judgements.effective(session.project.id) == []
    assert room.presenter.judging.draft.corrections == {0: "Hello, Ada."}  # to be judged anew, as it was said


def test_an_edit_that_is_not_saved_comes_back_with_its_conversation(qtbot, room, store):
    say(qtbot, room, "hello")
    first = room.presenter.conversation_id
    press(qtbot, turn_views(room)[1], "Edit this answer")
    editor = turn_views(room)[1].editor
    qtbot.keyClicks(editor.field, " And more.")
    qtbot.waitUntil(lambda: editor.state.text() == "Draft kept")
    room.new_conversation()
    room.show_conversation(first)
    again = turn_views(room)[1].editor
    assert again.field.toPlainText() == "answer 0 to hello And more."
    assert (again.state.text(), again.save.isEnabled()) == ("Draft kept", True)
    assert room.widget().window().focusWidget() is not again.field  # opened by itself, it takes no focus
    again.begin()
    qtbot.keyClick(again.field, Qt.Key.Key_Escape)
    assert room.widget().window().focusWidget() is room.composer.edit
    room.new_conversation()
    room.show_conversation(first)
    assert turn_views(room)[1].editor is None


def test_a_question_is_edited_into_a_branch_of_its_own(qtbot, room):
    say(qtbot, room, "hello")
    press(qtbot, turn_views(room)[0], "Edit this message")
    field = turn_views(room)[0].editor.field
    qtbot.keyClicks(field, " again")
    with qtbot.waitSignal(room.presenter.writingEnded):
        qtbot.keyClick(field, Qt.Key.Key_Return)
    assert [view.turn.text for view in turn_views(room)] == ["hello again", "answer 0 to hello again"]
    assert turn_views(room)[0].turn.alternatives == 2


def test_a_turn_is_deleted_with_what_follows_and_undo_brings_all_back(qtbot, room, store, session):
    announced = []
    session.announced.connect(lambda words, undo: announced.append((words, undo)))
    say(qtbot, room, "hello")
    press(qtbot, turn_views(room)[1], "This answer is good")
    say(qtbot, room, "and then")
    right_click(turn_views(room)[1].text.viewport())
    choose(menu_now(qtbot), "Delete this answer")
    assert [view.turn.text for view in turn_views(room)] == ["hello"]
    words, undo = announced[-1]
    assert words == "3 messages are deleted. Judgements about them are kept, as they were displayed."
    assert room.widget().window().focusWidget() is room.composer.edit
    (judgement,) = store.judgements.effective(session.project.id)
    assert store.conversations.message(judgement.displayed[0]).content == "answer 0 to hello"
    undo()
    assert [view.turn.text for view in turn_views(room)] == ["hello", "answer 0 to hello", "and then", "answer 0 to and then"]


def test_the_question_left_by_a_deleted_answer_can_be_answered_again(qtbot, room):
    say(qtbot, room, "hello")
    room.presenter.delete_turn(turn_views(room)[1].turn.id)
    with qtbot.waitSignal(room.presenter.writingEnded):
        press(qtbot, turn_views(room)[0], "Write an answer")
    assert turn_views(room)[-1].turn.alternatives == 1


def test_a_cut_answer_is_continued_by_its_button(qtbot, room):
    say(qtbot, room, "lengthy")
    view = turn_views(room)[1]
    assert view.turn.cut == "Cut at the limit"
    with qtbot.waitSignal(room.presenter.writingEnded):
        press(qtbot, view, "Continue")
    assert turn_views(room)[1].turn.text == "answer 0 to lengthy and so on"


def test_a_conversation_has_one_menu_in_the_list_and_above_it(qtbot, room):
    say(qtbot, room, "hello")
    qtbot.waitUntil(lambda: room.list.model.rowCount() == 1)
    index = room.list.model.index(0)
    room.list.view.customContextMenuRequested.emit(room.list.view.visualRect(index).center())
    menu = menu_now(qtbot)
    listed = words_of(menu)
    menu.close()
    press(qtbot, room.widget(), "Conversation menu")
    menu = menu_now(qtbot)
    assert words_of(menu) == listed
    assert listed == ["Rename", "Folder", "Tags", "Copy the conversation", "Export…", "Print…", "Delete"]
    announced = []
    room._context.session.announced.connect(lambda words, _undo: announced.append(words))
    choose(menu, "Copy the conversation")
    qtbot.waitUntil(lambda: bool(announced))
    assert QGuiApplication.clipboard().text() == "# hello\n\n## User\n\nhello\n\n## Assistant\n\nanswer 0 to hello\n"


@pytest.mark.parametrize("ending", ["md", "json", "pdf"])
def test_a_conversation_is_written_to_a_file(qtbot, room, tmp_path, ending):
    say(qtbot, room, "hello")
    path = tmp_path / "files" / f"talk.{ending}"
    with qtbot.waitSignal(room._context.session.announced) as said:
        room.actions.write(room.presenter.conversation_id, path)
    assert said.args[0] == f"The conversation is in talk.{ending}."
    assert path.read_bytes().startswith({"md": b"# hello", "json": b"{", "pdf": b"%PDF"}[ending])
    if ending == "json":
        assert [m["role"] for m in json.loads(path.read_text("utf-8"))["messages"]] == ["user", "assistant"]


def test_a_conversation_is_drawn_on_a_printer(qtbot, room, tmp_path):
    say(qtbot, room, "hello")
    press(qtbot, room.widget(), "Conversation menu")
    choose(menu_now(qtbot), "Print…")

    def dialogs():
        return [found for found in room.widget().findChildren(QPrintDialog) if found.isVisible()]

    qtbot.waitUntil(lambda: len(dialogs()) == 1)
    (dialog,) = dialogs()
    dialog.printer().setOutputFormat(QPrinter.OutputFormat.PdfFormat)
    dialog.printer().setOutputFileName(str(tmp_path / "printed.pdf"))
    with qtbot.waitSignal(room._context.session.announced):
        QDialog.accept(dialog)
    assert (tmp_path / "printed.pdf").read_bytes().startswith(b"%PDF")


def test_a_conversation_the_search_has_hidden_is_renamed_all_the_same(qtbot, room):
    say(qtbot, room, "hello")
    room.list.search.setText("nothing like it")
    qtbot.waitUntil(lambda: room.list.model.rowCount() == 0)
    room.list.rename_in_place(room.presenter.conversation_id)
    qtbot.waitUntil(lambda: room.list.model.rowCount() == 1)
    assert room.list.view.state() == room.list.view.State.EditingState


def test_how_full_it_is_stands_by_the_message_and_counts_what_is_typed(qtbot, room):
    assert room.composer.status.text() == ""
    say(qtbot, room, "one two")
    qtbot.waitUntil(lambda: room.composer.status.text() == "8 of 1,000 tokens")  # "…" stands for the next question
    qtbot.keyClicks(room.composer.edit, "and three more")
    qtbot.waitUntil(lambda: room.composer.status.text() == "10 of 1,000 tokens")
    room.new_conversation()
    room.composer.clear()
    assert room.composer.status.text() == ""


@pytest.mark.parametrize("key", ["mouse", "space"])
def test_after_send_was_pressed_one_goes_on_writing(qtbot, room, key):
    """The focus stayed on the button, by then Stop: the next words were lost, and a space stopped the answer."""
    qtbot.keyClicks(room.composer.edit, "one two")
    with qtbot.waitSignal(room.presenter.writingEnded):
        if key == "mouse":
            qtbot.mouseClick(room.composer.go, Qt.MouseButton.LeftButton)
        else:
            room.composer.go.setFocus()
            qtbot.keyClick(room.composer.go, Qt.Key.Key_Space)
        assert QApplication.focusWidget() is room.composer.edit
    assert room.composer.edit.toPlainText() == ""


def test_a_line_marks_what_the_model_no_longer_sees(qtbot, room):
    say(qtbot, room, "crowded")
    say(qtbot, room, "next")
    qtbot.waitUntil(lambda: "Full" in room.composer.status.text())
    lines = [label for label in room.conversation.findChildren(Label) if label.text().startswith("The model no longer sees")]
    (line,) = [label for label in lines if label.isVisible()]
    first, second = turn_views(room)[1], turn_views(room)[2]
    top = room.conversation.widget()
    assert first.mapTo(top, QPoint(0, 0)).y() < line.mapTo(top, QPoint(0, 0)).y() < second.mapTo(top, QPoint(0, 0)).y()
    assert room.composer.status.property("tone") == "warning"
    room.new_conversation()
    assert room.composer.status.property("tone") == "muted"


def test_instructions_are_saved_chosen_changed_renamed_and_deleted_with_undo(qtbot, room, store, session):
    announced = []
    session.announced.connect(lambda words, undo: announced.append((words, undo)))
    press(qtbot, room.widget(), "Instructions and sampling")
    panel, saved = room.setup, room.setup.saved
    assert not saved.list.isVisible()  # nothing to choose from yet
    qtbot.keyClicks(panel.edit, "Be brief.")
    qtbot.mouseClick(saved.save, Qt.MouseButton.LeftButton)
    assert room.widget().window().focusWidget() is saved.name
    assert saved.name.text() == "Be brief."
    qtbot.keyClicks(saved.name, "Shop")  # it replaces what is proposed
    qtbot.keyClick(saved.name, Qt.Key.Key_Return)
    assert saved_instructions(store, session.project) == [Instructions("Shop", "Be brief.")]
    assert (saved.list.currentText(), saved.state.text(), saved.save.isEnabled()) == ("Shop", "Saved", False)
    assert room.widget().window().focusWidget() is panel.edit
    panel.edit.moveCursor(QTextCursor.MoveOperation.End)
    qtbot.keyClicks(panel.edit, " And kind.")
    assert (saved.state.text(), saved.save.text()) == ("Changed since it was saved", "Save changes")
    qtbot.mouseClick(saved.save, Qt.MouseButton.LeftButton)
    assert saved_instructions(store, session.project)[0].text == "Be brief. And kind."
    press(qtbot, saved, "More for the saved instructions")
    choose(menu_now(qtbot), "Rename…")
    qtbot.keyClick(saved.name, Qt.Key.Key_Escape)
    assert (saved.name.isVisible(), room.setup.isVisible()) == (False, True)
    press(qtbot, saved, "More for the saved instructions")
    choose(menu_now(qtbot), "Rename…")
    qtbot.keyClicks(saved.name, "Kitchen")
    qtbot.keyClick(saved.name, Qt.Key.Key_Return)
    assert saved.list.currentText() == "Kitchen"
    panel.edit.clear()
    assert saved.list.currentIndex() == -1
    saved.list.setCurrentIndex(0)
    saved.list.activated.emit(0)
    assert panel.edit.toPlainText() == "Be brief. And kind."
    press(qtbot, saved, "More for the saved instructions")
    choose(menu_now(qtbot), "Delete")
    assert saved_instructions(store, session.project) == []
    announced[-1][1]()
    assert saved_instructions(store, session.project)[0].name == "Kitchen"
    qtbot.mouseClick(panel.use, Qt.MouseButton.LeftButton)
    say(qtbot, room, "hello")
    assert turn_views(room)[0].turn.text == "Be brief. And kind."


def test_what_was_typed_a_moment_ago_is_kept_when_another_conversation_is_opened(qtbot, room):
    say(qtbot, room, "hello")
    first = room.presenter.conversation_id
    press(qtbot, turn_views(room)[1], "Edit this answer")
    qtbot.keyClicks(turn_views(room)[1].editor.field, "!")
    room.new_conversation()
    room.show_conversation(first)
    assert turn_views(room)[1].editor.field.toPlainText() == "answer 0 to hello!"


def test_undoing_a_deletion_leaves_another_conversation_that_is_shown_alone(qtbot, room, session):
    announced = []
    session.announced.connect(lambda words, undo: announced.append((words, undo)))
    say(qtbot, room, "hello")
    first = room.presenter.conversation_id
    room._delete_turn(turn_views(room)[1].turn.id)
    _, undo = announced[-1]
    room.new_conversation()
    with qtbot.waitSignal(room.presenter.answerGrew):
        room.presenter.send("forever", 1)
    undo()
    assert room.presenter.writing
    room.presenter.stop()
    qtbot.waitUntil(lambda: not room.presenter.writing)
    room.show_conversation(first)
    assert [view.turn.text for view in turn_views(room)] == ["hello", "answer 0 to hello"]


def test_what_cannot_be_done_while_an_answer_is_written_says_so_and_keeps_what_was_typed(qtbot, room, session):
    announced = []
    session.announced.connect(lambda words, _undo: announced.append(words))
    say(qtbot, room, "hello")
    with qtbot.waitSignal(room.presenter.answerGrew):
        room.presenter.send("forever", 1)
    QApplication.sendPostedEvents()
    answer = next(view for view in room.conversation.findChildren(TurnView) if view.turn.text == "answer 0 to hello")
    answer.edit()
    qtbot.keyClicks(answer.editor.field, "!")
    qtbot.mouseClick(answer.editor.save, Qt.MouseButton.LeftButton)
    assert announced[-1] == "An answer is being written. Stop it first, or wait until it has ended."
    assert answer.editor.field.toPlainText() == "answer 0 to hello!"
    room.presenter.stop()
    qtbot.waitUntil(lambda: not room.presenter.writing)
    qtbot.waitUntil(lambda: turn_views(room)[1].editor is not None)  # kept, and opened again
    assert turn_views(room)[1].editor.field.toPlainText() == "answer 0 to hello!"
