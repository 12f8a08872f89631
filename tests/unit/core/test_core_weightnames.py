"""What a layer's name tells: the same layer in another checkpoint, and whether it gets LoRA."""

import pytest

from rlhf_desktop.core.weightnames import is_dense, stored_names

Q = "layers.0.self_attn.q_proj.weight"


@pytest.mark.parametrize(
    "stored", [f"model.{Q}", f"model.language_model.{Q}", f"language_model.model.{Q}"], ids=["text", "whole", "older whole"]
)
def test_a_layer_is_found_whatever_stands_before_its_number(stored):
    others = [f"vision_tower.encoder.{Q}", f"mtp.{Q}", "model.layers.1.self_attn.q_proj.weight"]
    assert stored_names([f"model.{Q}"], [*others, stored]) == {f"model.{Q}": stored}


def test_a_layer_that_could_be_two_is_not_guessed_and_towers_are_never_taken_for_it():
    assert stored_names([Q], [f"model.encoder.{Q}", f"model.decoder.{Q}"]) == {}
    assert stored_names([f"vision_tower.{Q}"], [f"model.{Q}"]) == {}


def test_gpt_2_and_a_head_of_words_are_found():
    stored = ["h.0.attn.c_attn.weight", "language_model.lm_head.weight"]
    names = ["transformer.h.0.attn.c_attn.weight", "lm_head.weight"]
    assert list(stored_names(names, stored).values()) == stored


@pytest.mark.parametrize(
    ("path", "family", "expected"),
    [
        ("model.layers.0.self_attn.o_proj", "llama", True),
        ("model.layers.0.mlp.shared_expert.gate_proj", "qwen2_moe", True),
        ("model.layers.0.linear_attn.in_proj_qkv", "qwen3_5_text", True),
        ("model.layers.0.mamba.out_proj", "bamba", True),
        ("model.layers.0.mamba.out_proj", "falcon_h1", False),
        ("model.layers.0.mamba.dt_proj", "jamba", False),
        ("model.layers.0.mlp.gate", "qwen3_moe", False),
        ("model.layers.0.mlp.shared_expert_gate", "qwen2_moe", False),
        ("model.layers.0.feed_forward.router", "llama4_text", False),
        ("model.layers.0.mlp.experts.3.up_proj", "phimoe", False),
        ("model.vision_tower.encoder.layers.0.self_attn.q_proj", "gemma3", False),
        ("lm_head", "llama", False),
        ("model.embed_tokens", "llama", False),
    ],
)
def test_layers_that_every_token_goes_through_get_lora(path, family, expected):
    assert is_dense(path, family) is expected
