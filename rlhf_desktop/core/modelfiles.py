"""What a model or adapter folder may hold. Everything here reads headers and JSON only: no weights, no code, no torch.

Whoever made a folder is not trusted. Refused, each with its reason: weights that can run code (pickle), code of the folder's own
(`auto_map`, unless transformers has the same classes itself), families that cannot be used, headers that are huge or lie about what
follows, configurations that would allocate far more than there is, and patterns that take forever to match. `core.adapterfiles` has
the same for adapters.
"""

import json
import re
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.families import is_native, language_part, verdict
from rlhf_desktop.core.files import canonical_json, sha256_file, sha256_text

MAX_HEADER_BYTES = 16 * 2**20
MAX_TENSORS = 100_000
MAX_JSON_BYTES = 4 * 2**20  # config.json and its kin
MAX_TOKENIZER_BYTES = 128 * 2**20
MAX_TEMPLATE_CHARS = 256 * 1024

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
_BYTES = {"F64": 8, "I64": 8, "U64": 8, "C64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2, "I8": 1,
          "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1}  # fmt: skip
_CONFIG_CAPS = {"hidden_size": 2**17, "intermediate_size": 2**20, "num_hidden_layers": 2048, "vocab_size": 2**22,
                "num_attention_heads": 4096, "num_key_value_heads": 4096, "head_dim": 2**14, "max_position_embeddings": 2**27,
                "num_local_experts": 4096, "num_experts": 4096}  # fmt: skip
_VOICE = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt",
          "tokenizer.model", "chat_template.jinja", "chat_template.json", "generation_config.json")  # fmt: skip
_NESTED_REPEAT = re.compile(r"\((?:[^()\\]|\\.)*[+*](?:[^()\\]|\\.)*\)(?:[+*]|\{\d*,)")
_CODE = ("auto_map", "custom_pipelines", "custom_generate")


@dataclass(frozen=True)
class Tensor:
    """One tensor of a safetensors file, as its header describes it."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def values(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


# --- safetensors --------------------------------------------------------------------------------------------------------------


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file: eight bytes of length, a JSON header, the data, and nothing else.

    Raises:
        ModelTrouble: it is not one, is cut short, or its header is too large or contradicts itself.
    """
    if not file.is_file():  # a pipe by that name would never end
        raise refused(file, "it is no ordinary file")
    size = file.stat().st_size
    with file.open("rb") as f:
        start = f.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if length > MAX_HEADER_BYTES and 8 + length <= size:
            raise refused(file, f"its header is {length:,} bytes long, which no model needs")
        if not 2 <= length <= size - 8 or length > MAX_HEADER_BYTES:
            raise _damaged(file)
        raw = f.read(length)
    try:
        header = json.loads(raw)
        described = {str(key): _described(value) for key, value in header.items() if key != "__metadata__"}
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        raise _damaged(file) from None
    if len(described) > MAX_TENSORS:
        raise refused(file, f"it lists {len(described):,} tensors")
    _check_layout(file, sorted(place for _, place in described.values()), size - 8 - length)
    return {name: tensor for name, (tensor, _) in described.items()}


def _described(entry: Any) -> tuple[Tensor, tuple[int, int]]:
    tensor = Tensor(entry["dtype"], tuple(entry["shape"]))
    begin, end = entry["data_offsets"]
    whole = all(type(n) is int and n >= 0 for n in (*tensor.shape, begin, end))
    if not whole or end - begin != tensor.values * _BYTES[tensor.dtype]:
        raise ValueError
    return tensor, (begin, end)


def _check_layout(file: Path, places: list[tuple[int, int]], data_bytes: int) -> None:
    """Tensors lie one after the other, and the file ends with the last: no overlap, no hole, no second content."""
    at = 0
    for begin, end in places:
        if begin != at:
            raise _damaged(file)
        at = end
    if at > data_bytes:
        raise _damaged(file)
    if at < data_bytes:
        raise refused(file, f"{data_bytes - at:,} bytes follow its last tensor")


# --- models -------------------------------------------------------------------------------------------------------------------


