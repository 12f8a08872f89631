import pytest
from PySide6.QtGui import QGuiApplication

from rlhf_desktop.core.commands import worker_environment
from rlhf_desktop.core.devices import DEVICE as DEVICE_VARIABLE
from rlhf_desktop.core.devices import choose_device, chosen_device
from rlhf_desktop.core.errors import WorkerTrouble
from rlhf_desktop.core.offline import NetworkRule
from rlhf_desktop.core.paths import resources_dir
from rlhf_desktop.core.runs import DeviceRef
from rlhf_desktop.jobs import device
from rlhf_desktop.store.profiles import Profile
from rlhf_desktop.ui.people import who_am_i
from rlhf_desktop.ui.settings import device as settings_device
from rlhf_desktop.ui.settings.privacy import SENT
from rlhf_desktop.ui.settings.room import SettingsRoom
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.style import current
from rlhf_desktop.ui.widgets.text import Label

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


def test_the_role_belongs_to_whoever_judges_here_and_stands_in_the_team(context, room):
    def give(field, text):
        field.clear()
        field.insert(text)
        field.editingFinished.emit()

    give(room.name, "Amina Haddad")
    give(room.role, "Nurse")
    context.store.profiles.save(Profile("Bo Lind", "Pharmacist", "PhD"))
    assert context.store.profiles.get("Amina Haddad").role == "Nurse"
    give(room.name, "Bo Lind")
    assert room.role.text() == "Pharmacist"
    give(room.role, "Chief pharmacist")
    assert (context.store.profiles.get("Bo Lind").role, context.store.profiles.get("Bo Lind").credentials) == (
        "Chief pharmacist",
        "PhD",
    )
    assert context.store.profiles.get("Amina Haddad").role == "Nurse"


def test_the_computer_is_described_or_the_trouble_said(qtbot, monkeypatch, room):
    monkeypatch.setattr(settings_device, "probe_device", lambda refresh: DEVICE)
    room.probe(refresh=True)
    qtbot.waitUntil(lambda: room.device.facts.rowCount() == 5)
    assert not room.device.choice.isVisible()  # there is but one

    def fail(refresh):
        raise WorkerTrouble("The training software is broken.", "Install again.")

    monkeypatch.setattr(settings_device, "probe_device", fail)
    room.probe(refresh=True)
    qtbot.waitUntil(lambda: "broken" in room.device.words.text())


CARD = {"kind": "nvidia", "memory_total_bytes": 24e9, "memory_available_bytes": 20e9, "fast_dtype": "float16"}
CARDS = {
    **DEVICE,
    "devices": [
        {**CARD, "id": "cuda:0", "name": "Small Card", "uuid": "GPU-a"},
        {**CARD, "id": "cuda:1", "name": "Large Card", "uuid": "GPU-b"},
        {"id": "cpu", "kind": "cpu", "name": "Test CPU", "uuid": "", "memory_total_bytes": 8e9, "fast_dtype": "bfloat16"},
    ],
}


@pytest.fixture
def cards(monkeypatch):
    monkeypatch.setattr(settings_device, "probe_device", lambda refresh: CARDS)
    free = {"GPU-a": 5e9, "GPU-b": 12e9}
    monkeypatch.setattr(device.nvml, "free_bytes", free.get)
    return free


def texts(choice):
    return [choice.itemText(index) for index in range(choice.count())]


def test_every_device_is_offered_with_its_free_memory_and_the_choice_is_kept(qtbot, context, room, cards):
    room.probe(refresh=False)
    choice = room.device.choice
    qtbot.waitUntil(choice.isVisible)
    assert texts(choice)[:3] == [
        "Automatic: the card with the most free memory",
        "Small Card · 5.0 GB of 24 GB free",
        "Large Card · 12 GB of 24 GB free",
    ]
    assert texts(choice)[3].startswith("Test CPU (the processor) · ")
    assert room.device.facts.itemAt(0, room.device.facts.ItemRole.FieldRole).widget().text() == "Large Card (cuda:1)"
    choice.setCurrentIndex(1)
    with qtbot.waitSignal(context.session.deviceChosen):
        choice.activated.emit(1)
    assert chosen_device() == DeviceRef(id="cuda:0", uuid="GPU-a", name="Small Card")
    assert worker_environment()[DEVICE_VARIABLE] == "GPU-a"
    cards["GPU-a"] = 1e9
    room.probe(refresh=False)
    qtbot.waitUntil(lambda: choice.currentText() == "Small Card · 1.0 GB of 24 GB free")
    choice.activated.emit(0)
    assert chosen_device() is None


def test_a_chosen_card_that_is_gone_is_said(qtbot, room, cards):
    choose_device(DeviceRef(id="cuda:2", uuid="GPU-c", name="Old Card"))
    room.probe(refresh=False)
    qtbot.waitUntil(lambda: room.device.choice.currentText() == "Old Card: not in this computer now")


