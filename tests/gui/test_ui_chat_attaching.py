"""Files attached in Chat: dropped, pasted or chosen; shown before and after; measured; kept as part of the question."""

import json

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication
from PySide6.QtWidgets import QApplication, QFileDialog

from rlhf_desktop.feedback import extraction
from rlhf_desktop.feedback.attachments import Attachment, Document, split_files
from rlhf_desktop.operations import attachments
from rlhf_desktop.ui.chat import attaching
from rlhf_desktop.ui.chat.composer import GrowingEdit
from rlhf_desktop.ui.chat.room import ChatRoom
from rlhf_desktop.ui.chat.turn_view import TurnView
from rlhf_desktop.ui.frame.desk import Desk
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.people import who_am_i
from tests.documents import locked_pdf, pdf_bytes


@pytest.fixture
def window(qtbot, context, monkeypatch):
    monkeypatch.setattr(attachments, "_extracted", lambda file, name: extraction.extract(file.read()))
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


@pytest.fixture
def terms(tmp_path):
    path = tmp_path / "terms.pdf"
    path.write_bytes(pdf_bytes(["Thirty days.", "Postage is ours.", "Signed."]))
    return path


def given(*paths):
    made = QMimeData()
    made.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    return made


def drop(widget, mime):
    """Whether it is taken."""
    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(5, 5), copy, mime, left, none)
    QApplication.sendEvent(widget, enter)
    if not enter.isAccepted():
        return False
    event = QDropEvent(QPointF(5, 5), copy, mime, left, none)
    QApplication.sendEvent(widget, event)
    return event.isAccepted()


def attach(qtbot, room, *paths):
    assert drop(room.widget(), given(*paths))
    qtbot.waitUntil(lambda: not room._context.tasks.busy)


def ask(qtbot, room, text):
    room.composer.edit.setFocus()
    qtbot.keyClicks(room.composer.edit, text)
    with qtbot.waitSignal(room.presenter.writingEnded):
        qtbot.keyClick(room.composer.edit, Qt.Key.Key_Return)


def user_turn(room):
    QApplication.sendPostedEvents()
    return next(view for view in room.conversation.findChildren(TurnView) if view.turn.role == "user" and view.isVisible())


def test_a_dropped_file_is_sent_with_the_question_and_stands_folded_above_it(qtbot, room, store, terms):
    attach(qtbot, room, terms)
    (file,) = room.composer.files.files
    assert file.name.text() == "terms.pdf"
    assert file.pages.text() == "1-3"
    assert "tokens" in file.facts.text()
    ask(qtbot, room, "How long?")
    path = store.conversations.tree(room.presenter.conversation_id).active_path()
    sent = "File: terms.pdf\n```text\nThirty days.\n\nPostage is ours.\n\nSigned.\n```\n\nHow long?"
    assert path[0].content == sent, "what was displayed is what is kept"
    assert path[1].content == f"answer 0 to {sent}", "and what the model saw"
    assert room.name.text() == "How long?"
    turn = user_turn(room)
    assert turn.text.toPlainText() == "How long?"
    (fold,) = turn.files
    assert fold.toggle.text() == "terms.pdf"
    assert not fold.text.isVisible()
    fold.toggle.click()
    assert fold.text.isVisible()
    assert "Postage is ours." in fold.text.toPlainText()
    assert room.composer.empty


def test_files_are_pasted_into_the_message_and_text_stays_text(qtbot, room, terms):
    QGuiApplication.clipboard().setMimeData(given(terms))
    room.composer.edit.paste()
    qtbot.waitUntil(lambda: room.composer.files.ready and bool(room.composer.files.files))
    assert room.composer.edit.toPlainText() == ""
    QGuiApplication.clipboard().setText("plain words")
    room.composer.edit.paste()
    assert room.composer.edit.toPlainText() == "plain words"
    assert len(room.composer.files.files) == 1


def test_other_fields_take_no_files(qtbot, terms):
    field = GrowingEdit("Instructions", "")
    qtbot.addWidget(field)
    field.insertFromMimeData(given(terms))
    assert "terms.pdf" in field.toPlainText()


