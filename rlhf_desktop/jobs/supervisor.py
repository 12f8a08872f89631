"""Works a workspace's queue, window or no window: one training process a device, so as many runs at once as there are free cards.

Started as `python -m rlhf_desktop.jobs.supervisor WORKSPACE`. Two kinds of locks keep it safe. `supervisor.lock` in the workspace:
one supervisor each. `device*.lock` of the user, one for each card and one for the processor: one training process each, over all
workspaces. The training process inherits its device's lock, so it stays taken as long as that process lives, even if this one is
killed; the next supervisor then adopts the process instead of starting a second one beside it.
"""

import functools
import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlhf_desktop.core import offline
from rlhf_desktop.core.devices import DEVICE
from rlhf_desktop.core.errors import AppError, WorkerTrouble
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import FileLock, be_private, is_alive, kill_group, process_ref, signal_of, start_child
from rlhf_desktop.core.runs import RunStatus, Started
from rlhf_desktop.jobs import nvml
from rlhf_desktop.jobs.awake import awake
from rlhf_desktop.jobs.commands import package_parent, worker_command, worker_environment
from rlhf_desktop.jobs.device import Device, candidates, device_lock, devices_of, freest, probe_device
from rlhf_desktop.jobs.follow import EventReader
from rlhf_desktop.jobs.outcome import Outcome, decide
from rlhf_desktop.jobs.pulse import Pulse
from rlhf_desktop.jobs.queue import needs_work, run_folders, supervisor_lock, working_status
from rlhf_desktop.jobs.runfolder import RunFolder, waiting
from rlhf_desktop.jobs.sealed import seal_runs

_HEARTBEAT_S = 2.0
_POLL_S = 0.25  # while a trainer has not said that it began, a run waits for a device, or several processes may end
_UNKNOWN = Device(id="", kind="cpu", name="", uuid="", total_bytes=0, seen_free_bytes=0, fast_dtype="")


@dataclass(eq=False)
class Child:
    """A training process under way: ours, or one that has lost its supervisor (`process` is None, its lock is its own)."""

    run: RunFolder
    status: RunStatus
    process: subprocess.Popen[bytes] | None = None
    lock: FileLock | None = None
    news: EventReader | None = None
    beaten_s: float = -math.inf  # on the monotonic clock

    def __post_init__(self) -> None:
        worker = self.status.worker
        self.pulse = Pulse(worker, (self.run.heartbeat, self.run.events)) if worker else None

    @property
    def device(self) -> str | None:
        """The key of the device it has; None where that is not known."""
        return self.status.device.key if self.status.device else None

    def has_ended(self) -> bool:
        """Whether the process is gone; its end is then in the status."""
        if self.process is None:
            return not is_alive(self.status.worker)
        code = self.process.poll()
        if code is None:
            return False
        kill_group(self.process.pid)
        killed_by = signal_of(code)
        self._note(**({"signal": killed_by} if killed_by else {"exit_code": code}))
        return True

    def outcome(self) -> Outcome:
        """How it ended, as far as can be known."""
        words = self.run.words_of(self.status)
        return decide(self.status.exit_code, self.status.signal, words, asked=self.run.asked())

    def beat(self) -> None:
        """Say that it is being looked after, every so often and at once when it has begun."""
        news = self.news.read_new() if self.news and self.status.state == "starting" else []
        if any(isinstance(event, Started) for event in news):
            self._note(state="running", message="")
        elif time.monotonic() - self.beaten_s < _HEARTBEAT_S:
            return
        self._note(heartbeat=time.time(), signs=self.pulse.feel() if self.pulse else self.status.signs)
        self.beaten_s = time.monotonic()
        self.write()

    def write(self) -> None:
        """Keep its status, if the disk lets us."""
        try:
            self._write()
        except (OSError, AppError) as problem:  # a full disk for one: the process goes on, and we try again at the next beat
            print(f"{self.run.id}: status not written: {problem}", file=sys.stderr)

    def _write(self) -> None:
        """Keep the status, unless the run was found dead and queued again since it was read: then the user's word stands."""
        self.run.status()  # before the lock, whose file would make a folder anew that was thrown away
        with self.run.claim.held():
            if self.run.status().state in ("starting", "running"):
                self.run.write_status(self.status)

    def wait(self, seconds: float) -> None:
        """Until the process has ended, but no longer than this."""
        if self.process is None:
            time.sleep(seconds)
            return
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return

    def _note(self, **changed: object) -> None:
        self.status = self.status.model_copy(update=changed)


