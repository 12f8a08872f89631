"""The roles on one base: reference = base + the adapter we started from; policy = the same + a new trainable adapter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.recipes import CommonSettings
from rlhf_desktop.core.runs import AdapterRef, RunConfig
from rlhf_desktop.inference.adapters import AdapterFiles, AdapterHost, concatenate, write_adapter
from rlhf_desktop.inference.device import free_bytes
from rlhf_desktop.inference.model import BaseModel, load_base
from rlhf_desktop.inference.targets import lora_targets
from rlhf_desktop.training.batch import Group
from rlhf_desktop.training.held import held_bytes
from rlhf_desktop.training.memory import Budget, MemoryPlan, checkpoint_layers, plan_memory
from rlhf_desktop.training.optimizer import MasterAdamW
from rlhf_desktop.training.policy import choose_road, road_for
from rlhf_desktop.training.reward_model import START
from rlhf_desktop.training.run import RunFiles

POLICY = "policy"


@dataclass(frozen=True)
class PolicyStack:
    """A host with the adapters of a policy run on it."""

    host: AdapterHost
    reference: Sequence[str]
    policy: Sequence[str]
    start: AdapterFiles | None

    @property
    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """What is trained, by PEFT's file names."""
        return self.host.parameters(POLICY)

    def write(self, folder: Path, masters: Mapping[str, Tensor]) -> None:
        """Write the whole stack as one standard adapter, from the optimiser's float32 copies."""
        new = AdapterFiles(self.host.config(POLICY), {name: masters[name] for name in self.parameters}, {})
        write_adapter(folder, concatenate([self.start, new] if self.start else [new]))


def load_host(run: RunFiles) -> AdapterHost:
    """The base model of a run, ready for adapters.

    Raises:
        ModelTrouble: the base changed since the run was queued, or its family is not supported.
    """
    base: BaseModel = load_base(run.config.base, dtype=run.dtype, quantization=run.settings.quantization)
    if base.note and not run.started:
        run.emit("warning", code="dtype", message=base.note)
    choose_road(base.model)
    base.model.config.use_cache = False
    return AdapterHost(base)


def memory_budget(run: RunFiles, host: AdapterHost, groups: Sequence[Group]) -> Budget:
    """How much of a batch goes through the model at once; a run that goes on where it began keeps what was planned then.

    Args:
        run: Its first `started` event is read, and warned if memory runs out in spite of the plan.
        host: The loaded base; its layers are told when gradients are to be checkpointed.
        groups: The rows that none may be longer than.

    Raises:
        NoSpace: not even one row fits.
    """
    device, number_bytes = host.base.device, host.base.dtype.itemsize
    road = road_for(host.model, groups)
    widths = [group.widest for group in groups]
    general: dict[str, Any] = {"width": max(widths), "count": partial(held_bytes, host, widths)} if road == "general" else {}
    planned = plan_memory(
        host.model.config.get_text_config(),
        number_bytes=number_bytes,
        device=device.type,
        free_bytes=free_bytes(device),
        longest=max(group.tokens_on(road) for group in groups),
        rank=run.settings.lora_rank,
        road=road,
        **general,
    )
    here = (str(device), str(host.base.dtype).removeprefix("torch."))
    if (first := run.started) and first.get("micro_batch_tokens") and (first["device"], first["dtype"]) == here:
        planned = replace(planned, tokens=first["micro_batch_tokens"], checkpointing=first["gradient_checkpointing"])
    plan: MemoryPlan = run.cohort.agree(planned)
    if plan.checkpointing:
        checkpoint_layers(host.model)
    return Budget(
        plan,
        lambda sentence: run.emit("warning", code="memory", message=sentence),
        lambda tokens: min(run.cohort.gather(tokens)),
    )


def check_fits(adapter: AdapterRef, config: RunConfig) -> None:
    """Refuse an adapter of another base.

    Raises:
        ModelTrouble: with both names.
    """
    if adapter.base_hash != config.base.hash:
        hint = f"Choose an adapter that was trained on “{config.base.name}”, or the base model it belongs to."
        raise ModelTrouble(f"The adapter “{adapter.name}” belongs to another base model.", hint)


def load_start(host: AdapterHost, config: RunConfig) -> AdapterFiles | None:
    """Put the adapter that a run starts from, if any, on the host, frozen, as `START`."""
    if config.start is None:
        return None
    check_fits(config.start, config)
    return host.load(Path(config.start.path), START)


def policy_stack(host: AdapterHost, config: RunConfig, settings: CommonSettings) -> PolicyStack:
    """Load the starting adapter, if any, frozen, and put a new one on top."""
    start = load_start(host, config)
    reference = [START] if start else []
    host.add(POLICY, rank=settings.lora_rank, alpha=settings.lora_alpha, seed=settings.seed, targets=lora_targets(host.model))
    return PolicyStack(host, reference, [*reference, POLICY], start)


def policy_optimizer(
    parameters: Mapping[str, torch.nn.Parameter],
    settings: CommonSettings,
    total_steps: int,
    rates: Mapping[str, float] | None = None,
) -> MasterAdamW:
    """The optimiser that a run's settings describe."""
    return MasterAdamW(
        parameters,
        learning_rate=settings.learning_rate,
        total_steps=total_steps,
        warmup=settings.warmup,
        max_grad_norm=settings.max_grad_norm,
        rates=rates,
    )


def epoch_batches(count: int, batch_size: int, epochs: int, seed: int) -> list[list[int]]:
    """Indices of each update's examples: a new seeded order every epoch, the last batch of an epoch possibly smaller."""
    generator = torch.Generator().manual_seed(seed)
    batches: list[list[int]] = []
    for _ in range(epochs):
        order = torch.randperm(count, generator=generator).tolist()
        batches += [order[at : at + batch_size] for at in range(0, count, batch_size)]
    return batches
