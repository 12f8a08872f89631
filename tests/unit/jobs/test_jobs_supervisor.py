import errno
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from jobs_helpers import ROWS, STUB, make_config, most_alive_together, reaches, supervisor_of, wait_until

from rlhf_desktop.core.files import read_jsonl
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import FileLock, is_alive
from rlhf_desktop.core.runs import RunStatus
from rlhf_desktop.jobs import queue as queue_module
from rlhf_desktop.jobs.commands import package_parent, supervisor_command
from rlhf_desktop.jobs.follow import EventReader
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.jobs.runfolder import RunFolder, waiting
from rlhf_desktop.jobs.supervisor import Child, Supervisor


@pytest.fixture
def gate(tmp_path):
    return tmp_path / "gate"


def running(queue: Queue, gate) -> RunFolder:
    run = queue.submit(make_config(gate=str(gate)), ROWS)
    reaches(run, "running")
    return run


def kill_supervisor(workspace: Workspace) -> None:
    supervisor = supervisor_of(workspace)
    os.kill(supervisor.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(supervisor))


def trainers_begun(workspace: Workspace) -> int:
    return sum(row["what"] == "begin" for row in read_jsonl(workspace.runs / "alive.jsonl"))


def test_a_killed_worker_is_interrupted_says_the_signal_and_can_go_on(queue: Queue, gate) -> None:
    run = running(queue, gate)
    os.kill(run.status().worker.pid, signal.SIGKILL)
    reaches(run, "interrupted")
    condition = run.state()
    assert "SIGKILL" in condition.message
    assert "memory" in condition.message  # nobody asked for it
    assert "Resume" in condition.hint
    assert run.status().signal == "SIGKILL"
    gate.touch()
    queue.resume(run)
    reaches(run, "done")


def test_a_follower_does_not_stumble_over_an_event_torn_by_the_kill(queue: Queue, gate) -> None:
    run = running(queue, gate)
    os.kill(run.status().worker.pid, signal.SIGKILL)
    reaches(run, "interrupted")
    with run.events.open("ab") as f:
        f.write(b'{"v":1,"seq":99,"ty')
    reader = EventReader(run.events)
    earlier = reader.read_new()
    gate.touch()
    queue.resume(run)
    reaches(run, "done")
    events = earlier + reader.read_new()
    assert [e.seq for e in events] == list(range(len(events)))
    assert events[-1].type == "finished"
    assert reader.notes == []


def test_the_next_supervisor_adopts_a_living_worker(queue: Queue, workspace: Workspace, gate) -> None:
    run = running(queue, gate)
    kill_supervisor(workspace)
    assert run.state().state == "running"  # the worker lives, so the run does
    later = queue.submit(make_config("later"), ROWS)
    wait_until(lambda: supervisor_of(workspace) is not None and run.status().supervisor == supervisor_of(workspace))
    assert later.state().state == "queued"
    assert trainers_begun(workspace) == 1
    gate.touch()
    reaches(later, "done")
    assert run.state().state == "done"
    assert most_alive_together(workspace) == 1


def test_a_run_that_ended_with_nobody_there_says_how_it_ended(queue: Queue, workspace: Workspace, gate) -> None:
    finished = running(queue, gate)
    kill_supervisor(workspace)
    gate.touch()
    reaches(finished, "done")
    assert finished.status().state == "running"  # nobody has recorded it; the folder says so all the same
    queue.ensure_supervisor()
    wait_until(lambda: finished.status().state == "done")


def test_a_process_that_stands_still_is_felt_and_one_that_goes_on_again_too(queue: Queue, gate) -> None:
    run = running(queue, gate)
    worker = run.status().worker
    os.kill(worker.pid, signal.SIGSTOP)
    wait_until(lambda: run.status().signs.idle_s > 0)
    assert run.status().signs.silent_s > 0
    assert run.state().state == "running"
    os.kill(worker.pid, signal.SIGCONT)
    before = run.status().signs.silent_s
    run.heartbeat.touch()  # as at the end of a step
    wait_until(lambda: run.status().signs.silent_s < before)
    gate.touch()
    reaches(run, "done")


def test_both_killed_is_interrupted(queue: Queue, workspace: Workspace, gate) -> None:
    run = running(queue, gate)
    worker = run.status().worker
    kill_supervisor(workspace)
    os.kill(worker.pid, signal.SIGKILL)
    reaches(run, "interrupted")
    gate.touch()
    queue.resume(run)
    reaches(run, "done")


def test_an_orphan_nobody_has_recorded_still_keeps_the_device(queue: Queue, workspace: Workspace, gate) -> None:
    run = running(queue, gate)
    worker = run.status().worker
    kill_supervisor(workspace)
    run.write_status(RunStatus(state="starting", queued_at=0))  # as if killed between starting it and writing it down
    later = queue.submit(make_config("later"), ROWS)
    wait_until(lambda: "already uses this computer" in later.status().message)
    assert is_alive(worker)
    gate.touch()
    reaches(later, "done")
    assert most_alive_together(workspace) == 1


def test_a_second_workspace_waits_for_the_device(queue: Queue, tmp_path, gate) -> None:
    first = running(queue, gate)
    other = Queue(Workspace(tmp_path / "other"), STUB)
    second = other.submit(make_config("elsewhere"), ROWS)
    wait_until(lambda: "already uses this computer" in second.status().message)
    assert not second.events.exists()
    gate.touch()
    reaches(second, "done")
    assert first.state().state == "done"
    wait_until(lambda: supervisor_of(other.workspace) is None)


