"""What NVIDIA's driver says of itself and of its cards, asked without torch. Needs nothing but Python's standard library."""

from __future__ import annotations

import ctypes
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

Version = tuple  # (major, minor), of CUDA or of a card's compute capability

# The driver's library, which is also what torch talks to; Windows' Linux keeps it where not every loader looks.
LIBRARIES = {"Linux": ("libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1"), "Windows": ("nvcuda.dll",)}
TOOL = "nvidia-smi"
TOOL_SECONDS = 20  # a sleeping card takes a few; one that hangs must not hold up the start
NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE
MAJOR, MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_…


def driver_cuda() -> Version | None:
    """The newest CUDA the installed driver supports, or None without one. Milliseconds where the driver's library is found."""
    return library_cuda(open_library()) or parse_cuda(ask_tool())


def card_capabilities() -> list[Version] | None:
    """The compute capability of each card; None if it cannot be found out. May wake the cards: a second or two."""
    found = library_capabilities(open_library())
    return parse_capabilities(ask_tool("--query-gpu=compute_cap", "--format=csv,noheader")) if found is None else found


def open_library() -> Any:
    """The driver's library; None without one."""
    for name in LIBRARIES.get(platform.system(), ()):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def library_cuda(library: Any) -> Version | None:
    """The CUDA version the library is for: 12080 is 12.8."""
    number = ctypes.c_int(0)
    if library is None or library.cuDriverGetVersion(ctypes.byref(number)) != 0 or number.value <= 0:
        return None
    return number.value // 1000, number.value % 1000 // 10


def library_capabilities(library: Any) -> list[Version] | None:
    """The cards the library finds: none is [], and not being able to say is None."""
    count = ctypes.c_int(0)
    if library is None:
        return None
    started = library.cuInit(0)
    if started == NO_DEVICE:
        return []
    if started != 0 or library.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return None
    return [(_attribute(library, MAJOR, card), _attribute(library, MINOR, card)) for card in range(count.value)]


def _attribute(library: Any, which: int, card: int) -> int:
    value = ctypes.c_int(0)
    library.cuDeviceGetAttribute(ctypes.byref(value), which, card)
    return value.value


def ask_tool(*arguments: str) -> str:
    """What `nvidia-smi` prints; nothing if it is missing, fails or hangs."""
    found = shutil.which(TOOL)
    if found is None:
        return ""
    try:
        result = subprocess.run([found, *arguments], capture_output=True, timeout=TOOL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.decode("utf-8", "replace") if result.returncode == 0 else ""


def parse_cuda(said: str) -> Version | None:
    """The CUDA version in what `nvidia-smi` prints: “CUDA Version: 12.8”, and from driver 610 on “CUDA UMD Version: 13.3”."""
    found = re.search(r"CUDA(?:\s+UMD)?\s+Version\s*:\s*(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else None


def parse_capabilities(said: str) -> list[Version] | None:
    """One “8.6” a line. Drivers before 510 know no such question, and then nothing is known."""
    lines: Sequence[str] = said.split()
    known = [re.fullmatch(r"(\d+)\.(\d+)", line) for line in lines]
    return [(int(found[1]), int(found[2])) for found in known if found] or None
