"""One optimiser step over a batch, whatever the loss: in micro-batches that fit, on one process or on several."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from rlhf_desktop.training.batch import Group
from rlhf_desktop.training.memory import Budget
from rlhf_desktop.training.optimizer import MasterAdamW
from rlhf_desktop.training.run import RunFiles
from rlhf_desktop.training.scaling import FormatOverflow

Numbers = Mapping[str, Tensor | float]  # tensors () stay on the device until the update is done: to read one lets the host wait


def fetched(parts: Sequence[Numbers]) -> list[dict[str, float]]:
    """The numbers as floats; those on the device come over in one copy."""
    there = [value.detach().float() for part in parts for value in part.values() if isinstance(value, Tensor)]
    found = iter(torch.stack(there).tolist() if there else [])
    return [{name: next(found) if isinstance(value, Tensor) else value for name, value in part.items()} for part in parts]


class Updater:
    """Ties an optimiser to the run's memory budget and to the processes that share it."""

    def __init__(self, run: RunFiles, optimizer: MasterAdamW, budget: Budget) -> None:
        self.run, self.optimizer, self.budget = run, optimizer, budget

    def step(self, groups: Sequence[Group], loss_of: Callable[[list[int]], tuple[Tensor, Numbers]]) -> dict[str, float]:
        """One update from some groups of answers.

        Args:
            groups: The batch, the same in every process.
            loss_of: The loss of some of the groups (indices), and numbers to report. Both divided by counts of the whole batch, so
                that they add up over micro-batches and processes.

        Returns:
            The numbers summed over the batch, the gradient's norm and the learning rate.
        """
        return self.step_in(groups, list(self.budget.cut(groups)), loss_of)

    def step_in(
        self,
        groups: Sequence[Group],
        batches: Sequence[list[int]],
        loss_of: Callable[[list[int]], tuple[Tensor, Numbers]],
        peaks: Sequence[str] = (),
    ) -> dict[str, float]:
        """The same with the micro-batches given, and of these groups alone; of the numbers called `peaks` the largest counts."""
        parts: list[Numbers] = []

        def work(picks: list[int]) -> None:
            loss, numbers = loss_of(picks)
            self.optimizer.loss_scale.scaled(loss).backward()  # type: ignore[no-untyped-call]
            self.optimizer.accumulate()
            parts.append(numbers)
            self.run.beat()

        self.budget.run(groups, work, self.optimizer.discard, self.run.cohort.share(batches))
        self.run.cohort.add_up(self.optimizer.gradients())
        rate = self.optimizer.rate()
        *found, norm = fetched([*parts, {"grad_norm": self._learn()}])
        everyone = [part for part_list in self.run.cohort.gather(found) for part in part_list]
        total = {name: (max if name in peaks else sum)(part[name] for part in everyone) for name in everyone[0]}
        return {**total, **norm, "learning_rate": rate}

    def _learn(self) -> Tensor | float:
        """Take the step. Returns the gradients' norm; not a number where they have overflown, and no step is taken.

        Raises:
            FormatOverflow: this format will not do.
        """
        if self.optimizer.loss_scale.unscale(self.optimizer.gradients()):
            return self.optimizer.step()
        if any(self.run.cohort.gather(self.optimizer.loss_scale.is_hopeless())):
            raise FormatOverflow
        self.optimizer.skip()
        self.run.emit("log", message="An update was left out: its gradients were too large for float16. The next are scaled less.")
        return float("nan")
