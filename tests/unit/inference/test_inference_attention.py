"""Our attention against torch's own, forward and backward, for rows end to end, for decoding, and where it steps aside."""

import pytest
import torch
from torch.nn import functional as F

from rlhf_desktop.inference import attention
from rlhf_desktop.inference.attention import Layout, attend

LENGTHS = [9, 4, 7]
HEADS, KEY_HEADS, SIZE = 6, 2, 8


def tensors(length, rows=1):
    generator = torch.Generator().manual_seed(0)
    shapes = [(rows, heads, length, SIZE) for heads in (HEADS, KEY_HEADS, KEY_HEADS)]
    return [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


def causal(length):
    return torch.ones(length, length, dtype=torch.bool).tril()


def layout():
    """Three rows of different lengths, causal."""
    width = max(LENGTHS)
    real = torch.tensor([[t < n for t in range(width)] for n in LENGTHS])  # (B, T)
    mask = causal(width) & real.unsqueeze(1)
    return Layout(mask.unsqueeze(1), real.flatten().nonzero().squeeze(1), (real.flatten().cumsum(0) - 1).clamp(min=0))


def row_by_row(query, key, value):
    """What each row gives alone, by torch."""
    parts, at = [], 0
    for length in LENGTHS:
        q, k, v = (x[:, :, at : at + length] for x in (query, key, value))
        parts.append(F.scaled_dot_product_attention(q, k, v, attn_mask=causal(length), scale=0.3, enable_gqa=True))
        at += length
    return torch.cat(parts, dim=2).transpose(1, 2)


@pytest.mark.parametrize("longest", [512, 1], ids=["plain products", "fused"])
def test_rows_end_to_end_give_what_each_gives_alone(longest, monkeypatch):
    monkeypatch.setattr(attention, "LONGEST", longest)
    inputs = tensors(sum(LENGTHS))
    grad = torch.randn(1, sum(LENGTHS), HEADS, SIZE, dtype=torch.float64)
    ours, _ = attend(torch.nn.Module(), *inputs, None, scaling=0.3, layout=layout())
    theirs = row_by_row(*inputs)
    torch.testing.assert_close(ours, theirs)
    for a, b in zip(torch.autograd.grad(ours, inputs, grad), torch.autograd.grad(theirs, inputs, grad), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("masked", [True, False])
def test_a_decoding_step_is_that_of_torch(masked):
    query, key, value = tensors(9, rows=2)
    query = query[:, :, -1:]
    mask = torch.tensor([True] * 5 + [False, True, True, True]).expand(2, 1, 1, 9) if masked else None
    ours, _ = attend(torch.nn.Module(), query, key, value, mask, scaling=0.3)
    theirs = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=0.3, enable_gqa=True)
    torch.testing.assert_close(ours, theirs.transpose(1, 2))


def test_a_query_that_may_look_nowhere_gives_finite_numbers():
    query, key, value = tensors(9)
    out = attention._Attention.apply(query, key, value, torch.zeros(1, 1, 9, 9, dtype=torch.bool), 0.3)
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(tensor.grad).all() for tensor in (query, key, value))


def test_a_whole_prompt_goes_to_the_fused_attention(monkeypatch):
    asked = []
    monkeypatch.setattr(attention, "sdpa_attention_forward", lambda *a, **k: asked.append(1) or (a[1], None))
    attend(torch.nn.Module(), *tensors(9), None, scaling=0.3)
    assert asked == [1]
