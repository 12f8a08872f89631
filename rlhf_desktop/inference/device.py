"""Where models can be: cards of NVIDIA, AMD (ROCm), Intel (XPU) and Apple (MPS), and the processor. The one place that knows.

torch speaks to NVIDIA's and AMD's cards as "cuda", to Intel's as "xpu", to Apple's as "mps". The first two modules have the same
functions; Apple's has others, and memory it shares with everything else.

TF32 (float32 products with 10 bits of mantissa) is allowed exactly where a model computes in a 16-bit format: its own products are
no finer, so what is left in float32 beside them only gets faster. Where a model computes in float32 it stays off: sampling, scoring
and training would round the same sum differently, and PPO's ratio of new to old probability would not be 1 before the first update.
"""

import gc
import os
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import psutil
import torch

from rlhf_desktop.core.devices import AUTO, DEVICE, plain_uuid
from rlhf_desktop.core.errors import NotFound
from rlhf_desktop.core.platform import NO_WINDOW

Kind = Literal["nvidia", "rocm", "xpu", "mps", "cpu"]
CPU = torch.device("cpu")
BACKENDS = ("cuda", "xpu", "mps")
MATRIX_BFLOAT16 = ("gfx90a", "gfx94", "gfx95", "gfx11", "gfx12")  # AMD's architectures with fast bfloat16 products

OUT_OF_MEMORY = (
    "out of memory",  # CUDA, HIP, XPU, MPS, and their drivers
    "out_of_memory",
    "can't allocate memory",  # the processor's allocator on Linux and macOS
    "cannot allocate memory",
    "defaultcpuallocator: not enough memory",  # and on Windows
    "bad allocation",
    "std::bad_alloc",
    "status_alloc_failed",  # cuBLAS, cuDNN, cuSPARSE, hipBLAS
    "cublas_status_not_initialized",  # its handle needs memory of its own, and this is all it says
    "allocation_failed",  # cuDNN 9: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED
    "rocblas_status_memory_error",
    "miopenstatusallocfailed",
    "ur_result_error_out_of_",  # Intel: DEVICE_MEMORY, HOST_MEMORY, RESOURCES
    "invalid buffer size",  # Apple: more than one buffer may have
    "commandbuffercallbackerroroutofmemory",
)
OUT_OF_MEMORY_CODE = 2  # cudaErrorMemoryAllocation, hipErrorOutOfMemory

DEAD = (
    "unspecified launch failure",
    "an illegal memory access",
    "illegal instruction was encountered",
    "misaligned address",
    "device-side assert",
    "context is destroyed",
    "the launch timed out",
    "uncorrectable ecc error",
    "hardware stack error",
    "cuda error: unknown error",  # what is left of a card after a suspend
    "hip error: unknown error",
    "gpu hang",
    "ur_result_error_device_lost",
)
DEAD_CODES = (214, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 999)  # CUDA's and HIP's: every later call fails too


@dataclass(frozen=True)
class DeviceFacts:
    """One device as it is now."""

    device: torch.device
    kind: Kind
    index: int
    name: str
    uuid: str  # "" where the driver tells none
    total_bytes: int
    free_bytes: int
    fast_dtype: torch.dtype
    capability: str  # "8.6", "gfx1100"; "" where there is no such thing


# --- which there are ----------------------------------------------------------------------------------------------------------


def devices() -> list[torch.device]:
    """The accelerators there are, then the processor."""
    found = []
    for backend in BACKENDS:
        module = getattr(torch, backend)
        found += [torch.device(backend, index) for index in range(module.device_count() if module.is_available() else 0)]
    return [*found, CPU]


def find_device(text: str | None = None) -> torch.device:
    """The device someone names.

    Args:
        text: "auto" (the card with the most free memory, else the processor), "cpu", "cuda:1", "cuda", or a card's UUID; None for
            what the environment says.

    Raises:
        NotFound: there is no such device; says which there are.
    """
    wanted = (text or os.environ.get(DEVICE) or AUTO).strip()
    present = devices()
    if wanted == AUTO:
        return _freest(present[:-1]) if len(present) > 1 else CPU
    found = [device for device in present if wanted in (str(device), device.type)] or [
        device for device in present if _same_card(wanted, uuid(device))
    ]
    if not found:
        there = ", ".join(f"{device} ({name(device)})" for device in present)
        raise NotFound(
            f"The graphics card {wanted} is not there any more.", f"Choose another device, or “auto”. There are: {there}."
        )
    return _freest(found)


def _freest(cards: list[torch.device]) -> torch.device:
    """The card with the most free memory; of processes that train one run together, each takes its own."""
    if len(cards) == 1:
        return cards[0]
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return cards[int(os.environ.get("LOCAL_RANK", "0")) % len(cards)]
    return max(cards, key=free_bytes)


