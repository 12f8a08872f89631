"""What this computer computes with: asked of `worker probe` (which imports torch, so it takes seconds) and remembered.

What changes from minute to minute, the free memory, is asked anew each time: of NVIDIA's driver, of the system, or, where neither
knows, of a worker again. Which device a process uses is one word in its environment (`core.devices`), a run's is in its folder.
"""

import contextlib
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

import rlhf_desktop
from rlhf_desktop.core.devices import AUTO, DEVICE, choose_device, chosen_device, plain_uuid
from rlhf_desktop.core.errors import AppError, BadInput, NotFound, WorkerTrouble
from rlhf_desktop.core.files import canonical_json, sha256_text, write_json
from rlhf_desktop.core.paths import state_dir
from rlhf_desktop.core.platform import NO_WINDOW, FileLock, usage
from rlhf_desktop.core.runs import DeviceRef
from rlhf_desktop.jobs import nvml
from rlhf_desktop.jobs.commands import package_parent, worker_command, worker_environment

__all__ = ["Device", "choose_device"]
AUTOMATIC = DeviceRef(id=AUTO)
"""The choice to leave it to the program, where a run had been meant for one device."""

_PROBE_TIMEOUT_S = 180
_ANSWER = 3  # counts up when the probe tells more, so that what an older one said is not taken for all there is
_SHORTEST_PART = 3  # letters of a name or UUID
_OF_ONE = ("name", "uuid", "memory_total_bytes", "memory_available_bytes", "fast_dtype")


@dataclass(frozen=True)
class Device:
    """A graphics card or the processor, as the probe saw it."""

    id: str  # "cuda:1", "cpu"
    kind: str  # nvidia, rocm, xpu, mps, cpu
    name: str
    uuid: str
    total_bytes: int
    seen_free_bytes: int  # when the probe looked
    fast_dtype: str

    @property
    def ref(self) -> DeviceRef:
        """How a run and a choice name it."""
        return DeviceRef(id=self.id, uuid=self.uuid, name=self.name)

    @property
    def key(self) -> str:
        """What a worker is told."""
        return self.ref.key

    @property
    def is_card(self) -> bool:
        """Anything but the processor."""
        return self.kind != "cpu"

    @property
    def backend(self) -> str:
        """Torch's word for its kind: "cuda" for NVIDIA and AMD, "xpu", "mps", "cpu"."""
        return self.id.partition(":")[0]

    @property
    def facts(self) -> dict[str, str]:
        """What an estimate needs to know of it."""
        return {"device": self.backend, "fast_dtype": self.fast_dtype, "name": self.name}


# --- which there are ----------------------------------------------------------------------------------------------------------


def known_device() -> dict[str, Any] | None:
    """What the last probe of this installation said; None before the first. Costs one small file."""
    kept = _kept()
    return _as_used(kept["device"]) if kept else None


def probe_device(*, refresh: bool = False, command: Sequence[str] | None = None) -> dict[str, Any]:
    """The JSON of `worker probe`: devices, memory, the fast dtype, versions; what is said outside `devices` is of the one wanted.

    Blocks for seconds when it isn't known yet, or when NVIDIA's driver has other cards than the last time.

    Args:
        refresh: Ask again, for instance after a graphics card has been added.
        command: What to ask; None: this program's own worker.

    Raises:
        WorkerTrouble: the probe failed: torch is missing or broken.
    """
    kept, cards = None if refresh else _kept(), sorted(card.uuid for card in nvml.cards())
    if kept is None or kept.get("cards", cards) != cards:
        kept = {"key": installation_key(), "cards": cards, "device": _ask(command or worker_command("probe"))}
        write_json(_cache(), kept)
    return _as_used(kept["device"])


