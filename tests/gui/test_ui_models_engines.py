"""Choosing what computes a model's answers, under its card."""

import json
from pathlib import Path

import pytest

from rlhf_desktop.operations import engines
from rlhf_desktop.ui.models import room as models_room
from rlhf_desktop.ui.models.cards import BaseCard
from rlhf_desktop.ui.models.engines import EnginePanel
from rlhf_desktop.ui.models.room import ModelsRoom
from rlhf_desktop.ui.widgets.text import ElidedLabel

HERE = {"engines": {"llama.cpp": {"release": "1", "trouble": ""}}}


@pytest.fixture
def room(qtbot, context, tiny_model, monkeypatch):
    def export(command, request):
        (Path(request["target"]) / request["file"]).write_text("weights")

    monkeypatch.setattr(models_room, "probe_device", lambda: {"name": "Test CPU", "memory_total_bytes": 8e9})
    monkeypatch.setattr(engines, "run_export", export)
    monkeypatch.setattr(engines, "probe_device", lambda: HERE)
    context.session.set_model(context.library.add(tiny_model.path, "tiny"), None)
    made = ModelsRoom(context)
    qtbot.addWidget(made.widget())
    made.widget().show()
    made.activated()
    qtbot.waitUntil(lambda: len(cards(made)) == 1)
    return made


def cards(room):
    return room.widget().findChildren(BaseCard)


def opened(qtbot, room):
    """The panel, asked for again if the room is being read and the card is exchanged."""
    qtbot.waitUntil(lambda: ask(room))
    return room.sharing.panel


def ask(room):
    if room.sharing.panel is None and (there := [card for card in cards(room) if card.isVisible()]):
        assert ("engine", "What computes its answers…") in there[0].line._offers
        there[0].line.asked.emit("engine")
    return isinstance(room.sharing.panel, EnginePanel)


def shown(room):
    """What the card says of the model."""
    return [label.text() for card in cards(room) if card.isVisible() for label in card.findChildren(ElidedLabel)]


def pick(panel, numbers):
    panel.engines.setCurrentIndex(panel.engines.findData(numbers))


def test_a_copy_is_made_with_its_size_said_before_and_answers_from_then_on(qtbot, room, context):
    panel = opened(qtbot, room)
    assert [panel.engines.itemText(n) for n in range(panel.engines.count())] == [
        "Torch", "llama.cpp: Q8_0, a copy of about 105 kB", "llama.cpp: F16, a copy of about 196 kB",
    ]  # fmt: skip
    assert (panel.use.text(), panel.use.isEnabled()) == ("Use", False)
    pick(panel, "Q8_0")
    assert (panel.use.text(), panel.use.isEnabled()) == ("Make the copy and use it", True)
    panel.use.click()
    qtbot.waitUntil(lambda: context.session.base.engine == "llama.cpp Q8_0")
    assert "answered by llama.cpp Q8_0 from now on" in room.notice.words.text()
    assert room.sharing.panel is None
    qtbot.waitUntil(lambda: any("answered by llama.cpp" in text for text in shown(room)))
    panel = opened(qtbot, room)
    assert (panel.engines.currentData(), panel.use.isEnabled()) == ("Q8_0", False)
    pick(panel, "")
    assert panel.use.text() == "Use"
    panel.use.click()
    qtbot.waitUntil(lambda: context.session.base.engine == "")


def test_where_it_does_not_work_it_says_why(qtbot, room, monkeypatch):
    trouble = {"engines": {"llama.cpp": {"release": "", "trouble": "This processor lacks AVX2."}}}
    monkeypatch.setattr(engines, "probe_device", lambda: trouble)
    panel = opened(qtbot, room)
    assert panel.engines.count() == 1
    assert "This processor lacks AVX2." in panel.words.text()
    assert not panel.use.isEnabled()


def test_a_copy_that_fails_is_said_and_can_be_tried_again(qtbot, room, context, monkeypatch):
    monkeypatch.setattr(engines, "free_disk_bytes", lambda _: 10)
    panel = opened(qtbot, room)
    pick(panel, "F16")
    panel.use.click()
    qtbot.waitUntil(lambda: "on this disk" in room.notice.words.text())
    assert (panel.use.isEnabled(), context.session.base.engine) == (True, "")
    assert "llama.cpp" not in json.loads((context.workspace.models / "tiny" / "model.json").read_text())["engine"]


def test_a_room_that_was_read_meanwhile_keeps_the_line_a_panel_is_opened_under(qtbot, room, monkeypatch):
    (card,) = cards(room)
    made = []
    monkeypatch.setattr(room.sharing.engines, "open", lambda model, place, failed: made.append(place))
    card.line.asked.emit("engine")
    room._show(room._load())
    panel = EnginePanel("tiny", engines.Options("", ()))
    made[0](panel)
    assert room.sharing.panel is panel
    assert card.line.isAncestorOf(panel)


def test_an_engine_panel_that_comes_late_gives_way_to_what_was_opened_since(qtbot, room, monkeypatch):
    (card,) = cards(room)
    made = []
    monkeypatch.setattr(room.sharing.engines, "open", lambda model, place, failed: made.append(place))
    card.line.asked.emit("engine")
    card.line.asked.emit("notes")
    notes = room.sharing.panel
    made[0](EnginePanel("tiny", engines.Options("", ())))
    assert notes is not None
    assert room.sharing.panel is notes
