"""What the header and the status bar say, read off the GUI thread. Qt-free."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.jobs.queue import Queue, RunSummary
from rlhf_desktop.operations.rounds import NextStep, next_step, rounds
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui import words

LIVE = ("queued", "starting", "running")
_TRAINING = ("starting", "running")
_OBEYING = {"pause": "pausing", "stop": "stopping", "cancel": "cancelling"}
_WEIGHTS_TIMES = 3  # of the weights' size, beside _REST_BYTES, where no run has shown what it takes
_REST_BYTES = 10**9


@dataclass(frozen=True)
class Standing:
    """Where a project is, and its one next step."""

    judgements: int
    round: int
    step: NextStep

    @property
    def words(self) -> str:
        """For instance “round 2 · 143 judgements”."""
        return f"round {self.round} · {words.count(self.judgements, 'judgement')}"


def standing(store: Store, queue: Queue, project: Project) -> Standing:
    """Where a project is. Blocks."""
    judged = sum(store.standing.counts(project.id).values())
    return Standing(judged, rounds(store, queue, project)[-1].number, next_step(store, queue, project))


@dataclass(frozen=True)
class Seen:
    """What goes on on this computer."""

    runs: Sequence[RunSummary]
    chat_bytes: int  # memory of the process that answers; 0 when there is none
    free_bytes: int

    @property
    def training(self) -> RunSummary | None:
        """The run under way."""
        return next((run for run in self.runs if run.state in _TRAINING), None)

    @property
    def live(self) -> RunSummary | None:
        """The run under way, else the next one."""
        queued = sorted((run for run in self.runs if run.state == "queued"), key=lambda run: run.created)
        return self.training or next(iter(queued), None)

    def crowded(self) -> bool:
        """Whether the run that begins would find room only if the chat's model left memory."""
        run = self.training
        return (
            run is not None and run.state == "starting" and self.chat_bytes > 0 and needed_bytes(run, self.runs) > self.free_bytes
        )


def look(queue: Queue, chat_process: int) -> Seen:
    """See what runs do and what memory is taken. Blocks."""
    return Seen(queue.runs(), _resident_bytes(chat_process), psutil.virtual_memory().available)


def _resident_bytes(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss) if pid else 0
    except psutil.Error:
        return 0


def needed_bytes(run: RunSummary, runs: Sequence[RunSummary]) -> int:
    """What a run will take: what the last of its kind on this base took, else a rule of thumb from the weights' size."""
    config = run.folder.config()
    for other in runs:
        peak = other.result.get("peak_rss_bytes")
        if peak and other.algorithm == run.algorithm and other.folder.config().base.hash == config.base.hash:
            return int(peak)
    weights = sum(file.stat().st_size for file in Path(config.base.path).glob("*.safetensors"))
    return _WEIGHTS_TIMES * weights + _REST_BYTES


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
        "done": "is ready.",
        "failed": f"has failed. {run.message}",
        "interrupted": f"was interrupted. {run.message}",
    }.get(run.state)
    return f"“{run.title}” {said}".strip() if said else ""
