"""What is well on this computer and in this workspace, what isn't, and what to do about it."""

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import psutil

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import free_disk_bytes, others_can_read
from rlhf_desktop.core.runs import DeviceRef
from rlhf_desktop.core.words import count
from rlhf_desktop.hub.library import Library
from rlhf_desktop.jobs import nvml
from rlhf_desktop.jobs.device import Device, devices_of, free_bytes, likely_device, llama_trouble, probe_device, same_device
from rlhf_desktop.operations.opening import open_store
from rlhf_desktop.operations.spelling import NEEDS, languages

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
    looks: dict[str, Callable[[], Finding | list[Finding]]] = {
        "system": _system,
        "device": lambda: _computing((probe or probe_device)()),
        "memory": _memory,
        "disk": lambda: _disk(workspace),
        "privacy": lambda: who_can_look(workspace),
        "database": lambda: _database(workspace),
        "spelling": _spelling,
        "starter model": lambda: _starter(library),
    }
    return [finding for name, look in looks.items() for finding in _looked(name, look)]


def _looked(name: str, look: Callable[[], Finding | list[Finding]]) -> list[Finding]:
    try:
        found = look()
    except AppError as trouble:
        return [Finding(name, "trouble", trouble.message, trouble.hint)]
    return found if isinstance(found, list) else [found]


def _system() -> Finding:
    if sys.platform.startswith("linux"):
        return Finding("system", "well", f"Linux, Python {sys.version_info.major}.{sys.version_info.minor}.")
    return Finding("system", "note", f"{sys.platform} is designed for but untested.", "Report what doesn't work.")


def _computing(probed: dict[str, Any]) -> list[Finding]:
    return [*_devices(probed), _engine(probed)]


def _devices(probed: dict[str, Any]) -> list[Finding]:
    """The device that runs go to, the others there are, and the cards that nothing can be done with."""
    devices = devices_of(probed)
    chosen = likely_device(devices)
    said = f"Training runs on {chosen.id} ({_described(chosen)})."
    advice = "" if chosen.is_card else "Small models train well on it; larger ones want a graphics card."
    main = Finding("device", "well" if chosen.is_card else "note", said, advice)
    others = [Finding(each.id, "well", f"Also here: {_described(each)}.") for each in devices if each is not chosen]
    return [main, *others, *_unusable(devices, str(probed.get("versions", {}).get("torch", "")))]


def _described(device: Device) -> str:
    total = f", {device.total_bytes / _GIB:.1f} GiB, {free_bytes(device, ask=False) / _GIB:.1f} free" if device.total_bytes else ""
    return f"{device.name}{total}, computes in {device.fast_dtype}"


def _unusable(devices: Sequence[Device], torch: str) -> list[Finding]:
    """Cards that the driver knows and torch does not."""
    why, remedy = (
        f"torch {torch} does not see it",
        "Close the program and start it with “make run”: it installs the torch that fits.",
    )
    if torch.endswith("+cpu"):
        why = f"torch {torch} is a build for the processor alone"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and not torch.endswith("+cpu"):
        why, remedy = f"CUDA_VISIBLE_DEVICES is “{hidden}”", "Unset it to use every card."
    blind = [card for card in nvml.cards() if same_device(DeviceRef(id="", uuid=card.uuid), devices) is None]
    return [Finding("card", "note", f"{card.name} is here, with its driver, but cannot be used: {why}.", remedy) for card in blind]


def _engine(probed: dict[str, Any]) -> Finding:
    """Whether llama.cpp can answer beside torch."""
    if reason := llama_trouble(probed):
        return Finding("engine", "note", f"Torch computes all answers: llama.cpp, which is faster, cannot. {reason}")
    release = probed["engines"]["llama.cpp"]["release"]
    return Finding(
        "engine", "well", f"Torch and llama.cpp (xllamacpp {release}) can compute answers; models engine NAME says which."
    )


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


def who_can_look(workspace: Workspace) -> Finding:
    """Whether other users of the computer see into the workspace's folder, which the user may have chosen for more than this."""
    if not others_can_read(workspace.root):
        return Finding("privacy", "well", "Other users of this computer cannot read the workspace.")
    said = f"Other users of this computer can see which files the workspace ({workspace.root}) has."
    return Finding(
        "privacy", "note", said, f"The feedback itself they cannot read. To close it: chmod 700 {shlex.quote(str(workspace.root))}"
    )


def _database(workspace: Workspace) -> Finding:
    with open_store(workspace) as store:
        projects = len(store.projects.all())
        apart = {"archived": len(store.projects.archived()), "recently deleted": len(store.projects.deleted())}
        if store.notice:
            return Finding("database", "note", store.notice, "Nothing is lost by it.")
    besides = "".join(f", {n} {state}" for state, n in apart.items() if n)
    return Finding("database", "well", f"Healthy, with {count(projects, 'project')}{besides}.")


def _spelling() -> Finding:
    known = languages()
    if not known:
        return Finding("spelling", "note", "There is no spell check.", NEEDS)
    return Finding("spelling", "well", f"Dictionaries of {', '.join(known)} are here.")


def _starter(library: Library) -> Finding:
    names = [model.name for model in library.list()]
    others = f" Models here: {', '.join(names)}." if names else ""
    starter = library.ensure_starter()
    return Finding("starter model", "well", f"{starter.name} is ready.{others}")
