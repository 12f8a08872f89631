"""The Models room with a Hub on loopback: search, download, export, publish; and what it says offline."""

import json
import threading
from pathlib import Path

import pytest
from run_script import ScriptedRun

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.offline import NetworkRule
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.hub import tokens
from rlhf_desktop.ui.models import room as models_room
from rlhf_desktop.ui.models import share as share_module
from rlhf_desktop.ui.models.cards import BaseCard
from rlhf_desktop.ui.models.panels import ExportPanel, NotesRow, PublishPanel
from rlhf_desktop.ui.models.room import ModelsRoom
from rlhf_desktop.ui.widgets.text import Label
from tests.hostile import make_adapter
from tests.hub_server import WRITER, HubServer


@pytest.fixture
def server(monkeypatch):
    import huggingface_hub.utils._http as http

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(tokens.TokenKeeper, "get", lambda self: self._session)
    monkeypatch.setattr(tokens.TokenKeeper, "keep", lambda self, token: self.use(token) or "session")
    with HubServer() as made:
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        yield made
    http.close_session()


@pytest.fixture
def tiny(server, tiny_model):
    files = {file.name: file.read_bytes() for file in Path(tiny_model.path).iterdir() if file.is_file()}
    facts = {"safetensors": {"parameters": {"F32": 97728}, "total": 97728}, "downloads": 5}
    return server.add("amina/tiny", files, card={"license": "apache-2.0"}, facts=facts)


@pytest.fixture
def room(qtbot, context, monkeypatch, server):
    monkeypatch.setattr(models_room, "probe_device", lambda: {"name": "Test CPU", "memory_total_bytes": 8e9})
    monkeypatch.setattr(models_room, "known_device", lambda: {"name": "Test CPU", "memory_total_bytes": 8e9})
    made = ModelsRoom(context)
    qtbot.addWidget(made.widget())
    made.widget().show()
    made.activated()
    return made


def cards(room):
    return room.widget().findChildren(BaseCard)


def find(qtbot, room, text):
    room.find_on_hub(text)
    qtbot.waitUntil(lambda: bool(room.adding.results()))
    return room.adding.results()


def wait_for(qtbot, room, words):
    def says_so():
        assert room.notice.isVisible(), "nothing is said"
        assert words in room.notice.words.text()

    qtbot.waitUntil(says_so)


def test_a_search_says_size_licence_and_whether_it_fits(qtbot, room, tiny, server):
    server.add(
        "amina/tiny-huge",
        {"config.json": b"{}"},
        gated="manual",
        facts={"safetensors": {"parameters": {"BF16": 7 * 10**10}, "total": 7 * 10**10}, "config": {"model_type": "bert"}},
    )
    lines = {line.get.accessibleName(): line for line in find(qtbot, room, "tiny")}
    said = {name: " ".join(label.text() for label in line.findChildren(Label)) for name, line in lines.items()}
    assert "licence apache-2.0" in said["Download amina/tiny"]
    assert "fits" in said["Download amina/tiny"]
    assert "won't fit" in said["Download amina/tiny-huge"]
    assert "gated" in said["Download amina/tiny-huge"]
    assert "cannot be used" in said["Download amina/tiny-huge"]
    assert "not known yet" in said["Download amina/tiny"]
    lines["Download amina/tiny-huge"].get.click()
    wait_for(qtbot, room, "won't fit")
    assert server.count("GET", "resolve") == 0


def test_a_model_is_downloaded_and_shown(qtbot, room, tiny):
    (line,) = find(qtbot, room, "tiny")
    line.get.click()
    assert not room.adding.folder.isEnabled()
    wait_for(qtbot, room, "is in the library")
    qtbot.waitUntil(lambda: len(cards(room)) == 1)
    assert room.adding.folder.isEnabled()
    assert not room.adding.meter.isVisible()


