"""Whose turn it is: the order of the waiting runs, and ending a process that does not answer any more."""

import time
from collections.abc import Sequence

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import end_process, is_alive
from rlhf_desktop.jobs.queue import needs_work, run_folders
from rlhf_desktop.jobs.runfolder import RunFolder


def waiting_runs(workspace: Workspace) -> list[RunFolder]:
    """The runs that have not begun, in the order they will."""
    queued = [run for run in run_folders(workspace) if needs_work(run) and run.status().state == "queued"]
    return sorted(queued, key=lambda run: (run.status().queued_at, run.id))


def move(workspace: Workspace, run: RunFolder, places: int) -> list[RunFolder]:
    """Let a waiting run go earlier (negative) or later (positive) by so many places; the ends of the queue hold it.

    Returns:
        The waiting runs in their new order.

    Raises:
        BadInput: it is not waiting.
    """
    waiting = waiting_runs(workspace)
    ids = [other.id for other in waiting]
    if run.id not in ids:
        raise BadInput("This run is not waiting any more.", "Only runs that have not begun can change places.")
    others = [other for other in waiting if other.id != run.id]
    place = min(max(ids.index(run.id) + places, 0), len(others))
    moment = _between([other.status().queued_at for other in others], place)
    with run.claim.held():
        if run.state().state == "queued":
            run.write_status(run.status().model_copy(update={"queued_at": moment}))
    return waiting_runs(workspace)


def _between(times: Sequence[float], place: int) -> float:
    """A moment that sorts at `place` among ascending moments."""
    if not times:
        return time.time()
    if place == 0:
        return times[0] - 1.0
    return times[-1] + 1.0 if place == len(times) else (times[place - 1] + times[place]) / 2


def end_now(run: RunFolder) -> None:
    """Kill a run's process: for one that does not answer. Its checkpoints are kept, so it can be resumed.

    Raises:
        BadInput: it has ended already, or still works.
    """
    worker = run.status().worker
    if run.state().ended or worker is None or not is_alive(worker):
        raise BadInput("This run's process has ended already.", "Its page says what came of it.")
    if not run.state().hung:
        raise BadInput("This run's process still works, only slowly.", "Press Pause or Stop: it will, after its step.")
    run.append_control("pause")  # so that it is not blamed on the memory, and nobody starts it again
    end_process(worker)
