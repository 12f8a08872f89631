"""Our attention against torch's own, forward and backward, for rows end to end, for decoding, and where it steps aside.

No card is needed: its road is taken on the CPU for the numbers, and on the "meta" device, which has none, for what is handed over.
"""

from dataclasses import dataclass

import pytest
import torch
from torch.nn import functional as F

from rlhf_desktop.core import trunk
from rlhf_desktop.inference import attention
from rlhf_desktop.inference.attention import attend
from rlhf_desktop.training.batch import Group, collate

LENGTHS = [9, 4, 7]
HEADS, KEY_HEADS, SIZE = 6, 2, 8


def tensors(length, rows=1):
    generator = torch.Generator().manual_seed(0)
    shapes = [(rows, heads, length, SIZE) for heads in (HEADS, KEY_HEADS, KEY_HEADS)]
    return [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


def causal(length):
    return torch.ones(length, length, dtype=torch.bool).tril()


def layout(device="cpu"):
    """Three rows of different lengths, of one answer each: causal."""
    return collate([Group([1] * 3, [[1] * (length - 3)]) for length in LENGTHS], device).layout


def tree(device="cpu"):
    """The same lengths, with two answers in a row."""
    return collate([Group([1] * 2, [[1], [1] * (length - 3)]) for length in LENGTHS], device).layout


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
    monkeypatch.setattr(trunk, "PLAIN_WIDTH", longest)
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


@dataclass(frozen=True)
class Call:
    """What was handed to the fused attention."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    attn_mask: torch.Tensor | None = None
    is_causal: bool = False
    scale: float | None = None
    enable_gqa: bool = False


def flash_takes(call):
    """torch 2.13, ATen/native/transformers/cuda/sdp_utils.cpp, can_use_flash_attention, from compute capability 8 on."""
    heads, groups = call.query.shape[1], call.key.shape[1]
    return (
        call.attn_mask is None  # check_for_attn_mask
        and call.query.dtype in (torch.float16, torch.bfloat16)  # check_dtypes_low_precision
        and call.query.shape[-1] == call.key.shape[-1] == call.value.shape[-1] <= 192  # check_head_dim_size_flash, …_gt192_…
        and (heads == groups or (call.enable_gqa and heads % groups == 0))  # check_batch_size_and_num_heads_dense<true>
        and all(x.stride(-1) == 1 for x in (call.query, call.key, call.value))  # check_last_dim_stride_equals_1_dense
    )


def efficient_takes(call):
    """The same file, can_use_mem_efficient_attention; and attention.cpp's aligned_tensor and expand, else it copies the mask."""
    mask = call.attn_mask
    return (
        call.query.shape[1] == call.key.shape[1] == call.value.shape[1]  # check_batch_size_and_num_heads_dense<false>
        and call.query.shape[-1] == call.key.shape[-1]  # check_head_dim_size_mem_efficient
        and all(x.shape[-1] % 8 == 0 and x.stride(-1) == 1 for x in (call.query, call.key, call.value))
        and (mask is None or (mask.dtype == call.query.dtype and mask.stride(-1) == 1))
        and (mask is None or all(stride % 8 == 0 for stride in mask.stride()[:-1]))
    )


def handed_over(monkeypatch, made, *, dtype=torch.bfloat16, flash=True, window=None, value_size=SIZE):
    """What a layer of six heads over two hands over on a device that is no CPU, with or without a flash kernel."""
    calls = []

    def fused(query, key, value, **options):
        calls.append(Call(query, key, value, **options))
        return query.new_empty(*query.shape[:-1], value.shape[-1])

    def can_use_flash(params):
        call = Call(params.query, params.key, params.value, params.attn_mask, params.is_causal, None, params.enable_gqa)
        return flash and flash_takes(call)

    monkeypatch.setattr(F, "scaled_dot_product_attention", fused)
    monkeypatch.setattr(attention, "can_use_flash_attention", can_use_flash)
    tokens = sum(LENGTHS)
    shapes = [(1, HEADS, tokens, SIZE), (1, KEY_HEADS, tokens, SIZE), (1, KEY_HEADS, tokens, value_size)]
    inputs = [torch.empty(shape, dtype=dtype, device="meta") for shape in shapes]
    out, _ = attend(torch.nn.Module(), *inputs, None, scaling=0.3, layout=made("meta"), sliding_window=window)
    assert out.shape == (1, tokens, HEADS, value_size)
    return calls[0]


@pytest.mark.parametrize("made", [layout, tree])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("flash", [True, False])
@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("value_size", [SIZE, 2 * SIZE])
def test_one_of_the_fast_kernels_of_a_card_takes_it(monkeypatch, made, dtype, flash, window, value_size):
    call = handed_over(monkeypatch, made, dtype=dtype, flash=flash, window=window, value_size=value_size)
    assert not (call.attn_mask is not None and call.enable_gqa)
    assert (flash and flash_takes(call)) or efficient_takes(call)


def test_rows_of_one_answer_need_no_mask_and_copy_no_keys_where_flash_serves(monkeypatch):
    call = handed_over(monkeypatch, layout)
    assert call.is_causal
    assert call.attn_mask is None
    assert call.key.shape[1] == KEY_HEADS
    assert handed_over(monkeypatch, layout, flash=False).key.shape[1] == HEADS
    assert handed_over(monkeypatch, layout, window=max(LENGTHS)).is_causal  # a window no row is longer than


def test_the_mask_of_a_batch_is_made_once_for_all_layers():
    made = tree()
    assert made.bias(torch.float32) is made.bias(torch.float32)
    assert made.mask(4) is made.mask(4)
    assert made.mask(max(LENGTHS)) is made.mask()


@pytest.mark.parametrize("made", [layout, tree])
@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("value_size", [SIZE, 2 * SIZE])
def test_a_cards_road_gives_what_the_plain_products_give(made, window, value_size):
    query, key, _ = tensors(sum(LENGTHS))
    value = torch.randn(1, KEY_HEADS, sum(LENGTHS), value_size, dtype=torch.float64).requires_grad_()
    inputs, rows = (query, key, value), made()
    grad = torch.randn(1, sum(LENGTHS), HEADS, value_size, dtype=torch.float64)
    plain, _ = attend(torch.nn.Module(), *inputs, None, scaling=0.3, layout=rows, sliding_window=window)
    side = [attention._side_by_side(x, rows) for x in inputs]
    out = attention._attend_on_card(*side, rows, 0.3, window).transpose(1, 2).flatten(0, 1)
    card = out.index_select(0, rows.slots).unsqueeze(0)
    torch.testing.assert_close(card, plain)
    for a, b in zip(torch.autograd.grad(card, inputs, grad), torch.autograd.grad(plain, inputs, grad), strict=True):
        torch.testing.assert_close(a, b)


def test_a_window_is_counted_along_each_answers_own_path():
    """Prompt a b, answers c and d e: e is two steps from b, whatever stands between them in the row."""
    seen = collate([Group([1, 2], [[3], [4, 5]])]).layout.mask(2)[0, 0].int().tolist()
    assert seen == [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 1, 0, 1, 0], [0, 0, 0, 1, 1]]
