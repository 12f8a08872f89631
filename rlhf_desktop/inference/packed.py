"""Linear layers whose bfloat16 weights are kept in the order the processor multiplies in.

oneDNN rearranges a weight matrix at every product, which for the few rows of a decoding step takes as long as the product itself.
Rearranged once, a product with 1 to 16 rows takes about half the time, and one with a thousand about 5% less. It costs a second
copy of the weights: the plain ones stay, for gradients, adapters and whoever reads them.
"""

from collections.abc import Callable
from typing import Any

import psutil
import torch
from torch import Tensor

SHARE = 0.25  # of the free memory that the copies may take


class PackedLinear(torch.nn.Linear):
    """A frozen `torch.nn.Linear` with a packed copy of its weight. Made by `pack`, never constructed."""

    packed: Tensor

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        if x.requires_grad:
            return _PackedProduct.apply(x, self.weight, self.packed, self.bias)  # type: ignore[no-any-return, no-untyped-call]
        return _multiply(x, self.packed, self.bias)

    def joined(self, more: Tensor) -> Callable[[Tensor], Tensor]:
        """A product with further rows of weights, (extra, in), below these: x → (…, out + extra). Without gradients."""
        weight = torch.ops.mkldnn._reorder_linear_weight(torch.cat([self.weight.detach(), more.detach()]), 1)
        bias = None if self.bias is None else torch.cat([self.bias.detach(), self.bias.new_zeros(len(more))])
        return lambda x: _multiply(x, weight, bias)


class _PackedProduct(torch.autograd.Function):
    """x Wᵀ + b with the packed weight; its gradient, grad W, with the plain one. Weight and bias are frozen."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
        ctx.weight = weight
        return _multiply(x, packed, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return grad @ ctx.weight, None, None, None


def _multiply(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")  # type: ignore[no-any-return]


def pack(model: Any) -> bool:
    """Pack all frozen bfloat16 linear layers of a model on the CPU, if there is memory for it.

    Returns:
        Whether it was done. Not done: another device or dtype, a build of torch without oneDNN's packing, or too little memory.
    """
    layers = [m for m in model.modules() if type(m) is torch.nn.Linear and m.weight.dtype == torch.bfloat16]
    if not layers or not _can_pack(layers[0].weight):
        return False
    if sum(layer.weight.nbytes for layer in layers) > SHARE * psutil.virtual_memory().available:
        return False
    for layer in layers:
        layer.__class__ = PackedLinear
        layer.packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), 1)
    return True


def _can_pack(weight: Tensor) -> bool:
    """These operations are torch's own but not promised: used only where they exist and give what a plain product gives."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    sample = weight.detach()[:64]
    x = torch.ones(2, weight.shape[1], dtype=weight.dtype)
    try:
        product = _multiply(x, torch.ops.mkldnn._reorder_linear_weight(sample.contiguous(), 1), None)
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    return torch.allclose(product.float(), torch.nn.functional.linear(x, sample).float(), rtol=0.05, atol=0.05)
