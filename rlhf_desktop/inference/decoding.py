"""One decoding step on a card, written out for models of Llama's kind.

A step for a few rows is little work in many small kernels, and starting them takes longer than running them. transformers starts 50
a layer with LoRA; this takes 22: layers that share an input are one product, of the base's weights and of all their lower factors,
residuals are added by the product before them, a norm is one kernel, and queries and keys are turned together. The numbers are the
same sums: float32 answers agree, and bfloat16 ones differ by rounding, as those of any two kernels do. Where log-probabilities
enter a ratio they come from the training pass, never from here (`policy/sampler_mismatch` says how far the two are apart).

Models of another kind, 4-bit ones and all on a CPU keep transformers' own step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from rlhf_desktop.inference.adapters import Stack, active_stack
from rlhf_desktop.inference.device import empty_cache, fits, free_cache

KINDS = frozenset({"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"})
ROPES = frozenset({"default", "linear", "llama3", "yarn"})  # the others look at the positions, which have to be waited for
ROOM = 128  # tokens for which a cache is made longer at once
ALIGNED = 16  # numbers, of which the rows of a mask are a multiple: the kernels would copy others for each layer


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """A layer's cache with room at its end: a token is written into it, where transformers' would copy the whole cache.

    `keys` and `values` are (B, heads, length + room, D).
    """

    length = 0
    is_initialized: bool

    def write(self, keys: Tensor, values: Tensor) -> None:
        """Put tokens, (B, heads, T, D), at the end."""
        if not self.is_initialized:
            self.keys, self.values, self.is_initialized = keys, values, True
        else:
            end = self.length + keys.shape[-2]
            if _aligned(end) > self.keys.shape[-2]:
                more = _aligned(end + ROOM) - self.length
                self.keys, self.values = (_lengthened(x[:, :, : self.length], more) for x in (self.keys, self.values))
            self.keys[:, :, self.length : end] = keys
            self.values[:, :, self.length : end] = values
        self.length += keys.shape[-2]

    def shown(self, width: int) -> tuple[Tensor, Tensor]:
        """Keys and values of so many tokens; after the last they are 0."""
        return self.keys[:, :, :width], self.values[:, :, :width]

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """What transformers asks of a cache."""
        self.write(key_states, value_states)
        return self.shown(self.length)

    def get_seq_length(self) -> int:
        """How many tokens there are."""
        return self.length


def _aligned(width: int) -> int:
    return -(-width // ALIGNED) * ALIGNED


def _lengthened(x: Tensor, more: int) -> Tensor:
    return torch.cat([x, x.new_zeros(*x.shape[:-2], more, x.shape[-1])], dim=-2)


def new_cache(model: Any, device: torch.device) -> DynamicCache:
    """An empty cache; on a card with room where attention looks at all that is before it."""
    cache = DynamicCache(config=model.config)
    if on_card(device):
        cache.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


@dataclass(frozen=True)
class _Product:
    """Linear layers with the same input as one: y = W x + b + U D x, where D holds all their lower factors, U their upper ones."""

    weight: Tensor  # (Σ out, in)
    bias: Tensor | None  # (Σ out,)
    down: Tensor | None  # (Σ rank, in)
    up: Tensor | None  # (Σ rank, Σ out), scaled

    def __call__(self, x: Tensor) -> Tensor:
        """(B, in) → (B, Σ out)."""
        return self._adapted(x, F.linear(x, self.weight, self.bias))

    def add_to(self, y: Tensor, x: Tensor) -> None:
        """Add the product of x, (B, in), to y, (B, Σ out)."""
        self._adapted(x, y.addmm_(x, self.weight.t()))
        if self.bias is not None:
            y.add_(self.bias)

    def _adapted(self, x: Tensor, y: Tensor) -> Tensor:
        return y if self.down is None or self.up is None else y.addmm_(F.linear(x, self.down), self.up)


@dataclass(frozen=True)
class _Norm:
    weight: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


@dataclass(frozen=True)
class _Layer:
    """One layer of the model. Its K key heads serve G query heads each."""

    before: _Norm
    qkv: _Product
    turned_norms: tuple[_Norm, _Norm] | None  # of each head's query and key (Qwen3)
    groups: tuple[int, int]  # K, G
    scaling: float
    out: _Product
    between: _Norm
    gate_up: _Product
    act: Any
    down: _Product

    def __call__(self, x: Tensor, cos: Tensor, sin: Tensor, kept: RoomyLayer, bias: Tensor | None) -> None:
        """Add the layer to the rows' states x, (B, H). `bias` is added to the products of query and key, (B, 1, 1, S)."""
        self.out.add_to(x, self._attend(self.before(x), cos, sin, kept, bias))
        gate, up = self.gate_up(self.between(x)).chunk(2, dim=-1)
        self.down.add_to(x, self.act(gate) * up)

    def _attend(self, x: Tensor, cos: Tensor, sin: Tensor, kept: RoomyLayer, bias: Tensor | None) -> Tensor:
        """(B, H) → (B, heads · D). The G queries of a key head stand where the queries of one head would."""
        k, g = self.groups
        heads = self.qkv(x).view(len(x), k * g + 2 * k, -1)  # (B, KG + 2K, D)
        turned = _turn(self._normed(heads[:, :-k]), cos, sin)  # (B, KG + K, D)
        kept.write(turned[:, -k:, None], heads[:, -k:, None])
        keys, values = kept.shown(kept.length if bias is None else bias.shape[-1])
        query = turned[:, :-k].view(len(x), k, g, -1)
        return F.scaled_dot_product_attention(query, keys, values, attn_mask=bias, scale=self.scaling).flatten(1)

    def _normed(self, heads: Tensor) -> Tensor:
        if self.turned_norms is None:
            return heads
        k, (of_query, of_key) = self.groups[0], self.turned_norms
        return torch.cat([of_query(heads[:, :-k]), of_key(heads[:, -k:])], dim=1)


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions: x, (B, heads, D), with cos and sin, (B, 1, D), whose halves are equal."""
    half = x.shape[-1] // 2
    low, high = x.chunk(2, dim=-1)
    turned = x * cos
    turned[..., :half].addcmul_(high, sin[..., :half], value=-1)
    turned[..., half:].addcmul_(low, sin[..., half:])
    return turned


class Decoder:
    """Steps of one model with the adapters that are active when this is made."""

    def __init__(self, model: Any) -> None:
        self.model, self.body = model, model.model
        with torch.inference_mode(False), torch.no_grad():  # weights are laid anew, and training goes on with them
            self.layers = [_layer(layer) for layer in self.body.layers]
        self.last = _norm(self.body.norm)

    def __call__(self, tokens: Tensor, positions: Tensor, cache: DynamicCache, mask: Tensor | None) -> Tensor:
        """One more token for each row.

        Args:
            tokens: (B,)
            positions: (B,), where they stand.
            cache: What is before them; they are added.
            mask: (B, S), 0 where a row is padded, for these tokens too; None where none is.

        Returns:
            Logits, (B, V).
        """
        x = self.body.embed_tokens(tokens)  # (B, H)
        cos, sin = self.body.rotary_emb(x, positions[:, None])  # (B, 1, D)
        bias = None if mask is None else _mask_to_add(mask, x.dtype)
        for layer, kept in zip(self.layers, cache.layers, strict=True):
            layer(x, cos, sin, kept, bias)
        logits: Tensor = self.model.lm_head(self.last(x))
        return logits


def find_decoder(model: Any, device: torch.device) -> Decoder | None:
    """The written-out step, on a card and for a model that has one, if there is memory to lay its weights anew."""
    made: list[Decoder] = []
    if on_card(device) and _suits(model) and not fits(lambda: made.append(Decoder(model)), divisible=True):
        free_cache()
    return made[0] if made else None


def on_card(device: torch.device) -> bool:
    """Whether work is started from afar, so that starting it costs."""
    return device.type != "cpu"


def has_plain_cache(model: Any) -> bool:
    """Whether a model is of Llama's kind and keeps all keys and values of its past, and nothing else."""
    if type(model).__name__ not in KINDS or not type(model).__module__.startswith("transformers."):
        return False
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers)  # no window


