"""What families do differently, beside transformers' own eager attention: windows, soft caps, scales, values of another size.

Tiny models with random weights, every norm and bias among them; windows of 8 tokens; rows shorter and longer than that, of one
answer and of several.
"""

import re
import shutil

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.inference.attention import use_rows
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.inference.reach import begin_rows
from rlhf_desktop.training.batch import Group, collate
from rlhf_desktop.training.policy import answer_pass, choose_road

WORDS = 96
SIZES = {
    "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48,
    "vocab_size": WORDS, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "max_position_embeddings": 128,
}  # fmt: skip
LINEAR = {
    "num_hidden_layers": 4, "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8,
    "linear_value_head_dim": 8, "head_dim": 16,
}  # fmt: skip
MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1, "mamba_chunk_size": 8}
FAMILIES = {
    "llama": {},
    "gemma3_text": {"sliding_window": 8, "head_dim": 16, "layer_types": ["sliding_attention", "full_attention"] * 2},
    "gemma4_text": {"sliding_window": 8, "head_dim": 16, "final_logit_softcapping": 3.0},
    "gemma2": {"sliding_window": 8, "head_dim": 16, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0},
    "gpt_oss": {"sliding_window": 8, "head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2},
    "mistral": {"sliding_window": 8},
    "ministral": {"sliding_window": 8, "head_dim": 8},
    "qwen2": {"sliding_window": 8, "use_sliding_window": True, "max_window_layers": 1},
    "qwen3": {"sliding_window": 8, "use_sliding_window": True, "max_window_layers": 1, "head_dim": 16},
    "phi3": {"sliding_window": 8},
    "qwen2_moe": {
        "sliding_window": 8, "use_sliding_window": True, "max_window_layers": 1, "num_experts": 4, "num_experts_per_tok": 2,
        "moe_intermediate_size": 24, "shared_expert_intermediate_size": 24,
    },
    "olmo3": {"sliding_window": 8},
    "exaone4": {"sliding_window": 8},
    "smollm3": {"sliding_window": 8, "use_sliding_window": True},
    "cohere2": {"sliding_window": 8, "logit_scale": 0.0625},
    "granite": {"logits_scaling": 4.0, "residual_multiplier": 0.5},
    "nanochat": {"final_logit_softcapping": 3.0},
    "deepseek_v3": {
        "num_key_value_heads": 4, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1, "v_head_dim": 12,
        "moe_intermediate_size": 24, "kv_lora_rank": 16, "q_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16,
    },
}  # fmt: skip
GENERAL = {  # states that run on from row to row, attention of their own, or a trunk of another shape
    "lfm2": {"layer_types": ["conv", "full_attention", "conv"]},
    "olmo_hybrid": {},
    "recurrent_gemma": {"attention_window_size": 8},
    "falcon_h1": {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1},
    "qwen3_next": {**LINEAR, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24},
    "qwen3_5_text": LINEAR,
    "jamba": {
        "attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1, "num_experts": 4,
        "mamba_d_state": 8, "mamba_dt_rank": 4, "use_mamba_kernels": False,
    },
    "bamba": {"attn_layer_indices": [1], **MAMBA},
    "granitemoehybrid": {
        **MAMBA, "layer_types": ["mamba", "attention", "mamba"], "num_local_experts": 4, "num_experts_per_tok": 2,
        "shared_intermediate_size": 24, "logits_scaling": 4.0,
    },
    "nemotron_h": {
        "num_hidden_layers": 4, "hybrid_override_pattern": "M*-M", "mamba_num_heads": 8, "mamba_head_dim": 8, "ssm_state_size": 8,
        "n_groups": 1, "chunk_size": 8, "head_dim": 8,
    },
    "minimax": {"num_local_experts": 4, "head_dim": 8, "block_size": 8},
    "mamba": {"state_size": 8, "time_step_rank": 4},
    "stablelm": {},
    "nemotron": {},
    "llama4_text": {"num_local_experts": 2, "attention_chunk_size": 8, "head_dim": 8, "intermediate_size_mlp": 48},
    "phimoe": {"sliding_window": 8, "num_local_experts": 4, "num_experts_per_tok": 2},
    "bloom": {"n_layer": 3, "n_head": 4},
}  # fmt: skip
LONG = {  # positions that look at the longest row
    "phi3": {
        "original_max_position_embeddings": 32, "max_position_embeddings": 128,
        "rope_parameters": {
            "rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 32,
            "short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [2.0, 3.0, 4.0, 5.0],
        },
    },
    "llama": {"max_position_embeddings": 32, "rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}},
}  # fmt: skip


def words(count, seed):
    return torch.randint(3, WORDS, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


GROUPS = [
    Group(words(3, 1), [words(2, 2), words(3, 3)]),
    Group(words(20, 4), [words(15, 5), words(9, 6), words(30, 7)]),
    Group(words(5, 8), [words(40, 9)]),
]


def made(family, **settings):
    """A model whose attention and logits are transformers' own, and a weight of its first layer that gradients are asked for."""
    model = random_model(family, **settings)
    first = [
        p for name, p in model.named_parameters() if re.search(r"\b(layers|h|blocks)\.0\..*(out|o)_?(proj|dense)?.*weight", name)
    ]
    learned = next(p for p in first if p.dim() == 2)
    return model, learned.requires_grad_(True)


def random_model(family, **more):
    settings = {**SIZES, **FAMILIES.get(family, {}), **GENERAL.get(family, {}), **more}
    if family in FAMILIES and "layer_types" in settings:
        settings["layer_types"] = settings["layer_types"][: settings["num_hidden_layers"]]
    config = AutoConfig.for_model(family, **settings)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter += torch.randn(parameter.shape, generator=generator) * 0.15
    return model


def one_by_one(model):
    """(N,) log-probabilities of each answer alone after its prompt."""
    found = []
    for group in GROUPS:
        for answer in group.answers:
            ids = torch.tensor([group.prompt + answer])
            begin_rows(model)
            logits = model(input_ids=ids, use_cache=False).logits[0, len(group.prompt) - 1 : -1]
            found.append(torch.log_softmax(logits.float(), -1)[torch.arange(len(answer)), torch.tensor(answer)])
    return torch.cat(found)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("family", "road"), [*((f, "fast") for f in FAMILIES), *((f, "general") for f in GENERAL)])
def test_log_probabilities_and_gradients_are_those_of_transformers(family, road):
    model, learned = made(family)
    theirs = one_by_one(model)
    weights = torch.linspace(-1, 1, len(theirs))
    (slope,) = torch.autograd.grad((theirs * weights).sum(), learned)
    use_rows(model)
    assert choose_road(model) == road
    ours = answer_pass(model, collate(GROUPS)).logprobs
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.autograd.grad((ours * weights).sum(), learned)[0], slope, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("family", LONG)
def test_no_neighbour_and_no_row_before_changes_positions_that_look_at_the_longest(family):
    model, learned = made(family, **LONG[family])
    theirs = one_by_one(model)
    weights = torch.linspace(-1, 1, len(theirs))
    (slope,) = torch.autograd.grad((theirs * weights).sum(), learned)
    use_rows(model)
    for groups, share in ((GROUPS, slice(None)), (GROUPS[:1], slice(5))):
        ours = answer_pass(model, collate(groups)).logprobs
        torch.testing.assert_close(ours, theirs[share], atol=1e-5, rtol=1e-5)
        if groups is GROUPS:
            torch.testing.assert_close(torch.autograd.grad((ours * weights).sum(), learned)[0], slope, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("family", ["llama", "gemma4_text", "granite"])
def test_the_entropy_is_that_of_the_logits_that_are_sampled_from(family):
    model, _ = made(family)
    group = GROUPS[2]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([group.prompt + group.answers[0]]), use_cache=False).logits[
            0, len(group.prompt) - 1 : -1
        ]
        use_rows(model)
        ours = answer_pass(model, collate([group]), temperature=0.7)
    log_p = torch.log_softmax(logits.float() / 0.7, -1)
    torch.testing.assert_close(ours.entropy, -(log_p.exp() * log_p).sum(-1), atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
def test_a_prompt_and_the_words_after_it_are_read_as_transformers_does(family):
    model, _ = made(family)
    ids = torch.tensor([words(40, 10)])
    theirs = model(input_ids=ids, use_cache=False).logits[0, -3:]
    use_rows(model)
    prompt = model(input_ids=ids[:, :-2], use_cache=True)
    last = [prompt.logits[0, -1]]
    for at in (-2, -1):
        step = model(input_ids=ids[:, at:][:, :1], past_key_values=prompt.past_key_values, use_cache=True)
        last.append(step.logits[0, -1])
    torch.testing.assert_close(torch.stack(last), theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", ["gemma2", "gpt_oss"])
def test_families_without_fused_attention_are_loaded_and_trained_on(family, tiny_model, tmp_path):
    """Their weights beside the tiny model's tokenizer; loading checks the files, and the trainers' own check passes."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_model.path, folder)
    words = AutoConfig.from_pretrained(folder).vocab_size
    config = AutoConfig.for_model(family, **{**SIZES, **FAMILIES[family], "vocab_size": words})
    AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().save_pretrained(folder)
    base = load_base(tiny_model.model_copy(update={"path": str(folder)}), dtype="float32", device="cpu")
    assert choose_road(base.model) == "fast"


@torch.no_grad()
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("family", "road"),
    [
        ("llama", "fast"),
        ("gemma3_text", "fast"),
        ("gpt_oss", "fast"),
        ("qwen3", "fast"),
        ("granite", "fast"),
        *((f, "general") for f in GENERAL),
    ],
)
def test_in_bfloat16_the_same_road_is_taken(family, road):
    model = random_model(family).to(torch.bfloat16)
    use_rows(model)
    assert choose_road(model) == road


@torch.no_grad()
def test_a_family_that_fits_neither_road_is_refused_in_one_sentence():
    """Whatever goes wrong inside."""
    model = random_model("llama")
    use_rows(model)
    layer = model.model.layers[1]
    layer.register_forward_hook(lambda module, inputs, output: output + 0.5 * output.flip(1))  # it looks ahead
    with pytest.raises(ModelTrouble, match="the llama family cannot be trained here yet"):
        choose_road(model)
