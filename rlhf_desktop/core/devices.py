"""Which device the user has chosen, and how a process is told: one word in its environment.

A choice is about this computer, so it lies with the user's state and not in a workspace, which may be copied to another computer.
"""

from pathlib import Path

from pydantic import ValidationError

from rlhf_desktop.core.files import write_json
from rlhf_desktop.core.paths import state_dir
from rlhf_desktop.core.runs import DeviceRef

DEVICE = "RLHF_DESKTOP_DEVICE"
"""A card's UUID, or "cuda:1", "cpu", "auto"; absent or empty: as chosen, else automatic."""

AUTO = "auto"


def chosen_device() -> DeviceRef | None:
    """What was chosen in Settings; None: the card with the most free memory."""
    try:
        return DeviceRef.model_validate_json(_file().read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def choose_device(device: DeviceRef | None) -> None:
    """Keep the user's choice, for this program and all that are started later."""
    if device is None:
        _file().unlink(missing_ok=True)
    else:
        write_json(_file(), device.model_dump(mode="json"))


def plain_uuid(uuid: str) -> str:
    """A card's UUID as it can be compared: some tools write “GPU-” or “MIG-” before it, some do not."""
    return uuid.strip().casefold().removeprefix("gpu-").removeprefix("mig-")


def _file() -> Path:
    return state_dir() / "chosen-device.json"
