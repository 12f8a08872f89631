"""Two roads to a trunk's final states, which trainers do not tell apart.

Fast: the rows of a batch lie end to end in one sequence, a prompt is computed once for its K answers, and nothing is padded; it is
exact where attention alone joins tokens, and takes our layout (`inference.attention`). General: every answer is a row of
[prompt][answer] of its own through the model's own forward, as plain transformers would have it. Rows are filled up at the right,
where nothing that is causal can see it, so no mask is needed either; what a model keeps running from token to token (a convolution,
a recurrent state) begins with each row, and rows whose positions look at their neighbours go apart (`inference.reach`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rlhf_desktop.core.measures import Road
from rlhf_desktop.inference.device import send
from rlhf_desktop.inference.own_head import trunk_of
from rlhf_desktop.inference.reach import alike, begin_rows, reach
from rlhf_desktop.training.batch import Group, TreeBatch

_NO_MASK = torch.empty(0, 0, 0, 0, dtype=torch.bool)  # four dimensions: transformers makes none; our attention has the layout


@dataclass(frozen=True)
class States:
    """The final states of a batch's tokens, with N answer tokens of C answers among them."""

    every: Tensor  # (T, H)
    before_at: Tensor  # (N,) index into the T of the state that predicts each answer token
    own_at: Tensor  # (N,) … and of its own
    last_at: Tensor  # (C,) … and of each answer's last token

    @property
    def before(self) -> Tensor:
        """(N, H) the state before each answer token."""
        return self.every[self.before_at]

    @property
    def own(self) -> Tensor:
        """(N, H) each answer token's own state."""
        return self.every[self.own_at]

    @property
    def last(self) -> Tensor:
        """(C, H) the state of each answer's last token."""
        return self.every[self.last_at]


def states_by(road: Road, model: Any, batch: TreeBatch) -> States:
    """One forward pass of the trunk."""
    return _side_by_side(model, batch) if road == "general" or goes_beyond(model, batch.groups) else _end_to_end(model, batch)


def goes_beyond(model: Any, groups: Sequence[Group]) -> bool:
    """Whether a row is so long that positions are other ones for it, and would be for its neighbours."""
    known = reach(model)
    return known is not None and max(group.widest for group in groups) > known.tokens


def _end_to_end(model: Any, batch: TreeBatch) -> States:
    out = trunk_of(model)(
        input_ids=batch.input_ids,
        attention_mask=_NO_MASK.to(batch.input_ids.device),
        position_ids=batch.position_ids,
        layout=batch.layout,
        use_cache=False,
    ).last_hidden_state
    return States(out.reshape(-1, out.shape[-1]), batch.before, batch.own, batch.last)


def _side_by_side(model: Any, batch: TreeBatch) -> States:
    rows = [group.prompt + answer for group in batch.groups for answer in group.answers]
    starts = [0] * len(rows)  # where a row begins among the places of all parts
    parts: list[Tensor] = []
    places = 0
    for picks in alike(model, [len(row) for row in rows]):
        width = max(len(rows[i]) for i in picks)
        ids = torch.tensor([rows[i] + [rows[i][-1]] * (width - len(rows[i])) for i in picks])
        begin_rows(model)
        out = trunk_of(model)(input_ids=send(ids, batch.input_ids.device), use_cache=False).last_hidden_state  # (B, W, H)
        parts.append(out.reshape(-1, out.shape[-1]))
        for i in picks:
            starts[i], places = places, places + width
    prompts = [len(group.prompt) for group in batch.groups for _ in group.answers]
    first = torch.tensor([start + prompt for start, prompt in zip(starts, prompts, strict=True)])  # (C,) of each answer
    own = torch.cat([at + torch.arange(length) for at, length in zip(first, batch.lengths, strict=True)])
    last = first + torch.tensor(batch.lengths) - 1
    there = send(torch.cat([own, last]), batch.input_ids.device)
    own, last = there[: len(own)], there[len(own) :]
    return States(parts[0] if len(parts) == 1 else torch.cat(parts), own - 1, own, last)