def _suits(model: Any) -> bool:
    if not has_plain_cache(model):
        return False
    bases = [active_stack(module)[0] for layer in model.model.layers for module in _linears(layer)]
    return model.model.rotary_emb.rope_type in ROPES and all(type(base) is torch.nn.Linear for base in bases)


def _linears(layer: Any) -> list[Any]:
    attn, mlp = layer.self_attn, layer.mlp
    return [attn.q_proj, attn.k_proj, attn.v_proj, attn.o_proj, mlp.gate_proj, mlp.up_proj, mlp.down_proj]


def _layer(layer: Any) -> _Layer:
    q, k, v, o, gate, up, down = _linears(layer)
    attn = layer.self_attn
    keys = active_stack(k)[0].out_features // attn.head_dim
    return _Layer(
        before=_norm(layer.input_layernorm),
        qkv=_product([q, k, v]),
        turned_norms=(_norm(attn.q_norm), _norm(attn.k_norm)) if hasattr(attn, "q_norm") else None,
        groups=(keys, attn.num_key_value_groups),
        scaling=attn.scaling,
        out=_product([o]),
        between=_norm(layer.post_attention_layernorm),
        gate_up=_product([gate, up]),
        act=layer.mlp.act_fn,
        down=_product([down]),
    )


def _norm(module: Any) -> _Norm:
    return _Norm(module.weight, module.variance_epsilon)


