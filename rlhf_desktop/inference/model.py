"""Load a frozen base model, and know how its turns end."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, AutoModelForCausalLM, AutoTokenizer

from rlhf_desktop.core.errors import ModelTrouble, NoSpace
from rlhf_desktop.core.messages import Message
from rlhf_desktop.core.modelfiles import check_model
from rlhf_desktop.core.recipes import Dtype, Quantization
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.inference.attention import use_rows
from rlhf_desktop.inference.chat_text import render, thinking_of, writes_end
from rlhf_desktop.inference.device import allow_tf32, fast_dtype, find_device, free_cache, is_dead, is_out_of_memory, make_current
from rlhf_desktop.inference.multimodal import KEY_MAPPING, LanguagePart, language_part
from rlhf_desktop.inference.packed import pack
from rlhf_desktop.inference.progress import Tell, weights_watched
from rlhf_desktop.inference.quantized import loading_options, treat_as_plain

END_OF_TURN = ("<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>", "<|end_of_turn|>", "<turn|>", "<|return|>")
"""Tokens that end an assistant's turn in the chat formats in use; a model may list only its end of text as `eos`."""

PADDING = ("<|endoftext|>", "<pad>", "<|pad|>", "[PAD]", "<|finetune_right_pad_id|>")
"""Preferred tokens for padding, when they do not also end a turn."""


@dataclass(frozen=True)
class BaseModel:
    """One frozen base model in memory.

    `pad_id` is never one of `end_ids`: a model trained with its end-of-turn token masked as padding never learns to stop.
    `end_ids[0]` is the token a trainer puts after an answer.
    """

    model: Any  # a transformers causal language model
    tokenizer: Any  # a transformers tokenizer
    device: torch.device
    dtype: torch.dtype
    pad_id: int
    end_ids: tuple[int, ...]
    hash: str
    note: str = ""  # what the user should know of how it was loaded
    part: LanguagePart | None = None  # where `model` is the language part of one that also sees or hears


def load_base(
    ref: ModelRef,
    *,
    dtype: Dtype = "auto",
    device: str | torch.device | None = None,
    quantization: Quantization = "none",
    on_share: Tell | None = None,
) -> BaseModel:
    """Load a transformers folder with safetensors weights: offline, without running any code of the folder.

    Args:
        ref: The model in the library.
        dtype: "auto" takes `fast_dtype`.
        device: Defaults to the one the environment names, else the card with the most free memory, else the CPU.
        quantization: "4bit" for `inference.quantized`.
        on_share: Told the share of the weights that is loaded.

    Raises:
        ModelTrouble: the folder is missing, has no weights, is damaged, or its architecture is unknown; or bitsandbytes is missing.
        NoSpace: the model does not fit in memory.
        NotFound: the device that was chosen is not there.
    """
    folder = Path(ref.path)
    _check_folder(folder, ref.name)
    check_model(folder)
    where = find_device(None if device is None else str(device))
    make_current(where)
    kind = fast_dtype(where) if dtype == "auto" else getattr(torch, dtype)
    tokenizer = load_tokenizer(folder, ref.name)
    # A template that misbehaves is better met now than in a run.
    hello = render(tokenizer, [Message(role="user", content="Hello")])
    with weights_watched(on_share):
        (model, part), note = _load_weights(ref, kind, where, quantization), ""
    if kind == torch.float16 and not _is_finite(model, tokenizer(hello, add_special_tokens=False).input_ids, where):
        del model
        free_cache()
        kind, note = torch.float32, f"“{ref.name}” computes in float32 here: its numbers are too large for float16."
        model, part = _load_weights(ref, kind, where, quantization)
    allow_tf32(where, kind)
    pack(model)
    use_rows(model)
    end_ids = find_end_ids(tokenizer, model.generation_config)
    pad_id = find_pad_id(tokenizer, end_ids)
    model.config.pad_token_id = model.generation_config.pad_token_id = pad_id
    return BaseModel(model, tokenizer, where, kind, pad_id, end_ids, ref.hash, note, part)


def _load_weights(
    ref: ModelRef, dtype: torch.dtype, device: torch.device, quantization: Quantization
) -> tuple[Any, LanguagePart | None]:
    """The frozen model where it will stay, and what part of a whole it is; raises as `load_base` does."""
    options = loading_options(dtype, device) if quantization == "4bit" else {}
    try:
        with quiet_transformers():
            part = language_part(Path(ref.path))
            alone = {"config": part.config, "key_mapping": KEY_MAPPING} if part else {}
            model, loaded = (part.family if part else AutoModelForCausalLM).from_pretrained(
                ref.path, dtype=dtype, attn_implementation=_attention(ref.path, part), use_safetensors=True, local_files_only=True,
                trust_remote_code=False, token=False, output_loading_info=True, **alone, **options,
            )  # fmt: skip
            _check_whole(ref.name, loaded)
            if options:
                treat_as_plain(model)
            else:
                model = model.to(device)
    except Exception as problem:  # transformers raises many kinds for a damaged or unknown model
        if is_out_of_memory(problem):
            hint = "Close other programs or choose a smaller model."
            raise NoSpace(f"“{ref.name}” does not fit in memory.", hint, str(problem)) from None
        if is_dead(problem):
            raise
        raise problem if isinstance(problem, ModelTrouble) else _load_trouble(ref.name, problem) from problem
    return model.eval().requires_grad_(False), part


