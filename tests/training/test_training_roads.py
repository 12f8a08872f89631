"""The general road beside the fast one: where both apply they are the same, from the numbers of a pass to a trained adapter."""

import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.training import policy
from rlhf_desktop.training.batch import Group, collate, micro_batches, tokens_on
from rlhf_desktop.training.memory import checkpoint_layers
from rlhf_desktop.training.policy import answer_pass, choose_road
from rlhf_desktop.training.reward_model import RewardModel
from rlhf_desktop.worker.train import main
from tests.training.folders import adapter_of, demonstrations, make_run, practice, rankings, thumbs
from tests.training.test_training_families import FAMILIES, GENERAL, SIZES

BOTH = ["llama", "gemma3_text", "qwen3"]
HYBRIDS = ["qwen3_5_text", "lfm2", "granitemoehybrid", "recurrent_gemma"]
GROUPS = [
    Group([5, 6, 7], [[8, 9, 2], [10, 2]]),
    Group(list(range(20, 40)), [[9] * 12, [3, 4, 5, 2], [60, 2]]),
    Group([11, 12], [[4] * 9]),
]
RUNS = {
    "sft": (demonstrations, {}),
    "reward": (rankings, {"ensemble": 2}),
    "dpo": (rankings, {}),
    "kto": (thumbs, {}),
    "ppo": (practice, {"episodes": 16, "batch_size": 8, "samples_per_prompt": 2, "max_new_tokens": 10, "kl_target": 0}),
}
ONCE = {"epochs": 1, "batch_size": 3, "learning_rate": 1e-3, "watched_prompts": 0}


@pytest.fixture
def models(tiny_model, tmp_path):
    """Makes references of random models of a family, with the tiny model's tokenizer."""

    def make(family):
        folder = tmp_path / family
        shutil.copytree(tiny_model.path, folder)
        words = AutoConfig.from_pretrained(folder).vocab_size
        settings = {**SIZES, **FAMILIES.get(family, {}), **GENERAL.get(family, {})}
        settings |= {"vocab_size": words, "max_position_embeddings": 512, "bos_token_id": 1, "eos_token_id": 2}
        if "layer_types" in settings:
            settings["layer_types"] = settings["layer_types"][: settings["num_hidden_layers"]]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **settings)).float()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())) * 0.1
        model.save_pretrained(folder)
        return tiny_model.model_copy(update={"path": str(folder)})

    return make


@pytest.fixture
def general(monkeypatch):
    """Takes the fast road away."""
    return lambda: monkeypatch.setattr(policy, "WAYS", [way for way in policy.WAYS if way.road == "general"])


def slopes(host):
    """Log-probabilities, and gradients of the adapter's factors."""
    weights = None
    ours = answer_pass(host.model, collate(GROUPS)).logprobs
    weights = torch.linspace(-1, 1, len(ours))
    parameters = host.parameters("new")
    found = torch.autograd.grad((ours * weights).sum(), list(parameters.values()), allow_unused=True)
    return ours.detach(), {n: g for n, g in zip(parameters, found, strict=True) if g is not None}


def host_of(ref):
    host = AdapterHost(load_base(ref, dtype="float32", device="cpu"))
    host.model.config.use_cache = False
    host.add("new", rank=4, alpha=8, seed=1)
    with torch.no_grad():
        for name, parameter in host.parameters("new").items():
            if ".lora_B." in name:
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.1)
    host.activate(["new"])
    return host


@pytest.mark.parametrize("family", BOTH)
def test_log_probabilities_and_gradients_of_an_adapter_are_the_same(family, models, general):
    ref = models(family)
    fast = slopes(host_of(ref))
    general()
    host = host_of(ref)
    slow = slopes(host)
    assert choose_road(host.model) == "general"
    torch.testing.assert_close(slow[0], fast[0], atol=1e-5, rtol=1e-5)
    assert slow[1].keys() == fast[1].keys()
    for name, slope in slow[1].items():
        torch.testing.assert_close(slope, fast[1][name], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("algorithm", RUNS)
@pytest.mark.parametrize("family", BOTH)
def test_every_trainer_makes_the_same_adapter_in_two_steps(family, algorithm, models, general, tmp_path):
    ref = models(family)
    reward = trained("reward", ref, tmp_path / "scorer") if algorithm == "ppo" else None
    fast = weights_of(trained(algorithm, ref, tmp_path / "fast", reward))
    general()
    slow = weights_of(trained(algorithm, ref, tmp_path / "slow", reward))
    assert slow.keys() == fast.keys()
    for name, weight in slow.items():
        torch.testing.assert_close(weight, fast[name], atol=1e-5, rtol=1e-3)


def trained(algorithm, ref, folder, reward=None):
    rows, settings = RUNS[algorithm]
    given = {"learning_rate": 1e-3, "watched_prompts": 0} if algorithm == "ppo" else {**ONCE}
    if algorithm == "reward":
        del given["watched_prompts"]
    run = make_run(folder, algorithm, ref, rows(), reward=adapter_of(reward, ref) if reward else None, **{**given, **settings})
    assert main([str(run)]) == 0
    return run


def weights_of(run):
    return load_file(run / "adapter" / "adapter_model.safetensors")


@pytest.mark.parametrize("algorithm", RUNS)
@pytest.mark.parametrize("family", HYBRIDS)
def test_families_that_the_fast_road_does_not_serve_are_trained(family, algorithm, models, tmp_path):
    ref = models(family)
    reward = trained("reward", ref, tmp_path / "scorer") if algorithm == "ppo" else None
    weights = weights_of(trained(algorithm, ref, tmp_path / "run", reward))
    assert any(weight.abs().max() > 0 for name, weight in weights.items() if ".lora_B." in name)
    assert all(weight.isfinite().all() for weight in weights.values())


@pytest.mark.parametrize("family", [*BOTH, *HYBRIDS])
def test_checkpointed_layers_give_the_same_gradients(family, models):
    host = host_of(models(family))
    plain = slopes(host)
    checkpoint_layers(host.model)
    again = slopes(host)
    torch.testing.assert_close(again[0], plain[0])
    for name, slope in again[1].items():
        torch.testing.assert_close(slope, plain[1][name], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("family", BOTH)
def test_scores_and_bad_parts_are_the_same(family, models, general):
    ref = models(family)
    found = []
    for take in (lambda: None, general):
        take()
        host = AdapterHost(load_base(ref, dtype="float32", device="cpu"))
        model = RewardModel.create(host, count=2, rank=4, alpha=8, seed=3, attributes=["kind"], part_tokens=2.0)
        with torch.no_grad():
            for member in model.members:
                member.head.add_(1.0)
        found.append((model.raw_scores(GROUPS), model.part_penalties(GROUPS)))
    for fast, slow in zip(*found, strict=True):
        torch.testing.assert_close(slow, fast, atol=1e-4, rtol=1e-4)


def test_the_general_roads_micro_batches_count_the_prompt_with_every_answer_and_the_padding():
    groups = [Group([1] * size, [[2] * 5] * k) for size, k in ((3, 1), (40, 4), (17, 2), (9, 3), (30, 1))]
    parts = list(micro_batches(groups, 70, "general"))
    assert sorted(i for part in parts for i in part) == [0, 1, 2, 3, 4]
    assert all(len(part) == 1 or tokens_on("general", [groups[i] for i in part]) <= 70 for part in parts)
    assert tokens_on("general", groups[:2]) == 5 * 45
    assert groups[1].tokens_on("general") == 4 * 45
    assert parts[0] == [1]  # the widest comes first
