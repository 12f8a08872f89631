"""Memory and time of a run, before it starts: from the model's shape, the settings, the tokens of the feedback and measured rates.

Memory is what is in the process at its fullest moment: the loaded model, the adapters with their optimiser (two bytes to compute
in, sixteen for float32 copies, gradients and moments), and either a training pass or a batch of answers being sampled, whichever
is more. A training pass holds, for each token and layer, what backward needs: about b·(16·hidden + 4·key-values + 4·intermediate)
bytes in b-byte numbers with LoRA on every linear layer, and for attention b·heads·width of the row. Time adds up passes, each a
line in its tokens with measured ends and attention by the square of a row's width (`worker calibrate`), answer tokens through the
vocabulary head, decoding steps and optimiser updates.

On a CPU in bfloat16 oneDNN compiles each matrix product anew for each number of tokens and keeps about a thousand of them: 14 MiB
for each different pass, at most 1.15 GiB (fitted on five runs of the starter model). Feedback has few rows of one length, so most
passes of a run are of a size that is not there yet; how much longer those take is measured too, and counted over the run's passes
in their order.

Left out: other programs, which take what they take.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from random import Random
from typing import Any, Literal

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.measures import Rates, RowSize
from rlhf_desktop.core.passes import (
    HEAD_CHUNK_BYTES,
    HELDOUT_PROMPTS,
    KEPT_TOKENS,
    PLATEAU_TOKENS,
    PPO_LOOKS,
    WASTE,
    activation_bytes,
    micro_batch,
    usable_bytes,
)
from rlhf_desktop.core.recipes import (
    Algorithm,
    CommonSettings,
    DpoSettings,
    KtoSettings,
    PpoSettings,
    RewardSettings,
    SftSettings,
    make_settings,
)
from rlhf_desktop.core.runs import AdapterRef, ModelRef

GIB = 1024**3
SOFTWARE_BYTES = int(0.45 * GIB)  # of a process that has imported torch and transformers
OPTIMIZER_BYTES = 16
FOUR_BIT_BYTES = 0.52  # a weight in NF4 with its share of the scales
WATCHED_TOKENS = 96  # longest watched answer
WATCH_SHARE = 0.05
USUAL_ANSWER_SHARE = 0.6  # of the longest allowed, where nothing was measured
KERNEL_BYTES = 14 * 1024**2  # oneDNN compiles each product anew for each number of tokens, and keeps what it compiled …
KERNELS_MOST_BYTES = int(1.15 * GIB)  # … up to 1,024 of them; in bfloat16 on a CPU only
SIZES_KEPT = KERNELS_MOST_BYTES // KERNEL_BYTES
CALIBRATED_ROWS = 32  # a reward model's scores are scaled by so many (as `training.reward`)
JOINED_SHARE = 1.33  # of the layers' bytes, once packed with an adapter below them: rows are filled up to whole blocks
SLACK = 1.08  # what allocators keep back
_NUMBER_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class ModelShape:
    """What a model's config.json says of its size. `parameters` is the number of weights; tied embeddings count once."""

    hidden: int
    layers: int
    heads: int
    key_values: int  # width of keys and values together in one layer's projections, each
    intermediate: int
    vocabulary: int
    parameters: int
    linear_parameters: int  # of them in the linear layers

    def adapter_parameters(self, rank: int) -> int:
        """Of a LoRA adapter on every linear layer of a Llama-like model."""
        ends = 2 * (self.hidden + self.hidden) + 2 * (self.hidden + self.key_values) + 3 * (self.hidden + self.intermediate)
        return rank * ends * self.layers

    def activation_bytes(self, number_bytes: int, *, checkpointing: bool = False) -> int:
        """Bytes a token of a training pass holds until backward."""
        return activation_bytes(
            hidden=self.hidden,
            layers=self.layers,
            key_values=self.key_values,
            intermediate=self.intermediate,
            number_bytes=number_bytes,
            checkpointing=checkpointing,
        )


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
class Estimate:
    """What a run will take. `fits` is None when the free memory is not known; `wall_s` when nothing was measured."""

    peak_bytes: int
    wall_s: float | None
    tokens: int
    parts: dict[str, int]  # bytes by what they are for: model, adapters, working, joined for sampling, compiled products
    phases: dict[str, float]  # seconds by what they are for
    free_bytes: int | None

    @property
    def fits(self) -> bool | None:
        """Whether the memory is free now."""
        return None if self.free_bytes is None else self.peak_bytes <= self.free_bytes

    @property
    def sentence(self) -> str:
        """In words: “About 1.9 GB and 6 min; 31 GB are free.”."""
        said = f"About {self.peak_bytes / 1e9:.1f} GB"
        if self.wall_s is not None:
            said += f" and {_minutes(self.wall_s)}"
        return said + (f"; {self.free_bytes / 1e9:.0f} GB are free." if self.free_bytes is not None else ".")


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{max(5, round(seconds / 5) * 5)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def model_shape(base: ModelRef) -> ModelShape:
    """The shape of a transformers folder, without loading it.

    Raises:
        ModelTrouble: config.json is missing or does not describe a language model like Llama.
    """
    try:
        config = json.loads((Path(base.path) / "config.json").read_bytes())
        config = config.get("text_config", config)
        hidden, heads, layers = config["hidden_size"], config["num_attention_heads"], config["num_hidden_layers"]
    except (OSError, ValueError, KeyError, AttributeError) as problem:
        hint = "Add the model again, or choose another."
        raise ModelTrouble(f"The size of “{base.name}” cannot be read from its folder.", hint, str(problem)) from None
    head = config.get("head_dim") or hidden // heads
    key_values = head * (config.get("num_key_value_heads") or heads)
    intermediate, vocabulary = config.get("intermediate_size") or 4 * hidden, config["vocab_size"]
    layer = 2 * hidden * hidden + 2 * hidden * key_values + 3 * hidden * intermediate
    words = vocabulary * hidden * (1 if config.get("tie_word_embeddings", False) else 2)
    norms = hidden * (2 * layers + 1)
    return ModelShape(
        hidden,
        layers,
        heads,
        key_values,
        intermediate,
        vocabulary,
        layers * layer + words + norms,
        layers * layer + vocabulary * hidden,
    )


def estimate(
    plan: RunPlan, sizes: RowSizes, device: dict[str, Any], rates: Rates | None = None, *, free_bytes: int | None = None
) -> Estimate:
    """Memory and time of a run. Instant, so it may follow every keystroke of a form.

    Args:
        plan: What is asked for.
        sizes: Tokens of the feedback; `jobs.measuring.check_model` counts them.
        device: What the probe said: "device" and "fast_dtype".
        rates: Of this model on this computer; without them there is no time.
        free_bytes: Memory that is free where the model will be.

    Raises:
        BadInput: a setting that does not work.
        ModelTrouble: the model's shape cannot be read.
    """
    settings = make_settings(plan.algorithm, plan.settings)
    work = _Work(plan, settings, sizes, model_shape(plan.base), device, rates, free_bytes)
    parts = work.memory()
    phases = work.time(rates) if rates else {}
    return Estimate(
        peak_bytes=sum(parts.values()),
        wall_s=sum(phases.values()) if rates else None,
        tokens=work.tokens,
        parts=parts,
        phases=phases,
        free_bytes=free_bytes,
    )


Pass = tuple[Literal["forward", "train"], int, int]  # tokens, and which batch of answers it belongs to where they differ


class _Work:
    """One plan, taken apart into passes."""

    def __init__(
        self,
        plan: RunPlan,
        settings: CommonSettings,
        sizes: RowSizes,
        shape: ModelShape,
        device: dict[str, Any],
        rates: Rates | None,
        free_bytes: int | None,
    ) -> None:
        self.plan, self.settings, self.shape = plan, settings, shape
        self.train = [_cut(row, settings.max_length) for row in sizes.train]
        self.heldout = [_cut(row, settings.max_length) for row in sizes.heldout]
        self.kind = str(device.get("device", "cpu"))
        self.dtype = settings.dtype if settings.dtype != "auto" else str(device.get("fast_dtype", "float32"))
        self.number_bytes = _NUMBER_BYTES.get(self.dtype, 4)
        self.talks = rates.answer_tokens if rates else []
        self.members = settings.ensemble if isinstance(settings, RewardSettings) else _members(plan.reward)
        if isinstance(settings, PpoSettings):
            self.train = [self._practised(row, settings, settings.samples_per_prompt) for row in self.train]
            self.heldout = [self._practised(row, settings, 1) for row in self.heldout[:HELDOUT_PROMPTS]]
        self.budget, self.checkpointing = self._budget(free_bytes)
        measured = rates is not None and rates.dtype == self.dtype and settings.quantization == "none"
        self.loaded_bytes = rates.loaded_bytes if rates and measured else self._loaded()

    def _loaded(self) -> int:
        weights, quantized = self.shape.parameters * self.number_bytes, self.settings.quantization == "4bit"
        if quantized:
            weights -= int(self.shape.linear_parameters * (self.number_bytes - FOUR_BIT_BYTES))
        if self.kind != "cpu":
            return weights
        packed = self.number_bytes == 2 and not quantized  # the linear layers a second time, laid out for the processor
        return SOFTWARE_BYTES + weights + packed * self.shape.linear_parameters * self.number_bytes

    def _practised(self, row: RowSize, s: PpoSettings, k: int) -> RowSize:
        """A prompt with the answers that will be sampled to it."""
        return RowSize(prompt=row.prompt, answers=[round(self._answer_tokens(s.max_new_tokens))] * k)

    def _answer_tokens(self, most: int) -> float:
        """How long an answer is, when at most so many tokens are allowed."""
        if not self.talks:
            return USUAL_ANSWER_SHARE * most
        return sum(min(length, most) for length in self.talks) / len(self.talks)

    def _budget(self, free_bytes: int | None) -> tuple[int, bool]:
        """Tokens of a micro-batch and whether gradients are checkpointed: planned as the trainer does."""
        longest = max((row.tokens for row in (*self.train, *self.heldout)), default=1)
        if free_bytes is None:
            return max(longest, PLATEAU_TOKENS.get(self.kind, PLATEAU_TOKENS["cpu"])), False
        usable = usable_bytes(free_bytes - self._loaded(), self.shape.vocabulary)
        plain, checkpointed = (self.shape.activation_bytes(self.number_bytes, checkpointing=c) for c in (False, True))
        return micro_batch(plain, checkpointed, usable, longest, self.kind) or (longest, True)

    # --- how much work ----------------------------------------------------------------------------------------------------------

    @property
    def updates(self) -> int:
        """Optimiser updates of the run (of each member)."""
        s = self.settings
        if isinstance(s, PpoSettings):
            return self._ppo_batches(s) * s.ppo_epochs * s.minibatches
        return s.epochs * ceil(len(self.train) / s.batch_size)

    @property
    def tokens(self) -> int:
        """Tokens the run learns from, passes counted, padding not."""
        s = self.settings
        total = sum(row.tokens for row in self.train)
        if isinstance(s, PpoSettings):
            per_batch = max(1, s.batch_size // s.samples_per_prompt)
            return round(total / max(1, len(self.train)) * per_batch * self._ppo_batches(s))
        return total * s.epochs

    @staticmethod
    def _ppo_batches(s: PpoSettings) -> int:
        per_batch = max(1, s.batch_size // s.samples_per_prompt) * s.samples_per_prompt
        return max(1, ceil(s.episodes / per_batch))

    def _micro(self, rows: Sequence[RowSize], batch: int, budget: int, seed: int = 0) -> list[list[RowSize]]:
        """One pass over the rows in micro-batches: batches in a random order, alike lengths together within each."""
        order = list(rows)
        Random(seed).shuffle(order)
        found: list[list[RowSize]] = []
        for at in range(0, len(order), batch):
            found += _packed(order[at : at + batch], budget)
        return found

    # --- memory -----------------------------------------------------------------------------------------------------------------

    def memory(self) -> dict[str, int]:
        """Bytes at the fullest moment."""
        s, shape, b = self.settings, self.shape, self.number_bytes
        trained = shape.adapter_parameters(s.lora_rank) * (self.members if self.plan.algorithm == "reward" else 1)
        frozen = shape.adapter_parameters(_rank(self.plan.start)) if self.plan.start else 0
        if self.plan.algorithm == "ppo":
            frozen += self.members * shape.adapter_parameters(_rank(self.plan.reward))
        adapters = trained * (2 * b + OPTIMIZER_BYTES) + frozen * b
        return {
            "model": self.loaded_bytes,
            "adapters": adapters,
            "working": round(SLACK * max(self._pass_bytes(), self._sampling_bytes())),
            "joined for sampling": self._joined_bytes(),
            "compiled products": self._kernel_bytes(),
        }

    def _pass_bytes(self) -> int:
        """The largest micro-batch of a training pass."""
        size = self.settings.batch_size if not isinstance(self.settings, PpoSettings) else len(self.train)
        micro = self._micro(self.train, max(1, size), self.budget)
        each = self.shape.activation_bytes(self.number_bytes, checkpointing=self.checkpointing)
        layers = 1 if self.checkpointing else self.shape.layers
        widest = 0
        for rows in micro:
            width, tokens = rows[0].tokens, sum(row.tokens for row in rows)
            attention = layers * self.shape.heads * self.number_bytes * width * width * len(rows)
            widest = max(widest, tokens * each + attention)
        if isinstance(self.settings, PpoSettings):
            widest = max(widest, self._kept_tokens(self.settings) * each)
        head = 0 if self.plan.algorithm == "reward" else HEAD_CHUNK_BYTES * self.shape.vocabulary
        return widest + head

    def _kept_tokens(self, s: PpoSettings) -> int:
        """Of the first update's passes, which are kept from when the answers were looked at."""
        micro = self._practice(s)[1]
        kept = 0
        for part in micro[: ceil(len(micro) / s.minibatches)]:
            kept += _tokens(part) if kept + _tokens(part) <= KEPT_TOKENS else 0
        return kept

    def _joined_bytes(self) -> int:
        """For sampling, the layers are packed a second time with the adapters below them; what they took is rarely used again."""
        samples = self.plan.algorithm == "ppo" or (self.plan.algorithm != "reward" and self.settings.watched_prompts > 0)
        packed = self.kind == "cpu" and self.number_bytes == 2 and self.settings.quantization == "none"
        if not (samples and packed):
            return 0
        layers = self.shape.linear_parameters - self.shape.vocabulary * self.shape.hidden
        return int(JOINED_SHARE * self.number_bytes * layers)

    def _kernel_bytes(self) -> int:
        """What oneDNN keeps compiled: by how many different sizes of passes there are."""
        if self.kind != "cpu" or self.number_bytes != 2:
            return 0
        return KERNEL_BYTES * min(SIZES_KEPT, len({(size, batch) for _, size, batch in self._passes()}))

    # --- passes in their order --------------------------------------------------------------------------------------------------

    def _passes(self) -> list[Pass]:
        """Every pass of the run, in about its order."""
        s = self.settings
        if isinstance(s, PpoSettings):
            return self._ppo_passes(s)
        found: list[Pass] = []
        checked: list[Pass] = [("forward", _tokens(part), 0) for part in _packed(self.heldout, self._scoring_budget)]
        if isinstance(s, DpoSettings | KtoSettings):
            found += [("forward", _tokens(part), 0) for part in _packed([*self.train, *self.heldout], self.budget)]
        if isinstance(s, SftSettings):
            found += checked
        members = self.members if isinstance(s, RewardSettings) else 1
        for epoch in range(s.epochs):
            for member in range(members):
                micro = self._micro(self.train, s.batch_size, self.budget, seed=epoch * members + member)
                found += [("train", _tokens(part), 0) for part in micro]
            found += checked
        if isinstance(s, RewardSettings):
            found += [("forward", _tokens(part), 0) for part in _packed(self.train[:CALIBRATED_ROWS], self._scoring_budget)]
        return found

    def _ppo_passes(self, s: PpoSettings) -> list[Pass]:
        """The answers' lengths are the model's own, so no two batches are alike."""
        batches, found = self._ppo_batches(s), list[Pass]()
        rows, micro = self._practice(s)
        looks = min(PPO_LOOKS, batches) if self.heldout else 0
        for batch in range(batches):
            found += [("forward", _tokens(part), batch) for part in _packed(rows, self._scoring_budget)]
            found += [("train", _tokens(part), batch) for part in micro for _ in range(s.ppo_epochs)]
        for look in range(1 + looks if looks else 0):
            found += [("forward", _tokens(part), -1 - look) for part in _packed(self.heldout, self.budget)]
        return found

    @property
    def _scoring_budget(self) -> int:
        """Tokens of a pass that keeps no gradients."""
        return 3 * self.budget if self.plan.algorithm in ("reward", "ppo") else self.budget

    def _practice(self, s: PpoSettings) -> tuple[list[RowSize], list[list[RowSize]]]:
        """A batch of prompts with their answers, and its micro-batches."""
        rows = [self.train[i % len(self.train)] for i in range(max(1, s.batch_size // s.samples_per_prompt))]
        return rows, _packed(rows, min(self.budget, max(row.tokens for row in rows) * max(1, len(rows) // s.minibatches)))

    def _sampling_bytes(self) -> int:
        """Keys and values, and the words' probabilities, of the answers sampled together."""
        s = self.settings
        if isinstance(s, PpoSettings):
            rows, new = max(s.batch_size, 1), s.max_new_tokens
        else:
            rows, new = s.watched_prompts, WATCHED_TOKENS
        prompt = max((row.prompt for row in self.train), default=0)
        cache = rows * (prompt + new) * self.shape.layers * 2 * self.shape.key_values * self.number_bytes
        return round(1.5 * cache) + 4 * 4 * rows * self.shape.vocabulary

    # --- time -------------------------------------------------------------------------------------------------------------------

    def time(self, rates: Rates) -> dict[str, float]:
        """Seconds by phase."""
        s = self.settings
        if isinstance(s, PpoSettings):
            return self._ppo_time(s, rates)
        phases = {"learning": self._learning(rates), "updates": self._update_s(rates) * self.updates * self.members}
        phases["new sizes"] = self._new_sizes_s(rates)
        phases["checkpoints"] = self._checkpoints_s(rates, self.updates, self.members)
        checks = s.epochs + isinstance(s, SftSettings)
        strangers = 2 if isinstance(s, KtoSettings) else 1  # KTO passes each answer under another prompt too
        phases["held-out checks"] = checks * strangers * self._forward(self.heldout, rates)
        if isinstance(s, DpoSettings | KtoSettings):
            phases["reference"] = strangers * self._forward([*self.train, *self.heldout], rates)
        if isinstance(s, KtoSettings):
            phases["learning"] += s.epochs * self._forward(self.train, rates)
        if isinstance(s, RewardSettings):
            phases["calibration"] = self._forward(self.train[:CALIBRATED_ROWS], rates)
        else:
            phases["watched answers"] = self._watching(rates, phases["learning"], s.epochs)
        return phases

    def _new_sizes_s(self, rates: Rates) -> float:
        """What passes take more because nothing of their size came before, or too long ago to be kept."""
        kept: dict[tuple[int, int], None] = {}  # the least recent first
        extra = 0.0
        for kind, size, batch in self._passes():
            if (size, batch) in kept:
                del kept[size, batch]
            else:
                extra += (rates.new_train if kind == "train" else rates.new_forward).at(size)
                if len(kept) == SIZES_KEPT:
                    del kept[next(iter(kept))]
            kept[size, batch] = None
        return extra

    def _learning(self, rates: Rates) -> float:
        s = self.settings
        micro = self._micro(self.train, s.batch_size, self.budget)
        return s.epochs * self.members * sum(self._train_pass(rows, rates) for rows in micro)

    def _train_pass(self, rows: Sequence[RowSize], rates: Rates) -> float:
        tokens = _tokens(rows)
        narrow, wide = rates.train.at(tokens), rates.train_wide.at(tokens)
        trunk = narrow + max(0.0, wide - narrow) * max(0, self.settings.lora_rank - 16) / 48  # a narrower adapter is no faster
        head = 0.0 if self.plan.algorithm == "reward" else rates.head_train_s * sum(sum(row.answers) for row in rows)
        trunk += rates.attention_train_s * _pairs(rows)
        return trunk * (4 / 3 if self.checkpointing else 1.0) + head

    def _update_s(self, rates: Rates) -> float:
        return rates.optimizer_s * self.shape.adapter_parameters(self.settings.lora_rank)

    def _checkpoints_s(self, rates: Rates, steps: int, members: int) -> float:
        """After every tenth of the steps; what is written by the clock besides is little of so long a run."""
        count = steps // max(1, steps // 10)
        return count * rates.checkpoint_s * self.shape.adapter_parameters(self.settings.lora_rank) * members

    def _forward(self, rows: Sequence[RowSize], rates: Rates, *, head: bool = True) -> float:
        """One pass without gradients over some rows, every member of a reward model in turn."""
        scored = self.plan.algorithm == "reward"
        parts = _packed(rows, self._scoring_budget if scored else self.budget)
        passes = sum(_forward_pass(part, rates) for part in parts)
        words = 0.0 if scored or not head else rates.head_forward_s * sum(sum(row.answers) for row in rows)
        return passes * (self.members if scored else 1) + words

    def _watching(self, rates: Rates, learning_s: float, looks: int) -> float:
        """Answers on fixed prompts before, at the end, and between as long as that takes a small share of the time."""
        rows = min(self.settings.watched_prompts, len(self.train))
        if rows == 0:
            return 0.0
        once = self._sampling_s(rates, rows, rows, WATCHED_TOKENS)
        between = min(max(0, looks - 1), int(WATCH_SHARE * learning_s / once))
        return once * (2 + between)

    def _sampling_s(self, rates: Rates, prompts: int, answers: int, most: int) -> float:
        """Reading some prompts and writing an answer or more to each, all together."""
        prompt = sum(row.prompt for row in self.train) / max(1, len(self.train))
        steps = most if not self.talks else max(min(length, most) for length in self.talks)
        written = answers * self._answer_tokens(most)
        return rates.forward.at(prompt * prompts) + steps * rates.decode.fixed_s + written * rates.decode.each_s

    def _ppo_time(self, s: PpoSettings, rates: Rates) -> dict[str, float]:
        batches, prompts = self._ppo_batches(s), max(1, s.batch_size // s.samples_per_prompt)
        mean, micro = self._practice(s)
        forward = sum(_forward_pass(part, rates) for part in micro)
        words = rates.head_forward_s * sum(sum(row.answers) for row in mean)
        learning = s.ppo_epochs * sum(self._train_pass(part, rates) for part in micro)
        kept = self._kept_tokens(s) / max(1, _tokens(mean))  # passes that serve the first update too
        phases = {
            "sampling": batches * self._sampling_s(rates, prompts, prompts * s.samples_per_prompt, s.max_new_tokens),
            "marking": batches * self.members * forward,
            "reference": batches * (2 - kept) * (forward + words),
            "learning": batches * learning,
            "updates": self.updates * self._update_s(rates),
            "new sizes": self._new_sizes_s(rates),
            "checkpoints": self._checkpoints_s(rates, batches, 1),
        }
        if self.heldout:
            count = len(self.heldout)
            look = self._sampling_s(rates, count, count, s.max_new_tokens) + (2 + self.members) * self._forward(self.heldout, rates)
            phases["held-out checks"] = look * (1 + min(PPO_LOOKS, batches))
        phases["watched answers"] = self._watching(rates, sum(phases.values()), PPO_LOOKS)
        return phases


def _cut(row: RowSize, most: int) -> RowSize:
    """A row whose prompt has been shortened until its longest answer fits."""
    longest = min(max(row.answers, default=0), most - 1)
    return RowSize(prompt=min(row.prompt, most - longest), answers=[min(answer, most - 1) for answer in row.answers])


def _tokens(rows: Sequence[RowSize]) -> int:
    return sum(row.tokens for row in rows)


def _pairs(rows: Sequence[RowSize]) -> int:
    """Pairs of places that attention looks at: rows lie side by side, as wide as the widest."""
    return len(rows) * max(row.tokens for row in rows) ** 2


def _forward_pass(rows: Sequence[RowSize], rates: Rates) -> float:
    return rates.forward.at(_tokens(rows)) + rates.attention_forward_s * _pairs(rows)


def _packed(rows: Sequence[RowSize], budget: int) -> list[list[RowSize]]:
    """Micro-batches within a token budget, the longest rows first (as `training.batch.micro_batches`)."""
    found: list[list[RowSize]] = []
    tokens = 0
    for row in sorted(rows, key=lambda row: -row.tokens):
        fits = found and tokens + row.tokens <= budget and found[-1][0].tokens * (len(found[-1]) + 1) <= WASTE * budget
        if not fits:
            found.append([])
            tokens = 0
        found[-1].append(row)
        tokens += row.tokens
    return found


def _rank(adapter: AdapterRef | None) -> int:
    """The rank of an adapter on disk; a usual one where it does not say."""
    try:
        return int(json.loads((Path(adapter.path) / "adapter_config.json").read_bytes())["r"]) if adapter else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 16


def _members(reward: AdapterRef | None) -> int:
    """How many scorers a reward model has."""
    try:
        return len(json.loads((Path(reward.path) / "reward.json").read_bytes())["members"]) if reward else 1
    except (OSError, ValueError, KeyError, TypeError):
        return 1
