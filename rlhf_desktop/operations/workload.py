"""What a run will do: its rows, cut and packed as the trainers do it, and its passes through the model in their order.

Memory and time of a run are counted from here (`estimated_memory`, `estimated_time`). Nothing is random but the order of the rows:
answers that PPO will sample are as long as this model talks, or a usual share of the longest allowed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from random import Random
from typing import Any, Literal

from rlhf_desktop.core.measures import Road, RowSize
from rlhf_desktop.core.passes import HELDOUT_PROMPTS, KEPT_TOKENS, PPO_LOOKS, WASTE, cut_passes, plateau_tokens
from rlhf_desktop.core.recipes import Algorithm, DpoSettings, KtoSettings, PpoSettings, RewardSettings, SftSettings, make_settings
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.operations.fitting import fitted
from rlhf_desktop.operations.model_shape import model_shape, number_bytes, scorers

WATCHED_TOKENS = 96  # longest watched answer
CALIBRATED_ROWS = 32  # a reward model's scores are scaled by so many (as `training.reward`)
_USUAL_ANSWER_SHARE = 0.6  # of the longest allowed, where nothing was measured


@dataclass(frozen=True)
class RunPlan:
    """A run as the start panel holds it, before it is queued."""

    algorithm: Algorithm
    base: ModelRef
    settings: dict[str, Any] = field(default_factory=dict)
    start: AdapterRef | None = None
    reward: AdapterRef | None = None


@dataclass(frozen=True)
class RowSizes:
    """Tokens of what a run learns from and of what is held out."""

    train: tuple[RowSize, ...]
    heldout: tuple[RowSize, ...] = ()


@dataclass(frozen=True)
class Pass:
    """One pass through the model."""

    kind: Literal["forward", "train"]
    tokens: int
    batch: int = 0  # of PPO's answers: their lengths are others each time, so no size of one batch comes again in the next


@dataclass(frozen=True)
class Practice:
    """PPO's batches: prompts are answered, and the answers learned from. Every batch is counted as the first."""

    settings: PpoSettings
    rows: list[RowSize]  # the prompts of a batch with their answers, …
    micro: list[list[RowSize]]  # … and its micro-batches

    @property
    def prompts(self) -> int:
        """Prompts of a batch."""
        return max(1, self.settings.batch_size // self.settings.samples_per_prompt)

    @property
    def batches(self) -> int:
        """Batches of the run."""
        return max(1, ceil(self.settings.episodes / (self.prompts * self.settings.samples_per_prompt)))

    @property
    def updates(self) -> int:
        """Optimiser updates of the run."""
        return self.batches * self.settings.ppo_epochs * self.settings.minibatches

    @property
    def kept(self) -> list[list[RowSize]]:
        """The first update's passes that are kept from when the answers were looked at."""
        kept: list[list[RowSize]] = []
        tokens = 0
        for part in self.micro[: ceil(len(self.micro) / self.settings.minibatches)]:
            if tokens + row_tokens(part) <= KEPT_TOKENS:
                kept.append(part)
                tokens += row_tokens(part)
        return kept


class Workload:
    """One plan, taken apart into passes.

    `train` and `heldout` are the rows as they are learned from; `budget` is the tokens of a micro-batch that keeps gradients;
    `members` are the scorers of a reward model, learned or practised against; `practice` is None but for PPO.

    Args:
        plan: What is asked for.
        sizes: Tokens of the feedback.
        device: What the probe said: "device" and "fast_dtype".
        answer_tokens: How long a few answers of this model were; none where nothing was measured.
        free_bytes: Memory that is free where the model will be; None where that is not known.
        road: That the trainers take with the model.

    Raises:
        BadInput: a setting that does not work.
        ModelTrouble: the model's shape cannot be read.
    """

    def __init__(
        self,
        plan: RunPlan,
        sizes: RowSizes,
        device: dict[str, Any],
        *,
        answer_tokens: Sequence[int] = (),
        free_bytes: int | None = None,
        road: Road = "fast",
    ) -> None:
        self.plan, self.road = plan, road
        self.settings = s = make_settings(plan.algorithm, plan.settings)
        self.shape = model_shape(plan.base)
        self.device = str(device.get("device", "cpu"))
        self.dtype = s.dtype if s.dtype != "auto" else str(device.get("fast_dtype", "float32"))
        self.number_bytes = number_bytes(self.dtype)
        self.members = s.ensemble if isinstance(s, RewardSettings) else scorers(plan.reward)
        self._talks = answer_tokens
        self.train = [found for row in sizes.train if (found := fitted(row, s))]
        self.heldout = [found for row in sizes.heldout if (found := fitted(row, s))]
        if isinstance(s, PpoSettings):
            self.train = [self._practised(row, s, s.samples_per_prompt) for row in self.train]
            self.heldout = [self._practised(row, s, 1) for row in self.heldout[:HELDOUT_PROMPTS]]
        self.budget, self.checkpointing = self._budget(free_bytes)
        self.practice = self._practice(s) if isinstance(s, PpoSettings) else None

    @property
    def shape_bytes(self) -> int:
        """Of the loaded model, by its shape."""
        return self.shape.loaded_bytes(self.number_bytes, self.device, quantized=self.settings.quantization == "4bit")

    @property
    def scoring_budget(self) -> int:
        """Tokens of a pass that keeps no gradients."""
        return 3 * self.budget if self.plan.algorithm in ("reward", "ppo") else self.budget

    @property
    def updates(self) -> int:
        """Optimiser updates of the run (of each member)."""
        if self.practice:
            return self.practice.updates
        return self.settings.epochs * ceil(len(self.train) / self.settings.batch_size)

    @property
    def tokens(self) -> int:
        """Tokens the run learns from, passes counted, padding not."""
        total = row_tokens(self.train)
        if self.practice:
            return round(total / max(1, len(self.train)) * self.practice.prompts * self.practice.batches)
        return total * self.settings.epochs

    def answer_tokens(self, most: int) -> float:
        """How long an answer is, when at most so many tokens are allowed."""
        if not self._talks:
            return _USUAL_ANSWER_SHARE * most
        return sum(min(length, most) for length in self._talks) / len(self._talks)

    def longest_answer(self, most: int) -> int:
        """How long the longest of several answers is, when at most so many tokens are allowed."""
        return most if not self._talks else max(min(length, most) for length in self._talks)

    def micro_batches(self, batch: int, seed: int = 0) -> list[list[RowSize]]:
        """What is learned from, once, in micro-batches: batches in a random order, alike lengths together within each."""
        order = list(self.train)
        Random(seed).shuffle(order)
        found: list[list[RowSize]] = []
        for at in range(0, len(order), batch):
            found += self.cut(order[at : at + batch], self.budget)
        return found

    def cut(self, rows: Sequence[RowSize], budget: int) -> list[list[RowSize]]:
        """Micro-batches of some rows on the run's road."""
        return packed(rows, budget, self.road)

    def passes(self) -> list[Pass]:
        """Every pass of the run, in about its order."""
        return self._practice_passes(self.practice) if self.practice else self._learning_passes()

    def _practised(self, row: RowSize, s: PpoSettings, k: int) -> RowSize:
        """A prompt with the answers that will be sampled to it."""
        return RowSize(prompt=row.prompt, answers=[round(self.answer_tokens(s.max_new_tokens))] * k)

    def _budget(self, free_bytes: int | None) -> tuple[int, bool]:
        """Tokens of a micro-batch and whether gradients are checkpointed: planned as the trainer does."""
        longest = max((row.tokens_on(self.road) for row in (*self.train, *self.heldout)), default=1)
        widest = max((row.widest for row in (*self.train, *self.heldout)), default=1)
        if free_bytes is None:
            return max(longest, plateau_tokens(self.device)), False
        cut = cut_passes(
            self.shape.trunk,
            free_bytes=free_bytes - self.shape_bytes,
            vocabulary=self.shape.vocabulary,
            longest=longest,
            number_bytes=self.number_bytes,
            device=self.device,
            rank=self.settings.lora_rank,
            width=widest if self.road == "general" else None,
        )
        return (cut.tokens, cut.checkpointing) if cut else (longest, True)

    def _practice(self, s: PpoSettings) -> Practice:
        rows = [self.train[i % len(self.train)] for i in range(max(1, s.batch_size // s.samples_per_prompt))]
        widest = max(row.tokens_on(self.road) for row in rows)
        return Practice(s, rows, self.cut(rows, min(self.budget, widest * max(1, len(rows) // s.minibatches))))

    def _learning_passes(self) -> list[Pass]:
        s = self.settings
        found: list[Pass] = []
        checked = _forwards(self.heldout, self.scoring_budget)
        if isinstance(s, DpoSettings | KtoSettings):
            found += _forwards([*self.train, *self.heldout], self.budget)
        if isinstance(s, SftSettings):
            found += checked
        members = self.members if isinstance(s, RewardSettings) else 1
        for epoch in range(s.epochs):
            for member in range(members):
                micro = self.micro_batches(s.batch_size, seed=epoch * members + member)
                found += [Pass("train", row_tokens(part)) for part in micro]
            found += checked
        if isinstance(s, RewardSettings):
            found += _forwards(self.train[:CALIBRATED_ROWS], self.scoring_budget)
        return found

    def _practice_passes(self, practice: Practice) -> list[Pass]:
        """Each batch is looked at, then learned from; the looks at held-out prompts are counted after them."""
        found: list[Pass] = []
        looks = 1 + min(PPO_LOOKS, practice.batches) if self.heldout else 0
        epochs = practice.settings.ppo_epochs
        for batch in range(practice.batches):
            found += _forwards(practice.rows, self.scoring_budget, batch)
            found += [Pass("train", row_tokens(part), batch) for part in practice.micro for _ in range(epochs)]
        for look in range(looks):
            found += _forwards(self.heldout, self.budget, -1 - look)
        return found


def packed(rows: Sequence[RowSize], budget: int, road: Road = "fast") -> list[list[RowSize]]:
    """Micro-batches within a token budget, the longest rows first (as `training.batch.micro_batches`)."""
    found: list[list[RowSize]] = []
    taken = 0  # tokens on the fast road, rows on the general one
    for row in sorted(rows, key=lambda row: -(row.tokens if road == "fast" else row.widest)):
        more = row.tokens if road == "fast" else len(row.answers)
        if not (found and _fits(found[-1], taken + more, budget, road)):
            found.append([])
            taken = 0
        found[-1].append(row)
        taken += more
    return found


def _fits(part: Sequence[RowSize], taken: int, budget: int, road: Road) -> bool:
    """Whether one row more, with which so much is taken, is within the budget."""
    if road == "fast":
        return taken <= budget and part[0].tokens * (len(part) + 1) <= WASTE * budget
    return taken * part[0].widest <= budget


def row_tokens(rows: Sequence[RowSize]) -> int:
    """Tokens of all the rows."""
    return sum(row.tokens for row in rows)


def _forwards(rows: Sequence[RowSize], budget: int, batch: int = 0) -> list[Pass]:
    return [Pass("forward", row_tokens(part), batch) for part in packed(rows, budget)]
