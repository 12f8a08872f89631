"""Works a workspace's queue, one training process at a time, window or no window.

Started as `python -m rlhf_desktop.jobs.supervisor WORKSPACE`. Two locks keep it safe. `supervisor.lock` in the workspace: one
supervisor each. `device.lock` of the user: one training process at a time over all workspaces. The training process inherits
the device lock, so it stays taken as long as that process lives, even if this one is killed; the next supervisor then waits for
the process instead of starting a second one.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rlhf_desktop.core import offline
from rlhf_desktop.core.paths import Workspace, state_dir
from rlhf_desktop.core.platform import FileLock, is_alive, kill_group, process_ref, signal_of, start_child
from rlhf_desktop.core.runs import RunStatus, Started
from rlhf_desktop.jobs.awake import awake
from rlhf_desktop.jobs.commands import package_parent, worker_command, worker_environment
from rlhf_desktop.jobs.follow import EventReader
from rlhf_desktop.jobs.outcome import Outcome, decide
from rlhf_desktop.jobs.pulse import Pulse
from rlhf_desktop.jobs.queue import needs_work, run_folders, supervisor_lock
from rlhf_desktop.jobs.runfolder import RunFolder, waiting

_HEARTBEAT_S = 2.0
_STARTING_POLL_S = 0.25  # until the trainer has said that it began
_DEVICE_POLL_S = 0.5


class Supervisor:
    """The one that works the queue of a workspace.

    Args:
        workspace: Whose queue.
        trainer: Starts a training process, given a run folder as last argument.
        device: The lock on this user's device.
    """

    def __init__(self, workspace: Workspace, trainer: Sequence[str], device: FileLock) -> None:
        self._workspace = workspace
        self._trainer = list(trainer)
        self._device = device
        self._lock = supervisor_lock(workspace)
        self._me = process_ref()
        self._pulse: Pulse | None = None  # of the training process under way

    def work(self) -> None:
        """Work until the queue is empty; return at once if another supervisor is at it."""
        while self._lock.acquire():
            self._lock.say()
            try:
                self._work_queue()
            finally:
                self._device.release()
                self._lock.release()
            if not any(map(needs_work, run_folders(self._workspace))):  # queued while our name was still in the lock
                return

    def _work_queue(self) -> None:
        while True:
            for run in self._in_state("starting", "running"):
                self._settle(run)
            queued = self._in_state("queued")
            if not queued:
                return
            if self._device.acquire():
                self._train(min(queued, key=lambda run: (run.status().queued_at, run.id)))
            else:
                self._say_waiting(queued)
                time.sleep(_DEVICE_POLL_S)

    def _in_state(self, *states: str) -> list[RunFolder]:
        return [run for run in run_folders(self._workspace) if needs_work(run) and run.status().state in states]

    def _say_waiting(self, queued: list[RunFolder]) -> None:
        text = "Waiting for a training process that already uses this computer."
        for run in queued:
            with run.claim.held():
                status = run.status()
                if status.state == "queued" and status.message != text:
                    run.write_status(status.model_copy(update={"message": text}))

    # --- a run of an earlier supervisor ---------------------------------------------------------------------------------------

    def _settle(self, run: RunFolder) -> None:
        """Wait for a training process that has lost its supervisor, and record how it ended, as far as can be known."""
        status = run.status().model_copy(update={"supervisor": self._me})
        self._pulse = _pulse(run, status)
        with awake():
            while is_alive(status.worker):
                status = self._beat(run, status)
                time.sleep(_HEARTBEAT_S)
        self._record(run, status, decide(status.exit_code, status.signal, run.words_of(status), asked=run.asked()))

    # --- a run of ours --------------------------------------------------------------------------------------------------------

    def _train(self, run: RunFolder) -> None:
        with run.claim.held():
            if run.status().state != "queued":
                return  # taken back in the meantime
            status = RunStatus(
                state="starting", queued_at=run.status().queued_at, supervisor=self._me, heartbeat=time.time(), message="Starting."
            )
            run.write_status(status)
        news = EventReader(run.events)
        news.read_new()  # what earlier sessions wrote; before this one can write anything
        began = time.time()
        try:
            child = self._start(run)
        except OSError as problem:
            self._record(run, status, Outcome("failed", "The training process could not be started.", str(problem)))
            return
        status = status.model_copy(update={"worker": process_ref(child.pid)})
        run.write_status(status)
        with awake():
            status = self._wait(run, child, status, news)
        kill_group(child.pid)
        killed_by = signal_of(child.returncode)
        ended = {"signal": killed_by} if killed_by else {"exit_code": child.returncode}
        status = status.model_copy(update=ended)
        self._record(run, status, decide(status.exit_code, status.signal, run.words_since(began), asked=run.asked()))

    def _start(self, run: RunFolder) -> subprocess.Popen[bytes]:
        with run.log.open("ab") as log:
            command = [*self._trainer, str(run.path)]
            return start_child(command, cwd=package_parent(), env=worker_environment(), output=log, held_lock=self._device)

    def _wait(self, run: RunFolder, child: subprocess.Popen[bytes], status: RunStatus, news: EventReader) -> RunStatus:
        self._pulse = _pulse(run, status)
        while True:
            try:
                child.wait(_STARTING_POLL_S if status.state == "starting" else _HEARTBEAT_S)
                return status
            except subprocess.TimeoutExpired:
                if status.state == "starting" and any(isinstance(e, Started) for e in news.read_new()):
                    status = status.model_copy(update={"state": "running", "message": ""})
                status = self._beat(run, status)

    # --- writing --------------------------------------------------------------------------------------------------------------

    def _beat(self, run: RunFolder, status: RunStatus) -> RunStatus:
        signs = self._pulse.feel() if self._pulse else status.signs
        beaten = status.model_copy(update={"heartbeat": time.time(), "signs": signs})
        try:
            run.write_status(beaten)
        except OSError as problem:  # a full disk for one: the training process goes on, and we try again at the next beat
            print(f"{run.id}: status not written: {problem}", file=sys.stderr)
        return beaten

    def _record(self, run: RunFolder, status: RunStatus, outcome: Outcome) -> None:
        """Write how a run ended, once the disk lets us. A run whose pause was taken back before it took effect is queued again."""
        text = {"state": outcome.state, "message": outcome.message, "hint": outcome.hint, "heartbeat": time.time()}
        while True:
            try:
                with run.claim.held():
                    if run.status().state in ("starting", "running"):  # or the user has queued it again meanwhile
                        again = outcome.state == "paused" and run.asked() == "resume"
                        run.write_status(waiting() if again else status.model_copy(update=text))
                return
            except OSError as problem:
                print(f"{run.id}: end not written: {problem}", file=sys.stderr)
                time.sleep(_HEARTBEAT_S)


def _pulse(run: RunFolder, status: RunStatus) -> Pulse | None:
    return Pulse(status.worker, (run.heartbeat, run.events)) if status.worker else None


def main(arguments: Sequence[str]) -> None:
    """Work the queue of the workspace named first; the rest, if any, is the command that starts a trainer."""
    offline.begin()
    root, *trainer = arguments
    device = FileLock(state_dir() / "device.lock")
    Supervisor(Workspace(Path(root)), trainer or worker_command("train"), device).work()


if __name__ == "__main__":
    main(sys.argv[1:])
