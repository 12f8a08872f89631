"""The header of a GGUF file, read with limits on everything before any library gets to see the file.

Layout (version 2 and 3, little-endian): magic, version, tensor count, key count; keys with typed values; tensor descriptions;
padding; data. A reader that believes the counts can be made to allocate or loop for hours.
"""

import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any

from rlhf_desktop.core.errors import ModelTrouble

MAX_KEYS = 10_000
MAX_TENSORS = 100_000
MAX_ARRAY = 4_000_000
MAX_STRING_BYTES = 2**20
MAX_HEADER_BYTES = 256 * 2**20

ARCHITECTURES = frozenset(
    ["llama", "mistral", "qwen2", "qwen2moe", "qwen3", "qwen3moe", "falcon", "bloom", "stablelm", "gpt2", "starcoder2", "nemotron",
     "gemma2", "gemma3", "phi3", "lfm2"]
)  # fmt: skip
"""What transformers reads and turns into a model that chats; the converter has the last word."""

_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_BLOCKS = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40), 10: (256, 84),
           11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74),
           18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2),
           26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17)}  # fmt: skip
"""Of each tensor type: values a block, bytes a block."""


_FILE_TYPES: dict[Any, str] = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 25: "IQ4_NL", 30: "IQ4_XS", 32: "BF16",
}  # fmt: skip
"""What a file calls the way most of its weights are quantised, by llama.cpp's number for it (its enum llama_ftype)."""


@dataclass(frozen=True)
class GgufFacts:
    """What a GGUF file says about itself."""

    architecture: str
    name: str
    licence: str
    parameters: int
    tensors: int
    numbers: str = ""  # how most of its weights are quantised: "F16", "Q8_0", "Q4_K_M"
    stretched: str = ""  # how its positions are scaled for long texts; "" when they are not


class _Damaged(Exception):
    """The reason, as the end of a sentence."""


def check_gguf(file: Path) -> GgufFacts:
    """Read and check the header.

    Raises:
        ModelTrouble: it is no GGUF file, is damaged or cut short, goes beyond the limits, or no known architecture.
    """
    if not file.is_file():  # a pipe by that name would never end
        raise ModelTrouble(f"{file.name} is no ordinary file.", "Choose the file that was downloaded.")
    with file.open("rb") as f:
        if f.read(4) != b"GGUF":
            raise ModelTrouble(f"{file.name} is not a GGUF file, or it is damaged.", "Download it again.")
        try:
            facts = _Header(f, file.stat().st_size).read()
        except (_Damaged, struct.error) as reason:
            why = str(reason) if isinstance(reason, _Damaged) else "it is cut short"
            hint = "Download the file again, from a source you trust; nothing of it was loaded."
            raise ModelTrouble(f"{file.name} cannot be read as a GGUF model: {why}.", hint) from None
    check_architecture(facts.architecture or "nameless", file.name)
    if facts.stretched:  # the reader would leave it out without a word, and the model would answer a little worse
        hint = "Get it as a folder with *.safetensors files instead (“models pull”): from there it is read as it should be."
        raise ModelTrouble(f"{file.name} counts positions in a way that is lost in reading it ({facts.stretched}).", hint)
    return facts


def check_architecture(architecture: str, where: str) -> None:
    """Refuse a kind of model that cannot be read; "" is not known yet.

    Raises:
        ModelTrouble: with the kinds that can.
    """
    if architecture and architecture not in ARCHITECTURES:
        hint = "Choose a Llama, Mistral, Qwen, Gemma, Phi or SmolLM model, or get it as a folder with *.safetensors files."
        raise ModelTrouble(f"{where} holds a “{architecture[:40]}” model, which cannot be read here.", hint)


class _Header:
    def __init__(self, f: IO[bytes], size: int) -> None:
        self._f, self._size = f, size

    def read(self) -> GgufFacts:
        (version,) = self._numbers("I")
        if version not in (2, 3):
            raise _Damaged(f"its version {version} is not known")
        tensors, keys = self._numbers("QQ")
        if tensors > MAX_TENSORS or keys > MAX_KEYS:
            raise _Damaged("it claims to hold more than any model does")
        values = {}
        for _ in range(keys):
            key = self._string()
            values[key] = self._value(*self._numbers("I"))
        names, places, parameters = self._tensors(tensors)
        alignment = values.get("general.alignment", 32)
        if type(alignment) is not int or not 1 <= alignment <= 2**16:
            raise _Damaged("its alignment is out of bounds")
        start = -(-self._f.tell() // alignment) * alignment
        if any(start + offset + length > self._size for offset, length in places):
            raise _Damaged("it is cut short")
        text = {key: str(values.get(f"general.{key}", "")) for key in ("architecture", "name", "license")}
        scaling = str(values.get(f"{text['architecture']}.rope.scaling.type") or "none")[:40]
        stretched = "rope_freqs" if "rope_freqs.weight" in names else "" if scaling == "none" else scaling
        numbers = _FILE_TYPES.get(values.get("general.file_type"), "GGUF")
        return GgufFacts(text["architecture"], text["name"], text["license"], parameters, tensors, numbers, stretched)

    def _numbers(self, form: str) -> tuple[Any, ...]:
        return struct.unpack(f"<{form}", self._f.read(struct.calcsize(f"<{form}")))

    def _string(self) -> str:
        (length,) = self._numbers("Q")
        if length > MAX_STRING_BYTES:
            raise _Damaged("one of its texts is too long")
        raw = self._f.read(length)
        if len(raw) < length or self._f.tell() > MAX_HEADER_BYTES:
            raise _Damaged("it is cut short")
        return raw.decode("utf-8", "replace")

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind in _SCALARS:
            return self._numbers(_SCALARS[kind])[0]
        if kind == _ARRAY:
            self._skip_array()
            return None
        raise _Damaged(f"it has a value of unknown kind {kind}")

    def _skip_array(self) -> None:
        kind, count = self._numbers("IQ")
        if count > MAX_ARRAY or kind == _ARRAY:
            raise _Damaged("one of its lists is too long, or holds lists")
        if kind == _STRING:
            for _ in range(count):
                self._string()
        elif kind in _SCALARS:
            self._f.seek(count * struct.calcsize(_SCALARS[kind]), 1)
        else:
            raise _Damaged(f"it has a list of unknown kind {kind}")

    def _tensors(self, count: int) -> tuple[set[str], list[tuple[int, int]], int]:
        """The tensors' names, offset and bytes of each, and the number of values in all of them."""
        names, places, values = set(), [], 0
        for _ in range(count):
            names.add(self._string())
            (dimensions,) = self._numbers("I")
            if not 1 <= dimensions <= 4:
                raise _Damaged(f"a tensor has {dimensions} dimensions")
            n = prod(self._numbers("Q" * dimensions))
            kind, offset = self._numbers("IQ")
            if kind not in _BLOCKS or n > 2**44:
                raise _Damaged(f"a tensor is of unknown kind {kind} or too large")
            per_block, block_bytes = _BLOCKS[kind]
            places.append((offset, -(-n // per_block) * block_bytes))
            values += n
        return names, places, values
