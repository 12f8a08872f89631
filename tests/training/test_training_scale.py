"""What is usual at the start of a PPO run: measured on enough prompts, once, and kept; and the price of drifting from it."""

import math

import pytest
import torch
from safetensors.torch import load_file

from rlhf_desktop.feedback.snapshot import PracticePrompt
from rlhf_desktop.training.checkpoint import newest
from rlhf_desktop.training.ppo import PpoTrainer
from rlhf_desktop.training.run import RunFiles
from rlhf_desktop.training.scale import Scale
from rlhf_desktop.worker.train import TRAINERS, main
from tests.training.folders import adapter_of, ask, events, make_run, practice, rankings

LENGTHS = torch.tensor([10, 20, 30, 60])


def drifted(factor):
    scale = Scale.of(torch.zeros(4), LENGTHS)
    scale.recent = factor * scale.length
    return scale


def test_the_scale_is_that_of_the_answers():
    scale = Scale.of(torch.tensor([1.0, 2.0, 3.0, 6.0]), LENGTHS)
    assert (scale.mean, scale.length, scale.recent) == (3.0, 30.0, 30.0)
    torch.testing.assert_close(scale.normalise(torch.tensor([3.0, 3.0 + scale.std])), torch.tensor([0.0, 1.0]))
    assert Scale.of(torch.ones(4), LENGTHS).std > 0  # equal scores do not divide by nothing


def test_lengths_are_free_while_their_mean_stays():
    torch.testing.assert_close(drifted(1.0).length_penalty(LENGTHS, 3.0), torch.zeros(4))


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.3, 2.0])
def test_the_price_is_the_slope_of_the_squared_drift(factor):
    """What all answers pay together for one token more each is how λ·log₂(mean / usual)² grows."""
    scale = drifted(factor)
    paid = scale.length_penalty(LENGTHS + 1, 3.0) - scale.length_penalty(LENGTHS, 3.0)
    drift = lambda mean: 3.0 * math.log2(mean / scale.length) ** 2  # noqa: E731
    slope = (drift(scale.recent + 1e-3) - drift(scale.recent - 1e-3)) / 2e-3
    assert float(paid.mean()) == pytest.approx(slope * factor, rel=1e-3)  # the slope at the usual length, however far the drift


def test_longer_answers_pay_after_growing_and_shorter_ones_after_shrinking():
    assert drifted(1.5).length_penalty(LENGTHS, 3.0).tolist() == sorted(drifted(1.5).length_penalty(LENGTHS, 3.0).tolist())
    assert drifted(1.5).length_penalty(LENGTHS, 3.0)[-1] > 0 > drifted(1.5).length_penalty(LENGTHS, 3.0)[0]
    assert drifted(0.7).length_penalty(LENGTHS, 3.0)[0] > 0 > drifted(0.7).length_penalty(LENGTHS, 3.0)[-1]


def test_one_odd_batch_moves_the_running_mean_a_little_and_many_move_it_there():
    scale = drifted(1.0)
    scale.follow([60, 60])
    assert 30 < scale.recent < 45
    for _ in range(30):
        scale.follow([60, 60])
    assert scale.recent == pytest.approx(60, rel=1e-3)


# --- in a run -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scorer(tiny_model, tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("scorer") / "reward", "reward", tiny_model, rankings(), epochs=1)
    assert main([str(folder)]) == 0
    return adapter_of(folder, tiny_model)


PROMPTS = [PracticePrompt(prompt=ask(f"Where is my lamp number {n}?")) for n in range(12)]
SMALL = {"batch_size": 8, "samples_per_prompt": 4, "max_new_tokens": 64, "watched_prompts": 0}  # long enough for some to end


def trainer_of(folder, tiny_model, scorer, rows=PROMPTS, **settings):
    make_run(folder, "ppo", tiny_model, rows, reward=scorer, **{**SMALL, **settings})
    return TRAINERS["ppo"](RunFiles(folder))


def test_a_run_is_calibrated_on_more_prompts_than_its_first_batch_has(tiny_model, tmp_path, scorer, monkeypatch):
    seen = []
    monkeypatch.setattr(Scale, "of", lambda raw, lengths, of=Scale.of: seen.append(len(raw)) or of(raw, lengths))
    trainer = trainer_of(tmp_path / "long", tiny_model, scorer, episodes=192)
    trainer.prepare(resumed=False)
    assert seen == [12]  # one answer to each prompt, where the first batch has two prompts
    before = dict(vars(trainer.scale))
    trainer.step(0)
    assert seen == [12]
    assert {**vars(trainer.scale), "recent": before["recent"]} == before
    assert trainer.scale.recent != before["recent"]


def test_a_short_run_is_calibrated_on_its_first_batch(tiny_model, tmp_path, scorer):
    trainer = trainer_of(tmp_path / "short", tiny_model, scorer, rows=practice(), episodes=16)
    trainer.prepare(resumed=False)
    assert trainer.scale is None
    values = trainer.step(0)
    assert values["objective/scores"] == pytest.approx(0, abs=1e-5)
    assert trainer.scale.length == values["length"]


def test_a_run_that_goes_on_keeps_its_scale_and_comes_to_the_same_weights(tiny_model, tmp_path, scorer, monkeypatch):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        make_run(folder, "ppo", tiny_model, PROMPTS, reward=scorer, **SMALL, episodes=96)
    assert main([str(whole)]) == 0
    asked = iter([None] * 3)
    with monkeypatch.context() as pausing:
        pausing.setattr(RunFiles, "wanted", lambda self: next(asked, "pause"))
        assert main([str(cut)]) == 0
    assert events(cut)[-1]["outcome"] == "paused"
    monkeypatch.setattr(PpoTrainer, "_calibrate", lambda self: pytest.fail("a run that goes on is not calibrated again"))
    assert main([str(cut)]) == 0
    assert events(cut)[-1]["outcome"] == "done"
    scales = [newest(folder / "checkpoints")[0].extras["scale"] for folder in (whole, cut)]
    assert scales[0] == scales[1]
    weights = [load_file(folder / "adapter" / "adapter_model.safetensors") for folder in (whole, cut)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_scale_from_before_it_knew_of_drift_starts_without(tiny_model):
    assert Scale(**{"mean": 1.0, "std": 2.0, "length": 30.0, "reward": 0.1}).recent == 30.0
