"""What an adapter folder may hold: plain LoRA, of which nothing is dropped. Headers and JSON only: no weights, no code, no torch.

PEFT's LoRA has some forty settings, and new ones every month. Those applied here are applied exactly; those without an effect on
what the adapter computes are let pass; any other that is not at its default is refused by its name, whatever it may mean. So is any
tensor that is not a LoRA factor: an adapter loaded in part answers differently from what its maker saw, and nobody would notice.
"""

import re
from math import isfinite
from pathlib import Path
from typing import Any

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.modelfiles import PICKLES, could_take_forever, read_config, read_tensors, refused
from rlhf_desktop.core.weightnames import stored_names

ADAPTER_WEIGHTS, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
MAX_RANK = 4096

_MODULE_NAME = re.compile(r"[\w.-]+")
_LAYER_WEIGHT = re.compile(r"[\w.-]+\.weight")  # a layer by another name: its factors are in the file under the layer's own
_FACTOR = re.compile(r"(?P<module>base_model\.model\.[\w.-]+)\.lora_(?P<factor>[AB])\.weight")
_HEADS = ("score", "classifier")  # of a reward model, kept whole beside its factors
_HEAD = re.compile(rf"base_model\.model\.({'|'.join(_HEADS)})\.weight")

_APPLIED = {"peft_type", "task_type", "r", "lora_alpha", "target_modules", "target_parameters", "rank_pattern", "alpha_pattern",
            "use_rslora", "modules_to_save", "init_lora_weights", "base_model_name_or_path"}  # fmt: skip
_WITHOUT_EFFECT = {"auto_mapping", "peft_version", "revision", "inference_mode", "lora_dropout", "fan_in_fan_out", "megatron_core",
                   "qalora_group_size", "loftq_config", "eva_config", "exclude_modules", "layers_to_transform",
                   "layers_pattern"}  # fmt: skip
_DEFAULTS: dict[str, Any] = {"bias": "none"}  # of the others: nothing, false or empty
_STARTS_THAT_KEEP_THE_BASE = ("gaussian", "orthogonal", "eva", "true", "false")


def check_adapter(folder: Path) -> dict[str, Any]:
    """Whether a folder is a plain LoRA adapter that may be loaded. Returns its configuration.

    Raises:
        ModelTrouble: it is damaged, of another kind, changes its base, points to other places, or could run code.
    """
    if not (folder / ADAPTER_CONFIG).is_file():
        raise ModelTrouble(f"There is no adapter in {folder}.", f"Choose a folder that has {ADAPTER_CONFIG} in it.")
    config = read_config(folder / ADAPTER_CONFIG)
    if not (folder / ADAPTER_WEIGHTS).is_file():
        if any(file for pattern in PICKLES for file in folder.glob(pattern)):
            hint = f"Ask for {ADAPTER_WEIGHTS}: the .bin format can run code and is not loaded."
            raise ModelTrouble(f"The adapter in {folder} is in a format that is not safe to load.", hint)
        hint = "Copy the folder again, or train again: the feedback is safe."
        raise ModelTrouble(f"The adapter in {folder} has no weights ({ADAPTER_WEIGHTS} is missing).", hint)
    if reason := _reason(config):
        hint = "Only plain LoRA adapters in safetensors files can be loaded here."
        raise ModelTrouble(f"The adapter in {folder} is refused: {reason}.", hint)
    _check_tensors(folder, config)
    return config


def _reason(config: dict[str, Any]) -> str:
    """Why an adapter's configuration is refused; "" when it is not."""
    if config.get("peft_type") != "LORA":
        return f"it is not a LoRA adapter (peft_type is {str(config.get('peft_type'))[:40]})"
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower() not in _STARTS_THAT_KEEP_THE_BASE:
        return f"it was started with “{start[:20]}”, which may change the base model too"
    where = config.get("base_model_name_or_path")
    if isinstance(where, str) and ("://" in where or where.startswith(("\\\\", "//")) or ".." in re.split(r"[\\/]", where)):
        return f"it points to another place for its base model ({where[:80]})"
    return _target_reason(config) or _setting_reason(config)


