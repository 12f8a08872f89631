"""Attention over rows that lie end to end: everything else in the model runs without padding.

Trainers lay the tokens of a batch out as one sequence (1, N) and say with a `Layout` which of them form a row. Only attention puts
the rows side by side, pads them, and takes the padding off again; linear layers and norms, nearly all of the work, never see it.

On a CPU, short rows go through the plain products (softmax(QKᵀ/√d + mask)·V and their derivatives): torch's fused attention is made
for long rows, and at 128 tokens its backward takes four times as long. The price is to keep the probabilities until backward. The
accuracy in bfloat16 is the same: log-probabilities by either differ from float32's by 0.04 nats a token on average. A decoding
step's single query goes the same way. Long rows, and all on a card, go to the fused attention.

On a card that is one of several kernels, and each refuses something (torch's sdp_utils.cpp): flash a mask, memory-efficient grouped
heads. What all refuse goes to plain products in float32 with T² numbers a head. So a mask and grouped heads never go together:
rows that need only causality go without a mask, with grouped heads where flash will take them; others have their keys and values
repeated for every head, and an additive mask in the queries' format whose rows start at multiples of eight numbers, as the
memory-efficient kernel wants it, made once for all layers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.backends.cuda import SDPAParams, can_use_flash_attention
from torch.nn import functional as F
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from rlhf_desktop.core.trunk import is_plain

NAME = "rows"
ALIGNED = 8  # numbers, of which the rows of a mask in memory are a multiple


@dataclass(frozen=True)
class Layout:
    """Where the N tokens of a sequence stand when its B rows are padded to T (at the right) and put side by side.

    A token sees itself and what stands before it in the prompt or in its own answer.
    """

    segment: Tensor  # (B, T) 0 where the prompt is, 1… its answers, -1 padding
    position: Tensor  # (B, T) counted along prompt and answer; any in padding
    slots: Tensor  # (N,) a token's place among the B·T
    source: Tensor  # (B·T,) the token at a place; any token where there is padding
    single: bool  # whether no row has two answers: then causality alone says what a token sees
    _made: dict[object, Tensor] = field(default_factory=dict, repr=False, compare=False)

    def mask(self, window: int | None = None) -> Tensor:
        """(B, 1, T, T), true where a query may look; with a window only at keys less than so many positions before it."""
        near = window if self._cuts(window) else None
        return self._once(near, lambda: _visible(self.segment, self.position, near))

    def bias(self, dtype: torch.dtype, window: int | None = None) -> Tensor:
        """The mask as 0 and -∞ to add, (B, 1, T, T) in memory whose rows start at multiples of eight numbers."""
        near = window if self._cuts(window) else None
        return self._once((dtype, near), lambda: _additive(self.mask(near), dtype))

    def causal(self, window: int | None = None) -> bool:
        """Whether causality alone gives real tokens what the mask does; what padding sees is nobody's concern."""
        return self.single and not self._cuts(window)

    def _cuts(self, window: int | None) -> bool:
        return window is not None and window < self.segment.shape[1]

    def _once(self, key: object, make: Callable[[], Tensor]) -> Tensor:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def _visible(segment: Tensor, position: Tensor, window: int | None) -> Tensor:
    """(B, T) segments → (B, 1, T, T): earlier tokens of the prompt or the same answer. Padding is seen by padding alone."""
    width = segment.shape[1]
    causal = torch.ones(width, width, dtype=torch.bool, device=segment.device).tril()
    same = segment.unsqueeze(2) == segment.unsqueeze(1)
    prompt = (segment == 0).unsqueeze(1) & (segment >= 0).unsqueeze(2)
    seen = (same | prompt) & causal
    if window is not None:
        seen &= position.unsqueeze(2) - position.unsqueeze(1) < window
    return seen.unsqueeze(1)


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    width = mask.shape[-1]
    wide = torch.zeros(*mask.shape[:-1], -(-width // ALIGNED) * ALIGNED, dtype=dtype, device=mask.device)
    bias = wide[..., :width]
    return bias.masked_fill_(~mask, float("-inf"))


def use_rows(model: Any) -> None:
    """Make a model attend with this module."""
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, _mask)
    model.set_attn_implementation(NAME)


@contextmanager
def eager(model: Any) -> Iterator[None]:
    """The family's own attention, written out, while a block runs; families that do not take ours have theirs already."""
    ours = model.config._attn_implementation == NAME
    if ours:
        model.set_attn_implementation("eager")
    try:
        yield
    finally:
        if ours:
            model.set_attn_implementation(NAME)


def names_its_windows(model: Any, run: Callable[[], object]) -> bool:
    """Whether each layer says what window it has, or has none, while `run` goes through the model with a layout.

    Some families only mask by their window, and with a layout they make no mask.
    """
    config = model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    if not window or not getattr(config, "use_sliding_window", True) or window >= config.max_position_embeddings:
        return True
    silent: list[Any] = []
    kinds = getattr(config, "layer_types", None)

    def listen(module: Any, *args: Any, **options: Any) -> tuple[Tensor, None]:
        has_none = kinds is not None and hasattr(module, "layer_idx") and kinds[module.layer_idx] == "full_attention"
        if not has_none and "sliding_window" not in options and not hasattr(module, "sliding_window"):
            silent.append(module)
        return attend(module, *args, **options)

    AttentionInterface.register(NAME, listen)
    try:
        run()
    finally:
        AttentionInterface.register(NAME, attend)
    return not silent


def _mask(*, attention_mask: Tensor | None = None, **options: Any) -> Tensor | None:
    """The mask as transformers makes it. A card is not asked whether one masks anything: each step would wait."""
    if attention_mask is not None and attention_mask.device.type != "cpu":
        options["allow_is_causal_skip"] = False
    return sdpa_mask(attention_mask=attention_mask, **options)  # type: ignore[no-any-return]


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    layout: Layout | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """What transformers asks of an attention function.

    Args:
        module: The layer; its number of query heads is a multiple G of the key heads.
        query: (B, heads, T, D); with a layout (1, heads, N, D).
        key: (B, heads / G, S, D); with a layout (1, heads / G, N, D).
        value: As key; D may be another.
        attention_mask: (B, 1, T, S), true where a query may look; not used with a layout.
        scaling: Of the products.
        layout: Which tokens form a row, when rows lie end to end.
        options: For the fused attention. "sliding_window" is heeded with a layout; "softcap" and "s_aux" (sinks) always; "indices"
            (B, T, k) of the keys that a query may look at alone (DeepSeek's sparse attention) where rows lie side by side.

    Returns:
        (B, T, heads, D), with a layout (1, N, heads, D), and no weights.
    """
    if (chosen := options.pop("indices", None)) is not None:
        attention_mask = _chosen_alone(key, attention_mask, chosen)
    openly = options.get("softcap") is not None or options.get("s_aux") is not None
    if layout is not None:
        q, k, v = (_side_by_side(x, layout) for x in (query, key, value))
        window = options.get("sliding_window", getattr(module, "sliding_window", None))  # some families only mask by it
        if openly:
            out = _attend_openly(q, k, v, layout.mask(window), scaling, options.get("softcap"), options.get("s_aux"))
        else:
            out = _attend_rows(q, k, v, layout, scaling, window)  # (B, heads, T, D)
        flat = out.transpose(1, 2).flatten(0, 1)  # (B·T, heads, D)
        return flat.index_select(0, layout.slots).unsqueeze(0), None
    if openly:
        mask = _causal(query, key) if attention_mask is None else attention_mask
        out = _attend_openly(query, key, value, mask, scaling, options.get("softcap"), options.get("s_aux"))
        return out.transpose(1, 2), None
    if query.shape[2] == 1 and query.device.type == "cpu" and (attention_mask is None or attention_mask.dtype == torch.bool):
        return _Attention.apply(query, key, value, attention_mask, scaling).transpose(1, 2), None  # type: ignore[no-untyped-call]
    return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)  # type: ignore[no-any-return]


