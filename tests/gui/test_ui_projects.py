"""Projects in the whole window: created, judged in, put away, found again after a restart; by keys alone and by mouse alone."""

import re
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from conftest import BASE
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QMenu
from run_script import ScriptedRun
from test_ui_frame_window import nameless, type_and_send

from rlhf_desktop.feedback.project_presets import PROJECT_PRESETS
from rlhf_desktop.operations import project_actions as actions
from rlhf_desktop.operations.conversations import hide_conversation
from rlhf_desktop.operations.projects import open_project
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui import form_drafts
from rlhf_desktop.ui.context import Session
from rlhf_desktop.ui.frame import desk as desk_module
from rlhf_desktop.ui.frame.desk import Desk
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.network import NetworkKeeper
from rlhf_desktop.ui.projects.facts import ProjectFacts
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.sheet import stylesheet
from rlhf_desktop.ui.train import overview

LEFT = Qt.MouseButton.LeftButton
LONG = "A name of many words that says all there is to say of what is taught here, and then a little more of it for good measure"


def open_window(qtbot, context):
    made = Window(context)
    made.desk = Desk(context, made)
    qtbot.addWidget(made)
    made.show()
    made.show_room("chat")
    made.activateWindow()
    qtbot.waitUntil(made.isActiveWindow)
    return made


@pytest.fixture(autouse=True)
def one_model(monkeypatch):
    """Every project talks to the same model: the starter is not installed for these tests."""
    monkeypatch.setattr(desk_module, "chosen_model", lambda *_: (BASE, None))


@pytest.fixture
def window(qtbot, context):
    made = open_window(qtbot, context)
    yield made
    context.chat.stateChanged.disconnect()  # the worker ends after the window is gone
    context.tasks.wait()


def idle(qtbot, context):
    qtbot.waitUntil(lambda: not context.tasks.busy)


def press(qtbot, key, modifiers=Qt.KeyboardModifier.NoModifier):
    qtbot.keyClick(QApplication.focusWidget(), key, modifiers)


def find_and_run(qtbot, window, text):
    """Ctrl+K, some letters, Enter."""
    window.palette_view.open()
    qtbot.keyClicks(window.palette_view.field, text)
    press(qtbot, Qt.Key.Key_Return)


def card(qtbot, window, name):
    """A project's card on the page, once it is there."""
    page = window.desk.projects._page
    qtbot.waitUntil(lambda: any(c.facts.project.name == name for c in page.cards.values()))
    return next(c for c in page.cards.values() if c.facts.project.name == name)


def choose_in_menu(qtbot, window, text):
    qtbot.mouseClick(window.header.project, LEFT)
    qtbot.waitUntil(lambda: isinstance(QApplication.activePopupWidget(), QMenu))
    menu = QApplication.activePopupWidget()
    action = next(a for a in menu.actions() if a.text() == text)
    qtbot.mouseClick(menu, LEFT, pos=menu.actionGeometry(action).center())


def names(found):
    return [project.name for project in found]


def test_by_keys_alone_a_project_is_made_judged_in_archived_deleted_and_restored_after_a_restart(qtbot, window, context, store):
    """The whole life of a project, without a mouse."""
    find_and_run(qtbot, window, "new project")
    page = window.desk.projects._new
    assert QApplication.focusWidget() is page.name
    qtbot.keyClicks(page.name, "Ward & round")
    press(qtbot, Qt.Key.Key_Return)
    composer = window.room("chat").composer.edit
    qtbot.waitUntil(lambda: context.session.project.name == "Ward & round" and QApplication.focusWidget() is composer)
    ward = context.session.project
    assert store.protocols.get(ward.id) == PROJECT_PRESETS[0].protocol
    type_and_send(qtbot, window.room("chat"), "hello", 2)
    press(qtbot, Qt.Key.Key_1)
    press(qtbot, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: len(store.judgements.effective(ward.id)) == 1)

    find_and_run(qtbot, window, "archive this")
    qtbot.waitUntil(lambda: context.session.project.name == "Test project")
    assert names(store.projects.archived()) == ["Ward & round"]
    press(qtbot, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: context.session.project.id == ward.id)

    find_and_run(qtbot, window, "delete this project")
    shown = card(qtbot, window, "Ward & round")
    qtbot.waitUntil(lambda: shown.asking is not None and QApplication.focusWidget() is shown.asking.no)
    assert "1 judgement, 1 conversation" in shown.asking.question.text()
    press(qtbot, Qt.Key.Key_Backtab, Qt.KeyboardModifier.ShiftModifier)
    assert QApplication.focusWidget() is shown.asking.yes
    press(qtbot, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: context.session.project.name == "Test project")
    assert names(store.projects.deleted()) == ["Ward & round"]
    press(qtbot, Qt.Key.Key_Escape)
    assert window.current_room == "chat"
    idle(qtbot, context)
    window.close()

    with Store.open(store.path) as again:
        session = Session(open_project(again))
        assert session.project.name == "Test project"
        later = replace(context, store=again, session=session)
        second = open_window(qtbot, later)
        find_and_run(qtbot, second, "all projects")
        found = card(qtbot, second, "Ward & round")
        assert "erased for good on" in found.facts.words
        while QApplication.focusWidget() is not found.buttons["restore"]:
            press(qtbot, Qt.Key.Key_Tab)
        press(qtbot, Qt.Key.Key_Space)
        qtbot.waitUntil(lambda: names(again.projects.all()) == ["Test project", "Ward & round"])
        assert len(again.judgements.effective(ward.id)) == 1
        idle(qtbot, later)
        second.close()


