"""The sizes of a language model's layers, and what a training pass through them keeps in memory until backward.

What torch keeps for each token of a Llama-like layer, in b-byte numbers, with LoRA on every linear layer (a test has torch count
it: within 15%):

* 4·hidden bytes for each norm, which works in float32; as much of queries and keys where these are normed too;
* b·(2·hidden + heads·size): what goes into the adapters of attention and of the gates; and their narrow middles, b·7·rank;
* b·4·inner: the gate before and after its activation, what it multiplies, and the product;
* for each place when rows are put side by side, b·(heads·size + keys·(size + value size)) of queries, keys and values. Plain
  products keep b·heads·width of probabilities besides; fused attention its output and a float32 logsumexp for each head instead,
  and on a card keys and values for every head; attention with a soft cap or sinks keeps scores and probabilities in float32 too.

Recurrent layers (Mamba's, gated delta rules) keep more, in float32 and chunk by chunk; those numbers are the most that torch kept
of such layers with sizes of many proportions, and count for every layer of a model that has some.

Gradient checkpointing keeps one hidden state a layer and computes one layer at a time again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rlhf_desktop.core.families import family_of, language_part

PLAIN_WIDTH = 512  # rows up to so many tokens go through plain products on a CPU, longer ones through fused attention
_FOUR_NORMS = ("gemma2", "gemma3", "gemma4", "glm4")  # around attention and around the gates
_HEADS_NORMED = ("qwen3", "gemma3", "gemma4", "olmo2", "olmo3", "olmoe", "exaone4", "glm4_moe", "hunyuan", "lfm2")
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
_CHOSEN = ("num_experts_per_tok", "moe_k", "moe_topk", "top_k_experts")
_STATES = ("mamba_d_state", "ssm_state_size", "state_size")
_STATE_HEADS = ("mamba_n_heads", "mamba_num_heads", "n_mamba_heads", "num_heads")
_SINKS = ("gpt_oss", "granite_swa", "granitemoe_swa", "mimo_v2_flash")
_OTHER_NAMES = {  # GPT-2's, MPT's, GPT-Neo's and XGLM's
    "hidden_size": ("n_embd", "d_model"),
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers"),
    "num_attention_heads": ("n_head", "n_heads", "num_heads", "attention_heads"),
}
_SIZES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "vocab_size",
)
_USUAL: dict[
    str, tuple[int | None, ...]
] = {  # what files may leave out, as transformers has it for the family; None: by the others
    "gemma": (3072, 28, 16, 16, 256, 24576, 256000),
    "gemma2": (2304, 26, 8, 4, 256, 9216, 256000),
    "gemma3_text": (2304, 26, 8, 4, 256, 9216, 262208),
    "gemma3n_text": (2048, 35, 8, 2, 256, 16384, 262400),
    "gemma4_text": (2304, 30, 8, 4, 256, 9216, 262144),
    "llama": (4096, 32, 32, None, None, 11008, 32000),
    "llama4_text": (5120, 48, 40, 8, 128, 8192, 202048),
    "mistral": (4096, 32, 32, 8, None, 14336, 32000),
    "phi3": (3072, 32, 32, None, None, 8192, 32064),
    "qwen2": (4096, 32, 32, None, None, 22016, 151936),
    "qwen2_vl_text": (8192, 80, 64, 8, None, 29568, 152064),
    "qwen2_5_vl_text": (8192, 80, 64, 8, None, 29568, 152064),
    "qwen3": (4096, 32, 32, None, 128, 22016, 151936),
    "qwen3_vl_text": (4096, 32, 32, None, 128, 22016, 151936),
    "qwen3_5_text": (4096, 32, 16, 4, 256, 12288, 248320),
    "qwen3_5_moe_text": (2048, 40, 16, 2, 256, None, 248320),
}
_HEAD_SIZE = 64  # as if there were attention, where there is none (Mamba)


@dataclass(frozen=True)
class Trunk:
    """A model's layers. All numbers but `layers` are of one layer."""

    hidden: int
    layers: int
    heads: int
    key_heads: int
    head_size: int  # of a query and of a key
    value_size: int  # of a head
    inner: int  # width of the gate, over all experts that a token goes through
    norms: int = 2  # over the hidden state
    heads_normed: bool = False  # queries and keys too
    experts: int = 0  # that a token goes through; each is given a copy of it
    open: bool = False  # whether attention has a soft cap or sinks, and so is done step by step in float32
    recurrent: int = 0  # bytes that a recurrent layer holds for a token beside the rest …
    chunk: int = 1  # … in rows that are filled up to a multiple of so many

    @property
    def query_width(self) -> int:
        """Width of the projection to queries."""
        return self.heads * self.head_size

    @property
    def key_width(self) -> int:
        """Width of the projection to keys."""
        return self.key_heads * self.head_size

    @property
    def value_width(self) -> int:
        """Width of the projection to values."""
        return self.key_heads * self.value_size

    @property
    def output_width(self) -> int:
        """Width of what attention gives."""
        return self.heads * self.value_size


