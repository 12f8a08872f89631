"""A model of the same family and settings as another, small and with random weights: for checks that need float32 and gradients.

Whether attention, masks, scales and states are handled rightly depends on code and configuration, never on what was learned. So a
model of 7 billion parameters is checked by a copy of a few million: one or two layers of every kind that it has; few heads, each of
its own size, on which positions depend; a few experts; a few hundred words; windows of 8 tokens.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from transformers import AutoModelForCausalLM

WORDS = 320
WINDOW = 8
_LARGEST = 20_000_000  # parameters, where a narrower copy works too
_HOPELESS = 400_000_000
_HIDDEN = 128  # width that is aimed at
_EXPERTS, _CHOSEN = 4, 2

_HEADS = (
    "num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads", "swa_num_attention_heads", "mamba_n_heads",
    "mamba_num_heads", "n_mamba_heads", "linear_num_value_heads", "linear_num_key_heads", "linear_num_heads",
)  # fmt: skip
_GROUPS = ("num_key_value_heads", "num_kv_heads", "swa_num_key_value_heads", "num_global_key_value_heads")
_HIDDEN_SIZE = ("hidden_size", "n_embd", "d_model")
_WIDTHS = (
    *_HIDDEN_SIZE, "intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "intermediate_size_mlp", "moe_intermediate_size",
    "shared_expert_intermediate_size", "moe_shared_expert_intermediate_size", "shared_intermediate_size", "mamba_d_ssm",
    "attention_hidden_size", "lru_width", "word_embed_proj_dim",
)  # fmt: skip
_EXPERT_COUNTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
_EXPERTS_CHOSEN = ("num_experts_per_tok", "moe_k", "moe_topk", "top_k_experts")
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_KINDS = ("layer_types", "layers_block_type", "mlp_layer_types", "no_rope_layers", "block_types")
_PLACES = ("attn_layer_indices", "full_attn_idxs", "moe_layers", "mlp_only_layers")  # numbers of layers
_OWN = "per_layer_config"  # what single layers say differently (Gemma 4)
_LEFT_OUT = ("model_type", "quantization_config", "auto_map", "transformers_version")
_WINDOWS = ("sliding_window", "sliding_window_size", "attention_window_size", "window_size", "attention_chunk_size")
_FIRST = (
    "first_k_dense_replace", "num_dense_layers", "moe_layer_start_index", "attn_layer_offset", "expert_layer_offset",
    "max_window_layers",
)  # fmt: skip


@torch.no_grad()
def small_copy(config: Any) -> Any:
    """A float32 model of this configuration's language part, in evaluation mode, on the CPU; the same whenever it is made.

    Raises:
        Exception: what transformers raises where no copy can be made.
    """
    problem: Exception = ValueError("no copy is small enough")
    found = None
    text = config.get_text_config()
    for said in _smaller(text.to_dict()):
        try:
            small = type(text)(**said)
            size = _parameters(small)
            if size > _HOPELESS or (found is not None and size >= found.num_parameters()):
                continue
            found = _made(small)
        except Exception as raised:  # many kinds: sizes that a family wants in another proportion
            problem = raised
        if found is not None and found.num_parameters() < _LARGEST:
            break
    if found is None:
        raise problem
    return found


def _parameters(config: Any) -> int:
    with torch.device("meta"):
        return int(AutoModelForCausalLM.from_config(config, attn_implementation="eager").num_parameters())


def _made(config: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32)  # its rotations too
        model = made.float().eval()
    _stir(model)
    model(input_ids=torch.arange(3, 3 + 3 * WINDOW)[None], use_cache=False)
    return model


def _stir(model: Any) -> None:
    """Move every norm, bias and sink off its start: as 1 or 0 they would hide that one is left out."""
    generator = torch.Generator().manual_seed(0)
    biases = (values for name, values in model.named_buffers() if "bias" in name and values.is_floating_point())
    for values in (*model.parameters(), *biases):
        values += torch.randn(values.shape, generator=generator) * (0.1 if values.ndim < 2 else 0.02)


def _smaller(whole: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Configurations to try, the likeliest to be small and right first."""
    said = _few_experts({name: value for name, value in whole.items() if name not in _LEFT_OUT})
    for narrow in (_narrow(said), _in_proportion(said, groups=2), _in_proportion(said, groups=1), said):
        yield _few_words(_shallow(narrow))


