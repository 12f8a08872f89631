"""Training in float16: the loss scale by itself, and whole runs."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.training import sft
from rlhf_desktop.training.optimizer import MasterAdamW
from rlhf_desktop.training.policy import answer_pass
from rlhf_desktop.training.scaling import GROW_AFTER, START, LossScale
from rlhf_desktop.worker.train import main
from tests.training.folders import adapter_of, demonstrations, events, make_run, practice, rankings, thumbs
from tests.training.test_training_run import _pause_after, same, weights

SETTINGS = {"epochs": 8, "learning_rate": 5e-3, "dtype": "float16", "watched_prompts": 0}


def half():
    return torch.nn.Parameter(torch.ones(2, dtype=torch.float16))


def test_a_small_gradient_is_kept_and_a_large_one_is_skipped_and_scaled_less():
    scale = LossScale([half()])
    x = half()
    scale.scaled((x * 2e-8).sum().float()).backward()
    gradient = x.grad.float()
    assert scale.unscale([gradient])
    torch.testing.assert_close(gradient, torch.full((2,), 2e-8), rtol=0.2, atol=0)  # the factor itself is rounded
    assert not scale.unscale([torch.tensor([1.0, float("inf")])])
    assert scale.factor == START / 2
    for _ in range(GROW_AFTER):
        assert scale.unscale([torch.ones(1)])
    assert scale.factor == START


def test_a_format_with_range_enough_is_left_alone():
    loss = torch.tensor(3.0)
    scale = LossScale([torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16))])
    assert scale.scaled(loss) is loss
    assert scale.unscale([torch.tensor([float("nan")])])
    assert not LossScale([]).is_on


def test_the_scale_goes_on_from_a_checkpoint_unless_the_format_has_changed():
    scale = LossScale([half()])
    scale.unscale([torch.tensor([float("nan")])])
    other, wide = LossScale([half()]), LossScale([torch.nn.Parameter(torch.ones(1))])
    other.load(scale.state())
    wide.load(scale.state())
    assert (other.factor, wide.factor) == (START / 2, 1.0)
    optimizer = MasterAdamW({"x": half()}, learning_rate=1.0, total_steps=9, warmup=0.0, max_grad_norm=1.0)
    old = {name: tensor for name, tensor in optimizer.state().items() if name != "loss_scale"}
    optimizer.load(old)  # a run of before
    assert optimizer.loss_scale.factor == START


@pytest.mark.parametrize("names", [("x", "router"), ("y",)], ids=["more", "another"])
def test_a_checkpoint_of_other_layers_is_not_gone_on_with(names):
    """A mixture's run paused when its routers still learned would have gone on without them, and without a word."""
    begun = MasterAdamW({name: half() for name in names}, learning_rate=1.0, total_steps=9, warmup=0.0, max_grad_norm=1.0)
    now = MasterAdamW({"x": half()}, learning_rate=1.0, total_steps=9, warmup=0.0, max_grad_norm=1.0)
    with pytest.raises(ModelTrouble, match="other layers"):
        now.load(begun.state())


@pytest.fixture(scope="module")
def whole(tiny_model, tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("half") / "whole", "sft", tiny_model, demonstrations(), **SETTINGS)
    assert main([str(folder)]) == 0
    return folder


def test_a_run_in_float16_learns_what_one_in_float32_does(tiny_model, tmp_path, whole):
    wide = make_run(tmp_path / "wide", "sft", tiny_model, demonstrations(), **{**SETTINGS, "dtype": "float32"})
    assert main([str(wide)]) == 0
    assert events(whole, "started")[0]["dtype"] == "float16"
    ours, theirs = (
        [event["values"]["eval/loss"] for event in events(folder, "metrics") if "eval/loss" in event["values"]]
        for folder in (whole, wide)
    )
    assert ours == pytest.approx(theirs, rel=0.02)
    assert ours[-1] < 0.9 * ours[0]


def test_a_paused_run_in_float16_goes_on_exactly(tiny_model, tmp_path, whole, monkeypatch):
    paused = make_run(tmp_path / "paused", "sft", tiny_model, demonstrations(), **SETTINGS)
    _pause_after(monkeypatch, steps=3)
    assert main([str(paused)]) == 0
    monkeypatch.undo()
    assert main([str(paused)]) == 0
    assert same(weights(paused), weights(whole))


