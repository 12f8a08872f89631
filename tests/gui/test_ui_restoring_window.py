"""A window without its database offers the backups; what is restored opens; Settings leads there too."""

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QRadioButton

from rlhf_desktop import app as program
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.feedback.judgements import Judgement, Thumbs
from rlhf_desktop.operations.opening import open_store
from rlhf_desktop.store.backups import daily_path
from rlhf_desktop.ui.restoring.window import RestoreWindow

WAIT_MS = 30_000


@pytest.fixture
def workspace(tmp_path, monkeypatch, qapp):
    """Two judgements in a backup, and a third since."""
    monkeypatch.setenv("RLHF_DESKTOP_STATE", str(tmp_path / "state"))
    where = Workspace(tmp_path / "workspace").ensure()
    for n in range(3):
        with open_store(where) as store:
            project = store.projects.ensure("Support")
            _, question = store.conversations.start(project.id, [{"role": "user", "content": f"Question {n}"}])
            (answer,) = store.conversations.add_answers(question.id, ["an answer"])
            store.judgements.add(Judgement(project.id, "me", (answer.id,), Thumbs(True)))
        daily_path(where.backups).unlink(missing_ok=n < 2)
        with open_store(where):
            pass
    daily_path(where.backups).unlink()
    with open_store(where) as store:
        store.settings.set("welcomed", True)
    return where


@pytest.fixture
def opened(workspace, qtbot):
    def open_() -> RestoreWindow:
        window = RestoreWindow(workspace)
        qtbot.addWidget(window)
        window.show()
        qtbot.waitUntil(window.leave.isEnabled, timeout=WAIT_MS)
        return window

    return open_


def words_of(window):
    return [button.text() for button in window.findChildren(QRadioButton)]


def test_a_missing_database_offers_its_backups(workspace, opened, qtbot):
    workspace.database.unlink()
    window = opened()
    assert "missing" in window._title.text()
    assert [w.split(" – ")[1] for w in words_of(window)] == ["daily"]
    assert window.findChildren(QRadioButton)[0].accessibleDescription().startswith("3 judgements")
    assert not window.alone.isVisible()
    assert window.empty.isVisible()
    assert window.focusWidget() is window.findChildren(QRadioButton)[0], "never on what begins the work"
    with qtbot.waitSignal(window.finished, timeout=WAIT_MS) as done:
        window.go.click()
    assert done.args[0].contents.judgements == 3
    with open_store(workspace) as store:
        assert len(store.judged(store.projects.all()[0].id)) == 3


def test_a_well_database_can_be_closed_and_nothing_is_changed(workspace, opened, qtbot):
    before = workspace.database.read_bytes()
    window = opened()
    assert window._title.text() == "Restore a backup"
    assert not window.empty.isVisible()
    with qtbot.waitSignal(window.finished, timeout=WAIT_MS) as done:
        window.leave.click()
    assert done.args == [None]
    assert workspace.database.read_bytes() == before


def test_a_trouble_is_said_and_one_can_try_again(workspace, opened, qtbot, monkeypatch):
    from rlhf_desktop.operations import restoring

    workspace.database.unlink()
    window = opened()
    with monkeypatch.context() as full:
        full.setattr(restoring.shutil, "copyfile", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        window.go.click()
        qtbot.waitUntil(window.notice.isVisible, timeout=WAIT_MS)
    assert "disk is full" in window.notice.words.text()
    with qtbot.waitSignal(window.finished, timeout=WAIT_MS):
        window.go.click()


def when_there(kind, do):
    """Do something with the first window of a kind once it is shown, from inside the program's own event loop."""
    timer = QTimer()

    def look():
        for widget in QApplication.topLevelWidgets():
            if isinstance(widget, kind) and widget.isVisible() and do(widget):
                timer.stop()
                return

    timer.timeout.connect(look)
    timer.start(20)
    return timer


def restore_now(window):
    if not window.go.isEnabled():
        return False
    window.go.click()
    return True


def close(window):
    window.close()
    return True


def test_the_program_starts_with_the_backups_and_goes_on_with_what_was_restored(workspace, monkeypatch):
    monkeypatch.setattr(program.Desk, "begin", lambda self: None)
    workspace.database.unlink()
    timers = [when_there(RestoreWindow, restore_now), when_there(program.Window, close)]
    assert program.main([], workspace) == 0
    assert all(not timer.isActive() for timer in timers)
    with open_store(workspace) as store:
        assert len(store.judged(store.projects.all()[0].id)) == 3


def test_who_closes_the_backups_of_a_missing_database_ends_the_program(workspace, monkeypatch):
    workspace.database.unlink()
    timer = when_there(RestoreWindow, lambda window: window.leave.isEnabled() and close(window))
    assert program.main([], workspace) == 1
    assert not timer.isActive()
    assert not workspace.database.exists()


def test_settings_lead_to_the_backups_and_back(workspace, monkeypatch):
    monkeypatch.setattr(program.Desk, "begin", lambda self: None)
    opened = []

    def first(window):
        opened.append(window)
        if len(opened) == 1:
            window.show_room("settings")
            window.room("settings").restore.click()
            return False
        return close(window) if window is not opened[0] else False

    timers = [when_there(program.Window, first), when_there(RestoreWindow, restore_now)]
    assert program.main([], workspace) == 0
    assert len({id(window) for window in opened}) == 2
    assert all(not timer.isActive() for timer in timers)
