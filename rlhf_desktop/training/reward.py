"""Learn my preferences: a reward model on rankings and marks.

Loss: the mean over a batch's pairs of Davidson's negative log-likelihood with ties and margins (`losses.davidson_loss`;
Bradley–Terry at tie_width 0), plus `attribute_weight` times the same over the pairs of each attribute's marks, plus centring. A
ranking is one batch element, so its prompt and answers are computed once for all its pairs. Each member of an ensemble has its own
random start and sees its own bootstrap of the prompts, so that members agree where the feedback speaks and differ where it is
silent. What is held out is reported in report.json (`evaluation.reward_report`). Left out: Plackett–Luce.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from rlhf_desktop.core.errors import NotEnoughFeedback
from rlhf_desktop.core.files import write_json
from rlhf_desktop.core.recipes import RewardSettings
from rlhf_desktop.evaluation.reward_report import Heldout, Judged, RewardReport, reward_report
from rlhf_desktop.feedback.snapshot import RankedAnswers, RatedAnswers
from rlhf_desktop.training.batch import collate
from rlhf_desktop.training.losses import centering_loss, davidson_loss
from rlhf_desktop.training.optimizer import MasterAdamW
from rlhf_desktop.training.ranking import RankedGroup, attributes_of, comparisons, encode_rankings, margin_metrics
from rlhf_desktop.training.reward_model import HEAD, Member, RewardModel
from rlhf_desktop.training.run import Counts, RunFiles
from rlhf_desktop.training.stack import epoch_batches, load_host, memory_budget, policy_optimizer
from rlhf_desktop.training.update import Numbers, Updater

CALIBRATION_RANKINGS = 64  # enough to know the scale of the scores to a few percent
HEAD_RATE = 5.0  # a fresh linear layer may learn faster than an adapter
REPORT = "report.json"


class RewardTrainer:
    """See the module's docstring; `training.run.Trainer` says what the methods are for."""

    kind: Literal["reward"] = "reward"
    phase = "learning your preferences"
    stop_reason = ""

    def __init__(self, run: RunFiles) -> None:
        assert isinstance(run.settings, RewardSettings)
        self.run, self.settings, self.counts = run, run.settings, Counts()
        rows = [row for row in run.rows() if isinstance(row, RankedAnswers | RatedAnswers)]
        self.host = load_host(run)
        s = self.settings
        everything = encode_rankings(self.host.base, rows, "train", s.max_length)
        self.heldout = encode_rankings(self.host.base, rows, "heldout", s.max_length)
        self.attributes = attributes_of(everything) if s.attribute_weight else []
        self.items = [item for item in everything if any(self._counts([item]))]
        if not any(item.wins for item in self.items):
            hint = "Rank some answers in Chat or Label so that one is better than another, then start again."
            raise NotEnoughFeedback("There are no comparisons to learn from.", hint)
        self.model = RewardModel.create(
            self.host, count=s.ensemble, rank=s.lora_rank, alpha=s.lora_alpha, seed=s.seed, attributes=self.attributes
        )
        self.batches = [self._bootstrap(index) for index in range(s.ensemble)]
        self.total_steps = len(self.batches[0])
        self.eval_every = max(1, self.total_steps // s.epochs)
        self.optimizers = [self._optimizer(member) for member in self.model.members]
        self.budget = memory_budget(run, self.host, max(item.group.tokens for item in (*self.items, *self.heldout)))
        self.trainable_parameters = sum(m.numel() for optimizer in self.optimizers for m in optimizer.masters.values())
        self.report: RewardReport | None = None

    def _counts(self, items: Sequence[RankedGroup]) -> tuple[int, int]:
        """How many pairs some groups teach: overall, and by attribute."""
        heads = comparisons(items, self.attributes, with_ties=self.settings.tie_width > 0).heads
        return int((heads == 0).sum()), int((heads > 0).sum())

    def _bootstrap(self, member: int) -> list[list[int]]:
        """Batches of indices for one member: all the feedback when it is alone, else a sample of prompts with replacement."""
        s = self.settings
        seed = s.seed + 1000 * member
        batches = epoch_batches(len(self.items), s.batch_size, s.epochs, seed)
        if s.ensemble == 1:
            return batches
        drawn = draw_prompts([item.prompt for item in self.items], seed + 7)
        return [[drawn[i] for i in batch] for batch in batches]

    def _optimizer(self, member: Member) -> MasterAdamW:
        parameters = {f"{member.name}/{name}": p for name, p in self.host.parameters(member.name).items()}
        head = f"{member.name}/{HEAD}"
        return policy_optimizer({**parameters, head: member.head}, self.settings, self.total_steps, {head: HEAD_RATE})

    def prepare(self, resumed: bool) -> None:  # noqa: ARG002, D102
        return

    def step(self, index: int) -> dict[str, float]:  # noqa: D102
        metrics = [self._member_step(m, index) for m in range(self.settings.ensemble)]
        names = {name for values in metrics for name in values}
        return {name: _mean([values[name] for values in metrics if name in values]) for name in sorted(names)}

    def _member_step(self, m: int, index: int) -> dict[str, float]:
        member, optimizer = self.model.members[m], self.optimizers[m]
        items = [self.items[i] for i in self.batches[m][index]]
        overall, marked = self._counts(items)
        wins = sum(len(item.wins) for item in items)
        weights = torch.tensor([1 / max(1, overall)] + [self.settings.attribute_weight / max(1, marked)] * len(self.attributes))

        def loss_of(picks: list[int]) -> tuple[Tensor, Numbers]:
            loss, leads = self._loss(member, [items[i] for i in picks], weights)
            return loss, {"loss": float(loss.detach()), **(margin_metrics(leads, wins) if wins else {})}

        numbers = Updater(self.run, optimizer, self.budget).step([item.group for item in items], loss_of)
        self.counts.examples += overall + marked
        self.counts.tokens += sum(item.group.tokens for item in items)
        return numbers

    def _loss(self, member: Member, items: list[RankedGroup], weights: Tensor) -> tuple[Tensor, Tensor]:
        """The pairs' losses summed, each weighted by its head (H,); and the leads in score of the answers that won overall."""
        base, s = self.host.base, self.settings
        c = comparisons(items, self.attributes, with_ties=s.tie_width > 0).to(base.device)
        scores = self.model.raw(member, collate([item.group for item in items], base.device)).reshape(-1)
        losses = davidson_loss(scores, c.pairs, c.tied, s.tie_width, s.margin * c.margins)
        losses = losses + s.centering * centering_loss(scores, c.pairs)
        won = c.pairs[~c.tied & (c.heads == 0)]
        return (losses * weights.to(base.device)[c.heads]).sum(), (scores[won[:, 0]] - scores[won[:, 1]]).detach()

    # --- what is held out ---------------------------------------------------------------------------------------------------------

    def evaluate(self, step: int) -> dict[str, float]:  # noqa: ARG002, D102
        if not any(item.wins for item in self.heldout):
            return {}
        heldout = self._heldout()
        self.report = reward_report(heldout)
        if self.run.cohort.leads:
            write_json(self.run.folder / REPORT, self.report.model_dump(mode="json"))
        first, second = heldout.scores.mean(0)[heldout.overall.pairs[~heldout.overall.tied]].T
        leads = torch.from_numpy(first - second)
        return {**margin_metrics(leads, len(leads), "eval/"), **self.report.metrics()}

    def _heldout(self) -> Heldout:
        """The held-out answers with their scores and comparisons, as the report wants them."""
        raw = self.model.raw_scores([item.group for item in self.heldout])  # (M, C, H)
        answers = [(item.prompt, len(answer)) for item in self.heldout for answer in item.group.answers]
        c = comparisons(self.heldout, self.attributes, with_ties=True)
        places, width = c.pairs // (1 + len(self.attributes)), range(1 + len(self.attributes))
        judged = [
            Judged(places[c.heads == h].numpy(), c.tied[c.heads == h].numpy(), c.margins[c.heads == h].numpy()) for h in width
        ]
        return Heldout(
            prompts=[prompt for prompt, _ in answers],
            lengths=torch.tensor([length for _, length in answers]).numpy(),
            scores=raw[..., 0].numpy(),
            overall=judged[0],
            attributes={
                name: (raw[..., h].mean(0).numpy(), judged[h])
                for h, name in enumerate(self.attributes, start=1)
                if len(judged[h].pairs)
            },
        )

    # --- the result ---------------------------------------------------------------------------------------------------------------

    def _calibrate(self) -> None:
        """Set each member's mean and spread so that its scaled scores have mean 0 and variance 1 on the training answers."""
        raw = self.model.raw_scores([item.group for item in self.items[:CALIBRATION_RANKINGS]])[..., 0]  # (M, C)
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
        accuracy = self.report.accuracy.value if self.report else None
        self.model.save(folder, masters, {"heldout_accuracy": accuracy, "tie_width": self.settings.tie_width})
        if self.report:
            self.run.emit("artifact", path=REPORT, kind="report")


def draw_prompts(prompts: Sequence[str], seed: int) -> list[int]:
    """As many indices as there are rows, whole prompts drawn with replacement: a bootstrap by prompt."""
    where: dict[str, list[int]] = {}
    for i, prompt in enumerate(prompts):
        where.setdefault(prompt, []).append(i)
    rows, generator = list(where.values()), torch.Generator().manual_seed(seed)
    drawn: list[int] = []
    while len(drawn) < len(prompts):
        drawn += rows[int(torch.randint(len(rows), (), generator=generator))]
    return drawn[: len(prompts)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
