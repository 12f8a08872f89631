"""Rankings as tensors: each ranking is one batch element, all its pairs together."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlhf_desktop.feedback.snapshot import RankedAnswers, Split
from rlhf_desktop.inference.model import BaseModel
from rlhf_desktop.inference.template import encode_pair
from rlhf_desktop.training.batch import Group


@dataclass(frozen=True)
class RankedGroup:
    """A prompt with its ranked answers, and which pairs of them were won or tied (indices into the answers)."""

    group: Group
    wins: list[tuple[int, int]]  # (better, worse)
    ties: list[tuple[int, int]]


def encode_rankings(base: BaseModel, rows: Sequence[RankedAnswers], split: Split, max_length: int) -> list[RankedGroup]:
    """Token ids and pairs of the rankings in one half of the split. Answers get their end-of-turn token."""
    return [_encode(base, row, max_length) for row in rows if row.split == split]


def _encode(base: BaseModel, row: RankedAnswers, max_length: int) -> RankedGroup:
    encoded = [encode_pair(base.tokenizer, row.prompt, c.text, max_length, end_id=base.end_ids[0]) for c in row.completions]
    prompt = min((prompt for prompt, _ in encoded), key=len)  # the longest answer decides how many old turns stay
    ranks = [c.rank for c in row.completions]
    indices = range(len(ranks))
    wins = [(i, j) for i in indices for j in indices if ranks[i] < ranks[j]]
    ties = [(i, j) for i in indices for j in indices if i < j and ranks[i] == ranks[j]]
    return RankedGroup(Group(prompt, [answer for _, answer in encoded]), wins, ties)


def pair_tensor(items: Sequence[RankedGroup], *, with_ties: bool) -> tuple[Tensor, Tensor]:
    """Pairs (P, 2) numbered over the answers of all groups in order, and which of them are ties (P,)."""
    pairs, tied, at = [], [], 0
    for item in items:
        ties = item.ties if with_ties else []
        pairs += [(at + i, at + j) for i, j in (*item.wins, *ties)]
        tied += [False] * len(item.wins) + [True] * len(ties)
        at += len(item.group.answers)
    return torch.tensor(pairs, dtype=torch.long).reshape(-1, 2), torch.tensor(tied, dtype=torch.bool)


def margin_metrics(margins: Tensor, count: int, prefix: str = "") -> dict[str, float]:
    """Mean margin and share of pairs in the right order (a margin of 0 counts half), as parts of a mean over `count` pairs."""
    right = (margins > 0).float() + (margins == 0).float() / 2
    return {f"{prefix}rewards/margins": float(margins.sum()) / count, f"{prefix}rewards/accuracies": float(right.sum()) / count}
