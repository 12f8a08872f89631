"""llama.cpp's own functions, called where the xllamacpp package brings them.

The package means to be used through its web server. That is left alone: it opens a port from native code, past this program's
guard, and what it streams leaves out the tokens of a character that takes several (most emoji, rarer Chinese characters), so that
an answer could not be continued from exactly its tokens. Its library holds llama.cpp whole, whose functions do what is needed here
without a socket, a thread or a text of their own.

The layout of the two structures that are passed by value is that of one release, so other releases are refused (`trouble`), as is a
release whose defaults are not where they are expected.
"""

import ctypes as c
import platform
import sys
from collections import deque
from collections.abc import Callable
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import Any

import torch

PACKAGE = "xllamacpp"
KNOWN = "2026.10.11549"
"""The release whose structures are described here."""

_LOG = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)
_PROGRESS = c.CFUNCTYPE(c.c_bool, c.c_float, c.c_void_p)
_WARNING, _CONTINUED = 3, 5  # ggml's levels of what it logs; 4 is an error
_F16 = 1  # ggml's number of a type


class ContextParams(c.Structure):
    """llama_context_params."""

    _fields_ = [
        ("n_ctx", c.c_uint32), ("n_batch", c.c_uint32), ("n_ubatch", c.c_uint32), ("n_seq_max", c.c_uint32),
        ("n_rs_seq", c.c_uint32), ("n_outputs_max", c.c_uint32), ("n_outputs_max_per_seq", c.c_uint32),
        ("n_threads", c.c_int32), ("n_threads_batch", c.c_int32), ("kinds", c.c_int32 * 5), ("rope_and_yarn", c.c_float * 8),
        ("cb_eval", c.c_void_p), ("cb_eval_user_data", c.c_void_p), ("type_k", c.c_int32), ("type_v", c.c_int32),
        ("abort_callback", c.c_void_p), ("abort_callback_data", c.c_void_p), ("kept", c.c_void_p),
        ("embeddings", c.c_bool), ("offload_kqv", c.c_bool), ("no_perf", c.c_bool), ("op_offload", c.c_bool),
        ("swa_full", c.c_bool), ("kv_unified", c.c_bool), ("samplers", c.c_void_p), ("n_samplers", c.c_size_t),
        ("other", c.c_void_p),
    ]  # fmt: skip


class ModelParams(c.Structure):
    """llama_model_params."""

    _fields_ = [
        ("devices", c.c_void_p), ("tensor_buft_overrides", c.c_void_p), ("n_gpu_layers", c.c_int32), ("kinds", c.c_int32 * 5),
        ("tensor_split", c.c_void_p), ("progress_callback", _PROGRESS), ("progress_callback_user_data", c.c_void_p),
        ("kv_overrides", c.c_void_p), ("switches", c.c_bool * 8),
    ]  # fmt: skip


class Batch(c.Structure):
    """llama_batch."""

    _fields_ = [
        ("n_tokens", c.c_int32), ("token", c.c_void_p), ("embd", c.c_void_p), ("pos", c.c_void_p), ("n_seq_id", c.c_void_p),
        ("seq_id", c.c_void_p), ("logits", c.c_void_p),
    ]  # fmt: skip