def test_many_supervisors_never_run_two_workers(workspace: Workspace) -> None:
    runs = [RunFolder.create(workspace, make_config(str(i)), ROWS) for i in range(3)]
    command = supervisor_command(workspace.root, STUB)
    rivals = [subprocess.Popen(command, cwd=package_parent()) for _ in range(4)]
    assert [rival.wait(300) for rival in rivals] == [0] * 4
    assert {run.state().state for run in runs} == {"done"}
    assert trainers_begun(workspace) == 3
    assert most_alive_together(workspace) == 1


SUBMIT = """
import sys; from pathlib import Path
from jobs_helpers import ROWS, STUB, make_config
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.jobs.follow import EventReader
from rlhf_desktop.jobs.queue import Queue
queue = Queue(Workspace(Path(sys.argv[1])), STUB)
for i in range(4):
    run = queue.submit(make_config(str(i), steps=1), ROWS)
    assert not i % 2 or list(queue.follow(run, poll_s=0.01))
"""


def test_no_wakeup_is_lost_between_processes_that_queue(workspace: Workspace) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(package_parent())])}

    def submit(_: int) -> int:
        return subprocess.run([sys.executable, "-c", SUBMIT, str(workspace.root)], cwd=package_parent(), env=env).returncode

    with ThreadPoolExecutor() as pool:
        assert list(pool.map(submit, range(2))) == [0, 0]
    queue = Queue(workspace, STUB)
    wait_until(lambda: [s.state for s in queue.runs()] == ["done"] * 8)  # without anyone asking again
    assert most_alive_together(workspace) == 1


def test_a_run_queued_while_the_supervisor_is_leaving_is_still_its_own(workspace: Workspace, tmp_path, monkeypatch) -> None:
    spawned, late = [], []
    monkeypatch.setattr(queue_module, "spawn_detached", lambda *args, **kwargs: spawned.append(args))
    release = FileLock.release

    def leave(lock: FileLock) -> None:
        if lock.path.name == "supervisor.lock" and not late:  # it has seen an empty queue, and its name is still in the lock
            late.append(Queue(workspace, STUB).submit(make_config(), ROWS))
        release(lock)

    monkeypatch.setattr(FileLock, "release", leave)
    Supervisor(workspace, STUB).work()
    assert spawned == []  # whoever queued it relied on the name
    assert late[0].state().state == "done"


def test_a_trainer_that_cannot_be_started_fails_and_the_queue_goes_on(workspace: Workspace) -> None:
    queue = Queue(workspace, ["/does/not/exist"])
    runs = [queue.submit(make_config(), ROWS) for _ in range(2)]
    for run in runs:
        reaches(run, "failed")
        assert "could not be started" in run.state().message


def test_a_trainer_that_is_quicker_than_its_supervisor_is_running(workspace: Workspace, tmp_path, gate, monkeypatch) -> None:
    """It had begun before the supervisor could look, and the run stayed "starting" for as long as it lasted."""
    run = RunFolder.create(workspace, make_config(gate=str(gate)), ROWS)
    start, states = Supervisor._start, []

    def slowly(self: Supervisor, started: RunFolder, *on: object) -> subprocess.Popen[bytes]:
        child = start(self, started, *on)
        wait_until(lambda: started.events.exists() and b"metrics" in started.events.read_bytes())
        return child

    def write(self: RunFolder, status: RunStatus) -> None:
        keep(self, status)
        if status.heartbeat and status.worker:
            states.append(status.state)
        if status.state == "running":
            gate.touch()

    keep = RunFolder.write_status
    monkeypatch.setattr(Supervisor, "_start", slowly)
    monkeypatch.setattr(RunFolder, "write_status", write)
    Supervisor(workspace, STUB).work()
    assert states[:2] == ["starting", "running"]  # as it was started, and at the first look
    assert run.status().state == "done"


def test_a_disk_that_is_full_when_a_trainer_has_just_started_orphans_nobody(workspace: Workspace, monkeypatch) -> None:
    """The supervisor died there, the trainer went on unseen, and Resume would have started a second one."""
    runs = [RunFolder.create(workspace, make_config(), ROWS) for _ in range(2)]
    keep, failed = RunFolder.write_status, []

    def write(self: RunFolder, status: RunStatus) -> None:
        if status.worker and not failed:
            failed.append(self.id)
            raise OSError(errno.ENOSPC, "No space left on device")
        keep(self, status)

    monkeypatch.setattr(RunFolder, "write_status", write)
    Supervisor(workspace, STUB).work()
    assert failed == [runs[0].id]
    assert [run.status().state for run in runs] == ["done", "done"]
    assert all(run.status().worker is not None for run in runs)


def test_a_run_resumed_before_the_next_supervisor_has_seen_it_dead_stays_queued(queue: Queue, workspace: Workspace, gate) -> None:
    """The next supervisor had read it as running, and wrote that over the user's word: the run was interrupted for good."""
    run = running(queue, gate)
    kill_supervisor(workspace)
    child = Child(run, run.status())  # as the next one reads it …
    os.kill(run.status().worker.pid, signal.SIGKILL)
    reaches(run, "interrupted")
    run.write_status(waiting())  # … and the user presses Resume
    child.beat()
    assert run.status().state == "queued"