def test_a_recommended_model_is_one_press_away(qtbot, room, server, tiny_model):
    lines = {line.model.name: line for line in room.suggestions.lines}
    model, gated = lines["SmolLM2-360M-Instruct"], lines["gemma-3-1b-it"]
    files = {file.name: file.read_bytes() for file in Path(tiny_model.path).iterdir() if file.is_file()}
    server.add(model.model.repo, files, card={"license": "apache-2.0"})
    said = " ".join(label.text() for label in model.findChildren(Label))
    assert "360 million parameters  ·  720 MB to download" in said
    assert "Apache 2.0: free for any use" in said
    assert model.fit.text() == "fits"
    assert lines["Qwen3-8B"].fit.text() == "won't fit"
    assert "Accept it on the model’s page" in " ".join(label.text() for label in gated.findChildren(Label))
    qtbot.waitUntil(room.suggestions.isVisible)
    model.get.click()
    assert not any(line.get.isEnabled() for line in room.suggestions.lines)
    wait_for(qtbot, room, "is in the library")
    assert room.adding.isVisible()  # where the bar and its stop are
    qtbot.waitUntil(lambda: model.here.isVisible() and not model.get.isVisible())
    assert lines["Qwen3-0.6B"].get.isEnabled()


def test_the_recommended_models_are_there_while_adding_and_until_one_is(qtbot, room, context, tiny_model):
    qtbot.waitUntil(room.suggestions.isVisible)
    room.add(Path(tiny_model.path))
    qtbot.waitUntil(lambda: not room.suggestions.isVisible())
    room.add_button.click()
    assert room.suggestions.isVisible()


def test_offline_the_recommended_models_say_how_else_they_come(qtbot, room, context):
    context.session.set_network(NetworkRule(offline=True))
    assert not any(line.get.isEnabled() for line in room.suggestions.lines)
    assert "on another computer" in room.suggestions.offline.words.text()
    room.suggestions.set_busy(False)
    assert not room.suggestions.lines[0].get.isEnabled()
    context.session.set_network(NetworkRule(offline=False))
    assert room.suggestions.lines[0].get.isEnabled()


def test_after_a_trouble_the_keys_are_where_they_were(qtbot, room, tiny):
    (line,) = find(qtbot, room, "tiny")
    tiny.gated = "manual"
    room.widget().activateWindow()
    line.get.setFocus()
    qtbot.waitUntil(line.get.hasFocus)
    line.get.click()
    wait_for(qtbot, room, "gated")
    assert line.get.hasFocus()


def test_what_is_here_already_is_said(qtbot, room, tiny):
    (line,) = find(qtbot, room, "tiny")
    said = lambda: " ".join(label.text() for label in line.findChildren(Label))  # noqa: E731
    assert "in your library" not in said()
    line.get.click()
    wait_for(qtbot, room, "is in the library")
    qtbot.waitUntil(lambda: "in your library" in said())


def test_a_token_that_is_not_accepted_is_one_press_from_settings(qtbot, room, tiny, server, context):
    (line,) = find(qtbot, room, "tiny")
    server.fail("/api/models/amina", 401, times=9)
    line.get.click()
    wait_for(qtbot, room, "wants to know who you are")
    with qtbot.waitSignal(context.session.roomRequested) as asked:
        room.notice.button.click()
    assert asked.args == ["settings"]


def test_a_gated_models_page_is_one_press_away(qtbot, room, tiny, server, monkeypatch):
    tiny.gated = "manual"
    opened = []
    monkeypatch.setattr(models_room.QDesktopServices, "openUrl", lambda url: opened.append(url.toString()))
    (line,) = find(qtbot, room, "tiny")
    line.get.click()
    wait_for(qtbot, room, "is gated")
    room.notice.button.click()
    assert opened == [f"{server.url}/amina/tiny"]
    room.make_current("none", None)
    wait_for(qtbot, room, "no model called")
    assert not room.notice.button.isVisible()


def test_a_tag_can_be_chosen_and_a_name(qtbot, room, tiny, context):
    tiny.tags["v1"] = old = tiny.commits[-1][0]
    tiny.commit({**tiny.files, "README.md": b"newer"})
    (line,) = find(qtbot, room, "tiny")
    line.versions.click()
    qtbot.waitUntil(lambda: line.form is not None)
    assert [line.form.revision.itemText(n) for n in range(line.form.revision.count())] == ["main", "v1"]
    line.form.revision.setCurrentText("v1")
    line.form.name.setText("first")
    line.form.get.click()
    wait_for(qtbot, room, "first is in the library")
    (model,) = context.library.list()
    assert model.source.endswith(f"@{old}")
    line.versions.click()
    assert line.form is None


