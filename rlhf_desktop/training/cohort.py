"""The processes that train one run together: one, unless `accelerate launch` has started more.

Each process holds the whole model and works on its share of a batch's micro-batches; gradients are summed before the step. Losses
are divided by counts of the whole batch, so two processes take the same step as one. Only rank 0 writes the run folder.

    accelerate launch --num_processes 2 -m rlhf_desktop.worker train RUN_FOLDER
"""

import os
from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.inference.device import devices

T = TypeVar("T")
UNTESTED = {"ACCELERATE_USE_FSDP": "FSDP", "ACCELERATE_USE_DEEPSPEED": "DeepSpeed", "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM"}


def refuse_untested() -> None:
    """Refuse a launch that cuts the model itself into pieces, which no test covers.

    Raises:
        BadInput: with the name of the method.
    """
    for variable, name in UNTESTED.items():
        if os.environ.get(variable, "").lower() in ("1", "true"):
            raise BadInput(f"Training with {name} is not supported.", "Launch plain multi-process training instead.")


class Cohort:
    """This process's place among the `size` that share a run."""

    def __init__(self) -> None:
        self.rank, self.size = 0, 1
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from accelerate import PartialState  # a second to import, and only needed here

            state = PartialState(cpu=len(devices()) == 1)
            self.rank, self.size = state.process_index, state.num_processes

    @property
    def leads(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's part of a list that all processes hold."""
        return items[self.rank :: self.size]

    def gather(self, value: T) -> list[T]:
        """Every process's value, by rank."""
        if self.size == 1:
            return [value]
        values: list[T | None] = [None] * self.size
        torch.distributed.all_gather_object(values, value)
        return values  # type: ignore[return-value]

    def agree(self, value: T) -> T:
        """Rank 0's value, for what processes could see differently: a file that grows, a clock."""
        return self.gather(value)[0]

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over the processes, in one exchange."""
        if self.size == 1:
            return
        parts = list(tensors)
        flat = torch.cat([part.reshape(-1) for part in parts])
        torch.distributed.all_reduce(flat)
        for part, total in zip(parts, torch.split(flat, [part.numel() for part in parts]), strict=True):
            part.copy_(total.view_as(part))
