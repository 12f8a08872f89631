"""How this program starts its own other processes: the command, where it runs, and its environment."""

import os
import sys
from pathlib import Path
from typing import Literal

import rlhf_desktop

_WORKER_ENV = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def worker_command(kind: Literal["chat", "train", "probe", "convert"]) -> list[str]:
    """The program that imports torch, in one of its jobs; its arguments are to be appended."""
    return [sys.executable, "-m", "rlhf_desktop.worker", kind]


def worker_environment() -> dict[str, str]:
    """This process's environment, with everything that could reach for the network turned off."""
    return {**os.environ, **_WORKER_ENV, "PYTHONUNBUFFERED": "1"}


def package_parent() -> Path:
    """Where `python -m rlhf_desktop…` is started: never the user's folder, whose files could shadow modules."""
    return Path(rlhf_desktop.__file__).resolve().parent.parent
