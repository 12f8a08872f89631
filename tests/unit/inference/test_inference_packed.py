"""Packed weights give what plain ones give, forward and backward, and are left alone where they do not help.

A processor with AVX2 alone cannot pack bfloat16 (`ONEDNN_MAX_CPU_ISA=AVX2` imitates one): there all layers stay plain.
"""

import pytest
import torch

from rlhf_desktop.inference import packed
from rlhf_desktop.inference.packed import PackedLinear, pack


def this_processor_packs():
    """Asked of torch itself."""
    try:
        torch.ops.mkldnn._reorder_linear_weight(torch.ones(8, 8, dtype=torch.bfloat16), 1)
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    return True


PACKS = this_processor_packs()


def model(dtype=torch.bfloat16):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(32, 48), torch.nn.Linear(48, 16, bias=False)).to(dtype)
    return layers.requires_grad_(False)


def test_values_and_gradients_are_those_of_plain_layers():
    plain, ours = model(), model()
    assert pack(ours) is PACKS
    assert all(type(layer) is (PackedLinear if PACKS else torch.nn.Linear) for layer in ours)
    for rows in (1, 3, 16, 200):
        inputs = [torch.randn(rows, 32, generator=torch.Generator().manual_seed(1)).bfloat16().requires_grad_() for _ in range(2)]
        outputs = [layers(x) for layers, x in zip((plain, ours), inputs, strict=True)]
        torch.testing.assert_close(*outputs, atol=0.02, rtol=0.02)
        for out in outputs:
            out.float().square().sum().backward()
        torch.testing.assert_close(inputs[0].grad, inputs[1].grad, atol=0.05, rtol=0.05)


def test_the_weights_themselves_stay_as_they_were():
    plain, ours = model(), model()
    pack(ours)
    assert ours.state_dict().keys() == plain.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), plain.state_dict().values(), strict=True))


def test_float32_layers_and_layers_without_room_are_left_alone(monkeypatch):
    assert not pack(model(torch.float32))
    monkeypatch.setattr(packed, "SHARE", 0.0)
    cramped = model()
    assert not pack(cramped)
    assert not any(isinstance(layer, PackedLinear) for layer in cramped)


def test_a_torch_without_these_operations_is_served_by_plain_layers(monkeypatch):
    def missing(*_):
        raise AttributeError("no such operation")

    monkeypatch.setattr(packed, "_multiply", missing)
    assert not pack(model())


@pytest.mark.skipif(not PACKS, reason="this processor cannot pack bfloat16, so there is nothing to join to")
def test_joined_rows_give_both_products_at_once():
    layers = model()
    pack(layers)
    x = torch.randn(3, 32).bfloat16()
    more = torch.randn(5, 32).bfloat16()
    both = layers[0].joined(more)(x)
    torch.testing.assert_close(both, torch.cat([layers[0](x), x @ more.t()], dim=-1), atol=0.03, rtol=0.03)