class Supervisor:
    """The one that works the queue of a workspace.

    Args:
        workspace: Whose queue.
        trainer: Starts a training process, given a run folder as last argument.
        devices: Which devices there are; looked up anew for each run.
    """

    def __init__(self, workspace: Workspace, trainer: Sequence[str], devices: Callable[[], Sequence[Device]] | None = None) -> None:
        self._workspace = workspace
        self._trainer = list(trainer)
        self._devices = devices or devices_here
        self._lock = supervisor_lock(workspace)
        self._me = process_ref()
        self._children: list[Child] = []
        self._settled: dict[str, tuple[int, int]] = {}  # runs without work, by what their status file was then

    def work(self) -> None:
        """Work until the queue is empty; return at once if another supervisor is at it."""
        while self._lock.acquire():
            self._lock.say()
            seal_runs(run_folders(self._workspace))  # what ended while nobody was here to seal it
            try:
                with awake():
                    while self._look():
                        self._rest()
            finally:
                for child in self._children:
                    _let_go(child.lock)
                self._lock.release()
            if not any(map(needs_work, run_folders(self._workspace))):  # queued while our name was still in the lock
                return

    def _look(self) -> bool:
        """Do what there is to do now. Whether anything is left for later."""
        at_work = self._at_work()
        ours = {child.run.id for child in self._children}
        self._children += [self._adopt(run, status) for run, status in at_work if status.state != "queued" and run.id not in ours]
        ended = [child for child in self._children if child.has_ended()]
        for child in ended:
            _record(child.run, child.status, child.outcome())
            _let_go(child.lock)
        self._children = [child for child in self._children if child not in ended]
        for child in self._children:
            child.beat()
        queued = [(run, status) for run, status in at_work if status.state == "queued"]
        for run, status in sorted(queued, key=lambda item: (item[1].queued_at, item[0].id)):
            self._tried(run, status)
        return bool(self._children or queued or ended)

    def _at_work(self) -> list[tuple[RunFolder, RunStatus]]:
        """The runs with something to do, and how they stand. One that has nothing is read again only once its status changes."""
        found = []
        for run in run_folders(self._workspace):
            stamp = _stamp(run)
            if stamp is not None and self._settled.get(run.id) == stamp:
                continue
            status = working_status(run)
            if status is not None:
                found.append((run, status))
            elif stamp is not None:
                self._settled[run.id] = stamp
        return found

    def _rest(self) -> None:
        """Until the next look is due, or the only process has ended."""
        if not self._children:
            time.sleep(_POLL_S)
            return
        first = self._children[0]
        first.wait(_HEARTBEAT_S if len(self._children) == 1 and first.status.state == "running" else _POLL_S)

    def _adopt(self, run: RunFolder, status: RunStatus) -> Child:
        """A training process of an earlier supervisor, dead or alive."""
        return Child(run, status.model_copy(update={"supervisor": self._me}))

    # --- a run of ours --------------------------------------------------------------------------------------------------------

    def _tried(self, run: RunFolder, status: RunStatus) -> None:
        """Begin a run if it can be; what is wrong with one (a full disk, a folder that is gone) does not keep the others."""
        try:
            self._begin(run, status)
        except (OSError, AppError) as problem:
            print(f"{run.id}: not begun: {problem}", file=sys.stderr)

    def _begin(self, run: RunFolder, status: RunStatus) -> None:
        """Start a queued run if a device that it may use is free; else say what it waits for."""
        try:
            usable = candidates(status.wanted or run.config().device, self._devices())
        except AppError as trouble:
            _record(run, status, Outcome("failed", trouble.message, trouble.hint), among=("queued",))
            return
        busy = {child.device for child in self._children}
        locks = {} if None in busy else {each: device_lock(each) for each in usable if each.key not in busy}
        held = [device for device, lock in locks.items() if lock.acquire()]
        chosen = freest(held) if held else None
        for device in held:
            if device is not chosen:
                locks[device].release()
        if chosen is not None:
            try:
                self._train(run, chosen, locks[chosen])
            finally:
                if all(child.lock is not locks[chosen] for child in self._children):
                    locks[chosen].release()
        elif locks:  # else it waits for a run of ours, and its turn
            _say_waiting(run, usable)

    def _train(self, run: RunFolder, device: Device, lock: FileLock) -> None:
        with run.claim.held():
            now = run.status()
            if now.state != "queued":
                return  # taken back in the meantime
            given = {"wanted": now.wanted, "device": device.ref if device.key else None, "first_seq": run.next_seq()}
            status = RunStatus(
                state="starting", queued_at=now.queued_at, supervisor=self._me, heartbeat=time.time(), message="Starting.", **given
            )
            run.write_status(status)
        news = EventReader(run.events)
        news.read_new()  # what earlier sessions wrote; before this one can write anything
        try:
            process = self._start(run, device, lock)
        except OSError as problem:
            _record(run, status, Outcome("failed", "The training process could not be started.", str(problem)))
            return
        child = Child(run, status.model_copy(update={"worker": process_ref(process.pid)}), process, lock, news)
        self._children.append(child)  # first: whatever fails now, the process is looked after
        child.write()

    def _start(self, run: RunFolder, device: Device, lock: FileLock) -> subprocess.Popen[bytes]:
        environment = {**worker_environment(), **({DEVICE: device.key} if device.key else {})}
        with run.log.open("ab") as log:
            command = [*self._trainer, str(run.path)]
            return start_child(command, cwd=package_parent(), env=environment, output=log, held_lock=lock)


