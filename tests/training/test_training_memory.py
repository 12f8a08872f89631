"""The memory plan, the budget that halves, and gradient checkpointing."""

import weakref

import pytest
import torch
from transformers import LlamaConfig

from rlhf_desktop.core.errors import NoSpace
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.training import sft
from rlhf_desktop.training.batch import Group, collate
from rlhf_desktop.training.memory import Budget, MemoryPlan, bytes_per_token, checkpoint_layers, plan_memory
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
    tight = plan(0.4)
    assert tight.checkpointing
    assert "checkpointing" in tight.sentence
    with pytest.raises(NoSpace, match="200 tokens"):
        plan(0.13)


def test_a_long_row_is_never_cut():
    assert plan(20, longest=3000).tokens == 3000


def test_what_a_token_costs_is_what_torch_keeps(tiny_model):
    """Bytes saved for backward, counted by torch itself, against the formula: within 40% (norms and masks are rounded in it)."""
    host = AdapterHost(load_base(tiny_model, dtype="float32", device="cpu"))
    host.add("new", rank=4, alpha=8, seed=0)
    host.activate(["new"])
    batch = collate([Group(list(range(3, 103)), [list(range(3, 103))])])
    seen: dict[int, int] = {}
    frozen = {p.untyped_storage().data_ptr() for p in host.model.parameters()}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in frozen:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = answer_pass(host.model, batch)
    measured = sum(seen.values()) / 200
    assert result.logprobs.requires_grad
    planned = bytes_per_token(host.model.config, 4, checkpointing=False)
    assert 0.6 * measured < planned < 1.4 * measured, (planned, measured)


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
