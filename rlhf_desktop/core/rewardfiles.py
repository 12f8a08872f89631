"""What the folder of a reward model may hold: its adapter, further members of an ensemble, heads, and reward.json. No torch.

As in `core.modelfiles`, whoever made it is not trusted: headers and JSON are read, and nothing else.
"""

from math import isfinite
from pathlib import Path
from typing import Any

from rlhf_desktop.core.adapterfiles import ADAPTER_CONFIG, ADAPTER_WEIGHTS, check_adapter
from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.modelfiles import read_config, read_tensors

REWARD, HEADS = "reward.json", "heads.safetensors"
MEMBER_FILES = (ADAPTER_CONFIG, ADAPTER_WEIGHTS, HEADS)
MAX_MEMBERS, MAX_HEADS = 32, 64


def member_folders(folder: Path, count: int) -> list[Path]:
    """Where the members of an ensemble lie: the first in the folder itself."""
    return [folder if index == 0 else folder / "members" / str(index) for index in range(count)]


def check_reward(folder: Path) -> None:
    """Refuse a reward model whose files are not what its description says.

    Raises:
        ModelTrouble: damaged, incomplete, or asking for what no reward model needs; says which.
    """
    description = read_config(folder / REWARD)
    members, attributes, parts = (description.get(key, ()) for key in ("members", "attributes", "part_tokens"))
    if not isinstance(members, list) or not 1 <= len(members) <= MAX_MEMBERS or not all(map(_is_scale, members)):
        raise _refused(f"its members are not 1 to {MAX_MEMBERS}, each with a mean and a spread")
    if not isinstance(attributes, list | tuple) or len(attributes) >= MAX_HEADS or not all(isinstance(a, str) for a in attributes):
        raise _refused("its attributes are not a short list of names")
    if not (parts == () or _is_number(parts)):
        raise _refused("its bad parts are not counted in tokens")
    for place in member_folders(folder, len(members)):
        check_adapter(place)
        if attributes or parts:
            _check_heads(place / HEADS)


def _is_scale(member: Any) -> bool:
    return isinstance(member, dict) and _is_number(member.get("mean")) and _is_number(member.get("std")) and member["std"] > 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _check_heads(file: Path) -> None:
    if not file.is_file():
        hint = "Get the whole folder again: publish or export it anew where it was made."
        raise ModelTrouble(f"The reward model is not complete: {file.name} is missing.", hint)
    tensors = read_tensors(file)
    if set(tensors) != {"weight"} or len(tensors["weight"].shape) != 2 or tensors["weight"].shape[0] > MAX_HEADS:
        raise _refused(f"{file.name} does not hold its heads")


def _refused(reason: str) -> ModelTrouble:
    return ModelTrouble(f"The reward model is refused: {reason}.", "Get it from a source you trust; nothing of it was loaded.")
