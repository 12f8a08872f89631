"""How this program starts its own other processes: the command, where it runs, and its environment."""

import os
import sys
from pathlib import Path
from typing import Literal

import rlhf_desktop
from rlhf_desktop.core.devices import DEVICE, chosen_device
from rlhf_desktop.core.offline import OFFLINE, QUIET, SECRETS

WorkerJob = Literal["chat", "train", "probe", "convert", "export", "check", "calibrate", "trial"]

_WORKER_ENV = {**QUIET, "PYTHONUTF8": "1", OFFLINE: "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


def worker_command(kind: WorkerJob) -> list[str]:
    """The program that imports torch, in one of its jobs; its arguments are to be appended."""
    return [sys.executable, "-m", "rlhf_desktop.worker", kind]


def worker_environment() -> dict[str, str]:
    """This process's environment without its tokens, with everything that could reach for the network turned off, always.

    And UTF-8 whatever the system's code page is, so that what a library prints about a text never ends a worker. It names the
    device that the user has chosen, unless this process was told one itself.
    """
    kept = {name: value for name, value in os.environ.items() if name not in (*SECRETS, "PYTHONIOENCODING")}
    chosen = chosen_device()
    device = {DEVICE: chosen.key} if chosen is not None and not kept.get(DEVICE) else {}
    return {**kept, **device, **_WORKER_ENV, "PYTHONUNBUFFERED": "1"}


def package_parent() -> Path:
    """Where `python -m rlhf_desktop…` is started: never the user's folder, whose files could shadow modules."""
    return Path(rlhf_desktop.__file__).resolve().parent.parent
