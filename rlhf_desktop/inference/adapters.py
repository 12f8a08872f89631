"""One frozen base, many LoRA adapters: load, add, activate, and export a stack as one standard PEFT adapter.

Each adapted layer of the base is wrapped in PEFT's LoRA layer, so the base model itself stays the thing to call. Which layers these
are is said by `inference.targets` for a new adapter, and by the tensors of one that is loaded: PEFT's own matching reads names into
a mixture's experts, and leaves out in silence what it does not find. Two more departures from PEFT's defaults, both measured:
adapters compute in the base's dtype (the optimiser keeps float32 copies), and their forward is the two matrix products and nothing
else (no dropout, casts or checks), which matters on a CPU where the products are small.
"""

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.lora.layer import Linear as LoraLinear
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers.pytorch_utils import Conv1D

from rlhf_desktop.core.adapterfiles import check_adapter
from rlhf_desktop.core.errors import ModelTrouble, NotFound
from rlhf_desktop.core.files import fsync_dir, write_json
from rlhf_desktop.core.weightnames import is_apart, is_read_elsewhere, stored_names
from rlhf_desktop.inference.model import BaseModel
from rlhf_desktop.inference.packed import PackedLinear
from rlhf_desktop.inference.targets import (
    base_of,
    features,
    is_plain_linear,
    layers_of,
    lora_targets,
    peft_targets,
)  # fmt: skip

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
PREFIX = "base_model.model."
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"
_CHOICE_OF_LAYERS = ("layers_to_transform", "layers_pattern", "exclude_modules")  # which the tensors' names have made
Stack = Sequence[tuple[torch.Tensor, torch.Tensor, float]]  # adapters on one layer: lower factor, upper factor, scaling


@dataclass(frozen=True)
class AdapterFiles:
    """An adapter folder's content: its PEFT configuration and its tensors, LoRA factors and others (a head) apart."""

    config: dict[str, Any]
    lora: dict[str, torch.Tensor]  # "base_model.model.….q_proj.lora_A.weight" → (rank, in) or (out, rank)
    other: dict[str, torch.Tensor]

    def factors(self, path: str) -> tuple[torch.Tensor, torch.Tensor]:
        """A layer's lower and upper factor, (rank, in) and (out, rank)."""
        return self.lora[f"{PREFIX}{path}{_DOWN}"], self.lora[f"{PREFIX}{path}{_UP}"]


def read_adapter(folder: Path) -> AdapterFiles:
    """Read a standard LoRA adapter folder; safetensors only.

    Raises:
        NotFound: there is no adapter there.
        ModelTrouble: the files are damaged, hold another kind of adapter, or may not be loaded; says why.
    """
    if not (folder / CONFIG).is_file():
        raise NotFound(f"There is no adapter in {folder}: {CONFIG} is missing.", "Choose a folder that a run or PEFT has saved.")
    config = check_adapter(folder)
    try:
        tensors = {key: tensor.clone() for key, tensor in load_file(folder / WEIGHTS).items()}  # not mapped: others may replace it
    except (ValueError, SafetensorError) as problem:
        hint = "Copy it again, or train it again: the feedback is safe."
        raise ModelTrouble(f"The adapter in {folder} is damaged.", hint, str(problem)) from None
    lora = {key: tensor for key, tensor in tensors.items() if ".lora_" in key}
    return AdapterFiles(config, lora, {key: tensor for key, tensor in tensors.items() if key not in lora})


