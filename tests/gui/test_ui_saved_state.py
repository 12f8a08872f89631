"""What is kept is seen: every form, changed, left and opened again, still says what was typed, or says it is saved."""

from dataclasses import dataclass

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QComboBox, QLineEdit, QPlainTextEdit, QPushButton, QSpinBox
from run_script import ScriptedRun

from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.feedback.protocol import PRESETS
from rlhf_desktop.ui.form_drafts import FormDrafts
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.widgets.saved_state import SAVED, UNSAVED, KeptForm

KEY = Qt.Key


@pytest.fixture
def window(qtbot, context):
    made = Window(context)
    qtbot.addWidget(made)
    made.show()
    yield made
    made.show_room("feedback")  # whatever room was in front keeps what is typed in it
    context.tasks.wait()


@dataclass(frozen=True)
class FormOf:
    """How one form is opened, changed, left and read."""

    room: str
    open: object
    change: object
    leave: object
    read: object
    said: object  # the words about its state
    button: object = None


def _label(window):
    window.show_room("label")
    return window.room("label")


def _open_train(window, qtbot):
    window.show_room("train")
    overview = window.room("train").overview
    qtbot.waitUntil(lambda: overview._facts is not None)
    overview.open_panel("sft")
    return overview.panel


FORMS = {
    "what is asked": FormOf(
        "label",
        lambda w, _q: _label(w)._open_protocol(),
        lambda w: w.room("label").protocol.answers.setValue(2),
        lambda w: w.room("label").protocol.back.click(),
        lambda w: w.room("label").protocol.answers.value() == 2,
        lambda w: w.room("label").protocol.kept.words.text(),
        lambda w: w.room("label").protocol.save,
    ),
    "prompts": FormOf(
        "label",
        lambda w, _q: _label(w).write_prompts(False),
        lambda w: w.room("label").writing.edit.setPlainText("How do I cancel?"),
        lambda w: w.room("label").writing.left.emit(),
        lambda w: w.room("label").writing.edit.toPlainText() == "How do I cancel?",
        lambda w: w.room("label").writing.kept.words.text(),
    ),
    "guidelines": FormOf(
        "label",
        lambda w, _q: _label(w).page.guidelines.start_writing(),
        lambda w: w.room("label").page.guidelines._writing.edit.setPlainText("Be kind."),
        lambda w: w.room("label").page.guidelines._writing.left.emit(),
        lambda w: w.room("label").page.guidelines._writing.edit.toPlainText() == "Be kind.",
        lambda w: w.room("label").page.guidelines._form.words.text(),
        lambda w: w.room("label").page.guidelines._writing.keep,
    ),
    "the settings of a run": FormOf(
        "train",
        _open_train,
        lambda w: w.room("train").overview.panel.form.fields["learning_rate"].field.setText("0.0003"),
        lambda w: w.room("train").overview.panel.cancelled.emit(),
        lambda w: w.room("train").overview.panel.form.values()["learning_rate"] == "0.0003",
        lambda w: w.room("train").overview.panel.kept.words.text(),
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_what_was_changed_and_left_is_there_again_even_in_a_new_window(qtbot, context, window, name):
    form = FORMS[name]
    form.open(window, qtbot)
    assert form.said(window) == ""
    assert form.button is None or not form.button(window).isEnabled()
    form.change(window)
    assert "kept" in form.said(window)
    assert form.button is None or form.button(window).isEnabled()
    form.leave(window)
    form.open(window, qtbot)
    assert form.read(window)
    assert "kept" in form.said(window)
    form.change(window)
    window.show_room("feedback")  # without leaving the form itself: the room settles
    window.close()
    again = Window(context)
    qtbot.addWidget(again)
    again.show()
    form.open(again, qtbot)
    assert form.read(again)
    assert "kept" in form.said(again)
    again.show_room("feedback")


def test_changes_of_what_is_asked_are_discarded_only_when_one_says_so(qtbot, context, window):
    room = _label(window)
    room._open_protocol()
    page = room.protocol
    assert not page.discard.isVisible()
    page.answers.setValue(2)
    page.preset.setCurrentText("Thumbs")
    page.preset.textActivated.emit("Thumbs")
    page.back.click()
    room._open_protocol()
    assert page.value().comparison == "none"
    page.discard.click()
    assert page.value() == PRESETS["General"]
    assert (page.save.isEnabled(), page.discard.isVisible(), page.kept.words.text()) == (False, False, "")
    assert FormDrafts(context).get("what is asked") is None


def test_what_is_saved_leaves_no_draft(qtbot, context, window):
    room = _label(window)
    room._open_protocol()
    room.protocol.answers.setValue(2)
    room.protocol.save.click()
    assert context.store.protocols.get(context.session.project.id).answers == 2
    room._open_protocol()
    assert not room.protocol.save.isEnabled()
    room.protocol.back.click()
    room.page.guidelines.start_writing()
    room.page.guidelines._writing.edit.setPlainText("Be kind.")
    room.page.guidelines._writing.keep.click()
    assert [FormDrafts(context).get(name) for name in ("what is asked", "guidelines")] == [None, None]


def test_a_draft_stays_in_its_project(qtbot, context, window):
    first, other = context.session.project, context.store.projects.create("Other")
    room = _label(window)
    room.write_prompts(False)
    room.writing.edit.setPlainText("Only here")
    room._settle()
    context.session.set_project(other)
    assert room.writing.edit.toPlainText() == ""
    context.session.set_project(first)
    assert room.writing.edit.toPlainText() == "Only here"


def test_a_run_that_started_leaves_the_usual_settings(qtbot, context, window):
    panel = _open_train(window, qtbot)
    panel.form.fields["learning_rate"].field.setText("0.0003")
    assert panel._usual.isVisibleTo(panel)
    panel._usual.click()
    assert panel.kept.words.text() == ""
    panel.form.fields["learning_rate"].field.setText("0.0003")
    window.room("train")._queued(ScriptedRun(context, title="Kinder").folder)
    assert _open_train(window, qtbot).kept.words.text() == ""


def test_instructions_hold_when_the_panel_is_closed_and_numbers_say_they_are_kept(qtbot, context, window):
    window.show_room("chat")
    room = window.room("chat")
    room.setup_button.click()
    assert not room.setup.use.isEnabled()
    room.setup.temperature.setValue(0.3)
    assert room.setup.numbers.text() == "Kept for this conversation."
    room.setup.edit.setPlainText("Be brief.")
    assert room.setup.use.isEnabled()
    room.setup_button.click()  # closed, not used by its button
    assert room.presenter._instructions == "Be brief."
    room.setup_button.click()
    assert (room.setup.edit.toPlainText(), room.setup.use.isEnabled()) == ("Be brief.", False)


def test_instructions_for_a_conversation_under_way_wait_for_their_button(qtbot, context, window):
    _, leaf = context.store.conversations.start(context.session.project.id, [{"role": "user", "content": "q"}])
    context.store.conversations.add_answers(leaf.id, ["a"])
    window.show_room("chat")
    room = window.room("chat")
    room.presenter.open(leaf.conversation_id)
    room.setup_button.click()
    room.setup.edit.setPlainText("Be brief.")
    room.setup_button.click()
    room.presenter.new_conversation()
    assert room.setup.edit.toPlainText() == ""
    room.presenter.open(leaf.conversation_id)
    assert (room.setup.edit.toPlainText(), room.setup.kept.words.text()) == ("Be brief.", UNSAVED)
    assert room.setup.use.isEnabled()


def test_who_one_is_says_that_it_is_saved(qtbot, context, window):
    window.show_room("settings")
    room = window.room("settings")
    room.name.setText("Ada")
    assert room.kept.words.text() == UNSAVED
    room.name.editingFinished.emit()
    assert room.kept.words.text() == SAVED
    assert context.store.settings.get("who") == "Ada"


def test_a_correction_can_be_kept_only_while_it_changes_something(qtbot, context, window):
    _, leaf = context.store.conversations.start(context.session.project.id, [{"role": "user", "content": "q"}])
    nodes = context.store.conversations.add_answers(leaf.id, ["one", "two"])
    window.show_room("chat")
    room = window.room("chat")
    room.presenter.open(leaf.conversation_id)
    room.presenter._start_judging([node.id for node in nodes])
    card = room.area.board.cards[0]
    for before, after in (("one", "one, but better"), ("one, but better", "one again")):
        qtbot.keyClick(room.area.board, KEY.Key_E)
        assert (card._writing.edit.toPlainText(), card._writing.keep.isEnabled()) == (before, False)
        card._writing.edit.setPlainText(after)
        assert card._writing.keep.isEnabled()
        card._writing.keep.click()
        assert (card._corrected.text(), card._correction.isVisible()) == (after, True)


def test_every_kind_of_field_is_kept(qtbot):
    fields = {"line": QLineEdit(), "text": QPlainTextEdit(), "tick": QCheckBox(), "number": QSpinBox(), "choice": QComboBox()}
    fields["choice"].addItems(["a", "b"])
    for widget in fields.values():
        qtbot.addWidget(widget)
    button = QPushButton()
    qtbot.addWidget(button)
    form, told = KeptForm(fields, button), []
    qtbot.addWidget(form.words)
    form.draftChanged.connect(told.append)
    wanted = {"line": "l", "text": "t", "tick": True, "number": 7, "choice": "b"}
    form.take_up(wanted)
    assert (form.values(), form.dirty, button.isEnabled(), told) == (wanted, True, True, [])
    form.discard()
    assert (form.dirty, button.isEnabled(), told) == (False, False, [None])
    fields["line"].setText("l")
    form.settle()
    fields["line"].setText("")
    form.settle()
    assert told[1:] == [{**form.values(), "line": "l"}, None]
    form.saved()
    assert form.words.text() == SAVED


def test_notes_on_a_model_are_saved_when_the_room_is_left(qtbot, context, window, tmp_path):
    context.session.set_model(ModelRef(name="Tiny", path="/nowhere", hash="tiny-hash"))
    from rlhf_desktop.ui.models.panels import NotesRow

    row, kept = NotesRow("Tiny", "before"), []
    qtbot.addWidget(row)
    row.kept.connect(kept.append)
    row.settle()
    row.line.setText("kind, but wordy")
    assert row._form.words.text() == UNSAVED
    row.settle()
    assert kept == ["kind, but wordy"]


def test_an_answer_of_ones_own_is_there_again_when_it_was_left(qtbot, context, window):
    _, leaf = context.store.conversations.start(context.session.project.id, [{"role": "user", "content": "q"}])
    nodes = context.store.conversations.add_answers(leaf.id, ["one", "two"])
    window.show_room("chat")
    room = window.room("chat")
    room.presenter.open(leaf.conversation_id)
    room.presenter._start_judging([node.id for node in nodes])
    qtbot.keyClick(room.area.board, KEY.Key_W)
    assert not room.area._own.keep.isEnabled()
    qtbot.keyClicks(room.area._own.edit, "my own")
    qtbot.keyClick(room.area._own.edit, KEY.Key_Escape)
    assert room.area.panel.write.text() == "Go on with my own"
    window.show_room("feedback")
    room.presenter.new_conversation()
    room.presenter.open(leaf.conversation_id)
    assert room.area.panel.write.text() == "Go on with my own"
    qtbot.keyClick(room.area.board, KEY.Key_W)
    assert (room.area._own.edit.toPlainText(), room.area._own.keep.isEnabled()) == ("my own", True)
    room.area._own.keep.click()
    (judgement,) = context.store.judgements.effective(context.session.project.id)
    assert judgement.kind == "demonstration"


def test_an_answer_begun_by_oneself_is_kept_when_the_others_are_ranked(qtbot, context, window):
    _, leaf = context.store.conversations.start(context.session.project.id, [{"role": "user", "content": "q"}])
    nodes = context.store.conversations.add_answers(leaf.id, ["one", "two"])
    window.show_room("chat")
    room, said = window.room("chat"), []
    context.session.announced.connect(lambda words, *_more: said.append(words))
    shown = [node.id for node in nodes]
    for end in ("ranked", "skipped"):
        room.presenter.open(leaf.conversation_id)
        room.presenter._start_judging(shown)
        if end == "ranked":
            qtbot.keyClick(room.area.board, KEY.Key_W)
            qtbot.keyClicks(room.area._own.edit, "my own")
            qtbot.keyClick(room.area._own.edit, KEY.Key_Escape)
        assert room.area.panel.write.text() == "Go on with my own"
        qtbot.keyClick(room.area.board, KEY.Key_1 if end == "ranked" else KEY.Key_S)
        assert "kept as a draft" in said[-1]
    room.presenter.open(leaf.conversation_id)
    room.presenter._start_judging(shown)
    qtbot.keyClick(room.area.board, KEY.Key_W)
    assert room.area._own.edit.toPlainText() == "my own"
    room.area._own.keep.click()
    assert said[-1] == "Saved: 1 example"
    room.presenter.open(leaf.conversation_id)
    room.presenter._start_judging(shown)
    assert room.area.panel.write.text() == "Write my own"