def test_by_mouse_alone_a_project_is_made_archived_brought_back_deleted_and_restored(qtbot, window, context, store):
    choose_in_menu(qtbot, window, "New project…")
    page = window.desk.projects._new
    qtbot.mouseClick(page.presets[2], LEFT)
    assert page.name.text() == "Summaries"
    qtbot.mouseClick(page.make, LEFT)
    qtbot.waitUntil(lambda: context.session.project.name == "Summaries")
    made = context.session.project
    choose_in_menu(qtbot, window, "Archive")
    qtbot.waitUntil(lambda: names(store.projects.all()) == ["Test project"])
    choose_in_menu(qtbot, window, "All projects")
    qtbot.mouseClick(card(qtbot, window, "Summaries").buttons["unarchive"], LEFT)
    qtbot.waitUntil(lambda: not store.projects.archived())
    idle(qtbot, context)
    qtbot.mouseClick(card(qtbot, window, "Summaries").buttons["delete"], LEFT)
    qtbot.mouseClick(card(qtbot, window, "Summaries").asking.yes, LEFT)
    qtbot.waitUntil(lambda: names(store.projects.deleted()) == ["Summaries"])
    idle(qtbot, context)
    qtbot.mouseClick(card(qtbot, window, "Summaries").buttons["restore"], LEFT)
    qtbot.waitUntil(lambda: names(store.projects.all()) == ["Test project", "Summaries"])
    idle(qtbot, context)
    qtbot.mouseClick(card(qtbot, window, "Summaries").buttons["open"], LEFT)
    assert context.session.project.id == made.id
    assert window.current_room == "chat"


@pytest.mark.parametrize(
    "name", ["", "x" * 200, "bell\x07", "TEST project", "turned\u202earound"], ids=["empty", "long", "bell", "taken", "turned"]
)
def test_a_name_that_cannot_be_used_is_said_beside_the_field_which_keeps_the_focus(qtbot, window, context, store, name):
    window.desk.projects.show_new()
    page = window.desk.projects._new
    page.name.setText(name)
    qtbot.keyClick(page.name, Qt.Key.Key_Return)
    qtbot.waitUntil(page.trouble.isVisible)
    assert QApplication.focusWidget() is page.name
    assert page.make.isEnabled()
    assert names(store.projects.all()) == ["Test project"]
    qtbot.keyClicks(page.name, "Fine")
    qtbot.keyClick(page.name, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: context.session.project.name == "Fine")


@pytest.mark.parametrize("name", ["R&D <b>x</b>", "دعم العملاء", LONG], ids=["markup", "arabic", "long"])
def test_a_name_is_shown_as_it_is_and_never_takes_the_header(qtbot, window, context, name):
    window.desk.projects._made(actions.new_project(context.store, name, PROJECT_PRESETS[-1], "me"))
    idle(qtbot, context)
    assert window.header.project.accessibleName() == f"Project: {name}"
    assert window.header.project.text().replace("&&", "&").rstrip("…") in name
    assert window.header.project.width() < window.header.width() / 2
    window.desk.projects.show_projects()
    assert card(qtbot, window, name).name.text() == name


def test_a_renamed_project_stays_as_it_is_in_front(qtbot, window, context, store):
    """Only its name changes: what is written in the composer, and what is shown, stay."""
    room = window.room("chat")
    qtbot.keyClicks(room.composer.edit, "half a thought")
    find_and_run(qtbot, window, "rename this")
    asking = card(qtbot, window, "Test project")
    qtbot.waitUntil(lambda: asking.asking is not None and QApplication.focusWidget() is asking.asking.name)
    qtbot.keyClicks(asking.asking.name, "Other name")
    press(qtbot, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "Other name" in window.header.project.text())
    assert context.session.project.name == "Other name"
    idle(qtbot, context)
    press(qtbot, Qt.Key.Key_Escape)
    assert room.composer.edit.toPlainText() == "half a thought"