_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "llama_backend_init": (None, []),
    "llama_log_set": (None, [_LOG, c.c_void_p]),
    "llama_model_default_params": (ModelParams, []),
    "llama_context_default_params": (ContextParams, []),
    "llama_model_load_from_file": (c.c_void_p, [c.c_char_p, ModelParams]),
    "llama_model_free": (None, [c.c_void_p]),
    "llama_model_get_vocab": (c.c_void_p, [c.c_void_p]),
    "llama_model_n_ctx_train": (c.c_int32, [c.c_void_p]),
    "llama_model_n_layer": (c.c_int32, [c.c_void_p]),
    "llama_model_n_embd": (c.c_int32, [c.c_void_p]),
    "llama_model_n_head": (c.c_int32, [c.c_void_p]),
    "llama_model_n_head_kv": (c.c_int32, [c.c_void_p]),
    "llama_model_size": (c.c_uint64, [c.c_void_p]),
    "llama_model_is_recurrent": (c.c_bool, [c.c_void_p]),
    "llama_model_is_hybrid": (c.c_bool, [c.c_void_p]),
    "llama_model_meta_val_str": (c.c_int32, [c.c_void_p, c.c_char_p, c.c_char_p, c.c_size_t]),
    "llama_vocab_n_tokens": (c.c_int32, [c.c_void_p]),
    "llama_tokenize": (c.c_int32, [c.c_void_p, c.c_char_p, c.c_int32, c.c_void_p, c.c_int32, c.c_bool, c.c_bool]),
    "llama_init_from_model": (c.c_void_p, [c.c_void_p, ContextParams]),
    "llama_free": (None, [c.c_void_p]),
    "llama_n_ctx": (c.c_uint32, [c.c_void_p]),
    "llama_decode": (c.c_int32, [c.c_void_p, Batch]),
    "llama_get_logits_ith": (c.c_void_p, [c.c_void_p, c.c_int32]),
    "llama_get_memory": (c.c_void_p, [c.c_void_p]),
    "llama_memory_clear": (None, [c.c_void_p, c.c_bool]),
    "llama_memory_seq_rm": (c.c_bool, [c.c_void_p, c.c_int32, c.c_int32, c.c_int32]),
    "llama_memory_seq_cp": (None, [c.c_void_p, c.c_int32, c.c_int32, c.c_int32, c.c_int32]),
    "llama_adapter_lora_init": (c.c_void_p, [c.c_void_p, c.c_char_p]),
    "llama_adapter_lora_free": (None, [c.c_void_p]),
    "llama_set_adapters_lora": (c.c_int32, [c.c_void_p, c.c_void_p, c.c_size_t, c.c_void_p]),
}


class Library:
    """The functions, each by its name, and the last lines that llama.cpp has complained in."""

    def __init__(self, file: Path) -> None:
        found = c.CDLL(str(file))
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(found, name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)
        self.said: deque[str] = deque(maxlen=20)
        self._log = _LOG(self._hear)  # kept: the library keeps no reference
        self.llama_log_set(self._log, None)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AttributeError(name)

    def _hear(self, level: int, text: bytes, _: object) -> None:
        if _WARNING <= level < _CONTINUED:
            self.said.append(text.decode("utf-8", "replace").rstrip())


def progress_callback(on_share: Callable[[float], None] | None) -> Any:
    """A function that llama.cpp tells how much of a model is loaded. The caller keeps it as long as it may be called."""

    def tell(share: float, _: object) -> bool:
        if on_share is not None:
            on_share(min(1.0, max(0.0, share)))
        return True

    return _PROGRESS(tell)


def version() -> str:
    """The installed release of the package; "" where there is none."""
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return ""


@cache
def trouble() -> str:
    """Why this engine cannot be used on this computer, as a sentence; "" where it can."""
    if sys.platform == "win32":
        return "On Windows the xllamacpp package keeps llama.cpp's functions to itself."
    if not (found := version()):
        return "The xllamacpp package is not installed."
    if found != KNOWN:
        return f"xllamacpp {found} is installed, and this program knows {KNOWN}."
    if platform.machine().lower() in ("x86_64", "amd64") and torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        return "This processor lacks AVX2, which llama.cpp's package is built for."
    return _strange(library())


def _strange(found: Library | None) -> str:
    """What is not as this module describes it; "" where everything is."""
    if found is None:
        return f"The library in xllamacpp {KNOWN} cannot be loaded, or lacks a function."
    given = found.llama_context_default_params()
    seen = (given.n_ctx, given.n_batch, given.n_ubatch, given.n_seq_max, given.n_threads, given.type_k, given.type_v)
    as_known = seen == (512, 2048, 512, 1, 4, _F16, _F16) and given.swa_full and not given.kv_unified
    return "" if as_known else f"xllamacpp {KNOWN} is laid out in another way here than it should be."


@cache
def library() -> Library | None:
    """The functions; None where the library is missing, cannot be loaded, or lacks one of them."""
    spec = util.find_spec(PACKAGE)
    places = [] if spec is None else list(spec.submodule_search_locations or [])
    files = [file for place in places for file in Path(place).glob(f"{PACKAGE}*.so")]
    try:
        found = Library(files[0])
    except (IndexError, OSError, AttributeError):
        return None
    found.llama_backend_init()
    return found
