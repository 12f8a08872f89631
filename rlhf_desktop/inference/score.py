"""How likely given answers are."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from rlhf_desktop.core.passes import HEAD_CHUNK_TOKENS
from rlhf_desktop.inference.device import fits, free_cache
from rlhf_desktop.inference.own_head import own_logits, trunk_of
from rlhf_desktop.inference.reach import alike, begin_rows

Pair = tuple[list[int], list[int]]  # ids of a prompt and of its answer

MAX_TOKENS = 4096
"""Tokens of a batch by default, padding included."""


@torch.inference_mode()
def token_logprobs(
    model: Any,
    pairs: Sequence[Pair],
    *,
    pad_id: int,
    temperature: float = 1.0,
    max_tokens: int = MAX_TOKENS,
    on_smaller: Callable[[int], None] | None = None,
) -> list[Tensor]:
    """The natural log-probability of each answer token given what stands before it, one float32 tensor on the CPU a pair.

    Rows are filled up at the right, where nothing that is causal sees it. Only answer tokens go through the head, a few at a time.
    Where memory runs out, half as many tokens are tried; `on_smaller` is told how many.
    """
    out: list[Tensor] = [torch.empty(0)] * len(pairs)
    waiting = deque(_batches(model, pairs, range(len(pairs)), max_tokens))

    def work() -> None:
        for i, row in zip(picks, _batch_logprobs(model, [pairs[i] for i in picks], pad_id, temperature), strict=True):
            out[i] = row

    while waiting:
        picks = waiting.popleft()
        if fits(work, divisible=len(picks) > 1):
            continue
        free_cache()
        max_tokens = _places([pairs[i] for i in picks]) // 2
        waiting = deque(_batches(model, pairs, [i for rest in (picks, *waiting) for i in rest], max_tokens))
        if on_smaller is not None:
            on_smaller(max_tokens)
    return out


def _batches(model: Any, pairs: Sequence[Pair], picks: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
    """Indices of pairs, alike lengths together, at most `max_tokens` with padding (a longer pair goes alone)."""
    lengths = {i: len(pairs[i][0]) + len(pairs[i][1]) for i in picks}
    for part in alike(model, list(lengths.values())):
        batch: list[int] = []
        for i in sorted((picks[j] for j in part), key=lambda i: (-lengths[i], i)):
            if batch and (len(batch) + 1) * lengths[batch[0]] > max_tokens:
                yield batch
                batch = []
            batch.append(i)
        if batch:
            yield batch


def _places(pairs: Sequence[Pair]) -> int:
    """Tokens of a batch with its padding."""
    return len(pairs) * max(len(prompt) + len(answer) for prompt, answer in pairs)


def _batch_logprobs(model: Any, pairs: Sequence[Pair], pad_id: int, temperature: float) -> list[Tensor]:
    """Log-probabilities of each pair's answer tokens, on the CPU."""
    rows = [prompt + answer for prompt, answer in pairs]
    width = max(map(len, rows))
    device = next(model.parameters()).device
    ids = torch.tensor([row + [pad_id] * (width - len(row)) for row in rows])
    begin_rows(model)
    states = trunk_of(model)(input_ids=ids.to(device), use_cache=False).last_hidden_state  # (B, W, H)
    places = [torch.arange(len(prompt), len(prompt) + len(answer)) + row * width for row, (prompt, answer) in enumerate(pairs)]
    own = torch.cat(places)  # (N,) of each answer token among the B·W
    before = states.flatten(0, 1)[(own - 1).to(device)]
    logprobs = _logprobs(model, before, ids.flatten()[own].to(device), temperature)
    return list(torch.split(logprobs, [len(answer) for _, answer in pairs]))


def _logprobs(model: Any, before: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """(N,) log-probabilities on the CPU of `targets` (N,), from the states before them (N, H)."""
    out = torch.empty(len(before), device=before.device)
    for at in range(0, len(before), HEAD_CHUNK_TOKENS):
        rows = slice(at, at + HEAD_CHUNK_TOKENS)
        logits = own_logits(model, before[rows]).float() / temperature  # (n, V)
        out[rows] = logits.gather(1, targets[rows, None])[:, 0] - logits.logsumexp(-1)
    return out.cpu()
