"""What a pass of the general road holds: counted by torch, and no pass within a plan holds more than it says."""

import pytest
import torch

from rlhf_desktop.core.trunk import token_bytes, trunk_of
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.attention import use_rows
from rlhf_desktop.inference.model import BaseModel
from rlhf_desktop.training.batch import Group, micro_batches, tokens_on
from rlhf_desktop.training.held import Held, held_bytes
from rlhf_desktop.training.memory import GIB, checkpoint_layers, plan_memory
from tests.training.test_training_families import random_model
from tests.training.test_training_memory import kept_bytes

FAMILIES = ["lfm2", "qwen3_5_text", "granitemoehybrid", "falcon_h1", "jamba", "recurrent_gemma", "bloom", "stablelm"]


def host_of(family, **settings):
    model = random_model(family, **{"max_position_embeddings": 256, **settings})
    use_rows(model)
    host = AdapterHost(BaseModel(model, None, torch.device("cpu"), torch.float32, pad_id=0, end_ids=(2,), hash=""))
    host.add("new", rank=8, alpha=8, seed=0)
    return host


def groups_of(*sizes):
    return [Group([3 + i] * prompt, [[5] * answer for answer in answers]) for i, (prompt, *answers) in enumerate(sizes)]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_no_pass_holds_more_than_its_tokens_are_counted_with(family, checkpointing):
    """Of rows all as wide, of all widths at once, and of the narrowest; a layer that is computed again is left to the plan."""
    host = host_of(family)
    groups = groups_of((20, 30, 25), (50, 70), (4, 8, 7, 8), (60, 60, 60))
    held = held_bytes(host, [group.widest for group in groups], 1000)
    host.activate(["new"])
    if checkpointing:
        checkpoint_layers(host.model)
    for picks in ([3], [1, 3], [2], [0, 1, 2, 3]):
        batch = [groups[i] for i in picks]
        assert kept_bytes(host, batch) <= 1.05 * held[checkpointing] * tokens_on("general", batch)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("width", [40, 200])
@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("falcon_h1", {"mamba_chunk_size": 128}),
        ("falcon_h1", {"mamba_n_heads": 8, "mamba_d_ssm": 64, "mamba_d_state": 32, "mamba_chunk_size": 32}),
        ("bamba", {}),
        ("granitemoehybrid", {"mamba_d_state": 32}),
        ("jamba", {"mamba_d_state": 16}),
        ("mamba", {"state_size": 16}),
        ("qwen3_5_text", {"linear_key_head_dim": 16}),
        ("qwen3_5_text", {"linear_num_value_heads": 8}),
        ("olmo_hybrid", {}),
    ],
)
def test_what_is_foreseen_of_recurrent_layers_is_no_less_than_torch_counts(family, settings, width):
    host = host_of(family, **settings)
    counted = held_bytes(host, [width], 1000).whole
    foreseen = token_bytes(trunk_of(host.model.config.get_text_config().to_dict()), width, number_bytes=4, device="cpu", rank=8)
    assert counted <= foreseen <= 5 * counted


@pytest.mark.parametrize("family", ["bloom", "lfm2", "stablelm"])
def test_attention_to_a_longer_row_than_is_tried_is_foreseen(family):
    host = host_of(family)
    assert held_bytes(host, [120], 60) == pytest.approx(held_bytes(host, [120], 1000), rel=0.02)


def test_counting_leaves_no_adapter_active_and_no_hook():
    host = host_of("lfm2")
    held_bytes(host, [20], 1000)
    assert not any(module.stack for module in host._layers())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in host.model.modules())


def test_a_plan_goes_by_what_was_counted_and_by_every_answer_in_a_row_of_its_own():
    groups = groups_of((40, 10, 10), (20, 30), (20, 20), (10, 10, 10))
    config = host_of("lfm2").model.config
    asked = []

    def count(most):
        asked.append(most)
        return Held(2**20, 2**18)

    options = {
        "number_bytes": 4,
        "device": "cpu",
        "free_bytes": GIB,
        "longest": 100,
        "road": "general",
        "width": 50,
        "count": count,
    }
    plan = plan_memory(config, **options)
    assert asked[0] > 0
    assert (plan.road, plan.checkpointing) == ("general", False)
    assert plan.tokens * plan.bytes_per_token <= GIB
    assert plan.bytes_per_token >= 2**20
    for picks in micro_batches(groups, plan.tokens, plan.road):
        assert len(picks) == 1 or tokens_on(plan.road, [groups[i] for i in picks]) <= plan.tokens
    assert plan_memory(config, **{**options, "longest": 1500}).checkpointing
