"""How much of a batch goes through the model at once: planned from the free memory, halved when that still was too much.

`core.passes` has the arithmetic, which an estimate before the run shares.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from rlhf_desktop.core.errors import NoSpace
from rlhf_desktop.core.measures import Road
from rlhf_desktop.core.passes import cut_passes, usable_bytes
from rlhf_desktop.core.trunk import token_bytes, trunk_of
from rlhf_desktop.inference.device import fits, free_cache
from rlhf_desktop.training.batch import Group, micro_batches, tokens_on

GIB = 1024**3
_SURE = 8  # times what is calculated for layers like Llama's, to be on the safe side


@dataclass(frozen=True)
class MemoryPlan:
    """What was chosen before a run, and why. `free_bytes` is what the device had after the model was loaded."""

    tokens: int  # in a micro-batch
    checkpointing: bool
    free_bytes: int
    bytes_per_token: int
    road: Road = "fast"

    @property
    def sentence(self) -> str:
        """For the run's log."""
        how = ", with gradient checkpointing" if self.checkpointing else ""
        need = self.tokens * self.bytes_per_token / GIB
        return f"{self.tokens:,} tokens at a time{how}: about {need:.1f} of {self.free_bytes / GIB:.1f} GiB free memory."


def plan_memory(
    config: Any,
    *,
    number_bytes: int,
    device: str,
    free_bytes: int,
    longest: int,
    rank: int = 16,
    road: Road = "fast",
    width: int | None = None,
    count: Callable[[int], tuple[int, int]] | None = None,
) -> MemoryPlan:
    """Choose the micro-batch size.

    Args:
        config: The model's text configuration.
        number_bytes: Of the dtype that computes.
        device: "cpu", or a card of any kind.
        free_bytes: Memory that is free now that the model is loaded.
        longest: Tokens of the longest row, which cannot be cut.
        rank: Of the adapter that learns.
        road: That the model takes.
        width: Tokens that attention looks at together, where that is less than `longest`.
        count: Counts what each token holds (`training.held`), given how many surely fit; without it that is calculated.

    Raises:
        NoSpace: even one row with gradient checkpointing is too much.
    """
    trunk = trunk_of(config.to_dict())
    each = token_bytes(trunk, width or longest, number_bytes=number_bytes, device=device, rank=rank)
    surely = usable_bytes(free_bytes, config.vocab_size, device) // (_SURE * each)
    cut = cut_passes(
        trunk,
        free_bytes=free_bytes,
        vocabulary=config.vocab_size,
        longest=longest,
        number_bytes=number_bytes,
        device=device,
        rank=rank,
        width=width,
        held=count(surely) if count else None,
    )
    if cut is None:
        hint = "Close other programs, lower max_length, or choose a smaller model."
        raise NoSpace(f"A conversation of {longest:,} tokens does not fit in the {free_bytes / GIB:.1f} GiB that are free.", hint)
    return MemoryPlan(cut.tokens, cut.checkpointing, free_bytes, cut.bytes_per_token, road)


def checkpoint_layers(model: Any) -> None:
    """Keep one hidden state a layer and compute the rest again in backward; dropout stays off."""
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer):
            module.gradient_checkpointing = True
            module._gradient_checkpointing_func = _recomputed
            module._can_checkpoint_with_cache = True  # sampling has a cache and no gradients; it must keep the one
            module.training = True  # this module's own flag: transformers asks for it, its parts stay in eval


def _recomputed(work: Callable[..., Any], *inputs: Any) -> Any:
    """A layer whose inside is computed again in backward, where there will be one."""
    return checkpoint(work, *inputs, use_reentrant=False) if torch.is_grad_enabled() else work(*inputs)


class Budget:
    """Runs work over micro-batches, and makes them smaller when memory runs out in spite of the plan.

    Args:
        plan: What was chosen before the run.
        say: Told in one sentence when the budget shrinks.
        what: Goes on with less, as the sentence says.
        agree: Given this process's budget, the least of all that share the run: they must cut a batch alike.
    """

    def __init__(
        self, plan: MemoryPlan, say: Callable[[str], None], agree: Callable[[int], int] = int, what: str = "the run"
    ) -> None:
        self.plan = plan
        self.tokens = plan.tokens
        self._say, self._agree, self._what = say, agree, what

    def run(
        self,
        groups: Sequence[Group],
        work: Callable[[list[int]], None],
        undo: Callable[[], None] = lambda: None,
        batches: Iterable[list[int]] | None = None,
    ) -> None:
        """Do `work` on each micro-batch; where one does not fit it is undone, and it and all that follow are packed anew.

        Args:
            groups: What the micro-batches are of.
            work: Given indices of groups.
            undo: Forgets what `work` left behind when it was cut short.
            batches: Micro-batches made before, perhaps under a larger budget; by default all groups in new ones.

        Raises:
            RuntimeError: a single row does not fit (`is_out_of_memory`), or another trouble.
        """
        todo = deque(self.cut(groups) if batches is None else self._within(groups, batches))
        while todo:
            picks = todo.popleft()
            if fits(partial(work, picks), divisible=len(picks) > 1):
                continue
            undo()
            free_cache()
            self._shrink(self._tokens(groups, picks))
            todo = deque(self._packed(groups, [i for rest in (picks, *todo) for i in rest]))
        self.tokens = self._agree(self.tokens)

    def cut(self, groups: Sequence[Group], tokens: int | None = None) -> Iterator[list[int]]:
        """Micro-batches, of at most so many tokens if the budget is not less."""
        return micro_batches(groups, self.tokens if tokens is None else min(tokens, self.tokens), self.plan.road)

    def _within(self, groups: Sequence[Group], batches: Iterable[list[int]]) -> Iterator[list[int]]:
        """The same, with those cut that are larger than the budget."""
        for picks in batches:
            if len(picks) == 1 or self._tokens(groups, picks) <= self.tokens:
                yield picks
            else:
                yield from self._packed(groups, picks)

    def _packed(self, groups: Sequence[Group], picks: Sequence[int]) -> Iterator[list[int]]:
        return ([picks[i] for i in part] for part in self.cut([groups[i] for i in picks]))

    def _shrink(self, tried: int) -> None:
        """Half of what was tried, which may have been less than the budget."""
        self.tokens = max(1, min(self.tokens, tried) // 2)
        self._say(f"Memory ran out: {self._what} goes on with {self.tokens:,} tokens at a time, a little slower.")

    def _tokens(self, groups: Sequence[Group], picks: Sequence[int]) -> int:
        return tokens_on(self.plan.road, [groups[i] for i in picks])