class AdapterHost:
    """The base model with named adapters on it, any of which can be active together (their outputs add up)."""

    def __init__(self, base: BaseModel) -> None:
        self.base = base
        self.model = base.model
        self.model.requires_grad_(False)
        self.names: list[str] = []
        self._configs: dict[str, LoraConfig] = {}

    def load(self, folder: Path, name: str) -> AdapterFiles:
        """Put a saved adapter on the base, frozen. Returns what the folder held, with its targets named as for this base.

        Raises:
            ModelTrouble: it adapts layers that this base does not have or that cannot be adapted here.
        """
        files = read_adapter(folder)
        places = self._places(folder, files)
        with self._gradients_kept():
            for path, place in places.items():
                down, up = files.factors(path)
                layer = self._put(place, name, _config(len(down), 1.0))
                layer.scaling[name] = scaling_of(files.config, path, len(down))
                layer.lora_A[name].weight.data.copy_(down)
                layer.lora_B[name].weight.data.copy_(up)
        self._settle(name, LoraConfig(r=files.config["r"], lora_alpha=files.config["lora_alpha"], task_type="CAUSAL_LM"))
        return self._renamed(files, places)

    def _places(self, folder: Path, files: AdapterFiles) -> dict[str, str]:
        """For each layer that a file names, its path here. Layers of what is not loaded are left out where they do nothing."""
        layers = dict(layers_of(self.model))
        known = {f"{self._outer(path)}.weight": path for path, layer in layers.items() if is_plain_linear(layer)}
        paths = adapted_paths(files)
        found = stored_names((f"{path}.weight" for path in paths), known)
        places: dict[str, str] = {}
        for path in paths:
            down, up = files.factors(path)
            if is_apart(path) and not up.any():
                continue
            place = known.get(found.get(f"{path}.weight", ""), "")
            if not place or is_read_elsewhere(place):
                hint = "Switch to the base model it was trained on. Adapters of experts, routers and embeddings cannot be loaded."
                reason = f"it changes {path}, which is no plain linear layer of it"
                raise ModelTrouble(f"The adapter in {folder} does not fit this base model: {reason}.", hint)
            if len(down) != up.shape[1] or (down.shape[1], up.shape[0]) != features(base_of(layers[place])):
                hint = "Switch to the base model it was trained on."
                raise ModelTrouble(f"The adapter in {folder} does not fit this base model.", hint, f"other sizes: {path}")
            places[path] = place
        if not places:
            raise ModelTrouble(
                f"The adapter in {folder} changes nothing of this base model.", "Switch to the one it was trained on."
            )
        return places

    def _renamed(self, files: AdapterFiles, places: Mapping[str, str]) -> AdapterFiles:
        """The same adapter with its layers and targets named as this program writes them for this base."""
        lora = {
            f"{PREFIX}{self._outer(place)}{end}": files.lora[f"{PREFIX}{path}{end}"]
            for path, place in places.items()
            for end in (_DOWN, _UP)
        }
        config = {key: value for key, value in files.config.items() if key not in _CHOICE_OF_LAYERS}
        if config.get("alpha_pattern"):
            config["alpha_pattern"] = {self._outer(place): _alpha_of(files.config, path) for path, place in places.items()}
        return AdapterFiles({**config, **self._targets(places.values())}, lora, files.other)

    def _outer(self, path: str) -> str:
        """What a PEFT file calls a layer: of the whole model, where this is a part of one."""
        return self.base.part.outer(path) if self.base.part else path

    def _targets(self, paths: Collection[str]) -> dict[str, list[str] | None]:
        part = self.base.part
        return peft_targets(self.model, paths, self._outer, everything=part.towers if part else ())

    def add(self, name: str, *, rank: int, alpha: int, seed: int, targets: Sequence[str] | None = None) -> None:
        """Put a new adapter on: A random, B zero, so it changes nothing until trained. Made trainable.

        Args:
            name: Of the adapter.
            rank: Of its factors.
            alpha: Its outputs are scaled by alpha / rank.
            seed: Of the random factors.
            targets: The layers' paths; by default `lora_targets`.
        """
        config = _config(rank, alpha)
        paths = lora_targets(self.model) if targets is None else targets
        with torch.random.fork_rng(devices=[]), self._gradients_kept():  # PEFT draws on the CPU; cards have generators of their own
            torch.default_generator.manual_seed(seed)
            for path in paths:
                self._put(path, name, config)
        self._settle(name, config)
        for parameter in self.parameters(name).values():
            parameter.requires_grad_(True)

    def _put(self, path: str, name: str, config: LoraConfig) -> LoraLinear:
        """An adapter's factors on one layer, which is wrapped if it is the first."""
        layer = self.model.get_submodule(path)
        if isinstance(layer, LoraLinear):
            layer.update_layer(name, config.r, lora_alpha=config.lora_alpha, config=config)
            return layer
        wrapped = _LeanLoraLinear(layer, name, config, r=config.r, lora_alpha=config.lora_alpha)
        parent, _, own = path.rpartition(".")
        setattr(self.model.get_submodule(parent), own, wrapped)
        return wrapped

    def _settle(self, name: str, config: LoraConfig) -> None:
        self.names.append(name)
        self._configs[name] = config
        for parameter in self.parameters(name).values():
            parameter.data = parameter.data.to(self.base.dtype)  # PEFT looks at the layer below, which may hold 4-bit numbers
            parameter.requires_grad_(False)

    @contextmanager
    def _gradients_kept(self) -> Iterator[None]:
        """PEFT makes the adapter it thinks active trainable, and others not; here each stays as it was."""
        trainable = {parameter for parameter in self.model.parameters() if parameter.requires_grad}
        yield
        for parameter in self.model.parameters():
            parameter.requires_grad_(parameter in trainable)

    def _layers(self) -> list[LoraLinear]:
        return [module for module in self.model.modules() if isinstance(module, LoraLinear)]

    def _adapted(self, name: str) -> dict[str, LoraLinear]:
        """The layers an adapter is on, by path."""
        layers = {path: module for path, module in self.model.named_modules() if isinstance(module, LoraLinear)}
        return {path: layer for path, layer in layers.items() if name in layer.lora_A}

    def parameters(self, name: str) -> dict[str, torch.nn.Parameter]:
        """The adapter's factors by the names a PEFT file gives them."""
        return {
            f"{PREFIX}{self._outer(path)}{end}": factor[name].weight
            for path, layer in self._adapted(name).items()
            for end, factor in ((_DOWN, layer.lora_A), (_UP, layer.lora_B))
        }

    def activate(self, names: Sequence[str], *, scale: float = 1.0) -> None:
        """Make exactly these adapters take part in the forward pass; [] is the plain base. `requires_grad` is not touched.

        With `scale` all of them count so much more or less than they were trained to: 0 is the plain base, 0.5 half of alpha.
        """
        unknown = set(names) - set(self.names)
        if unknown:
            raise KeyError(f"no adapter {sorted(unknown)} on this base")
        for module in self._layers():
            assert isinstance(module, _LeanLoraLinear)
            module.joined = None
            module.stack = [
                (module.lora_A[name].weight, module.lora_B[name].weight, scale * module.scaling[name])
                for name in names
                if name in module.lora_A
            ]

    @contextmanager
    @torch.no_grad()
    def fused(self, names: Sequence[str]) -> Iterator[None]:
        """Activate a stack with each layer's factors laid side by side: the same sum in fewer products, for sampling.

        Where the base's weights are packed, the lower factors are packed below them, so that one product gives both.
        """
        self.activate(names)
        for module in self._layers():
            assert isinstance(module, _LeanLoraLinear)
            if module.stack:
                down = torch.cat([a for a, _, _ in module.stack])  # (Σ rank, in)
                up = torch.cat([b * scaling for _, b, scaling in module.stack], dim=1)  # (out, Σ rank)
                module.stack = [(down, up, 1.0)]
                if isinstance(module.base_layer, PackedLinear):
                    module.joined = module.base_layer.joined(down)
        try:
            yield
        finally:
            self.activate(names)

    def remove(self, name: str) -> None:
        """Take an adapter off and free its memory."""
        self.activate([])
        self.names.remove(name)
        del self._configs[name]
        with self._gradients_kept(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Adapter .* was active which is now deleted")  # PEFT's choice, not ours
            for layer in self._adapted(name).values():
                layer.delete_adapter(name)

    def config(self, name: str) -> dict[str, Any]:
        """The adapter's PEFT configuration as its file holds it."""
        layers = self._adapted(name)
        said = {key: sorted(v) if isinstance(v, set) else v for key, v in self._configs[name].to_dict().items()}
        turned = any(isinstance(layer.base_layer, Conv1D) for layer in layers.values())
        where = self.model.name_or_path
        return {**said, **self._targets(layers), "fan_in_fan_out": turned, "base_model_name_or_path": where}


def _config(rank: int, alpha: float) -> LoraConfig:
    return LoraConfig(r=rank, lora_alpha=alpha, task_type="CAUSAL_LM")


def adapted_paths(files: AdapterFiles) -> list[str]:
    """The paths of the layers that a file has factors for."""
    return [key.removeprefix(PREFIX).removesuffix(_DOWN) for key in files.lora if key.endswith(_DOWN)]


class _LeanLoraLinear(LoraLinear):  # type: ignore[misc]
    """PEFT's LoRA layer with the forward reduced to y = W x + Σ scaling · B A x over the active stack."""

    stack: Stack = ()
    joined: Callable[[torch.Tensor], torch.Tensor] | None = None  # x → [W x + bias, A x] in one product

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:  # noqa: ARG002
        if self.joined is not None:
            both = self.joined(x).flatten(0, -2)  # (rows, out + rank)
            up = self.stack[0][1]
            return torch.addmm(both[:, : len(up)], both[:, len(up) :], up.t()).view(*x.shape[:-1], len(up))
        y: torch.Tensor = self.base_layer(x)
        for a, b, scaling in self.stack:
            low = torch.nn.functional.linear(x, a)  # (…, rank)
            flat = torch.addmm(y.reshape(-1, y.shape[-1]), low.reshape(-1, low.shape[-1]), b.t(), alpha=scaling)
            y = flat.view(y.shape)
        return y


def active_stack(layer: torch.nn.Module) -> tuple[torch.nn.Module, Stack]:
    """A linear layer below its adapters, and those that take part."""
    return (layer.base_layer, layer.stack) if isinstance(layer, _LeanLoraLinear) else (layer, ())


def concatenate(parts: Sequence[AdapterFiles]) -> AdapterFiles:
    """One adapter that does what the stack does: Σ sᵢBᵢAᵢ = [s₁B₁ … sₙBₙ]·[A₁; …; Aₙ], with scaling 1 (rank = alpha = Σ rankᵢ).

    A layer that one part leaves alone, or adapts with a lower rank than its others, gets zeros there. Computed in float32 on the
    CPU: a part that was trained may lie on a card, one that was read from a file does not.
    """
    if len(parts) == 1:
        return parts[0]
    paths = sorted({path for part in parts for path in adapted_paths(part)})
    stacks = {path: [_scaled(part, path) for part in parts if f"{PREFIX}{path}{_DOWN}" in part.lora] for path in paths}
    rank = max(sum(len(down) for down, _ in stack) for stack in stacks.values())
    lora: dict[str, torch.Tensor] = {}
    for path, stack in stacks.items():
        down, up = torch.cat([a for a, _ in stack]), torch.cat([b for _, b in stack], dim=1)
        short = rank - len(down)
        lora[f"{PREFIX}{path}{_DOWN}"] = torch.nn.functional.pad(down, (0, 0, 0, short))
        lora[f"{PREFIX}{path}{_UP}"] = torch.nn.functional.pad(up, (0, short))
    config = {**parts[-1].config, **_all_targets(parts), "r": rank, "lora_alpha": rank, **_UNIFORM}
    return AdapterFiles(config, lora, {})


_UNIFORM: dict[str, Any] = {"use_rslora": False, "rank_pattern": {}, "alpha_pattern": {}}


def _scaled(part: AdapterFiles, path: str) -> tuple[torch.Tensor, torch.Tensor]:
    """(rank, in) and (out, rank), the scale within the latter."""
    down, up = (factor.cpu().float() for factor in part.factors(path))
    return down, scaling_of(part.config, path, len(down)) * up


def _all_targets(parts: Sequence[AdapterFiles]) -> dict[str, list[str] | None]:
    named = {
        key: {name for part in parts for name in part.config.get(key) or ()} for key in ("target_modules", "target_parameters")
    }
    return {key: sorted(names) or None for key, names in named.items()}


def scaling_of(config: Mapping[str, Any], path: str, rank: int) -> float:
    """What a layer's product of factors is multiplied with, as the adapter's configuration says."""
    return _alpha_of(config, path) / (rank**0.5 if config.get("use_rslora") else rank)


def _alpha_of(config: Mapping[str, Any], path: str) -> float:
    pattern = config.get("alpha_pattern") or {}
    named = (alpha for name, alpha in pattern.items() if path == name or path.endswith(f".{name}"))
    return float(next(named, config["lora_alpha"]))


def write_adapter(folder: Path, files: AdapterFiles) -> None:
    """Write a standard PEFT adapter into an existing folder (the caller renames the folder into place)."""
    tensors = {key: tensor.detach().float().contiguous().cpu() for key, tensor in {**files.lora, **files.other}.items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    write_json(folder / CONFIG, {**files.config, "inference_mode": True})
    fsync_dir(folder)