def test_the_line_under_a_new_project_begins_as_a_sentence_does(context, store):
    words = ProjectFacts(context.session.project, actions.Contents(0, 0, 0, 0)).words
    assert words.startswith("Nothing yet · created on ")


def test_a_copy_of_the_settings_is_opened(qtbot, window, context, store):
    store.guidelines.save(context.session.project.id, "Be kind", "me")
    window.desk.projects.show_projects("duplicate")
    shown = card(qtbot, window, "Test project")
    qtbot.waitUntil(lambda: shown.asking is not None)
    qtbot.keyClick(shown.asking.name, Qt.Key.Key_Return)
    qtbot.waitUntil(shown.asking.trouble.isVisible)  # its own name is taken
    qtbot.keyClicks(shown.asking.name, "Night shift")
    qtbot.keyClick(shown.asking.name, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: context.session.project.name == "Night shift")
    assert store.guidelines.current(context.session.project.id).text == "Be kind"


def test_where_the_last_project_is_put_away_a_fresh_one_waits_for_its_name(qtbot, window, context, store):
    window.desk.projects.act(context.session.project.id, "archive")
    page = lambda: window.desk.projects._new  # noqa: E731
    qtbot.waitUntil(lambda: page() is not None and page().isVisible())
    assert "archived or deleted" in page().why.text()
    fresh = context.session.project
    assert fresh.name == "My project"
    assert QApplication.focusWidget() is page().name
    qtbot.keyClicks(page().name, "Second")
    press(qtbot, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: context.session.project.name == "Second")
    assert context.session.project.id == fresh.id, "the empty one is taken: no other is left behind"


@pytest.mark.parametrize("action", ["archive", "delete"])
def test_a_project_whose_run_is_not_over_says_so_and_leads_to_the_run(qtbot, window, context, store, action):
    run = ScriptedRun(context, title="Kinder")
    run.state("queued")
    window.desk.projects.show_projects(action)
    shown = card(qtbot, window, "Test project")
    qtbot.waitUntil(shown.notice.isVisible)
    assert shown.asking is None
    assert "its run “Kinder” is not over" in shown.notice.words.text()
    with qtbot.waitSignal(context.session.runRequested):
        qtbot.mouseClick(shown.notice.button, LEFT)
    assert window.current_room == "train"
    window.desk.projects.act(context.session.project.id, action)
    qtbot.waitUntil(window.trouble.isVisible)
    assert store.projects.all() == [context.session.project]


def test_delete_now_erases_at_once_and_only_after_a_yes(qtbot, window, context, store):
    gone = store.projects.create("Gone")
    store.conversations.start(gone.id, [{"role": "user", "content": "Mrs Zaborowska's letter"}])
    store.projects.delete(gone.id)
    window.desk.projects.show_projects()
    shown = card(qtbot, window, "Gone")
    qtbot.mouseClick(shown.buttons["erase"], LEFT)
    assert "This cannot be undone" in shown.asking.question.text()
    assert not shown.asking.yes.isEnabled()
    shown.asking.sure.click()
    qtbot.mouseClick(shown.asking.yes, LEFT)
    qtbot.waitUntil(lambda: not store.projects.deleted())
    idle(qtbot, context)
    assert b"Zaborowska" not in store.path.read_bytes()
    assert "erased for good" in window.toast.words.text()


def test_esc_leaves_the_question_first_and_then_the_page(qtbot, window):
    window.show_room("label")
    window.desk.projects.show_projects("rename")
    shown = card(qtbot, window, "Test project")
    qtbot.waitUntil(lambda: shown.asking is not None)
    press(qtbot, Qt.Key.Key_Escape)
    assert shown.asking is None
    assert window.current_room == ""
    press(qtbot, Qt.Key.Key_Escape)
    assert window.current_room == "label"


def test_what_another_window_or_command_did_to_the_current_project_is_seen(qtbot, window, context, store):
    other = store.projects.create("Other")
    store.projects.rename(context.session.project.id, "Renamed")
    window.desk.projects.look()
    assert context.session.project.name == "Renamed"
    store.projects.delete(context.session.project.id)
    window.desk.projects.look()
    assert context.session.project.id == other.id
    assert "elsewhere" in window.toast.words.text()


def test_at_the_start_only_what_is_due_is_erased(qtbot, window, context, store):
    old = (datetime.now(UTC) - timedelta(days=31)).isoformat()
    for name, at in (("Old", old), ("New", None)):
        store.projects.delete(store.projects.create(name).id, at=at)
    window.desk.projects.erase_expired()
    idle(qtbot, context)
    assert names(store.projects.deleted()) == ["New"]
    assert "“Old”" in window.toast.words.text()


