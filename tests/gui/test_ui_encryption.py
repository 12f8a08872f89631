"""Encryption in the window: made, locked, unlocked, changed and removed, with what was typed still there, and nowhere else."""

import contextlib
import gc
import sys
from random import Random

import pytest
from conftest import BASE, FAKE_WORKER
from PySide6.QtCore import QCoreApplication, QEvent, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QLineEdit, QPlainTextEdit, QWidget

from rlhf_desktop import app
from rlhf_desktop.core import encryption as core_encryption
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.feedback.conversations import Generator
from rlhf_desktop.feedback.protocol import Protocol
from rlhf_desktop.operations import encryption, passphrases
from rlhf_desktop.operations.labelling import keep_answers, remember_ready
from rlhf_desktop.operations.projects import open_project
from rlhf_desktop.store.conversations import NewCompletion
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.encryption import unlocking
from rlhf_desktop.ui.encryption.around import HELP
from rlhf_desktop.ui.encryption.card import PLAIN
from rlhf_desktop.ui.encryption.fields import NewPassphrase, PassphraseField
from rlhf_desktop.ui.encryption.idle import IdleLock
from rlhf_desktop.ui.encryption.unlocking import Unlocking, UnlockWindow
from rlhf_desktop.ui.encryption.working import WorkWindow
from rlhf_desktop.ui.frame.desk import Desk
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.settings.room import SettingsRoom
from tests.encrypted import PASSPHRASE, cheap_kdf

KEY, CONTROL = Qt.Key, Qt.KeyboardModifier.ControlModifier
SECRET = "canary: what the patient said"


class Keyring:
    """This computer's, for a test."""

    def __init__(self):
        self.kept = {}

    def get_password(self, service, account):
        return self.kept.get(account)

    def set_password(self, _service, account, value):
        self.kept[account] = value

    def delete_password(self, _service, account):
        del self.kept[account]


@pytest.fixture(autouse=True)
def keyring(monkeypatch):
    made = Keyring()
    monkeypatch.setattr(core_encryption, "new_kdf", cheap_kdf)
    monkeypatch.setitem(sys.modules, "keyring", made)
    return made


