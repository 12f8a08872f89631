"""What is found out of a model when it is added, kept, read again, and said before a run."""

import json
import shutil

import pytest

from rlhf_desktop.core.errors import ModelTrouble, WorkerTrouble
from rlhf_desktop.core.measures import FamilyCheck
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.hub.library import Library
from rlhf_desktop.operations import door
from rlhf_desktop.operations.door import check_teachable, road_of, standing, try_out, welcome


@pytest.fixture
def library(workspace):
    return Library(workspace)


@pytest.fixture
def tried(monkeypatch):
    """Stands in for the worker: finds what it is told to, and remembers whom it was asked about."""

    class Tried(list):
        found = FamilyCheck(kind="trains", road="fast")

    asked = Tried()

    def try_family(base, command=None):
        asked.append(base.name)
        if isinstance(asked.found, Exception):
            raise asked.found
        return asked.found

    monkeypatch.setattr(door, "try_family", try_family)
    return asked


def of_family(tmp_path, **config):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    return ModelRef(name="it", path=str(tmp_path / "model"), hash="h")


def test_what_is_found_is_kept_with_the_model(workspace, library, tiny_model, tried):
    notes = []
    base, found = welcome(workspace, library, lambda: library.add(tiny_model.path, "mine"), notes.append)
    assert (base.name, found.kind, tried) == ("mine", "trains", ["mine"])
    assert "once" in notes[0]
    assert welcome(workspace, library, lambda: library.add(tiny_model.path))[0] == base
    assert try_out(workspace, base).kind == "trains"
    assert tried == ["mine"]


@pytest.mark.parametrize("road", ["fast", "general"])
def test_the_road_that_was_found_is_what_an_estimate_counts_with(workspace, library, tiny_model, tried, road):
    tried.found = FamilyCheck(kind="trains", road=road)
    base, _ = welcome(workspace, library, lambda: library.add(tiny_model.path, "mine"))
    assert road_of(workspace, base) == road
    assert road_of(workspace, base.model_copy(update={"hash": "another"})) == "fast"  # not tried


@pytest.mark.parametrize("changed", ["hash", "versions", "template"])
def test_it_is_found_out_anew_when_the_model_or_the_programs_change(
    workspace, library, tiny_model, tried, changed, monkeypatch, tmp_path
):
    folder = shutil.copytree(tiny_model.path, tmp_path / "model")
    base, _ = welcome(workspace, library, lambda: library.add(folder, "mine"))
    if changed == "template":
        (folder / "chat_template.jinja").write_text("mended")
    elif changed == "versions":
        monkeypatch.setattr(door, "_versions", lambda: {"transformers": "99"})
    else:
        base = base.model_copy(update={"hash": "another"})
    try_out(workspace, base)
    assert tried == ["mine", "mine"]


def test_one_that_only_chats_stays_and_a_run_is_refused_in_its_sentence(workspace, library, tiny_model, tried):
    tried.found = FamilyCheck(kind="chats", sentence="It only chats, for a reason.")
    base, found = welcome(workspace, library, lambda: library.add(tiny_model.path, "mine"))
    assert found.reason == "It only chats, for a reason."
    assert standing(workspace, base) == found
    with pytest.raises(ModelTrouble, match="It only chats, for a reason"):
        check_teachable(workspace, base)
    assert tried == ["mine"]


@pytest.mark.parametrize(
    "found", [FamilyCheck(kind="refused", sentence="It answers nonsense."), ModelTrouble("It answers nonsense.")]
)
def test_one_that_is_of_no_use_does_not_stay(workspace, library, tiny_model, tried, found):
    tried.found = found
    with pytest.raises(ModelTrouble, match="It answers nonsense"):
        welcome(workspace, library, lambda: library.add(tiny_model.path, "mine"))
    assert library.list() == []


def test_one_that_was_there_before_is_not_removed(workspace, library, tiny_model, tried):
    base = library.add(tiny_model.path, "mine")
    tried.found = FamilyCheck(kind="refused", sentence="It answers nonsense now.")
    with pytest.raises(ModelTrouble, match="nonsense now"):
        welcome(workspace, library, lambda: library.add(tiny_model.path, "mine"))
    assert library.get("mine") == base
    with pytest.raises(ModelTrouble, match="nonsense now"):
        check_teachable(workspace, base)


def test_a_worker_that_fails_keeps_nobody_out(workspace, library, tiny_model, tried):
    """The trainers look again before they begin."""
    tried.found = WorkerTrouble("It died.")
    base, found = welcome(workspace, library, lambda: library.add(tiny_model.path, "mine"))
    assert found.kind == "trains"
    assert standing(workspace, base).kind == "trains"


def test_an_unknown_family_is_tried_before_its_first_run_and_a_known_one_is_not(workspace, tmp_path, tried):
    known = of_family(tmp_path, model_type="llama")
    assert check_teachable(workspace, known) == "“it” can be taught."
    assert tried == []
    (tmp_path / "model" / "config.json").write_text('{"model_type": "martian"}')
    check_teachable(workspace, known)
    assert tried == ["it"]


def test_a_family_whose_line_says_that_it_only_chats_is_not_tried(workspace, tmp_path, tried, monkeypatch):
    monkeypatch.setattr("rlhf_desktop.core.families.CHATS", {"martian": "Martians only chat."})
    base = of_family(tmp_path, model_type="martian")
    assert try_out(workspace, base).reason == "Martians only chat."
    with pytest.raises(ModelTrouble, match="Martians only chat"):
        check_teachable(workspace, base)
    assert tried == []