def _same_card(wanted: str, found: str) -> bool:
    return bool(found) and plain_uuid(wanted) == plain_uuid(found)


def describe(device: torch.device) -> DeviceFacts:
    """What there is to know of a device. Asking for a card's memory opens it, which takes some hundred MB of it meanwhile."""
    return DeviceFacts(
        device=device,
        kind=kind(device),
        index=device.index or 0,
        name=name(device),
        uuid=uuid(device),
        total_bytes=total_bytes(device),
        free_bytes=free_bytes(device),
        fast_dtype=fast_dtype(device),
        capability=capability(device),
    )


def kind(device: torch.device) -> Kind:
    """Whose device it is."""
    kinds: dict[str, Kind] = {"cuda": "rocm" if torch.version.hip else "nvidia", "xpu": "xpu", "mps": "mps"}
    return kinds.get(device.type, "cpu")


def name(device: torch.device) -> str:
    """The device's name as its maker writes it."""
    if device.type in ("cuda", "xpu"):
        return str(_module(device).get_device_name(device))
    return apple_chip() if device.type == "mps" else cpu_name()


def uuid(device: torch.device) -> str:
    """The card's own identity, which stays when cards are added or the order changes; as `nvidia-smi` writes it."""
    if device.type not in ("cuda", "xpu"):
        return ""
    found = str(getattr(_module(device).get_device_properties(device), "uuid", ""))
    return f"GPU-{found}" if found and kind(device) == "nvidia" and not found.startswith("GPU-") else found


def capability(device: torch.device) -> str:
    """NVIDIA's compute capability or AMD's architecture."""
    if kind(device) == "rocm":
        return str(_module(device).get_device_properties(device).gcnArchName).split(":")[0]
    return ".".join(map(str, torch.cuda.get_device_capability(device))) if device.type == "cuda" else ""


def make_current(device: torch.device) -> None:
    """Let what a library does on “the card” be done on this one."""
    if device.type in ("cuda", "xpu"):
        _module(device).set_device(device)


def _module(device: torch.device) -> Any:
    return getattr(torch, device.type)


# --- number formats -----------------------------------------------------------------------------------------------------------


def fast_dtype(device: torch.device) -> torch.dtype:
    """The smallest number format the device is fast in: bfloat16, float16 (trained with scaled gradients), else float32."""
    if device.type == "cpu":
        return torch.bfloat16 if _cpu_likes_bfloat16() else torch.float32
    choose = {"nvidia": _nvidia_dtype, "rocm": _rocm_dtype, "xpu": _xpu_dtype}.get(kind(device))
    return choose(device) if choose else _apple_dtype()


def _nvidia_dtype(device: torch.device) -> torch.dtype:
    """Ampere and newer multiply bfloat16; Volta, Turing and P100 float16; the other Pascals and older do so slower than float32."""
    found = torch.cuda.get_device_capability(device)
    if found >= (8, 0):
        return torch.bfloat16
    return torch.float16 if found >= (7, 0) or found == (6, 0) else torch.float32


def _rocm_dtype(device: torch.device) -> torch.dtype:
    """By architecture: the number ROCm gives as capability says nothing (a card of 2020 has 10.3)."""
    return torch.bfloat16 if capability(device).startswith(MATRIX_BFLOAT16) else torch.float16


def _xpu_dtype(device: torch.device) -> torch.dtype:
    """By what the driver says, and not counting what is imitated."""
    properties = _module(device).get_device_properties(device)
    if getattr(properties, "has_bfloat16_conversions", False):
        return torch.bfloat16
    return torch.float16 if getattr(properties, "has_fp16", False) else torch.float32


def _apple_dtype() -> torch.dtype:
    """M1 and M2 imitate bfloat16; chips from M3 on, and systems from macOS 14 on, have it."""
    chip = apple_chip().split()
    generation = next((int(word[1:]) for word in chip if word[:1] == "M" and word[1:].isdigit()), 0)
    system = platform.mac_ver()[0].split(".")[0]
    return torch.bfloat16 if generation >= 3 and system.isdigit() and int(system) >= 14 else torch.float16


def allow_tf32(device: torch.device, dtype: torch.dtype) -> None:
    """Let float32 products be TF32 beside a model that computes in 16 bits, and only there (see above)."""
    if kind(device) == "nvidia":
        torch.backends.cuda.matmul.allow_tf32 = dtype.itemsize == 2


def _cpu_likes_bfloat16() -> bool:
    """Whether a bfloat16 matrix product is at least as fast as the float32 one: flags tell what exists, not what is fast."""
    global _bfloat16_wins
    if _bfloat16_wins is None:
        _bfloat16_wins = _bfloat16_share() < 0.9
    return _bfloat16_wins


