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
from rlhf_desktop.training.batch import Group, collate, micro_batches
from rlhf_desktop.training.policy import answer_pass
from rlhf_desktop.training.run import Counts, RunFiles
from rlhf_desktop.training.samples import SampleWatch
from rlhf_desktop.training.stack import epoch_batches, load_host, policy_optimizer, policy_stack

MICRO_BATCH_TOKENS = 1024


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
        self.trainable_parameters = sum(p.numel() for p in self.stack.parameters.values())
        self.watch = SampleWatch(run, self.stack, [row.prompt for row in rows])

    def _encode(self, row: Demonstration) -> Group:
        base = self.host.base
        prompt, answer = encode_pair(base.tokenizer, row.prompt, row.completion, self.settings.max_length, end_id=base.end_ids[0])
        return Group(prompt, [answer])

    def prepare(self, resumed: bool) -> None:  # noqa: D102
        self.watch.before()
        self.host.activate(self.stack.policy)
        if not resumed:
            self.run.emit("metrics", step=0, values=self._heldout_loss())

    def step(self, index: int) -> dict[str, float]:  # noqa: D102
        groups = [self.items[i] for i in self.batches[index]]
        count = sum(len(group.answers[0]) for group in groups)
        total, entropy = 0.0, 0.0
        for picks in micro_batches(groups, MICRO_BATCH_TOKENS):
            batch = collate([groups[i] for i in picks], self.host.base.pad_id, self.host.base.device)
            result = answer_pass(self.host.model, batch)
            loss = -result.logprobs.sum() / count
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.accumulate()
            total += float(loss.detach())
            entropy += float(result.entropy.sum()) / count
        rate = self.optimizer.rate()
        norm = self.optimizer.step()
        self.counts.examples += len(groups)
        self.counts.tokens += sum(group.tokens for group in groups)
        return {"loss": total, "policy/entropy": entropy, "grad_norm": norm, "learning_rate": rate}

    @torch.no_grad()
    def _heldout_loss(self) -> dict[str, float]:
        if not self.heldout:
            return {}
        total, count = 0.0, 0
        for picks in micro_batches(self.heldout, MICRO_BATCH_TOKENS):
            batch = collate([self.heldout[i] for i in picks], self.host.base.pad_id, self.host.base.device)
            total -= float(answer_pass(self.host.model, batch).logprobs.sum())
            count += len(batch.owner)
        return {"eval/loss": total / count}

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
