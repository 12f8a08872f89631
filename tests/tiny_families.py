"""Tiny random models of any family that transformers knows, as folders: for what differs between families."""

import hashlib
from pathlib import Path

from rlhf_desktop.core.runs import ModelRef
from tests.tiny import make_tiny_tokenizer

SIZES = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 8, "max_position_embeddings": 256, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256,
    # experts
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "moe_num_experts": 4, "num_experts_per_tok": 2,
    "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16, "shared_intermediate_size": 16, "n_shared_experts": 1,
    "num_shared_experts": 1, "intermediate_size_mlp": 48, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1,
    "decoder_sparse_step": 1, "norm_topk_prob": True,
    # narrow middles
    "q_lora_rank": 12, "kv_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 8, "v_head_dim": 8,
    # state spaces and linear attention
    "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_n_groups": 1,
    "mamba_chunk_size": 8, "mamba_num_heads": 8, "mamba_head_dim": 8, "ssm_state_size": 8, "n_groups": 1, "chunk_size": 8,
    "mamba_d_ssm": 64, "mamba_dt_rank": 4, "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8,
    "linear_value_head_dim": 8, "conv_L_cache": 3,
    # others
    "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 384, "laurel_rank": 4, "num_kv_shared_layers": 0,
}  # fmt: skip


def make_family(folder: Path, kind: str, *, seed: int = 0, **own) -> ModelRef:
    """Save a random model of this family with the tiny tokenizer. `own` replaces settings."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = make_tiny_tokenizer()
    usual = AutoConfig.for_model(kind)
    known = {name: size for name, size in SIZES.items() if usual.to_dict().get(name) is not None}
    ends = {"vocab_size": len(tokenizer), "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    config = AutoConfig.for_model(kind, **{**known, **ends, **own})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)
        perturb(model)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return ModelRef(name=f"tiny {kind}", path=str(folder), hash=hashlib.sha256(kind.encode()).hexdigest())


def perturb(model) -> None:
    """Every weight far from what it starts as: norms not one, biases and sinks not zero, all larger than usual."""
    import torch

    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * (0.1 if weight.ndim > 1 else 0.2))


_TOWER = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "num_heads": 2, "depth": 1,
    "image_size": 28, "patch_size": 14, "embed_dim": 16, "out_hidden_size": 32, "num_position_embeddings": 16, "head_dim": 8,
    "num_key_value_heads": 2, "projector_input_dim": 16, "projector_output_dim": 16, "vision_output_dim": 16,
    "fullatt_block_indexes": [0], "deepstack_visual_indexes": [0], "vocab_size": 384, "vocab_offset": 384,
}  # fmt: skip


def make_whole(folder: Path, kind: str, *, seed: int = 0, text=(), vision=()) -> ModelRef:
    """Save a random model that also sees, as its makers publish it. `text` and `vision` replace settings of these parts."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    tokenizer = make_tiny_tokenizer()
    usual = AutoConfig.for_model(kind)
    parts = {}
    for name, sizes, own in (("text_config", SIZES, dict(text)), ("vision_config", _TOWER, dict(vision))):
        part = getattr(usual, name) or AutoConfig.for_model(own["model_type"])
        known = {key: size for key, size in sizes.items() if part.to_dict().get(key) is not None}
        parts[name] = {"model_type": part.model_type, **known, **own}
    parts["text_config"] |= {"vocab_size": len(tokenizer), "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    config = AutoConfig.for_model(kind, **parts)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForImageTextToText.from_config(config)
        perturb(model)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return ModelRef(name=f"tiny {kind}", path=str(folder), hash=hashlib.sha256(kind.encode()).hexdigest())
