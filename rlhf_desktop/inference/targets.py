"""Which of a model's layers get LoRA, and how a PEFT file names them.

The layers are named one by one, by `core.weightnames`. PEFT's "all-linear" is another set in each of its versions, and in a mixture
of experts it reaches into the experts' stacked weights and the router.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.trunk import expert_count
from rlhf_desktop.core.weightnames import is_dense

_PLAIN = ("Linear", "PackedLinear", "Linear4bit", "Conv1D", "FalconLinear")  # a subclass of another name may do more than multiply
_EXPERT_PARTS = ("gate_proj", "up_proj", "down_proj", "w1", "w2", "w3")


def base_of(layer: Any) -> Any:
    """A layer below its adapters."""
    return getattr(layer, "base_layer", layer)


def is_plain_linear(layer: Any) -> bool:
    """Whether a layer, with or without adapters, is x Wᵀ + b and nothing else, whatever format W is kept in."""
    base = base_of(layer)
    return isinstance(base, torch.nn.Linear | Conv1D) and type(base).__name__ in _PLAIN


def features(layer: Any) -> tuple[int, int]:
    """Inputs and outputs of a plain linear layer."""
    if isinstance(layer, Conv1D):
        return int(layer.weight.shape[0]), int(layer.weight.shape[1])
    return layer.in_features, layer.out_features


def lora_targets(model: Any, *, experts: bool = False) -> list[str]:
    """The paths of the layers that a new adapter goes on, in the model's order.

    Args:
        model: A transformers causal language model.
        experts: Also the routed experts, where these are layers of their own.

    Raises:
        ModelTrouble: the experts are asked for and lie stacked in one weight, or there is no layer to adapt.
    """
    if experts and (stacked := stacked_experts(model)):
        hint = "Train without its experts: attention and the layers that every token goes through."
        raise ModelTrouble(f"The experts of a {model.config.model_type} model cannot be adapted one by one.", hint, stacked[0])
    head, family = model.get_output_embeddings(), model.config.model_type
    paths = [
        path
        for path, layer in layers_of(model)
        if layer is not head and is_plain_linear(layer) and is_dense(path, family, experts=experts)
    ]
    if not paths:
        hint = "Chat with it, or choose another model to train."
        raise ModelTrouble(f"A {model.config.model_type} model has no layer that an adapter could go on.", hint)
    return paths


def stacked_experts(model: Any) -> list[str]:
    """Weights that hold all experts of a layer, (experts, out, in) or (experts, in, out)."""
    count = expert_count(model.config.get_text_config().to_dict())
    weights = ((name, weight) for name, weight in model.named_parameters() if weight.ndim == 3)
    return [name for name, weight in weights if len(weight) == count or "experts" in name.split(".")]


def layers_of(model: Any) -> Iterable[tuple[str, Any]]:
    """A model's modules by path, without what lies inside a layer that has adapters."""
    inside = "\0"
    for path, layer in model.named_modules():
        if path.startswith(inside):
            continue
        if hasattr(layer, "base_layer"):
            inside = f"{path}."
        yield path, layer


def peft_targets(
    model: Any, paths: Collection[str], rename: Callable[[str], str] = str, *, everything: Iterable[str] = ()
) -> dict[str, list[str] | None]:
    """What a PEFT configuration says so that PEFT adapts these layers and no others.

    PEFT takes each module whose path ends with a target's name. In a mixture of experts it reads "gate_proj" and its like as the
    stacked experts, even where shared experts or dense layers have layers of that name; as parameters of such a layer
    ("shared_expert.gate_proj.weight") they are taken for what they are, and the file's tensors have the same names.

    Args:
        model: Where they are.
        paths: The adapted layers.
        rename: From our path to the one in the model that the file is for.
        everything: Paths of that model, if it has more than ours.
    """
    named = {rename(path) for path in paths}
    others = ({rename(path) for path, _ in layers_of(model)} | set(everything)) - named
    endings = {end for path in others for end in _endings(path)}
    targets = {next(end for end in _endings(path) if end not in endings or end == path) for path in named}
    parts = {name for name in targets if name.rpartition(".")[2] in _EXPERT_PARTS and stacked_experts(model)}
    return {
        "target_modules": sorted(targets - parts),
        "target_parameters": sorted(f"{name}.weight" for name in parts) or None,
    }


def _endings(path: str) -> list[str]:
    """From the last name alone to the whole path."""
    parts = path.split(".")
    return [".".join(parts[at:]) for at in range(len(parts) - 1, -1, -1)]
