"""GGUF files for llama.cpp, LM Studio and Ollama: a whole model in F16 (or 8-bit blocks), or an adapter beside one.

For models of the Llama, Mistral, Qwen2 and Qwen3 kinds with a byte-level BPE tokenizer; others get one clear no. Names and
layouts are llama.cpp's (its convert_hf_to_gguf.py and convert_lora_to_gguf.py): in Llama's attention the rows of the query and key
projections are interleaved, because llama.cpp turns neighbouring pairs where transformers turns halves.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import pi
from pathlib import Path
from typing import Any, Literal

import gguf
import numpy as np
import torch
from torch import Tensor

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.modelfiles import check_model
from rlhf_desktop.inference.adapters import read_adapter
from rlhf_desktop.inference.export import HEAD, Factors, layer_factors, merged_tensors
from rlhf_desktop.inference.model import find_end_ids, find_pad_id, load_tokenizer
from rlhf_desktop.inference.template import exports_bos

_ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
}
_F16_MAX = 65504.0
Numbers = Literal["F32", "F16", "Q8_0"]
_FILE_TYPES = {
    "F32": gguf.LlamaFileType.ALL_F32, "F16": gguf.LlamaFileType.MOSTLY_F16, "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0
}  # fmt: skip
_LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2_SPLIT = _LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")


@dataclass(frozen=True)
class Shape:
    """What the files need to know of a model's configuration."""

    arch: Any  # gguf.MODEL_ARCH
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    config: Mapping[str, Any]

    @classmethod
    def of(cls, base: Path) -> "Shape":
        """Read config.json.

        Raises:
            ModelTrouble: a kind of model that cannot be written.
        """
        config = json.loads((base / "config.json").read_bytes())
        kind = str(config.get("model_type"))
        if kind not in _ARCHITECTURES:
            hint = "Export it merged instead, and convert that with llama.cpp's own convert_hf_to_gguf.py."
            raise ModelTrouble(f"GGUF files are written for Llama, Mistral and Qwen models, not for “{kind}”.", hint)
        heads = int(config["num_attention_heads"])
        dim = int(config.get("head_dim") or config["hidden_size"] // heads)
        kv_heads = int(config.get("num_key_value_heads") or heads)
        return cls(_ARCHITECTURES[kind], int(config["num_hidden_layers"]), heads, kv_heads, dim, config)

    @property
    def names(self) -> Any:
        """From transformers' tensor names to llama.cpp's."""
        return gguf.get_tensor_name_map(self.arch, self.layers)

    def name_of(self, name: str) -> str:
        """llama.cpp's name of a tensor.

        Raises:
            ModelTrouble: it has none.
        """
        found = self.names.get_name(name, try_suffixes=(".weight", ".bias"))
        if found is None:
            hint = "Export it merged instead."
            raise ModelTrouble("This model has a layer that GGUF files have no name for.", hint, name)
        return str(found)

    def turned(self, name: str, tensor: Tensor) -> Tensor:
        """The rows of Llama's query and key projections as llama.cpp wants them; other tensors as they are."""
        if self.arch is not gguf.MODEL_ARCH.LLAMA or not any(part in name for part in (".q_proj.", ".k_proj.")):
            return tensor
        heads = self.heads if ".q_proj." in name else self.kv_heads
        halves = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
        return halves.swapaxes(1, 2).reshape(tensor.shape)


@torch.no_grad()
def export_gguf(base: Path, adapter: Path | None, file: Path, title: str, numbers: Numbers = "F16") -> Any:
    """Write a whole model, with an adapter merged into it where there is one. Returns its tokenizer.

    Args:
        base: The model's folder.
        adapter: The adapter's folder.
        file: What is written.
        title: The model's name in it.
        numbers: How its matrices are held; vectors are F32.

    Raises:
        ModelTrouble: a kind of model or tokenizer that cannot be written.
    """
    check_model(base)
    shape = Shape.of(base)
    tokenizer = load_tokenizer(base, title)
    pre = pre_tokenizer_name(base)
    factors = layer_factors(read_adapter(adapter)) if adapter else {}
    writer = gguf.GGUFWriter(file, gguf.MODEL_ARCH_NAMES[shape.arch])
    writer.add_name(title)
    writer.add_file_type(_FILE_TYPES[numbers])
    _write_shape(writer, shape)
    _write_tokenizer(writer, base, tokenizer, pre, int(shape.config["vocab_size"]))
    for _, tensors in merged_tensors(base, factors):
        for name, tensor in tensors.items():
            if name == HEAD and HEAD not in factors and shape.config.get("tie_word_embeddings"):
                continue
            value, kind = _stored(shape.turned(name, tensor), numbers)
            writer.add_tensor(shape.name_of(name), value, raw_dtype=kind)
    if (freqs := _rope_factors(shape)) is not None:
        writer.add_tensor("rope_freqs.weight", freqs)
    _finish(writer)
    return tokenizer


@torch.no_grad()
def export_gguf_adapter(base: Path, adapter: Path, file: Path, title: str) -> None:
    """Write an adapter as llama.cpp's LoRA file, for the base model's own GGUF file.

    Raises:
        ModelTrouble: a kind of model that cannot be written.
    """
    shape = Shape.of(base)
    files = read_adapter(adapter)
    rank = float(files.config["r"])
    writer = gguf.GGUFWriter(file, gguf.MODEL_ARCH_NAMES[shape.arch])
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, rank)  # the scale is in B: llama.cpp multiplies by alpha / rank of the layer
    writer.add_name(title)
    for name, factors in layer_factors(files).items():
        stored = shape.name_of(name)
        down, up = _lora_factors(shape, name, factors, rank)
        writer.add_tensor(f"{stored}.lora_a", down)
        writer.add_tensor(f"{stored}.lora_b", up)
    _finish(writer)


