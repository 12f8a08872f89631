"""One run, as a folder: everything it needs and everything it says. See `core.runs` for what the files hold."""

import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import ValidationError

from rlhf_desktop.core.encryption import Locked
from rlhf_desktop.core.errors import BadInput, NoSpace, NotFound
from rlhf_desktop.core.files import append_jsonl, is_disk_full, write_json
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import FileLock, free_disk_bytes, fsync_dir, is_alive, remove_tree, rename
from rlhf_desktop.core.runs import Control, DeviceRef, RunConfig, RunEvent, RunState, RunStatus, Value
from rlhf_desktop.core.sealing import read_bytes
from rlhf_desktop.feedback.snapshot import SnapshotRow, write_snapshot
from rlhf_desktop.jobs.follow import tail_events
from rlhf_desktop.jobs.outcome import decide
from rlhf_desktop.jobs.pulse import SLOW_S

ENDED: frozenset[RunState] = frozenset({"paused", "done", "stopped", "cancelled", "failed", "interrupted"})
RESUMABLE: frozenset[RunState] = frozenset({"paused", "stopped", "failed", "interrupted"})
_LEAST_FREE_BYTES = 64 * 1024 * 1024  # below this a run could not write its first checkpoint
_CLOCK_SLACK_S = 2.0  # process start times are known to the second or so
_V = TypeVar("_V", bound=Value)


@dataclass(frozen=True)
class RunCondition:
    """What `status.json` says, made true: a process that is gone does not run, whatever was last written."""

    state: RunState
    message: str
    hint: str
    status: RunStatus
    worker_alive: bool = False
    slow: bool = False  # alive, but no step for long
    hung: bool = False  # and no processor time used either
    asked: Literal["pause", "stop", "cancel"] | None = None  # of a run under way, which will obey after its step

    @property
    def ended(self) -> bool:
        """Nothing more will come unless the user resumes it."""
        return self.state in ENDED

    @property
    def resumable(self) -> bool:
        """Whether Resume makes sense."""
        return self.state in RESUMABLE


