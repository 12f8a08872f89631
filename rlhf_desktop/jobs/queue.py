"""The queue of a workspace: its run folders, in the order they were asked for, and the buttons that act on them."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rlhf_desktop.core.errors import AppError, BadInput, NotFound
from rlhf_desktop.core.paths import Workspace, state_dir
from rlhf_desktop.core.platform import FileLock, remove_tree, spawn_detached
from rlhf_desktop.core.runs import DeviceRef, Finished, Metrics, Progress, RunConfig, RunEvent, RunState, RunStatus
from rlhf_desktop.feedback.snapshot import SnapshotRow
from rlhf_desktop.jobs.commands import package_parent, supervisor_command, worker_environment
from rlhf_desktop.jobs.device import AUTOMATIC, devices_of, known_device, same_device
from rlhf_desktop.jobs.follow import follow, tail_events
from rlhf_desktop.jobs.runfolder import ENDED, RunCondition, RunFolder, waiting
from rlhf_desktop.jobs.runnotes import notes_file, run_notes
from rlhf_desktop.jobs.sealed import seal_run, unseal_run

_LOOK_AFTER_S = 5.0  # how often a follower sees to it that somebody works the queue
_Stamp = tuple[tuple[int, int, int], ...]  # of some files: when changed, how long, which


@dataclass(frozen=True)
class RunSummary:
    """One line of a list of runs."""

    id: str
    folder: RunFolder
    title: str
    algorithm: str  # "" when the folder is damaged
    project_id: str
    created: str
    state: RunState
    message: str = ""
    hint: str = ""
    phase: str = ""
    step: int = 0
    total: int = 0
    eta_s: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)  # of the last update
    result: dict[str, float | int | None] = field(default_factory=dict)  # of the whole run, once it has finished
    slow: bool = False
    hung: bool = False
    asked: str = ""  # "pause", "stop" or "cancel", of a run under way that has not obeyed yet
    resumable: bool = False
    notes: str = ""
    archived: bool = False


def run_folders(workspace: Workspace) -> list[RunFolder]:
    """All runs of a workspace, oldest first."""
    if not workspace.runs.is_dir():
        return []
    return [RunFolder(path) for path in sorted(workspace.runs.iterdir()) if path.is_dir() and not path.name.startswith(".")]


def supervisor_lock(workspace: Workspace) -> FileLock:
    """Held by the one supervisor of a workspace; says its pid while it still looks for queued runs."""
    return FileLock(workspace.root / "supervisor.lock")


def working_status(run: RunFolder) -> RunStatus | None:
    """The status of a run that a supervisor has something to do for: start it, wait for it, or record how it ended. Else None."""
    try:
        status = run.status()
    except AppError:
        return None  # damaged: the list of runs says so
    return status if status.state in ("queued", "starting", "running") else None


def needs_work(run: RunFolder) -> bool:
    """Whether a supervisor has something to do for this run."""
    return working_status(run) is not None


class Queue:
    """What the window and the command line do with runs.

    Args:
        workspace: Where the runs are.
        worker_command: Starts a trainer, given a run folder as last argument; None: this program's own.
    """

    def __init__(self, workspace: Workspace, worker_command: Sequence[str] | None = None) -> None:
        self.workspace = workspace
        self._worker_command = worker_command
        self._settled: dict[str, tuple[_Stamp, RunSummary]] = {}  # ended runs as they were read, and the files they were read from

    def submit(self, config: RunConfig, rows: Iterable[SnapshotRow]) -> RunFolder:
        """Queue a run and see to it that somebody works the queue. `config.data_sha256` is filled in.

        Raises:
            NoSpace: the disk is full; nothing was written.
        """
        run = RunFolder.create(self.workspace, config, rows)
        self.ensure_supervisor()
        return run

    def runs(self) -> list[RunSummary]:
        """All runs, newest first."""
        return [self.summary(run) for run in reversed(run_folders(self.workspace))]

    def summary(self, run: RunFolder) -> RunSummary:
        """A run's line, read again only when its files change once it has ended. A damaged folder has one too, which says so."""
        stamp = _stamp(run)
        known = self._settled.get(run.id)
        if known is not None and known[0] == stamp:
            return known[1]
        self._settled.pop(run.id, None)
        try:
            condition = run.state()
            found = _summary(run, condition)
        except AppError as trouble:
            return RunSummary(run.id, run, run.id, "", "", "", "failed", trouble.message, trouble.hint)
        if condition.status.state in ENDED:  # written down, not only concluded from a process that is gone
            self._settled[run.id] = stamp, found
        return found

    def find(self, text: str) -> RunFolder:
        """The run with this id, unique start of an id, or title (the newest of that title).

        Raises:
            NotFound: no run is called so.
            BadInput: several ids start so.
        """
        folders = run_folders(self.workspace)
        matches = [run for run in folders if text and run.id.startswith(text)]
        exact = [run for run in matches if run.id == text] or [s.folder for s in self.runs() if s.title == text][:1]
        if len(exact or matches) == 1:
            return (exact or matches)[0]
        if matches:
            some = ", ".join(run.id for run in matches[-5:])
            raise BadInput(f"Several runs start with “{text}”.", f"Give more of the name: {some}.")
        raise NotFound(f"There is no run called “{text}”.", "“runs list” shows the runs there are.")

    def follow(self, run: RunFolder, poll_s: float = 0.3) -> Iterator[RunEvent]:
        """Every event of the run until it ends; starts a supervisor again should the last one have been killed."""
        looked = time.monotonic()

        def look_after() -> None:
            nonlocal looked
            if time.monotonic() - looked > _LOOK_AFTER_S:
                looked = time.monotonic()
                self.ensure_supervisor()

        return follow(run, poll_s, on_idle=look_after)

    def pause(self, run: RunFolder) -> None:
        """Ask a run to write a checkpoint and end; a queued one just waits; an ended one stays as it is. Returns at once."""
        self._ask(run, "pause", at_once={"queued": "Paused before it began."})
        seal_run(run)

    def stop(self, run: RunFolder) -> None:
        """Ask a run to keep what it has learnt and end; one that is not under way is marked at once. Returns at once."""
        kept = "Stopped as you asked. Its checkpoints are kept."
        self._ask(run, "stop", at_once={"queued": "Stopped before it began.", "paused": kept, "interrupted": kept})
        seal_run(run)

    def cancel(self, run: RunFolder) -> None:
        """Ask a run to end and keep nothing; one that is not under way is marked, and its checkpoints deleted, at once."""
        said = "Cancelled as you asked. Nothing of it was kept; your feedback is as it was."
        self._ask(run, "cancel", at_once=dict.fromkeys(("queued", "paused", "interrupted", "failed"), said))
        if run.state().state == "cancelled":
            remove_tree(run.checkpoints, ignore_errors=True)
        seal_run(run)

    def _ask(self, run: RunFolder, action: Literal["pause", "stop", "cancel"], at_once: Mapping[RunState, str]) -> None:
        targets: dict[str, RunState] = {"pause": "paused", "stop": "stopped", "cancel": "cancelled"}
        target = targets[action]
        with run.claim.held():
            condition = run.state()
            if condition.state in at_once:
                run.append_control(action)
                changed = {"state": target, "message": at_once[condition.state], "hint": ""}
                run.write_status(condition.status.model_copy(update=changed))
            elif not condition.ended:
                run.append_control(action)

    def remove_from_queue(self, run: RunFolder) -> None:
        """Take back a run that has not begun.

        Raises:
            BadInput: it has begun already.
        """
        with run.claim.held():
            if run.state().state != "queued":
                raise BadInput("This run is not waiting any more.", "Press Stop to end it; what it has learnt is kept.")
            status = run.status().model_copy(update={"state": "stopped", "message": "Taken out of the queue.", "hint": ""})
            run.write_status(status)
        seal_run(run)

    def resume(self, run: RunFolder, device: DeviceRef | None = None) -> None:
        """Queue a paused, stopped, interrupted or failed run again: it goes on from its last checkpoint.

        Args:
            run: Which.
            device: Where it goes on; None: where it was to run before, or on any card if that one is gone.

        Raises:
            BadInput: the run is complete, or under way.
        """
        with run.claim.held():
            condition = run.state()
            if condition.state == "cancelled":
                raise BadInput(
                    "This run was cancelled, so there is nothing to go on from.", "Start a new run: your feedback is as it was."
                )
            if condition.state == "done":
                raise BadInput("This run is complete.", "Start a new run on its result to train further.")
            if condition.resumable:
                unseal_run(run)
            run.append_control("resume")
            if condition.resumable:
                run.write_status(waiting(_wanted_again(run, condition, device)))
        self.ensure_supervisor()

    def ensure_supervisor(self) -> None:
        """Start a supervisor if there is something to do and none is looking. Cheap when there is nothing to do.

        No wake-up is lost: a supervisor takes its name out of the lock, lets go, and then looks at the queue once more. So
        either its name is still there, and it will see what we have written before, or it is gone, and we start another.
        """
        if supervisor_lock(self.workspace).holder() is not None or not any(map(needs_work, run_folders(self.workspace))):
            return
        command = supervisor_command(self.workspace.root, self._worker_command)
        log = state_dir() / "supervisor.log"
        spawn_detached(command, cwd=package_parent(), env=worker_environment(), log=log)


