"""NVIDIA's own count of its cards' memory, asked through the driver: no torch, no memory of the card, some milliseconds.

Nothing here raises: without a driver, on a card it cannot tell about, or where the driver hides other processes, the answer is
that nothing is known.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True)
class Card:
    """A card the driver knows, whether torch can use it or not."""

    uuid: str
    name: str


def cards() -> list[Card]:
    """Every card the driver knows."""

    def ask(nvml: Any) -> list[Card]:
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        return [Card(_text(nvml.nvmlDeviceGetUUID(handle)), _text(nvml.nvmlDeviceGetName(handle))) for handle in handles]

    return _ask(ask) or []


def free_bytes(uuid: str) -> int | None:
    """Memory that is free on a card now."""
    return _ask(lambda nvml: int(nvml.nvmlDeviceGetMemoryInfo(_handle(nvml, uuid)).free))


def held_bytes(uuid: str, pid: int) -> int | None:
    """What a process holds of a card; None when it is not seen there: on most of Windows, and from within a container, none is."""

    def ask(nvml: Any) -> int | None:
        handle = _handle(nvml, uuid)
        running = [*nvml.nvmlDeviceGetComputeRunningProcesses(handle), *nvml.nvmlDeviceGetGraphicsRunningProcesses(handle)]
        taken = [process.usedGpuMemory for process in running if process.pid == pid]
        return None if None in taken else max(taken, default=None)

    return _ask(ask)


def _handle(nvml: Any, uuid: str) -> Any:
    """By UUID, which torch and the driver write alike but for what stands before it."""
    plain = uuid.removeprefix("GPU-").removeprefix("MIG-")
    for text in (uuid, f"GPU-{plain}", f"MIG-{plain}"):
        try:
            return nvml.nvmlDeviceGetHandleByUUID(text)
        except nvml.NVMLError:
            continue
    raise nvml.NVMLError(nvml.NVML_ERROR_NOT_FOUND)


def _ask(question: Callable[[Any], _T]) -> _T | None:
    nvml = _nvml()
    if nvml is None:
        return None
    try:
        return question(nvml)
    except nvml.NVMLError:
        return None


@functools.cache
def _nvml() -> Any:
    """The library, begun once a process; None where there is no driver."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def _text(said: str | bytes) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said