class RunFolder:
    """The files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_file = path / "run.json"
        self.data = path / "data.jsonl"
        self.events = path / "events.jsonl"
        self.control = path / "control.jsonl"
        self.status_file = path / "status.json"
        self.heartbeat = path / "heartbeat"
        self.log = path / "log.txt"
        self.checkpoints = path / "checkpoints"
        self.adapter = path / "adapter"
        self.claim = FileLock(path / ".claim.lock")  # held while deciding what becomes of a run that nobody works on

    @property
    def id(self) -> str:
        """The run's identifier, which is the folder's name."""
        return self.path.name

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    @classmethod
    def create(cls, workspace: Workspace, config: RunConfig, rows: Iterable[SnapshotRow]) -> "RunFolder":
        """Write a queued run, whole or not at all. `config.data_sha256` is filled in from the rows.

        Raises:
            NoSpace: the disk is full; nothing is left behind.
        """
        workspace.ensure()
        final = workspace.runs / config.run_id
        building = workspace.runs / f".{config.run_id}.{os.getpid()}.tmp"  # by whom: what a killed one leaves is swept up
        if free_disk_bytes(workspace.runs) < _LEAST_FREE_BYTES:
            raise _no_space(workspace)
        try:
            building.mkdir(mode=0o700)
            cls(building)._fill(config, rows)
            rename(building, final)
            fsync_dir(workspace.runs)
        except BaseException as problem:
            remove_tree(building, ignore_errors=True)
            if is_disk_full(problem):
                raise _no_space(workspace) from problem
            raise
        return cls(final)

    def _fill(self, config: RunConfig, rows: Iterable[SnapshotRow]) -> None:
        digest = write_snapshot(self.data, rows)
        write_json(self.config_file, config.model_copy(update={"data_sha256": digest}).model_dump(mode="json"))
        self.checkpoints.mkdir()
        self.write_status(waiting())

    def config(self) -> RunConfig:
        """What was frozen when the run was queued.

        Raises:
            NotFound: there is no such run.
            BadInput: the file is damaged, or from a newer version of the program.
        """
        return self._read(self.config_file, RunConfig)

    def status(self) -> RunStatus:
        """What was last written; see `state` for what is true now. Raises as `config` does."""
        return self._read(self.status_file, RunStatus)

    def _read(self, file: Path, kind: type[_V]) -> _V:
        try:
            return kind.model_validate_json(read_bytes(file))
        except FileNotFoundError:
            raise NotFound(f"There is no run in {self.path}.", "“runs list” shows the runs there are.") from None
        except ValidationError as problem:
            if any(error["loc"] == ("v",) and error["type"] == "literal_error" for error in problem.errors(include_url=False)):
                said = f"The run {self.id} was made by a newer version of the program, so this one leaves it alone."
                raise BadInput(said, "Update the program; other runs are not affected.", str(problem)) from None
            hint = "It may come from a newer version of this program; other runs are not affected."
            raise BadInput(f"The run {self.id} cannot be read: {file.name} is damaged.", hint, str(problem)) from None

    def write_status(self, status: RunStatus) -> None:
        """Replace `status.json`, whole. One writer at a time: whoever queues the run, then the supervisor."""
        write_json(self.status_file, status.model_dump(mode="json"))

    def append_control(self, action: Literal["pause", "resume", "stop", "cancel"]) -> None:
        """Say what the user wants from now on."""
        _drop_torn_line(self.control)
        control = Control(seq=len(self._controls()), time=time.time(), action=action)
        append_jsonl(self.control, control.model_dump(mode="json"))

    def asked(self) -> Literal["pause", "resume", "stop", "cancel"] | None:
        """What the user asked for last."""
        controls = self._controls()
        return controls[-1].action if controls else None

    def _controls(self) -> list[Control]:
        controls = []
        for line in self.control.read_bytes().splitlines() if self.control.exists() else ():
            with contextlib.suppress(ValidationError):  # a line torn by a full disk was never a wish
                controls.append(Control.model_validate_json(line))
        return controls

    def next_seq(self) -> int:
        """The number that the next event will have."""
        return max((event.seq + 1 for event in tail_events(self.events)), default=0)

    def state(self) -> RunCondition:
        """The status, reconciled with which processes live. Raises as `config` does."""
        status = self.status()
        alive = is_alive(status.worker)
        if status.state not in ("starting", "running"):
            return RunCondition(status.state, status.message, status.hint, status)
        if not alive and not is_alive(status.supervisor):
            outcome = decide(status.exit_code, status.signal, self.words_of(status), asked=self.asked())
            return RunCondition(outcome.state, outcome.message, outcome.hint, status)
        slow = alive and status.signs.silent_s > SLOW_S
        hung = slow and status.signs.idle_s > SLOW_S
        said = (status.state, status.message, status.hint, status)
        return RunCondition(*said, worker_alive=alive, slow=slow, hung=hung, asked=self._wish())

    def words_of(self, status: RunStatus) -> list[RunEvent]:
        """The latest events of the worker in `status`; none when it never began."""
        if status.worker is None:
            return []
        try:
            events = tail_events(self.events)
        except Locked:  # sealed, so that its end is written down already
            return []
        if status.first_seq is not None:
            return [event for event in events if event.seq >= status.first_seq]
        return [event for event in events if event.time >= status.worker.start_time - _CLOCK_SLACK_S]

    def _wish(self) -> Literal["pause", "stop", "cancel"] | None:
        asked = self.asked()
        return None if asked == "resume" else asked


def waiting(wanted: DeviceRef | None = None) -> RunStatus:
    """The status of a run that has just been queued, for another device than the one in `run.json` if one is given."""
    return RunStatus(state="queued", queued_at=time.time(), message="Waiting for its turn.", wanted=wanted)


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line that was never finished, so that the next one does not continue it."""
    if path.exists():
        os.truncate(path, path.read_bytes().rfind(b"\n") + 1)


def _no_space(workspace: Workspace) -> NoSpace:
    return NoSpace(
        "The disk is full, so the run was not queued.",
        f"Nothing was changed. Free some space on the disk that holds {workspace.root} and try again.",
    )
