"""The engine that trains as well: a transformers model with adapters on it, answers by `inference.sampler`."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.device import name, uuid
from rlhf_desktop.inference.engines.base import Applied, Held, check_fits
from rlhf_desktop.inference.model import BaseModel
from rlhf_desktop.inference.sampler import SampledAnswer, sample
from rlhf_desktop.inference.score import MAX_TOKENS, Pair, token_logprobs

KEPT_ADAPTERS = 4
"""Adapters kept on the base, the least recently used going first: each costs memory, and little time."""


class TorchEngine:
    """One base model with its adapters.

    Args:
        base: The model in memory.
        base_name: What the user calls it.
    """

    def __init__(self, base: BaseModel, base_name: str) -> None:
        self.host = AdapterHost(base)
        self._name = base_name
        self._adapters: OrderedDict[str, str] = OrderedDict()  # hash → name on the host
        self._tokens_at_once = MAX_TOKENS  # fewer when memory has run out

    @property
    def voice(self) -> BaseModel:
        """The model's tokenizer and end of turn."""
        return self.host.base

    @property
    def held(self) -> Held:
        """Where the model is."""
        base = self.host.base
        return Held(str(base.device), name(base.device), uuid(base.device), str(base.dtype).removeprefix("torch."), base.note)

    @property
    def context_tokens(self) -> int:
        """What the model can read at once."""
        return int(getattr(self.host.model.config.get_text_config(), "max_position_embeddings", 2**17))

    def sample(
        self, *, prompts: Sequence[list[int]], k: int, sampling: Sampling, end_ids: Sequence[int], seed: int,
        applied: Applied | None = None, **told: Any,
    ) -> list[SampledAnswer]:  # fmt: skip
        """Answers; see `Engine.sample`."""
        self._use(applied)
        generator = torch.Generator().manual_seed(seed)
        return sample(
            self.host.model, prompts=prompts, k=k, sampling=sampling, end_ids=end_ids, pad_id=self.host.base.pad_id,
            generator=generator, **told,
        )  # fmt: skip

    def token_logprobs(
        self, pairs: Sequence[Pair], *, applied: Applied | None = None, on_smaller: Callable[[int], None] | None = None
    ) -> list[torch.Tensor]:
        """How likely answers are; see `Engine.token_logprobs`. What was too much at once is not tried again."""
        self._use(applied)

        def shrink(tokens: int) -> None:
            self._tokens_at_once = tokens

        found = token_logprobs(
            self.host.model, pairs, pad_id=self.host.base.pad_id, max_tokens=self._tokens_at_once, on_smaller=shrink
        )
        if self._tokens_at_once < MAX_TOKENS and on_smaller is not None:
            on_smaller(self._tokens_at_once)
        return found

    def memory_bytes(self) -> int:
        """The weights', adapters included; a cache lives no longer than an answer."""
        return sum(weight.numel() * weight.element_size() for weight in self.host.model.parameters())

    def close(self) -> None:
        """Nothing but the memory is held, which goes with the object."""

    # --- adapters -------------------------------------------------------------------------------------------------------------

    def _use(self, applied: Applied | None) -> None:
        """Make the plain base or the base with this adapter what the model computes."""
        if applied is None:
            self.host.activate([])
            return
        adapter = applied.adapter
        if adapter.hash not in self._adapters:
            check_fits(adapter, self.host.base.hash, self._name)
            self._make_room()
            self._adapters[adapter.hash] = self._load(Path(adapter.path), f"adapter-{adapter.hash[:16]}")
        self._adapters.move_to_end(adapter.hash)
        self.host.activate([self._adapters[adapter.hash]], scale=applied.scale)

    def _load(self, folder: Path, called: str) -> str:
        try:
            self.host.load(folder, called)
        except Exception:
            if called in self.host.names:  # half loaded
                self.host.remove(called)
            raise
        return called

    def _make_room(self) -> None:
        while len(self._adapters) >= KEPT_ADAPTERS:
            _, called = self._adapters.popitem(last=False)
            self.host.remove(called)
