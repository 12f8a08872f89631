"""What CUDA permits and what it costs, operation by operation."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from tests.fakegpu.card import Card
from tests.fakegpu.tally import TALLY, place

INDEX = frozenset(
    {
        "aten::index",
        "aten::index_put",
        "aten::index_put_",
        "aten::_index_put_impl_",
        "aten::_unsafe_index",
        "aten::_unsafe_index_put",
    }
)
"""These take indices from the CPU, too, and copy them over; a mask among the indices has to be counted first. Both wait."""

SCALAR = frozenset({"aten::fill", "aten::fill_", "aten::where", "aten::masked_fill", "aten::masked_fill_"})
"""These take a 0-dim tensor from the CPU though they are not tagged pointwise; so do the `_foreach` and fused steps."""

WAITING = frozenset(
    {
        "aten::_local_scalar_dense",
        "aten::nonzero",
        "aten::masked_select",
        "aten::equal",
        "aten::_unique2",
        "aten::unique_dim",
        "aten::unique_consecutive",
        "aten::bincount",
        "aten::_linalg_check_errors",
    }
)
"""The shape or the value of what they give decides how the host goes on."""

FREE = frozenset(
    {
        "aten::empty",
        "aten::empty_like",
        "aten::empty_strided",
        "aten::new_empty",
        "aten::new_empty_strided",
        "aten::lift_fresh",
        "aten::lift",
        "aten::detach",
        "aten::alias",
        "aten::_local_scalar_dense",
        "aten::is_same_size",
        "aten::_fused_sdp_choice",
        "aten::record_stream",
        "aten::resolve_conj",
        "aten::resolve_neg",
        "aten::_unsafe_view",
        "aten::_reshape_alias",
    }
)
"""No kernel is launched."""


class DeviceMix(RuntimeError):
    """Tensors of different devices met, in CUDA's words."""


@dataclass(frozen=True)
class Facts:
    """What there is to know of an operation."""

    name: str  # as "aten::add"
    free: bool
    waits: bool
    takes_scalars: bool  # 0-dim tensors from the CPU
    indexes: bool
    reshapes: bool  # changes a tensor's shape in place, which a card's tensor here cannot follow


@cache
def facts(func: Any) -> Facts:
    """Of an overload such as `aten.add.Tensor`."""
    name = func._schema.name
    pointwise = torch.Tag.pointwise in func.tags or name.startswith(("aten::_foreach_", "aten::_fused_"))
    return Facts(
        name,
        free=name in FREE or func.is_view,
        waits=name in WAITING or (name == "aten::repeat_interleave" and func._overloadname == "Tensor"),
        takes_scalars=pointwise or name in SCALAR,
        indexes=name in INDEX,
        reshapes=torch.Tag.inplace_view in func.tags and name != "aten::detach_",
    )


def check(known: Facts, cards: Sequence[Card], others: Sequence[Tensor]) -> None:
    """Refuse what CUDA refuses.

    Args:
        known: Of the operation.
        cards: Its tensors on a card, at least one.
        others: Its tensors on the CPU.

    Raises:
        DeviceMix: with the line of the program.
    """
    if known.reshapes:
        raise NotImplementedError(f"{known.name} changes a shape in place, which the imitated card cannot follow.")
    if any(card.index != cards[0].index for card in cards):
        raise _mixed(known, cards)
    if not others or (known.takes_scalars and all(other.dim() == 0 for other in others)):
        return
    if known.indexes and all(other.dim() == 0 or not other.dtype.is_floating_point for other in others):
        TALLY.wait("an index from the CPU")
        return
    raise _mixed(known, [*cards, *others])


def check_generator(generator: torch.Generator | None) -> None:
    """A card's kernel cannot draw from the CPU's generator, and here there is no other."""
    if generator is not None:
        raise RuntimeError(f"Expected a 'cuda' device type for generator but found '{generator.device}' at {place()}")


def _mixed(known: Facts, tensors: Sequence[Tensor]) -> DeviceMix:
    shapes = ", ".join(f"{tensor.device}{tuple(tensor.shape)}" for tensor in tensors)
    return DeviceMix(
        "Expected all tensors to be on the same device, but found at least two devices, "
        f"cuda:0 and cpu! ({known.name}: {shapes}) at {place()}"
    )


def masked(index: Any) -> bool:
    """Whether one of an index's parts is a mask on the card."""
    return any(isinstance(part, Card) and part.dtype in (torch.bool, torch.uint8) for part in index or ())
