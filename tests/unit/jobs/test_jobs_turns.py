import pytest
from jobs_helpers import ROWS, make_config, reaches

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.jobs import runfolder
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.jobs.turns import end_now, move, waiting_runs


def test_waiting_runs_change_places(workspace: Workspace) -> None:
    runs = [RunFolder.create(workspace, make_config(str(i)), ROWS) for i in range(4)]
    for at, run in enumerate(runs):
        run.write_status(run.status().model_copy(update={"queued_at": 50.0 + at}))

    def order() -> list[int]:
        return [[run.id for run in runs].index(waiting.id) for waiting in waiting_runs(workspace)]

    assert [run.id for run in move(workspace, runs[3], -1)] == [runs[i].id for i in (0, 1, 3, 2)]
    move(workspace, runs[3], -9)
    assert order() == [3, 0, 1, 2]
    move(workspace, runs[3], 2)
    assert order() == [0, 1, 3, 2]
    move(workspace, runs[0], 9)
    assert order() == [1, 3, 2, 0]
    Queue(workspace).pause(runs[2])
    with pytest.raises(BadInput, match="not waiting"):
        move(workspace, runs[2], -1)


def test_a_process_that_does_not_answer_is_ended_and_its_run_goes_on_later(queue: Queue, tmp_path, monkeypatch) -> None:
    run = queue.submit(make_config(gate=str(tmp_path / "gate")), ROWS)
    reaches(run, "running")
    with pytest.raises(BadInput, match="still works"):
        end_now(run)
    monkeypatch.setattr(runfolder, "SLOW_S", -1.0)
    end_now(run)
    reaches(run, "interrupted", "paused")
    assert "memory" not in run.state().message
    with pytest.raises(BadInput, match="ended already"):
        end_now(run)
    (tmp_path / "gate").touch()
    queue.resume(run)
    reaches(run, "done")
