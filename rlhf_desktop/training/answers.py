"""What PPO knows of a batch of sampled answers before it learns from them."""

from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from rlhf_desktop.training.batch import Group
from rlhf_desktop.training.losses import answer_rewards, gae, group_advantages, sum_by_owner, token_rewards, whiten
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

    @property
    def gain(self) -> Tensor:
        """(N,) log π − log π_ref of each token."""
        return self.logprobs - self.reference

    def _by_answer(self, values: Tensor) -> Tensor:
        """(N,) → (E,) sums."""
        owner = torch.arange(len(self.lengths)).repeat_interleave(torch.tensor(self.lengths))
        return sum_by_owner(values, owner, len(self.lengths))

    @property
    def kl(self) -> Tensor:
        """(E,) Σₜ log π − log π_ref, in nats an answer."""
        return self._by_answer(self.gain)

    @property
    def badness(self) -> Tensor:
        """(E,) the price of each answer's bad parts."""
        return self._by_answer(self.bad_parts)

    def advantages(self, baseline: str, kl_coef: float, gae_lambda: float) -> tuple[Tensor, Tensor]:
        """How much better each token did than expected, and what its value should have been: advantages and returns (N,).

        With `baseline` "value" the expectation is the value before the token (`losses.token_rewards`, then `losses.gae`, whitened
        over the batch); with "rloo" or "grpo" it is the other answers to the prompt (`losses.answer_rewards`, then
        `losses.group_advantages`), the same for all tokens of an answer, and there is nothing to foresee: returns are 0.
        """
        if baseline == "value":
            rewards = token_rewards(self.gain, self.bad_parts, self.scores, self.lengths, kl_coef)
            advantages = gae(rewards, self.values, self.lengths, gae_lambda)
            return whiten(advantages), advantages + self.values
        totals = answer_rewards(self.scores, self.kl, self.badness, kl_coef)
        each = group_advantages(totals, [len(group.answers) for group in self.groups], baseline)
        return each.repeat_interleave(torch.tensor(self.lengths)), torch.zeros_like(self.values)

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
