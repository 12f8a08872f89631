"""What a build of torch without CUDA lacks: `torch.cuda` answers for the imitated cards, and optimisers take their tensors."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import safetensors.torch
import torch
from torch.optim import optimizer as torch_optimizer

from tests.fakegpu.attention import on_cards
from tests.fakegpu.card import GUARD, MEMORY, Card
from tests.fakegpu.tally import TALLY

CARDS: list[Any] = []  # the `CardFacts` of the cards there are


def install(cards: tuple[Any, ...], undo: ExitStack) -> None:
    """Make torch speak of these cards until `undo` is closed."""
    CARDS[:] = cards
    undo.callback(CARDS.clear)
    for name, answer in _cuda().items():
        undo.enter_context(patch.object(torch.cuda, name, answer))
    for name, answer in _accelerator().items():
        undo.enter_context(patch.object(torch.accelerator, name, answer))
    before = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # so that torch.tensor(…, device="cuda") goes up by a copy that is seen
    undo.callback(torch._C._set_only_lift_cpu_tensors, before)
    undo.enter_context(patch.object(torch._C, "_InferenceMode", _no_grad))
    undo.enter_context(_exact_types())
    functional = torch.nn.functional
    seen = on_cards(functional.scaled_dot_product_attention, cards[0].capability)
    undo.enter_context(patch.object(functional, "scaled_dot_product_attention", seen))
    undo.enter_context(patch.object(functional, "rms_norm", _norm(functional.rms_norm)))
    undo.enter_context(patch.object(safetensors.torch, "_flatten_as_ptr", _brought_down(safetensors.torch._flatten_as_ptr)))


def _norm(original: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """One kernel on a card, where a build of torch for the CPU takes it apart. With gradients it stays apart."""

    def norm(x: torch.Tensor, shape: Any, weight: torch.Tensor | None = None, eps: float | None = None) -> torch.Tensor:
        if not isinstance(x, Card) or not isinstance(weight, Card) or torch.is_grad_enabled():
            return original(x, shape, weight, eps)
        TALLY.launch("aten::_fused_rms_norm")
        return Card(original(x.inner, shape, weight.inner, eps), x.index)

    return norm


def _cuda() -> dict[str, Any]:
    return {
        "_lazy_init": lambda: None,
        "is_available": lambda: bool(CARDS),
        "is_initialized": lambda: True,
        "device_count": lambda: len(CARDS),
        "current_device": lambda: GUARD.fakegpu_current(),
        "set_device": lambda device: GUARD.fakegpu_set_current(_index(device)),
        "_exchange_device": _exchange,
        "_maybe_exchange_device": _exchange,
        "get_device_capability": lambda device=None: CARDS[_index(device)].capability,
        "get_device_name": lambda device=None: CARDS[_index(device)].name,
        "get_device_properties": lambda device=None: _properties(_index(device)),
        "is_bf16_supported": lambda including_emulation=True: including_emulation or CARDS[_index(None)].capability >= (8, 0),
        "manual_seed": lambda seed: None,
        "manual_seed_all": lambda seed: None,
        "get_rng_state": lambda device=None: torch.zeros(16, dtype=torch.uint8),
        "set_rng_state": lambda state, device=None: None,
        "reset_peak_memory_stats": lambda device=None: _reset_peak(_index(device)),
        "mem_get_info": _memory_info,
        **_memory(),
    }


def _accelerator() -> dict[str, Any]:
    return {
        "get_memory_info": _memory_info,
        "reset_peak_memory_stats": lambda device=None: _reset_peak(_index(device)),
        **_memory(),
    }


def _memory() -> dict[str, Any]:
    return {
        "memory_allocated": lambda device=None: MEMORY.used[_index(device)],
        "memory_reserved": lambda device=None: MEMORY.used[_index(device)],
        "max_memory_allocated": lambda device=None: MEMORY.peak[_index(device)],
        "max_memory_reserved": lambda device=None: MEMORY.peak[_index(device)],
        "empty_cache": lambda: None,
        "synchronize": lambda device=None: TALLY.wait("synchronize"),
    }


def _index(device: Any) -> int:
    if isinstance(device, int):
        return device
    index = None if device is None else torch.device(device).index
    return GUARD.fakegpu_current() if index is None else index


def _exchange(index: int) -> int:
    before = int(GUARD.fakegpu_current())
    if index >= 0:
        GUARD.fakegpu_set_current(index)
    return before


def _memory_info(device: Any = None) -> tuple[int, int]:
    index = _index(device)
    return MEMORY.limit[index] - MEMORY.used[index], CARDS[index].memory


def _reset_peak(index: int) -> None:
    MEMORY.peak[index] = MEMORY.used[index]


def _properties(index: int) -> SimpleNamespace:
    card = CARDS[index]
    major, minor = card.capability
    return SimpleNamespace(name=card.name, major=major, minor=minor, total_memory=card.memory, uuid=card.uuid)


class _no_grad:  # noqa: N801
    """Stands for inference mode, whose tensors a wrapper cannot hold; what that mode forbids, the tests on the CPU find."""

    def __init__(self, mode: bool) -> None:
        self._grad = torch._C.is_grad_enabled() if hasattr(torch._C, "is_grad_enabled") else torch.is_grad_enabled()
        self._mode = mode

    def __enter__(self) -> None:
        torch._C._set_grad_enabled(not self._mode)

    def __exit__(self, *_: Any) -> None:
        torch._C._set_grad_enabled(self._grad)


@contextmanager
def _exact_types() -> Iterator[None]:
    """The optimisers take many tensors at once only where they know the exact type."""
    known = torch_optimizer._foreach_supported_types
    known.append(Card)
    try:
        yield
    finally:
        known.remove(Card)


def _brought_down(flatten: Callable[..., Any]) -> Callable[..., Any]:
    """Safetensors looks at storages, which these tensors lack; it brings down what lies on a card."""

    def down(tensors: dict[str, Any], *rest: Any) -> Any:
        return flatten({name: tensor.cpu() if isinstance(tensor, Card) else tensor for name, tensor in tensors.items()}, *rest)

    return down
