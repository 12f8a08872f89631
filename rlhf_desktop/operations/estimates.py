"""Memory and time of a run, before it starts: from the model's shape, the settings, the tokens of the feedback and measured rates.

What the run will do is counted first (`workload`), then what that takes (`estimated_memory`, `estimated_time`).
"""

from dataclasses import dataclass
from typing import Any

from rlhf_desktop.core.errors import NotEnoughFeedback
from rlhf_desktop.core.measures import Rates, Road
from rlhf_desktop.operations.estimated_memory import memory_parts
from rlhf_desktop.operations.estimated_time import time_phases
from rlhf_desktop.operations.workload import RowSizes, RunPlan, Workload


@dataclass(frozen=True)
class Estimate:
    """What a run will take. `fits` is None when the free memory is not known; `wall_s` when nothing was measured."""

    peak_bytes: int
    wall_s: float | None
    tokens: int
    parts: dict[str, int]  # bytes by what they are for: model, adapters, working, joined for sampling, compiled products
    phases: dict[str, float]  # seconds by what they are for
    free_bytes: int | None
    device_name: str = ""  # of the card; "" on the processor
    waits: bool = False  # another run has the device now, so that `free_bytes` is all of its memory

    @property
    def fits(self) -> bool | None:
        """Whether the memory is free now."""
        return None if self.free_bytes is None else self.peak_bytes <= self.free_bytes

    @property
    def sentence(self) -> str:
        """In words: “About 1.9 GB and 6 min; 31 GB are free.”."""
        said = f"About {self.memory_words}{f' and {self.time_words}' if self.time_words else ''}"
        return f"{said}; {self.free_words}." if self.free_bytes is not None else f"{said}."

    @property
    def memory_words(self) -> str:
        """For instance “1.9 GB”."""
        return f"{self.peak_bytes / 1e9:.1f} GB"

    @property
    def time_words(self) -> str:
        """For instance “6 min”; "" where nothing was measured."""
        return "" if self.wall_s is None else _minutes(self.wall_s)

    @property
    def free_words(self) -> str:
        """For instance “22 GB are free on NVIDIA GeForce RTX 4090”."""
        free = f"{(self.free_bytes or 0) / 1e9:.0f} GB"
        if self.waits:
            return f"{self.device_name} has {free}, and another run uses it now"
        return f"{free} are free on {self.device_name}" if self.device_name else f"{free} are free"


def estimate(
    plan: RunPlan,
    sizes: RowSizes,
    device: dict[str, Any],
    rates: Rates | None = None,
    *,
    free_bytes: int | None = None,
    waits: bool = False,
    road: Road = "fast",
) -> Estimate:
    """Memory and time of a run. Instant, so it may follow every keystroke of a form.

    Args:
        plan: What is asked for.
        sizes: Tokens of the feedback; `jobs.measuring.check_model` counts them.
        device: What the probe said: "device" and "fast_dtype", and a card's "name".
        rates: Of this model on this device; without them there is no time.
        free_bytes: Memory that is free where the model will be.
        waits: Another run has the device now.
        road: That the trainers take with the model.

    Raises:
        BadInput: a setting that does not work.
        ModelTrouble: the model's shape cannot be read.
        NotEnoughFeedback: nothing to learn from, or all of it is held out.
    """
    if not sizes.train:
        raise NotEnoughFeedback(
            "There is nothing to learn from.", "Give feedback on prompts that are not held out, then try again."
        )
    talks = rates.answer_tokens if rates else ()
    work = Workload(plan, sizes, device, answer_tokens=talks, free_bytes=free_bytes, road=road)
    parts = memory_parts(work, rates)
    phases = time_phases(work, rates) if rates else {}
    return Estimate(
        peak_bytes=sum(parts.values()),
        wall_s=sum(phases.values()) if rates else None,
        tokens=work.tokens,
        parts=parts,
        phases=phases,
        free_bytes=free_bytes,
        device_name=str(device.get("name", "")) if work.device != "cpu" else "",
        waits=waits,
    )


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{max(5, round(seconds / 5) * 5)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