def test_what_is_no_file_is_not_taken(room):
    words = QMimeData()
    words.setText("dropped words")
    assert not drop(room.widget(), words)
    address = QMimeData()
    address.setUrls([QUrl("https://example.org/a.pdf")])
    assert not drop(room.widget(), address)
    assert room.composer.files.files == []


def test_the_key_and_the_button_ask_which_files(qtbot, window, room, terms):
    with qtbot.waitActive(window):
        window.activateWindow()
    qtbot.keyClick(room.composer.edit, Qt.Key.Key_O, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: room.widget().findChild(QFileDialog) is not None)  # the button is seen to be pressed first
    dialog = room.widget().findChild(QFileDialog)
    dialog.filesSelected.emit([str(terms)])
    dialog.close()
    qtbot.waitUntil(lambda: room.composer.files.ready and bool(room.composer.files.files))
    assert room.composer.attach.toolTip() == "Attach a file  (Ctrl+O)"


def test_a_question_is_needed_beside_a_file(qtbot, room, terms):
    attach(qtbot, room, terms)
    assert not room.composer.go.isEnabled()
    assert room.composer.edit.placeholderText() == "Ask something about it…"
    qtbot.keyClicks(room.composer.edit, "Why?")
    assert room.composer.go.isEnabled()


def test_pages_are_chosen_and_what_is_none_is_said(qtbot, room, store, terms):
    attach(qtbot, room, terms)
    file = room.composer.files.files[0]
    file.pages.selectAll()
    qtbot.keyClicks(file.pages, "9")
    assert "There is no page 9." in room.composer.files.notice.words.text()
    room.composer.edit.setPlainText("Why?")
    assert not room.composer.go.isEnabled()
    file.pages.selectAll()
    qtbot.keyClicks(file.pages, "2-3")
    assert room.composer.files.notice.isHidden()
    room.composer.edit.clear()
    ask(qtbot, room, "Why?")
    _, (sent,) = split_files(store.conversations.tree(room.presenter.conversation_id).active_path()[0].content)
    assert (sent.which, sent.text) == ("pages 2-3 of 3", "Postage is ours.\n\nSigned.")


def test_a_file_that_cannot_be_read_is_refused_with_its_remedy(qtbot, room, tmp_path):
    (tmp_path / "secret.pdf").write_bytes(locked_pdf(["Secret"], "1234"))
    attach(qtbot, room, tmp_path / "secret.pdf")
    assert room.composer.files.files == []
    assert room.composer.files.notice.isVisible()
    assert room.composer.files.notice.words.text() == (
        "secret.pdf is locked with a password. Save a copy without the password, and attach that."
    )
    room.composer.edit.setPlainText("Never mind")
    assert room.composer.go.isEnabled()


def test_more_than_the_model_takes_is_not_sent_and_one_press_keeps_what_fits(qtbot, room, session, tmp_path, store):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 1024}))
    session.set_model(session.base.model_copy(update={"path": str(folder)}))
    long = tmp_path / "long.pdf"
    long.write_bytes(pdf_bytes(["A page of many words. " * 60] * 8))
    attach(qtbot, room, long)
    room.composer.edit.setPlainText("Why?")
    files = room.composer.files
    assert "the model takes" in files.notice.words.text()
    assert not room.composer.go.isEnabled()
    qtbot.keyClick(room.composer.edit, Qt.Key.Key_Return)
    assert room.presenter.conversation_id is None, "nothing was sent"
    files.notice.button.click()
    assert files.notice.isHidden()
    assert files.files[0].pages.text() == "1"
    assert room.composer.go.isEnabled()


def test_a_file_is_removed_and_the_rest_is_as_before(qtbot, room, terms):
    attach(qtbot, room, terms, terms)
    first, second = room.composer.files.files
    first.remove.click()
    assert room.composer.files.files == [second]
    second.remove.click()
    assert room.composer.files.isHidden()
    assert room.composer.empty


