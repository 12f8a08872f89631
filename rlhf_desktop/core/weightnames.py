"""What the names of layers tell: which get LoRA, and which are the same under another name.

Adapters go on the linear layers that every token goes through: of attention, of gates and shared experts, of linear attention and
state spaces. Never on routers and gates of experts (a router that moves sends other tokens to other experts, which no loss here
asks for), on layers whose weights a model reads itself instead of calling the layer, or on towers that see or hear.

Checkpoints of one family differ in what stands before a layer's number. What is "model.layers.0.mlp.up_proj.weight" in a model of
text is "language_model.model.layers.0.…" in older files of models that also see, and "model.language_model.layers.0.…" in newer
ones; GPT-2's files leave "transformer." out. From the number on, names agree.
"""

import re
from collections.abc import Iterable

_APART = ("vision", "visual", "image", "audio", "speech", "embed_vision", "embed_audio", "vit", "multi_modal_projector",
          "mtp")  # fmt: skip
_ROUTERS = ("gate", "wg", "shared_expert_gate", "indexer")  # anywhere in a path, as is every name with "router" in it
_READ = ("x_proj", "dt_proj", "correction_coefs", "prediction_coefs")  # a state space's steps; Gemma 3n's mixing of its streams
_PEFT_REFUSES = dict.fromkeys(("falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h"), ("out_proj",))
_WORDS = ("embed", "word", "wte", "wpe", "lm_head", "score", "embed_out")  # tables of words, from which or to which a model goes
_NUMBERED = re.compile(r"[^.]+\.\d+\..+$")


def is_apart(name: str) -> bool:
    """Whether a layer or weight belongs to what sees, hears or guesses words ahead, not to the language model."""
    return any(part.startswith(_APART) for part in name.split("."))


def is_read_elsewhere(path: str) -> bool:
    """Whether a model reads this layer's weight besides or instead of calling the layer, so that LoRA on it would be lost."""
    return path.rpartition(".")[2] in _READ


def is_of_words(path: str) -> bool:
    """Whether a weight is a table from words, or to them."""
    return path.rpartition(".")[2].startswith(_WORDS)


def is_dense(path: str, family: str, *, experts: bool = False) -> bool:
    """Whether a linear layer of this path gets LoRA; `experts` where those of routed experts are asked for."""
    parts = path.split(".")
    if is_apart(path) or is_read_elsewhere(path) or parts[-1] in _PEFT_REFUSES.get(family, ()):
        return False
    if ("experts" in parts and not experts) or is_of_words(path):
        return False
    return not any(part in _ROUTERS or "router" in part for part in parts)


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