def test_of_several_gguf_files_one_is_chosen_in_place(qtbot, room, server, context, monkeypatch):
    facts = {"gguf": {"total": 10**8, "architecture": "llama"}}
    server.add("amina/files", {"a-Q4_1.gguf": b"GGUF", "a-F16.gguf": b"GGUF larger"}, facts=facts)
    (line,) = find(qtbot, room, "files")
    said = " ".join(label.text() for label in line.findChildren(Label))
    assert "GGUF" in said
    assert "fits" in said
    line.get.click()
    wait_for(qtbot, room, "several files")
    qtbot.waitUntil(lambda: line.form is not None)
    assert [line.form.file.itemData(n) for n in range(2)] == ["a-F16.gguf", "a-Q4_1.gguf"]  # what loses the least comes first
    asked = []
    monkeypatch.setattr(room._hub, "pull", lambda wanted, on_progress: asked.append(wanted) or context.library.get("none"))
    line.form.get.click()
    wait_for(qtbot, room, "no model called")
    assert (asked[0].file, asked[0].revision, asked[0].name) == ("a-F16.gguf", "main", None)


def test_versions_that_cannot_be_read(qtbot, room, tiny, server):
    (line,) = find(qtbot, room, "tiny")
    server.fail("/refs", 403, times=9)
    line.versions.click()
    wait_for(qtbot, room, "does not let everybody")
    assert line.form is None
    assert line.versions.isEnabled()


def test_a_download_can_be_stopped(qtbot, room, tiny, monkeypatch):
    (line,) = find(qtbot, room, "tiny")
    monkeypatch.setattr(room._hub._stopped, "clear", lambda: None)
    room.adding.stop.click()
    line.get.click()
    wait_for(qtbot, room, "was stopped")


def test_nothing_found_and_troubles(qtbot, room, tiny, server):
    room.adding.query.setText("nothing-like-it")
    room.adding.search.click()
    qtbot.waitUntil(lambda: "Nothing on the Hub" in "".join(label.text() for label in room.adding.findChildren(Label)))
    server.fail("/api/models", 403, times=9)
    room.search("tiny")
    qtbot.waitUntil(lambda: "not let everybody" in "".join(label.text() for label in room.adding.findChildren(Label)))


def test_offline_says_why_the_hub_cannot_be_searched(room, context):
    context.session.set_network(NetworkRule(True, True, "Patient data."))
    room.add_button.click()
    assert not room.adding.query.isEnabled()
    assert "Patient data." in room.adding.note.words.text()
    context.session.set_network(NetworkRule(False))
    assert room.adding.query.isEnabled()


@pytest.fixture
def card(qtbot, room, context, tiny_model):
    ref = context.library.add(tiny_model.path, "tiny")
    context.session.set_model(ModelRef(name="tiny", path=ref.path, hash=ref.hash))
    run = ScriptedRun(context, algorithm="sft", title="Taught")
    make_adapter(run.folder.adapter)
    run.state("done")
    room.refresh()
    qtbot.waitUntil(lambda: len(cards(room)) == 1 and len(cards(room)[0].lines) == 1)
    return cards(room)[0]


def test_export_in_place(qtbot, room, card, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        share_module, "export_adapter", lambda *a, **_: asked.append(a) or share_module.Exported(a[4], (), "Use it so.")
    )
    (line,) = card.lines.values()
    line.asked.emit("export")
    panel = room.sharing.panel
    assert isinstance(panel, ExportPanel)
    panel.formats.setCurrentIndex(panel.formats.findData("gguf"))
    panel.place.setText(str(tmp_path / "out"))
    panel.begin.click()
    qtbot.waitUntil(room.written.isVisible)
    assert room.written.next.text() == "Use it so."
    assert asked[0][3:] == ("gguf", tmp_path / "out")
    assert room.sharing.panel is None


def test_notes_opened_while_the_keyring_is_asked_stay_open(qtbot, room, card, monkeypatch):
    go_on, told = threading.Event(), []
    monkeypatch.setattr(room._hub.keeper, "get", lambda: go_on.wait(60) and None)
    run = room._context.tasks.run

    def watched(work, *arguments, on_success=None, **others):
        return run(work, *arguments, on_success=lambda found: (on_success(found), told.append(found)), **others)

    monkeypatch.setattr(room._context.tasks, "run", watched)
    next(iter(card.lines.values())).asked.emit("publish")
    card.line.asked.emit("notes")
    notes = room.sharing.panel
    assert isinstance(notes, NotesRow)
    go_on.set()
    qtbot.waitUntil(lambda: told == [None])
    assert room.sharing.panel is notes


