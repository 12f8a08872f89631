"""The families taken through the program: `model_type` → what its configuration says beside `SIZES`. Tiny; windows of 8 tokens.

Random weights say as much as learned ones about whether the code around them is right: a mask, a cap or a scale that is dropped
moves the numbers either way.
"""

from typing import Any

WINDOW = 8
SIZES: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "max_position_embeddings": 512,
}  # fmt: skip
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
_LOCAL_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
_ROUTED = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "n_group": 1, "topk_group": 1}
_MLA = {
    "num_key_value_heads": 4,
    "kv_lora_rank": 16,
    "q_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 16,
    "v_head_dim": 12,
}
_QWEN_WINDOW = {"sliding_window": WINDOW, "use_sliding_window": True, "max_window_layers": 1}
_ALTERNATE = ["sliding_attention", "full_attention", "sliding_attention"]
_LINEAR = {
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
    "layer_types": ["linear_attention", "full_attention", "linear_attention"],
}  # fmt: skip
_MAMBA = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_n_groups": 1, "mamba_d_state": 8, "mamba_expand": 2, "mamba_chunk_size": 8}
_SCALES = {"embedding_multiplier": 3.0, "logits_scaling": 4.0, "residual_multiplier": 0.5, "attention_multiplier": 0.2}
_GPT2 = {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 512}

