"""The commands `jobs` starts: those of `core.commands`, and the supervisor."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rlhf_desktop.core.commands import package_parent, worker_command, worker_environment

__all__ = ["package_parent", "supervisor_command", "worker_command", "worker_environment"]


def supervisor_command(workspace: Path, trainer: Sequence[str] | None = None) -> list[str]:
    """The program that works a workspace's queue. `trainer` replaces the command it starts for each run."""
    return [sys.executable, "-m", "rlhf_desktop.jobs.supervisor", str(workspace.resolve()), *(trainer or ())]
