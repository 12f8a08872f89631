"""What this computer computes with, asked of `worker probe` (which imports torch, so it takes seconds) and remembered."""

import json
import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import rlhf_desktop
from rlhf_desktop.core.errors import WorkerTrouble
from rlhf_desktop.core.files import canonical_json, sha256_text, write_json
from rlhf_desktop.core.paths import state_dir
from rlhf_desktop.core.platform import NO_WINDOW
from rlhf_desktop.jobs.commands import package_parent, worker_command, worker_environment

_PROBE_TIMEOUT_S = 180


def known_device() -> dict[str, Any] | None:
    """What the last probe of this installation said; None before the first. Costs one small file."""
    try:
        kept = json.loads(_cache().read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return kept["device"] if isinstance(kept, dict) and kept.get("key") == installation_key() else None


def probe_device(*, refresh: bool = False, command: Sequence[str] | None = None) -> dict[str, Any]:
    """The JSON of `worker probe`: device, memory, the fast dtype, versions. Blocks for seconds when it isn't known yet.

    Args:
        refresh: Ask again, for instance after a graphics card has been added.
        command: What to ask; None: this program's own worker.

    Raises:
        WorkerTrouble: the probe failed: torch is missing or broken.
    """
    known = None if refresh else known_device()
    if known is None:
        known = _ask(command or worker_command("probe"))
        write_json(_cache(), {"key": installation_key(), "device": known})
    return known


def _ask(command: Sequence[str]) -> dict[str, Any]:
    hint = "Installing the program again helps; your feedback is not affected."
    try:
        done = subprocess.run(
            command, cwd=package_parent(), env=worker_environment(), stdin=subprocess.DEVNULL, capture_output=True,
            timeout=_PROBE_TIMEOUT_S, check=True, creationflags=NO_WINDOW,
        )  # fmt: skip
        answer = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as problem:
        said = (getattr(problem, "stderr", None) or b"").decode("utf-8", "replace")[-4000:]
        raise WorkerTrouble("The training software could not be asked about this computer.", hint, f"{problem}\n{said}") from None
    if not isinstance(answer, dict):
        raise WorkerTrouble("The training software gave an unexpected answer about this computer.", hint, repr(answer))
    return answer


def _cache() -> Path:
    return state_dir() / "device.json"


def installation_key() -> str:
    """Changes whenever the answer might: with the program, torch, Python or the computer."""
    try:
        torch = metadata.version("torch")
    except metadata.PackageNotFoundError:
        torch = ""
    parts = [rlhf_desktop.__version__, torch, platform.python_version(), platform.machine(), platform.node()]
    return sha256_text(canonical_json(parts))
