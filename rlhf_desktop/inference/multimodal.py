"""The language part of models that also see or hear: loaded, chatted with and trained alone.

Their towers stay on disk. For text, the part alone computes what the whole does: positions in three directions (Qwen-VL's) are one
where there are no pictures, and pictures' tokens looking at each other (Gemma 3's) never happens.

Adapters are named as in the whole model, so that PEFT loads them on the original checkpoint ("model.language_model.layers.0.…");
files with the names of the part alone are read too. A merged export is the whole checkpoint, towers included.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

from rlhf_desktop.core.modelfiles import read_tensors
from rlhf_desktop.core.weightnames import is_apart

_INSIDE = "model.language_model."  # where the whole keeps the layers
_WHOLE = {
    **dict.fromkeys(
        ("gemma3", "gemma3n", "gemma4", "gemma4_unified", "internvl", "lfm2_vl", "llava", "llava_next", "llava_onevision",
         "mistral3", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5", "qwen3_5_moe"),
        _INSIDE,
    ),
    "idefics3": "model.text_model.",
    "llama4": "language_model.model.",
    "smolvlm": "model.text_model.",
}  # fmt: skip
_SAME = {"qwen2_vl_text": "qwen2", "qwen2_5_vl_text": "qwen2", "qwen3_vl_text": "qwen3"}  # without a class for text of their own
_SCALES = ("final_logit_softcapping", "lm_head_multiplier", "logit_scale", "logits_scaling")
_SCALING = ("gemma3n", "gemma4", "gemma4_unified")  # do so as their part does; other wholes drop it, and say other numbers
KEY_MAPPING = {  # from all the ways of writing a checkpoint to the part alone
    r"^model\.(language|text)_model\.": "model.",
    r"^language_model\.model\.": "model.",
    r"^language_model\.lm_head\.": "lm_head.",
}


@dataclass(frozen=True)
class LanguagePart:
    """How the language part of a folder is loaded, and what its layers are called in the whole model."""

    family: Any  # a class of transformers
    config: Any
    inside: str  # stands in the whole for "model." in the part
    towers: frozenset[str]  # paths of what is not loaded

    def outer(self, path: str) -> str:
        """A layer's path in the whole model."""
        if path.startswith("model."):
            return self.inside + path.removeprefix("model.")
        return self.inside.removesuffix("model.") + path if self.inside.endswith(".model.") else path


def language_part(folder: Path) -> LanguagePart | None:
    """How to load the language part alone; None for a model of text, or one whose part cannot be loaded alone."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False, token=False)
    inside = _WHOLE.get(config.model_type)
    if inside is None:
        return None
    text = _text_config(config)
    family = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(text), None)
    if family is None or (
        config.model_type not in _SCALING and any(getattr(text, name, None) not in (None, 1) for name in _SCALES)
    ):
        return None
    stored = [name for file in sorted(folder.glob("*.safetensors")) for name in read_tensors(file)]
    head = any(name.endswith("lm_head.weight") for name in stored)
    text.tie_word_embeddings = bool(config.tie_word_embeddings) if head else True
    return LanguagePart(family, text, inside, frozenset(_paths(stored)))


def _paths(stored: Iterable[str]) -> Iterable[str]:
    """Of every layer that sees or hears, and of all that it lies in."""
    for name in stored:
        parts = name.split(".") if is_apart(name) else []
        yield from (".".join(parts[:end]) for end in range(1, len(parts)))


def _text_config(config: Any) -> Any:
    text = config.get_text_config(decoder=True)
    kind = _SAME.get(text.model_type)
    if kind is None:
        return text
    said = {key: value for key, value in text.to_dict().items() if key not in ("model_type", "rope_scaling", "architectures")}
    rope = {key: value for key, value in (text.rope_parameters or {}).items() if not key.startswith("mrope") and key != "type"}
    if rope.get("rope_type") == "mrope":
        rope["rope_type"] = "default"
    return AutoConfig.for_model(kind, **{**said, "rope_parameters": rope})
