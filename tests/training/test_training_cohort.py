"""Two processes under `accelerate launch` learn what one learns, and only the first writes the run folder."""

import os
import subprocess
import sys

import pytest

from rlhf_desktop.worker.train import main
from tests.training.folders import adapter_of, demonstrations, events, make_run, practice, rankings

LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1"]
LAUNCH += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
SHARED = {"learning_rate": 1e-3, "watched_prompts": 0}
CASES = {
    "sft": {"epochs": 3, "batch_size": 4},
    "dpo": {"epochs": 2, "batch_size": 4},
    "reward": {"epochs": 2, "batch_size": 4},
    "ppo": {"episodes": 24, "batch_size": 8, "samples_per_prompt": 2, "max_new_tokens": 8},
}
ROWS = {"sft": demonstrations, "dpo": rankings, "reward": rankings, "ppo": practice}


def losses(folder):
    names = ("loss", "loss/policy", "objective/kl", "eval/loss", "rewards/margins")
    return [e["values"][name] for e in events(folder, "metrics") for name in names if name in e["values"]]


@pytest.fixture(scope="module")
def scorer(tiny_model, tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("scorer") / "reward", "reward", tiny_model, rankings(), epochs=2)
    assert main([str(folder)]) == 0
    return adapter_of(folder, tiny_model)


@pytest.mark.parametrize("algorithm", CASES)
def test_two_processes_take_the_steps_of_one(algorithm, tiny_model, scorer, tmp_path):
    settings = {**SHARED, **CASES[algorithm]}
    if algorithm == "reward":
        del settings["watched_prompts"]
    reward = scorer if algorithm == "ppo" else None
    one, two = (make_run(tmp_path / n, algorithm, tiny_model, ROWS[algorithm](), reward=reward, **settings) for n in ("one", "two"))
    assert main([str(one)]) == 0
    command = [*LAUNCH, "-m", "rlhf_desktop.worker", "train", str(two)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert losses(two) == pytest.approx(losses(one), abs=2e-5)
    assert [e["seq"] for e in events(two)] == list(range(len(events(two))))
    assert len(events(two, "started")) == 1
    assert [e["path"] for e in events(two, "artifact")] == [e["path"] for e in events(one, "artifact")]


@pytest.mark.parametrize(("variable", "name"), [("ACCELERATE_USE_FSDP", "FSDP"), ("ACCELERATE_USE_DEEPSPEED", "DeepSpeed")])
def test_a_model_in_pieces_is_refused_with_a_sentence(variable, name, tiny_model, tmp_path, monkeypatch):
    folder = make_run(tmp_path / "run", "sft", tiny_model, demonstrations(), **SHARED)
    monkeypatch.setenv(variable, "true")
    assert main([str(folder)]) == 1
    (error,) = events(folder, "error")
    assert name in error["message"]
    assert error["hint"]
