"""Teach by example: supervised fine-tuning on demonstrations.

Loss: −Σ log π(yₜ | x, y₍<ₜ₎) / (number of answer tokens of the batch), over the assistant's last turn only, its end-of-turn
token included (Ouyang et al., 2022, step 1). Left out: packing of several demonstrations into a row, and loss on earlier
assistant turns.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from rlhf_desktop.core.errors import NotEnoughFeedback
from rlhf_desktop.core.recipes import SftSettings
from rlhf_desktop.feedback.snapshot import Demonstration
from rlhf_desktop.inference.template import encode_pair
from rlhf_desktop.training.batch import Group, TreeBatch, collate, micro_batches
from rlhf_desktop.training.policy import answer_pass
from rlhf_desktop.training.run import Counts, RunFiles
from rlhf_desktop.training.samples import SampleWatch
from rlhf_desktop.training.stack import epoch_batches, load_host, memory_budget, policy_optimizer, policy_stack
from rlhf_desktop.training.update import Numbers, Updater


class SftTrainer:
    """See the module's docstring; `training.run.Trainer` says what the methods are for."""

    kind: Literal["policy"] = "policy"
    phase = "learning from examples"
    stop_reason = ""

    def __init__(self, run: RunFiles) -> None:
        assert isinstance(run.settings, SftSettings)
        self.run, self.settings, self.counts = run, run.settings, Counts()
        rows = [row for row in run.rows() if isinstance(row, Demonstration)]
        if not any(row.split == "train" for row in rows):
            raise NotEnoughFeedback(
                "There are no examples to learn from.", "Write an answer yourself, or correct one, then start again."
            )
        self.host = load_host(run)
        self.stack = policy_stack(self.host, run.config, self.settings)
        self.items = [self._encode(row) for row in rows if row.split == "train"]
        self.heldout = [self._encode(row) for row in rows if row.split == "heldout"]
        self.batches = epoch_batches(len(self.items), self.settings.batch_size, self.settings.epochs, self.settings.seed)
        self.total_steps = len(self.batches)
        self.eval_every = max(1, self.total_steps // self.settings.epochs)
        self.optimizer = policy_optimizer(self.stack.parameters, self.settings, self.total_steps)
        self.budget = memory_budget(run, self.host, max(item.tokens for item in (*self.items, *self.heldout)))
        self.updater = Updater(run, self.optimizer, self.budget)
        self.trainable_parameters = sum(p.numel() for p in self.stack.parameters.values())
        self.watch = SampleWatch(run, self.stack, [row.prompt for row in rows])

    def _encode(self, row: Demonstration) -> Group:
        base = self.host.base
        prompt, answer = encode_pair(base.tokenizer, row.prompt, row.completion, self.settings.max_length, end_id=base.end_ids[0])
        return Group(prompt, [answer])

    def prepare(self, resumed: bool) -> None:  # noqa: D102
        self.watch.before(resumed)
        self.host.activate(self.stack.policy)
        if not resumed:
            self.run.emit("metrics", step=0, values=self._heldout_loss())

    def step(self, index: int) -> dict[str, float]:  # noqa: D102
        groups = [self.items[i] for i in self.batches[index]]
        count = sum(len(group.answers[0]) for group in groups)

        def loss_of(picks: list[int]) -> tuple[Tensor, Numbers]:
            result = answer_pass(self.host.model, self._collate([groups[i] for i in picks]))
            loss = -result.logprobs.sum() / count
            return loss, {"loss": float(loss.detach()), "policy/entropy": float(result.entropy.sum()) / count}

        numbers = self.updater.step(groups, loss_of)
        self.counts.examples += len(groups)
        self.counts.tokens += sum(group.tokens for group in groups)
        return numbers

    def _collate(self, groups: list[Group]) -> TreeBatch:
        return collate(groups, self.host.base.device)

    @torch.no_grad()
    def _heldout_loss(self) -> dict[str, float]:
        if not self.heldout:
            return {}
        costs: list[float] = []

        def work(picks: list[int]) -> None:
            costs.append(-float(answer_pass(self.host.model, self._collate([self.heldout[i] for i in picks])).logprobs.sum()))

        self.budget.run(micro_batches(self.heldout, self.budget.tokens), work)
        return {"eval/loss": sum(costs) / sum(len(item.answers[0]) for item in self.heldout)}

    def evaluate(self, step: int) -> dict[str, float]:  # noqa: D102
        self.watch.now(step, last=step == self.total_steps)
        self.host.activate(self.stack.policy)
        return self._heldout_loss()

    def tensors(self) -> dict[str, Tensor]:  # noqa: D102
        return self.optimizer.state()

    def extras(self) -> dict[str, Any]:  # noqa: D102
        return {}

    def load(self, tensors: Mapping[str, Tensor], extras: Mapping[str, Any]) -> None:  # noqa: ARG002, D102
        self.optimizer.load(tensors)

    def write_result(self, folder: Path) -> None:  # noqa: D102
        self.stack.write(folder, self.optimizer.masters)
