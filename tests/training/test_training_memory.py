"""The memory plan, the budget that halves, and gradient checkpointing."""

import weakref

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma2Config, Gemma3TextConfig, LlamaConfig, Qwen2Config, Qwen3Config

from rlhf_desktop.core.errors import NoSpace
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.core.trunk import pass_bytes, token_bytes, trunk_of
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.attention import use_rows
from rlhf_desktop.inference.model import BaseModel, load_base
from rlhf_desktop.inference.sampler import sample
from rlhf_desktop.training import sft
from rlhf_desktop.training.batch import Group, collate
from rlhf_desktop.training.memory import Budget, MemoryPlan, checkpoint_layers, plan_memory
from rlhf_desktop.training.policy import answer_pass
from rlhf_desktop.worker.train import main
from tests.training.folders import demonstrations, events, make_run
from tests.training.test_training_run import weights

SMALL = LlamaConfig(
    vocab_size=49152, hidden_size=576, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3, intermediate_size=1536
)
GIB = 1024**3


def plan(free_gib, longest=200, device="cpu"):
    return plan_memory(SMALL, number_bytes=2, device=device, free_bytes=int(free_gib * GIB), longest=longest)


def test_with_room_enough_the_fastest_size_is_chosen():
    chosen = plan(20)
    assert (chosen.tokens, chosen.checkpointing) == (1024, False)
    assert "1,024 tokens at a time" in chosen.sentence
    assert plan(200, device="cuda").tokens == 16384


def test_with_little_room_fewer_tokens_then_checkpointing_then_a_refusal():
    few = plan(1.2)
    assert 200 <= few.tokens < 1024
    assert not few.checkpointing
    assert few.tokens * few.bytes_per_token < 0.6 * few.free_bytes
    tight = plan(0.35)
    assert tight.checkpointing
    assert "checkpointing" in tight.sentence
    with pytest.raises(NoSpace, match="200 tokens"):
        plan(0.13)


def test_a_long_row_is_never_cut():
    assert plan(20, longest=3000).tokens == 3000


def random_host(config):
    """A model of this configuration with random weights and an adapter of rank 8 on it, active."""
    model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    use_rows(model)
    host = AdapterHost(BaseModel(model, None, torch.device("cpu"), torch.float32, pad_id=0, end_ids=(2,), hash=""))
    host.add("new", rank=8, alpha=8, seed=0)
    host.activate(["new"])
    return host


def kept_bytes(host, groups):
    """Bytes saved for backward, counted by torch itself: each storage once, the model's own left out; and the masks."""
    own = [*host.model.parameters(), *host.model.buffers()]
    frozen = {tensor.untyped_storage().data_ptr() for tensor in own}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage  # held, so that no other takes its place
        return tensor

    batch = collate(groups)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        assert answer_pass(host.model, batch, entropy=False).logprobs.requires_grad
    for mask in batch.layout._made.values():
        keep(mask)
    return sum(storage.nbytes() for place, storage in kept.items() if place not in frozen)


def groups_of(count, prompt, *answers):
    return [Group(list(range(3, 3 + prompt)), [list(range(3, 3 + answer)) for answer in answers]) for _ in range(count)]


SIZES = {"vocab_size": 700, "num_hidden_layers": 3, "pad_token_id": 0}
SHAPES = {
    "small Llama": (
        LlamaConfig(hidden_size=64, num_attention_heads=4, num_key_value_heads=2, intermediate_size=128, **SIZES),
        groups_of(4, 30, 20),
    ),
    "wide Llama": (
        LlamaConfig(hidden_size=256, num_attention_heads=4, num_key_value_heads=4, intermediate_size=1024, **SIZES),
        groups_of(2, 60, 60),
    ),
    "Qwen3, heads wider than the state": (
        Qwen3Config(hidden_size=64, num_attention_heads=4, num_key_value_heads=2, head_dim=64, intermediate_size=192, **SIZES),
        groups_of(4, 30, 40),
    ),
    "Gemma 3": (
        Gemma3TextConfig(
            hidden_size=128, num_attention_heads=2, num_key_value_heads=1, head_dim=256, intermediate_size=512, **SIZES
        ),
        groups_of(3, 40, 40),
    ),
    "Gemma 2, whose scores have a soft cap": (
        Gemma2Config(
            hidden_size=64,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            intermediate_size=128,
            attn_logit_softcapping=50.0,
            **SIZES,
        ),
        groups_of(3, 40, 40),
    ),
    "one key head": (
        LlamaConfig(hidden_size=128, num_attention_heads=8, num_key_value_heads=1, intermediate_size=256, **SIZES),
        groups_of(3, 30, 70),
    ),
    "long rows": (
        LlamaConfig(hidden_size=64, num_attention_heads=4, num_key_value_heads=2, intermediate_size=128, **SIZES),
        groups_of(2, 300, 300),
    ),
    "many short rows of four answers": (
        Qwen2Config(hidden_size=64, num_attention_heads=4, num_key_value_heads=2, intermediate_size=176, **SIZES),
        groups_of(12, 20, 8, 10, 9, 7),
    ),
}


