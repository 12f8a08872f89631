"""All four algorithms through the command line on a tiny random model, in a new workspace, with no step by hand.

Everything runs where Qt cannot be imported: the command line, the supervisor and the trainers need none.
"""

import math
from pathlib import Path

import pytest

from tests.e2e.loop import CommandLine, rank_by_length, rows_of, without_qt, write_examples, write_prompts

QUICK = ["--set", "epochs=1", "--set", "lora_rank=4", "--set", "dtype=float32"]
MEASURES = ("examples", "wall_s", "examples_per_s", "tokens_per_s", "peak_rss_bytes", "trainable_parameters", "tokens")


@pytest.fixture(scope="module")
def cli(tiny_model, tmp_path_factory):
    root = tmp_path_factory.mktemp("loop")
    environment = {**without_qt(root), "RLHF_DESKTOP_STATE": str(root / "state")}
    line = CommandLine(root / "workspace", model="tiny", environment=environment)
    assert line("models", "add", tiny_model.path, "--name", "tiny")["name"] == "tiny"
    return line


@pytest.fixture(scope="module")
def files(cli, tmp_path_factory) -> Path:
    """Prompts, and the feedback of the first half of the loop."""
    folder = tmp_path_factory.mktemp("files")
    prompts = write_prompts(folder / "prompts.jsonl", 16)
    answers = folder / "answers.jsonl"
    made = cli("generate", "--prompts", prompts, "-k", "3", "--max-new-tokens", "16", "--seed", "1", "--out", answers)
    assert (made["prompts"], made["completions"], made["adapter"]) == (16, 48, None)
    rankings = rank_by_length(answers, folder / "rankings.jsonl")
    assert cli("feedback", "import", rankings)["rankings"] == len(rows_of(rankings))
    assert cli("feedback", "import", write_examples(folder / "examples.jsonl", 12))["demonstrations"] == 12
    return folder


def check_result(result) -> None:
    assert Path(result["adapter"], "adapter_model.safetensors").is_file()
    assert Path(result["adapter"], "README.md").is_file()
    for name in MEASURES:
        assert result["metrics"][name] > 0, name
    assert result["metrics"]["peak_cuda_bytes"] is None or result["metrics"]["peak_cuda_bytes"] > 0


@pytest.fixture(scope="module")
def results(cli, files):
    """SFT, then a reward model, then PPO on top of SFT, and DPO."""
    sft = cli("train", "sft", *QUICK, "--title", "Taught")
    reward = cli("train", "reward", *QUICK, "--title", "Judge")
    short = ["--set", "episodes=8", "--set", "batch_size=4", "--set", "max_new_tokens=8", "--set", "lora_rank=4"]
    parts = ["--adapter", "Taught", "--reward", "Judge", "--prompts", files / "prompts.jsonl"]
    ppo = cli("train", "ppo", *parts, *short, "--title", "Tuned")
    dpo = cli("train", "dpo", *QUICK, "--title", "Direct")
    return {"sft": sft, "reward": reward, "ppo": ppo, "dpo": dpo}


def test_importing_twice_changes_nothing(cli, files):
    before = cli("feedback", "stats")
    again = cli("feedback", "import", files / "rankings.jsonl")
    assert again["imported"] == 0
    assert again["duplicates"] == len(rows_of(files / "rankings.jsonl"))
    assert cli("feedback", "stats") == before
    assert before["comparisons"] > 0


def test_an_export_imports_as_the_same_feedback(cli, files, tmp_path):
    exported = cli("feedback", "export", tmp_path / "out.jsonl", "--format", "rankings")
    assert exported["rows"] == len(rows_of(files / "rankings.jsonl"))
    other = CommandLine(tmp_path / "other", environment=cli.environment)
    assert other("feedback", "import", tmp_path / "out.jsonl")["rankings"] == exported["rows"]
    assert other("feedback", "stats")["comparisons"] == cli("feedback", "stats")["comparisons"]


def test_each_algorithm_leaves_an_adapter_and_its_measures(cli, results):
    for result in results.values():
        check_result(result)
    listed = {run["title"]: run for run in cli("runs", "list")["runs"]}
    assert {title: run["state"] for title, run in listed.items()} == dict.fromkeys(("Taught", "Judge", "Tuned", "Direct"), "done")
    assert cli("runs", "show", "Tuned")["metrics"] == results["ppo"]["metrics"]
    assert {info["name"] for info in cli("models", "list")["adapters"]} == set(listed)


def test_each_policy_answers_and_the_reward_model_scores(cli, files, results, tmp_path):
    for name in ("Taught", results["dpo"]["run"], results["ppo"]["adapter"]):  # by title, id and folder
        out = tmp_path / "answers.jsonl"
        prompts = files / "prompts.jsonl"
        made = cli("generate", "--prompts", prompts, "-k", "2", "--max-new-tokens", "8", "--adapter", name, "--out", out)
        assert made["adapter"]
    scored = tmp_path / "scored.jsonl"
    assert cli("score", "--reward", "Judge", "--data", out, "--out", scored)["completions"] == 32
    assert all(math.isfinite(part["score"]) for row in rows_of(scored) for part in row["completions"])
    assert [row["prompt"] for row in rows_of(scored)] == [row["prompt"] for row in rows_of(out)]


def test_the_reward_model_is_measured_on_prompts_it_has_not_seen(cli, files, results):
    report = cli("evaluate", "reward", "--reward", "Judge", "--data", files / "rankings.jsonl")
    assert report["seen"]["prompts"] + (report["held_out"] or {"prompts": 0})["prompts"] <= 16
    assert 0 <= report["seen"]["low"] <= report["seen"]["rate"] <= report["seen"]["high"] <= 1


def test_a_win_rate_by_the_reward_model_that_ppo_pleased_is_called_no_evidence(cli, files, results):
    words = ["--prompts", files / "prompts.jsonl", "--max-new-tokens", "8"]
    judged = cli("evaluate", "policy", "base", "Tuned", *words, "--reward", "Judge")
    assert 0 <= judged["b_over_a"]["rate"] <= 1
    assert judged["caveat"].startswith("Not evidence")
    read = cli("evaluate", "policy", "base", "Taught", *words)
    assert read["b_over_a"] is None
    assert len(read["rows"]) == 16


def test_one_question_is_answered(cli, results):
    answer = cli("chat", "--adapter", "Taught", "--prompt", "My lamp is broken.", "--max-new-tokens", "6")
    assert answer["adapter"] == "Taught"
    assert answer["finish"] in ("end", "length")


def test_an_adapter_of_the_wrong_kind_or_of_nobody_is_refused_in_one_sentence(cli, files, results, tmp_path):
    words = ["generate", "--prompts", files / "prompts.jsonl", "--out", tmp_path / "never.jsonl", "--adapter"]
    for name in ("Judge", "Nobody"):
        error = cli(*words, name, expect=1)["error"]
        assert name in error["message"]
        assert error["hint"]
    assert not (tmp_path / "never.jsonl").exists()


def test_a_detached_run_can_be_stopped_and_its_state_is_told(cli, results):
    queued = cli("train", "dpo", *QUICK, "--detach", "--title", "Later")
    assert queued["state"] in ("queued", "starting", "running")
    assert cli("runs", "stop", queued["run"])["asked"] == "stop"
    followed = cli.run("runs", "follow", queued["run"], "--json")
    assert followed.returncode in (0, 1)
    assert cli("runs", "show", queued["run"])["state"] == "stopped"