FAMILIES: dict[str, dict[str, Any]] = {
    "afmoe": {**_EXPERTS, "num_shared_experts": 1, "head_dim": 8, "sliding_window": WINDOW, "global_attn_every_n_layers": 2},
    "apertus": {},
    "arcee": {},
    "bamba": {**_MAMBA, "attn_layer_indices": [1]},
    "biogpt": {},
    "bloom": {"hidden_size": 32, "n_layer": 3, "n_head": 4},
    "codegen": {**_GPT2, "n_ctx": 512, "rotary_dim": 4},
    "cohere": {"logit_scale": 0.25},
    "cohere2": {"sliding_window": WINDOW, "logit_scale": 0.25, "layer_types": _ALTERNATE},
    "deepseek_v2": {**_ROUTED, **_MLA, "first_k_dense_replace": 1, "n_shared_experts": 1},
    "deepseek_v3": {**_ROUTED, **_MLA, "first_k_dense_replace": 1, "n_shared_experts": 1},
    "diffllama": {},
    "dots1": {
        **_ROUTED, "head_dim": 8, "first_k_dense_replace": 1, "n_shared_experts": 1, "sliding_window": WINDOW,
        "layer_types": _ALTERNATE,
    },
    "ernie4_5": {},
    "ernie4_5_moe": {"moe_num_experts": 4, "moe_k": 2, "moe_num_shared_experts": 1, "moe_intermediate_size": 24},
    "exaone4": {"sliding_window": WINDOW, "layer_types": _ALTERNATE},
    "falcon": {"num_kv_heads": 2, "new_decoder_architecture": True},
    "falcon_h1": {**_MAMBA, "mamba_d_ssm": 64, "key_multiplier": 0.5, "lm_head_multiplier": 0.5, "ssm_multipliers": [0.5] * 5},
    "falcon_mamba": {"state_size": 8},
    "gemma": {"head_dim": 16},
    "gemma2": {
        "sliding_window": WINDOW, "head_dim": 16, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0,
        "layer_types": _ALTERNATE,
    },
    "gemma3_text": {"sliding_window": WINDOW, "head_dim": 16, "layer_types": _ALTERNATE},
    "gemma3n_text": {
        "sliding_window": WINDOW, "head_dim": 16, "num_hidden_layers": 4,
        "layer_types": ["sliding_attention", "full_attention"] * 2, "num_kv_shared_layers": 2,
        "hidden_size_per_layer_input": 8, "laurel_rank": 4, "altup_num_inputs": 2,
        "activation_sparsity_pattern": [0.5, 0.0, 0.0, 0.0],
    },
    "gemma4_text": {
        "sliding_window": WINDOW, "head_dim": 16, "final_logit_softcapping": 3.0, "hidden_size_per_layer_input": 8,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
    },
    "glm": {"head_dim": 8},
    "glm4": {"head_dim": 8},
    "glm4_moe": {**_ROUTED, "head_dim": 8, "first_k_dense_replace": 1, "n_shared_experts": 1, "use_qk_norm": True},
    "glm4_moe_lite": {**_ROUTED, **_MLA, "n_shared_experts": 1},
    "gpt2": _GPT2,
    "gpt_bigcode": {**_GPT2, "multi_query": True},
    "gpt_neo": {
        "hidden_size": 32, "num_layers": 3, "num_heads": 4, "window_size": WINDOW,
        "attention_types": [[["global", "local", "local"], 1]],
    },
    "gpt_neox": {},
    "gpt_oss": {**_LOCAL_EXPERTS, "sliding_window": WINDOW, "head_dim": 8, "layer_types": _ALTERNATE},
    "gptj": {**_GPT2, "rotary_dim": 4},
    "granite": _SCALES,
    "granite_swa": {**_SCALES, "sliding_window": WINDOW, "layer_types": _ALTERNATE},
    "granitemoe": {**_SCALES, **_LOCAL_EXPERTS},
    "granitemoehybrid": {
        **_SCALES, **_MAMBA, **_LOCAL_EXPERTS, "shared_intermediate_size": 24, "layer_types": ["mamba", "attention", "mamba"],
        "position_embedding_type": "rope",
    },
    "granitemoeshared": {**_SCALES, **_LOCAL_EXPERTS, "shared_intermediate_size": 24},
    "helium": {"head_dim": 8},
    "hunyuan_v1_dense": {"head_dim": 8},
    "hunyuan_v1_moe": {"head_dim": 8, "num_experts": 4, "moe_topk": 2},
    "internlm3": {},
    "jamba": {
        "num_experts": 2, "attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1,
        "mamba_d_state": 8, "use_mamba_kernels": False,
    },
    "lfm2": {"layer_types": ["conv", "full_attention", "conv"], "block_multiple_of": 8},
    "lfm2_moe": {**_EXPERTS, "layer_types": ["conv", "full_attention", "conv"], "num_dense_layers": 1},
    "llama": {},
    "llama4_text": {
        **_LOCAL_EXPERTS, "num_experts_per_tok": 1, "head_dim": 8, "intermediate_size_mlp": 48, "interleave_moe_layer_step": 2,
        "attention_chunk_size": WINDOW, "no_rope_layers": [1, 1, 0],
    },
    "mamba": {"state_size": 8},
    "mamba2": {"num_heads": 4, "head_dim": 16, "state_size": 8, "n_groups": 1, "chunk_size": 8},
    "mimo_v2_flash": {**_ROUTED, "head_dim": 12, "v_head_dim": 8, "sliding_window": WINDOW, "layer_types": _ALTERNATE},
    "minicpm3": {**_MLA, "dim_model_base": 8},
    "minimax": {
        **_LOCAL_EXPERTS, "head_dim": 8, "layer_types": ["linear_attention", "full_attention", "linear_attention"],
        "block_size": 8,
    },
    "minimax_m2": {**_LOCAL_EXPERTS, "head_dim": 8},
    "ministral": {"sliding_window": WINDOW, "head_dim": 8, "layer_types": _ALTERNATE},
    "ministral3": {"head_dim": 8},
    "mistral": {"sliding_window": WINDOW},
    "mixtral": {**_LOCAL_EXPERTS, "sliding_window": WINDOW},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 3, "max_seq_len": 512},
    "nanochat": {"final_logit_softcapping": 3.0},
    "nemotron": {},
    "nemotron_h": {
        **_ROUTED, "head_dim": 8, "layers_block_type": ["mamba", "attention", "moe"], "ssm_state_size": 8, "mamba_num_heads": 4,
        "mamba_head_dim": 16, "n_groups": 1, "chunk_size": 8, "moe_shared_expert_intermediate_size": 24, "use_mamba_kernels": False,
    },
    "olmo": {},
    "olmo2": {},
    "olmo3": {"sliding_window": WINDOW, "layer_types": _ALTERNATE},
    "olmo_hybrid": {**_LINEAR, "linear_num_key_heads": 4},
    "olmoe": {"num_experts": 4, "num_experts_per_tok": 2},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "persimmon": {},
    "phi": {},
    "phi3": {"sliding_window": WINDOW},
    "phimoe": {**_LOCAL_EXPERTS, "sliding_window": WINDOW},
    "qwen2": _QWEN_WINDOW,
    "qwen2_moe": {**_EXPERTS, **_QWEN_WINDOW, "shared_expert_intermediate_size": 24},
    "qwen3": {**_QWEN_WINDOW, "head_dim": 16},
    "qwen3_5_moe_text": {**_EXPERTS, **_LINEAR, "head_dim": 16, "shared_expert_intermediate_size": 24},
    "qwen3_5_text": {**_LINEAR, "head_dim": 16},
    "qwen3_moe": {**_EXPERTS, "head_dim": 16, "sliding_window": WINDOW, "use_sliding_window": True},
    "qwen3_next": {**_EXPERTS, **_LINEAR, "head_dim": 16, "shared_expert_intermediate_size": 24},
    "recurrent_gemma": {"attention_window_size": WINDOW, "lru_width": 32, "head_dim": 8},
    "seed_oss": {"head_dim": 8},
    "smollm3": {"sliding_window": WINDOW, "use_sliding_window": True, "layer_types": _ALTERNATE},
    "stablelm": {},
    "starcoder2": {"sliding_window": WINDOW},
    "vaultgemma": {
        "sliding_window": WINDOW, "head_dim": 16, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0,
        "layer_types": _ALTERNATE,
    },
    "xglm": {"d_model": 32, "ffn_dim": 48, "num_layers": 3, "attention_heads": 4},
    "zamba2": {
        "mamba_d_state": 8, "n_mamba_heads": 4, "mamba_ngroups": 1, "chunk_size": 8,
        "layers_block_type": ["mamba", "hybrid", "mamba"],
        "attention_head_dim": 16, "num_mem_blocks": 1, "use_mamba_kernels": False,
    },
}  # fmt: skip

_MROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}}
_SHORT = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": WINDOW}
WHOLES: dict[str, dict[str, Any]] = {  # models that see as well, by what their language part says
    "gemma3": _SHORT,
    "gemma4": {**_SHORT, "global_head_dim": 16, "final_logit_softcapping": 3.0},
    "idefics3": {},
    "internvl": {},
    "lfm2_vl": {"layer_types": ["conv", "full_attention"]},
    "llama4": {"interleave_moe_layer_step": 2, "attention_chunk_size": WINDOW},
    "llava": {},
    "llava_next": {},
    "llava_onevision": {},
    "mistral3": {"sliding_window": WINDOW},
    "qwen2_5_vl": _MROPE,
    "qwen2_vl": _MROPE,
    "qwen3_5": {"layer_types": ["linear_attention", "full_attention"]},
    "qwen3_5_moe": {"layer_types": ["linear_attention", "full_attention"]},
    "qwen3_vl": _MROPE,
    "smolvlm": {},
}
EYES = {"gemma4": {"model_type": "gemma4_vision", "pooling_kernel_size": 1, "position_embedding_size": 16}}

REFUSED: dict[str, dict[str, Any]] = {
    family: {} for family in ("bert", "t5", "whisper", "clip", "modernbert", "mbart", "rwkv", "gemma4_assistant", "diffusion_gemma")
}

USUAL = ("llama", "qwen2", "qwen3", "gemma3_text", "mistral", "phi3", "qwen3_5_text", "qwen3_moe", "gpt_oss", "granitemoehybrid")
"""The ten that most people come with; the others are in the slow tests."""

