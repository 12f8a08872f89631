"""A graphics card that is not there: tensors say `cuda:0` and compute on the CPU, with CUDA's rules and a count of what it costs.

Import this before torch. While a `FakeGpu` is on, every kernel call below autograd comes to `execute`, which runs it on the CPU and
raises where CUDA would. README.md says what is imitated and what is not.
"""

import contextlib
from dataclasses import dataclass
from typing import Any

from tests.fakegpu.card import GUARD, MEMORY, MOST_CARDS, Card  # before torch

import torch  # isort: skip
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.fakegpu import stand_ins
from tests.fakegpu.rules import check, check_generator, facts, masked
from tests.fakegpu.tally import TALLY

GIB = 1024**3
CPU = torch.device("cpu")

GUARD.fakegpu_set_cards(MOST_CARDS)
torch.ones((), requires_grad=True).backward()  # the engine makes its queues once, at the first backward pass of a process
GUARD.fakegpu_set_cards(0)


@dataclass(frozen=True)
class CardFacts:
    """A card as `torch.cuda` describes it."""

    name: str = "NVIDIA Imitated RTX 4090"
    capability: tuple[int, int] = (8, 9)
    memory: int = 24 * GIB  # bytes in all
    taken: int = 2 * GIB  # bytes that other programs hold
    uuid: str = "5c0c3a2e-0000-4000-8000-000000000000"


class FakeGpu(TorchDispatchMode):
    """While it is on, the computer has these cards."""

    def __init__(self, *cards: CardFacts) -> None:
        super().__init__()
        self.cards = cards or (CardFacts(),)
        self._undo = contextlib.ExitStack()

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        """Spares every call a detour through the compiler that nobody uses here."""
        return True

    def __enter__(self) -> "FakeGpu":
        GUARD.fakegpu_set_cards(len(self.cards))
        self._undo.callback(GUARD.fakegpu_set_cards, 0)
        MEMORY.limit[:] = [card.memory - card.taken for card in self.cards] + [0] * (MOST_CARDS - len(self.cards))
        MEMORY.peak[:] = MEMORY.used
        stand_ins.install(self.cards, self._undo)
        return super().__enter__()  # type: ignore[no-any-return]

    def __exit__(self, *what: Any) -> None:
        try:
            super().__exit__(*what)
        finally:
            self._undo.close()

    def peak_bytes(self, index: int) -> int:
        """Most bytes that tensors held on a card since this was entered."""
        return MEMORY.peak[index]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return execute(func, args, kwargs or {})


def execute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run a kernel where it belongs."""
    known = facts(func)
    if special := _SPECIAL.get(known.name):
        return special(func, args, kwargs)
    call = _Call()
    plain_args, plain_kwargs = call.unwrap(args), call.unwrap(kwargs)
    index = call.index(kwargs)
    if index is None:
        return func(*args, **kwargs)
    if call.cards:
        check(known, call.cards, call.others)
    check_generator(kwargs.get("generator"))
    if known.waits and kwargs.get("output_size") is None:
        TALLY.wait(known.name.removeprefix("aten::"))
    elif known.indexes and masked(args[1]):
        TALLY.wait("a mask as an index")
    if not known.free:
        TALLY.launch(known.name)
    return call.wrap(func(*plain_args, **plain_kwargs), index)


class _Call:
    """The tensors of one call. A tensor that an operation changes and gives back must come back as the one that went in."""

    def __init__(self) -> None:
        self.cards: list[Card] = []
        self.others: list[Tensor] = []

    def unwrap(self, value: Any) -> Any:
        if isinstance(value, Card):
            self.cards.append(value)
            return value.inner
        if isinstance(value, Tensor):
            self.others.append(value)
            return value
        if isinstance(value, list | tuple):
            return type(value)([self.unwrap(part) for part in value])
        if isinstance(value, dict):
            return {name: self.unwrap(part) for name, part in value.items()}
        return CPU if isinstance(value, torch.device) and value.type == "cuda" else value

    def index(self, kwargs: dict[str, Any]) -> int | None:
        """The card that the result lies on."""
        wanted = kwargs.get("device")
        if wanted is not None:
            return card_index(wanted)
        return self.cards[0].index if self.cards else None

    def wrap(self, value: Any, index: int) -> Any:
        if isinstance(value, Tensor):
            known = next((card for card in self.cards if card.inner is value), None)
            return known if known is not None else Card(value, index)
        if isinstance(value, list | tuple):
            return type(value)([self.wrap(part, index) for part in value])
        return value


def card_index(device: Any) -> int | None:
    """Which card a device is; the current one when it does not say; None for the CPU."""
    device = torch.device(device)
    if device.type != "cuda":
        return None
    index = GUARD.fakegpu_current() if device.index is None else device.index
    if index >= len(stand_ins.CARDS):
        raise torch.AcceleratorError("CUDA error: invalid device ordinal")
    return int(index)


# --- copies -----------------------------------------------------------------------------------------------------------------------

_PINNED: dict[int, torch.UntypedStorage] = {}  # kept, so that no other storage gets the same key


def _pin(_: Any, args: Any, __: Any) -> Tensor:
    made: Tensor = args[0].clone()
    _PINNED[made.untyped_storage()._cdata] = made.untyped_storage()
    return made


def _is_pinned(_: Any, args: Any, __: Any) -> bool:
    return not isinstance(args[0], Card) and args[0].untyped_storage()._cdata in _PINNED


def _to_copy(func: Any, args: Any, kwargs: dict[str, Any]) -> Tensor:
    source = args[0]
    inner = source.inner if isinstance(source, Card) else source
    wanted = kwargs.get("device")
    there = source.index if isinstance(source, Card) else None
    target = there if wanted is None else card_index(wanted)
    free = kwargs.get("non_blocking", False)
    out = func(inner, **{**kwargs, "device": None if wanted is None else CPU, "non_blocking": False})
    _moved(there, target, source, out, free)
    return out if target is None else Card(out, target)


def _copy(func: Any, args: Any, kwargs: dict[str, Any]) -> Tensor:
    into, source, *rest = args
    plain = [x.inner if isinstance(x, Card) else x for x in (into, source)]
    func(*plain)
    there, target = (x.index if isinstance(x, Card) else None for x in (source, into))
    _moved(there, target, source, into, kwargs.get("non_blocking", bool(rest and rest[0])))
    return into  # type: ignore[no-any-return]


def _moved(there: int | None, target: int | None, source: Tensor, out: Tensor, free: bool) -> None:
    """Count a copy. Between host and card it waits, unless it is asked not to and the host's side is pinned."""
    size = out.numel() * source.element_size()
    if (there is None and target is None) or not size:  # nothing goes nowhere
        return
    if there is None:
        TALLY.up_bytes += size
        if not (free and _is_pinned(None, [source], None)):
            TALLY.wait("copy up")
    elif target is None:
        TALLY.down_bytes += size
        TALLY.wait("copy down")
    TALLY.launch("aten::copy_" if there == target else "copy")


_SPECIAL = {
    "aten::_to_copy": _to_copy,
    "aten::copy_": _copy,
    "aten::_pin_memory": _pin,
    "aten::is_pinned": _is_pinned,
}
