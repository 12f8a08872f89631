"""Learn from thumbs: Kahneman–Tversky optimisation on single answers called good or bad.

With r = log π(y|x) − log π_ref(y|x), the loss of an answer is λ(1 − σ(±β(r − z))), + for a good answer and − for a bad one
(`losses.kto_loss`; Ethayarajh et al., 2024). z = max(0, mean r) over answers put to prompts they do not belong to estimates how far
the policy has drifted in general; each row has one such partner for the whole run, as in TRL. z is taken over the whole batch
before its update, so micro-batches change nothing. The λ make all good answers together count `desirable_weight` times as much as
all bad ones, however many there are of each. Reference log-probabilities are computed once. Left out: pairs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlhf_desktop.core.errors import NotEnoughFeedback
from rlhf_desktop.core.recipes import KtoSettings
from rlhf_desktop.feedback.snapshot import ThumbedAnswer
from rlhf_desktop.inference.device import send
from rlhf_desktop.inference.template import encode_pair
from rlhf_desktop.training.batch import Group, collate
from rlhf_desktop.training.encoding import Encoder
from rlhf_desktop.training.losses import kto_loss, sum_by_owner
from rlhf_desktop.training.policy import answer_pass
from rlhf_desktop.training.policy_trainer import PolicyTrainer
from rlhf_desktop.training.run import RunFiles
from rlhf_desktop.training.update import Numbers, fetched


@dataclass(frozen=True)
class Thumbed:
    """An answer and its verdict, and another row's answer put to the same prompt."""

    own: Group
    foreign: Group
    desirable: bool
    weight: float


