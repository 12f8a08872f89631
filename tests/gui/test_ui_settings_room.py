import pytest

from rlhf_desktop.core.errors import WorkerTrouble
from rlhf_desktop.ui.people import who_am_i
from rlhf_desktop.ui.settings import room as settings_room
from rlhf_desktop.ui.settings.room import SettingsRoom
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.style import current

DEVICE = {
    "device": "cpu",
    "name": "Test CPU",
    "memory_total_bytes": 8e9,
    "ram_total_bytes": 8e9,
    "fast_dtype": "bfloat16",
    "versions": {},
}


@pytest.fixture
def room(qtbot, context):
    made = SettingsRoom(context)
    qtbot.addWidget(made.widget())
    made.widget().show()
    return made


def test_the_theme_switches_at_once_and_is_kept(context, room):
    room.appearance._group.button(2).click()
    assert current() is t.DARK
    assert context.store.settings.get("appearance") == "dark"
    room.appearance._group.button(1).click()
    assert current() is t.LIGHT


def test_the_control_follows_a_switch_made_elsewhere(context, room):
    context.theme.set_mode("dark")
    assert room.appearance.value() == "dark"


def test_the_name_is_kept_and_used_for_judgements(qtbot, context, room):
    room.name.setText("Amina Haddad")
    room.name.editingFinished.emit()
    assert who_am_i(context.store) == "Amina Haddad"


def test_the_computer_is_described_or_the_trouble_said(qtbot, monkeypatch, room):
    monkeypatch.setattr(settings_room, "probe_device", lambda refresh: DEVICE)
    room.probe(refresh=True)
    qtbot.waitUntil(lambda: room._facts.rowCount() == 5)

    def fail(refresh):
        raise WorkerTrouble("The training software is broken.", "Install again.")

    monkeypatch.setattr(settings_room, "probe_device", fail)
    room.probe(refresh=True)
    qtbot.waitUntil(lambda: "broken" in room._device_words.text())