def planned_bytes(config, groups, *, checkpointing=False):
    width = groups[0].tokens
    sizes = {"tokens": width * len(groups), "places": width * len(groups), "width": width, "number_bytes": 4, "device": "cpu"}
    return pass_bytes(trunk_of(config.to_dict()), **sizes, rank=8, checkpointing=checkpointing)


@pytest.mark.parametrize("name", SHAPES)
def test_what_a_pass_holds_is_what_torch_keeps(name):
    config, groups = SHAPES[name]
    assert planned_bytes(config, groups) == pytest.approx(kept_bytes(random_host(config), groups), rel=0.15)


@pytest.mark.parametrize("name", SHAPES)
def test_what_a_checkpointed_pass_holds_is_what_torch_keeps_and_one_layer(name):
    config, groups = SHAPES[name]
    host = random_host(config)
    whole = kept_bytes(host, groups)
    checkpoint_layers(host.model)
    kept = kept_bytes(host, groups)
    once_more = (whole - kept) / config.num_hidden_layers
    assert planned_bytes(config, groups, checkpointing=True) == pytest.approx(kept + once_more, rel=0.15)


def test_the_plan_bounds_every_pass_within_it():
    """Full rows of any width up to the longest hold no more than the plan's bytes a token."""
    trunk = trunk_of(SMALL.to_dict())
    for device in ("cpu", "cuda", "mps"):
        each = token_bytes(trunk, 2000, number_bytes=2, device=device)
        for width in (10, 511, 512, 513, 1999):
            sizes = {"tokens": 10 * width, "places": 10 * width, "width": width}
            assert pass_bytes(trunk, **sizes, number_bytes=2, device=device) <= each * 10 * width


def budget(tokens=100, agree=int):
    said = []
    return Budget(MemoryPlan(tokens, False, 0, 0), said.append, agree), said


def rows(*sizes):
    return [Group([1] * (size - 1), [[2]]) for size in sizes]


def cramped(groups, room, done):
    """Work that fails, in a form not yet known, when it is given more tokens than there is room for."""

    def work(picks):
        if sum(groups[i].tokens for i in picks) > room:
            raise torch.AcceleratorError("CUDA error: out of memory")
        done.append(picks)

    return work


def test_work_that_does_not_fit_is_undone_cut_and_done_again():
    memory, said = budget()
    groups, done, undone = rows(*[20] * 7), [], []
    memory.run(groups, cramped(groups, 50, done), lambda: undone.append(1))
    assert sorted(i for picks in done for i in picks) == list(range(7))
    assert len(undone) == len(said) == 1
    assert memory.tokens == 50
    assert "50 tokens" in said[-1]


def test_a_batch_of_many_micro_batches_halves_the_budget_once():
    memory, said = budget()
    groups, done = rows(*[20] * 40), []  # eight micro-batches, none of which fits
    memory.run(groups, cramped(groups, 60, done))
    assert (memory.tokens, len(said)) == (50, 1)
    assert sorted(i for picks in done for i in picks) == list(range(40))
    assert all(len(picks) == 2 for picks in done)