def _kept() -> dict[str, Any] | None:
    try:
        kept = json.loads(_cache().read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return kept if isinstance(kept, dict) and kept.get("key") == installation_key() else None


def _as_used(probed: dict[str, Any]) -> dict[str, Any]:
    """The answer with the facts of the device that is wanted, if one is and it is there."""
    devices = devices_of(probed) if "devices" in probed else []
    with contextlib.suppress(AppError):
        wanted = wanted_device(devices)
        used = same_device(wanted, devices) if wanted else None
        if used is not None:
            facts = next(each for each in probed["devices"] if each["id"] == used.id)
            return {**probed, **{name: facts[name] for name in _OF_ONE if name in facts}, "device": used.backend}
    return probed


def devices_of(probed: dict[str, Any]) -> list[Device]:
    """The devices in a probe's answer, cards first."""
    if "devices" not in probed:  # it knows of one only
        backend = probed.get("device", "cpu")
        probed = {"devices": [{"id": backend, "kind": "cpu" if backend == "cpu" else "", **probed}]}
    return [_device(each) for each in probed["devices"]]


def _device(found: dict[str, Any]) -> Device:
    return Device(
        id=found["id"],
        kind=found["kind"],
        name=found.get("name", ""),
        uuid=found.get("uuid", ""),
        total_bytes=int(found.get("memory_total_bytes") or 0),
        seen_free_bytes=int(found.get("memory_available_bytes") or 0),
        fast_dtype=found["fast_dtype"],
    )


def find_device(text: str, devices: Sequence[Device]) -> Device | None:
    """The device someone names by number ("cuda:1", "cpu"), by UUID, or by a part of its name; None for “auto”.

    Raises:
        NotFound: there is none; says which there are.
        BadInput: several fit.
    """
    wanted = plain_uuid(text)
    if wanted in ("", AUTO):
        return None
    found = [each for each in devices if wanted in (each.id, plain_uuid(each.uuid))]
    found = found or [each for each in devices if len(wanted) >= _SHORTEST_PART and _mentions(each, wanted)]
    there = ", ".join(f"{each.id} ({each.name})" for each in devices)
    if not found:
        raise NotFound(f"This computer has no device “{text}”.", f"There are: {there}.")
    if len(found) > 1:
        raise BadInput(f"“{text}” may be any of {len(found)} devices.", f"Name one by its number: {there}.")
    return found[0]


def _mentions(device: Device, wanted: str) -> bool:
    return wanted in device.name.casefold() or plain_uuid(device.uuid).startswith(wanted) or wanted == device.backend


def same_device(ref: DeviceRef, devices: Sequence[Device]) -> Device | None:
    """The device a run or a setting means, wherever it is plugged in now; None when it is not there."""
    by_uuid = [each for each in devices if ref.uuid and plain_uuid(each.uuid) == plain_uuid(ref.uuid)]
    by_id = [each for each in devices if not ref.uuid and each.id == ref.id]
    return next(iter(by_uuid or by_id), None)


def wanted_device(devices: Sequence[Device] | None = None) -> DeviceRef | None:
    """What this process was told, else what the user has chosen; None: automatic.

    Args:
        devices: Those there are; None: they are looked up, if need be.

    Raises:
        AppError: it was told a device that is not there, or the training software cannot be asked which there are.
    """
    told = os.environ.get(DEVICE, "")
    if not told:
        return chosen_device()
    found = find_device(told, devices_of(probe_device()) if devices is None else devices)
    return found.ref if found else None


def is_told() -> bool:
    """Whether this process was told its device, which goes before what is chosen."""
    return bool(os.environ.get(DEVICE))


def tell_device(text: str) -> None:
    """Have this process and all that it starts use the device someone names, whatever was chosen.

    Raises:
        AppError: there is none, several fit, or the training software cannot be asked which there are.
    """
    found = None if text in (AUTO, "cpu") else find_device(text, devices_of(probe_device()))
    os.environ[DEVICE] = found.key if found else text


def candidates(wanted: DeviceRef | None, devices: Sequence[Device]) -> list[Device]:
    """The devices a run may go to: the one that is wanted, else any card; the processor only where there is no card.

    Raises:
        NotFound: the one that is wanted is not there.
    """
    if wanted is None or wanted == AUTOMATIC:
        return [each for each in devices if each.is_card] or list(devices)
    found = same_device(wanted, devices)
    if found is None:
        name = wanted.name or wanted.key
        raise NotFound(
            f"“{name}” is not in this computer now.", "Resume goes on on another device; Settings (or --device) choose it."
        )
    return [found]


# --- one lock each ------------------------------------------------------------------------------------------------------------


def device_lock(device: Device) -> FileLock:
    """Held by the one training process on a device, over all of this user's workspaces."""
    name = f"device-{re.sub('[^A-Za-z0-9-]+', '-', device.key)}.lock" if device.is_card else "device.lock"
    return FileLock(state_dir() / name)


def is_taken(device: Device) -> bool:
    """Whether a training process has the device now."""
    lock = device_lock(device)
    free = lock.acquire()
    lock.release()
    return not free


# --- memory -------------------------------------------------------------------------------------------------------------------


def free_bytes(device: Device, *, ask: bool = True) -> int:
    """Memory that is free on a device now.

    Args:
        device: Which.
        ask: Start a worker where nothing else knows, which takes seconds; else the probe's answer, however old, has to do.
    """
    available = int(psutil.virtual_memory().available)
    if not device.is_card:
        return available
    if device.kind == "mps":  # its memory is the computer's, of which graphics may have a part
        return min(available, device.total_bytes)
    told = nvml.free_bytes(device.uuid) if device.kind == "nvidia" and device.uuid else None
    if told is None and ask:
        with contextlib.suppress(WorkerTrouble):  # what was seen before has to do
            again = same_device(device.ref, devices_of(probe_device(refresh=True)))
            told = again.seen_free_bytes if again else None
    return device.seen_free_bytes if told is None else told


def held_bytes(device: Device, pid: int) -> int | None:
    """What a process has of a device's memory; None where nobody can tell."""
    if not pid:
        return 0
    if device.is_card and device.kind != "mps":
        return nvml.held_bytes(device.uuid, pid) if device.kind == "nvidia" else None
    return process_bytes(pid)


def process_bytes(pid: int) -> int:
    """What a process and its children have of the computer's memory; 0 when it is gone."""
    return usage(pid).rss_bytes if pid else 0


def likely_device(devices: Sequence[Device], *, ask: bool = True) -> Device:
    """The one that a run queued now would go to: one that no run has, if there is any.

    Args:
        devices: Those there are.
        ask: As for `free_bytes`.

    Raises:
        AppError: the one that is wanted is not there.
    """
    usable = candidates(wanted_device(devices), devices)
    return freest([each for each in usable if not is_taken(each)] or usable, ask=ask)


@dataclass(frozen=True)
class Tenant:
    """A process of ours that gives way to runs: chat's. `device` is the key or number of where its model is; "" for nowhere."""

    pid: int = 0
    device: str = ""
    weights_bytes: int = 0  # of its model, for where nobody can tell what the process holds

    def holds(self, device: Device) -> int:
        """What a device gains when it gives way."""
        if not self.pid or self.device not in (device.key, device.id):
            return 0
        return held_bytes(device, self.pid) or self.weights_bytes


def freest(devices: Sequence[Device], *, ask: bool = True) -> Device:
    """The one with the most free memory; asked only where there is a choice."""
    return devices[0] if len(devices) == 1 else max(devices, key=lambda each: free_bytes(each, ask=ask))


# --- asking -------------------------------------------------------------------------------------------------------------------


def _ask(command: Sequence[str]) -> dict[str, Any]:
    hint = "Installing the program again helps; your feedback is not affected."
    environment = {name: value for name, value in worker_environment().items() if name != DEVICE}  # of them all, not of the chosen
    try:
        done = subprocess.run(
            command, cwd=package_parent(), env=environment, stdin=subprocess.DEVNULL, capture_output=True,
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
    torch, llama = _version("torch"), _version("xllamacpp")
    visible = [os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")]
    parts = [
        _ANSWER,
        rlhf_desktop.__version__,
        torch,
        llama,
        platform.python_version(),
        platform.machine(),
        platform.node(),
        visible,
    ]
    return sha256_text(canonical_json(parts))


def _version(package: str) -> str:
    """An installed package's; "" where it is not."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def llama_trouble(probed: Mapping[str, Any]) -> str:
    """Why llama.cpp cannot compute answers on this computer, of a probe's answer; "" where it can."""
    return str(probed.get("engines", {}).get("llama.cpp", {}).get("trouble", "It is not known whether llama.cpp works here."))
