"""`worker probe`: what this computer offers to a model, as one JSON object."""

import json
import os
from collections.abc import Sequence
from importlib import metadata
from typing import Any, BinaryIO

import psutil
import torch

from rlhf_desktop.inference.device import DeviceFacts, describe, devices, find_device
from rlhf_desktop.inference.engines import llama_binding

PACKAGES = ("transformers", "peft", "accelerate", "safetensors", "tokenizers")


def main(argv: Sequence[str], out: BinaryIO) -> int:  # noqa: ARG001 - all jobs are called alike
    """Write the facts."""
    out.write(json.dumps(probe()).encode() + b"\n")
    return 0


def probe() -> dict[str, Any]:
    """Devices, memory, the number format that is fast, and versions. Memory is in bytes.

    `memory_*` is where models live: the graphics card's where there is one, else the computer's (`ram_*` is always the computer's).
    `devices` has all there are, the processor last; what is said outside it is of the one a job would take.
    """
    default = find_device(None)
    facts = [describe(device) for device in devices()]
    chosen = next(each for each in facts if each.device == default)
    ram = psutil.virtual_memory()
    return {
        "device": chosen.device.type,
        "name": chosen.name,
        "uuid": chosen.uuid,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_total_bytes": chosen.total_bytes,
        "memory_available_bytes": chosen.free_bytes,
        "ram_total_bytes": ram.total,
        "ram_available_bytes": ram.available,
        "fast_dtype": _word(chosen.fast_dtype),
        "devices": [_device(each) for each in facts],
        "engines": {"llama.cpp": {"release": llama_binding.version(), "trouble": llama_binding.trouble()}},
        "versions": {"torch": torch.__version__, **{name: metadata.version(name) for name in PACKAGES}},  # torch's tells its build
    }


def _device(facts: DeviceFacts) -> dict[str, Any]:
    return {
        "id": str(facts.device),
        "kind": facts.kind,
        "index": facts.index,
        "name": facts.name,
        "uuid": facts.uuid,
        "capability": facts.capability,
        "memory_total_bytes": facts.total_bytes,
        "memory_available_bytes": facts.free_bytes,
        "fast_dtype": _word(facts.fast_dtype),
    }


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