def test_micro_batches_made_before_the_budget_shrank_are_cut_before_they_are_tried():
    memory, said = budget()
    groups, done = rows(*[20] * 10), []
    made = [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    for _ in range(3):  # as PPO's passes and updates go through one batch again and again
        memory.run(groups, cramped(groups, 60, done), batches=made)
    assert (memory.tokens, len(said)) == (50, 1)


def test_what_was_tried_counts_and_not_what_the_plan_would_have_allowed():
    memory, said = budget(tokens=16384)
    groups, done = rows(*[20] * 10), []
    memory.run(groups, cramped(groups, 100, done))
    assert (memory.tokens, len(said)) == (100, 1)


def test_processes_that_share_a_run_go_on_with_the_least_budget_of_all():
    memory, _ = budget(agree=lambda tokens: min(tokens, 30))
    memory.run(rows(10), lambda picks: None)
    assert memory.tokens == 30


def test_what_the_failed_try_held_is_gone_before_the_next():
    memory, _ = budget()
    groups, alive, seen = rows(20, 20), [], []

    def work(picks):
        seen.append([ref() is None for ref in alive])
        held = torch.zeros(3)
        alive.append(weakref.ref(held))
        if len(picks) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    memory.run(groups, work)
    assert seen == [[], [True], [True, True]]


def test_a_single_row_that_does_not_fit_and_any_other_error_are_raised():
    memory, _ = budget()

    def starve(picks):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    with pytest.raises(RuntimeError, match="allocate"):
        memory.run(rows(20), starve)

    def fail(picks):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes"):
        memory.run(rows(20, 20), fail)


def test_a_run_that_meets_the_end_of_memory_says_so_and_learns_the_same(tiny_model, tmp_path, monkeypatch):
    settings = {"epochs": 3, "batch_size": 5, "learning_rate": 1e-3, "watched_prompts": 0}
    whole = make_run(tmp_path / "whole", "sft", tiny_model, demonstrations(), **settings)
    assert main([str(whole)]) == 0

    def starved(model, batch, *args, **kwargs):
        if len(batch.lengths) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return answer_pass(model, batch, *args, **kwargs)

    monkeypatch.setattr(sft, "answer_pass", starved)
    small = make_run(tmp_path / "small", "sft", tiny_model, demonstrations(), **settings)
    assert main([str(small)]) == 0
    assert "Memory ran out" in events(small, "warning")[0]["message"]
    for name, tensor in weights(whole).items():
        torch.testing.assert_close(weights(small)[name], tensor, atol=1e-4, rtol=1e-3)


def test_a_run_whose_card_is_lost_says_so_and_can_be_resumed(tiny_model, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    folder = make_run(tmp_path / "lost", "sft", tiny_model, demonstrations(), epochs=1, watched_prompts=0)
    monkeypatch.setattr(sft, "answer_pass", fail)
    assert main([str(folder)]) == 1
    (error,) = events(folder, "error")
    assert (error["message"], "Resume" in error["hint"]) == ("The graphics card has failed.", True)


def gradients_of(tiny_model, *, checkpointing):
    """Gradients by name, and how many numbers were kept for them."""
    host = AdapterHost(load_base(tiny_model, dtype="float32", device="cpu"))
    host.add("new", rank=4, alpha=8, seed=0)
    host.activate(["new"])
    if checkpointing:
        checkpoint_layers(host.model)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        loss = -answer_pass(host.model, collate([Group([5, 6, 7], [[8, 9, 2], [10, 2]])])).logprobs.sum()
    loss.backward()
    return {name: p.grad for name, p in host.parameters("new").items()}, sum(kept)


def test_checkpointing_changes_no_gradient(tiny_model):
    (plain, much), (again, little) = gradients_of(tiny_model, checkpointing=False), gradients_of(tiny_model, checkpointing=True)
    assert little < much / 2
    for name, gradient in plain.items():
        torch.testing.assert_close(again[name], gradient)


def test_answers_sampled_under_gradient_checkpointing_are_the_same(tiny_model):
    """transformers' wrapper drops the cache there: from the second token on an answer would see only itself."""
    base = load_base(tiny_model, dtype="float32", device="cpu")

    def answers():
        sampling = Sampling(temperature=0, max_new_tokens=12)
        seeds = torch.Generator().manual_seed(0)
        prompts = [[5, 9, 30, 41], [7, 8]]
        return sample(base.model, prompts=prompts, k=1, sampling=sampling, end_ids=(), pad_id=0, generator=seeds)

    plain = answers()
    checkpoint_layers(base.model)
    assert answers() == plain
    with torch.no_grad():
        assert answers() == plain
