"""An imitation of NVIDIA's library: the cards of `nvml.json` in the user's state, or no driver where there is no such file."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

NVML_ERROR_NOT_FOUND = 6
NVML_ERROR_LIBRARY_NOT_FOUND = 12


class NVMLError(Exception):
    pass


def _cards() -> list[dict]:
    file = Path(os.environ["RLHF_DESKTOP_STATE"]) / "nvml.json"
    if not file.exists():
        raise NVMLError(NVML_ERROR_LIBRARY_NOT_FOUND)
    return json.loads(file.read_text())


def nvmlInit() -> None:  # noqa: N802 (NVIDIA's naming, here and below)
    _cards()


def nvmlDeviceGetCount() -> int:  # noqa: N802
    return len(_cards())


def nvmlDeviceGetHandleByIndex(index: int) -> str:  # noqa: N802
    return _cards()[index]["uuid"]


def nvmlDeviceGetHandleByUUID(uuid: str) -> str:  # noqa: N802
    _card(uuid)
    return uuid


def nvmlDeviceGetUUID(handle: str) -> str:  # noqa: N802
    return handle


def nvmlDeviceGetName(handle: str) -> str:  # noqa: N802
    return _card(handle)["name"]


def nvmlDeviceGetMemoryInfo(handle: str) -> SimpleNamespace:  # noqa: N802
    return SimpleNamespace(free=_card(handle)["free"])


def nvmlDeviceGetComputeRunningProcesses(handle: str) -> list[SimpleNamespace]:  # noqa: N802
    return [SimpleNamespace(pid=pid, usedGpuMemory=taken) for pid, taken in _card(handle).get("processes", [])]


def nvmlDeviceGetGraphicsRunningProcesses(handle: str) -> list[SimpleNamespace]:  # noqa: N802
    return []


def _card(uuid: str) -> dict:
    for card in _cards():
        if card["uuid"] == uuid:
            return card
    raise NVMLError(NVML_ERROR_NOT_FOUND)