@pytest.mark.parametrize("trouble", [None, AppError("The keyring is locked.", "Unlock it.")])
def test_a_list_that_is_read_while_the_keyring_is_asked_takes_no_line_away(qtbot, room, card, monkeypatch, trouble):
    go_on = threading.Event()

    def keyring():
        go_on.wait(60)
        if trouble:
            raise trouble

    monkeypatch.setattr(room._hub.keeper, "get", keyring)
    facts = room._load()
    (line,) = card.lines.values()
    line.asked.emit("publish")
    room._show(facts)  # asked for before
    go_on.set()
    if trouble:
        wait_for(qtbot, room, "The keyring is locked")
        assert not room.sharing.is_open
    else:
        qtbot.waitUntil(lambda: isinstance(room.sharing.panel, PublishPanel) and room.sharing.panel.isVisible())
        assert line.isAncestorOf(room.sharing.panel)


def test_publishing_shows_exactly_what_goes_and_sends_just_that(qtbot, room, card, server):
    (line,) = card.lines.values()
    line.asked.emit("publish")
    qtbot.waitUntil(lambda: isinstance(room.sharing.panel, PublishPanel))
    panel = room.sharing.panel
    panel.preview.click()
    wait_for(qtbot, room, "needs a name")
    panel.form.repo.setText("amina/taught")
    panel.form.licence.setCurrentText("mit")
    panel.form.use.setPlainText("Answering complaints.")
    panel.preview.click()
    qtbot.waitUntil(panel.send.isVisible)
    assert any("adapter_model.safetensors" in panel.files.which.itemText(n) for n in range(panel.files.which.count()))
    assert "only your account" in panel.files.where.text()
    assert "Answering complaints." in panel.files.content.toPlainText()
    assert server.repos == {}
    panel.form.token.setText(WRITER)
    panel.send.click()
    wait_for(qtbot, room, "Published")
    repo = server.repos["model", "amina/taught"]
    assert repo.private
    assert b'license: "mit"' in repo.files["README.md"]
    assert str(room._context.workspace.root).encode() not in b"".join(repo.files.values())


def test_a_model_can_be_held_in_4_bit_numbers(qtbot, room, card, context, monkeypatch):
    line = cards(room)[0].line
    assert ("hold:4bit", "Hold in memory: In 4-bit numbers: a quarter of the memory") in line._offers
    monkeypatch.setattr("rlhf_desktop.core.recipes.find_spec", lambda _: object())
    line.asked.emit("hold:4bit")
    qtbot.waitUntil(lambda: context.session.base.quantization == "4bit")  # and chat loads it so
    qtbot.waitUntil(lambda: ("hold:auto", "Hold in memory: As its adapters were trained") in cards(room)[0].line._offers)
    monkeypatch.setattr("rlhf_desktop.core.recipes.find_spec", lambda _: None)
    cards(room)[0].line.asked.emit("hold:auto")
    qtbot.waitUntil(lambda: context.session.base.quantization == "auto")


def test_notes_stay(qtbot, room, card, context):
    (line,) = card.lines.values()
    line.asked.emit("notes")
    room.sharing.panel.line.setText("kind, but wordy")
    room.sharing.panel.line.editingFinished.emit()
    assert list(room.sharing.notes().values()) == ["kind, but wordy"]
    qtbot.waitUntil(lambda: any("kind, but wordy" in label.text() for c in cards(room) for label in c.findChildren(Label)))
    cards(room)[0].line.asked.emit("notes")
    room.sharing.panel.line.setText("the small one")
    room.sharing.panel.line.editingFinished.emit()
    qtbot.waitUntil(lambda: context.library.list()[0].notes == "the small one")
    assert json.loads((context.workspace.models / "tiny" / "model.json").read_text())["notes"] == "the small one"


def test_what_it_takes_of_the_disk_and_how_good_it_is(qtbot, room, card, monkeypatch):
    assert room.disk.isVisible()
    assert "On disk: base models" in room.disk.text()
    assert "adapters" in room.disk.text()
    (line,) = card.lines
    monkeypatch.setattr("rlhf_desktop.ui.models.work.measures", lambda workspace, store: {line: "loss on held-out examples 1.23"})
    room.refresh()
    qtbot.waitUntil(lambda: any("1.23" in label.text() for c in cards(room) for label in c.findChildren(Label)))


def test_comparing_goes_to_evaluate(qtbot, room, card, context):
    (line,) = card.lines.values()
    with qtbot.waitSignal(context.session.evaluationRequested):
        line.asked.emit("compare")
    line.more.click()
