"""What is well on this computer and in this workspace, what isn't, and what to do about it."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import psutil

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import free_disk_bytes
from rlhf_desktop.hub.library import Library
from rlhf_desktop.jobs.device import probe_device
from rlhf_desktop.store.database import Store

State = Literal["well", "note", "trouble"]
_GIB = 1024**3
_LITTLE_DISK_BYTES = 5 * _GIB
_LITTLE_MEMORY_BYTES = 3 * _GIB


@dataclass(frozen=True)
class Finding:
    """One thing looked at. A note can be lived with; a trouble stops something from working."""

    name: str
    state: State
    sentence: str
    remedy: str = ""


def checkup(workspace: Workspace, library: Library, *, probe: Callable[[], dict[str, Any]] | None = None) -> list[Finding]:
    """Look at everything; one broken thing does not hide the others.

    Args:
        workspace: Which workspace.
        library: Its models.
        probe: Asks the worker about the device; takes seconds when the answer isn't known yet.
    """
    looks: dict[str, Callable[[], Finding]] = {
        "system": _system,
        "device": lambda: _device((probe or probe_device)()),
        "memory": _memory,
        "disk": lambda: _disk(workspace),
        "database": lambda: _database(workspace),
        "starter model": lambda: _starter(library),
    }
    return [_looked(name, look) for name, look in looks.items()]


def _looked(name: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except AppError as trouble:
        return Finding(name, "trouble", trouble.message, trouble.hint)


def _system() -> Finding:
    if sys.platform.startswith("linux"):
        return Finding("system", "well", f"Linux, Python {sys.version_info.major}.{sys.version_info.minor}.")
    return Finding("system", "note", f"{sys.platform} is designed for but untested.", "Report what doesn't work.")


def _device(device: dict[str, Any]) -> Finding:
    said = f"Training runs on {device['device']} ({device['name']}) in {device['fast_dtype']}."
    if device["device"] == "cpu":
        return Finding("device", "note", said, "Small models train well on it; larger ones want a graphics card.")
    return Finding("device", "well", said)


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    said = f"{memory.available / _GIB:.1f} of {memory.total / _GIB:.1f} GiB are free."
    if memory.available < _LITTLE_MEMORY_BYTES:
        return Finding("memory", "note", said, "Close other programs before training.")
    return Finding("memory", "well", said)


def _disk(workspace: Workspace) -> Finding:
    free = free_disk_bytes(workspace.root)
    said = f"{free / _GIB:.1f} GiB are free where the workspace is ({workspace.root})."
    if free < _LITTLE_DISK_BYTES:
        return Finding("disk", "note", said, "Free some space: a model takes a few GiB.")
    return Finding("disk", "well", said)


def _database(workspace: Workspace) -> Finding:
    with Store.open(workspace.database) as store:
        projects = len(store.projects.all())
        if store.notice:
            return Finding("database", "note", store.notice, "Nothing is lost by it.")
    word = "project" if projects == 1 else "projects"
    return Finding("database", "well", f"Healthy, with {projects} {word}.")


def _starter(library: Library) -> Finding:
    names = [model.name for model in library.list()]
    others = f" Models here: {', '.join(names)}." if names else ""
    starter = library.ensure_starter()
    return Finding("starter model", "well", f"{starter.name} is ready.{others}")
