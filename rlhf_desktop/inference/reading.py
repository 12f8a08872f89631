"""Rows of tokens that a model has read and goes on reading: one forward for the prompts, then one for each token.

How many prompts share a forward depends on the family. Where attention is all that joins tokens, prompts of different lengths do,
padded on the left. A convolution or a recurrent state may run through the padding; then prompts of one length go together. And a
few families keep their past in a way of their own, which only transformers' `generate` knows. Which it is, is tried out once a
model on random tokens, against a plain pass over each row alone.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import LinearAttentionCacheLayerMixin

from rlhf_desktop.inference.decoding import Decoder, has_plain_cache, new_cache
from rlhf_desktop.inference.device import raise_if_of_device, send

Manner = Literal["mixed", "alike", "own"]  # prompts of any lengths together; of one length; as the family's own `generate` does it


class Reading:
    """Rows on their way. B rows are alive; `positions` says where the next token of each stands.

    Args:
        model: A causal language model.
        decoder: Its written-out step, where it has one.
        prompts: Token ids of P prompts.
        repeats: (P,) how many rows go on from each.
        pad_id: Fills short prompts; masked.
    """

    def __init__(self, model: Any, decoder: Decoder | None, prompts: Sequence[list[int]], repeats: Tensor, pad_id: int) -> None:
        self.model, self.decoder = model, decoder
        self.device = next(model.parameters()).device
        longest = max(map(len, prompts))
        self._ids = torch.tensor([[pad_id] * (longest - len(p)) + p for p in prompts])  # (P, L)
        self._attention = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
        self._padded = any(len(p) < longest for p in prompts)
        self._rows = torch.arange(len(prompts)).repeat_interleave(repeats)  # (B,): whose cache a row gets
        self.mask = send(self._attention[self._rows], self.device) if self._padded else None  # (B, L)
        self.positions = send(self._attention.sum(1)[self._rows], self.device)  # (B,)
        self.cache = new_cache(model, self.device)

    def begin(self) -> Tensor:
        """Read each prompt once, then give each of its rows a copy. Returns logits, (B, V)."""
        there = send(self._attention, self.device)
        last = torch.tensor([self._ids.shape[1] - 1])
        out = self.model(
            input_ids=send(self._ids, self.device),
            attention_mask=there if self._padded else None,
            position_ids=(there.cumsum(1) - 1).clamp(min=0),
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=send(last, self.device),  # an index: a slice would copy the head's weights a row
        )
        logits: Tensor = out.logits[:, -1]
        if len(self._rows) == len(self._ids):
            return logits
        rows = send(self._rows, self.device)
        _select(self.cache, rows)
        return logits[rows]

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows alone."""
        self.positions = self.positions[rows]
        self.mask = None if self.mask is None else self.mask[rows]
        _select(self.cache, rows)

    def step(self, tokens: Tensor) -> Tensor:
        """One more token for each row, (B,). Returns logits, (B, V)."""
        if self.mask is not None:
            self.mask = torch.cat([self.mask, self.mask.new_ones(len(tokens), 1)], dim=1)
        positions, self.positions = self.positions, self.positions + 1
        if self.decoder is not None:
            return self.decoder(tokens, positions, self.cache, self.mask)
        out = self.model(
            input_ids=tokens[:, None],
            attention_mask=self.mask,
            position_ids=positions[:, None],
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = out.logits[:, -1]
        return logits


def _select(cache: DynamicCache, rows: Tensor) -> None:
    """Make row b of a cache what row `rows[b]` was."""
    for layer in cache.layers:
        if isinstance(layer, LinearAttentionCacheLayerMixin):  # they have no other way
            layer.device = rows.device
            layer.reorder_cache(rows)
        else:
            layer.batch_select_indices(rows)


def manner(model: Any) -> Manner:
    """How prompts are read together. Asked of each model once."""
    if not hasattr(model, "known_manner"):
        model.known_manner = "mixed" if has_plain_cache(model) else _try_out(model)
    return model.known_manner  # type: ignore[no-any-return]


@torch.inference_mode()
def _try_out(model: Any) -> Manner:
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(model.get_input_embeddings().num_embeddings, (3, 9), generator=generator).tolist()
    tried: tuple[tuple[Manner, int], ...] = (("mixed", 4), ("alike", 7))
    for found, second in tried:
        prompts, nexts = [words[0][:7], words[1][:second]], words[2][:3]
        try:
            if _reads_right(model, prompts, nexts):
                return found
        except Exception as problem:  # many kinds: what a cache is not made for
            raise_if_of_device(problem)
    return "own"


def _reads_right(model: Any, prompts: list[list[int]], nexts: list[int]) -> bool:
    """Whether two rows of the first prompt and one of the second are read on as each alone would be."""
    reading = Reading(model, None, prompts, torch.tensor([2, 1]), pad_id=0)
    tokens = torch.tensor(nexts, device=reading.device)
    reading.begin()
    reading.step(tokens)
    reading.keep(torch.tensor([1, 2], device=reading.device))
    ours = reading.step(tokens[:2])
    rows = [[*prompts[0], nexts[1], nexts[0]], [*prompts[1], nexts[2], nexts[1]]]
    theirs = torch.cat([model(input_ids=torch.tensor([row], device=reading.device), use_cache=False).logits[:, -1] for row in rows])
    off = (ours.float().log_softmax(-1) - theirs.float().log_softmax(-1)).abs()
    if model.get_input_embeddings().weight.dtype == torch.float32:
        return bool(off.max() < 1e-3)
    return bool(off.median() < 0.25)  # kernels round differently, and a mixture's router with them
