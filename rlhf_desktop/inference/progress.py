"""How far transformers is with a model's weights: it would tell a progress bar, so a listener takes that bar's place."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from transformers import modeling_gguf_pytorch_utils as gguf_reader
from transformers.utils import logging as hf_logging

from rlhf_desktop.core.progress import watched

Tell = Callable[[float], None]


@contextmanager
def weights_watched(tell: Tell | None) -> Iterator[None]:
    """While a block runs, tell the share of a model's weights that is loaded."""
    if tell is None:
        yield
        return

    def bar(factory: Callable[..., Any], args: tuple[Any, ...], more: dict[str, Any]) -> Any:
        is_weights = more.get("desc") == "Loading weights" and args and hasattr(args[0], "__len__")
        return watched(args[0], tell) if is_weights else factory(*args, **more)

    before = hf_logging.set_tqdm_hook(bar)
    try:
        yield
    finally:
        hf_logging.set_tqdm_hook(before)


@contextmanager
def gguf_watched(tell: Tell) -> Iterator[None]:
    """While a block runs, tell the share of a GGUF file's weights that is unpacked."""
    before = gguf_reader.tqdm
    gguf_reader.tqdm = lambda tensors, **_: watched(tensors, tell)
    try:
        yield
    finally:
        gguf_reader.tqdm = before