def _narrow(said: Mapping[str, Any]) -> dict[str, Any]:
    """Few heads, and widths of their own: for families whose heads have a size that is said."""
    hidden = next((said[name] for name in _HIDDEN_SIZE if _is_number(said.get(name))), _HIDDEN)
    by = max(1, hidden // _HIDDEN)

    def narrower(width: Any) -> Any:
        return [narrower(one) for one in width] if isinstance(width, list) else max(16, width // by // 16 * 16)

    widths = {name: narrower(said[name]) for name in _WIDTHS if _is_number(said.get(name)) or isinstance(said.get(name), list)}
    heads = (*_HEADS, *_GROUPS)
    fewer = _divisor(said, heads, 2)
    own = {_OWN: {at: {**layer, **_divided(layer, fewer, heads)} for at, layer in said[_OWN].items()}} if said.get(_OWN) else {}
    return {**said, **_divided(said, fewer, heads), **widths, **own}


def _in_proportion(said: Mapping[str, Any], groups: int) -> dict[str, Any]:
    """Heads and widths divided by one number that divides them all, so that what belongs together still fits together."""
    names = (*_HEADS, *_GROUPS, *_WIDTHS)
    return {**said, **_divided(said, _divisor(said, names, groups), names)}


def _divisor(said: Mapping[str, Any], names: tuple[str, ...], groups: int) -> int:
    """The largest that leaves so many groups of keys, where there are as many."""
    counts = [said[name] for name in names if _is_number(said.get(name)) and not (name in _GROUPS and said[name] == 1)]
    kept = [min(groups, said[name]) for name in _GROUPS if _is_number(said.get(name))]
    keys = [said[name] for name in _GROUPS if _is_number(said.get(name))]

    def fits(by: int) -> bool:
        enough = all(count // by >= least or count == 1 for count, least in zip(keys, kept, strict=True))
        return enough and all(count % by == 0 for count in counts)

    return max(by for by in range(1, 129) if by == 1 or fits(by))


def _divided(said: Mapping[str, Any], by: int, names: tuple[str, ...]) -> dict[str, int]:
    return {name: max(1, said[name] // by) for name in names if _is_number(said.get(name))}


def _is_number(value: Any) -> bool:
    return type(value) is int and value > 0


def _few_experts(said: Mapping[str, Any]) -> dict[str, Any]:
    large = [name for name in _EXPERT_COUNTS if _is_number(said.get(name)) and said[name] > _EXPERTS]
    if not large:
        return dict(said)
    chosen = {name: min(_CHOSEN, said[name]) for name in _EXPERTS_CHOSEN if _is_number(said.get(name))}
    return {**said, **dict.fromkeys(large, _EXPERTS), **chosen, **{name: 1 for name in ("n_group", "topk_group") if said.get(name)}}


def _shallow(said: Mapping[str, Any]) -> dict[str, Any]:
    """One or two layers of every kind, three at least where there are as many."""
    name = next((name for name in _LAYERS if _is_number(said.get(name))), "")
    whole = said[name] if name else len(said.get("layers_block_type") or ())
    lists = {key: value for key, value in said.items() if isinstance(value, list) and len(value) == whole}
    kinds = list(zip(*(map(str, value) for key, value in lists.items() if key in _KINDS), strict=True))
    picked = sorted({kinds.index(kind) for kind in kinds})
    if not picked:
        offsets = [said[key] + 1 for key in _FIRST if type(said.get(key)) is int and said[key] < whole]
        places = [min(said[key]) + 1 for key in _PLACES if said.get(key)]
        picked = list(range(min(whole, max([2, *offsets, *places]))))
    sharing = {}
    if said.get("num_kv_shared_layers"):  # the last layers take their keys from the last of their kind before them
        sharing, picked = {"num_kv_shared_layers": len(picked)}, [*picked, *picked]
    elif len(picked) < min(3, whole):
        picked = [*[*picked, *picked][:2], whole - 1]  # the last one is of a kind that some families ask for
    cut = {key: [value[at] for at in picked] for key, value in lists.items()}
    placed: dict[str, Any] = {key: [at for at in said[key] if at < len(picked)] for key in _PLACES if said.get(key)}
    apart = {int(at): settings for at, settings in (said.get(_OWN) or {}).items()}  # Gemma 4: of some layers
    placed |= {_OWN: {new: apart[at] for new, at in enumerate(picked) if at in apart}} if apart else {}
    dense = {key: 1 for key in ("first_k_dense_replace", "num_dense_layers", "max_window_layers") if said.get(key) and cut}
    return {**said, **cut, **placed, **dense, **sharing, **({name: len(picked)} if name else {})}


def _few_words(said: Mapping[str, Any]) -> dict[str, Any]:
    """A small vocabulary, short windows, and tokens for special uses among the first."""
    words = {key: WORDS for key in ("vocab_size", "vocab_size_per_layer_input") if isinstance(said.get(key), int)}
    windows = {key: min(WINDOW, said[key]) for key in _WINDOWS if isinstance(said.get(key), int) and said[key] > 0}
    tokens = {key: place for place, key in enumerate(("pad_token_id", "bos_token_id", "eos_token_id")) if said.get(key) is not None}
    others = {key: 3 for key, value in said.items() if key.endswith("_token_id") and isinstance(value, int) and key not in tokens}
    return {**said, **words, **windows, **others, **tokens}
