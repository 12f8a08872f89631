"""Whole runs on the tiny model: every algorithm through its run folder, stopped, paused, killed, resumed, with damaged files."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from rlhf_desktop.core.errors import BadInput, NoSpace
from rlhf_desktop.core.files import append_jsonl
from rlhf_desktop.core.recipes import make_settings
from rlhf_desktop.core.runs import parse_event
from rlhf_desktop.training import checkpoint
from rlhf_desktop.training.checkpoint import Checkpoint
from rlhf_desktop.training.ppo import PpoTrainer
from rlhf_desktop.training.run import Counts, RunFiles, _Clock
from rlhf_desktop.worker.train import main
from tests.training.folders import adapter_of, demonstrations, events, make_run, practice, rankings, thumbs


def weights(folder: Path):
    return load_file(folder / "adapter" / "adapter_model.safetensors")


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def ask_for(folder, action):
    append_jsonl(folder / "control.jsonl", {"v": 1, "seq": 0, "time": 0.0, "action": action})


@pytest.fixture(scope="module")
def finished(tiny_model, tmp_path_factory):
    """One finished run of each algorithm: SFT, then a reward model, then DPO and PPO on top of the SFT adapter."""
    root = tmp_path_factory.mktemp("runs")
    runs = {"sft": make_run(root / "sft", "sft", tiny_model, demonstrations(), epochs=8, learning_rate=5e-3)}
    assert main([str(runs["sft"])]) == 0
    start = adapter_of(runs["sft"], tiny_model)
    runs["reward"] = make_run(root / "reward", "reward", tiny_model, rankings(), epochs=8, learning_rate=5e-3, ensemble=2)
    assert main([str(runs["reward"])]) == 0
    runs["dpo"] = make_run(root / "dpo", "dpo", tiny_model, rankings(), epochs=6, learning_rate=1e-3, start=start)
    assert main([str(runs["dpo"])]) == 0
    runs["kto"] = make_run(root / "kto", "kto", tiny_model, thumbs(), epochs=6, learning_rate=1e-3, start=start)
    assert main([str(runs["kto"])]) == 0
    runs["ppo"] = make_run(
        root / "ppo", "ppo", tiny_model, practice(), start=start, reward=adapter_of(runs["reward"], tiny_model), **PPO
    )
    assert main([str(runs["ppo"])]) == 0
    return runs


PPO = {"episodes": 48, "batch_size": 8, "samples_per_prompt": 2, "max_new_tokens": 10, "learning_rate": 1e-3, "kl_target": 0}


@pytest.mark.parametrize("algorithm", ["sft", "reward", "dpo", "kto", "ppo"])
def test_a_run_writes_valid_events_and_a_standard_adapter(finished, algorithm):
    folder = finished[algorithm]
    parsed = [parse_event.validate_python(event) for event in events(folder)]
    assert [event.seq for event in parsed] == list(range(len(parsed)))
    assert parsed[0].type == "started"
    assert parsed[-1].type == "finished"
    assert parsed[-1].outcome == "done"
    assert {"examples", "wall_s", "examples_per_s", "tokens", "trainable_parameters"} <= parsed[-1].metrics.keys()
    config = json.loads((folder / "adapter" / "adapter_config.json").read_text())
    assert config["peft_type"] == "LORA"
    assert all(torch.isfinite(tensor).all() for tensor in weights(folder).values())
    assert (folder / "adapter" / "README.md").read_text().startswith("---\nbase_model")


def test_sft_learns_its_examples(finished):
    losses = [e["values"]["loss"] for e in events(finished["sft"], "metrics") if "loss" in e["values"]]
    assert losses[-1] < 0.7 * losses[0]


def test_the_reward_model_learns_the_order(finished):
    accuracies = [e["values"]["rewards/accuracies"] for e in events(finished["reward"], "metrics") if "loss" in e["values"]]
    assert accuracies[-1] >= 0.9 > accuracies[0]


def test_dpo_starts_at_the_reference_and_widens_the_margin(finished):
    values = [e["values"] for e in events(finished["dpo"], "metrics") if "loss" in e["values"]]
    assert values[0]["rewards/margins"] == pytest.approx(0, abs=1e-6)
    assert values[-1]["rewards/margins"] > 0.05


def test_kto_starts_at_the_reference_and_parts_good_from_bad(finished):
    values = [e["values"] for e in events(finished["kto"], "metrics") if "loss" in e["values"]]
    assert values[0]["rewards/margins"] == pytest.approx(0, abs=1e-6)
    assert values[0]["loss"] == pytest.approx(0.5, abs=1e-6)
    assert values[0]["objective/kl"] == pytest.approx(0, abs=1e-4)
    heldout = [e["values"] for e in events(finished["kto"], "metrics") if "eval/loss" in e["values"]]
    assert heldout[-1]["eval/rewards/margins"] > 0.05
    assert heldout[-1]["eval/rewards/accuracies"] == 1.0


def test_ppo_first_ratios_are_one_and_nothing_is_clipped(finished):
    first = events(finished["ppo"], "metrics")[0]["values"]
    assert first["policy/first_ratio_error"] < 1e-3
    assert first["objective/kl"] == pytest.approx(0, abs=1e-4)
    assert 0 < first["policy/sampler_mismatch"] < 1e-3  # nats a token, in float32


def test_a_pass_of_the_first_parameters_is_never_learned_from_later(finished, tiny_model, tmp_path):
    """Kept for the first update; one that it does not use (memory ran out, another process had it) would be backward through
    parameters that have moved, which torch refuses."""
    reward = adapter_of(finished["reward"], tiny_model)
    trainer = PpoTrainer(RunFiles(make_run(tmp_path / "kept", "ppo", tiny_model, practice(), reward=reward, **PPO)))
    trainer.prepare(resumed=False)
    update, seen = trainer._minibatch, []

    def beside(answers, micro, advantages, returns):
        trainer._kept.setdefault((10**6,), "left over")
        numbers = update(answers, micro, advantages, returns)
        seen.append(dict(trainer._kept))
        return numbers

    trainer._minibatch = beside
    trainer.step(0)
    assert seen
    assert not any(seen)


def test_ppo_with_one_update_a_batch_always_has_ratio_one(finished, tiny_model, tmp_path):
    config = json.loads((finished["ppo"] / "run.json").read_text())
    once = {**PPO, "ppo_epochs": 1, "minibatches": 1, "dtype": "bfloat16"}
    reward = adapter_of(finished["reward"], tiny_model)
    folder = make_run(
        tmp_path / "once", "ppo", tiny_model, practice(), start=adapter_of(finished["sft"], tiny_model), reward=reward, **once
    )
    assert main([str(folder)]) == 0
    assert config["algorithm"] == "ppo"
    updates = [e["values"] for e in events(folder, "metrics") if "policy/ratio_error" in e["values"]]
    assert len(updates) == PPO["episodes"] / PPO["batch_size"]
    for values in updates:
        assert values["policy/ratio_error"] < 1e-3
        assert values["policy/clipfrac"] == 0


@pytest.mark.parametrize("baseline", ["value", "rloo", "grpo"])
def test_ppo_learns_what_the_scorer_likes(finished, tiny_model, tmp_path, monkeypatch, baseline):
    """A scorer that likes tokens of the lower half of the vocabulary: the policy finds out from scores alone."""

    def share_of_low_tokens(self, groups):
        return torch.tensor([[sum(t < 150 for t in a) / len(a) for g in groups for a in g.answers]])

    monkeypatch.setattr("rlhf_desktop.training.reward_model.RewardModel.score_groups", share_of_low_tokens)
    reward = adapter_of(finished["reward"], tiny_model)
    long = {**PPO, "episodes": 960, "batch_size": 48, "samples_per_prompt": 8, "learning_rate": 1e-2}
    long |= {"kl_coef": 0.0, "missing_end_penalty": 0.0, "baseline": baseline}
    folder = make_run(tmp_path / "long", "ppo", tiny_model, practice(), reward=reward, watched_prompts=0, **long)
    assert main([str(folder)]) == 0
    scores = [e["values"]["objective/scores"] for e in events(folder, "metrics") if "objective/scores" in e["values"]]
    assert sum(scores[-5:]) / 5 > sum(scores[:5]) / 5 + 0.2


@pytest.mark.parametrize("baseline", ["value", "rloo"])
def test_ppo_pays_for_parts_like_the_marked_ones(finished, tiny_model, tmp_path, monkeypatch, baseline):
    """Every other token looks bad: the price is in the metrics, and the policy learns something else for it."""
    monkeypatch.setattr(
        "rlhf_desktop.training.reward_model.RewardModel.part_penalties",
        lambda self, groups: torch.tensor([i % 2 / 4 for g in groups for a in g.answers for i in range(len(a))]),
    )
    once = {**PPO, "episodes": 8, "baseline": baseline, "watched_prompts": 0, "reward": adapter_of(finished["reward"], tiny_model)}
    learned = []
    for price in (0.0, 4.0):
        folder = make_run(tmp_path / str(price), "ppo", tiny_model, practice(), part_penalty=price, **once)
        assert main([str(folder)]) == 0
        values = events(folder, "metrics")[0]["values"]
        half_of_the_tokens = values["length"] / 2
        assert values["objective/bad_parts"] == pytest.approx(price / 4 * half_of_the_tokens, rel=0.1)
        learned.append(weights(folder))
    assert not same(*learned)


@pytest.mark.parametrize("algorithm", ["sft", "reward", "dpo", "kto", "ppo"])
def test_a_paused_run_goes_on_to_the_same_weights(finished, algorithm, tmp_path, tiny_model, monkeypatch):
    original = finished[algorithm]
    folder = tmp_path / "again"
    folder.mkdir()
    for name in ("run.json", "data.jsonl"):
        (folder / name).write_bytes((original / name).read_bytes())
    _pause_after(monkeypatch, steps=3)
    assert main([str(folder)]) == 0
    assert events(folder)[-1]["outcome"] == "paused"
    assert not (folder / "adapter").exists()
    monkeypatch.undo()
    assert main([str(folder)]) == 0
    assert events(folder, "started")[-1]["resumed_step"] == 3
    assert events(folder)[-1]["outcome"] == "done"
    assert same(weights(folder), weights(original))


def phases(folder):
    """What a run said it was doing, each once."""
    said = [event["phase"] for event in events(folder, "progress")]
    return [phase for place, phase in enumerate(said) if place == 0 or phase != said[place - 1]]


def test_what_is_done_beside_the_updates_has_its_own_words_and_no_time_left(tiny_model, tmp_path, monkeypatch):
    folder = make_run(tmp_path / "run", "sft", tiny_model, demonstrations(), epochs=2, watched_prompts=0)
    _pause_after(monkeypatch, steps=1)
    assert main([str(folder)]) == 0
    assert phases(folder) == ["getting ready", "learning from examples", "saving a checkpoint"]
    monkeypatch.undo()
    assert main([str(folder)]) == 0
    rest = ["getting ready", "learning from examples", "measuring the result", "saving the result"]
    assert phases(folder)[-4:] == rest
    assert all(event.get("eta_s") is None for event in events(folder, "progress") if event["phase"] != rest[1])


def test_what_the_computer_slept_through_is_told_and_does_not_count(tiny_model, tmp_path, monkeypatch):
    """A laptop that sleeps for eight hours in the middle of a run."""
    folder = make_run(tmp_path / "run", "sft", tiny_model, demonstrations(), epochs=4, watched_prompts=0)
    slept = iter([0.0, 0.0, 8 * 3600.0])  # asked when the training begins, then after each update
    monkeypatch.setattr("rlhf_desktop.training.run.asleep_s", lambda: next(slept, 8 * 3600.0))
    assert main([str(folder)]) == 0
    told = [event["message"] for event in events(folder, "log") if "slept" in event["message"]]
    assert told == ["The computer slept for 480 min, and the run went on when it woke."]


def test_the_clock_of_a_run_stands_still_while_the_computer_sleeps(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("rlhf_desktop.training.run.awake_s", lambda: now[0])
    clock = _Clock(Counts(wall_s=50.0))
    now[0] += 10.0
    assert (clock.here_s(), clock.total_s()) == (10.0, 60.0)


def _pause_after(monkeypatch, steps):
    """Let `RunFiles.wanted` answer "pause" once some steps are done."""
    asked = iter([None] * steps)
    monkeypatch.setattr("rlhf_desktop.training.run.RunFiles.wanted", lambda self: next(asked, "pause"))


def test_a_cancelled_run_leaves_no_adapter_and_no_checkpoint(tiny_model, tmp_path, monkeypatch):
    folder = make_run(tmp_path / "run", "sft", tiny_model, demonstrations(), epochs=8, watched_prompts=0)
    asked = iter([None] * 3)
    monkeypatch.setattr("rlhf_desktop.training.run.RunFiles.wanted", lambda self: next(asked, "cancel"))
    assert main([str(folder)]) == 0
    assert events(folder)[-1]["outcome"] == "cancelled"
    assert not (folder / "adapter").exists()
    assert not (folder / "checkpoints").exists()


def test_settings_that_do_not_go_together_are_refused():
    with pytest.raises(BadInput) as trouble:
        make_settings("ppo", {"baseline": "rloo", "samples_per_prompt": 1})
    assert "samples_per_prompt from 2 to 64" in trouble.value.hint
    with pytest.raises(BadInput) as trouble:
        make_settings("ppo", {"batch_size": 4, "samples_per_prompt": 8})
    assert "at most batch_size, which is 4" in trouble.value.hint


def test_a_run_that_goes_on_keeps_its_number_format(tiny_model, tmp_path, monkeypatch):
    folder = make_run(tmp_path / "auto", "sft", tiny_model, demonstrations(), epochs=4, dtype="auto", watched_prompts=0)
    monkeypatch.setattr("rlhf_desktop.inference.model.fast_dtype", lambda device: torch.float32)
    _pause_after(monkeypatch, steps=2)
    assert main([str(folder)]) == 0
    monkeypatch.undo()
    monkeypatch.setattr("rlhf_desktop.inference.model.fast_dtype", lambda device: torch.bfloat16)
    assert main([str(folder)]) == 0
    assert [event["dtype"] for event in events(folder, "started")] == ["float32", "float32"]


def test_stop_keeps_the_result_so_far(tiny_model, tmp_path):
    folder = make_run(tmp_path / "stop", "sft", tiny_model, demonstrations(), epochs=50)
    ask_for(folder, "stop")
    assert main([str(folder)]) == 0
    assert events(folder)[-1]["outcome"] == "stopped"
    assert weights(folder)


def test_a_later_resume_overrules_a_stop(tiny_model, tmp_path):
    folder = make_run(tmp_path / "go", "sft", tiny_model, demonstrations(), epochs=1)
    ask_for(folder, "stop")
    ask_for(folder, "resume")
    assert main([str(folder)]) == 0
    assert events(folder)[-1]["outcome"] == "done"


def test_a_killed_run_goes_on_from_its_checkpoint(tiny_model, tmp_path):
    settings = {"epochs": 60, "batch_size": 1, "learning_rate": 1e-3, "watched_prompts": 0}
    whole = make_run(tmp_path / "whole", "sft", tiny_model, demonstrations(), **settings)
    assert main([str(whole)]) == 0
    folder = make_run(tmp_path / "killed", "sft", tiny_model, demonstrations(), **settings)
    worker = subprocess.Popen([sys.executable, "-m", "rlhf_desktop.worker", "train", str(folder)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not events(folder, "checkpoint") and worker.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)  # another process: there is no signal to wait for
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert events(folder, "checkpoint")
    assert main([str(folder)]) == 0
    assert events(folder, "started")[-1]["resumed_step"] > 0
    assert [event["seq"] for event in events(folder)] == list(range(len(events(folder))))
    assert same(weights(folder), weights(whole))


def test_a_changed_snapshot_is_refused(tiny_model, tmp_path):
    folder = make_run(tmp_path / "changed", "sft", tiny_model, demonstrations())
    with (folder / "data.jsonl").open("a") as f:
        f.write("\n")
    assert main([str(folder)]) == 1
    assert "changed since it was queued" in events(folder, "error")[-1]["message"]


def test_no_examples_is_said(tiny_model, tmp_path):
    folder = make_run(tmp_path / "none", "sft", tiny_model, [])
    assert main([str(folder)]) == 1
    assert events(folder, "error")[-1]["hint"]


def test_an_adapter_of_another_base_is_refused(finished, tiny_model, tmp_path):
    other = adapter_of(finished["sft"], tiny_model).model_copy(update={"base_hash": "another"})
    folder = make_run(tmp_path / "other", "sft", tiny_model, demonstrations(), start=other)
    assert main([str(folder)]) == 1
    assert "another base model" in events(folder, "error")[-1]["message"]


@pytest.mark.parametrize("name", ["state.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["delete", "truncate", "zero"])
def test_a_damaged_checkpoint_is_never_trusted(tmp_path, name, damage):
    for step in (1, 2):
        checkpoint.save(tmp_path, Checkpoint(step, {"w": torch.full((3,), float(step))}, {"note": "n"}))
    file = tmp_path / "step-00000002" / name
    if damage == "delete":
        file.unlink()
    elif damage == "truncate":
        file.write_bytes(file.read_bytes()[:-3])
    else:
        file.write_bytes(bytes(file.stat().st_size))
    found, damaged = checkpoint.newest(tmp_path)
    assert found is not None
    assert (found.step, damaged) == (1, ["step-00000002"])
    assert found.tensors["w"].tolist() == [1.0, 1.0, 1.0]


def test_two_checkpoints_are_kept(tmp_path):
    for step in range(1, 5):
        checkpoint.save(tmp_path, Checkpoint(step, {"w": torch.ones(1)}, {}))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000003", "step-00000004"]


def test_a_checkpoint_that_was_read_is_not_held_open(tmp_path):
    """Windows neither prunes nor replaces a file that is mapped into a process."""
    checkpoint.save(tmp_path, Checkpoint(1, {"w": torch.ones(4096)}, {}))
    found, _ = checkpoint.newest(tmp_path)
    assert found is not None
    held = Path(f"/proc/{os.getpid()}/maps").read_text() if sys.platform == "linux" else ""
    assert str(tmp_path) not in held
    assert found.tensors["w"].tolist() == [1.0] * 4096


def test_a_checkpoint_that_cannot_be_pruned_yet_ends_no_run(tmp_path, monkeypatch):
    for step in (1, 2):
        checkpoint.save(tmp_path, Checkpoint(step, {"w": torch.ones(1)}, {}))
    really = shutil.rmtree

    def held(folder, ignore_errors=False):
        if Path(folder).name == "step-00000001" and not ignore_errors:
            raise PermissionError("a scanner looks into it")
        if Path(folder).name != "step-00000001":
            really(folder, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", held)
    checkpoint.save(tmp_path, Checkpoint(3, {"w": torch.ones(1)}, {}))
    assert (tmp_path / "step-00000003").is_dir()
    monkeypatch.undo()
    checkpoint.save(tmp_path, Checkpoint(4, {"w": torch.ones(1)}, {}))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000003", "step-00000004"]


@pytest.mark.parametrize(
    "problem",
    [
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("[enforce fail at inline_container.cc:672] . No space left on device"),
    ],
    ids=["safetensors", "quota", "disk", "torch"],
)
@pytest.mark.parametrize("place", ["save_file", "write_json", "fsync_file", "rename"])
def test_a_full_disk_is_known_whatever_library_says_so(tmp_path, monkeypatch, place, problem):
    checkpoint.save(tmp_path, Checkpoint(3, {"w": torch.ones(1)}, {}))
    monkeypatch.setattr(checkpoint, place, lambda *_, **__: (_ for _ in ()).throw(problem))
    with pytest.raises(NoSpace, match="disk is full"):
        checkpoint.save(tmp_path, Checkpoint(4, {"w": torch.ones(1)}, {}))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000003"], "neither a part nor a temporary"
    assert checkpoint.newest(tmp_path)[0].step == 3


def test_what_a_killed_process_left_of_a_checkpoint_goes_with_the_next(tmp_path):
    (tmp_path / ".step-00000002.tmp").mkdir()
    (tmp_path / ".step-00000002.tmp" / "state.safetensors").write_bytes(b"half")
    checkpoint.save(tmp_path, Checkpoint(3, {"w": torch.ones(1)}, {}))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000003"]