MODELS = {  # what people know of a family
    "afmoe": "Trinity (Arcee)", "apertus": "Apertus", "arcee": "AFM-4.5B", "bamba": "Bamba", "biogpt": "BioGPT",
    "bloom": "BLOOM, BLOOMZ", "codegen": "CodeGen", "cohere": "Command R, Aya 23", "cohere2": "Command R7B, Command A, Tiny Aya",
    "deepseek_v2": "DeepSeek V2, V2-Lite", "deepseek_v3": "DeepSeek V3, R1, Moonlight, Kimi K2", "diffllama": "DiffLlama",
    "dots1": "dots.llm1", "ernie4_5": "ERNIE 4.5 0.3B", "ernie4_5_moe": "ERNIE 4.5 21B-A3B", "exaone4": "EXAONE 4",
    "falcon": "Falcon 7B, 40B", "falcon_h1": "Falcon H1", "falcon_mamba": "Falcon Mamba", "gemma": "Gemma 1, CodeGemma",
    "gemma2": "Gemma 2", "gemma3": "Gemma 3 4B, 12B, 27B", "gemma3_text": "Gemma 3 270M, 1B", "gemma3n": "Gemma 3n",
    "gemma3n_text": "Gemma 3n, language part", "gemma4": "Gemma 4", "gemma4_text": "Gemma 4, language part",
    "glm": "GLM-4-9B, GLM-Edge", "glm4": "GLM-4-0414, GLM-Z1", "glm4_moe": "GLM-4.5, 4.6, 4.7", "glm4_moe_lite": "GLM-4.7-Flash",
    "gpt2": "GPT-2, DialoGPT", "gpt_bigcode": "StarCoder 1", "gpt_neo": "GPT-Neo, TinyStories",
    "gpt_neox": "Pythia, GPT-NeoX, RedPajama", "gpt_oss": "gpt-oss (unquantised files)", "gptj": "GPT-J",
    "granite": "Granite 3, 4.0 micro", "granite_swa": "Granite with windows", "granitemoe": "Granite 3 MoE",
    "granitemoehybrid": "Granite 4 H", "granitemoeshared": "Granite MoE with a shared expert", "helium": "Helium",
    "hunyuan_v1_dense": "Hunyuan 0.5B to 7B", "hunyuan_v1_moe": "Hunyuan A13B", "internlm3": "InternLM3",
    "jamba": "Jamba 1.5, Jamba Mini, Jamba Reasoning", "lfm2": "LFM2", "lfm2_moe": "LFM2 8B-A1B",
    "llama": "Llama 1 to 3.3, SmolLM 1 and 2, TinyLlama, Yi, DeepSeek LLM, and the many made like them",
    "llama4": "Llama 4 Scout, Maverick", "llama4_text": "Llama 4, language part", "mamba": "Mamba",
    "mamba2": "Mamba-2, Codestral Mamba", "mimo_v2_flash": "MiMo-V2-Flash", "minicpm3": "MiniCPM3",
    "minimax": "MiniMax-Text-01, M1", "minimax_m2": "MiniMax-M2", "ministral": "Ministral 8B",
    "ministral3": "Ministral 3, language part", "mistral": "Mistral 7B, Nemo, Small 24B, Zephyr, OpenHermes",
    "mistral3": "Mistral Small 3.1, 3.2, Ministral 3", "mixtral": "Mixtral", "mpt": "MPT", "nanochat": "nanochat",
    "nemotron": "Nemotron 3 and 4, Minitron", "nemotron_h": "Nemotron-H, Nemotron Nano 2 and 3", "olmo": "OLMo 1",
    "olmo2": "OLMo 2", "olmo3": "OLMo 3", "olmo_hybrid": "OLMo Hybrid", "olmoe": "OLMoE", "opt": "OPT", "persimmon": "Persimmon",
    "phi": "Phi-1.5, Phi-2", "phi3": "Phi-3, Phi-3.5, Phi-4, Phi-4-mini", "phimoe": "Phi-3.5-MoE",
    "qwen2": "Qwen2, Qwen2.5, QwQ, DeepSeek R1 distilled", "qwen2_5_vl": "Qwen2.5-VL", "qwen2_moe": "Qwen1.5-MoE, Qwen2-57B-A14B",
    "qwen2_vl": "Qwen2-VL", "qwen3": "Qwen3, DeepSeek R1-0528-Qwen3", "qwen3_5": "Qwen3.5", "qwen3_5_moe": "Qwen3.5 MoE",
    "qwen3_5_moe_text": "Qwen3.5 MoE, language part", "qwen3_5_text": "Qwen3.5, language part",
    "qwen3_moe": "Qwen3-30B-A3B, Qwen3-235B-A22B", "qwen3_next": "Qwen3-Next, Qwen3-Coder-Next", "qwen3_vl": "Qwen3-VL",
    "recurrent_gemma": "RecurrentGemma", "seed_oss": "Seed-OSS", "smollm3": "SmolLM3", "stablelm": "StableLM 2, Zephyr 3B",
    "starcoder2": "StarCoder2", "vaultgemma": "VaultGemma", "xglm": "XGLM", "idefics3": "Idefics3",
    "internvl": "InternVL 3, 3.5 (the -HF files)", "lfm2_vl": "LFM2-VL", "llava": "LLaVA 1.5", "llava_next": "LLaVA-NeXT",
    "llava_onevision": "LLaVA-OneVision", "smolvlm": "SmolVLM 1 and 2", "zamba2": "Zamba2",
}  # fmt: skip
