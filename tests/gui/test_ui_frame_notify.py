"""The tray says how runs go where there is a tray and it is wanted; a stand-in for the system's."""

import pytest
from PySide6.QtWidgets import QSystemTrayIcon

from rlhf_desktop.ui.frame.desk import Desk
from rlhf_desktop.ui.frame.notify import TRAY, Notifier, Tray
from rlhf_desktop.ui.frame.standing import Seen
from rlhf_desktop.ui.frame.window import Window
from rlhf_desktop.ui.settings.room import SettingsRoom


@pytest.fixture
def window(qtbot, context):
    made = Window(context)
    qtbot.addWidget(made)
    made.show()
    return made


@pytest.fixture
def system(monkeypatch):
    """A system with a tray; what it was told."""
    told = []
    monkeypatch.setattr(QSystemTrayIcon, "isSystemTrayAvailable", staticmethod(lambda: True))
    monkeypatch.setattr(QSystemTrayIcon, "supportsMessages", staticmethod(lambda: True))
    monkeypatch.setattr(QSystemTrayIcon, "showMessage", lambda _self, _title, text, _icon: told.append(text))
    return told


def test_the_tray_says_how_runs_go_and_a_press_brings_the_window(window, store, system, monkeypatch):
    tray, fronts = Tray(window, store.settings), []
    monkeypatch.setattr(window, "bring_to_front", lambda: fronts.append(True))
    tray.show_run("PPO 41% · 3 min")
    assert tray._icon is None  # nothing before it is asked for
    tray.refresh()
    assert tray._icon.toolTip() == "RLHF Desktop: PPO 41% · 3 min"
    tray._icon.activated.emit(QSystemTrayIcon.ActivationReason.Trigger)
    tray._icon.activated.emit(QSystemTrayIcon.ActivationReason.Context)
    assert fronts == [True]
    tray.show_run("")
    assert tray._icon.toolTip() == "RLHF Desktop: no run"
    assert [action.text() for action in tray._icon.contextMenu().actions()] == [
        "Open RLHF Desktop",
        "No run",
        "",
        "Close the window; runs go on",
    ]


def test_it_is_turned_off_in_settings_and_on_again(qtbot, window, context, store, system):
    desk = Desk(context, window)
    desk._tray.refresh()
    assert desk._tray._icon.isVisible()
    room = SettingsRoom(context)
    qtbot.addWidget(room.widget())
    room.tray.click()
    assert store.settings.get(TRAY) is False
    assert not desk._tray._icon.isVisible()
    room.tray.click()
    assert desk._tray._icon.isVisible()
    desk._saw(Seen([], 0))
    context.chat.stateChanged.disconnect()


def test_without_a_tray_there_is_none_and_no_switch(qtbot, window, context, store, monkeypatch):
    monkeypatch.setattr(QSystemTrayIcon, "isSystemTrayAvailable", staticmethod(lambda: False))
    tray = Tray(window, store.settings)
    tray.refresh()
    tray.show_run("PPO 41%")
    assert tray._icon is None
    assert not tray.say("ready")
    room = SettingsRoom(context)
    qtbot.addWidget(room.widget())
    assert not room.tray.isVisibleTo(room.widget())


def test_a_message_shows_an_icon_that_is_not_wanted_only_as_long_as_itself(window, store, system, monkeypatch):
    store.settings.set(TRAY, False)
    tray = Tray(window, store.settings)
    tray.refresh()
    monkeypatch.setattr(window, "isActiveWindow", lambda: False)
    assert Notifier(window, tray).notify("“Kinder” is ready.")
    assert system == ["“Kinder” is ready."]
    assert tray._icon.isVisible()
    tray._going.timeout.emit()
    assert not tray._icon.isVisible()
