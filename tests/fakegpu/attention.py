"""Which kernel CUDA takes for scaled-dot-product attention, and what that costs: one launch, or the mathematics step by step."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tests.fakegpu.card import Card
from tests.fakegpu.tally import TALLY

FLASH, EFFICIENT = "attention (flash)", "attention (efficient)"
MATHS = "attention (maths)"
"""Counted besides the launches of its steps: it needs memory for all pairs of places, in float32."""


def kernel(query: Tensor, key: Tensor, mask: Tensor | None, capability: tuple[int, int]) -> str:
    """The rules of torch's `sdp_utils.cpp` for dense tensors, as far as they matter here."""
    half = query.dtype in (torch.float16, torch.bfloat16)
    if half and mask is None and query.shape[-1] <= 256 and capability >= (8, 0):
        return FLASH
    grouped = query.shape[1] != key.shape[1]  # `enable_gqa`: only the flash kernel has it
    if not grouped and not (query.dtype == torch.bfloat16 and capability < (8, 0)) and query.dtype != torch.float64:
        return EFFICIENT
    return MATHS


def on_cards(original: Callable[..., Tensor], capability: tuple[int, int]) -> Callable[..., Tensor]:
    """Stands for `scaled_dot_product_attention`."""

    def attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, *rest: Any, **options: Any) -> Tensor:
        if not isinstance(query, Card):
            return original(query, key, value, attn_mask, *rest, **options)
        chosen = kernel(query, key, attn_mask, capability)
        TALLY.kernels[chosen] += chosen == MATHS
        if chosen == MATHS:
            return original(query, key, value, attn_mask, *rest, **options)

        def inside(q: Tensor, k: Tensor, v: Tensor, m: Tensor | None) -> Tensor:
            return original(q, k, v, m, *rest, **options)

        return _Fast.apply(query, key, value, attn_mask, inside, chosen)  # type: ignore[no-any-return, no-untyped-call]

    return attention


class _Fast(torch.autograd.Function):
    """One kernel there and one back, which computes it again as the real ones do."""

    @staticmethod
    def forward(ctx: Any, query: Card, key: Card, value: Card, mask: Card | None, inside: Any, chosen: str) -> Tensor:
        ctx.save_for_backward(query, key, value, mask)
        ctx.inside, ctx.chosen = inside, chosen
        TALLY.launch(chosen)
        parts = [None if part is None else part.inner.detach() for part in (query, key, value, mask)]
        return Card(inside(*parts), query.index)

    @staticmethod
    def backward(ctx: Any, grad: Card) -> Any:
        *parts, mask = ctx.saved_tensors
        TALLY.launch(ctx.chosen)
        with torch.enable_grad():
            leaves = [part.inner.detach().requires_grad_() for part in parts]
            out = ctx.inside(*leaves, None if mask is None else mask.inner)
        return (*(Card(slope, grad.index) for slope in torch.autograd.grad(out, leaves, grad.inner)), None, None, None)
