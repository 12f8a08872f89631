"""What PPO knows of a batch of sampled answers before it learns from them."""

from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from rlhf_desktop.training.batch import Group
from rlhf_desktop.training.losses import sum_by_owner
from rlhf_desktop.training.watchdog import Health


@dataclass(frozen=True)
class Answers:
    """E sampled answers and what is known of them before an update. Tokens (N,) lie end to end."""

    groups: list[Group]  # the answers to one prompt share a group
    micro: list[list[int]]  # micro-batches of groups, the same in the first pass as in the updates: equal shapes round equally
    ended: Tensor  # (E,)
    raw_scores: Tensor  # (E,) the reward model's own, pessimistic over its members
    disagreement: float  # mean spread of the members' scores
    scores: Tensor  # (E,) normalised, clipped, penalised
    bad_parts: Tensor  # (N,) price of looking like a part that was marked as bad
    logprobs: Tensor  # (N,) under the policy that sampled
    reference: Tensor  # (N,)
    values: Tensor  # (N,)
    entropy: Tensor  # (N,)
    mismatch: float  # nats a token by which the sampler's log-probabilities differ from `logprobs`, on average

    @property
    def ids(self) -> list[list[int]]:
        """Token ids of each answer."""
        return [answer for group in self.groups for answer in group.answers]

    @property
    def lengths(self) -> list[int]:
        """Tokens of each answer, E."""
        return [len(answer) for answer in self.ids]

    def _by_answer(self, values: Tensor) -> Tensor:
        """(N,) → (E,) sums."""
        owner = torch.arange(len(self.lengths)).repeat_interleave(torch.tensor(self.lengths))
        return sum_by_owner(values, owner, len(self.lengths))

    @property
    def kl(self) -> Tensor:
        """(E,) Σₜ log π − log π_ref, in nats an answer."""
        return self._by_answer(self.logprobs - self.reference)

    @property
    def badness(self) -> Tensor:
        """(E,) the price of each answer's bad parts."""
        return self._by_answer(self.bad_parts)

    @property
    def health(self) -> Health:
        """What the watchdog looks at."""
        kl, entropy = float(self.kl.mean()), float(self.entropy.mean())
        return Health.of(self.ids, self.ended.tolist(), kl, entropy, self.disagreement)

    @property
    def spans(self) -> list[range]:
        """Where each group's answer tokens lie among the N."""
        sizes = [sum(map(len, group.answers)) for group in self.groups]
        return [range(start, end) for start, end in pairwise(accumulate(sizes, initial=0))]
