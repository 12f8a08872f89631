"""How likely given answers are."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from rlhf_desktop.core.passes import HEAD_CHUNK_TOKENS
from rlhf_desktop.inference.device import fits, free_cache

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

    Prompts are padded on the left and answers on the right. Only answer tokens go through the vocabulary head, a few at a time.
    Where memory runs out, half as many tokens are tried; `on_smaller` is told how many.
    """
    out: list[Tensor] = [torch.empty(0)] * len(pairs)
    waiting = deque(_batches(pairs, range(len(pairs)), max_tokens))

    def work() -> None:
        for i, row in zip(picks, _batch_logprobs(model, [pairs[i] for i in picks], pad_id, temperature), strict=True):
            out[i] = row

    while waiting:
        picks = waiting.popleft()
        if fits(work, divisible=len(picks) > 1):
            continue
        free_cache()
        max_tokens = _places([pairs[i] for i in picks]) // 2
        waiting = deque(_batches(pairs, [i for rest in (picks, *waiting) for i in rest], max_tokens))
        if on_smaller is not None:
            on_smaller(max_tokens)
    return out


def _batches(pairs: Sequence[Pair], picks: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
    """Indices of pairs, alike lengths together, at most `max_tokens` with padding (a longer pair goes alone)."""
    batch: list[int] = []
    for i in sorted(picks, key=lambda i: (-len(pairs[i][0]) - len(pairs[i][1]), i)):
        if batch and _places([pairs[j] for j in [*batch, i]]) > max_tokens:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _places(pairs: Sequence[Pair]) -> int:
    """Tokens of a batch with its padding."""
    return len(pairs) * (max(len(prompt) for prompt, _ in pairs) + max(len(answer) for _, answer in pairs))


def _batch_logprobs(model: Any, pairs: Sequence[Pair], pad_id: int, temperature: float) -> list[Tensor]:
    """Log-probabilities of each pair's answer tokens, on the CPU."""
    before = max(len(prompt) for prompt, _ in pairs)  # P
    after = max(len(answer) for _, answer in pairs)  # T
    device = next(model.parameters()).device
    ids = torch.full((len(pairs), before + after), pad_id)
    mask = torch.zeros_like(ids)
    for row, (prompt, answer) in enumerate(pairs):
        ids[row, before - len(prompt) : before + len(answer)] = torch.tensor(prompt + answer)
        mask[row, before - len(prompt) : before + len(answer)] = 1
    real = mask[:, before:].bool().to(device)  # (B, T)
    ids, mask = ids.to(device), mask.to(device)
    inputs = {"input_ids": ids, "attention_mask": mask, "position_ids": (mask.cumsum(1) - 1).clamp(min=0), "use_cache": False}
    predicts = slice(before - 1, before + after - 1)  # each column predicts the next
    if is_plain_head(model):
        states = model.base_model(**inputs).last_hidden_state[:, predicts][real]  # (N, H)
        head = model.get_output_embeddings()
    else:  # the model does something of its own to the logits, so it makes them all
        columns = torch.arange(before - 1, before + after - 1, device=device)
        states, head = model(**inputs, logits_to_keep=columns).logits[real], torch.nn.Identity()  # (N, V)
    logprobs = _logprobs(states, head, ids[:, before:][real], temperature)
    return list(torch.split(logprobs, [len(answer) for _, answer in pairs]))


def _logprobs(states: Tensor, head: Any, targets: Tensor, temperature: float) -> Tensor:
    """(N,) log-probabilities on the CPU of `targets` (N,), from what the head makes logits of."""
    out = torch.empty(len(states), device=states.device)
    for at in range(0, len(states), HEAD_CHUNK_TOKENS):
        rows = slice(at, at + HEAD_CHUNK_TOKENS)
        logits = head(states[rows]).float() / temperature  # (n, V)
        out[rows] = logits.gather(1, targets[rows, None])[:, 0] - logits.logsumexp(-1)
    return out.cpu()


_plain_heads: "WeakKeyDictionary[Any, bool]" = WeakKeyDictionary()


def is_plain_head(model: Any) -> bool:
    """Whether logits are the head on the trunk's last states and nothing else: no soft cap, no scale. Asked of each model once."""
    if model not in _plain_heads:
        ids = torch.arange(1, 5, device=next(model.parameters()).device)[None]  # not 0: a padding token's state may be 0 throughout
        states = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        ours, theirs = model.get_output_embeddings()(states), model(input_ids=ids, use_cache=False).logits
        _plain_heads[model] = torch.equal(ours, theirs)
    return _plain_heads[model]
