"""Our attention for short rows against torch's own, forward and backward, and where it steps aside."""

import pytest
import torch
from torch.nn import functional as F

from rlhf_desktop.training.attention import LONGEST, _Attention, attend


def case(rows=2, heads=6, key_heads=2, length=9, size=8):
    generator = torch.Generator().manual_seed(0)
    shapes = [(rows, heads, length, size), (rows, key_heads, length, size), (rows, key_heads, length, size)]
    tensors = [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]
    mask = torch.ones(length, length, dtype=torch.bool).tril().expand(rows, 1, length, length).clone()
    mask[0, 0, 5:, 1:4] = False
    return tensors, mask


def test_values_and_gradients_are_those_of_torch():
    (query, key, value), mask = case()
    grad = torch.randn(query.shape, dtype=torch.float64)
    results = []
    for attention in (
        lambda: _Attention.apply(query, key, value, mask, 0.3),
        lambda: F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=0.3, enable_gqa=True),
    ):
        out = attention()
        results.append((out, *torch.autograd.grad(out, (query, key, value), grad)))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_query_that_may_look_nowhere_gives_finite_numbers():
    (query, key, value), mask = case()
    mask[1, 0, 3] = False
    out = _Attention.apply(query, key, value, mask, 0.3)
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(tensor.grad).all() for tensor in (query, key, value))


@pytest.mark.parametrize("change", ["no mask", "decoding", "long rows"])
def test_other_shapes_go_to_the_fused_attention(change, monkeypatch):
    asked = []
    monkeypatch.setattr("rlhf_desktop.training.attention.sdpa_attention_forward", lambda *a, **k: asked.append(1) or (a[1], None))
    (query, key, value), mask = case(length=LONGEST + 1 if change == "long rows" else 9)
    if change == "decoding":
        query, mask = query[:, :, -1:], mask[:, :, -1:]
    attend(torch.nn.Module(), query, key, value, None if change == "no mask" else mask, scaling=0.3)
    assert asked == [1]