def _product(modules: Sequence[Any]) -> _Product:
    bases, stacks = zip(*map(active_stack, modules), strict=True)
    lower = [a for stack in stacks for a, _, _ in stack]
    upper = [_upper(base, stack) for base, stack in zip(bases, stacks, strict=True)]
    return _Product(
        weight=_weight(bases),
        bias=_bias(bases),
        down=torch.cat(lower) if lower else None,
        up=torch.block_diag(*upper).t().contiguous() if lower else None,  # type: ignore[no-untyped-call]
    )


def _upper(base: torch.nn.Linear, stack: Stack) -> Tensor:
    """(out, Σ rank), scaled; rank 0 without adapters."""
    return torch.cat([base.weight.new_zeros(base.out_features, 0), *(b * scaling for _, b, scaling in stack)], dim=1)


def _weight(bases: Sequence[torch.nn.Linear]) -> Tensor:
    """The layers' weights one below the other, (Σ out, in). Laid so once; from then on the layers' own are views of it."""
    if len(bases) == 1:
        return bases[0].weight.detach()
    joined: Tensor | None = getattr(bases[0], "joined_weight", None)
    if joined is None:
        joined = torch.cat([base.weight.detach() for base in bases])
        for base, part in zip(bases, torch.split(joined, [base.out_features for base in bases]), strict=True):
            base.weight.data = part
        bases[0].joined_weight = joined
        empty_cache()  # where each lay alone; or the model would take twice its memory
    return joined


def _bias(bases: Sequence[torch.nn.Linear]) -> Tensor | None:
    if all(base.bias is None for base in bases):
        return None
    return torch.cat([base.weight.new_zeros(base.out_features) if base.bias is None else base.bias.detach() for base in bases])


def _mask_to_add(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """(B, S) → (B, 1, 1, S or a little more): 0 where a row may look, else -∞."""
    bias = mask.new_full((len(mask), 1, 1, _aligned(mask.shape[1])), float("-inf"), dtype=dtype)
    bias[:, 0, 0, : mask.shape[1]].masked_fill_(mask.bool(), 0.0)
    return bias
