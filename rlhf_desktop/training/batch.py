"""Prompts with their answers as one row of tokens: a prompt that K answers share is computed once.

A row is [prompt][answer 1][answer 2]… Each answer sees the prompt and itself (a 4-D attention mask) and counts its positions
from the prompt's end, so its log-probabilities are those of [prompt][answer] alone. The state before an answer's first token is
the prompt's last. Rows are padded to the longest of the batch; padding is never read: every result is gathered at answer
positions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Group:
    """Token ids of a prompt and of the answers to it (each with its end-of-turn, when it has ended)."""

    prompt: list[int]
    answers: list[list[int]]

    @property
    def tokens(self) -> int:
        """Length of the row."""
        return len(self.prompt) + sum(len(answer) for answer in self.answers)


@dataclass(frozen=True)
class TreeBatch:
    """B rows of T tokens with C answers of N tokens in all."""

    input_ids: Tensor  # (B, T)
    position_ids: Tensor  # (B, T)
    mask: Tensor  # (B, 1, T, T) true where a query may look
    before: Tensor  # (N,) index into the flattened (B·T) of the state that predicts each answer token
    targets: Tensor  # (N,) the answer tokens
    owner: Tensor  # (N,) which of the C answers
    last: Tensor  # (C,) index into (B·T) of each answer's last token
    lengths: list[int]  # C


def collate(groups: Sequence[Group], pad_id: int, device: torch.device | str = "cpu") -> TreeBatch:
    """Lay groups out as rows. Answers are numbered in order: group by group, answer by answer."""
    rows, width = len(groups), max(group.tokens for group in groups)
    ids = torch.full((rows, width), pad_id)
    positions = torch.zeros((rows, width), dtype=torch.long)
    segment = torch.full((rows, width), -1)  # -1 padding, 0 prompt, 1… answers
    before: list[int] = []
    targets: list[int] = []
    owner: list[int] = []
    last: list[int] = []
    lengths: list[int] = []
    for r, group in enumerate(groups):
        start = len(group.prompt)
        ids[r, :start] = torch.tensor(group.prompt)
        positions[r, :start] = torch.arange(start)
        segment[r, :start] = 0
        for k, answer in enumerate(group.answers, start=1):
            n = len(answer)
            ids[r, start : start + n] = torch.tensor(answer)
            positions[r, start : start + n] = torch.arange(len(group.prompt), len(group.prompt) + n)
            segment[r, start : start + n] = k
            flat = r * width + start
            before += [r * width + len(group.prompt) - 1, *range(flat, flat + n - 1)]
            targets += answer
            owner += [len(lengths)] * n
            last.append(flat + n - 1)
            lengths.append(n)
            start += n
    return TreeBatch(
        input_ids=ids.to(device),
        position_ids=positions.to(device),
        mask=_tree_mask(segment).to(device),
        before=torch.tensor(before, device=device),
        targets=torch.tensor(targets, device=device),
        owner=torch.tensor(owner, device=device),
        last=torch.tensor(last, device=device),
        lengths=lengths,
    )


def _tree_mask(segment: Tensor) -> Tensor:
    """(B, T) segments → (B, 1, T, T): earlier tokens of the prompt or the same answer. Padding sees itself: no row is empty."""
    width = segment.shape[1]
    causal = torch.ones(width, width, dtype=torch.bool).tril()
    same = segment.unsqueeze(2) == segment.unsqueeze(1)
    prompt = (segment == 0).unsqueeze(1) & (segment >= 0).unsqueeze(2)
    return ((same | prompt) & causal).unsqueeze(1)


def micro_batches(groups: Sequence[Group], max_tokens: int) -> Iterator[list[int]]:
    """Indices of groups in micro-batches whose padded size stays within a token budget; alike lengths together, longest first.

    Longest first, so that a run that does not fit in memory says so at its first step. A group over the budget goes alone.
    """
    order = sorted(range(len(groups)), key=lambda i: -groups[i].tokens)
    batch: list[int] = []
    for i in order:
        if batch and groups[batch[0]].tokens * (len(batch) + 1) > max_tokens:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
