"""Improve with PPO: the policy practises on prompts and the reward model marks its answers.

One batch: sample answers from the policy; score them; one pass each under policy and reference for log-probabilities and
values, all from the code path of the update, before any update; then `ppo_epochs` passes of clipped updates. In equations, for
answer tokens t = 1…T:

    rₜ = −c·(log π_old − log π_ref)(yₜ) − p·badₜ + [t = T]·(clip((s − μ)/σ) − penalty·[not ended] − price of drift)
    Aₜ = GAE(γ = 1, λ), whitened over the batch's tokens; returns = A + V_old
    loss = mean over tokens of the clipped surrogate + value_coef · clipped value loss

Schulman et al. (2017); Ziegler et al. (2019) for the adaptive price c of the KL (k1); Huang et al. (2024) for the details that
matter. The parts are pure functions in `losses`, joined by `Answers.advantages`. μ and σ are the reward model's mean and spread on
the reference's own answers, one to each of some prompts (`scale`, where the price of drift in length is too); badₜ says how much a
token looks like the parts that were marked as bad in answers. The value head is a linear layer on the policy's own states, no
second backbone; it starts at the usual reward, or every answer would look like a disappointment. With `baseline` rloo or grpo there
is no value head: an answer is compared with the other answers to its prompt (`losses.group_advantages`). Left out: an entropy
bonus, and values for prompts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from rlhf_desktop.core.errors import AppError, ModelTrouble, NotEnoughFeedback
from rlhf_desktop.core.passes import HELDOUT_PROMPTS, KEPT_TOKENS, PPO_LOOKS, calibration_answers
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.core.recipes import PpoSettings
from rlhf_desktop.core.thoughts import TAGS
from rlhf_desktop.feedback.snapshot import PracticePrompt
from rlhf_desktop.inference.device import send
from rlhf_desktop.inference.sampler import sample
from rlhf_desktop.training.answers import Answers
from rlhf_desktop.training.batch import Group, TreeBatch, collate, tokens_on
from rlhf_desktop.training.encoding import Encoder
from rlhf_desktop.training.losses import explained, penalised_scores, pessimistic_scores, ppo_policy_loss, ppo_value_loss, steer_kl
from rlhf_desktop.training.policy import AnswerPass, answer_pass
from rlhf_desktop.training.reward_model import RewardModel, scoring_budget
from rlhf_desktop.training.run import Counts, RunFiles
from rlhf_desktop.training.samples import SampleWatch
from rlhf_desktop.training.scale import Scale
from rlhf_desktop.training.stack import check_fits, epoch_batches, load_host, memory_budget, policy_optimizer, policy_stack
from rlhf_desktop.training.update import Numbers, Updater
from rlhf_desktop.training.watchdog import LOWER, Health, Watchdog

_FIRST_TOKENS = 24  # of an answer: enough to see a thought begin
VALUE_HEAD = "value_head"
VALUE_RATE = 10.0  # the head starts at zero and must find the scale of the scores


class PpoTrainer:
    """See the module's docstring; `training.run.Trainer` says what the methods are for."""

    kind: Literal["policy"] = "policy"
    phase = "practising"

    def __init__(self, run: RunFiles) -> None:
        assert isinstance(run.settings, PpoSettings)
        self.run, self.settings, self.counts = run, run.settings, Counts()
        if run.config.reward is None:
            raise AppError("PPO needs a reward model.", "Train one first: “learn my preferences”.")
        everything = run.rows()
        rows = [row for row in everything if isinstance(row, PracticePrompt)]
        if not any(row.split == "train" for row in rows):
            raise NotEnoughFeedback("There are no prompts to practise on.", "Chat, or add a set of prompts, then start again.")
        s = self.settings
        self.host = load_host(run)
        self.device = self.host.base.device
        self.stack = policy_stack(self.host, run.config, s)
        check_fits(run.config.reward, run.config)
        self.reward = RewardModel.load(self.host, Path(run.config.reward.path))
        self.reward.budget = scoring_budget(self.host, lambda sentence: run.emit("warning", code="memory", message=sentence))
        self.rows = max(s.batch_size, 32)  # answered together
        encoder = Encoder(self.host.base, s.max_length, everything)
        fit = [(row, encoder.asked(row, s.max_new_tokens)) for row in rows]
        self.prompts = [ids for row, ids in fit if ids and row.split == "train"]
        self.heldout = [ids for row, ids in fit if ids and row.split == "heldout"][:HELDOUT_PROMPTS]
        encoder.check_left(self.prompts)
        encoder.say(run)
        self._schedule()
        self._prepare_updates()
        self.kl_coef = s.kl_coef
        self.scale: Scale | None = None  # until it is calibrated
        self.watchdog = Watchdog(s.kl_target, s.watchdog)
        self._kept: dict[tuple[int, ...], AnswerPass] = {}  # passes whose graph waits for the first update
        self.watch = SampleWatch(run, self.stack, [row.prompt for row in encoder.kept(rows) if row.split == "train"], self._marks)

    def _schedule(self) -> None:
        """Which prompts each batch practises on: all of them in a new order, again and again, K answers to each."""
        s = self.settings
        per_batch = max(1, s.batch_size // s.samples_per_prompt)
        self.total_steps = max(1, -(-s.episodes // (per_batch * s.samples_per_prompt)))
        passes = -(-self.total_steps * per_batch // len(self.prompts))
        order = [i for batch in epoch_batches(len(self.prompts), len(self.prompts), passes, s.seed) for i in batch]
        self.batches = [order[at : at + per_batch] for at in range(0, self.total_steps * per_batch, per_batch)]
        self.eval_every = -(-self.total_steps // PPO_LOOKS)

    def _prepare_updates(self) -> None:
        s = self.settings
        size = self.host.model.config.get_text_config().hidden_size
        self.value_head = torch.nn.Parameter(torch.zeros(1, size, device=self.device))
        parameters = {**self.stack.parameters}
        if s.baseline == "value":
            parameters[VALUE_HEAD] = self.value_head
        self.optimizer = policy_optimizer(parameters, s, self.total_steps * s.ppo_epochs * s.minibatches, {VALUE_HEAD: VALUE_RATE})
        self.trainable_parameters = sum(p.numel() for p in parameters.values())
        longest = Group(max((*self.prompts, *self.heldout), key=len), [[0] * s.max_new_tokens] * s.samples_per_prompt)
        self.budget = memory_budget(self.run, self.host, [longest])
        self.updater = Updater(self.run, self.optimizer, self.budget)

    @property
    def stop_reason(self) -> str:
        """Why the watchdog wants the run to end; empty while all is well."""
        return self.watchdog.reason

    def prepare(self, resumed: bool) -> None:  # noqa: D102
        self.watch.before(resumed)
        if not resumed:
            self._calibrate()

    def _calibrate(self) -> None:
        """Measure the scale on the reference's answers: the first batch may be of few prompts. In a short run it has to do."""
        s = self.settings
        count = calibration_answers(len(self.prompts), len(self.batches[0]), s.episodes)
        if not count:
            return
        chosen = epoch_batches(len(self.prompts), count, 1, s.seed)[0]
        groups, ended, _ = self._sample([self.prompts[i] for i in chosen], 1, s.seed)
        self._refuse_thoughts(groups)
        self._scores(groups, ended, self._raw_scores(groups)[0])

    def _refuse_thoughts(self, groups: Sequence[Group]) -> None:
        """Stop before anything is learned if the model thinks although its template knows no thoughts: it would practise them."""
        tokenizer, marks = self.host.base.tokenizer, tuple(mark for tags in TAGS for mark in tags.opens)
        texts = [tokenizer.decode(answer[:_FIRST_TOKENS]) for group in groups for answer in group.answers]
        if 2 * sum(text.lstrip().startswith(marks) for text in texts) > len(texts):
            said = "This model thinks before most answers, though its template says nothing of it: it would practise thoughts."
            raise ModelTrouble(said, "Teach by example first, or learn from your comparisons with DPO.")

    # --- one batch ----------------------------------------------------------------------------------------------------------------

    def step(self, index: int) -> dict[str, float]:  # noqa: D102
        s = self.settings
        prompts = [self.prompts[i] for i in self.batches[index]]
        answers = self._practise(prompts, s.samples_per_prompt, s.seed + 1 + index, update=index)
        if index == 0:
            self._refuse_thoughts(answers.groups)
        health = answers.health
        if index == 0:
            self.watchdog.set_reference(health)
            self._consider_heldout()
        elif not self.heldout:
            self.watchdog.consider(float(answers.scores.mean()), health, self.optimizer.masters)
        self._obey_watchdog(health)
        if self.stop_reason:
            return self._metrics(answers, health, {})
        updates = self._update(answers, index)
        self.kl_coef = steer_kl(self.kl_coef, health.kl, s.kl_target)
        self.counts.examples += len(answers.ended)
        self.counts.tokens += sum(group.tokens for group in answers.groups)
        return self._metrics(answers, health, updates)

    def _practise(self, prompts: Sequence[list[int]], k: int, seed: int, *, update: int | None = None) -> Answers:
        """Sample K answers a prompt, score them, and pass once under reference and policy.

        The passes that update number `update` begins with keep their graph for it; nothing else keeps a gradient.
        """
        s = self.settings
        groups, ended, sampled = self._sample(prompts, k, seed)
        micro = list(self.budget.cut(groups, self._minibatch_tokens(groups)))
        raw, disagreement = self._raw_scores(groups)
        if update is not None and self.scale:
            self.scale.follow([len(answer) for group in groups for answer in group.answers])
        scores = self._scores(groups, ended, raw)
        bad_parts = s.part_penalty * self.reward.part_penalties(groups)
        reference = self._passes(groups, micro, self.stack.reference, entropy=False)[0]
        keep = [] if update is None else self._minibatches(micro, update, epoch=0)[0]
        logprobs, values, entropy = self._passes(groups, micro, self.stack.policy, entropy=True, keep=keep)
        mismatch = float((logprobs - sampled).abs().mean())
        return Answers(groups, micro, ended, raw, disagreement, scores, bad_parts, logprobs, reference, values, entropy, mismatch)

    def _sample(self, prompts: Sequence[list[int]], k: int, seed: int) -> tuple[list[Group], Tensor, Tensor]:
        """K answers to each prompt, drawn at the practice temperature without top-k or top-p.

        Returns:
            The answers; which of them ended, (E,); the sampler's log-probabilities, (N,).
        """
        s = self.settings
        with self.host.fused(self.stack.policy):
            mine = sample(
                self.host.model,
                prompts=prompts,
                k=k,
                sampling=Sampling(temperature=s.temperature, top_p=1.0, max_new_tokens=s.max_new_tokens),
                end_ids=self.host.base.end_ids,
                pad_id=self.host.base.pad_id,
                generator=torch.Generator().manual_seed(seed),
                max_rows=self.rows,
                only=self.run.cohort.share(range(len(prompts))),
                with_logprobs=True,
                on_fewer=self._answer_fewer,
            )
        answers = sorted((a for part in self.run.cohort.gather(mine) for a in part), key=lambda a: (a.prompt, a.completion))
        groups = [Group(prompt, [a.ids for a in answers if a.prompt == j]) for j, prompt in enumerate(prompts)]
        logprobs = torch.tensor([value for a in answers for value in a.logprobs])
        return groups, torch.tensor([a.finish == "end" for a in answers]), logprobs

    def _answer_fewer(self, rows: int) -> None:
        """Memory has run out: the batches to come begin with as many answers as fitted."""
        self.rows = rows
        self.run.say_fewer(rows)

    def _raw_scores(self, groups: Sequence[Group]) -> tuple[Tensor, float]:
        """The reward model's own scores (E,), pessimistic over its members, and the mean spread of these."""
        scores, spread = pessimistic_scores(self._member_scores(groups), self.settings.reward_std_coef)
        return scores, float(spread.mean())

    def _scores(self, groups: Sequence[Group], ended: Tensor, raw: Tensor) -> Tensor:
        """Normalised, clipped, penalised scores (E,). The first answers ever scored set the scale."""
        s = self.settings
        lengths = torch.tensor([len(answer) for group in groups for answer in group.answers])
        fresh = self.scale is None
        scale = self.scale = self.scale or Scale.of(raw, lengths)
        prices = scale.length_penalty(lengths, s.length_penalty)
        scores = penalised_scores(scale.normalise(raw), ended, prices, clip=s.score_clip, missing_end=s.missing_end_penalty)
        if fresh:
            scale.reward = float(scores.mean())
        return scores

    def _member_scores(self, groups: Sequence[Group]) -> Tensor:
        """(M, E) scores by every member of the reward model."""
        cohort = self.run.cohort
        share = list(cohort.share(range(len(groups))))
        mine: dict[int, Tensor] = {}
        if share:
            sizes = [len(groups[i].answers) for i in share]
            mine = dict(zip(share, torch.split(self.reward.score_groups([groups[i] for i in share]), sizes, dim=1), strict=True))
        everyone = {i: part for parts in cohort.gather(mine) for i, part in parts.items()}
        return torch.cat([everyone[i] for i in range(len(groups))], dim=1)

    def _marks(self, answers: Sequence[tuple[list[int], list[int]]]) -> list[float]:
        """What the reward model says of (prompt, answer) pairs, the mean over its members."""
        scores: list[float] = self.reward.score_groups([Group(prompt, [answer]) for prompt, answer in answers]).mean(0).tolist()
        return scores

    def _minibatch_tokens(self, groups: Sequence[Group]) -> int:
        """A token budget that gives every minibatch at least one micro-batch."""
        widest = max(group.tokens_on(self.budget.plan.road) for group in groups)
        return widest * max(1, len(groups) // self.settings.minibatches)

    def _passes(
        self,
        groups: Sequence[Group],
        micro: Sequence[list[int]],
        adapters: Sequence[str],
        *,
        entropy: bool,
        keep: Sequence[list[int]] = (),
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities, values and entropies (N,) of all answers, in the order of the groups, on the CPU."""
        self.host.activate(adapters)
        self._kept = {}
        mine: dict[int, Tensor] = {}

        def work(picks: list[int]) -> None:
            batch = self._collate([groups[i] for i in picks])
            kept_tokens = sum(tokens_on(self.budget.plan.road, [groups[i] for i in kept]) for kept in (*self._kept, picks))
            keeps = picks in keep and kept_tokens <= KEPT_TOKENS
            with torch.set_grad_enabled(keeps):
                result = answer_pass(self.host.model, batch, self.settings.temperature, entropy=entropy)
            if keeps:
                self._kept[tuple(picks)] = result
            parts = torch.stack([result.logprobs, self._values(result), result.entropy]).detach()  # (3, n)
            sizes = [sum(map(len, groups[i].answers)) for i in picks]
            mine.update(zip(picks, torch.split(parts, sizes, dim=1), strict=True))

        self.budget.run(groups, work, batches=self.run.cohort.share(micro))
        everyone = {i: part for parts in self.run.cohort.gather(_on_cpu(mine)) for i, part in parts.items()}
        logprobs, values, entropies = torch.cat([everyone[i] for i in range(len(groups))], dim=1)
        return logprobs, values, entropies

    def _collate(self, groups: Sequence[Group]) -> TreeBatch:
        return collate(groups, self.device)

    def _values(self, result: AnswerPass) -> Tensor:
        return (result.before.float() @ self.value_head.t()).squeeze(-1) + (self.scale.reward if self.scale else 0.0)  # (N,)

    # --- updates ------------------------------------------------------------------------------------------------------------------

    def _update(self, answers: Answers, index: int) -> dict[str, float]:
        """`ppo_epochs` passes over the batch, each in `minibatches` updates. Returns the mean of each update's numbers."""
        s = self.settings
        advantages, returns = answers.advantages(s.baseline, self.kl_coef, s.gae_lambda)
        self.host.activate(self.stack.policy)
        seen: list[dict[str, float]] = []
        for epoch in range(s.ppo_epochs):
            for micro in self._minibatches(answers.micro, index, epoch):
                seen.append(self._minibatch(answers, micro, advantages, returns))
        means = {name: sum(values[name] for values in seen) / len(seen) for name in seen[0]}
        if s.baseline == "value":
            means["value/explained"] = explained(answers.values, returns)
        return {**means, "policy/first_ratio_error": seen[0]["policy/ratio_error"]}

    def _minibatches(self, micro: Sequence[list[int]], index: int, epoch: int) -> list[list[list[int]]]:
        """The micro-batches of each update of an epoch, in a seeded order."""
        s = self.settings
        size = -(-len(micro) // s.minibatches)
        seed = s.seed + 7919 * (index * s.ppo_epochs + epoch)
        return [[micro[i] for i in chosen] for chosen in epoch_batches(len(micro), size, 1, seed)]

    def _minibatch(self, answers: Answers, micro: Sequence[list[int]], advantages: Tensor, returns: Tensor) -> dict[str, float]:
        """One optimiser step on some of the micro-batches."""
        s = self.settings
        spans = answers.spans
        count = sum(len(spans[i]) for picks in micro for i in picks)
        known = torch.stack([answers.logprobs, advantages, returns, answers.values])  # (4, N)

        def loss_of(picks: list[int]) -> tuple[Tensor, Numbers]:
            tokens = torch.tensor([t for i in picks for t in spans[i]])
            old, aimed, goal, before = send(known[:, tokens], self.device)
            result = self._kept.pop(tuple(picks), None)
            if result is None:
                batch = self._collate([answers.groups[i] for i in picks])
                result = answer_pass(self.host.model, batch, s.temperature, entropy=False)
            policy, ratio, clipped = ppo_policy_loss(result.logprobs, old, aimed, s.clip_range)
            loss = policy.sum() / count
            numbers = {
                "loss/policy": loss.detach(),
                "policy/clipfrac": clipped.float().sum() / count,
                "policy/ratio_error": (ratio - 1).abs().max(),
            }
            if s.baseline == "value":
                value = ppo_value_loss(self._values(result), before, goal, s.value_clip).sum() / count
                loss = loss + s.value_coef * value
                numbers["loss/value"] = value.detach()
            return loss, numbers

        numbers = self.updater.step_in(answers.groups, micro, loss_of, peaks=["policy/ratio_error"])
        self._kept.clear()  # what this update did not use was made with parameters that are gone now
        return numbers

    # --- the watchdog -------------------------------------------------------------------------------------------------------------

    def _obey_watchdog(self, health: Health) -> None:
        verdict = self.watchdog.look(health)
        if verdict.action == "slow":
            self.optimizer.scale *= LOWER
        if verdict.action == "stop":
            self._fall_back()
        elif verdict.action != "none":  # the loop itself says why a run was stopped
            self.run.emit("warning", code=f"watchdog/{verdict.code}", message=verdict.sentence)

    def _fall_back(self) -> None:
        """Return to the parameters whose held-out answers were healthy and scored best."""
        for name, tensor in self.watchdog.best.items():
            self.optimizer.masters[name].detach().copy_(tensor)
        self.optimizer.publish()

    def _consider_heldout(self) -> dict[str, float]:
        """Answer the held-out prompts; these parameters are the ones to fall back to if nothing better was seen."""
        if not self.heldout:
            return {}
        answers = self._practise(self.heldout, 1, self.settings.seed)
        health, score = answers.health, float(answers.scores.mean())
        self.watchdog.consider(score, health, self.optimizer.masters)
        return {
            "eval/scores": score,
            "eval/kl": health.kl,
            "eval/length": health.length,
            "eval/ended": health.ended,
            "eval/distinct_2": health.distinct_2,
            "eval/disagreement": health.disagreement,
        }

    # --- reports ------------------------------------------------------------------------------------------------------------------

    def _metrics(self, answers: Answers, health: Health, updates: dict[str, float]) -> dict[str, float]:
        assert self.scale is not None  # the answers have scores
        return {
            "objective/scores": float(self.scale.normalise(answers.raw_scores).mean()),
            "objective/rlhf_reward": float(answers.scores.mean() - self.kl_coef * answers.kl.mean()),
            "objective/kl": health.kl,
            "objective/kl_coef": self.kl_coef,
            "objective/disagreement": health.disagreement,
            "objective/bad_parts": float(answers.badness.mean()),
            "policy/entropy": health.entropy,
            "policy/sampler_mismatch": answers.mismatch,
            "length": health.length,
            "ended": health.ended,
            "distinct_2": health.distinct_2,
            "repeated": health.repeated,
            **updates,
        }

    def evaluate(self, step: int) -> dict[str, float]:  # noqa: D102
        last = step == self.total_steps
        if last and (reason := self.watchdog.end()):
            self._fall_back()
            self.run.emit("warning", code="watchdog", message=reason)
        self.watch.now(step, last=last)
        return self._consider_heldout()

    def tensors(self) -> dict[str, Tensor]:  # noqa: D102
        return {**self.optimizer.state(), **{f"best.{name}": t for name, t in self.watchdog.best.items()}}

    def extras(self) -> dict[str, Any]:  # noqa: D102
        return {"kl_coef": self.kl_coef, "scale": asdict(self.scale) if self.scale else None, "watchdog": self.watchdog.state()}

    def load(self, tensors: Mapping[str, Tensor], extras: Mapping[str, Any]) -> None:  # noqa: D102
        self.optimizer.load(tensors)
        self.kl_coef, self.scale = extras["kl_coef"], Scale(**extras["scale"]) if extras["scale"] else None
        best = {name.removeprefix("best."): t for name, t in tensors.items() if name.startswith("best.")}
        self.watchdog.load(extras["watchdog"], best)

    def write_result(self, folder: Path) -> None:  # noqa: D102
        self.stack.write(folder, self.optimizer.masters)


def _on_cpu(parts: Mapping[int, Tensor]) -> dict[int, Tensor]:
    """Parts (3, n), brought over in one copy."""
    if not parts:
        return {}
    whole = torch.cat(list(parts.values()), dim=1).cpu()
    return dict(zip(parts, torch.split(whole, [part.shape[1] for part in parts.values()], dim=1), strict=True))
