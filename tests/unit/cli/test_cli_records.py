"""`runs report | compare | note`, and the commands around evaluations, with --json and in words."""

import json
from pathlib import Path

import pytest

from rlhf_desktop.core.files import append_jsonl, write_json
from rlhf_desktop.core.paths import resources_dir
from rlhf_desktop.hub.library import Library


@pytest.fixture
def two_runs(cli, model, rankings):
    """Two finished runs, one with more passes and a lower held-out loss."""
    assert cli("feedback", "import", rankings).code == 0
    made = []
    for epochs, loss in ((1, 0.6), (3, 0.5)):
        run = cli("train", "dpo", "--model", model, "--detach", "--json", "--epochs", epochs, "--title", f"Passes {epochs}").json[
            "run"
        ]
        folder = Path(cli("runs", "show", run, "--json").json["folder"])
        event = {
            "v": 1,
            "seq": 0,
            "time": 1.0,
            "type": "finished",
            "outcome": "done",
            "metrics": {"eval/loss": loss, "wall_s": 9.5},
        }
        append_jsonl(folder / "events.jsonl", event)
        made.append(run)
    return made


def test_a_report_of_a_run_is_written(cli, two_runs, tmp_path):
    said = cli("runs", "report", two_runs[0], "--to", tmp_path / "out", "--json").json
    page = Path(said["html"]).read_text("utf-8")
    assert "<h1>Passes 1</h1>" in page
    assert "0.6" in page
    assert Path(said["markdown"]).is_file()


def test_runs_are_compared_in_words_and_as_json(cli, two_runs):
    found = cli("runs", "compare", *two_runs, "--json").json
    assert found["best"] == two_runs[1]
    assert [row["name"] for row in found["rows"] if row["differs"]] == ["epochs"]
    said = cli("runs", "compare", *two_runs).out
    assert "Best by loss on held-out comparisons" in said
    assert "Passes 3" in said


def test_a_note_renames_and_puts_away(cli, two_runs):
    cli("runs", "note", two_runs[0], "--title", "First try", "--notes", "too short", "--archive")
    kept = cli("runs", "note", "First try", "--json").json
    assert kept == {"title": "First try", "notes": "too short", "archived": True, "run": two_runs[0]}
    assert cli("runs", "note", two_runs[0], "--title", "").code == 1


def test_without_evaluations_it_says_so(cli, model):
    assert cli("evaluate", "list").out.startswith("None yet.")
    assert cli("evaluate", "list", "--json").json == {"evaluations": []}
    assert cli("evaluate", "show", "nothing", "--json").json["error"]["message"] == "There is no such evaluation."


def test_rounds_and_adoption(cli, two_runs, model):
    before = cli("evaluate", "rounds", "--json").json
    assert (before["rounds"][0]["judgements"], before["next"]["kind"]) == (12, "wait")
    assert "ROUND" in cli("evaluate", "rounds").out
    made = cli("evaluate", "adopt", "base", "--model", model, "--json").json
    assert made == {"adopted": None, "run": None}
    assert cli("evaluate", "adopt", "Nobody", "--model", model, "--json").code == 1


def test_the_status_says_the_numbers_and_the_next_step_without_preparing_a_model(cli, rankings, monkeypatch):
    monkeypatch.setattr(Library, "ensure_starter", lambda *_: pytest.fail("a model was prepared"))
    assert cli("feedback", "import", rankings).code == 0
    found = cli("status", "--json").json
    there = found["amounts"]["reward"]
    assert (found["judgements"], there["have"] + there["held_out"], there["suggested"]) == (12, 12, 100)
    assert found["next"] == cli("evaluate", "rounds", "--json").json["next"]
    said = cli("status").out
    assert f"{there['have']} of 100 comparisons suggested" in said
    assert said.endswith(f"{found['next']['sentence']}.\n")
    assert "a verdict needs about 30: add some." in said


def test_the_status_names_a_reward_model_no_better_than_a_coin(cli, model, rankings):
    assert cli("feedback", "import", rankings).code == 0
    run = cli("train", "reward", "--model", model, "--detach", "--json", "--title", "Judge").json["run"]
    folder = Path(cli("runs", "show", run, "--json").json["folder"])
    measured = {"eval/rewards/accuracies": 0.3, "eval/accuracy_low": 0.05, "eval/accuracy_high": 1.0, "eval/prompts": 7}
    event = {"v": 1, "seq": 0, "time": 1.0, "type": "finished", "outcome": "done", "metrics": measured}
    append_jsonl(folder / "events.jsonl", event)
    (folder / "adapter").mkdir()
    (folder / "adapter" / "adapter_config.json").write_text("{}")
    (folder / "adapter" / "adapter_model.safetensors").write_text("weights")
    status = json.loads((folder / "status.json").read_text("utf-8"))
    write_json(folder / "status.json", {**status, "state": "done"})
    said = cli("status", "--model", model)
    assert "Reward model “Judge”: It agrees with 30% of held-out choices (5%–100%); a coin reaches 50%." in said.out
    warned = cli("train", "ppo", "--model", model, "--detach", "--json")
    assert warned.code == 0
    assert "a coin reaches 50%. Judge about " in warned.err


def test_json_has_no_surprises(cli, two_runs):
    for words in (["runs", "compare", *two_runs], ["evaluate", "rounds"], ["status"]):
        assert json.loads(cli(*words, "--json").out)


def test_the_guide_names_commands_and_options_that_exist(cli):
    text = (resources_dir() / "guide" / "evaluation.md").read_text("utf-8")
    lines = [line for line in text.splitlines() if line.startswith("rlhf-desktop ")]
    assert len(lines) >= 10
    for line in lines:
        group, name, *rest = line.split()[1:]
        shown = cli(group, name, "--help")
        assert shown.code == 0, line
        for word in rest:
            option = word.strip("[]")
            assert not option.startswith("--") or option in shown.out, line