def text_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Of a whole config.json, the part about language, with what its family leaves out."""
    text = language_part(config)
    usual = zip(_SIZES, _USUAL.get(family_of(text), ()), strict=False)
    return {**{name: size for name, size in usual if size}, **{name: value for name, value in text.items() if value is not None}}


def trunk_of(config: Mapping[str, Any]) -> Trunk:
    """From a transformers text configuration, as `text_config` or transformers' own `to_dict` gives it.

    Raises:
        KeyError: it does not say what every language model's says.
    """
    hidden, layers, heads = (_first(config, (name, *others)) for name, others in _OTHER_NAMES.items())
    layers = layers or len(config.get("layers_block_type") or ())  # Nemotron-H names its layers instead
    if not (hidden and layers):
        raise KeyError(f"a model of {hidden} wide and {layers} layers")
    heads = heads or max(1, hidden // _HEAD_SIZE)
    family = str(config.get("model_type", ""))
    key_heads = config.get("num_key_value_heads") or heads
    head_size = value_size = config.get("head_dim") or hidden // heads
    if config.get("qk_nope_head_dim"):  # DeepSeek's attention: keys and values are made for every head from a narrow middle
        key_heads, value_size = heads, config["v_head_dim"]
        head_size = config["qk_nope_head_dim"] + config["qk_rope_head_dim"]
    inner, experts = _inner(config, hidden)
    return Trunk(
        hidden=hidden,
        layers=layers,
        heads=heads,
        key_heads=key_heads,
        head_size=head_size,
        value_size=value_size,
        inner=inner,
        norms=4 if family.startswith(_FOUR_NORMS) and not family.startswith("glm4_moe") else 2,
        heads_normed=family.startswith(_HEADS_NORMED),
        experts=experts,
        open=bool(config.get("attn_logit_softcapping")) or family in _SINKS,
        **_recurrence(config, hidden),
    )


def _recurrence(config: Mapping[str, Any], hidden: int) -> dict[str, int]:
    """What recurrent layers hold: a state for each channel (Mamba), heads in chunks (Mamba 2), or a gated delta rule."""
    state, heads = _first(config, _STATES), _first(config, _STATE_HEADS)
    inner = max(hidden * (_first(config, ("mamba_expand", "expand")) or 2), config.get("mamba_d_ssm") or 0)
    chunk = _first(config, ("mamba_chunk_size", "chunk_size"))
    if state and heads and chunk:
        return {"recurrent": 4 * (3 * heads * chunk + 8 * heads * state + 11 * inner), "chunk": chunk}
    if state:
        return {"recurrent": 4 * 3 * inner * state}
    if heads := _first(config, ("linear_num_value_heads",)):
        each = 4 * 64 + 11 * config["linear_value_head_dim"] + 15 * config["linear_key_head_dim"]
        return {"recurrent": 4 * heads * each, "chunk": 64}
    return {}


def _inner(config: Mapping[str, Any], hidden: int) -> tuple[int, int]:
    """Width of the gate over the experts a token goes through, and how many these are (0 without experts)."""
    width = config.get("intermediate_size") or config.get("n_inner") or 4 * hidden
    width = max(width) if isinstance(width, list | tuple) else width
    active, routed = _first(config, _CHOSEN), expert_count(config)
    if not (active and routed):
        return width, 0
    expert = config.get("moe_intermediate_size") or width
    return active * expert + shared_width(config), active


def expert_count(config: Mapping[str, Any]) -> int:
    """Routed experts of a layer; 0 without."""
    return _first(config, _EXPERTS)


def _first(config: Mapping[str, Any], names: Iterable[str]) -> int:
    """The number under the first of these names that says one; 0 if none does."""
    return next((config[name] for name in names if isinstance(config.get(name), int) and config[name]), 0)


def shared_width(config: Mapping[str, Any]) -> int:
    """Width of the experts that every token goes through."""
    each = config.get("shared_expert_intermediate_size") or config.get("shared_intermediate_size")
    return int(each or (config.get("n_shared_experts") or 0) * (config.get("moe_intermediate_size") or 0))


def pass_bytes(
    trunk: Trunk,
    *,
    tokens: int,
    places: int,
    width: int,
    number_bytes: int,
    device: str,
    rank: int = 16,
    checkpointing: bool = False,
) -> int:
    """Bytes that a pass with gradients holds until backward.

    Args:
        trunk: The model's sizes.
        tokens: Of all rows.
        places: The rows' count times `width`, which attention puts side by side.
        width: Tokens of the longest row.
        number_bytes: Of the dtype that computes.
        device: "cpu", or a card of any kind.
        rank: Of the adapter that learns.
        checkpointing: Whether one layer at a time is computed again.
    """
    layer = tokens * _token_bytes(trunk, number_bytes, rank, width) + places * _place_bytes(trunk, number_bytes, width, device)
    ends = tokens * (4 + 2 * number_bytes) * trunk.hidden + places * width * _mask_bytes(number_bytes, width, device)
    if checkpointing:
        return (trunk.layers - 1) * tokens * number_bytes * trunk.hidden + layer + ends
    return trunk.layers * layer + ends


def token_bytes(trunk: Trunk, longest: int, *, number_bytes: int, device: str, rank: int = 16, checkpointing: bool = False) -> int:
    """The most that a token can hold in a pass over full rows of up to `longest` tokens."""
    widths = {longest, min(longest, PLAIN_WIDTH)}  # rows that just go through plain products may hold more than longer ones
    return max(
        pass_bytes(
            trunk, tokens=1, places=1, width=width, number_bytes=number_bytes, device=device, rank=rank, checkpointing=checkpointing
        )
        for width in widths
    )


def is_plain(width: int, device: str) -> bool:
    """Whether rows of this width go through plain products, which keep their probabilities."""
    return device == "cpu" and width <= PLAIN_WIDTH


def _token_bytes(trunk: Trunk, number_bytes: int, rank: int, width: int) -> int:
    norms = trunk.norms * trunk.hidden + trunk.heads_normed * (trunk.query_width + trunk.key_width)
    inputs = 2 * trunk.hidden + trunk.output_width + 2 * trunk.experts * trunk.hidden
    recurrent = trunk.recurrent * -(-width // trunk.chunk) * trunk.chunk // width
    return 4 * norms + number_bytes * (inputs + 4 * trunk.inner + 7 * rank) + recurrent


def _place_bytes(trunk: Trunk, number_bytes: int, width: int, device: str) -> int:
    grouped = device == "cpu" and not trunk.open
    keys = trunk.key_width + trunk.value_width if grouped else trunk.query_width + trunk.output_width
    if trunk.open:
        copied = number_bytes if number_bytes < 4 else 0
        return number_bytes * (trunk.query_width + keys) + (8 + copied) * trunk.heads * width
    if is_plain(width, device):
        return number_bytes * (trunk.query_width + keys + trunk.heads * width)
    return number_bytes * (trunk.query_width + keys + trunk.output_width) + 4 * trunk.heads


def _mask_bytes(number_bytes: int, width: int, device: str) -> int:
    """For each pair of places, once for all layers: true and false, and what fused attention adds."""
    return 1 if is_plain(width, device) else 1 + number_bytes
