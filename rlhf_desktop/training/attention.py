"""Attention over the short rows that a CPU trains on.

torch's fused attention for the CPU is made for long rows: at 128 tokens its backward takes four times as long as the plain products
(softmax(QKᵀ/√d + mask)·V and their derivatives), and its forward twice. So rows of up to `LONGEST` tokens, with as many keys as
queries, go through the plain products; the price is to keep the probabilities, (B, heads, T, T), until backward. Everything else,
decoding too, goes to the fused one. The accuracy in bfloat16 is the same: log-probabilities by either differ from float32's by 0.04
nats a token on average.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "short_rows"
LONGEST = 512


def use_short_rows(model: Any) -> None:
    """Make a model on the CPU attend with this module."""
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, scaling: float, **options: Any
) -> tuple[Tensor, None]:
    """What transformers asks of an attention function.

    Args:
        module: The layer; its number of query heads is a multiple G of the key heads.
        query: (B, heads, T, D).
        key: (B, heads / G, S, D).
        value: (B, heads / G, S, D).
        attention_mask: (B, 1, T, S), true where a query may look.
        scaling: Of the products.
        options: For the fused attention.

    Returns:
        (B, T, heads, D), and no weights.
    """
    length = query.shape[2]
    if attention_mask is None or attention_mask.dtype != torch.bool or key.shape[2] != length or not 1 < length <= LONGEST:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)  # type: ignore[no-any-return]
    out: Tensor = _Attention.apply(query, key, value, attention_mask, scaling)  # type: ignore[no-untyped-call]
    return out.transpose(1, 2), None


class _Attention(torch.autograd.Function):
    """The queries of the G heads that share a key head are laid end to end, so nothing is copied for them."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float) -> Tensor:
        rows, heads, length, size = query.shape
        stacked = query.reshape(rows, key.shape[1], -1, size)  # (B, K, G·T, D)
        scores = (stacked @ key.transpose(-1, -2)).mul_(scaling)  # (B, K, G·T, T)
        scores.view(rows, heads, length, length).masked_fill_(
            ~mask, torch.finfo(scores.dtype).min
        )  # finite: padding may see nothing
        weights = torch.softmax(scores, dim=-1)
        ctx.save_for_backward(stacked, key, value, weights)
        ctx.scaling = scaling
        return (weights @ value).view(rows, heads, length, size)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        stacked, key, value, weights = ctx.saved_tensors
        up = grad.reshape(stacked.shape)  # (B, K, G·T, D)
        slope = torch._softmax_backward_data(up @ value.transpose(-1, -2), weights, -1, weights.dtype).mul_(ctx.scaling)
        return (
            (slope @ key).view(grad.shape),
            slope.transpose(-1, -2) @ stacked,
            weights.transpose(-1, -2) @ up,
            None,
            None,
        )