def check_model(folder: Path) -> int:
    """Whether a folder is a model that may be loaded. Returns its number of parameters, from the files' headers.

    Raises:
        ModelTrouble: says what is missing, damaged, or refused, and why.
    """
    config = read_model_config(folder)
    for name in ("tokenizer_config.json", "generation_config.json", "processor_config.json", "preprocessor_config.json"):
        if (folder / name).is_file():
            read_config(folder / name, native=is_native(config))
    files = _weight_files(folder)
    _check_index(folder, files)
    parameters = sum(tensor.values for file in files for tensor in read_tensors(file).values())
    _check_sizes(folder, config, parameters)
    check_tokenizer(folder)
    return parameters


def read_model_config(folder: Path) -> dict[str, Any]:
    """A model's config.json, refused when its family cannot be used here.

    Raises:
        ModelTrouble: missing, damaged, too large, asking for code, or of a family or form that can neither chat nor be taught.
    """
    if not (folder / "config.json").is_file():
        raise ModelTrouble(f"{folder} is not a model folder: it has no config.json.", "Choose the folder that config.json lies in.")
    config = read_config(folder / "config.json")
    found = verdict(config)
    if found.kind == "refused":
        raise ModelTrouble(f"This model cannot be used here. {found.reason}", "Choose a model that chats: an instruct model, say.")
    return config


def read_config(file: Path, *, native: bool = False) -> dict[str, Any]:
    """A JSON object such as config.json, refused when it asks for code of its own.

    Args:
        file: Which.
        native: Whether it belongs to a model that transformers has code for, which then leaves code of the folder alone.

    Raises:
        ModelTrouble: damaged, too large, or asking for code.
    """
    if file.stat().st_size > MAX_JSON_BYTES:
        raise refused(file, "it is too large")
    try:
        config = json.loads(file.read_bytes())
        code = _asks_for_code(config, native)
    except (ValueError, TypeError, RecursionError):
        raise ModelTrouble(f"{file.name} is damaged.", "Copy or download it again.") from None
    if not isinstance(config, dict):
        raise ModelTrouble(f"{file.name} is damaged.", "Copy or download it again.")
    if code:
        hint = "Choose a model that works without code of its own: this program never runs code that comes with a model."
        raise ModelTrouble(f"This model asks to run code of its own ({code} in {file.name}), so it is refused.", hint)
    return config


def _asks_for_code(value: Any, native: bool = False) -> str:
    """The first setting, however deep, that makes transformers or PEFT import something named by the file."""
    if isinstance(value, dict):
        native = native or is_native(value)
        for key, part in value.items():
            harmless = key == "auto_map" and native
            if (key in _CODE and part and not harmless) or (key == "trust_remote_code" and part is True):
                return str(key)
            if key == "auto_mapping" and part and not str(dict(part).get("parent_library")).startswith("transformers."):
                return "auto_mapping"
            if found := _asks_for_code(part):
                return found
    elif isinstance(value, list):
        for part in value:
            if found := _asks_for_code(part):
                return found
    return ""


def _weight_files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.safetensors"))
    if files:
        return files
    if any(file for pattern in PICKLES for file in folder.glob(pattern)):
        hint = "Get the model's *.safetensors files: the .bin and .pt formats can run code and are not loaded."
        raise ModelTrouble(f"The weights in {folder} are in a format that is not safe to load.", hint)
    raise ModelTrouble(f"{folder} has no weights.", "Copy the model's *.safetensors files into the folder, then add it again.")