def test_an_overflow_leaves_out_one_update_and_says_so(tiny_model, tmp_path, monkeypatch):
    calls = []

    def overflow(model, batch, *args, **kwargs):
        result = answer_pass(model, batch, *args, **kwargs)
        calls.append(1)
        if len(calls) == 2 and result.logprobs.requires_grad:
            result.logprobs.register_hook(lambda gradient: gradient * float("inf"))
        return result

    monkeypatch.setattr(sft, "answer_pass", overflow)
    folder = make_run(tmp_path / "over", "sft", tiny_model, demonstrations(), **SETTINGS)
    assert main([str(folder)]) == 0
    assert len([event for event in events(folder, "log") if "left out" in event["message"]]) == 1
    assert (
        len([event for event in events(folder, "metrics") if "grad_norm" not in event["values"] and "loss" in event["values"]]) == 1
    )
    assert all(torch.isfinite(tensor).all() for tensor in weights(folder).values())


def test_a_loss_that_is_no_number_in_float16_sends_the_run_to_float32(tiny_model, tmp_path, monkeypatch):
    def overflow(model, batch, *args, **kwargs):
        result = answer_pass(model, batch, *args, **kwargs)
        return replace(result, logprobs=result.logprobs * float("nan")) if model.dtype == torch.float16 else result

    monkeypatch.setattr(sft, "answer_pass", overflow)
    folder = make_run(tmp_path / "nan", "sft", tiny_model, demonstrations(), **SETTINGS)
    _pause_after(monkeypatch, steps=3)
    assert main([str(folder)]) == 0
    monkeypatch.undo()
    assert main([str(folder)]) == 0  # and it stays there
    assert [event["dtype"] for event in events(folder, "started")] == ["float16", "float32", "float32"]
    assert "too large for float16" in events(folder, "warning")[0]["message"]
    assert events(folder)[-1]["outcome"] == "done"


def test_every_other_algorithm_learns_in_float16(tiny_model, tmp_path):
    settings = {"epochs": 2, "learning_rate": 1e-3, "dtype": "float16"}
    reward = make_run(tmp_path / "reward", "reward", tiny_model, rankings(), ensemble=2, **settings)
    dpo = make_run(tmp_path / "dpo", "dpo", tiny_model, rankings(), **settings)
    kto = make_run(tmp_path / "kto", "kto", tiny_model, thumbs(), **settings)
    for folder in (reward, dpo, kto):
        assert main([str(folder)]) == 0
    del settings["epochs"]
    more = {"episodes": 16, "batch_size": 8, "samples_per_prompt": 2, "max_new_tokens": 10, "ppo_epochs": 1, "minibatches": 1}
    more |= {"kl_target": 0, **settings}
    ppo = make_run(tmp_path / "ppo", "ppo", tiny_model, practice(), reward=adapter_of(reward, tiny_model), **more)
    assert main([str(ppo)]) == 0
    for folder in (reward, dpo, kto, ppo):
        assert [event["dtype"] for event in events(folder, "started")] == ["float16"]
        assert not events(folder, "warning"), events(folder, "warning")
        assert all(torch.isfinite(tensor).all() for tensor in weights(folder).values())
    first = next(event["values"] for event in events(ppo, "metrics") if "policy/ratio_error" in event["values"])
    assert first["policy/ratio_error"] < 1e-3  # before the first update the policy is what has sampled


def test_a_model_that_overflows_when_it_is_loaded_is_loaded_in_float32(tiny_model, tmp_path, monkeypatch):
    from transformers import LlamaModel

    plain = LlamaModel.forward

    def large(self, **options):
        out = plain(self, **options)
        out.last_hidden_state *= 1e6
        return out

    base = load_base(tiny_model, dtype="float16", device="cpu")
    assert (base.dtype, base.note) == (torch.float16, "")
    monkeypatch.setattr(LlamaModel, "forward", large)
    base = load_base(tiny_model, dtype="float16", device="cpu")
    assert base.dtype == base.model.dtype == torch.float32
    assert "computes in float32 here" in base.note
    monkeypatch.undo()
    monkeypatch.setattr("rlhf_desktop.inference.model._is_finite", lambda *_: False)
    folder = make_run(tmp_path / "load", "sft", tiny_model, demonstrations(), **SETTINGS)
    assert main([str(folder)]) == 0
    assert [event["dtype"] for event in events(folder, "started")] == ["float32"]
    assert "too large for float16" in events(folder, "warning")[0]["message"]
    assert load_file(folder / "adapter" / "adapter_model.safetensors")
