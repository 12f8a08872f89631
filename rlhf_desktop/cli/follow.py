"""Watching a run from the terminal: a progress line, warnings as they come, and what came of it."""

from rlhf_desktop.cli.common import Console, duration
from rlhf_desktop.cli.desk import Desk
from rlhf_desktop.core.errors import AppError, WorkerTrouble
from rlhf_desktop.core.runs import Checkpointed, Logged, Metrics, Progress, RunEvent, Started, Warned
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.operations.outlook import ended_sentence, outcome_of
from rlhf_desktop.operations.training import run_result

# On the progress line there is room for a word each.
_SHOWN = {"loss": "loss", "rewards/accuracies": "agreement", "objective/kl": "drift", "objective/scores": "score"}


class StoppedWatching(AppError):
    """Ctrl+C while a run was followed: the run goes on."""


class RunLine:
    """Says what a run's events say."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._numbers = ""

    def tell(self, event: RunEvent) -> None:
        """Draw what the event changes."""
        if isinstance(event, Progress):
            share = f"{100 * event.step // event.total:3d}%  " if event.step < event.total else ""  # what follows has no share
            left = f", {duration(event.eta_s)} left" if event.eta_s else ""
            self._console.progress(f"{share}{event.phase}{left}{self._numbers}")
        elif isinstance(event, Metrics):
            shown = [f"{word} {event.values[name]:.3g}" for name, word in _SHOWN.items() if name in event.values]
            self._numbers = "  ·  " + "  ".join(shown) if shown else self._numbers
        elif isinstance(event, Warned | Logged):
            self._console.note(event.message)
        elif isinstance(event, Started):
            again = f", going on from update {event.resumed_step}" if event.resumed_step else ""
            self._console.note(f"Training on {event.device} in {event.dtype}{again}.")
        elif isinstance(event, Checkpointed):
            return  # a matter of course


def follow_run(desk: Desk, run: RunFolder) -> None:
    """Show the run until it ends.

    Raises:
        StoppedWatching: Ctrl+C; the run goes on.
    """
    line = RunLine(desk.console)
    try:
        for event in desk.queue.follow(run):
            line.tell(event)
    except KeyboardInterrupt:
        desk.console.end_progress()
        again = f"Watch it again with: rlhf-desktop runs follow {run.id}. End it with: rlhf-desktop runs stop {run.id}"
        raise StoppedWatching("You stopped watching; the run goes on.", again) from None
    desk.console.end_progress()


def _result_words(desk: Desk, run: RunFolder) -> str:
    """What may be said of the result: nothing good before a comparison has."""
    summary = desk.queue.summary(run)
    project = next((known for known in desk.store.projects.all() if known.id == summary.project_id), None)
    return outcome_of(desk.store, project, summary).sentence if project else ended_sentence(summary)


def finish_with(desk: Desk, run: RunFolder) -> None:
    """Say what came of a run that has ended.

    Raises:
        WorkerTrouble: it failed, was interrupted or is paused: says why.
    """
    condition, result = run.state(), run_result(run)
    if condition.state not in ("done", "stopped") or result.adapter is None:
        message = condition.message or f"The run is {condition.state}."
        raise WorkerTrouble(message, condition.hint or f"Look closer with: rlhf-desktop runs show {run.id}", str(run.log))
    value = {"run": run.id, "adapter": str(result.adapter), "metrics": result.metrics}
    title, wall_s = run.config().title, result.metrics.get("wall_s")
    took = f" in {duration(wall_s)}" if wall_s else ""
    said = _result_words(desk, run)
    desk.console.result(value, f"“{title}” is {condition.state}{took}. The result is in {result.adapter}.\n{said}")