def _target_reason(config: dict[str, Any]) -> str:
    """The tensors tell which layers are adapted. A pattern is never matched here, but one that never ends is not handed on."""
    targets, weights = config.get("target_modules"), config.get("target_parameters") or []
    if not isinstance(weights, list) or not all(isinstance(name, str) and _LAYER_WEIGHT.fullmatch(name) for name in weights):
        return f"it adapts single parameters, such as those of experts (target_parameters = {str(weights)[:60]})"
    named = isinstance(targets, list) and all(isinstance(name, str) and _MODULE_NAME.fullmatch(name) for name in targets)
    if not isinstance(targets, str) and not (named and (targets or weights)) and not (targets is None and weights):
        return "the layers it adapts are not given as a list of names"
    for key in ("target_modules", "exclude_modules", "layers_pattern"):
        if isinstance(config.get(key), str) and could_take_forever(config[key]):
            return f"{key} is a pattern that could take forever to match"
    for key in ("rank_pattern", "alpha_pattern"):
        pattern = config.get(key) or {}
        if not isinstance(pattern, dict) or not all(_MODULE_NAME.fullmatch(str(name)) for name in pattern):
            return f"{key} is not a list of names"
    kept = config.get("modules_to_save") or []
    if kept and not (config.get("task_type") == "SEQ_CLS" and set(kept) <= set(_HEADS)):
        return "it replaces whole layers of the base model (modules_to_save)"
    return ""


def _setting_reason(config: dict[str, Any]) -> str:
    """The first setting that is neither applied here nor without effect, and not at its default."""
    for name, value in config.items():
        if name not in _APPLIED | _WITHOUT_EFFECT and value and value != _DEFAULTS.get(name):
            return f"its setting {name[:40]} = {str(value)[:40]} is not supported"
    return ""


def _check_tensors(folder: Path, config: dict[str, Any]) -> None:
    """Nothing but pairs of LoRA factors, of small whole ranks that the configuration names; a reward model's head besides."""
    rank, alpha = config.get("r"), config.get("lora_alpha")
    ranks = [rank, *(config.get("rank_pattern") or {}).values()]
    alphas = [alpha, *(config.get("alpha_pattern") or {}).values()]
    numbers = all(type(n) is int and 1 <= n <= MAX_RANK for n in ranks) and all(
        isinstance(n, int | float) and not isinstance(n, bool) and isfinite(n) and 0 < n < 10**6 for n in alphas
    )
    if not numbers:
        raise refused(folder / ADAPTER_CONFIG, "its rank or scale is out of bounds")
    factors: dict[str, set[str]] = {}
    for name, tensor in read_tensors(folder / ADAPTER_WEIGHTS).items():
        found = _FACTOR.fullmatch(name)
        if found is None:
            if config.get("task_type") == "SEQ_CLS" and _HEAD.fullmatch(name):
                continue
            raise refused(folder / ADAPTER_WEIGHTS, f"it holds {name[:120]}, which is no factor of a plain LoRA")
        factors.setdefault(found["module"], set()).add(found["factor"])
        if len(tensor.shape) != 2 or tensor.shape[0 if found["factor"] == "A" else 1] not in ranks:
            raise refused(folder / ADAPTER_WEIGHTS, "its weights do not have the rank that its configuration says")
    for module, letters in factors.items():
        if letters != {"A", "B"}:
            raise refused(folder / ADAPTER_WEIGHTS, f"one of the two factors of {module[:120]} is missing")


def adapter_fits(adapter: Path, base: Path) -> bool:
    """Whether an adapter's factors have the shapes of a base model's layers, from both headers alone."""
    layers = {name: t.shape for file in base.glob("*.safetensors") for name, t in read_tensors(file).items()}
    sides: dict[str, dict[str, int]] = {}
    for name, tensor in read_tensors(adapter / ADAPTER_WEIGHTS).items():
        if (found := _FACTOR.fullmatch(name)) and len(tensor.shape) == 2:
            side = tensor.shape[1] if found["factor"] == "A" else tensor.shape[0]
            sides.setdefault(f"{found['module'].removeprefix('base_model.model.')}.weight", {})[found["factor"]] = side
    stored = stored_names(sides, layers)
    return bool(sides) and all(
        weight in stored and _has_sides(layers[stored[weight]], side.get("B"), side.get("A")) for weight, side in sides.items()
    )


def _has_sides(shape: tuple[int, ...], outs: int | None, ins: int | None) -> bool:
    return shape in ((outs, ins), (ins, outs))  # GPT-2 keeps its layers the other way round