def _lora_factors(shape: Shape, name: str, factors: Factors, rank: float) -> tuple[np.ndarray, np.ndarray]:
    up = shape.turned(name, factors.up.float() * factors.scale * (factors.down.shape[0] / rank))
    return factors.down.float().contiguous().numpy(), up.contiguous().numpy()


def _stored(tensor: Tensor, numbers: Numbers) -> tuple[np.ndarray, Any]:
    """A tensor's numbers, and gguf's name for their kind where the array does not say it.

    Vectors (norms, biases), and whatever F16 cannot hold, are F32; a matrix whose rows do not divide into blocks of 32 is F16.
    """
    value = tensor.float().contiguous().numpy()
    if value.ndim == 1 or numbers == "F32" or float(np.abs(value).max(initial=0.0)) >= _F16_MAX:
        return value, None
    if numbers == "Q8_0" and value.shape[-1] % 32 == 0:
        return gguf.quants.quantize(value, gguf.GGMLQuantizationType.Q8_0), gguf.GGMLQuantizationType.Q8_0
    return value.astype(np.float16), None


def _finish(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_shape(writer: Any, shape: Shape) -> None:
    config = shape.config
    writer.add_context_length(int(config.get("max_position_embeddings", 4096)))
    writer.add_embedding_length(int(config["hidden_size"]))
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(int(config["intermediate_size"]))
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_layer_norm_rms_eps(float(config.get("rms_norm_eps", 1e-6)))
    writer.add_vocab_size(int(config["vocab_size"]))
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    rope = _rope(config)
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(float(rope["factor"]))
    elif rope["rope_type"] not in ("default", "llama3"):
        hint = "Export it merged instead, and convert that with llama.cpp's own convert_hf_to_gguf.py."
        raise ModelTrouble(
            f"This model's way of reading long texts (“{rope['rope_type']}”) cannot be written into a GGUF file.", hint
        )


def _rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """The rotary settings, from where newer or older configurations keep them."""
    found = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    theta = found.get("rope_theta") or config.get("rope_theta") or 10000.0
    return {**found, "rope_theta": theta, "rope_type": found.get("rope_type") or found.get("type") or "default"}


def _rope_factors(shape: Shape) -> np.ndarray | None:
    """Llama 3's stretching of slow rotations, as the divisor of each frequency (head_dim / 2,)."""
    rope = _rope(shape.config)
    if rope["rope_type"] != "llama3":
        return None
    low, high = float(rope.get("low_freq_factor", 1.0)), float(rope.get("high_freq_factor", 4.0))
    factor, old = float(rope.get("factor", 8.0)), float(rope.get("original_max_position_embeddings", 8192))
    freqs = 1.0 / (float(rope["rope_theta"]) ** (np.arange(0, shape.head_dim, 2) / shape.head_dim))
    lengths = 2 * pi / freqs
    smooth = (old / lengths - low) / (high - low)
    between = 1.0 / ((1.0 - smooth) / factor + smooth)
    divisors = np.where(lengths < old / high, 1.0, np.where(lengths > old / low, factor, between))
    return divisors.astype(np.float32)


# --- the tokenizer ------------------------------------------------------------------------------------------------------------


def pre_tokenizer_name(base: Path) -> str:
    """llama.cpp's name for how a tokenizer cuts a text before merging.

    Raises:
        ModelTrouble: not byte-level BPE, or cut in a way that llama.cpp has no name for.
    """
    file = base / "tokenizer.json"
    content = json.loads(file.read_bytes()) if file.is_file() else {}
    if content.get("model", {}).get("type") == "BPE" and not content["model"].get("byte_fallback"):
        cuts = _cuts(content.get("pre_tokenizer") or {})
        kinds = [cut["type"] for cut in cuts]
        patterns = [str(cut.get("pattern", {}).get("Regex", "")) for cut in cuts if cut["type"] == "Split"]
        if kinds == ["ByteLevel"] and cuts[0].get("use_regex", True):
            return "gpt-2"
        if kinds == ["Digits", "ByteLevel"] and cuts[0].get("individual_digits"):
            return "smollm"
        if kinds == ["Split", "ByteLevel"] and patterns[0] in (_LLAMA3_SPLIT, _QWEN2_SPLIT):
            return "llama-bpe" if patterns[0] == _LLAMA3_SPLIT else "qwen2"
    hint = "Export it merged instead, and convert that with llama.cpp's own convert_hf_to_gguf.py."
    raise ModelTrouble("This model's tokenizer is of a kind that cannot be written into a GGUF file here.", hint)


def _cuts(pre: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(pre["pretokenizers"]) if pre.get("type") == "Sequence" else [pre] if pre else []


def _write_tokenizer(writer: Any, base: Path, tokenizer: Any, pre: str, vocab_size: int) -> None:
    content = json.loads((base / "tokenizer.json").read_bytes())
    added = {entry["id"]: entry for entry in content.get("added_tokens", ())}
    by_id = {index: token for token, index in tokenizer.get_vocab().items()}
    tokens, types = [], []
    for index in range(max(vocab_size, max(by_id, default=0) + 1)):
        tokens.append(by_id.get(index, f"[PAD{index}]"))
        types.append(_token_type(index, by_id, added))
    end_ids = find_end_ids(tokenizer)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(list(_merges(content["model"]["merges"])))
    writer.add_eos_token_id(end_ids[0])
    if tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_pad_token_id(find_pad_id(tokenizer, end_ids))
    writer.add_add_bos_token(exports_bos(tokenizer))
    if tokenizer.chat_template:
        writer.add_chat_template(str(tokenizer.chat_template))


def _token_type(index: int, by_id: Mapping[int, str], added: Mapping[int, Mapping[str, Any]]) -> Any:
    if index not in by_id:
        return gguf.TokenType.UNUSED
    if index in added:
        return gguf.TokenType.CONTROL if added[index].get("special") else gguf.TokenType.USER_DEFINED
    return gguf.TokenType.NORMAL


def _merges(merges: Iterable[Any]) -> Iterable[str]:
    """Each merge as one text; newer tokenizer files keep pairs."""
    for merge in merges:
        yield merge if isinstance(merge, str) else " ".join(merge)