def _check_index(folder: Path, files: list[Path]) -> None:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return
    places = read_config(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise ModelTrouble(f"{index.name} is damaged.", "Copy or download it again.")
    for name in sorted(set(places.values())):
        if name != Path(name).name or "\\" in name:
            raise refused(index, f"it points outside its folder ({name[:80]})")
        if name not in {file.name for file in files}:
            raise ModelTrouble(f"{folder} is not complete: {name} is missing.", "Copy the whole folder again.")


def _check_sizes(folder: Path, config: dict[str, Any], parameters: int) -> None:
    """A configuration must not promise far more than the weights hold: what is missing would be made up, in memory."""
    inner = language_part(config)
    sizes = {name: _largest(inner.get(name)) for name in _CONFIG_CAPS}
    for name, value in sizes.items():
        if type(value) is not int or not 0 <= value <= _CONFIG_CAPS[name]:
            raise refused(folder / "config.json", f"{name} is {str(value)[:40]}")
    hidden, layers = sizes["hidden_size"], sizes["num_hidden_layers"]
    promised = sizes["vocab_size"] * hidden + layers * (2 * hidden * hidden + 2 * hidden * sizes["intermediate_size"])
    if promised > 4 * parameters + 10**7:
        reason = f"it describes {promised:,} parameters, but the weights hold {parameters:,}"
        raise refused(folder / "config.json", reason)
    if config.get("quantization_config"):
        hint = "Get the model's unquantised files, or a GGUF file, which is converted when it is added."
        raise ModelTrouble("This model is quantised in a form that cannot be loaded or trained here.", hint)


def _largest(size: Any) -> Any:
    """Gemma 3n lists a width for each layer."""
    return max(size) if isinstance(size, list) and size and all(type(one) is int for one in size) else size or 0


def voice_hash(folder: Path) -> str:
    """Of what a model reads and writes by, beside its weights: tokenizer, chat template, ends of turns."""
    return sha256_text(canonical_json({name: sha256_file(folder / name) for name in _VOICE if (folder / name).is_file()}))


def check_tokenizer(folder: Path) -> None:
    """Refuse a tokenizer that is not read here or whose patterns could take forever, and templates of an absurd size.

    Raises:
        ModelTrouble: with the reason.
    """
    file = folder / "tokenizer.json"
    if file.is_file():
        if file.stat().st_size > MAX_TOKENIZER_BYTES:
            raise refused(file, "it is too large")
        try:
            tokenizer = json.loads(file.read_bytes())
        except (ValueError, RecursionError):
            hint = "Copy or download the whole model again."
            raise ModelTrouble(f"The tokenizer in {folder} is damaged (tokenizer.json).", hint) from None
        for part in ("normalizer", "pre_tokenizer", "decoder") if isinstance(tokenizer, dict) else ():
            _check_patterns(file, tokenizer.get(part), 0)
    elif (folder / "tokenizer.model").is_file() and not (folder / "vocab.json").is_file():
        hint = "Get the model's tokenizer.json too (most offer one), or take the model as a GGUF file."
        raise ModelTrouble(f"{folder} has its words only in SentencePiece's own file, which is not read here.", hint)
    for name in ("chat_template.jinja", "chat_template.json"):
        if (folder / name).is_file() and (folder / name).stat().st_size > MAX_TEMPLATE_CHARS:
            raise refused(folder / name, "it is too large")


def has_chat_template(folder: Path) -> bool:
    """Whether a model brings a chat template: one without has never been taught to answer."""
    if any((folder / name).is_file() for name in ("chat_template.jinja", "chat_template.json")):
        return True
    try:
        return bool(json.loads((folder / "tokenizer_config.json").read_bytes()).get("chat_template"))
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def _check_patterns(file: Path, value: Any, depth: int) -> None:
    if isinstance(value, dict):
        pattern = value.get("Regex")
        if isinstance(pattern, str) and could_take_forever(pattern):
            raise refused(file, "one of its patterns could take forever to match")
        for part in value.values():
            _check_patterns(file, part, depth + 1)
    elif isinstance(value, list):
        for part in value:
            _check_patterns(file, part, depth + 1)


def could_take_forever(pattern: str) -> bool:
    """Whether a pattern is long, or repeats what repeats itself: matched against the wrong text such a one never ends."""
    return len(pattern) > 4096 or bool(_NESTED_REPEAT.search(pattern))


def refused(file: Path, reason: str) -> ModelTrouble:
    """The trouble that says why a file is not loaded."""
    return ModelTrouble(f"{file.name} is refused: {reason}.", "Get the model from a source you trust; nothing of it was loaded.")


def _damaged(file: Path) -> ModelTrouble:
    return ModelTrouble(f"{file.name} is damaged or cut short.", "Copy or download the file again.")
