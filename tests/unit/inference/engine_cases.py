"""An adapter and questions that every engine is tested with."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from rlhf_desktop.core.files import sha256_file
from rlhf_desktop.core.runs import AdapterRef, GgufFile, ModelRef
from tests.hostile import make_adapter

SHAPES = {
    "self_attn.q_proj": (64, 64), "self_attn.k_proj": (32, 64), "mlp.down_proj": (64, 128), "mlp.gate_proj": (128, 64)
}  # fmt: skip
PROMPTS = [[1, 40, 77, 130, 9, 200, 301], [1, 5, 61, 90, 300], [1, 40, 77, 12]]


def random_adapter(folder: Path, base: ModelRef, *, alpha: float = 12, seed: int = 3) -> AdapterRef:
    """Random factors of rank 4 on four kinds of the tiny model's layers; they change its answers."""
    folder = make_adapter(folder)
    chance = np.random.default_rng(seed)
    factors = {}
    for layer in range(2):
        for module, (out, into) in SHAPES.items():
            name = f"base_model.model.model.layers.{layer}.{module}"
            factors[f"{name}.lora_A.weight"] = chance.normal(0, 0.1, (4, into)).astype(np.float32)
            factors[f"{name}.lora_B.weight"] = chance.normal(0, 0.1, (out, 4)).astype(np.float32)
    save_file(factors, folder / "adapter_model.safetensors")
    config = json.loads((folder / "adapter_config.json").read_text())
    config |= {"r": 4, "lora_alpha": alpha, "target_modules": [name.split(".")[1] for name in SHAPES]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    digest = sha256_file(folder / "adapter_model.safetensors")
    return AdapterRef(name="tuned", path=str(folder), hash=f"{digest}-{alpha}", base_hash=base.hash)


def with_gguf(base: ModelRef, file: Path, numbers: str = "F16") -> ModelRef:
    """The model, answering from a GGUF file."""
    there = file.is_file()
    digest, size = (sha256_file(file), file.stat().st_size) if there else ("", 0)
    return base.model_copy(update={"gguf": GgufFile(path=str(file), sha256=digest, bytes=size, numbers=numbers)})
