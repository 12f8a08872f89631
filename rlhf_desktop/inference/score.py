"""How likely given answers are."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

Pair = tuple[list[int], list[int]]  # ids of a prompt and of its answer

MAX_TOKENS = 4096
"""Tokens of a batch by default, padding included."""


@torch.inference_mode()
def token_logprobs(
    model: Any, pairs: Sequence[Pair], *, pad_id: int, temperature: float = 1.0, max_tokens: int = MAX_TOKENS
) -> list[torch.Tensor]:
    """The natural log-probability of each answer token given what stands before it, one float32 tensor on the CPU a pair.

    Prompts are padded on the left and answers on the right, so the answers of a batch stand in the same columns and only those
    go through the vocabulary head.
    """
    out: list[torch.Tensor] = [torch.empty(0)] * len(pairs)
    for picks in _batches(pairs, max_tokens):
        rows = _batch_logprobs(model, [pairs[i] for i in picks], pad_id, temperature)
        for i, row in zip(picks, rows, strict=True):
            out[i] = row[: len(pairs[i][1])].cpu()
    return out


def _batches(pairs: Sequence[Pair], max_tokens: int) -> Iterator[list[int]]:
    """Indices of pairs, alike lengths together, at most `max_tokens` with padding (a longer pair goes alone)."""
    batch: list[int] = []
    for i in sorted(range(len(pairs)), key=lambda i: (-len(pairs[i][0]) - len(pairs[i][1]), i)):
        grown = [pairs[j] for j in [*batch, i]]
        width = max(len(prompt) for prompt, _ in grown) + max(len(answer) for _, answer in grown)
        if batch and width * len(grown) > max_tokens:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _batch_logprobs(model: Any, pairs: Sequence[Pair], pad_id: int, temperature: float) -> torch.Tensor:
    """(B, T) log-probabilities; columns beyond an answer's length mean nothing."""
    before = max(len(prompt) for prompt, _ in pairs)  # P
    after = max(len(answer) for _, answer in pairs)  # T
    device = next(model.parameters()).device
    ids = torch.full((len(pairs), before + after), pad_id)
    mask = torch.zeros_like(ids)
    for row, (prompt, answer) in enumerate(pairs):
        ids[row, before - len(prompt) : before + len(answer)] = torch.tensor(prompt + answer)
        mask[row, before - len(prompt) : before + len(answer)] = 1
    ids, mask = ids.to(device), mask.to(device)
    out = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=(mask.cumsum(1) - 1).clamp(min=0),
        logits_to_keep=torch.arange(before - 1, before + after - 1, device=device),  # each column predicts the next
        use_cache=False,
    )
    targets = ids[:, before:, None]  # (B, T, 1)
    logprobs: torch.Tensor = (out.logits.float() / temperature).log_softmax(-1).gather(2, targets)[..., 0]
    return logprobs
