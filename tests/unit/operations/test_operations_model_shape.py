"""The shape of a model agrees with the model itself, in memory."""

import pytest
from operations_helpers import adapter

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.operations.model_shape import adapter_rank, model_shape, scorers


def test_the_shape_counts_what_the_starter_model_has(smol):
    shape = model_shape(smol)
    assert shape.parameters == 134_515_008
    assert shape.adapter_parameters(16) == 4_884_480


def test_the_shape_agrees_with_a_model_in_memory(tiny_model):
    from rlhf_desktop.inference.adapters import AdapterHost
    from rlhf_desktop.inference.model import load_base

    host = AdapterHost(load_base(tiny_model, dtype="float32", device="cpu"))
    shape = model_shape(tiny_model)
    assert shape.parameters == sum(p.numel() for p in host.model.parameters())
    host.add("narrow", rank=4, alpha=4, seed=0)
    assert shape.adapter_parameters(4) == sum(p.numel() for p in host.parameters("narrow").values())


@pytest.mark.parametrize(
    ("family", "sizes"),
    [
        ("qwen3", {"head_dim": 32}),
        ("gemma3_text", {"head_dim": 32, "num_key_value_heads": 1}),
        ("qwen3_moe", {"head_dim": 32, "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 48}),
        ("mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}),
    ],
)
def test_the_shape_counts_heads_of_their_own_size_and_experts(tmp_path, family, sizes):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    common = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 128}
    config = AutoConfig.for_model(family, **{**common, "intermediate_size": 96, "pad_token_id": 0, **sizes})
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    config.save_pretrained(tmp_path)
    shape = model_shape(ModelRef(name="x", path=str(tmp_path), hash=""))
    assert shape.parameters == sum(p.numel() for p in model.parameters())


def test_a_missing_or_foreign_folder_is_said(tmp_path):
    for path in (tmp_path, tmp_path / "gone"):
        with pytest.raises(ModelTrouble, match="size of “x” cannot be read"):
            model_shape(ModelRef(name="x", path=str(path), hash=""))


def test_adapters_say_their_rank_and_how_many_scorers_they_have(tmp_path):
    assert adapter_rank(None) == 0
    assert scorers(None) == 1
    silent = adapter(path=tmp_path)
    assert adapter_rank(silent) == 16
    assert scorers(silent) == 1
    (tmp_path / "adapter_config.json").write_text('{"r": 8}')
    (tmp_path / "reward.json").write_text('{"members": [{}, {}, {}]}')
    assert adapter_rank(silent) == 8
    assert scorers(silent) == 3
