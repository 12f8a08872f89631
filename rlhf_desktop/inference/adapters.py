"""One frozen base, many LoRA adapters: load, add, activate, and export a stack as one standard PEFT adapter.

PEFT injects its layers into the base in place, so the base model itself stays the thing to call. Two departures from PEFT's
defaults, both measured: adapters compute in the base's dtype (the optimiser keeps float32 copies), and their forward is the two
matrix products and nothing else (no dropout, casts or checks), which matters on a CPU where the products are small.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from peft.tuners.lora.layer import Linear as LoraLinear
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from rlhf_desktop.core.adapterfiles import check_adapter
from rlhf_desktop.core.errors import ModelTrouble, NotFound
from rlhf_desktop.core.files import fsync_dir, write_json
from rlhf_desktop.inference.model import BaseModel
from rlhf_desktop.inference.packed import PackedLinear

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
PREFIX = "base_model.model."
Stack = Sequence[tuple[torch.Tensor, torch.Tensor, float]]  # adapters on one layer: lower factor, upper factor, scaling


@dataclass(frozen=True)
class AdapterFiles:
    """An adapter folder's content: its PEFT configuration and its tensors, LoRA factors and others (a head) apart."""

    config: dict[str, Any]
    lora: dict[str, torch.Tensor]  # "base_model.model.….q_proj.lora_A.weight" → (rank, in) or (out, rank)
    other: dict[str, torch.Tensor]


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
        self._peft: PeftModel | None = None
        self.names: list[str] = []

    def load(self, folder: Path, name: str) -> AdapterFiles:
        """Put a saved adapter on the base, frozen. Returns what the folder held, for its other tensors."""
        files = read_adapter(folder)
        config = LoraConfig(
            r=files.config["r"],
            lora_alpha=files.config["lora_alpha"],
            target_modules=files.config["target_modules"],
            rank_pattern=files.config.get("rank_pattern") or {},
            alpha_pattern=files.config.get("alpha_pattern") or {},
            use_rslora=files.config.get("use_rslora", False),
        )
        self._attach(name, config)
        assert self._peft is not None
        outcome = set_peft_model_state_dict(self._peft, dict(files.lora), adapter_name=name)
        if outcome.unexpected_keys:
            raise ModelTrouble(
                f"The adapter in {folder} does not fit this base model.",
                "Switch to the base model it was trained on.",
                f"unexpected: {outcome.unexpected_keys[:3]}",
            )
        self._freeze(name)
        return files

    def add(self, name: str, *, rank: int, alpha: int, seed: int) -> None:
        """Put a new adapter on every linear layer: A random, B zero, so it changes nothing until trained. Made trainable."""
        with torch.random.fork_rng(devices=[]):  # PEFT draws on the CPU; cards have generators of their own
            torch.default_generator.manual_seed(seed)
            self._attach(name, LoraConfig(r=rank, lora_alpha=alpha, target_modules="all-linear", task_type="CAUSAL_LM"))
        for parameter in self.parameters(name).values():
            parameter.requires_grad_(True)

    def _attach(self, name: str, config: LoraConfig) -> None:
        if self._peft is None:
            self._peft = get_peft_model(self.model, config, adapter_name=name, autocast_adapter_dtype=False)
        else:
            self._peft.add_adapter(name, config, autocast_adapter_dtype=False)
        self.names.append(name)
        for module in self._layers():
            module.__class__ = _LeanLoraLinear
        self._freeze(name)

    def _freeze(self, name: str) -> None:
        for parameter in self.parameters(name).values():
            parameter.data = parameter.data.to(self.base.dtype)  # PEFT looks at the layer below, which may hold 4-bit numbers
            parameter.requires_grad_(False)

    def _layers(self) -> list[LoraLinear]:
        return [module for module in self.model.modules() if isinstance(module, LoraLinear)]

    def parameters(self, name: str) -> dict[str, torch.nn.Parameter]:
        """The adapter's factors by the names a PEFT file gives them."""
        return {
            PREFIX + key.replace(f".{name}.", "."): parameter
            for key, parameter in self.model.named_parameters()
            if f".lora_A.{name}." in key or f".lora_B.{name}." in key
        }

    def activate(self, names: Sequence[str]) -> None:
        """Make exactly these adapters take part in the forward pass; [] is the plain base. `requires_grad` is not touched."""
        unknown = set(names) - set(self.names)
        if unknown:
            raise KeyError(f"no adapter {sorted(unknown)} on this base")
        for module in self._layers():
            assert isinstance(module, _LeanLoraLinear)
            module.joined = None
            module.stack = [
                (module.lora_A[name].weight, module.lora_B[name].weight, module.scaling[name])
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
        assert self._peft is not None
        self.activate([])
        self.names.remove(name)
        trainable = {parameter for parameter in self.model.parameters() if parameter.requires_grad}
        self._peft.delete_adapter(name)
        for parameter in self.model.parameters():  # PEFT makes another adapter the active one, and so trainable
            parameter.requires_grad_(parameter in trainable)

    def config(self, name: str) -> dict[str, Any]:
        """The adapter's PEFT configuration as its file holds it."""
        assert self._peft is not None
        config = self._peft.peft_config[name].to_dict()
        config["target_modules"] = sorted(config["target_modules"])
        return {key: sorted(v) if isinstance(v, set) else v for key, v in config.items()}


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

    A layer that one part leaves alone gets zeros there. Computed in float32 on the CPU: a part that was trained may lie on a card,
    one that was read from a file does not.
    """
    if len(parts) == 1:
        return parts[0]
    rank = sum(part.config["r"] for part in parts)
    modules = sorted({key.rsplit(".lora_", 1)[0] for part in parts for key in part.lora})
    lora: dict[str, torch.Tensor] = {}
    for module in modules:
        key_a, key_b = f"{module}.lora_A.weight", f"{module}.lora_B.weight"
        size_in = next(part.lora[key_a].shape[1] for part in parts if key_a in part.lora)
        size_out = next(part.lora[key_b].shape[0] for part in parts if key_b in part.lora)
        down, up = [], []
        for part in parts:
            r = part.config["r"]
            down.append(part.lora[key_a].cpu().float() if key_a in part.lora else torch.zeros(r, size_in))
            up.append(_scaling(part.config) * part.lora[key_b].cpu().float() if key_b in part.lora else torch.zeros(size_out, r))
        lora[key_a], lora[key_b] = torch.cat(down), torch.cat(up, dim=1)
    targets = sorted({name for part in parts for name in part.config["target_modules"]})
    config = {**parts[-1].config, "r": rank, "lora_alpha": rank, "target_modules": targets, "use_rslora": False}
    return AdapterFiles(config, lora, {})


def _scaling(config: dict[str, Any]) -> float:
    if config.get("rank_pattern") or config.get("alpha_pattern"):
        raise ModelTrouble("This adapter has a different rank in each layer.", "Start from an adapter with one rank throughout.")
    return float(config["lora_alpha"] / (config["r"] ** 0.5 if config.get("use_rslora") else config["r"]))


def write_adapter(folder: Path, files: AdapterFiles) -> None:
    """Write a standard PEFT adapter into an existing folder (the caller renames the folder into place)."""
    tensors = {key: tensor.detach().float().contiguous().cpu() for key, tensor in {**files.lora, **files.other}.items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    write_json(folder / CONFIG, {**files.config, "inference_mode": True})
    fsync_dir(folder)