@pytest.fixture
def workspace(tmp_path, monkeypatch, qapp, dressed):
    monkeypatch.setenv("RLHF_DESKTOP_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(app, "worker_command", lambda _name: FAKE_WORKER)
    monkeypatch.setattr(Desk, "begin", lambda _desk: None)
    made, before = Workspace(tmp_path / "workspace").ensure(), qapp.quitOnLastWindowClosed()
    qapp.setQuitOnLastWindowClosed(False)  # as the program does
    yield made
    for left in QApplication.topLevelWidgets():  # the program would end with them
        left.close()
        left.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    qapp.setQuitOnLastWindowClosed(before)
    gc.disable()  # the session's collector is on duty
    encryption.lock(made)
    dressed.set_mode("light")


def seen(kind):
    """The window of this kind that is on the screen."""
    found = [top for top in QApplication.topLevelWidgets() if type(top) is kind and top.isVisible()]
    return found[0] if found else None


def play(workspace, steps):
    """Run the program; `steps` yields what it waits for, and goes on as soon as that is so. Ends with the steps."""
    ended, waiting, inside = [], [next(steps)], []

    def look():
        if inside:
            return
        inside.append(True)
        try:
            go_on()
        finally:
            inside.clear()

    def go_on():
        try:
            if not waiting[0]():
                return
            waiting[0] = next(steps)
        except StopIteration:
            waiting.clear()
            clock.stop()
        except BaseException as problem:  # pytest's own, too
            ended.append(problem)
            clock.stop()
            for top in QApplication.topLevelWidgets():
                top._busy = False
                top.close()

    clock = QTimer()
    clock.setInterval(10)
    clock.timeout.connect(look)
    clock.start()
    code = app._work(QApplication.instance(), workspace, None, False)
    clock.stop()
    if ended:
        raise ended[0]
    assert not waiting, "the program ended before the steps"
    return code


def words_on_screen():
    texts = []
    for widget in QApplication.allWidgets():
        with contextlib.suppress(RuntimeError):
            if isinstance(widget, QLabel | QLineEdit):
                texts.append(widget.text())
            elif isinstance(widget, QPlainTextEdit):
                texts.append(widget.toPlainText())
            texts += [widget.toolTip(), widget.accessibleName(), widget.windowTitle()]
    return "\n".join(texts)


def fill(new: NewPassphrase, passphrase):
    new.first.edit.setText(passphrase)
    new.again.edit.setText(passphrase)
    new.known.setChecked(True)


def encrypt(window):
    window.show_room("settings")
    card = window.room("settings").encryption
    card.encrypt.setVisible(True)
    card.encrypt.setEnabled(True)
    card.encrypt.click()
    fill(card.new, PASSPHRASE)
    card._forms["create"].go.click()


def test_a_workspace_is_encrypted_locked_and_goes_on_where_it_was(workspace):
    def steps():
        yield lambda: seen(Window)
        window = seen(Window)
        window.show_room("chat")
        QTest.keyClicks(window.room("chat").composer.edit, SECRET)
        encrypt(window)
        del window
        yield lambda: seen(Window) and encryption.status(workspace).state == "on"
        assert not workspace.database.read_bytes().startswith(b"SQLite format 3")
        window = seen(Window)
        assert window.current_room == "settings"
        assert "is encrypted now" in window.toast.words.text()
        window.show_room("chat")
        assert window.room("chat").composer.edit.toPlainText() == SECRET
        window.activateWindow()
        yield window.isActiveWindow
        QTest.keyClick(window, KEY.Key_L, CONTROL)
        del window
        yield lambda: seen(UnlockWindow) and QApplication.focusWidget() is not None
        locked = seen(UnlockWindow)
        assert SECRET not in words_on_screen()
        assert encryption.is_locked(workspace)
        assert QApplication.focusWidget() is locked.passphrase.edit
        locked.passphrase.edit.setText("not this one")
        QTest.keyClick(locked.passphrase.edit, KEY.Key_Return)
        yield locked.notice.isVisible
        assert locked.notice.words.text().startswith("This is not the passphrase of this workspace.")
        assert locked.passphrase.edit.selectedText() == "not this one"
        locked.passphrase.edit.setText(PASSPHRASE)
        QTest.keyClick(locked.passphrase.edit, KEY.Key_Return)
        yield lambda: seen(Window)
        window = seen(Window)
        assert window.current_room == "chat"
        assert window.room("chat").composer.edit.toPlainText() == SECRET
        window.close()

    assert play(workspace, steps()) == 0
    assert encryption.status(workspace).encrypted


def test_the_encryption_is_removed_with_the_passphrase_only(workspace, keyring):
    encryption.create(workspace, PASSPHRASE)
    passphrases.remember(workspace, PASSPHRASE)

    def ask_to_remove(passphrase):
        window = seen(Window)
        window.show_room("settings")
        card = window.room("settings").encryption
        card._open("remove")
        card.passphrase.edit.setText(passphrase)
        card._forms["remove"].go.click()

    def steps():
        yield lambda: seen(Window)
        ask_to_remove("not this one")
        yield lambda: seen(WorkWindow) and seen(WorkWindow).back.isVisible()
        assert "not the passphrase" in seen(WorkWindow).notice.words.text()
        seen(WorkWindow).back.click()
        yield lambda: seen(Window)
        assert encryption.status(workspace).encrypted
        ask_to_remove(PASSPHRASE)
        yield lambda: seen(Window) and not encryption.status(workspace).encrypted
        assert seen(Window).current_room == "settings"
        seen(Window).close()

    assert play(workspace, steps()) == 0
    assert workspace.database.read_bytes().startswith(b"SQLite format 3")
    assert keyring.kept == {}


def test_what_the_keyring_remembers_opens_at_the_start_and_not_after_a_lock(workspace, keyring):
    encryption.create(workspace, PASSPHRASE)
    encryption.lock(workspace)

    def steps():
        yield lambda: seen(UnlockWindow) and not seen(UnlockWindow)._busy
        locked = seen(UnlockWindow)
        assert not locked.remember.isChecked()
        locked.remember.setChecked(True)
        locked.passphrase.edit.setText(PASSPHRASE)
        locked.go.click()
        yield lambda: seen(Window)
        seen(Window).close()

    assert play(workspace, steps()) == 0
    assert len(keyring.kept) == 1
    encryption.lock(workspace)

    def again():
        yield lambda: seen(Window)  # nothing was typed
        seen(Window).show_room("models")
        seen(Window)._context.session.lockRequested.emit()
        yield lambda: seen(UnlockWindow)
        assert not seen(UnlockWindow)._busy, "somebody has locked it: the keyring does not open it again"
        seen(UnlockWindow).close()

    assert play(workspace, again()) == 0


def test_after_a_lock_the_item_that_was_being_judged_is_there_again_with_what_was_said(workspace):
    encryption.create(workspace, PASSPHRASE)
    with Store.open(workspace.database) as store:
        project = open_project(store)
        store.prompts.create_set(project.id, "set", [[{"role": "user", "content": text}] for text in ("first", "second")])
        made, by = [NewCompletion("one"), NewCompletion("two")], Generator.of(BASE, None, Sampling())
        prompts = store.prompts.prompts(project.id)
        remember_ready(store, project, [keep_answers(store, project, each, made, by, Random(7)) for each in prompts])
        store.protocols.set(project.id, Protocol(answers=2, reason="required"))

    def steps():
        yield lambda: seen(Window)
        window = seen(Window)
        window.show_room("label")
        room = window.room("label")
        yield lambda: room.widget().currentWidget() is room.ready
        room.ready.button.click()
        yield lambda: room.presenter.judging.showing is not None
        room.presenter.judging.set_why(SECRET)
        shown = room.presenter.judging.showing.displayed
        window._context.session.lockRequested.emit()
        del window, room
        yield lambda: seen(UnlockWindow)
        seen(UnlockWindow).passphrase.edit.setText(PASSPHRASE)
        seen(UnlockWindow).go.click()
        yield lambda: seen(Window)
        room = seen(Window).room("label")
        yield lambda: room.presenter.judging.showing is not None
        assert room.presenter.judging.showing.displayed == shown
        assert room.presenter.judging.draft.why == SECRET
        seen(Window).close()

    assert play(workspace, steps()) == 0


@pytest.fixture
def locked(qtbot, workspace):
    encryption.create(workspace, PASSPHRASE)
    encryption.lock(workspace)
    made = UnlockWindow(workspace, by_keyring=False)
    made.ended = []
    made.finished.connect(made.ended.append)
    qtbot.addWidget(made)
    made.show()
    return made


def test_another_workspace_can_be_chosen(locked, tmp_path, monkeypatch):
    monkeypatch.setattr(unlocking.QFileDialog, "open", lambda dialog: dialog.fileSelected.emit(str(tmp_path)))
    locked.other.click()
    assert locked.ended == [Unlocking("other", tmp_path)]


def test_the_page_is_used_by_keyboard_alone_and_every_control_has_a_name(qtbot, locked):
    controls = [each for each in locked.findChildren(QWidget) if isinstance(each, QAbstractButton | QLineEdit) and each.isVisible()]
    assert [each for each in controls if not each.accessibleName()] == []
    with qtbot.waitActive(locked):
        locked.activateWindow()
    visited = []
    locked.passphrase.edit.setText(PASSPHRASE)
    for _ in controls:
        visited.append(QApplication.focusWidget())
        qtbot.keyClick(visited[-1], KEY.Key_Tab)
    assert visited[:3] == [locked.passphrase.edit, locked.passphrase.show_button, locked.remember]
    assert set(visited) == set(controls)
    qtbot.keyClick(locked, KEY.Key_F1)
    assert locked.pane.isVisible()
    assert locked.pane.target == HELP
    qtbot.keyClick(QApplication.focusWidget(), KEY.Key_Escape)
    assert not locked.pane.isVisible()


def test_restoring_a_backup_needs_the_passphrase(qtbot, locked):
    locked.restore.click()
    assert "Type the passphrase first" in locked.notice.words.text()
    locked.passphrase.edit.setText(PASSPHRASE)
    locked.restore.click()
    qtbot.waitUntil(lambda: bool(locked.ended))
    assert locked.ended == [Unlocking("restore")]


def test_the_passphrase_is_changed_in_settings_and_in_the_keyring(qtbot, context, keyring):
    header, keys = core_encryption.new_header(PASSPHRASE)
    core_encryption.write_header(context.workspace.root, header)
    core_encryption.remember(keys)
    passphrases.remember(context.workspace, PASSPHRASE)
    room, said = SettingsRoom(context), []
    qtbot.addWidget(room.widget())
    room.widget().show()
    context.session.announced.connect(lambda words, *_: said.append(words))
    room._look_at_encryption()
    card = room.encryption
    qtbot.waitUntil(card.change.isVisible)
    assert "keyring remembers" in card.state.text()
    card.change.click()
    form = card._forms["change"]
    for old in ("not this one", PASSPHRASE):
        card.old.edit.setText(old)
        fill(card.newer, "five words of a new kind")
        assert form.go.isEnabled()
        card.newer.again.edit.setFocus()
        QTest.keyClick(card.newer.again.edit, KEY.Key_Return)
        qtbot.waitUntil(lambda old=old: card.notice.isVisible() if old != PASSPHRASE else bool(said))
    assert not form.isVisible()
    assert (card.old.text(), card.newer.text()) == ("", "")
    assert passphrases.remembered(context.workspace) == "five words of a new kind"
    changed = core_encryption.read_header(context.workspace.root)
    assert core_encryption.keys_in(changed, "five words of a new kind") == keys
    encryption.lock(context.workspace)


def test_a_new_passphrase_is_ready_when_it_is_long_the_same_twice_and_known_to_be_lost_if_forgotten(qtbot):
    new = NewPassphrase()
    qtbot.addWidget(new)
    new.show()
    for first, again, known, ready in (
        ("short", "short", True, False),
        ("long enough", "long enougH", True, False),
        ("long enough", "long enough", False, False),
        ("long enough", "long enough", True, True),
    ):
        new.first.edit.setText(first)
        new.again.edit.setText(again)
        new.known.setChecked(known)
        assert new.ready is ready
    assert new.same.text() == "The two are the same."


@pytest.mark.parametrize(
    ("passphrase", "said", "weak"),
    [
        ("short", "Too short", True),
        ("password123", "Weak", True),
        ("aaaaaaaaaaaaaaaaaaaa", "Weak", True),
        ("kettle mountain", "Weak", True),
        ("kettle mountain purple verdict", "Fair", False),
        ("kettle mountain purple verdict sandwich lamp", "Strong", False),
        ("vT9#qLp2!xWz7&Kd", "Strong", False),
    ],
)
def test_the_strength_of_a_passphrase_is_said_in_words(passphrase, said, weak):
    found = passphrases.strength(passphrase)
    assert found.words.startswith(said)
    assert found.weak is weak


def test_a_passphrase_is_hidden_until_it_is_to_be_seen_and_hidden_again_when_it_is_cleared(qtbot):
    field = PassphraseField("Passphrase")
    qtbot.addWidget(field)
    field.show()
    qtbot.keyClicks(field.edit, "secret")
    assert field.edit.displayText() != "secret"
    qtbot.keyClick(field.show_button, KEY.Key_Space)
    assert (field.edit.displayText(), field.show_button.accessibleName()) == ("secret", "Hide: Passphrase")
    field.clear()
    assert not field.show_button.isChecked()
    field.edit.undo()
    assert field.text() == ""


def test_nothing_used_for_minutes_locks_and_a_key_or_the_mouse_puts_it_off(qtbot):
    now, heard = [0.0, 1000.0], []
    watcher, widget = IdleLock(5, lambda: tuple(now)), QWidget()
    qtbot.addWidget(widget)
    watcher.idle.connect(lambda: heard.append(True))
    press, click = lambda: qtbot.keyClick(widget, KEY.Key_A), lambda: qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)
    for act in (press, click, lambda: None):
        now[0] += 299
        assert not watcher.look()
        act()
    now[0] += 1
    assert watcher.look()
    assert heard == [True]
    assert not watcher.look(), "once"
    watcher.set_minutes(5)
    now[1] += 300  # the computer slept: only the clock on the wall has gone on, and the first key comes too late
    qtbot.keyClick(widget, KEY.Key_A)
    assert heard == [True, True]
    watcher.set_minutes(0)
    now[0] += 10_000
    assert not watcher.look()


def test_what_encryption_does_not_cover_is_in_the_guide():
    from rlhf_desktop.ui.help import guide

    page = guide.page("privacy").markdown
    assert [what for what, _why in PLAIN if what.casefold() not in page.casefold()] == []