def _wanted_again(run: RunFolder, condition: RunCondition, device: DeviceRef | None) -> DeviceRef | None:
    meant, known = device or condition.status.wanted or run.config().device, known_device()
    is_gone = meant is not None and known is not None and same_device(meant, devices_of(known)) is None
    return AUTOMATIC if is_gone else device or condition.status.wanted


def _stamp(run: RunFolder) -> _Stamp:
    """Changes whenever a file does that a summary is read from; it costs no reading."""
    return tuple(map(_file_stamp, (run.config_file, run.status_file, run.events, notes_file(run))))


def _file_stamp(file: Path) -> tuple[int, int, int]:
    try:
        seen = file.stat()
    except FileNotFoundError:
        return (0, 0, 0)
    return (seen.st_mtime_ns, seen.st_size, seen.st_ino)


def _summary(run: RunFolder, condition: RunCondition) -> RunSummary:
    config, notes = run.config(), run_notes(run)
    words = tail_events(run.events)
    progress = next((e for e in reversed(words) if isinstance(e, Progress)), None)
    metrics = next((e for e in reversed(words) if isinstance(e, Metrics)), None)
    finished = next((e for e in reversed(words) if isinstance(e, Finished)), None)
    return RunSummary(
        id=run.id,
        folder=run,
        title=notes.title or config.title,
        algorithm=config.algorithm,
        project_id=config.project_id,
        created=config.created,
        state=condition.state,
        message=condition.message,
        hint=condition.hint,
        phase=progress.phase if progress and condition.state == "running" else "",
        step=progress.step if progress else 0,
        total=progress.total if progress else 0,
        eta_s=progress.eta_s if progress and condition.state == "running" else None,
        metrics=metrics.values if metrics else {},
        result=finished.metrics if finished and condition.ended else {},
        slow=condition.slow,
        hung=condition.hung,
        asked=condition.asked or "",
        resumable=condition.resumable,
        notes=notes.notes,
        archived=notes.archived,
    )
