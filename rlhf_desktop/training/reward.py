"""Learn my preferences: a reward model on rankings.

Loss: the mean over a batch's pairs of Davidson's negative log-likelihood with ties (`losses.davidson_loss`; Bradley–Terry at
tie_width 0) plus centring. A ranking is one batch element, so its prompt and answers are computed once for all its pairs. Each
member of an ensemble sees its own bootstrap of the prompts. Left out: margins from confidence, attribute heads.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from rlhf_desktop.core.errors import NotEnoughFeedback
from rlhf_desktop.core.recipes import RewardSettings
from rlhf_desktop.feedback.snapshot import RankedAnswers
from rlhf_desktop.training.batch import collate
from rlhf_desktop.training.losses import centering_loss, davidson_loss
from rlhf_desktop.training.optimizer import MasterAdamW
from rlhf_desktop.training.ranking import RankedGroup, encode_rankings, margin_metrics, pair_tensor
from rlhf_desktop.training.reward_model import HEAD, Member, RewardModel
from rlhf_desktop.training.run import Counts, RunFiles
from rlhf_desktop.training.stack import epoch_batches, load_host, memory_budget, policy_optimizer
from rlhf_desktop.training.update import Numbers, Updater

CALIBRATION_RANKINGS = 64  # enough to know the scale of the scores to a few percent
HEAD_RATE = 5.0  # a fresh linear layer may learn faster than an adapter


class RewardTrainer:
    """See the module's docstring; `training.run.Trainer` says what the methods are for."""

    kind: Literal["reward"] = "reward"
    phase = "learning your preferences"
    stop_reason = ""

    def __init__(self, run: RunFiles) -> None:
        assert isinstance(run.settings, RewardSettings)
        self.run, self.settings, self.counts = run, run.settings, Counts()
        rows = [row for row in run.rows() if isinstance(row, RankedAnswers)]
        self.host = load_host(run)
        self.items = [g for g in encode_rankings(self.host.base, rows, "train", self.settings.max_length) if self._pair_count(g)]
        self.heldout = [g for g in encode_rankings(self.host.base, rows, "heldout", self.settings.max_length) if g.wins]
        if not any(item.wins for item in self.items):
            hint = "Rank some answers in Chat or Label so that one is better than another, then start again."
            raise NotEnoughFeedback("There are no comparisons to learn from.", hint)
        s = self.settings
        self.model = RewardModel.create(self.host, count=s.ensemble, rank=s.lora_rank, alpha=s.lora_alpha, seed=s.seed)
        self.batches = [self._bootstrap(index) for index in range(s.ensemble)]
        self.total_steps = len(self.batches[0])
        self.eval_every = max(1, self.total_steps // s.epochs)
        self.optimizers = [self._optimizer(member) for member in self.model.members]
        self.budget = memory_budget(run, self.host, max(item.group.tokens for item in (*self.items, *self.heldout)))
        self.trainable_parameters = sum(m.numel() for optimizer in self.optimizers for m in optimizer.masters.values())
        self.accuracy: float | None = None

    def _pair_count(self, item: RankedGroup) -> int:
        return len(item.wins) + (len(item.ties) if self.settings.tie_width else 0)

    def _bootstrap(self, member: int) -> list[list[int]]:
        """Batches of indices for one member: all the feedback when it is alone, else a sample of prompts with replacement."""
        s, count = self.settings, len(self.items)
        seed = s.seed + 1000 * member
        batches = epoch_batches(count, s.batch_size, s.epochs, seed)
        if s.ensemble == 1:
            return batches
        drawn = torch.randint(count, (count,), generator=torch.Generator().manual_seed(seed + 7)).tolist()
        return [[drawn[i] for i in batch] for batch in batches]

    def _optimizer(self, member: Member) -> MasterAdamW:
        parameters = {f"{member.name}/{name}": p for name, p in self.host.parameters(member.name).items()}
        head = f"{member.name}/{HEAD}"
        return policy_optimizer({**parameters, head: member.head}, self.settings, self.total_steps, {head: HEAD_RATE})

    def prepare(self, resumed: bool) -> None:  # noqa: ARG002, D102
        return

    def step(self, index: int) -> dict[str, float]:  # noqa: D102
        metrics = [self._member_step(m, index) for m in range(self.settings.ensemble)]
        return {name: sum(values[name] for values in metrics) / len(metrics) for name in metrics[0]}

    def _member_step(self, m: int, index: int) -> dict[str, float]:
        member, optimizer = self.model.members[m], self.optimizers[m]
        items = [self.items[i] for i in self.batches[m][index]]
        count = sum(self._pair_count(item) for item in items)
        wins = max(1, sum(len(item.wins) for item in items))

        def loss_of(picks: list[int]) -> tuple[Tensor, Numbers]:
            losses, margins = self._losses(member, [items[i] for i in picks])
            loss = losses.sum() / count
            return loss, {"loss": float(loss.detach()), **margin_metrics(margins, wins)}

        numbers = Updater(self.run, optimizer, self.budget).step([item.group for item in items], loss_of)
        self.counts.examples += count
        self.counts.tokens += sum(item.group.tokens for item in items)
        return numbers

    def _losses(self, member: Member, items: list[RankedGroup]) -> tuple[Tensor, Tensor]:
        """Losses (P,) of all pairs, and the score margins of the won ones."""
        base = self.host.base
        pairs, tied = pair_tensor(items, with_ties=self.settings.tie_width > 0)
        pairs, tied = pairs.to(base.device), tied.to(base.device)
        scores = self.model.raw(member, collate([item.group for item in items], base.pad_id, base.device))
        losses = davidson_loss(scores, pairs, tied, self.settings.tie_width)
        losses = losses + self.settings.centering * centering_loss(scores, pairs)
        won = pairs[~tied]
        return losses, (scores[won[:, 0]] - scores[won[:, 1]]).detach()

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, float]:  # noqa: ARG002, D102
        if not self.heldout:
            return {}
        scores = self.model.score_groups([item.group for item in self.heldout]).mean(0)  # (C,)
        pairs, _ = pair_tensor(self.heldout, with_ties=False)
        margins = margin_metrics(scores[pairs[:, 0]] - scores[pairs[:, 1]], len(pairs), "eval/")
        self.accuracy = margins["eval/rewards/accuracies"]
        return {**margins, "eval/pairs": float(len(pairs)), "eval/prompts": float(len(self.heldout))}

    def _calibrate(self) -> None:
        """Set each member's mean and spread so that its scaled scores have mean 0 and variance 1 on the training answers."""
        raw = self.model.score_groups([item.group for item in self.items[:CALIBRATION_RANKINGS]])  # (M, C)
        for member, scores in zip(self.model.members, raw, strict=True):
            member.mean, member.std = float(scores.mean()), float(scores.std(unbiased=False)) or 1.0

    def tensors(self) -> dict[str, Tensor]:  # noqa: D102
        return {f"{m}:{name}": t for m, optimizer in enumerate(self.optimizers) for name, t in optimizer.state().items()}

    def extras(self) -> dict[str, Any]:  # noqa: D102
        return {}

    def load(self, tensors: Mapping[str, Tensor], extras: Mapping[str, Any]) -> None:  # noqa: ARG002, D102
        for m, optimizer in enumerate(self.optimizers):
            mark = f"{m}:"
            optimizer.load({name.removeprefix(mark): t for name, t in tensors.items() if name.startswith(mark)})

    def write_result(self, folder: Path) -> None:  # noqa: D102
        self._calibrate()
        masters = {name: master for optimizer in self.optimizers for name, master in optimizer.masters.items()}
        self.model.save(folder, masters, {"heldout_accuracy": self.accuracy, "tie_width": self.settings.tie_width})