class KtoTrainer(PolicyTrainer):
    """See the module's docstring; `training.run.Trainer` says what the methods are for."""

    settings: KtoSettings
    phase = "learning from thumbs"

    def __init__(self, run: RunFiles) -> None:
        assert isinstance(run.settings, KtoSettings)
        self.settings = s = run.settings
        everything = run.rows()
        rows = [row for row in everything if isinstance(row, ThumbedAnswer)]
        if not any(row.split == "train" for row in rows):
            hint = "Give answers a thumb up or down, or say that none will do, then start again."
            raise NotEnoughFeedback("There are no answers called good or bad to learn from.", hint)
        self._load(run)
        encoder = Encoder(self.host.base, s.max_length, everything)
        self.items = self._encode(encoder, [row for row in rows if row.split == "train"])
        self.heldout = self._encode(encoder, [row for row in rows if row.split == "heldout"])
        encoder.check_left(self.items)
        encoder.say(run)
        self.class_weights = class_weights(self.items, s.desirable_weight)
        groups = [group for item in (*self.items, *self.heldout) for group in (item.own, item.foreign)]
        self._begin(len(self.items), groups, [row.prompt for row in encoder.kept(rows)])
        self.reference: dict[int, Tensor] = {}  # id of a group → () the reference's log-probability of its answer

    def _encode(self, encoder: Encoder, rows: Sequence[ThumbedAnswer]) -> list[Thumbed]:
        """The rows that can be learned from. A partner's answer only measures drift, so it may be cut."""
        own = [(row, group) for row in rows if (group := encoder.compared(row, [row.text]))]
        kept = [row for row, _ in own]
        return [
            Thumbed(group, self._foreign(row, kept[other].text), row.desirable, row.weight)
            for (row, group), other in zip(own, partners(kept, self.settings.seed), strict=True)
        ]

    def _foreign(self, row: ThumbedAnswer, text: str) -> Group:
        base = self.host.base
        prompt, answer = encode_pair(base.tokenizer, row.prompt, text, self.settings.max_length, end_id=base.end_ids[0])
        return Group(prompt, [answer])

    @torch.no_grad()
    def prepare(self, resumed: bool) -> None:  # noqa: D102
        if not resumed and len({item.desirable for item in self.items}) == 1:
            said = "good" if self.items[0].desirable else "bad"
            message = f"All the answers are called {said}. The model learns more when it sees both good and bad ones."
            self.run.emit("warning", code="one-sided", message=message)
        self.watch.before(resumed)
        self.host.activate(self.stack.reference)
        groups = [group for item in (*self.items, *self.heldout) for group in (item.own, item.foreign)]
        reference = self._in_parts(groups, self._logprobs)
        self.reference = {id(group): logprob for group, logprob in zip(groups, reference, strict=True)}
        self.host.activate(self.stack.policy)

    def _in_parts(self, groups: Sequence[Group], of: Callable[[list[Group]], Tensor]) -> Tensor:
        """(C,) numbers of some groups, computed as many at a time as fit."""
        found: dict[int, Tensor] = {}

        def work(picks: list[int]) -> None:
            found.update(zip(picks, of([groups[i] for i in picks]), strict=True))

        self.budget.run(groups, work)
        return torch.stack([found[i] for i in range(len(groups))])

    def _logprobs(self, groups: Sequence[Group]) -> Tensor:
        """(C,) log-probability of each group's one answer under the active adapters, summed over its tokens."""
        batch = collate(groups, self.host.base.device)
        return sum_by_owner(answer_pass(self.host.model, batch, entropy=False).logprobs, batch.owner, len(batch.lengths))

    def _gains(self, groups: Sequence[Group]) -> Tensor:
        """(C,) r = log π − log π_ref."""
        return self._logprobs(groups) - torch.stack([self.reference[id(group)] for group in groups])

    @torch.no_grad()
    def _drift(self, items: Sequence[Thumbed]) -> Tensor:
        """() z of some items."""
        return self._in_parts([item.foreign for item in items], self._gains).mean().clamp(min=0)

    def _losses(self, items: Sequence[Thumbed], gains: Tensor, drift: Tensor) -> Tensor:
        """(C,) weighted losses."""
        desirable = _desirable(items, gains.device)
        weights = send(torch.tensor([item.weight * self.class_weights[item.desirable] for item in items]), gains.device)
        return weights * kto_loss(gains, desirable, drift, self.settings.beta)

    def step(self, index: int) -> dict[str, float]:  # noqa: D102
        items = [self.items[i] for i in self.batches[index]]
        drift, whole = self._drift(items), sum(item.weight for item in items)

        def loss_of(picks: list[int]) -> tuple[Tensor, Numbers]:
            part = [items[i] for i in picks]
            gains = self._gains([item.own for item in part])
            loss = self._losses(part, gains, drift).sum() / whole
            return loss, {"loss": loss.detach(), **self._measure(part, gains.detach(), drift, items)}

        numbers = self.updater.step([item.own for item in items], loss_of)
        self.counts.examples += len(items)
        self.counts.tokens += sum(item.own.tokens + item.foreign.tokens for item in items)
        return _with_margin({**numbers, "objective/kl": float(drift)})

    def _measure(self, part: Sequence[Thumbed], gains: Tensor, drift: Tensor, whole: Sequence[Thumbed]) -> dict[str, Tensor]:
        """Implicit rewards βr of good and bad answers, and how many are on their side of the drift: parts of means over `whole`."""
        good = _desirable(part, gains.device)
        right = torch.where(gains == drift, 0.5, ((gains > drift) == good).float())
        found = {"rewards/accuracies": right.sum() / len(whole)}
        for name, chosen, wanted in (("rewards/chosen", good, True), ("rewards/rejected", ~good, False)):
            count = sum(item.desirable == wanted for item in whole)
            if count:
                found[name] = self.settings.beta * gains.where(chosen, 0.0).sum() / count
        return found

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, float]:  # noqa: D102
        self.watch.now(step, last=step == self.total_steps)
        self.host.activate(self.stack.policy)
        if not self.heldout:
            return {}
        drift = self._drift(self.heldout)
        gains = self._in_parts([item.own for item in self.heldout], self._gains)
        loss = self._losses(self.heldout, gains, drift).sum() / sum(item.weight for item in self.heldout)
        measured = fetched([{"loss": loss, **self._measure(self.heldout, gains, drift, self.heldout), "objective/kl": drift}])[0]
        return {f"eval/{name}": value for name, value in _with_margin(measured).items()}


def _desirable(items: Sequence[Thumbed], device: torch.device) -> Tensor:
    """(C,) true for the answers called good."""
    return send(torch.tensor([item.desirable for item in items]), device)


def _with_margin(numbers: dict[str, float]) -> dict[str, float]:
    if {"rewards/chosen", "rewards/rejected"} <= numbers.keys():
        numbers["rewards/margins"] = numbers["rewards/chosen"] - numbers["rewards/rejected"]
    return numbers


def partners(rows: Sequence[ThumbedAnswer], seed: int) -> list[int]:
    """For each row another whose answer was not given to its prompt; any other, or itself, where there is none."""
    count = len(rows)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    found = [0] * count
    for place, i in enumerate(order):
        following = (order[(place + step) % count] for step in range(1, count))
        apart = (j for j in following if rows[j].prompt != rows[i].prompt)
        found[i] = next(apart, order[(place + 1) % count])
    return found


def class_weights(items: Sequence[Thumbed], desirable_weight: float) -> dict[bool, float]:
    """λ of good and of bad answers, so that all the good together weigh `desirable_weight` times what all the bad do."""
    good, bad = (sum(item.weight for item in items if item.desirable == wanted) for wanted in (True, False))
    if not good or not bad:
        return {True: 1.0, False: 1.0}
    return {True: desirable_weight * (good + bad) / (2 * good), False: (good + bad) / (2 * bad)}
