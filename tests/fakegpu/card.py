"""A tensor on a card that is not there: it says `cuda:0`, its numbers lie in an ordinary tensor on the CPU."""

from typing import Any
from weakref import WeakValueDictionary

from tests.fakegpu import guard

GUARD = guard.load()  # before torch

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from tests.fakegpu.tally import TALLY  # noqa: E402

MOST_CARDS = 2


class Memory:
    """Bytes that tensors hold on each card; what a kernel needs besides, and what fragments, is not imitated."""

    def __init__(self) -> None:
        self.limit = [0] * MOST_CARDS
        self.used = [0] * MOST_CARDS
        self.peak = [0] * MOST_CARDS

    def take(self, index: int, size: int) -> None:
        """Raises torch.OutOfMemoryError where there is no room, as CUDA says it."""
        if self.used[index] + size > self.limit[index] > 0:
            free = self.limit[index] - self.used[index]
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {size} bytes. GPU {index} has {free} bytes free.")
        self.used[index] += size
        self.peak[index] = max(self.peak[index], self.used[index])


MEMORY = Memory()


class _Block:
    """A storage on a card; its room is given back when the last tensor on it goes."""

    __slots__ = ("__weakref__", "index", "size")

    def __init__(self, index: int, size: int) -> None:
        self.index, self.size = index, 0
        MEMORY.take(index, size)
        self.size = size

    def __del__(self) -> None:
        MEMORY.used[self.index] -= self.size


_BLOCKS: WeakValueDictionary[int, _Block] = WeakValueDictionary()


def _block(inner: Tensor, index: int) -> _Block:
    storage = inner.untyped_storage()
    key = storage._cdata  # the same for all views
    found = _BLOCKS.get(key)
    if found is None:
        found = _BLOCKS[key] = _Block(index, storage.nbytes())
    return found


class Card(Tensor):
    """See the module's docstring. Operations go through `fakegpu.execute`, inside the mode and in the backward engine's threads."""

    inner: Tensor
    index: int
    _block: _Block

    @staticmethod
    def __new__(cls, inner: Tensor, index: int, requires_grad: bool = False) -> "Card":
        made: Card = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=torch.device("cuda", index),
            requires_grad=requires_grad,
            dispatch_sizes_strides_policy=None,
        )
        made.inner, made.index, made._block = inner, index, _block(inner, index)
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        from tests.fakegpu.fakegpu import execute

        return execute(func, args, kwargs or {})

    @property
    def data(self) -> Tensor:
        """As of any tensor; setting it brings the new numbers along."""
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Card):
            raise RuntimeError("incompatible tensor type: a card's tensor cannot take a CPU tensor as its data")
        Tensor.data.__set__(self, value)  # type: ignore[attr-defined]
        self.inner, self.index, self._block = value.inner, value.index, value._block

    def __tensor_flatten__(self) -> tuple[list[str], int]:  # a module that moves swaps such tensors instead of setting their data
        return ["inner"], self.index

    @staticmethod
    def __tensor_unflatten__(parts: dict[str, Tensor], index: int, _size: Any, _stride: Any) -> "Card":
        return Card(parts["inner"], index)

    def tolist(self) -> Any:
        TALLY.wait("tolist")
        TALLY.down_bytes += self.numel() * self.element_size()
        return self.inner.tolist()

    def numpy(self, **_: Any) -> Any:
        raise TypeError(
            f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
        )

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.numpy()

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"Card({self.inner!r}, {self.index})"

    __str__ = __repr__

    def __deepcopy__(self, memo: Any) -> "Card":
        made = Card(self.inner.detach().clone(), self.index, self.requires_grad)
        memo[id(self)] = made
        return made

    def __reduce_ex__(self, _: Any) -> Any:  # as torch pickles a card's tensor: by way of the CPU, back to the same card
        TALLY.wait("pickled")
        return Card, (self.inner.detach().clone(), self.index, self.requires_grad)