def test_too_many_files_are_not_taken(qtbot, room, session, terms, monkeypatch):
    monkeypatch.setattr(attaching, "MOST_FILES", 1)
    with qtbot.waitSignal(session.announced) as said:
        assert drop(room.widget(), given(terms, terms))
    assert said.args[0] == "At most 1 files go with a message."
    assert room.composer.files.files == []


def test_an_edited_question_keeps_its_files(qtbot, room, store, terms):
    attach(qtbot, room, terms)
    ask(qtbot, room, "How long?")
    turn = user_turn(room)
    turn.edit()
    assert turn.editor.field.toPlainText() == "How long?"
    turn.editor.field.setPlainText("Who signed?")
    with qtbot.waitSignal(room.presenter.writingEnded):
        turn.editor.save.click()
    question, files = split_files(store.conversations.tree(room.presenter.conversation_id).active_path()[0].content)
    assert question == "Who signed?"
    assert files[0].text.startswith("Thirty days.")


def test_a_message_that_was_not_sent_comes_back_with_its_files(qtbot, room):
    document = Document("a.pdf", 9, ("One", "Two"), "page", 2)
    room.composer.files.put(Attachment(document, (2,)))
    prompt = room.composer.files.prompt("Why?")
    room.composer.clear()
    room.presenter.returned.emit(prompt)
    assert room.composer.edit.toPlainText() == "Why?"
    assert room.composer.files.prompt("Why?") == prompt == "File: a.pdf (page 2 of 2)\n```text\nTwo\n```\n\nWhy?"


# --- kept until it is sent


def written(room):
    """The message, and its files with their texts."""
    return room.composer.edit.toPlainText(), [file.attachment.attached.text for file in room.composer.files.files]


def test_a_message_and_its_files_stay_with_their_conversation(qtbot, room, terms):
    ask(qtbot, room, "Good morning")
    first = room.presenter.conversation_id
    attach(qtbot, room, terms)
    room.composer.files.files[0].pages.setText("1")
    room.composer.files.files[0].pages.textEdited.emit("1")
    qtbot.keyClicks(room.composer.edit, "How long?")
    room.new_conversation()
    assert written(room) == ("", [])
    qtbot.keyClicks(room.composer.edit, "Something else")
    room.show_conversation(first)
    assert written(room) == ("How long?", ["Thirty days."])
    room.new_conversation()
    assert written(room) == ("Something else", [])


def test_a_message_and_its_files_outlast_the_window(qtbot, window, room, terms, context):
    attach(qtbot, room, terms)
    qtbot.keyClicks(room.composer.edit, "How long?")
    window.close()
    again = ChatRoom(context)
    qtbot.addWidget(again.widget())
    assert written(again) == ("How long?", ["Thirty days.\n\nPostage is ours.\n\nSigned."])


def test_what_was_sent_is_no_draft_any_more_and_what_is_typed_meanwhile_is(qtbot, room, store, session):
    ask(qtbot, room, "Good morning")
    assert [draft for draft in store.drafts.all(session.project.id, who_am_i(store)) if draft.key.startswith("message")] == []
    qtbot.keyClicks(room.composer.edit, "forever")
    with qtbot.waitSignal(room.presenter.writingStarted):
        qtbot.keyClick(room.composer.edit, Qt.Key.Key_Return)
    qtbot.keyClicks(room.composer.edit, "and then")
    with qtbot.waitSignal(room.presenter.writingEnded):
        room.presenter.stop()
    assert written(room) == ("and then", [])


def test_what_is_written_while_the_first_answer_comes_goes_on_with_its_conversation(qtbot, room):
    qtbot.keyClicks(room.composer.edit, "forever")
    with qtbot.waitSignal(room.presenter.writingStarted):
        qtbot.keyClick(room.composer.edit, Qt.Key.Key_Return)
    qtbot.keyClicks(room.composer.edit, "and then")
    first = room.presenter.conversation_id
    room.new_conversation()
    assert written(room) == ("", [])
    room.show_conversation(first)
    assert written(room) == ("and then", [])
