"""How large a model is, from what its folder says of it: nothing is loaded.

From a model's shape follow the bytes it takes once loaded, those of an adapter on it, and those of each token in a training pass.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.passes import activation_bytes
from rlhf_desktop.core.runs import AdapterRef, ModelRef

SOFTWARE_BYTES = int(0.45 * 1024**3)  # of a process that has imported torch and transformers
FOUR_BIT_BYTES = 0.52  # a weight in NF4 with its share of the scales
_NUMBER_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class ModelShape:
    """What a model's config.json says of its size. `parameters` is the number of weights; tied embeddings count once."""

    hidden: int
    layers: int
    heads: int
    key_values: int  # width of keys and values together in one layer's projections, each
    intermediate: int
    vocabulary: int
    parameters: int
    linear_parameters: int  # of them in the linear layers

    def adapter_parameters(self, rank: int) -> int:
        """Of a LoRA adapter on every linear layer of a Llama-like model."""
        ends = 2 * (self.hidden + self.hidden) + 2 * (self.hidden + self.key_values) + 3 * (self.hidden + self.intermediate)
        return rank * ends * self.layers

    def activation_bytes(self, number_bytes: int, *, checkpointing: bool = False) -> int:
        """Bytes a token of a training pass holds until backward."""
        return activation_bytes(
            hidden=self.hidden,
            layers=self.layers,
            key_values=self.key_values,
            intermediate=self.intermediate,
            number_bytes=number_bytes,
            checkpointing=checkpointing,
        )

    def loaded_bytes(self, number_bytes: int, device: str, *, quantized: bool = False) -> int:
        """Bytes once loaded; on a CPU with those of the process, which are in the same memory."""
        weights = self.parameters * number_bytes
        if quantized:
            weights -= int(self.linear_parameters * (number_bytes - FOUR_BIT_BYTES))
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
        config = json.loads((Path(base.path) / "config.json").read_bytes())
        config = config.get("text_config", config)
        hidden, heads, layers = config["hidden_size"], config["num_attention_heads"], config["num_hidden_layers"]
    except (OSError, ValueError, KeyError, AttributeError) as problem:
        hint = "Add the model again, or choose another."
        raise ModelTrouble(f"The size of “{base.name}” cannot be read from its folder.", hint, str(problem)) from None
    head = config.get("head_dim") or hidden // heads
    key_values = head * (config.get("num_key_value_heads") or heads)
    intermediate, vocabulary = config.get("intermediate_size") or 4 * hidden, config["vocab_size"]
    layer = 2 * hidden * hidden + 2 * hidden * key_values + 3 * hidden * intermediate
    words = vocabulary * hidden * (1 if config.get("tie_word_embeddings", False) else 2)
    norms = hidden * (2 * layers + 1)
    return ModelShape(
        hidden,
        layers,
        heads,
        key_values,
        intermediate,
        vocabulary,
        layers * layer + words + norms,
        layers * layer + vocabulary * hidden,
    )


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
