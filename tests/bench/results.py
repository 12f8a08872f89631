"""Rows of figures, each with what it was measured on: the code, the processor, and how busy the machine was."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from rlhf_desktop.core.files import append_jsonl

HERE = Path(__file__).resolve().parent


def keep(row: dict[str, Any], file: Path = HERE / "results.jsonl") -> dict[str, Any]:
    """Append a row to a file of results. Returns it with what was added."""
    machine = {"commit": commit(), "cpu": cpu_name(), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2)}
    whole = {**row, **machine}
    append_jsonl(file, whole)
    return whole


def commit() -> str:
    """Of the code that was measured."""
    return subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True, check=True).stdout.strip()


def cpu_name() -> str:
    """The processor, as Linux names it; elsewhere its family."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