@torch.inference_mode()
def _is_finite(model: Any, ids: list[int], device: torch.device) -> bool:
    """Whether a first prompt gives numbers: a model trained in bfloat16 may go beyond what float16 can say (65,504)."""
    logits = model(input_ids=torch.tensor([ids], device=device), use_cache=False).logits
    return bool(logits.isfinite().all())


def _attention(folder: str, part: LanguagePart | None) -> str:
    """What to ask transformers for: where a family has no fused attention (a soft cap, sinks, ALiBi, none at all), its own."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False, token=False)
    return attention_of(part.family if part else MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None))


def attention_of(family: Any) -> str:
    """As above, of a model's class."""
    return "sdpa" if getattr(family, "_supports_sdpa", True) else "eager"


def load_tokenizer(folder: Path, name: str) -> Any:
    """The folder's tokenizer, offline and without running its code.

    Raises:
        ModelTrouble: there is none, or it is damaged.
    """
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False, token=False)
    except Exception as problem:  # as above: many kinds
        if "trust_remote_code" in str(problem):
            hint = "Choose a model whose tokenizer needs no code of its own: this program never runs code that comes with a model."
            raise ModelTrouble(f"The tokenizer of “{name}” would run code of its own.", hint, str(problem)) from problem
        hint = "Its tokenizer.json or tokenizer_config.json is missing or damaged: copy the whole model folder again."
        raise ModelTrouble(f"The tokenizer of “{name}” cannot be read.", hint, str(problem)) from problem


def find_end_ids(tokenizer: Any, generation_config: Any = None) -> tuple[int, ...]:
    """Tokens that end an answer, the one the chat template writes first. What ends a thought is none of them."""
    vocabulary = tokenizer.get_vocab()
    template = str(tokenizer.chat_template or "")
    listed = getattr(generation_config, "eos_token_id", None)
    found = [vocabulary[t] for t in END_OF_TURN if t in vocabulary and t in template]
    found += [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    found += listed if isinstance(listed, list) else [] if listed is None else [listed]
    if not template:
        return tuple(dict.fromkeys(found))
    names = {str(tokenizer.convert_ids_to_tokens(token)): token for token in found}
    names.pop(thinking_of(tokenizer).tags.close, None)
    _, written = writes_end(tokenizer, list(names))
    return tuple(dict.fromkeys([*([names[written]] if written else []), *names.values()]))


def find_pad_id(tokenizer: Any, end_ids: tuple[int, ...]) -> int:
    """A token for padding that ends no turn: a known one, the tokenizer's own, unknown, any other special token, else 0.

    Never a new token, so the embeddings keep their size. Padding is masked everywhere, so which token it is changes nothing else.
    """
    vocabulary = tokenizer.get_vocab()
    candidates = [vocabulary.get(t) for t in PADDING] + [tokenizer.pad_token_id, getattr(tokenizer, "unk_token_id", None)]
    for token in [*candidates, *tokenizer.all_special_ids, *range(len(end_ids) + 1)]:
        if token is not None and token not in end_ids:
            return int(token)
    raise AssertionError("one of n + 1 tokens is not among n")


class quiet_transformers:  # noqa: N801 - used like a function
    """No progress bars and advice from transformers while a block runs; the messages of errors are kept."""

    def __enter__(self) -> None:
        from transformers.utils import logging as hf_logging

        self._bars = hf_logging.is_progress_bar_enabled()
        self._level = hf_logging.get_verbosity()
        hf_logging.disable_progress_bar()
        hf_logging.set_verbosity(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        from transformers.utils import logging as hf_logging

        hf_logging.set_verbosity(self._level)
        if self._bars:
            hf_logging.enable_progress_bar()


def _check_folder(folder: Path, name: str) -> None:
    if not folder.is_dir():
        raise ModelTrouble(
            f"The folder of the model “{name}” is gone.", f"Put it back at {folder}, or remove the model and add it again."
        )
    if not (folder / "config.json").is_file():
        raise ModelTrouble(
            f"“{name}” is not a model folder: it has no config.json.", "Choose the folder that holds config.json and *.safetensors."
        )
    if not any(folder.glob("*.safetensors")):
        hint = "Copy the *.safetensors files into the folder. Other weight files (.bin, .pt) can run code and are not loaded."
        raise ModelTrouble(f"“{name}” has no weights.", hint)


def _check_whole(name: str, loaded: Any) -> None:
    """Weights a file lacks would be random numbers: a model that answers nonsense without saying why."""
    wrong = [*loaded["missing_keys"], *loaded["mismatched_keys"]]
    if wrong:
        hint = "The files are probably mixed up: copy the folder again."
        raise ModelTrouble(f"The weights of “{name}” do not belong to its config.json.", hint, f"missing or misshapen: {wrong[:5]}")


def _load_trouble(name: str, problem: Exception) -> ModelTrouble:
    text = str(problem)
    if "does not recognize this architecture" in text or "Unrecognized" in text or "trust_remote_code" in text:
        hint = "Use a model that the installed transformers supports without running code from the folder."
        return ModelTrouble(f"The architecture of “{name}” is not known to this program.", hint, text)
    if isinstance(problem, OSError | SafetensorError):
        hint = "The files are probably cut short or mixed up: copy the folder again."
        return ModelTrouble(f"The weights of “{name}” cannot be read.", hint, text)
    hint = "Its files may well be sound. Choose another model, or report this with the details."
    return ModelTrouble(f"“{name}” cannot be loaded: the code for its family stops with {type(problem).__name__}.", hint, text)