def _chosen_alone(key: Tensor, mask: Tensor | None, chosen: Tensor) -> Tensor:
    """(B, 1, T, S), of the mask what is chosen."""
    if mask is None or mask.dtype != torch.bool:
        raise NotImplementedError("sparse attention without a mask of true and false")
    among = torch.zeros(*chosen.shape[:2], key.shape[2], dtype=torch.bool, device=key.device)
    return mask & among.scatter(-1, chosen.long(), True).unsqueeze(1)


def _side_by_side(x: Tensor, layout: Layout) -> Tensor:
    """(1, heads, N, D) → (B, heads, T, D)."""
    placed = x[0].transpose(0, 1).index_select(0, layout.source)  # (B·T, heads, D)
    return placed.view(*layout.segment.shape, *placed.shape[1:]).transpose(1, 2)


def _attend_rows(query: Tensor, key: Tensor, value: Tensor, layout: Layout, scaling: float, window: int | None) -> Tensor:
    if is_plain(query.shape[2], query.device.type):
        return _Attention.apply(query, key, value, layout.mask(window), scaling)  # type: ignore[no-any-return, no-untyped-call]
    if query.device.type != "cpu":
        return _attend_on_card(query, key, value, layout, scaling, window)
    bias = layout.bias(query.dtype, window)  # of true and false torch would make one for each layer, and keep it
    return F.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=scaling, enable_gqa=True)


