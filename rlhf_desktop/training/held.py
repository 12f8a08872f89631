"""What a pass holds until backward, counted by torch itself: for models whose layers `core.trunk` has no arithmetic for."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.modeling_layers import GradientCheckpointingLayer

from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.own_head import trunk_of

WIDTH = 256  # tokens of a row that is tried: recurrent layers work on up to so many at once


class Held(NamedTuple):
    """Bytes that each token of a row holds: of all layers, and where one at a time is computed again."""

    whole: int
    checkpointed: int


def held_bytes(host: AdapterHost, widths: Collection[int], most: int) -> Held:
    """The most that a token holds in rows of these widths: of the narrowest, as chunks are filled up, and of the widest.

    Attention's share in a row wider than what is tried is foreseen from two that are.

    Args:
        host: With the adapters that learn; none is active afterwards.
        widths: Tokens of rows.
        most: Tokens that surely fit.
    """
    host.activate([next(name for name in host.names if any(p.requires_grad for p in host.parameters(name).values()))])
    tried = max(2, min(max(widths), WIDTH, most))
    wide, half = _count(host.model, tried), _count(host.model, tried // 2)
    narrow = _count(host.model, max(2, min(min(widths), tried)))
    host.activate([])
    more = (max(widths) - tried) / (tried - tried // 2)
    return Held(
        max(narrow.whole, round(wide.whole + more * max(0, wide.whole - half.whole))),
        max(narrow.checkpointed, round(wide.checkpointed + more * max(0, wide.checkpointed - half.checkpointed))),
    )


def _count(model: Any, width: int) -> Held:
    ids = torch.arange(width, device=model.device)[None] % model.get_input_embeddings().num_embeddings
    with _counted(model) as kept, torch.enable_grad():
        states = trunk_of(model)(input_ids=ids, use_cache=False).last_hidden_state
    layers = kept.of_layers
    beside = kept.all - sum(layers) + len(layers) * states.nbytes
    again = beside + max(layers) if layers else kept.all
    return Held(-(-kept.all // width), -(-again // width))


class _Kept:
    """Storages saved for backward, each once, without those of the model; and how many bytes of them each layer saved."""

    def __init__(self, model: Any) -> None:
        self._model = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
        self._storages: dict[int, Any] = {}  # held, so that no other takes their place
        self._begun = 0
        self.all = 0
        self.of_layers: list[int] = []

    def keep(self, tensor: Tensor) -> Tensor:
        """What torch asks of such a hook."""
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._model and storage.data_ptr() not in self._storages:
            self._storages[storage.data_ptr()] = storage
            self.all += storage.nbytes()
        return tensor

    def begin_layer(self, *_: Any) -> None:
        """Before a layer."""
        self._begun = self.all

    def end_layer(self, *_: Any) -> None:
        """After it."""
        self.of_layers.append(self.all - self._begun)


@contextmanager
def _counted(model: Any) -> Iterator[_Kept]:
    kept = _Kept(model)
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    hooks = [layer.register_forward_pre_hook(kept.begin_layer) for layer in layers]
    hooks += [layer.register_forward_hook(kept.end_layer) for layer in layers]
    try:
        with torch.autograd.graph.saved_tensors_hooks(kept.keep, lambda tensor: tensor):
            yield kept
    finally:
        for hook in hooks:
            hook.remove()
