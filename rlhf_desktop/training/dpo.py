"""Quick improve: direct preference optimisation on comparisons.

Loss: see `losses.dpo_loss` (Rafailov et al., 2023; IPO by Azar et al., 2023). The answers of one ranking share their prompt's
computation; the reference's log-probabilities are computed once, before the first update. Ties teach DPO nothing and are left
out.
"""

import torch
from torch import Tensor

from rlhf_desktop.core.errors import NotEnoughFeedback
from rlhf_desktop.core.recipes import DpoSettings
from rlhf_desktop.feedback.snapshot import RankedAnswers
from rlhf_desktop.inference.device import send
from rlhf_desktop.training.batch import Group, TreeBatch, collate
from rlhf_desktop.training.encoding import Encoder
from rlhf_desktop.training.losses import dpo_loss, sum_by_owner
from rlhf_desktop.training.policy import answer_pass
from rlhf_desktop.training.policy_trainer import PolicyTrainer
from rlhf_desktop.training.ranking import RankedGroup, comparisons, encode_rankings, margin_metrics
from rlhf_desktop.training.run import RunFiles
from rlhf_desktop.training.update import Numbers, fetched


class DpoTrainer(PolicyTrainer):
    """See the module's docstring; `training.run.Trainer` says what the methods are for."""

    settings: DpoSettings
    phase = "learning from comparisons"

    def __init__(self, run: RunFiles) -> None:
        assert isinstance(run.settings, DpoSettings)
        self.settings = run.settings
        everything = run.rows()
        rows = [row for row in everything if isinstance(row, RankedAnswers)]
        self._load(run)
        encoder = Encoder(self.host.base, self.settings.max_length, everything)
        self.items = [g for g in encode_rankings(encoder, rows, "train") if g.wins]
        self.heldout = [g for g in encode_rankings(encoder, rows, "heldout") if g.wins]
        encoder.check_left(self.items)
        encoder.say(run)
        if not self.items:
            raise NotEnoughFeedback(
                "There are no comparisons to learn from.", "Rank some answers in Chat or Label, then start again."
            )
        groups = [item.group for item in (*self.items, *self.heldout)]
        self._begin(len(self.items), groups, [row.prompt for row in encoder.kept(rows)])
        self.reference: dict[int, Tensor] = {}  # id of a group → (K,) reference log-probabilities

    @torch.no_grad()
    def prepare(self, resumed: bool) -> None:  # noqa: D102
        self.watch.before(resumed)
        self.host.activate(self.stack.reference)
        everything = [*self.items, *self.heldout]

        def work(picks: list[int]) -> None:
            chosen = [everything[i] for i in picks]
            logprobs = self._answer_logprobs(self._collate(chosen))
            for item, part in zip(chosen, torch.split(logprobs, [len(item.group.answers) for item in chosen]), strict=True):
                self.reference[id(item)] = part

        self.budget.run([item.group for item in everything], work)
        self.host.activate(self.stack.policy)

    def _collate(self, items: list[RankedGroup]) -> TreeBatch:
        groups: list[Group] = [item.group for item in items]
        return collate(groups, self.host.base.device)

    def _answer_logprobs(self, batch: TreeBatch) -> Tensor:
        """(C,) sums over tokens; means for IPO, so that β means the same for long and short answers."""
        sums = sum_by_owner(answer_pass(self.host.model, batch, entropy=False).logprobs, batch.owner, len(batch.lengths))
        return sums / send(torch.tensor(batch.lengths), sums.device) if self.settings.loss == "ipo" else sums

    def _pairs(self, items: list[RankedGroup]) -> tuple[Tensor, Tensor]:
        """Losses (P,) and implicit reward margins (P,) of some groups."""
        batch = self._collate(items)
        found = comparisons(items, [], with_ties=False).to(self.host.base.device)
        pairs, margins = found.pairs, self.settings.margin * found.margins
        policy = self._answer_logprobs(batch)
        reference = torch.cat([self.reference[id(item)] for item in items])
        options = {"beta": self.settings.beta, "kind": self.settings.loss, "label_smoothing": self.settings.label_smoothing}
        losses = dpo_loss(policy, reference, pairs, margins=margins, **options)  # type: ignore[arg-type]
        rewards = (self.settings.beta * (policy - reference)).detach()
        return losses, rewards[pairs[:, 0]] - rewards[pairs[:, 1]]

    def step(self, index: int) -> dict[str, float]:  # noqa: D102
        items = [self.items[i] for i in self.batches[index]]
        count = sum(len(item.wins) for item in items)

        def loss_of(picks: list[int]) -> tuple[Tensor, Numbers]:
            losses, margins = self._pairs([items[i] for i in picks])
            loss = losses.sum() / count
            return loss, {"loss": loss.detach(), **margin_metrics(margins, count)}

        numbers = self.updater.step([item.group for item in items], loss_of)
        self.counts.examples += count
        self.counts.tokens += sum(item.group.tokens for item in items)
        return numbers

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, float]:  # noqa: D102
        self.watch.now(step, last=step == self.total_steps)
        self.host.activate(self.stack.policy)
        if not self.heldout:
            return {}
        parts: list[tuple[Tensor, Tensor]] = []
        groups = [item.group for item in self.heldout]
        self.budget.run(groups, lambda picks: parts.append(self._pairs([self.heldout[i] for i in picks])))
        losses, margins = (torch.cat(part) for part in zip(*parts, strict=True))
        return fetched([{"eval/loss": losses.mean(), **margin_metrics(margins, len(margins), "eval/")}])[0]