def _attend_on_card(query: Tensor, key: Tensor, value: Tensor, layout: Layout, scaling: float, window: int | None) -> Tensor:
    """Without a mask where that is enough, else with keys and values for every head: never a mask and grouped heads."""
    causal, heads = layout.causal(window), query.shape[1]
    grouped = causal and key.shape[1] != heads and can_use_flash_attention(SDPAParams(query, key, value, None, 0.0, True, True))
    if not grouped:
        key, value = (_for_every_head(x, heads) for x in (key, value))
    bias = None if causal else layout.bias(query.dtype, window)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=bias, is_causal=causal, scale=scaling, enable_gqa=grouped)


def _attend_openly(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float, softcap: float | None, sinks: Tensor | None
) -> Tensor:
    """What no fused attention has: scores under a soft cap (Gemma 2), and sinks (GPT-OSS), which take a share and give nothing.

    Step by step in float32, with T² numbers a head for each step.
    """
    key, value = (_for_every_head(x, query.shape[1]) for x in (key, value))
    scores = (query @ key.transpose(-1, -2)).float() * scaling  # (B, heads, T, S)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min) if mask.dtype == torch.bool else scores + mask
    if sinks is not None:
        sink = sinks.to(scores.dtype).view(1, -1, 1, 1).expand(*scores.shape[:-1], 1)
        scores = torch.cat([scores, sink], dim=-1)
    weights = torch.softmax(scores, dim=-1)[..., : key.shape[2]]
    return weights.to(value.dtype) @ value


def _causal(query: Tensor, key: Tensor) -> Tensor:
    """(1, 1, T, S): transformers makes no mask where the queries are the last keys and all may be seen."""
    length, keys = query.shape[2], key.shape[2]
    return torch.ones(length, keys, dtype=torch.bool, device=query.device).tril(keys - length).view(1, 1, length, keys)


def _for_every_head(x: Tensor, heads: int) -> Tensor:
    """(B, heads / G, T, D) → (B, heads, T, D)."""
    rows, groups, length, size = x.shape
    if groups == heads:
        return x
    return x.unsqueeze(2).expand(rows, groups, heads // groups, length, size).reshape(rows, heads, length, size)


class _Attention(torch.autograd.Function):
    """The queries of the G heads that share a key head are laid end to end, so nothing is copied for them."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float) -> Tensor:
        rows, heads, length, size = query.shape
        stacked = query.reshape(rows, key.shape[1], -1, size)  # (B, K, G·T, D)
        scores = (stacked @ key.transpose(-1, -2)).mul_(scaling)  # (B, K, G·T, S)
        if mask is not None:  # finite, as padding may see nothing
            scores.view(rows, heads, length, -1).masked_fill_(~mask, torch.finfo(scores.dtype).min)
        weights = torch.softmax(scores, dim=-1)
        ctx.save_for_backward(stacked, key, value, weights)
        ctx.scaling = scaling
        return (weights @ value).view(rows, heads, length, value.shape[-1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        stacked, key, value, weights = ctx.saved_tensors
        up = grad.reshape(*stacked.shape[:-1], value.shape[-1])  # (B, K, G·T, D)
        slope = torch._softmax_backward_data(up @ value.transpose(-1, -2), weights, -1, weights.dtype).mul_(ctx.scaling)
        return (
            (slope @ key).view(*grad.shape[:-1], key.shape[-1]),
            slope.transpose(-1, -2) @ stacked,
            weights.transpose(-1, -2) @ up,
            None,
            None,
        )
