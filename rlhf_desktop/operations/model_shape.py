"""How large a model is, from what its folder says of it: nothing is loaded.

From a model's shape follow the bytes it takes once loaded, those of an adapter on it, and those of each token in a training pass.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.modelfiles import read_tensors
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.core.trunk import Trunk, expert_count, shared_width, text_config, trunk_of
from rlhf_desktop.core.weightnames import is_apart, is_dense, is_of_words

SOFTWARE_BYTES = int(0.45 * 1024**3)  # of a process that has imported torch and transformers
FOUR_BIT_BYTES = 0.52  # a weight in NF4 with its share of the scales
_NUMBER_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class ModelShape:
    """What a model's folder says of its size. `parameters` is the number of weights; tied embeddings count once."""

    trunk: Trunk
    vocabulary: int
    parameters: int
    linear_parameters: int  # of them in the linear layers and the head; experts are stacked, and neither packed nor quantised
    adapted: int  # inputs and outputs of all layers that adapters go on

    def adapter_parameters(self, rank: int) -> int:
        """Of a new LoRA adapter."""
        return rank * self.adapted

    def loaded_bytes(self, number_bytes: int, device: str, *, quantized: bool = False) -> int:
        """Bytes once loaded; on a CPU with those of the process, which are in the same memory."""
        weights = self.parameters * number_bytes
        if quantized:  # but the head
            weights -= int((self.linear_parameters - self.vocabulary * self.trunk.hidden) * (number_bytes - FOUR_BIT_BYTES))
        if device != "cpu":
            return weights
        packed = number_bytes == 2 and not quantized  # the linear layers a second time, laid out for the processor
        return SOFTWARE_BYTES + weights + packed * self.linear_parameters * number_bytes


def model_shape(base: ModelRef) -> ModelShape:
    """The shape of a transformers folder, without loading it.

    Raises:
        ModelTrouble: config.json is missing or does not describe a language model like Llama.
    """
    try:
        config = text_config(json.loads((Path(base.path) / "config.json").read_bytes()))
        trunk, vocabulary = trunk_of(config), int(config.get("vocab_size") or 0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as problem:
        hint = "Add the model again, or choose another."
        raise ModelTrouble(f"The size of “{base.name}” cannot be read from its folder.", hint, str(problem)) from None
    files = sorted(Path(base.path).glob("*.safetensors"))
    stored = _stored(tuple((file, file.stat().st_mtime_ns) for file in files))
    return _counted(config, trunk, vocabulary, stored) if stored else _computed(config, trunk, vocabulary)


@lru_cache(maxsize=8)  # a mixture's headers list ten thousands of weights, and estimates ask again and again
def _stored(files: tuple[tuple[Path, int], ...]) -> dict[str, tuple[int, ...]]:
    """The shapes of the language part's weights, from the headers of files as they were at a time; none where there are none."""
    return {name: t.shape for file, _ in files for name, t in read_tensors(file).items() if not is_apart(name)}


def _counted(config: Mapping[str, Any], trunk: Trunk, vocabulary: int, stored: Mapping[str, tuple[int, ...]]) -> ModelShape:
    """What the files hold, whatever the family."""
    if config.get("tie_word_embeddings"):
        stored = {name: shape for name, shape in stored.items() if not name.endswith("lm_head.weight")}
    family = str(config.get("model_type", ""))
    weights = {name.removesuffix(".weight"): shape for name, shape in stored.items() if name.endswith(".weight")}
    linear = {path: shape for path, shape in weights.items() if len(shape) == 2 and not _is_stacked(path)}
    adapted = sum(sum(shape) for path, shape in linear.items() if is_dense(path, family))
    counted = sum(map(prod, linear.values())) + vocabulary * trunk.hidden
    return ModelShape(trunk, vocabulary, sum(map(prod, stored.values())), counted, adapted)


def _is_stacked(path: str) -> bool:
    return is_of_words(path) or "experts" in path.split(".")


def _computed(config: Mapping[str, Any], trunk: Trunk, vocabulary: int) -> ModelShape:
    """What a model like Llama has of such sizes."""
    experts = expert_count(config) if trunk.experts else 0
    dense = shared_width(config) if experts else trunk.inner
    layer = sum(ins * outs for ins, outs in _linear(trunk, dense))
    routed = experts * trunk.hidden * (1 + 3 * ((trunk.inner - dense) // max(1, trunk.experts)))
    words = vocabulary * trunk.hidden * (1 if config.get("tie_word_embeddings", False) else 2)
    norms = trunk.hidden * (trunk.norms * trunk.layers + 1) + trunk.heads_normed * 2 * trunk.head_size * trunk.layers
    linear = trunk.layers * layer
    adapted = trunk.layers * sum(ins + outs for ins, outs in _linear(trunk, dense))
    parameters = linear + trunk.layers * routed + words + norms
    return ModelShape(trunk, vocabulary, parameters, linear + vocabulary * trunk.hidden, adapted)


def _linear(trunk: Trunk, dense_inner: int) -> list[tuple[int, int]]:
    """Inputs and outputs of a layer's linear layers: of attention, and of the gates that every token goes through."""
    hidden, gate = trunk.hidden, (trunk.hidden, dense_inner)
    attention = [(hidden, trunk.query_width), (hidden, trunk.key_width), (hidden, trunk.value_width), (trunk.output_width, hidden)]
    return attention + ([gate, gate, gate[::-1]] if dense_inner else [])


def number_bytes(dtype: str) -> int:
    """Bytes of a number of this type."""
    return _NUMBER_BYTES.get(dtype, 4)


def adapter_rank(adapter: AdapterRef | None) -> int:
    """The rank of an adapter on disk; a usual one where it does not say, 0 without one."""
    try:
        return int(json.loads((Path(adapter.path) / "adapter_config.json").read_bytes())["r"]) if adapter else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 16


def scorers(reward: AdapterRef | None) -> int:
    """How many scorers a reward model has."""
    try:
        return len(json.loads((Path(reward.path) / "reward.json").read_bytes())["members"]) if reward else 1
    except (OSError, ValueError, KeyError, TypeError):
        return 1
