"""What is usual at the start of a PPO run: measured on enough prompts, once, and kept."""

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


def test_the_scale_is_that_of_the_answers():
    scale = Scale.of(torch.tensor([1.0, 2.0, 3.0, 6.0]), LENGTHS)
    assert (scale.mean, scale.length) == (3.0, 30.0)
    torch.testing.assert_close(scale.normalise(torch.tensor([3.0, 3.0 + scale.std])), torch.tensor([0.0, 1.0]))
    assert Scale.of(torch.ones(4), LENGTHS).std > 0  # equal scores do not divide by nothing


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
    assert vars(trainer.scale) == before


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
