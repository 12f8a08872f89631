"""Two imitated cards: as many runs at once, each card one at a time, over all workspaces and whoever is killed."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from jobs_helpers import (
    CARDS,
    PROCESSOR,
    ROWS,
    STUB,
    devices_of_runs,
    drive,
    key_of,
    make_config,
    most_alive_on,
    most_alive_together,
    reaches,
    ref_of,
    remember,
    supervisor_of,
    wait_until,
)

from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import is_alive
from rlhf_desktop.core.runs import RunStatus
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.jobs.runfolder import RunFolder

LARGE, SMALL = CARDS
Submit = Callable[..., RunFolder]


@pytest.fixture(autouse=True)
def two_cards(workspace: Workspace, imitated_nvml: None) -> None:
    remember(LARGE, SMALL, PROCESSOR)
    drive(LARGE, SMALL)


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


def gated(queue: Queue, gate: Path, device: dict | None = None, title: str = "A run") -> RunFolder:
    return queue.submit(make_config(title, ref_of(device) if device else None, gate=str(gate)), ROWS)


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def test_two_runs_at_once_one_on_each_card_and_the_third_waits(queue: Queue, workspace: Workspace, gate: Path) -> None:
    first, second = gated(queue, gate), gated(queue, gate)
    reaches(first, "running")
    reaches(second, "running")
    third = gated(queue, gate)
    assert devices_of_runs() == {first.id: key_of(LARGE), second.id: key_of(SMALL)}  # the most free memory first
    assert first.status().device == ref_of(LARGE)
    assert third.state().state == "queued"
    gate.touch()
    for run in (first, second, third):
        reaches(run, "done")
    assert [most_alive_on(card) for card in CARDS] == [1, 1]
    assert most_alive_together(workspace) == 2
    assert most_alive_on(PROCESSOR) == 0  # never to the processor unasked
    wait_until(lambda: supervisor_of(workspace) is None)


def test_a_run_that_waits_for_its_card_does_not_hold_up_one_for_another(queue: Queue, gate: Path, tmp_path: Path) -> None:
    first = gated(queue, gate, LARGE)
    reaches(first, "running")
    waits, passes = gated(queue, gate, LARGE), gated(queue, tmp_path / "open", SMALL)
    reaches(passes, "running")
    assert waits.state().state == "queued"
    (tmp_path / "open").touch()
    reaches(passes, "done")
    assert waits.state().state == "queued"
    gate.touch()
    reaches(waits, "done")
    assert devices_of_runs() == {first.id: key_of(LARGE), waits.id: key_of(LARGE), passes.id: key_of(SMALL)}
    assert most_alive_on(LARGE) == 1


def test_the_processor_is_used_beside_the_cards_when_it_is_asked_for(queue: Queue, workspace: Workspace, gate: Path) -> None:
    runs = [gated(queue, gate, device) for device in (PROCESSOR, None, None)]
    for run in runs:
        reaches(run, "running")
    assert devices_of_runs()[runs[0].id] == "cpu"
    gate.touch()
    for run in runs:
        reaches(run, "done")
    assert most_alive_together(workspace) == 3


def test_the_same_card_never_twice_across_workspaces(queue: Queue, tmp_path: Path, gate: Path) -> None:
    mine = gated(queue, gate, LARGE)
    reaches(mine, "running")
    other = Queue(Workspace(tmp_path / "other"), STUB)
    same, free = gated(other, gate, LARGE, "same"), gated(other, gate, None, "free")
    reaches(free, "running")
    wait_until(lambda: "Waiting for Test Card Large" in same.status().message)
    assert devices_of_runs()[free.id] == key_of(SMALL)
    full = gated(other, gate, None, "full")
    wait_until(lambda: supervisor_of(other.workspace) is not None and full.state().state == "queued")
    gate.touch()
    for run in (mine, same, free, full):
        reaches(run, "done")
    assert [most_alive_on(card) for card in CARDS] == [1, 1]
    wait_until(lambda: supervisor_of(other.workspace) is None)


def test_a_killed_supervisor_leaves_each_card_to_its_process(queue: Queue, workspace: Workspace, gate: Path) -> None:
    first, second = gated(queue, gate), gated(queue, gate)
    reaches(first, "running")
    reaches(second, "running")
    earlier = supervisor_of(workspace)
    kill(earlier.pid)
    wait_until(lambda: not is_alive(earlier))
    later = gated(queue, gate, LARGE)
    wait_until(lambda: supervisor_of(workspace) is not None and first.status().supervisor == supervisor_of(workspace))
    kill(second.status().worker.pid)
    reaches(second, "interrupted")  # while the first goes on, adopted
    assert first.state().state == "running"
    queue.resume(second)
    reaches(second, "running")  # its card was free at once
    assert later.state().state == "queued"
    gate.touch()
    for run in (first, second, later):
        reaches(run, "done")
    assert most_alive_on(LARGE) == 1


def test_an_orphan_nobody_has_recorded_keeps_its_card_and_no_other(queue: Queue, workspace: Workspace, gate: Path) -> None:
    orphan = gated(queue, gate, LARGE)
    reaches(orphan, "running")
    worker, earlier = orphan.status().worker, supervisor_of(workspace)
    kill(earlier.pid)
    wait_until(lambda: not is_alive(earlier))
    orphan.write_status(RunStatus(state="starting", queued_at=0, device=ref_of(LARGE)))  # killed before it wrote the process down
    later, elsewhere = gated(queue, gate, LARGE), gated(queue, gate)
    reaches(elsewhere, "running")
    assert devices_of_runs()[elsewhere.id] == key_of(SMALL)
    wait_until(lambda: "Waiting for Test Card Large" in later.status().message)
    assert is_alive(worker)
    gate.touch()
    reaches(later, "done")
    assert most_alive_on(LARGE) == 1


def test_a_killed_run_frees_its_card_and_may_go_on_on_another(queue: Queue, gate: Path) -> None:
    run, beside = gated(queue, gate, LARGE), gated(queue, gate, SMALL)
    reaches(run, "running")
    reaches(beside, "running")
    kill(run.status().worker.pid)
    reaches(run, "interrupted")
    blocker = gated(queue, gate, LARGE)
    reaches(blocker, "running")
    kill(beside.status().worker.pid)
    reaches(beside, "interrupted")
    queue.resume(run, ref_of(SMALL))
    reaches(run, "running")
    assert devices_of_runs()[run.id] == key_of(SMALL)
    gate.touch()
    reaches(run, "done")
    assert run.config().device == ref_of(LARGE)  # what was frozen stays


def test_a_card_that_is_gone_fails_the_run_in_words_and_resuming_elsewhere_works(queue: Queue) -> None:
    gone = ref_of({**LARGE, "uuid": "GPU-gone", "name": "Old Card"})
    run = queue.submit(make_config(device=gone), ROWS)
    reaches(run, "failed")
    assert "Old Card" in run.state().message
    assert "--device" in run.state().hint
    queue.resume(run)
    reaches(run, "done")
    assert devices_of_runs() == {run.id: key_of(LARGE)}


def test_resuming_where_the_users_choice_is_gone_goes_to_another_card(queue: Queue) -> None:
    """The window passes what Settings say, be it there or not."""
    gone = ref_of({**LARGE, "uuid": "GPU-gone", "name": "Old Card"})
    run = queue.submit(make_config(device=gone), ROWS)
    reaches(run, "failed")
    queue.resume(run, gone)
    reaches(run, "done")
    assert devices_of_runs() == {run.id: key_of(LARGE)}


def test_the_card_with_most_free_memory_now_whatever_the_probe_saw(queue: Queue) -> None:
    drive({**LARGE, "free": 10**9}, SMALL)  # somebody else uses the large one
    run = queue.submit(make_config(), ROWS)
    reaches(run, "done")
    assert devices_of_runs() == {run.id: key_of(SMALL)}
