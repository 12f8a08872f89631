"""Improve with PPO: the policy practises on prompts and the reward model marks its answers.

One batch: sample answers from the policy; score them; one pass each under policy and reference for log-probabilities and
values, all from the code path of the update, before any update; then `ppo_epochs` passes of clipped updates. In equations, for
answer tokens t = 1…T:

    rₜ = −c·(log π_old − log π_ref)(yₜ) + [t = T]·(clip((s − μ)/σ) − penalty·[not ended] − λ·log₂(T/T̄)²)   (k1 KL)
    Aₜ = GAE(γ = 1, λ), whitened over the batch's tokens; returns = A + V_old
    loss = mean over tokens of the clipped surrogate + value_coef · clipped value loss

Schulman et al. (2017); Ziegler et al. (2019) for the adaptive price c of the KL; Huang et al. (2024) for the details that
matter. μ and σ are the reward model's mean and spread on the first batch, when the policy still is the reference, and T̄ is its
mean length. The value head is a linear layer on the policy's own states: no second backbone. Left out: an entropy bonus, and
values for prompts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from rlhf_desktop.core.errors import AppError, NotEnoughFeedback
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.core.recipes import PpoSettings
from rlhf_desktop.feedback.snapshot import PracticePrompt
from rlhf_desktop.inference.sampler import SampledAnswer, sample
from rlhf_desktop.inference.template import fit_prompt
from rlhf_desktop.training.batch import Group, TreeBatch, collate, micro_batches
from rlhf_desktop.training.losses import gae, length_penalty, ppo_policy_loss, ppo_value_loss, steer_kl, sum_by_owner, whiten
from rlhf_desktop.training.policy import AnswerPass, answer_pass
from rlhf_desktop.training.reward_model import RewardModel
from rlhf_desktop.training.run import Counts, RunFiles
from rlhf_desktop.training.samples import SampleWatch
from rlhf_desktop.training.stack import check_fits, epoch_batches, load_host, policy_optimizer, policy_stack
from rlhf_desktop.training.watchdog import Health, Watchdog

MICRO_BATCH_TOKENS = 1024
VALUE_HEAD = "value_head"
VALUE_RATE = 10.0  # the head starts at zero and must find the scale of the scores


@dataclass
class Episodes:
    """A batch of E sampled answers and what is known of them before the first update. Tokens (N,) lie end to end."""

    groups: list[Group]  # the answers to one prompt share a group
    micro: list[list[int]]  # micro-batches of groups, the same in the first pass as in the updates: equal shapes round equally
    scores: Tensor  # (E,) normalised, clipped, penalised
    raw_scores: Tensor  # (E,) the reward model's own
    logprobs: Tensor  # (N,) under the policy that sampled
    reference: Tensor  # (N,)
    values: Tensor  # (N,)
    entropy: Tensor  # (N,)
    lengths: list[int]  # E
    advantages: Tensor  # (N,)
    returns: Tensor  # (N,)

    @property
    def kl(self) -> Tensor:
        """(E,) Σₜ log π − log π_ref, in nats an answer."""
        owner = torch.arange(len(self.lengths)).repeat_interleave(torch.tensor(self.lengths))
        return sum_by_owner(self.logprobs - self.reference, owner, len(self.lengths))


class PpoTrainer:
    """See the module's docstring; `training.run.Trainer` says what the methods are for."""

    kind: Literal["policy"] = "policy"
    phase = "practising"

    def __init__(self, run: RunFiles) -> None:
        assert isinstance(run.settings, PpoSettings)
        self.run, self.settings, self.counts = run, run.settings, Counts()
        if run.config.reward is None:
            raise AppError("PPO needs a reward model.", "Train one first: “learn my preferences”.")
        rows = [row for row in run.rows() if isinstance(row, PracticePrompt) and row.split == "train"]
        if not rows:
            raise NotEnoughFeedback("There are no prompts to practise on.", "Chat, or add a set of prompts, then start again.")
        s = self.settings
        self.host = load_host(run)
        self.device = self.host.base.device
        self.stack = policy_stack(self.host, run.config, s)
        check_fits(run.config.reward, run.config)
        self.reward = RewardModel.load(self.host, Path(run.config.reward.path))
        self.value_head = torch.nn.Parameter(
            torch.zeros(1, self.host.model.config.get_text_config().hidden_size, device=self.device)
        )
        self.prompts = [fit_prompt(self.host.base.tokenizer, row.prompt, s.max_length - s.max_new_tokens) for row in rows]
        self._schedule()
        parameters = {**self.stack.parameters, VALUE_HEAD: self.value_head}
        updates = self.total_steps * s.ppo_epochs * s.minibatches
        self.optimizer = policy_optimizer(parameters, s, updates, {VALUE_HEAD: VALUE_RATE})
        self.trainable_parameters = sum(p.numel() for p in parameters.values())
        self.kl_coef = s.kl_coef
        self.score_mean, self.score_std = 0.0, 1.0  # of the first batch, whose answers are the reference's own
        self.usual_length = 1.0  # mean tokens an answer of the first batch
        self.watchdog = Watchdog(s.kl_target)
        self.watch = SampleWatch(run, self.stack, [row.prompt for row in rows])

    def _schedule(self) -> None:
        """Which prompts each batch practises on: all of them in a new order, again and again, K answers to each."""
        s = self.settings
        per_batch = max(1, s.batch_size // s.samples_per_prompt)
        self.total_steps = max(1, -(-s.episodes // (per_batch * s.samples_per_prompt)))
        passes = -(-self.total_steps * per_batch // len(self.prompts))
        order = [i for batch in epoch_batches(len(self.prompts), len(self.prompts), passes, s.seed) for i in batch]
        self.batches = [order[at : at + per_batch] for at in range(0, self.total_steps * per_batch, per_batch)]
        self.eval_every = max(1, self.total_steps // 4)

    @property
    def stop_reason(self) -> str:
        """Why the watchdog wants the run to end; empty while all is well."""
        return self.watchdog.reason

    # --- before the first update ------------------------------------------------------------------------------------------------

    def prepare(self, resumed: bool) -> None:  # noqa: ARG002, D102
        self.watch.before()
        self.watchdog.keep_healthy(self.optimizer.masters)

    # --- one batch ----------------------------------------------------------------------------------------------------------------

    def step(self, index: int) -> dict[str, float]:  # noqa: D102
        batch, answers = self._rollout(index)
        health = self._health(answers, float(batch.kl.mean()), float(batch.entropy.mean()))
        if index == 0:
            self.watchdog.set_reference(health)
        self.watchdog.look(health)
        if self.watchdog.reason:
            self._fall_back()
            return self._metrics(batch, health, {})
        self.watchdog.keep_healthy(self.optimizer.masters)
        updates = self._update(batch, index)
        self.kl_coef = steer_kl(self.kl_coef, float(batch.kl.mean()), self.settings.kl_target)
        self.counts.examples += len(batch.lengths)
        self.counts.tokens += sum(group.tokens for group in batch.groups)
        return self._metrics(batch, health, updates)

    def _sample(self, indices: Sequence[int], adapters: Sequence[str], seed: int) -> tuple[list[Group], list[SampledAnswer]]:
        """K answers to each of some prompts, drawn at the practice temperature without top-k or top-p."""
        s = self.settings
        prompts = [self.prompts[i] for i in indices]
        with self.host.fused(adapters):
            answers = sample(
                self.host.model,
                prompts=prompts,
                k=s.samples_per_prompt,
                sampling=Sampling(temperature=s.temperature, top_p=1.0, max_new_tokens=s.max_new_tokens),
                end_ids=self.host.base.end_ids,
                pad_id=self.host.base.pad_id,
                generator=torch.Generator().manual_seed(seed),
                max_rows=max(s.batch_size, 32),
            )
        groups = [Group(prompt, [a.ids for a in answers if a.prompt == j]) for j, prompt in enumerate(prompts)]
        return groups, answers

    def _rollout(self, index: int) -> tuple[Episodes, list[SampledAnswer]]:
        """Sample, score, and pass once under reference and policy. Nothing here keeps a gradient."""
        s = self.settings
        groups, answers = self._sample(self.batches[index], self.stack.policy, seed=s.seed + 1 + index)
        ended = torch.tensor([answer.finish == "end" for answer in answers])
        raw = self._raw_scores(groups)
        if index == 0:
            self.score_mean, self.score_std = float(raw.mean()), max(float(raw.std(unbiased=False)), 1e-3)
            self.usual_length = sum(map(len, (answer.ids for answer in answers))) / len(answers)
        scores = ((raw - self.score_mean) / self.score_std).clamp(-s.score_clip, s.score_clip) - s.missing_end_penalty * ~ended
        micro = list(micro_batches(groups, min(MICRO_BATCH_TOKENS, self._minibatch_tokens(groups))))
        scores -= length_penalty(torch.tensor([len(answer.ids) for answer in answers]), self.usual_length, s.length_penalty)
        reference, _, _ = self._passes(groups, micro, self.stack.reference)
        logprobs, values, entropy = self._passes(groups, micro, self.stack.policy)
        lengths = [len(answer) for group in groups for answer in group.answers]
        rewards = -self.kl_coef * (logprobs - reference)  # (N,)
        rewards[torch.tensor(lengths).cumsum(0) - 1] += scores
        advantages = gae(rewards, values, lengths, s.gae_lambda)
        returns = advantages + values
        advantages = whiten(advantages)
        return Episodes(groups, micro, scores, raw, logprobs, reference, values, entropy, lengths, advantages, returns), answers

    def _raw_scores(self, groups: Sequence[Group]) -> Tensor:
        """(E,) pessimistic over the ensemble: mean − reward_std_coef · spread."""
        members = self.reward.score_groups(groups)  # (M, E)
        return members.mean(0) - self.settings.reward_std_coef * members.std(0, unbiased=False)

    def _minibatch_tokens(self, groups: Sequence[Group]) -> int:
        """A token budget that gives every minibatch at least one micro-batch."""
        widest = max(group.tokens for group in groups)
        return widest * max(1, len(groups) // self.settings.minibatches)

    @torch.no_grad()
    def _passes(
        self, groups: Sequence[Group], micro: Sequence[list[int]], adapters: Sequence[str]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities, values and entropies (N,) of all answers, in the order of the groups, on the CPU."""
        self.host.activate(adapters)
        out: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        for picks in micro:
            batch = self._collate([groups[i] for i in picks])
            result = answer_pass(self.host.model, batch, self.settings.temperature)
            parts = torch.stack([result.logprobs, self._values(result), result.entropy]).cpu()
            sizes = [sum(map(len, groups[i].answers)) for i in picks]
            for i, part in zip(picks, torch.split(parts, sizes, dim=1), strict=True):
                out[i] = (part[0], part[1], part[2])
        logprobs, values, entropy = zip(*(out[i] for i in range(len(groups))), strict=True)
        return torch.cat(logprobs), torch.cat(values), torch.cat(entropy)

    def _collate(self, groups: Sequence[Group]) -> TreeBatch:
        return collate(groups, self.host.base.pad_id, self.device)

    def _values(self, result: AnswerPass) -> Tensor:
        return (result.before.float() @ self.value_head.t()).squeeze(-1)  # (N,)

    # --- updates ------------------------------------------------------------------------------------------------------------------

    def _update(self, batch: Episodes, index: int) -> dict[str, float]:
        """`ppo_epochs` passes over the batch, each in `minibatches` updates. Returns the mean of each update's numbers."""
        s = self.settings
        self.host.activate(self.stack.policy)
        spans = _token_spans(batch.groups)
        size = -(-len(batch.micro) // s.minibatches)
        seen: list[dict[str, float]] = []
        for epoch in range(s.ppo_epochs):
            seed = s.seed + 7919 * (index * s.ppo_epochs + epoch)
            for chosen in epoch_batches(len(batch.micro), size, 1, seed):
                seen.append(self._minibatch(batch, [batch.micro[i] for i in chosen], spans))
        means = {name: sum(values[name] for values in seen) / len(seen) for name in seen[0]}
        return {**means, "policy/first_ratio_error": seen[0]["policy/ratio_error"]}

    def _minibatch(self, batch: Episodes, micro: Sequence[list[int]], spans: Sequence[slice]) -> dict[str, float]:
        """One optimiser step on some of the micro-batches."""
        s = self.settings
        count = sum(spans[i].stop - spans[i].start for picks in micro for i in picks)
        totals = dict.fromkeys(("loss/policy", "loss/value", "policy/clipfrac", "policy/ratio_error"), 0.0)
        for picks in micro:
            tokens = torch.cat([torch.arange(spans[i].start, spans[i].stop) for i in picks])
            old, advantages, returns, values = (
                part[tokens].to(self.device) for part in (batch.logprobs, batch.advantages, batch.returns, batch.values)
            )
            result = answer_pass(self.host.model, self._collate([batch.groups[i] for i in picks]), s.temperature)
            policy, ratio, clipped = ppo_policy_loss(result.logprobs, old, advantages, s.clip_range)
            value = ppo_value_loss(self._values(result), values, returns, s.value_clip)
            ((policy.sum() + s.value_coef * value.sum()) / count).backward()
            self.optimizer.accumulate()
            self.run.beat()
            totals["loss/policy"] += float(policy.detach().sum()) / count
            totals["loss/value"] += float(value.detach().sum()) / count
            totals["policy/clipfrac"] += float(clipped.float().sum()) / count
            totals["policy/ratio_error"] = max(totals["policy/ratio_error"], float((ratio - 1).abs().max()))
        totals["learning_rate"] = self.optimizer.rate()
        totals["grad_norm"] = self.optimizer.step()
        return totals

    # --- reports ------------------------------------------------------------------------------------------------------------------

    def _health(self, answers: Sequence[SampledAnswer], kl: float, entropy: float) -> Health:
        return Health.of([answer.ids for answer in answers], [answer.finish == "end" for answer in answers], kl, entropy)

    def _metrics(self, batch: Episodes, health: Health, updates: dict[str, float]) -> dict[str, float]:
        return {
            "objective/scores": float(((batch.raw_scores - self.score_mean) / self.score_std).mean()),
            "objective/rlhf_reward": float(batch.scores.mean() - self.kl_coef * batch.kl.mean()),
            "objective/kl": health.kl,
            "objective/kl_coef": self.kl_coef,
            "policy/entropy": health.entropy,
            "length": health.length,
            "ended": health.ended,
            "distinct_2": health.distinct_2,
            "value/explained": _explained(batch.values, batch.returns),
            **updates,
        }

    def _fall_back(self) -> None:
        """Return to the last parameters whose answers were healthy."""
        for name, tensor in self.watchdog.healthy.items():
            self.optimizer.masters[name].detach().copy_(tensor)
        self.optimizer.publish()

    def evaluate(self, step: int) -> dict[str, float]:  # noqa: D102
        self.watch.now(step, last=step == self.total_steps)
        return {}

    def tensors(self) -> dict[str, Tensor]:  # noqa: D102
        return {**self.optimizer.state(), **{f"healthy.{name}": t for name, t in self.watchdog.healthy.items()}}

    def extras(self) -> dict[str, Any]:  # noqa: D102
        return {
            "kl_coef": self.kl_coef,
            "score_mean": self.score_mean,
            "score_std": self.score_std,
            "usual_length": self.usual_length,
            "watchdog": self.watchdog.state(),
        }

    def load(self, tensors: Mapping[str, Tensor], extras: Mapping[str, Any]) -> None:  # noqa: D102
        self.optimizer.load(tensors)
        self.kl_coef, self.score_mean, self.score_std = extras["kl_coef"], extras["score_mean"], extras["score_std"]
        self.usual_length = extras["usual_length"]
        healthy = {name.removeprefix("healthy."): t for name, t in tensors.items() if name.startswith("healthy.")}
        self.watchdog.load(extras["watchdog"], healthy)

    def write_result(self, folder: Path) -> None:  # noqa: D102
        self.stack.write(folder, self.optimizer.masters)


def _token_spans(groups: Sequence[Group]) -> list[slice]:
    """Where each group's answer tokens lie among the batch's N."""
    spans, at = [], 0
    for group in groups:
        size = sum(map(len, group.answers))
        spans.append(slice(at, at + size))
        at += size
    return spans


def _explained(values: Tensor, returns: Tensor) -> float:
    """Share of the returns' variance that the values foresaw; 0 when they are constant."""
    spread = float(returns.var(unbiased=False))
    return 1 - float((returns - values).var(unbiased=False)) / spread if spread > 0 else 0.0
