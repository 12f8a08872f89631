"""`worker probe`: what this computer offers to a model, as one JSON object."""

import json
import os
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

import psutil
import torch

from rlhf_desktop.inference.model import default_device, fast_dtype

PACKAGES = ("transformers", "peft", "accelerate", "safetensors", "tokenizers")


def main(argv: Sequence[str], out: BinaryIO) -> int:  # noqa: ARG001 - all jobs are called alike
    """Write the facts."""
    out.write(json.dumps(probe()).encode() + b"\n")
    return 0


def probe() -> dict[str, Any]:
    """Device, memory, the number format that is fast, and versions. Memory is in bytes.

    `memory_*` is where models live: the graphics card's on CUDA, else the computer's (`ram_*` is always the computer's).
    """
    device = default_device()
    ram = psutil.virtual_memory()
    free, total = torch.cuda.mem_get_info(device) if device.type == "cuda" else (ram.available, ram.total)
    return {
        "device": device.type,
        "name": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_total_bytes": total,
        "memory_available_bytes": free,
        "ram_total_bytes": ram.total,
        "ram_available_bytes": ram.available,
        "fast_dtype": str(fast_dtype(device)).removeprefix("torch."),
        "versions": {"torch": torch.__version__, **{name: metadata.version(name) for name in PACKAGES}},  # torch's tells its build
    }


def cpu_name() -> str:
    """The processor's name as its maker writes it, where the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8", "replace").splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
