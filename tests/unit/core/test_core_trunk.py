"""Sizes of layers as families name them, and what a pass holds by hand. (Torch's own count is in the trainers' tests.)"""

import pytest

from rlhf_desktop.core.trunk import _USUAL, Trunk, pass_bytes, text_config, token_bytes, trunk_of

LLAMA = {"hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "intermediate_size": 1536}
ROW = {"tokens": 1, "places": 1, "number_bytes": 2}


def test_a_llamas_heads_share_its_width():
    assert trunk_of(LLAMA) == Trunk(576, 30, heads=9, key_heads=3, head_size=64, value_size=64, inner=1536)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "qwen3", "head_dim": 128}, {"query_width": 9 * 128, "key_width": 3 * 128, "heads_normed": True}),
        ({"model_type": "gemma3_text", "head_dim": 256}, {"query_width": 9 * 256, "norms": 4, "heads_normed": True}),
        ({"model_type": "glm4"}, {"norms": 4}),
        ({"model_type": "glm4_moe"}, {"norms": 2, "heads_normed": True}),
        ({"num_key_value_heads": 1}, {"key_width": 64, "value_width": 64}),
        ({"num_key_value_heads": None}, {"key_heads": 9}),
        ({"model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2}, {"inner": 2 * 1536, "experts": 2}),
        ({"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768}, {"inner": 8 * 768, "experts": 8}),
        ({"intermediate_size": [100, 300]}, {"inner": 300}),
        ({"intermediate_size": None}, {"inner": 4 * 576}),
    ],
)
def test_families_say_their_sizes_each_in_its_way(config, expected):
    trunk = trunk_of({**LLAMA, **config})
    assert {name: getattr(trunk, name) for name in expected} == expected


def test_deepseeks_keys_are_as_many_as_its_queries_and_wider_than_its_values():
    config = {
        **LLAMA, "num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": 64, "v_head_dim": 128, "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64, "n_routed_experts": 64, "num_experts_per_tok": 6, "moe_intermediate_size": 1408,
        "n_shared_experts": 2,
    }  # fmt: skip
    trunk = trunk_of(config)
    assert (trunk.query_width, trunk.key_width, trunk.value_width) == (16 * 192, 16 * 192, 16 * 128)
    assert trunk.inner == 8 * 1408


def test_a_gemma_that_leaves_out_what_is_usual_and_a_gpt_2_are_read():
    whole = {"model_type": "gemma3", "text_config": {"model_type": "gemma3_text", "hidden_size": 2560, "num_hidden_layers": 34}}
    assert trunk_of(text_config(whole)).query_width == 8 * 256
    assert text_config(whole)["vocab_size"] == 262208
    assert trunk_of({"n_embd": 768, "n_layer": 12, "n_head": 12}).head_size == 64


def test_a_model_without_heads_has_a_size_too_and_one_without_layers_has_none():
    assert trunk_of({"model_type": "mamba", "hidden_size": 768, "num_hidden_layers": 24}).heads == 12
    with pytest.raises(KeyError):
        trunk_of({"model_type": "mamba", "hidden_size": 768})


@pytest.mark.parametrize("family", _USUAL)
def test_what_files_leave_out_is_as_transformers_has_it(family):
    """Files of models that see as well leave out of their language part whatever is usual."""
    from transformers import AutoConfig

    theirs, ours = trunk_of(AutoConfig.for_model(family).to_dict()), trunk_of(text_config({"model_type": family}))
    assert (ours.hidden, ours.layers, ours.query_width, ours.key_width) == (
        theirs.hidden,
        theirs.layers,
        theirs.query_width,
        theirs.key_width,
    )
    assert text_config({"model_type": family})["vocab_size"] == AutoConfig.for_model(family).vocab_size
    assert ours.inner == theirs.inner or family == "qwen3_5_moe_text"  # which says how many experts only there


def test_attention_keeps_probabilities_in_plain_products_only():
    trunk = trunk_of(LLAMA)
    short, twice, long = (pass_bytes(trunk, **ROW, width=width, device="cpu") for width in (256, 512, 1024))
    assert twice - short == 30 * 2 * 9 * 256 + 256  # probabilities in every layer, and the mask
    assert long < twice
    assert pass_bytes(trunk, **ROW, width=512, device="cuda") < twice


def test_a_cards_kernels_keep_keys_for_every_head():
    trunk = trunk_of(LLAMA)
    card, fused = (pass_bytes(trunk, **ROW, width=1024, device=device) for device in ("xpu", "cpu"))
    assert card - fused == 30 * 2 * 2 * (9 - 3) * 64


def test_checkpointing_keeps_one_state_a_layer_and_one_layer_whole():
    deep, shallow = (trunk_of({**LLAMA, "num_hidden_layers": layers}) for layers in (30, 1))
    less = token_bytes(deep, 300, number_bytes=2, device="cpu", checkpointing=True)
    assert less - token_bytes(shallow, 300, number_bytes=2, device="cpu", checkpointing=True) == 29 * 2 * 576
