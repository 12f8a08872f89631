"""One layer, several names: checkpoints of one family differ in what stands before a layer's number.

"model.layers.0.mlp.up_proj.weight" is "language_model.model.layers.0.…" in older files of models that also see, and
"model.language_model.layers.0.…" in newer ones; GPT-2's files leave "transformer." out. From the number on, names agree.
"""

import re
from collections.abc import Iterable

_APART = ("vision", "visual", "image", "audio", "speech", "embed_vision", "embed_audio", "vit", "multi_modal_projector",
          "mtp")  # fmt: skip
_NUMBERED = re.compile(r"[^.]+\.\d+\..+$")


def is_apart(name: str) -> bool:
    """Whether a layer or weight belongs to what sees, hears or guesses words ahead, not to the language model."""
    return any(part.startswith(_APART) for part in name.split("."))


def tail(name: str) -> str:
    """From the numbered list of layers on; of a weight outside of it, its last two names."""
    found = _NUMBERED.search(name)
    return found[0] if found else ".".join(name.split(".")[-2:])


def stored_names(names: Iterable[str], stored: Iterable[str]) -> dict[str, str]:
    """Under which name a checkpoint stores each weight of the language model; without those of which that is not certain."""
    known = set(stored)
    alike: dict[str, list[str]] = {}
    for name in known:
        if not is_apart(name):
            alike.setdefault(tail(name), []).append(name)
    found = {name: [name] if name in known else [] if is_apart(name) else alike.get(tail(name), []) for name in names}
    return {name: places[0] for name, places in found.items() if len(places) == 1}
