import errno
import os

import pytest
from jobs_helpers import ROWS, make_config

from rlhf_desktop.core import files
from rlhf_desktop.core.errors import BadInput, NoSpace, NotFound
from rlhf_desktop.core.files import append_jsonl, sha256_file
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import process_ref
from rlhf_desktop.core.runs import ProcessRef, RunStatus, Signs
from rlhf_desktop.feedback.snapshot import read_snapshot
from rlhf_desktop.jobs import runfolder
from rlhf_desktop.jobs.pulse import SLOW_S
from rlhf_desktop.jobs.runfolder import RunFolder

GONE = ProcessRef(pid=2**22 - 1, start_time=1.0)


@pytest.fixture
def run(workspace: Workspace) -> RunFolder:
    return RunFolder.create(workspace, make_config(), ROWS)


def test_create_freezes_config_and_data(run: RunFolder, workspace: Workspace) -> None:
    assert read_snapshot(run.data) == ROWS
    assert run.config().data_sha256 == sha256_file(run.data)
    assert run.state().state == "queued"
    assert [path.name for path in workspace.runs.iterdir()] == [run.id]


@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_a_full_disk_leaves_nothing_behind(workspace: Workspace, monkeypatch, fails_at: int) -> None:
    calls = 0

    def full(fd: int) -> None:
        nonlocal calls
        calls += 1
        if calls >= fails_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(NoSpace, match="Free some space"):
        RunFolder.create(workspace, make_config(), ROWS)
    assert list(workspace.runs.iterdir()) == []


def test_an_almost_full_disk_is_refused_before_writing(workspace: Workspace, monkeypatch) -> None:
    monkeypatch.setattr(runfolder, "free_disk_bytes", lambda path: 1_000_000)
    with pytest.raises(NoSpace):
        RunFolder.create(workspace, make_config(), ROWS)
    assert list(workspace.runs.iterdir()) == []


def test_the_last_wish_counts_and_a_torn_one_does_not(run: RunFolder) -> None:
    assert run.asked() is None
    run.append_control("pause")
    with run.control.open("ab") as f:
        f.write(b'{"v":1,"seq":1,"ti')
    assert run.asked() == "pause"
    run.append_control("resume")
    assert run.asked() == "resume"


@pytest.mark.parametrize(
    ("state", "supervisor", "worker", "expected"),
    [
        ("running", True, True, "running"),
        ("running", False, True, "running"),  # orphaned, to be adopted
        ("running", True, False, "running"),  # its supervisor is about to record how it ended
        ("running", False, False, "interrupted"),
        ("starting", False, False, "interrupted"),
        ("paused", False, False, "paused"),
        ("queued", False, False, "queued"),
    ],
)
def test_the_state_is_what_lives(run: RunFolder, state, supervisor: bool, worker: bool, expected: str) -> None:
    me = process_ref()
    run.write_status(RunStatus(state=state, queued_at=0, supervisor=me if supervisor else GONE, worker=me if worker else GONE))
    assert run.state().state == expected


def test_a_later_process_with_the_same_number_is_another(run: RunFolder) -> None:
    earlier = ProcessRef(pid=os.getpid(), start_time=process_ref().start_time - 3600)
    run.write_status(RunStatus(state="running", queued_at=0, supervisor=earlier, worker=earlier))
    assert run.state().state == "interrupted"


@pytest.mark.parametrize(
    ("silent_s", "idle_s", "slow", "hung"),
    [(0, 0, False, False), (SLOW_S - 1, 600, False, False), (SLOW_S + 1, 0, True, False), (SLOW_S + 1, SLOW_S + 1, True, True)],
)
def test_a_silent_worker_is_slow_and_one_that_stands_still_may_hang(run: RunFolder, silent_s, idle_s, slow, hung) -> None:
    me, signs = process_ref(), Signs(silent_s=silent_s, idle_s=idle_s)
    run.write_status(RunStatus(state="running", queued_at=0, supervisor=me, worker=me, signs=signs))
    condition = run.state()
    assert (condition.state, condition.slow, condition.hung) == ("running", slow, hung)


def test_an_old_heartbeat_alone_means_nothing(run: RunFolder) -> None:
    """A computer that has slept for a night finds one, and the run is well."""
    me = process_ref()
    run.heartbeat.touch()
    os.utime(run.heartbeat, (1.0, 1.0))
    run.write_status(RunStatus(state="running", queued_at=0, supervisor=me, worker=me))
    assert not run.state().slow


def test_what_a_run_under_way_was_asked_is_known_at_once_and_taken_back(run: RunFolder) -> None:
    me = process_ref()
    run.write_status(RunStatus(state="running", queued_at=0, supervisor=me, worker=me))
    assert run.state().asked is None
    run.append_control("pause")
    assert run.state().asked == "pause"
    run.append_control("resume")
    assert run.state().asked is None


def test_missing_and_damaged_folders_say_so(workspace: Workspace, run: RunFolder) -> None:
    with pytest.raises(NotFound):
        RunFolder(workspace.runs / "nothing").state()
    run.status_file.write_text('{"v": 1}')
    with pytest.raises(BadInput, match=r"status\.json"):
        run.state()


def test_a_clock_set_back_hides_nothing_the_worker_has_said(run: RunFolder) -> None:
    """What an earlier worker wrote stays apart by its number, not by its hour."""
    me = process_ref()
    line = {"v": 1, "type": "warning", "code": "x"}
    append_jsonl(run.events, {**line, "seq": 0, "time": 2e9, "message": "of the first session"})
    first = run.next_seq()
    append_jsonl(run.events, {**line, "seq": 1, "time": 5.0, "message": "the clock was set to 1970"})
    said = run.words_of(RunStatus(state="running", queued_at=0, worker=me, first_seq=first))
    assert [event.message for event in said] == ["the clock was set to 1970"]


def test_events_of_a_run_of_an_earlier_version_are_told_by_the_clock(run: RunFolder) -> None:
    me = process_ref()
    line = {"v": 1, "type": "warning", "code": "x", "message": ""}
    append_jsonl(run.events, {**line, "seq": 0, "time": me.start_time - 60})
    append_jsonl(run.events, {**line, "seq": 1, "time": me.start_time + 1})
    assert [event.seq for event in run.words_of(RunStatus(state="running", queued_at=0, worker=me))] == [1]
