"""`train`: flags from the recipes, one meaning for a flag and --set, and refusals that queue nothing."""

import json
from pathlib import Path

import pytest

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.measures import ModelCheck
from rlhf_desktop.core.recipes import ALGORITHMS, describe
from rlhf_desktop.hub.library import Library
from rlhf_desktop.operations import preflight


@pytest.fixture
def taught(cli, model, rankings):
    assert cli("feedback", "import", rankings).code == 0
    return ["--model", model, "--detach", "--json"]


def settings_of(cli, said):
    folder = cli("runs", "show", said.json["run"], "--json").json["folder"]
    return json.loads(Path(folder, "run.json").read_bytes())["settings"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_setting_is_a_flag_with_its_default(cli, algorithm):
    text = " ".join(cli("train", algorithm, "--help").out.split())
    for setting in describe(algorithm):
        assert f"--{setting.name.replace('_', '-')} " in text
        assert f"[default: {setting.default}]" in text


def test_a_flag_and_a_set_say_the_same_and_the_set_wins(cli, taught):
    by_flag = settings_of(cli, cli("train", "dpo", "--learning-rate", "1e-5", "--loss", "ipo", *taught))
    by_set = settings_of(cli, cli("train", "dpo", "--set", "learning_rate=1e-5", "--set", "loss=ipo", *taught))
    both = settings_of(cli, cli("train", "dpo", "--learning-rate", "5e-5", "--set", "learning-rate=1e-5", "--loss", "ipo", *taught))
    assert by_flag == by_set == both
    assert (by_flag["learning_rate"], by_flag["loss"]) == (1e-5, "ipo")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "epoch=2"], "no setting called “epoch”"),
        (["--set", "epochs"], "“epochs” is not a setting"),
        (["--set", "epochs=two"], "epochs = 'two' does not work"),
        (["--epochs", "0"], "epochs = '0' does not work"),
        (["--adapter", "Nobody"], "no adapter called “Nobody”"),
        (["--data", "/nowhere.jsonl"], "There is no file"),
    ],
)
def test_what_does_not_work_is_a_sentence_and_queues_nothing(cli, taught, words, said):
    result = cli("train", "reward", *words, *taught)
    assert result.code == 1
    assert said in result.json["error"]["message"]
    assert result.json["error"]["hint"]
    assert cli("runs", "list", "--json").json["runs"] == []


@pytest.mark.parametrize("algorithm", ["sft", "reward", "dpo", "kto"])
def test_no_feedback_is_said(cli, model, algorithm):
    said = cli("train", algorithm, "--model", model, "--json")
    assert said.code == 1
    assert said.json["error"]["message"].startswith("There are no ")


def test_ppo_without_a_reward_model_is_said(cli, taught):
    said = cli("train", "ppo", *taught)
    assert "PPO needs a reward model" in said.json["error"]["message"]


def test_a_detached_run_is_queued_and_controlled(cli, taught):
    run = cli("train", "dpo", "--title", "Kinder", *taught).json
    assert run["state"] == "queued"
    assert cli("runs", "pause", "Kinder", "--json").json["state"] == "paused"
    assert cli("runs", "resume", "Kinder", "--json").json["state"] == "queued"
    assert cli("runs", "stop", "Kinder", "--json").json["state"] == "stopped"
    assert "has ended already" in cli("runs", "pause", "Kinder", "--json").json["error"]["message"]
    shown = cli("runs", "show", run["run"][:30])
    assert shown.out.startswith("Kinder (dpo), stopped\n")


def test_what_a_run_will_take_is_said_before_it_is_queued(cli, taught):
    said = cli("train", "dpo", *taught)
    assert said.code == 0
    assert "About " in said.err
    assert "comparisons suggested" in said.err


def test_a_model_that_could_never_learn_to_stop_is_refused(cli, taught, monkeypatch):
    monkeypatch.setattr(preflight, "check_model", lambda base, rows: ModelCheck(has_template=True))
    said = cli("train", "dpo", *taught)
    assert said.code == 1
    assert "no token that ends a turn" in said.json["error"]["message"]
    assert cli("runs", "list", "--json").json["runs"] == []


def test_waiting_runs_change_places(cli, taught):
    ids = {title: cli("train", "dpo", "--title", title, *taught).json["run"] for title in ("One", "Two", "Three")}
    moved = cli("runs", "move", "Three", "first", "--json").json
    assert (moved["place"], moved["waiting"]) == (1, [ids["Three"], ids["One"], ids["Two"]])
    assert "“One” is number 3 of 3 waiting." in cli("runs", "move", "One", "later").out
    assert cli("runs", "move", "One", "earlier", "--json").json["place"] == 2
    assert cli("runs", "move", "Three", "last", "--json").json["waiting"] == [ids["One"], ids["Two"], ids["Three"]]
    cli("runs", "stop", "One")
    refused = cli("runs", "move", "One", "first", "--json")
    assert (refused.code, refused.json["error"]["message"]) == (1, "This run is not waiting any more.")
    assert cli("runs", "move", "Two", "up").code == 2


@pytest.fixture
def unprepared(monkeypatch):
    """Every way to a base model, each of which may take minutes."""

    def never(*_parts, **_more):
        pytest.fail("a model was prepared before anything was refused")

    for way in ("ensure_starter", "add", "_convert"):
        monkeypatch.setattr(Library, way, never)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_nothing_to_learn_from_is_said_before_a_model_is_prepared(cli, unprepared, algorithm):
    said = cli("train", algorithm, "--json")
    assert said.code == 1
    lead = "PPO needs a reward model" if algorithm == "ppo" else "There are no "
    assert said.json["error"]["message"].startswith(lead)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "ppo", "--reward", "Nobody"], "no adapter called “Nobody”"),
        (["train", "sft", "--data", "/nowhere.jsonl"], "There is no file"),
        (["train", "dpo", "--epochs", "0"], "epochs = '0' does not work"),
        (["train", "reward", "--set", "epoch=2"], "no setting called “epoch”"),
        (["generate", "--prompts", "prompts.jsonl", "--out", "out.jsonl", "--adapter", "Nobody"], "no adapter called “Nobody”"),
        (["chat", "--prompt", "Hi", "--adapter", "Nobody"], "no adapter called “Nobody”"),
        (["evaluate", "policy", "base", "Nobody", "--prompts", "prompts.jsonl"], "no adapter called “Nobody”"),
        (["evaluate", "reward", "--reward", "Nobody", "--data", "r.jsonl"], "no adapter called “Nobody”"),
        (["evaluate", "probes", "Nobody"], "no adapter called “Nobody”"),
        (["evaluate", "adopt", "Nobody"], "no adapter called “Nobody”"),
        (["score", "--reward", "Nobody", "--data", "r.jsonl", "--out", "out.jsonl"], "no adapter called “Nobody”"),
    ],
)
def test_what_needs_no_model_to_be_refused_is_refused_before_one_is_prepared(
    cli, unprepared, rankings, tmp_path, monkeypatch, words, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "Hi"}\n')
    said = cli(*words, "--json")
    assert (said.code, message in said.json["error"]["message"]) == (1, True), said


def test_with_feedback_the_starter_is_prepared(cli, rankings, monkeypatch):
    def prepared(*_):
        raise ModelTrouble("It was prepared.", "Good.")

    monkeypatch.setattr(Library, "ensure_starter", prepared)
    cli("feedback", "import", rankings)
    assert cli("train", "dpo", "--json").json["error"]["message"] == "It was prepared."
