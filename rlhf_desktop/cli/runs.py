"""`runs list | show | follow | move | pause | resume | stop`: training runs, past and present."""

from typing import Any

import click

from rlhf_desktop.cli.common import Command, Group, duration, table
from rlhf_desktop.cli.desk import desk_of
from rlhf_desktop.cli.follow import finish_with, follow_run
from rlhf_desktop.cli.records import COMMANDS
from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.jobs.device import wanted_device
from rlhf_desktop.jobs.queue import RunSummary
from rlhf_desktop.jobs.turns import move, waiting_runs
from rlhf_desktop.operations.plain_words import exact, measure
from rlhf_desktop.operations.project_actions import check_run_in_use, listed_runs
from rlhf_desktop.operations.training import run_result

_OBEYING = {"pause": "pausing", "stop": "stopping", "cancel": "cancelling"}
_LIVE = ("starting", "running")
_USUALLY = 1.5  # of what an update takes on the average


@click.group(cls=Group)
def runs() -> None:
    """Training runs, past and present. RUN is an id, the start of one, or a title."""


for _command in COMMANDS:
    runs.add_command(_command)


@runs.command("list")
@click.option("--all", "whole", is_flag=True, help="Those of archived and deleted projects too.")
@click.pass_context
def list_runs(ctx: click.Context, whole: bool) -> None:
    """Show all runs, newest first."""
    desk = desk_of(ctx)
    found = desk.queue.runs() if whole else listed_runs(desk.store, desk.queue)
    rows = [(run.title, run.algorithm, _state(run), run.created[:16].replace("T", " "), run.id) for run in found]
    text = table(rows, ("RUN", "KIND", "STATE", "WHEN", "ID")) if rows else "No runs yet. Start one with: train sft"
    desk.console.result({"runs": [as_json(run) for run in found]}, text)


def _state(run: RunSummary) -> str:
    if run.hung or run.asked or run.slow:
        return "not responding" if run.hung else _OBEYING.get(run.asked) or "slow"
    return f"{run.state} {100 * run.step // run.total}%" if run.state == "running" and run.total else run.state


def as_json(run: RunSummary) -> dict[str, Any]:
    """A run as one JSON object."""
    status = run.folder.status() if run.algorithm else None
    return {
        "run": run.id,
        "title": run.title,
        "algorithm": run.algorithm,
        "created": run.created,
        "state": run.state,
        "message": run.message,
        "hint": run.hint,
        "signal": status.signal if status else None,
        "exit_code": status.exit_code if status else None,
        "slow": run.slow,
        "not_responding": run.hung,
        "asked": run.asked or None,
        "resumable": run.resumable,
        "phase": run.phase,
        "step": run.step,
        "total": run.total,
        "eta_s": run.eta_s,
        "last_metrics": run.metrics,
        "metrics": run.result,
        "adapter": str(run.folder.adapter) if run.folder.adapter.is_dir() else None,
        "folder": str(run.folder.path),
    }


@runs.command()
@click.argument("run")
@click.pass_context
def show(ctx: click.Context, run: str) -> None:
    """Show one run: its state and why, how far it is, its latest numbers."""
    desk = desk_of(ctx)
    summary = desk.queue.summary(desk.queue.find(run))
    value = as_json(summary)
    desk.console.result(value, "\n".join(_lines(summary, value)))


def _lines(run: RunSummary, value: dict[str, Any]) -> list[str]:
    lines = [f"{run.title} ({run.algorithm}), {_state(run)}", *filter(None, [run.message, run.hint])]
    if run.total:
        left = f", {duration(run.eta_s)} left" if run.eta_s else ""
        lines.append(f"{run.phase or 'update'} {run.step} of {run.total}{left}")
    lines += [f"  {measure(name).label}: {exact(name, number)}" for name, number in run.metrics.items()]
    lines += [f"Result: {value['adapter']}"] if value["adapter"] else []
    return [*lines, f"Folder: {value['folder']}"]


@runs.command()
@click.argument("run")
@click.pass_context
def follow(ctx: click.Context, run: str) -> None:
    """Watch a run until it ends. Ctrl+C stops watching; the run goes on."""
    desk = desk_of(ctx)
    folder = desk.queue.find(run)
    follow_run(desk, folder)
    finish_with(desk, folder)


@runs.command("move")
@click.argument("run")
@click.argument("where", type=click.Choice(["first", "earlier", "later", "last"]))
@click.pass_context
def move_run(ctx: click.Context, run: str, where: str) -> None:
    """Change a waiting run's place in the queue: first, earlier, later or last."""
    desk = desk_of(ctx)
    folder = desk.queue.find(run)
    far = len(waiting_runs(desk.workspace))
    waiting = [other.id for other in move(desk.workspace, folder, {"first": -far, "earlier": -1, "later": 1, "last": far}[where])]
    place = waiting.index(folder.id) + 1
    text = f"“{desk.queue.summary(folder).title}” is number {place} of {len(waiting)} waiting."
    desk.console.result({"run": folder.id, "place": place, "waiting": waiting}, text)


def _control(name: str, text: str, done: str) -> click.Command:
    @click.pass_context
    def act(ctx: click.Context, run: str) -> None:
        desk = desk_of(ctx)
        folder = desk.queue.find(run)
        if name == "resume":
            check_run_in_use(desk.store, folder)
        before = folder.state()
        if name != "resume" and before.ended and before.state not in _STILL_CAN[name]:
            raise BadInput(f"The run {folder.id} has ended already ({before.state}).", "“runs show” says what came of it.")
        again = (wanted_device(),) if name == "resume" else ()
        getattr(desk.queue, name)(folder, *again)
        state = folder.state().state
        summary = desk.queue.summary(folder)
        said = f"{done} {_when(summary)}" if name != "resume" and summary.state in _LIVE else done
        desk.console.result({"run": folder.id, "asked": name, "state": state, "adapter": _adapter(folder)}, said)

    return Command(name, callback=act, params=[click.Argument(["run"])], help=text)


def _when(run: RunSummary) -> str:
    """How soon a run under way will do what it was asked to."""
    left = run.total - run.step
    usually = f", usually within {duration(_USUALLY * run.eta_s / left)}" if run.eta_s and left > 0 else ""
    return f"It will after this update{usually}."


def _adapter(folder: Any) -> str | None:
    result = run_result(folder)
    return str(result.adapter) if result.adapter else None


runs.add_command(_control("pause", "Write a checkpoint and wait.", "Asked to pause: it writes a checkpoint and waits."))
runs.add_command(_control("resume", "Go on from the last checkpoint.", "Queued: it goes on from its last checkpoint."))
_STILL_CAN = {"pause": (), "stop": ("paused", "interrupted"), "cancel": ("paused", "interrupted", "failed")}  # of ended runs

runs.add_command(_control("cancel", "End a run and keep nothing of it.", "Asked to cancel: nothing of it is kept."))
runs.add_command(_control("stop", "End a run and keep what it has learnt.", "Asked to stop: what it has learnt is kept."))
