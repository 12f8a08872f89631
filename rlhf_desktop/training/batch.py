"""Prompts with their answers as rows of tokens: a prompt that K answers share is computed once, and nothing is padded.

A row is [prompt][answer 1][answer 2]… Each answer sees the prompt and itself (a mask) and counts its positions from the prompt's
end, so its log-probabilities are those of [prompt][answer] alone. The state before an answer's first token is the prompt's last.
The rows of a batch lie end to end in one sequence; only attention puts them side by side (`inference.attention`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlhf_desktop.core.measures import Road
from rlhf_desktop.core.passes import WASTE
from rlhf_desktop.inference.attention import Layout
from rlhf_desktop.inference.device import send


@dataclass(frozen=True)
class Group:
    """Token ids of a prompt and of the answers to it (each with its end-of-turn, when it has ended)."""

    prompt: list[int]
    answers: list[list[int]]

    @property
    def tokens(self) -> int:
        """Length of the row."""
        return len(self.prompt) + sum(len(answer) for answer in self.answers)

    @property
    def widest(self) -> int:
        """Tokens of the prompt with its longest answer."""
        return len(self.prompt) + max(map(len, self.answers), default=0)

    def tokens_on(self, road: Road) -> int:
        """What goes through the model: on the general road the prompt with every answer, padded."""
        return self.tokens if road == "fast" else len(self.answers) * self.widest


def tokens_on(road: Road, groups: Sequence[Group]) -> int:
    """The same of a batch."""
    if road == "fast":
        return sum(group.tokens for group in groups)
    return sum(len(group.answers) for group in groups) * max(group.widest for group in groups)


def apart(groups: Sequence[Group]) -> list[Group]:
    """Every answer with its prompt to itself."""
    return [Group(group.prompt, [answer]) for group in groups for answer in group.answers]


@dataclass(frozen=True)
class TreeBatch:
    """B rows, T tokens in all, with C answers of N tokens in all."""

    input_ids: Tensor  # (1, T)
    position_ids: Tensor  # (1, T)
    layout: Layout  # the B rows side by side
    before: Tensor  # (N,) index into the T of the state that predicts each answer token
    own: Tensor  # (N,) index into the T of each answer token itself
    targets: Tensor  # (N,) the answer tokens
    owner: Tensor  # (N,) which of the C answers
    last: Tensor  # (C,) index into the T of each answer's last token
    lengths: list[int]  # C
    groups: Sequence[Group]  # what was laid out


def collate(groups: Sequence[Group], device: torch.device | str = "cpu") -> TreeBatch:
    """Lay groups out. Answers are numbered in order: group by group, answer by answer."""
    ids: list[int] = []
    positions: list[int] = []
    before: list[int] = []
    own: list[int] = []
    last: list[int] = []
    for group in groups:
        prompt_end = len(ids) + len(group.prompt) - 1
        ids += group.prompt
        positions += range(len(group.prompt))
        for answer in group.answers:
            before += [prompt_end, *range(len(ids), len(ids) + len(answer) - 1)]
            own += range(len(ids), len(ids) + len(answer))
            ids += answer
            positions += range(len(group.prompt), len(group.prompt) + len(answer))
            last.append(len(ids) - 1)
    answers = [answer for group in groups for answer in group.answers]
    lengths = [len(answer) for answer in answers]
    parts = {
        "input_ids": torch.tensor([ids]),
        "position_ids": torch.tensor([positions]),
        "before": torch.tensor(before),
        "own": torch.tensor(own),
        "targets": torch.tensor([token for answer in answers for token in answer]),
        "owner": torch.arange(len(answers)).repeat_interleave(torch.tensor(lengths)),
        "last": torch.tensor(last),
        **_places(groups, positions),
    }
    there = dict(zip(parts, _sent(list(parts.values()), device), strict=True))
    segment, position, slots, source = (there.pop(name) for name in ("segment", "position", "slots", "source"))
    single = all(len(group.answers) <= 1 for group in groups)
    return TreeBatch(layout=Layout(segment, position, slots, source, single), lengths=lengths, groups=groups, **there)


def _sent(parts: Sequence[Tensor], device: torch.device | str) -> Sequence[Tensor]:
    """Whole numbers on a device; to a card they go in one piece, as each piece has its price."""
    if torch.device(device).type == "cpu":
        return parts
    whole = send(torch.cat([part.flatten() for part in parts]), device)
    return [flat.view(part.shape) for flat, part in zip(torch.split(whole, [part.numel() for part in parts]), parts, strict=True)]


def _places(groups: Sequence[Group], positions: Sequence[int]) -> dict[str, Tensor]:
    """What a `Layout` holds of these rows."""
    rows, width = len(groups), max(group.tokens for group in groups)
    segment = torch.full((rows, width), -1)  # -1 padding, 0 prompt, 1… answers
    for row, group in enumerate(groups):
        parts = torch.tensor([len(group.prompt), *map(len, group.answers)])
        segment[row, : group.tokens] = torch.arange(len(parts)).repeat_interleave(parts)
    real = (segment >= 0).flatten()  # (B·T)
    source = (real.cumsum(0) - 1).clamp(min=0)
    return {
        "segment": segment,
        "position": torch.tensor(positions)[source].view(rows, width),
        "slots": real.nonzero().squeeze(1),
        "source": source,
    }


def micro_batches(groups: Sequence[Group], max_tokens: int, road: Road = "fast") -> Iterator[list[int]]:
    """Indices of groups in micro-batches that stay within a token budget; alike lengths together, longest first.

    Longest first, so that a run that does not fit in memory says so at its first step. A group over the budget goes alone.
    """
    order = sorted(range(len(groups)), key=lambda i: -(groups[i].tokens if road == "fast" else groups[i].widest))
    batch: list[int] = []
    taken = 0  # tokens on the fast road, rows on the general one
    for i in order:
        more = groups[i].tokens if road == "fast" else len(groups[i].answers)
        if batch and not _fits(groups[batch[0]], len(batch), taken + more, max_tokens, road):
            yield batch
            batch, taken = [], 0
        batch.append(i)
        taken += more
    if batch:
        yield batch


def _fits(first: Group, before: int, taken: int, max_tokens: int, road: Road) -> bool:
    """Whether a batch with one more than the `before` groups it has is within the budget; the first is the widest."""
    if road == "fast":
        return taken <= max_tokens and first.tokens * (before + 1) <= WASTE * max_tokens
    return taken * first.widest <= max_tokens