def devices_here() -> list[Device]:
    """What this computer has; one unknown device where the training software cannot be asked: a trainer will say what is wrong."""
    return _probed(tuple(sorted(card.uuid for card in nvml.cards())))


@functools.cache
def _probed(cards: tuple[str, ...]) -> list[Device]:  # noqa: ARG001 - asked again when the driver knows other cards
    try:
        return devices_of(probe_device())
    except WorkerTrouble as trouble:
        print(trouble, file=sys.stderr)
        return [_UNKNOWN]


def _stamp(run: RunFolder) -> tuple[int, int] | None:
    try:
        seen = run.status_file.stat()
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_ino


def _let_go(lock: FileLock | None) -> None:
    if lock is not None:
        lock.release()


# --- writing ------------------------------------------------------------------------------------------------------------------


def _say_waiting(run: RunFolder, usable: Sequence[Device]) -> None:
    """Other training processes have every device that this run may use."""
    text = "Waiting for a training process that already uses this computer."
    if usable[0].is_card:
        text = "Waiting for a graphics card: other training processes use them all."
        if len(usable) == 1:
            text = f"Waiting for {usable[0].name}: another training process uses it."
    with run.claim.held():
        status = run.status()
        if status.state == "queued" and status.message != text:
            run.write_status(status.model_copy(update={"message": text}))


def _record(run: RunFolder, status: RunStatus, outcome: Outcome, among: Sequence[str] = ("starting", "running")) -> None:
    """Write how a run ended, once the disk lets us. A run whose pause was taken back before it took effect is queued again."""
    text = {"state": outcome.state, "message": outcome.message, "hint": outcome.hint, "heartbeat": time.time()}
    while True:
        try:
            with run.claim.held():
                if run.status().state in among:  # or the user has queued it again meanwhile
                    again = outcome.state == "paused" and run.asked() == "resume"
                    run.write_status(waiting(status.wanted) if again else status.model_copy(update=text))
            seal_runs([run])
            return
        except AppError:  # the folder is gone, and with it whoever would read its end
            return
        except OSError as problem:
            print(f"{run.id}: end not written: {problem}", file=sys.stderr)
            time.sleep(_HEARTBEAT_S)


def main(arguments: Sequence[str]) -> None:
    """Work the queue of the workspace named first; the rest, if any, is the command that starts a trainer."""
    be_private()
    offline.begin()
    root, *trainer = arguments
    Supervisor(Workspace(Path(root)), trainer or worker_command("train")).work()


if __name__ == "__main__":
    main(sys.argv[1:])
