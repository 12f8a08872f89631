"""An adapter, or a base model with it, as files that other programs read: PEFT, transformers.

Merging works from the full weights, a file at a time, in float32, and keeps float32: cast back to 16 bits, most of what training
changed would be lost. W' = W + (alpha / rank) · B·A for every adapted layer; everything else is copied as it is.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.files import write_json
from rlhf_desktop.core.modelfiles import check_model, read_tensors
from rlhf_desktop.core.rewardfiles import HEADS, REWARD
from rlhf_desktop.core.sealing import is_sealed
from rlhf_desktop.core.weightnames import stored_names
from rlhf_desktop.inference.adapters import AdapterFiles, adapted_paths, read_adapter, scaling_of, write_adapter

_COPIED = ("generation_config.json", "tokenizer*", "special_tokens_map.json", "vocab.json", "merges.txt", "added_tokens.json",
           "chat_template*", "preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json", "LICENSE*",
           "NOTICE*")  # fmt: skip
HEAD = "lm_head.weight"
_EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight")
_TURNED = ("gpt2", "gpt-sw3", "openai-gpt")  # families with layers of (in, out)


@dataclass(frozen=True)
class Factors:
    """One layer's LoRA factors and scale: what it adds to the layer's weight is scale · B·A, transposed where `transposed`."""

    down: Tensor  # A (rank, in)
    up: Tensor  # B (out, rank)
    scale: float
    transposed: bool = False

    def delta(self) -> Tensor:
        """(out, in), or as the layer stores its weight."""
        product = self.scale * (self.up.float() @ self.down.float())
        return product.t() if self.transposed else product


def layer_factors(files: AdapterFiles, *, transposed: bool = False) -> dict[str, Factors]:
    """An adapter's factors by the name of the weight they change ("model.layers.0.self_attn.q_proj.weight").

    Args:
        files: The adapter.
        transposed: Whether its base keeps its layers the other way round, as GPT-2 does.
    """
    found = {}
    for path in adapted_paths(files):
        down, up = files.factors(path)
        found[f"{path}.weight"] = Factors(down, up, scaling_of(files.config, path, len(down)), transposed)
    return found


def export_peft(adapter: Path, base_name: str, target: Path) -> None:
    """The adapter as one standard PEFT folder, naming its base model instead of a path of this computer. Members come along."""
    for file in sorted(adapter.rglob("adapter_config.json")):
        folder = target / file.parent.relative_to(adapter)
        folder.mkdir(parents=True, exist_ok=True)
        files = read_adapter(file.parent)
        write_adapter(folder, AdapterFiles({**files.config, "base_model_name_or_path": base_name}, files.lora, files.other))
        if (file.parent / HEADS).is_file():
            shutil.copyfile(file.parent / HEADS, folder / HEADS)
    for name in (REWARD, "README.md"):
        if (adapter / name).is_file() and not is_sealed(adapter / name):
            shutil.copyfile(adapter / name, target / name)


def merged_tensors(base: Path, factors: Mapping[str, Factors]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """File by file, the base's tensors with the adapter added, in float32. A changed head that was the embeddings gets its own.

    Raises:
        ModelTrouble: the adapter changes a weight that the base's files do not hold under its own name.
    """
    files = sorted(base.glob("*.safetensors"))
    stored = [name for file in files for name in read_tensors(file)]
    places = stored_names(factors, stored)
    changes = {place: factors[name] for name, place in places.items()}
    left = set(factors) - set(places)
    shared = next((name for name in stored if name.endswith(_EMBEDDINGS)), None) if HEAD in left else None
    if left - ({HEAD} if shared else set()):
        hint = "Export the adapter itself (peft) instead."
        raise ModelTrouble(
            "This adapter changes layers that this base model does not store one by one.", hint, str(sorted(left)[:3])
        )
    for file in files:
        tensors = {}
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118 (not a mapping)
                tensor = opened.get_tensor(name)
                value = tensor.float() if tensor.is_floating_point() else tensor
                if name in changes:
                    value = _added(name, value, changes[name])
                tensors[name] = value.contiguous()
                if name == shared:
                    tensors[HEAD] = _added(HEAD, value, factors[HEAD]).contiguous()
        yield file.name, tensors


def _added(name: str, weight: Tensor, factors: Factors) -> Tensor:
    delta = factors.delta()
    if delta.shape != weight.shape:
        hint = "Export it on the base model it was trained on."
        raise ModelTrouble(
            "The adapter does not fit this base model.", hint, f"{name}: {tuple(delta.shape)}, {tuple(weight.shape)}"
        )
    return weight + delta


@torch.no_grad()
def export_merged(base: Path, adapter: Path | None, target: Path, title: str) -> None:
    """The base model with the adapter in its weights, as a transformers folder in float32."""
    check_model(base)
    config = json.loads((base / "config.json").read_bytes())
    turned = config.get("model_type") in _TURNED
    factors = layer_factors(read_adapter(adapter), transposed=turned) if adapter else {}
    places: dict[str, str] = {}
    total = 0
    for name, tensors in merged_tensors(base, factors):
        save_file(tensors, target / name, metadata={"format": "pt"})
        places |= dict.fromkeys(tensors, name)
        total += sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if len(set(places.values())) > 1:
        write_json(target / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": places})
    config.pop("torch_dtype", None)
    config.pop("_name_or_path", None)
    if HEAD in factors:
        config = _untied(config)
    write_json(target / "config.json", {**config, "dtype": "float32"})
    copy_beside(base, target)
    (target / "README.md").write_text(_card(title, adapter), "utf-8", newline="\n")


def _untied(config: dict[str, Any]) -> dict[str, Any]:
    """Of a model whose head is no longer its embeddings."""
    inner = {"text_config": {**config["text_config"], "tie_word_embeddings": False}} if "text_config" in config else {}
    return {**config, **inner, "tie_word_embeddings": False}


def copy_beside(base: Path, target: Path) -> None:
    """The tokenizer, the chat template and the licence of the base model."""
    for pattern in _COPIED:
        for file in base.glob(pattern):
            if file.is_file():
                shutil.copyfile(file, target / file.name)


def _card(title: str, adapter: Path | None) -> str:
    what = "The base model as it is." if adapter is None else "A base model with an adapter merged into its weights, in float32."
    own = adapter / "README.md" if adapter else None
    made = own.read_text("utf-8").split("---\n", 2)[-1] if own and own.is_file() and not is_sealed(own) else ""
    head = f"# {' '.join(title.split())}\n\n{what} Exported by RLHF Desktop. The base model's licence applies to it."
    return f"{head}\n\n{made}".rstrip() + "\n"