_bfloat16_wins: bool | None = None  # measured once a process: about 30 ms


def _bfloat16_share() -> float:
    """Time of a bfloat16 product the size of a small model's layer, as a share of the float32 one's.

    The two take turns and the best of each counts, so that another program's work does not fall on one of them.
    """
    best = {torch.bfloat16: float("inf"), torch.float32: float("inf")}
    layers = {dtype: (torch.ones(256, 576, dtype=dtype), torch.ones(1536, 576, dtype=dtype)) for dtype in best}  # (tokens, hidden)
    for _ in range(15):
        for dtype, (x, weight) in layers.items():
            start = time.perf_counter()
            torch.nn.functional.linear(x, weight)
            best[dtype] = min(best[dtype], time.perf_counter() - start)
    return best[torch.bfloat16] / best[torch.float32]


# --- memory -------------------------------------------------------------------------------------------------------------------


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device now, whoever else uses it."""
    available = psutil.virtual_memory().available
    if device.type == "mps":
        return int(max(0, min(available, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())))
    return available if device.type == "cpu" else int(_module(device).mem_get_info(device)[0])


def total_bytes(device: torch.device) -> int:
    """Memory of a device; of an Apple chip, what the system lets a program's graphics have."""
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory())
    return psutil.virtual_memory().total if device.type == "cpu" else int(_module(device).mem_get_info(device)[1])


def allocated_bytes(device: torch.device) -> int:
    """What this process's tensors take there; on the processor, what the process takes."""
    if device.type == "mps":
        return int(torch.mps.current_allocated_memory())
    return int(psutil.Process().memory_info().rss if device.type == "cpu" else _module(device).memory_allocated(device))


def peak_bytes(device: torch.device) -> int | None:
    """The most that this process's tensors have taken; None where nobody counts."""
    return int(_module(device).max_memory_allocated(device)) if device.type in ("cuda", "xpu") else None


def empty_cache() -> None:
    """Give back what is kept for later tensors, on every card this process has opened."""
    for backend in BACKENDS:
        module = getattr(torch, backend)
        if module.is_available():
            module.empty_cache()


def free_cache() -> None:
    """Make room after memory has run out: what a dropped exception held in cycles goes first."""
    gc.collect()
    empty_cache()


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "mps":
        torch.mps.synchronize()
    elif device.type != "cpu":
        _module(device).synchronize(device)


# --- troubles -----------------------------------------------------------------------------------------------------------------


def send(tensor: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """A tensor of the processor's on a device, without waiting until the device gets to it, where it can read it by itself."""
    if torch.device(device).type in ("cuda", "xpu"):
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether memory has run out and less of it may work."""
    if isinstance(problem, MemoryError | torch.OutOfMemoryError):
        return True
    if not isinstance(problem, RuntimeError) or is_dead(problem):
        return False
    return _has_code(problem, (OUT_OF_MEMORY_CODE,)) or any(text in str(problem).lower() for text in OUT_OF_MEMORY)


def fits(work: Callable[[], object], divisible: bool) -> bool:
    """Do some work; False when memory ran out and less can be tried. By then the exception is gone, and with it what it held.

    Raises:
        RuntimeError: memory ran out of work that cannot be divided, or another fault.
    """
    try:
        work()
    except (MemoryError, RuntimeError) as problem:
        if not divisible or not is_out_of_memory(problem):
            raise
        return False
    return True


def is_dead(problem: BaseException) -> bool:
    """Whether the card fails whatever this process asks next, so that only a new process can go on."""
    if not isinstance(problem, RuntimeError):
        return False
    return _has_code(problem, DEAD_CODES) or any(text in str(problem).lower() for text in DEAD)


def raise_if_of_device(problem: Exception) -> None:
    """Raise what the memory or the card is in trouble with: it says nothing of the code that was tried out."""
    if is_out_of_memory(problem) or is_dead(problem):
        raise problem


def _has_code(problem: BaseException, codes: tuple[int, ...]) -> bool:
    return isinstance(problem, torch.AcceleratorError) and getattr(problem, "error_code", None) in codes


# --- names --------------------------------------------------------------------------------------------------------------------


def cpu_name() -> str:
    """The processor's name as its maker writes it, where the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8", "replace").splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@cache
def apple_chip() -> str:
    """“Apple M2 Pro”; the machine's kind where the system does not tell."""
    asked = subprocess.run(
        ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"],
        capture_output=True,
        encoding="utf-8",
        check=False,
        creationflags=NO_WINDOW,
    )
    return asked.stdout.strip() or platform.machine()