@pytest.fixture
def keeper(room, monkeypatch):
    """No keyring of whoever runs the tests."""
    made = room._keeper
    monkeypatch.setattr(made, "get", lambda: made._session)
    monkeypatch.setattr(made, "keep", lambda token: made.use(token) or "session")
    monkeypatch.setattr(made, "forget", lambda: setattr(made, "_session", None))
    return made


def test_the_offline_switch_is_passed_on(qtbot, context, room):
    with qtbot.waitSignal(context.session.offlineChosen) as chosen:
        room.privacy.network._group.button(1).click()
    assert chosen.args == [True]
    context.session.set_network(NetworkRule(True, True, "A policy file keeps everything here offline."))
    assert room.privacy.network.value() is True
    assert not room.privacy.network.isEnabled()
    assert "policy file" in room.privacy.lock.words.text()


def test_a_token_is_kept_shown_nowhere_and_forgotten(qtbot, context, room, keeper, tmp_path):
    canary = "hf_canarycanarycanary"
    room.privacy.token.setText(canary)
    room.privacy.keep.click()
    qtbot.waitUntil(lambda: "until you close" in room.privacy.token_words.text())
    assert keeper.get().value == canary
    assert room.privacy.token.text() == ""
    said = [label.text() for label in room.widget().findChildren(Label)]
    assert canary not in "".join(said)
    assert all(canary.encode() not in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    room.privacy.forget.click()
    qtbot.waitUntil(lambda: "No token" in room.privacy.token_words.text())


def test_the_guide_says_all_that_is_ever_sent():
    page = (resources_dir() / "guide" / "privacy.md").read_text("utf-8").lower()
    for when, what in SENT:
        assert when.lower() in page
        assert what.lower() in page


def test_about_shows_the_licence_of_every_library(room):
    def shown(start):
        return any(label.text().startswith(start) for label in room.widget().findChildren(Label))

    assert not shown("transformers ")
    room.licences.click()
    assert shown("transformers ")
    assert shown("krippendorff ")


def audit_of(qtbot, room):
    room.activated()
    qtbot.waitUntil(lambda: room.audit.model.rowCount() > 0)
    return room.audit


def test_the_audit_log_is_listed_verified_and_its_head_copied(qtbot, context, room):
    context.store.settings.set("who", "Ada")
    context.store.audit.note("exported", form="rankings")
    card = audit_of(qtbot, room)
    cells = [card.model.data(card.model.index(0, column)) for column in range(1, 4)]
    assert cells == ["Ada", "Exported", "rankings"]
    card.verify.click()
    qtbot.waitUntil(lambda: "fit" in card.result.words.text())
    card.copy.click()
    assert QGuiApplication.clipboard().text() == str(context.store.audit.head())


def test_an_audit_log_that_was_changed_says_where(qtbot, context, room):
    context.store.audit.note("exported", form="rankings")
    card = audit_of(qtbot, room)
    last = context.store.audit.head().seq
    context.store.connection.execute("DROP TRIGGER audit_never_changes")
    context.store.connection.execute("UPDATE audit_log SET at = '2020-01-01T00:00:00+00:00' WHERE seq = ?", (last,))
    card.verify.click()
    qtbot.waitUntil(lambda: f"does not hold: Entry {last} was changed." in card.result.words.text())


def test_an_audit_log_is_verified_with_a_file(qtbot, context, room, tmp_path):
    card = audit_of(qtbot, room)
    (tmp_path / "report.md").write_text(f"Audit log, last entry: {'ab' * 32}:900", "utf-8")
    card.check([tmp_path / "report.md"])
    qtbot.waitUntil(lambda: "to 900 are missing" in card.result.words.text())
    (tmp_path / "report.md").write_text(str(context.store.audit.head()), "utf-8")
    card.check([tmp_path / "report.md"])
    qtbot.waitUntil(lambda: "1 exported head is in it" in card.result.words.text())


def test_older_entries_of_the_audit_log_come_when_asked_for(qtbot, context, room):
    for _ in range(250):
        context.store.audit.note("exported", form="rankings")
    card = audit_of(qtbot, room)
    assert card.model.rowCount() == 200
    card.older.click()
    qtbot.waitUntil(lambda: card.model.rowCount() == context.store.audit.head().seq)
    assert not card.older.isVisibleTo(card)


@pytest.mark.parametrize(("mode", "warned"), [(0o755, True), (0o700, False)])
def test_a_workspace_that_others_can_list_is_said(qtbot, context, mode, warned):
    context.workspace.root.chmod(mode)
    made = SettingsRoom(context)
    qtbot.addWidget(made.widget())
    made.widget().show()
    assert made.privacy.others.isVisible() is warned
    assert ("chmod 700" in made.privacy.others.words.text()) is warned
