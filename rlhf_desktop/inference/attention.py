"""Attention over rows that lie end to end: everything else in the model runs without padding.

Trainers lay the tokens of a batch out as one sequence (1, N) and say with a `Layout` which of them form a row. Only attention puts
the rows side by side, pads them, and takes the padding off again; linear layers and norms, nearly all of the work, never see it.

On a CPU, short rows go through the plain products (softmax(QKᵀ/√d + mask)·V and their derivatives): torch's fused attention is made
for long rows, and at 128 tokens its backward takes four times as long. The price is to keep the probabilities until backward. The
accuracy in bfloat16 is the same: log-probabilities by either differ from float32's by 0.04 nats a token on average. A decoding
step's single query goes the same way. Long rows, and all on a GPU, go to the fused attention.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "rows"
LONGEST = 512  # tokens of a row that goes through the plain products


@dataclass(frozen=True)
class Layout:
    """Where the N tokens of a sequence stand when its B rows are padded to T and put side by side."""

    mask: Tensor  # (B, 1, T, T) true where a query may look
    slots: Tensor  # (N,) a token's place among the B·T
    source: Tensor  # (B·T,) the token at a place; any token where there is padding


def use_rows(model: Any) -> None:
    """Make a model attend with this module."""
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)


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
        value: As key.
        attention_mask: (B, 1, T, S), true where a query may look; not used with a layout.
        scaling: Of the products.
        layout: Which tokens form a row, when rows lie end to end.
        options: For the fused attention.

    Returns:
        (B, T, heads, D), with a layout (1, N, heads, D), and no weights.
    """
    if layout is not None:
        rows = [_side_by_side(x, layout) for x in (query, key, value)]
        out = _attend_rows(rows[0], rows[1], rows[2], layout.mask, scaling)  # (B, heads, T, D)
        flat = out.transpose(1, 2).flatten(0, 1)  # (B·T, heads, D)
        return flat.index_select(0, layout.slots).unsqueeze(0), None
    if query.shape[2] == 1 and query.device.type == "cpu" and (attention_mask is None or attention_mask.dtype == torch.bool):
        return _Attention.apply(query, key, value, attention_mask, scaling).transpose(1, 2), None  # type: ignore[no-untyped-call]
    return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)  # type: ignore[no-any-return]


def _side_by_side(x: Tensor, layout: Layout) -> Tensor:
    """(1, heads, N, D) → (B, heads, T, D)."""
    rows, length = layout.mask.shape[0], layout.mask.shape[-1]
    placed = x[0].transpose(0, 1).index_select(0, layout.source)  # (B·T, heads, D)
    return placed.view(rows, length, *placed.shape[1:]).transpose(1, 2)


def _attend_rows(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float) -> Tensor:
    if query.device.type == "cpu" and query.shape[2] <= LONGEST:
        return _Attention.apply(query, key, value, mask, scaling)  # type: ignore[no-any-return, no-untyped-call]
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling, enable_gqa=True)


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
        return (weights @ value).view(rows, heads, length, size)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        stacked, key, value, weights = ctx.saved_tensors
        up = grad.reshape(stacked.shape)  # (B, K, G·T, D)
        slope = torch._softmax_backward_data(up @ value.transpose(-1, -2), weights, -1, weights.dtype).mul_(ctx.scaling)
        return (slope @ key).view(grad.shape), slope.transpose(-1, -2) @ stacked, weights.transpose(-1, -2) @ up, None, None