def test_the_counts_of_the_last_project_are_never_shown_under_the_name_of_the_next(qtbot, window, context, store, monkeypatch):
    idle(qtbot, context)
    began, go, read, header = threading.Event(), threading.Event(), desk_module.outlook, window.header

    def held_up(*asked):
        began.set()
        go.wait()
        return read(*asked)

    shown, show = [], header.show_project
    monkeypatch.setattr(header, "show_project", lambda *said: (shown.append(said), show(*said)))
    monkeypatch.setattr(desk_module, "outlook", held_up)
    window.desk.show_project()
    qtbot.waitUntil(began.is_set)
    context.session.set_project(store.projects.create("Another"))
    assert shown[-1] == ("Another", "", "")  # at once
    go.set()
    qtbot.waitUntil(lambda: shown[-1][0] == "Another" and shown[-1][1] != "")
    assert len([said for said in shown if said[0] == "Another" and said[1]]) == 1


def test_archived_and_deleted_projects_are_in_no_menu_and_not_in_the_palette(qtbot, window, store):
    for name, put_away in (("Away", store.projects.archive), ("Gone", store.projects.delete)):
        put_away(store.projects.create(name).id)
    store.projects.create("Here")
    qtbot.mouseClick(window.header.project, LEFT)
    qtbot.waitUntil(lambda: isinstance(QApplication.activePopupWidget(), QMenu))
    menu = QApplication.activePopupWidget()
    assert [action.text() for action in menu.actions()][:2] == ["Test project", "Here"]
    assert not {"Away", "Gone"} & {action.text() for action in menu.actions()}
    menu.close()
    found = [command.text for text in ("Here", "Away", "Gone") for command in window.desk.find(text) if command.hint == "project"]
    assert found == ["Here"]


def test_every_control_of_both_pages_has_a_name(qtbot, window, context, store):
    store.projects.delete(store.projects.create("Gone").id)
    window.desk.projects.show_new()
    window.desk.projects.show_projects("rename")
    card(qtbot, window, "Gone").ask("erase")
    assert nameless(window) == []


def test_by_keys_the_menu_opens_at_the_name_and_the_project_below_is_opened(qtbot, window, context, store):
    store.projects.create("Below")
    window.header.project.setFocus(Qt.FocusReason.TabFocusReason)
    press(qtbot, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: isinstance(QApplication.activePopupWidget(), QMenu))
    for key in (Qt.Key.Key_Down, Qt.Key.Key_Down, Qt.Key.Key_Return):
        qtbot.keyClick(QApplication.activePopupWidget(), key)
    assert context.session.project.name == "Below"


def test_a_new_name_is_held_against_the_policies_at_once(qtbot, window, context):
    (context.workspace.root / "policy.json").write_text('{"v": 1, "offline_projects": ["Clinic"]}')
    keeper = NetworkKeeper(context.workspace, context.store, context.session, parent=window)
    assert not context.session.network.offline
    window.desk.projects.act(context.session.project.id, "rename", "Clinic")
    qtbot.waitUntil(lambda: context.session.network.offline)
    window.desk.projects.act(context.session.project.id, "rename", "Elsewhere")
    qtbot.waitUntil(window.trouble.isVisible)
    assert context.session.project.name == "Clinic"
    keeper.deleteLater()


def test_the_training_numbers_of_a_copy_are_kept_where_train_looks_for_them():
    assert form_drafts._key(overview._draft_of("ppo")).startswith(actions.TRAINING_NUMBERS)


def test_a_project_is_gone_on_with_in_the_room_and_conversation_it_was_left_in(qtbot, window, context, store):
    first, second = context.session.project, store.projects.create("Second")
    type_and_send(qtbot, window.room("chat"), "hello", 1)
    conversation = window.room("chat").presenter.conversation_id
    window.show_room("label")
    window.desk.projects.open(second)
    assert window.current_room == "label", "one that was never left goes on in the same room"
    window.show_room("feedback")
    window.desk.projects.open(first)
    assert window.current_room == "label"
    assert window.room("chat").presenter.conversation_id == conversation
    window.desk.projects.open(second)
    assert window.current_room == "feedback"
    assert window.room("chat").presenter.conversation_id is None
    hide_conversation(store, first, conversation)
    window.desk.projects.open(first)
    assert window.room("chat").presenter.conversation_id is None, "it was deleted meanwhile"
    idle(qtbot, context)


@pytest.mark.parametrize("scale", [1.0, 1.25, 1.5, 1.75, 2.0])
def test_the_rings_of_choices_are_round_at_every_size(scale):
    """Qt draws a square where the radius is more than half of the whole."""
    rules = re.findall(r"QRadioButton::indicator\S* \{([^}]*)\}", stylesheet(t.LIGHT, scale))
    lengths = [{name: int(px) for name, px in re.findall(r"(width|border|border-radius): (\d+)px", rule)} for rule in rules]
    whole, checked = (found["width"] + 2 * found["border"] for found in lengths)
    assert whole == checked
    assert 2 * lengths[0]["border-radius"] <= whole
