"""Teach by example: supervised fine-tuning on demonstrations.

Loss: −Σ log π(yₜ | x, y₍<ₜ₎) / (number of answer tokens of the batch), over the assistant's last turn only, its end-of-turn
token included (Ouyang et al., 2022, step 1). Left out: packing of several demonstrations into a row, and loss on earlier
assistant turns.
"""

import torch
from torch import Tensor

from rlhf_desktop.core.errors import NotEnoughFeedback
from rlhf_desktop.core.recipes import SftSettings
from rlhf_desktop.feedback.snapshot import Demonstration
from rlhf_desktop.training.batch import Group, TreeBatch, collate
from rlhf_desktop.training.encoding import Encoder
from rlhf_desktop.training.policy import answer_pass
from rlhf_desktop.training.policy_trainer import PolicyTrainer
from rlhf_desktop.training.run import RunFiles
from rlhf_desktop.training.update import Numbers, fetched


class SftTrainer(PolicyTrainer):
    """See the module's docstring; `training.run.Trainer` says what the methods are for."""

    settings: SftSettings
    phase = "learning from examples"

    def __init__(self, run: RunFiles) -> None:
        assert isinstance(run.settings, SftSettings)
        self.settings = run.settings
        everything = run.rows()
        rows = [row for row in everything if isinstance(row, Demonstration)]
        if not any(row.split == "train" for row in rows):
            raise NotEnoughFeedback(
                "There are no examples to learn from.", "Write an answer yourself, or correct one, then start again."
            )
        self._load(run)
        encoder = Encoder(self.host.base, self.settings.max_length, everything)
        found = [(row, encoder.imitated(row, row.completion)) for row in rows]
        self.items = [group for row, group in found if group and row.split == "train"]
        self.heldout = [group for row, group in found if group and row.split == "heldout"]
        encoder.check_left(self.items)
        encoder.say(run)
        self._begin(len(self.items), [*self.items, *self.heldout], [row.prompt for row in encoder.kept(rows)])

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
            return loss, {"loss": loss.detach(), "policy/entropy": result.entropy.sum() / count}

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
        costs: list[Numbers] = []

        def work(picks: list[int]) -> None:
            result = answer_pass(self.host.model, self._collate([self.heldout[i] for i in picks]), entropy=False)
            costs.append({"loss": -result.logprobs.sum()})

        self.budget.run(self.heldout, work)
        return {"eval/loss": sum(cost["loss"] for cost in fetched(costs)) / sum(len(item.answers[0]) for item in self.heldout)}

    def evaluate(self, step: int) -> dict[str, float]:  # noqa: D102
        self.watch.now(step, last=step == self.total_steps)
        self.host.activate(self.stack.policy)
        return self._heldout_loss()
