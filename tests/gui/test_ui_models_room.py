import json

import pytest
from run_script import ScriptedRun

from rlhf_desktop.core import runs
from rlhf_desktop.hub.library import LibraryModel
from rlhf_desktop.ui.models import room as models_room
from rlhf_desktop.ui.models.cards import BaseCard
from rlhf_desktop.ui.models.room import ModelsRoom


@pytest.fixture
def room(qtbot, context, monkeypatch):
    monkeypatch.setattr(models_room, "probe_device", lambda: {"name": "Test CPU", "memory_total_bytes": 8e9})
    made = ModelsRoom(context)
    qtbot.addWidget(made.widget())
    made.widget().show()
    return made


def add_base(context, name="Tiny", digest="tiny-hash"):
    model = LibraryModel(
        name=name, path=".", source=name, source_sha256="", hash=digest, licence="MIT", parameters=10**6, size_bytes=9
    )
    folder = context.workspace.models / name
    folder.mkdir()
    (folder / "model.json").write_text(model.model_dump_json())


def cards(room):
    return room.widget().findChildren(BaseCard)


def said(qtbot, room):
    qtbot.waitUntil(lambda: room.notice.isVisible() and "…" not in room.notice.words.text() and not room._preparing.active)
    return room.notice.words.text()


def test_a_folder_without_weights_is_refused_in_words(qtbot, room, tmp_path):
    bad = tmp_path / "bad-model"
    bad.mkdir()
    (bad / "config.json").write_text("{}")
    room.add(bad)
    assert "weights" in said(qtbot, room) or "safetensors" in said(qtbot, room)
    assert room.add_folder.isEnabled()
    assert cards(room) == []


def test_what_is_no_model_is_refused_in_words(qtbot, room, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("hello")
    room.add(file)
    assert "notes.txt is not a model" in said(qtbot, room)


def test_a_good_folder_is_added_and_shown(qtbot, room, context, tiny_model):
    room.activated()
    room.add(__import__("pathlib").Path(tiny_model.path))
    assert "is in the library" in said(qtbot, room)
    qtbot.waitUntil(lambda: len(cards(room)) == 1)


def test_an_empty_library_offers_the_starter(qtbot, room):
    room.activated()
    qtbot.waitUntil(lambda: room.empty.isVisible())
    assert room.empty.button.text() == "Prepare the starter model"


def test_adapters_stand_under_their_base_and_one_becomes_current(qtbot, room, context):
    add_base(context)
    run = ScriptedRun(context, algorithm="sft", title="Taught")
    run.result()
    run.state("done")
    reward = ScriptedRun(context, algorithm="reward", title="Marks")
    reward.result("reward")
    room.activated()
    qtbot.waitUntil(lambda: len(cards(room)) == 1)
    (card,) = cards(room)
    assert len(card.lines) == 2
    room.make_current("Tiny", None)
    with qtbot.waitSignal(context.session.modelChanged):
        next(line for line in card.lines.values() if line.accessibleName() or True).chosen.emit()
    assert context.session.base.name == "Tiny"


def test_removing_asks_in_place_and_keeps_the_run(qtbot, room, context):
    add_base(context)
    run = ScriptedRun(context, algorithm="sft", title="Taught")
    run.result()
    run.say(runs.Finished, outcome="done")
    run.state("done")
    room.activated()
    qtbot.waitUntil(lambda: len(cards(room)) == 1 and cards(room)[0].isVisible())
    (line,) = cards(room)[0].lines.values()
    line.remove.click()
    assert line.confirm.isVisible()
    assert run.folder.adapter.is_dir()
    line.confirm.yes.click()
    assert "Taught was removed" in said(qtbot, room)
    assert not run.folder.adapter.exists()
    assert json.loads(run.folder.config_file.read_text())["title"] == "Taught"


def test_nothing_is_removed_under_a_run_that_waits(qtbot, room, context):
    add_base(context)
    run = ScriptedRun(context, algorithm="sft", title="Taught", state="queued")
    context.session.set_model(runs.ModelRef(name="Other", path="", hash="other"))
    room.activated()
    qtbot.waitUntil(lambda: len(cards(room)) == 1)
    cards(room)[0].removed.emit()
    assert "needed by the run “Taught”" in said(qtbot, room)
    assert (context.workspace.models / "Tiny").is_dir()
    run.state("done")
    cards(room)[0].removed.emit()
    qtbot.waitUntil(lambda: "was removed" in room.notice.words.text())


def test_the_model_in_use_is_not_removed(qtbot, room, context):
    add_base(context)
    room.activated()
    qtbot.waitUntil(lambda: len(cards(room)) == 1)
    cards(room)[0].removed.emit()
    assert "in use" in said(qtbot, room)
    assert (context.workspace.models / "Tiny").is_dir()


def test_suggested_models_say_whether_they_fit(qtbot, room):
    room.activated()
    qtbot.waitUntil(lambda: "Test CPU" in room.suggestions.memory.text())
    assert {label.text() for label in room.suggestions.fits} <= {"fits", "tight", "won't fit"}
