"""What SFT, DPO and KTO share: they go through fixed rows of feedback, again and again, and train one adapter on top of another."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.recipes import CommonSettings
from rlhf_desktop.training.batch import Group
from rlhf_desktop.training.run import Counts, RunFiles
from rlhf_desktop.training.samples import SampleWatch
from rlhf_desktop.training.stack import epoch_batches, load_host, memory_budget, policy_optimizer, policy_stack
from rlhf_desktop.training.update import Updater


class PolicyTrainer:
    """The bookkeeping of such a trainer; `training.run.Trainer` says what the methods are for.

    An algorithm loads the models, encodes its rows, then calls `_begin`; it adds `prepare`, `step` and `evaluate`.
    """

    kind: Literal["policy"] = "policy"
    phase: str
    stop_reason = ""
    settings: CommonSettings

    def _load(self, run: RunFiles) -> None:
        self.run, self.counts = run, Counts()
        self.host = load_host(run)
        self.stack = policy_stack(self.host, run.config, self.settings)

    def _begin(self, count: int, groups: Sequence[Group], prompts: Sequence[Messages]) -> None:
        """Plan the run.

        Args:
            count: Rows that are learned from.
            groups: All rows, held-out ones too.
            prompts: The first of them are watched.
        """
        s = self.settings
        self.batches = epoch_batches(count, s.batch_size, s.epochs, s.seed)
        self.total_steps = len(self.batches)
        self.eval_every = max(1, self.total_steps // s.epochs)
        self.optimizer = policy_optimizer(self.stack.parameters, s, self.total_steps)
        self.budget = memory_budget(self.run, self.host, groups)
        self.updater = Updater(self.run, self.optimizer, self.budget)
        self.trainable_parameters = sum(p.numel() for p in self.stack.parameters.values())
        self.watch = SampleWatch(self.run, self.stack, prompts)

    def tensors(self) -> dict[str, Tensor]:  # noqa: D102
        return self.optimizer.state()

    def extras(self) -> dict[str, Any]:  # noqa: D102
        return {}

    def load(self, tensors: Mapping[str, Tensor], extras: Mapping[str, Any]) -> None:  # noqa: ARG002, D102
        self.optimizer.load(tensors)

    def write_result(self, folder: Path) -> None:  # noqa: D102
        self.stack.write(folder, self.optimizer.masters)
