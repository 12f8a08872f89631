"""What the status bar says, read off the GUI thread. Qt-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.jobs.device import (
    Device,
    Tenant,
    devices_of,
    free_bytes,
    held_bytes,
    known_device,
    process_bytes,
    same_device,
)
from rlhf_desktop.jobs.queue import Queue, RunSummary
from rlhf_desktop.operations.outlook import ended_sentence
from rlhf_desktop.ui import words

if TYPE_CHECKING:
    from rlhf_desktop.ui.chat.worker_client import WorkerClient

LIVE = ("queued", "starting", "running")
_TRAINING = ("starting", "running")
_OBEYING = {"pause": "pausing", "stop": "stopping", "cancel": "cancelling"}
_WEIGHTS_TIMES = 3  # of the weights' size, beside _REST_BYTES, where no run has shown what it takes
_REST_BYTES = 10**9
_CARD_TIMES = 1.1  # what a card's allocator keeps beside the tensors that were counted …
_CONTEXT_BYTES = 600_000_000  # … and what a process has there before the first of them


@dataclass(frozen=True)
class Seen:
    """What goes on on this computer."""

    runs: Sequence[RunSummary]
    chat_bytes: int  # memory of the process that answers, where its model is; 0 when there is none
    crowding: RunSummary | None = None  # the run that begins and would find room only if the chat's model left memory

    @property
    def training(self) -> list[RunSummary]:
        """The runs under way."""
        return [run for run in self.runs if run.state in _TRAINING]

    @property
    def live(self) -> RunSummary | None:
        """A run under way, else the next one."""
        queued = sorted((run for run in self.runs if run.state == "queued"), key=lambda run: run.created)
        return next(iter([*self.training, *queued]), None)

    @property
    def words(self) -> str:
        """What the status bar says of them."""
        more = len(self.training) - 1
        return (run_words(self.live) if self.live else "") + (f" · and {more} more" if more > 0 else "")


def chat_tenant(chat: WorkerClient, base: ModelRef | None) -> Tenant:
    """The process that answers, and where its model is."""
    if chat.loaded is None or base is None:
        return Tenant(chat.process_id)
    return Tenant(chat.process_id, chat.loaded.device_uuid or chat.loaded.device, weights_bytes(base))


def look(queue: Queue, chat: Tenant) -> Seen:
    """See what runs do and what memory is taken. Blocks."""
    runs, known = queue.runs(), known_device()
    devices = devices_of(known) if known else []
    home = next((each for each in devices if chat.device in (each.key, each.id)), None)
    held = chat.holds(home) if home else process_bytes(chat.pid)
    crowding = [run for run in runs if home and held and run.state == "starting" and _needs_room(run, runs, home, held)]
    return Seen(runs, held, next(iter(crowding), None))


def _needs_room(run: RunSummary, runs: Sequence[RunSummary], home: Device, held: int) -> bool:
    """Whether a run that begins is on chat's device and does not fit beside it. Chat on another device is left alone.

    Args:
        run: The run.
        runs: All, for what the last of its kind took.
        home: The device of chat's model.
        held: What chat holds there.
    """
    status = run.folder.status()
    if status.device is None or same_device(status.device, [home]) is None:
        return False
    free = free_bytes(home, ask=False)
    if home.is_card:
        free = min(free, home.total_bytes - held)  # the driver may not tell, and then this was asked before chat was loaded
    has = held_bytes(home, status.worker.pid) if status.worker else 0
    return needed_bytes(run, runs, on_card=home.is_card) - (has or 0) > free


def needed_bytes(run: RunSummary, runs: Sequence[RunSummary], *, on_card: bool = False) -> int:
    """What a run will take of its device: what the last of its kind on this base took, else what was foreseen, else roughly.

    Args:
        run: The run.
        runs: Those that may have shown it.
        on_card: Of a graphics card's memory; else of the computer's.
    """
    config, peak_name = run.folder.config(), "peak_cuda_bytes" if on_card else "peak_rss_bytes"
    for other in runs:
        peak = other.result.get(peak_name)
        alike = other.algorithm == run.algorithm and bool(other.result.get("peak_cuda_bytes")) == on_card
        if peak and alike and other.folder.config().base.hash == config.base.hash:
            return int(peak * _CARD_TIMES) + _CONTEXT_BYTES if on_card else int(peak)
    return config.foreseen_bytes or _WEIGHTS_TIMES * weights_bytes(config.base) + _REST_BYTES


def weights_bytes(base: ModelRef) -> int:
    """Of a model's files; 0 when they are gone."""
    return sum(file.stat().st_size for file in Path(base.path).glob("*.safetensors"))


def run_words(run: RunSummary) -> str:
    """A run on the status bar."""
    said = "not responding" if run.hung else _OBEYING.get(run.asked) or ("slow" if run.slow else "")
    if said:
        return f"{run.title} · {said}"
    if run.state != "running" or not run.total:
        return f"{run.title} · {run.state}"
    if run.step >= run.total:
        return f"{run.title} · {run.phase}"
    left = f" · {words.duration(run.eta_s)}" if run.eta_s else ""
    return f"{run.title} {run.step / run.total:.0%}{left}"


def ended_words(run: RunSummary) -> str:
    """How a run has ended, for a notification; "" for what the user did himself."""
    said = {
        "done": f"has finished. {ended_sentence(run)}",
        "failed": f"has failed. {run.message}",
        "interrupted": f"was interrupted. {run.message}",
    }.get(run.state)
    return f"“{run.title}” {said}".strip() if said else ""
