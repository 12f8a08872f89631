"""Rows of figures, each with what it was measured on: the code, the processor, and how busy the machine was."""

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlhf_desktop.core.files import append_jsonl, read_jsonl

HERE = Path(__file__).resolve().parent


def keep(row: dict[str, Any], file: Path = HERE / "results.jsonl") -> dict[str, Any]:
    """Append a row to a file of results. Returns it with what was added."""
    machine = {"commit": commit(), "cpu": cpu_name(), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2)}
    whole = {**row, **machine}
    append_jsonl(file, whole)
    return whole


def find(wanted: dict[str, Any], covered: Sequence[str], file: Path = HERE / "results.jsonl") -> dict[str, Any] | None:
    """The newest row with these values that still counts: the covered paths (from the project's folder) are as they were then."""
    rows = [row for row in read_jsonl(file) if wanted.items() <= row.items()] if file.exists() else []
    return next((row for row in reversed(rows) if _unchanged(row["commit"], covered)), None)


def _unchanged(since: str, paths: Sequence[str]) -> bool:
    """Whether the working tree's paths are as they were at a commit; not, where that commit isn't known."""
    asked = subprocess.run(["git", "diff", "--quiet", since, "--", *paths], cwd=HERE.parents[1], stderr=subprocess.DEVNULL)
    return asked.returncode == 0


def commit() -> str:
    """Of the code that was measured."""
    return subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True, check=True).stdout.strip()


def cpu_name() -> str:
    """The processor, as Linux names it; elsewhere its family."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
