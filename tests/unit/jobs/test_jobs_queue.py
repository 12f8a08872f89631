import pytest
from jobs_helpers import ROWS, make_config, most_alive_together, reaches, supervisor_of, wait_until

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.core.files import append_jsonl
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.runs import Finished
from rlhf_desktop.jobs import queue as queue_module
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.jobs.runnotes import annotate_run


def test_a_submitted_run_is_trained_and_its_supervisor_leaves(queue: Queue, workspace: Workspace) -> None:
    run = queue.submit(make_config("First", steps=3), ROWS)
    reaches(run, "done")
    summary = queue.runs()[0]
    assert (summary.title, summary.step, summary.total, summary.result) == ("First", 3, 3, {"examples": 3})
    assert summary.metrics == {"loss": pytest.approx(1 / 3)}
    assert run.status().exit_code == 0
    assert "hello from the trainer" in run.log.read_text()
    wait_until(lambda: supervisor_of(workspace) is None)


def test_queued_runs_take_turns_in_order(queue: Queue, workspace: Workspace) -> None:
    runs = [queue.submit(make_config(str(i)), ROWS) for i in range(3)]
    for run in runs:
        reaches(run, "done")
    began = [event.time for run in runs for event in queue.follow(run) if event.type == "started"]
    assert began == sorted(began)
    assert most_alive_together(workspace) == 1
    assert [s.title for s in queue.runs()] == ["2", "1", "0"]


def test_follow_ends_with_the_run(queue: Queue) -> None:
    run = queue.submit(make_config(), ROWS)
    events = list(queue.follow(run, poll_s=0.02))
    assert isinstance(events[-1], Finished)
    assert [e.seq for e in events] == list(range(len(events)))


def gated(queue: Queue, tmp_path, **more: object) -> RunFolder:
    run = queue.submit(make_config(gate=str(tmp_path / "gate"), **more), ROWS)
    reaches(run, "running")
    return run


def test_pause_then_resume(queue: Queue, tmp_path) -> None:
    run = gated(queue, tmp_path)
    queue.pause(run)
    reaches(run, "paused")
    assert queue.summary(run).resumable
    (tmp_path / "gate").touch()
    queue.resume(run)
    reaches(run, "done")
    assert [e.resumed_step for e in queue.follow(run) if e.type == "started"] == [None, 4]
    with pytest.raises(BadInput, match="complete"):
        queue.resume(run)


def test_stop_ends_a_run_and_it_can_still_be_resumed(queue: Queue, tmp_path) -> None:
    run = gated(queue, tmp_path)
    queue.stop(run)
    reaches(run, "stopped")
    (tmp_path / "gate").touch()
    queue.resume(run)
    reaches(run, "done")


def test_a_run_still_queued_is_stopped_paused_or_taken_back_at_once(queue: Queue, tmp_path) -> None:
    first = gated(queue, tmp_path)
    stopped, paused, removed = (queue.submit(make_config(str(i)), ROWS) for i in range(3))
    queue.stop(stopped)
    queue.pause(paused)
    queue.remove_from_queue(removed)
    assert [run.state().state for run in (stopped, paused, removed)] == ["stopped", "paused", "stopped"]
    with pytest.raises(BadInput, match="not waiting"):
        queue.remove_from_queue(first)
    queue.resume(paused)
    (tmp_path / "gate").touch()
    reaches(paused, "done")
    assert not removed.events.exists()
    assert stopped.state().state == "stopped"


def test_a_pause_taken_back_before_it_took_effect_goes_on(queue: Queue, tmp_path) -> None:
    run = gated(queue, tmp_path)
    queue.pause(run)
    queue.resume(run)
    (tmp_path / "gate").touch()
    reaches(run, "done")


@pytest.mark.parametrize(
    ("end", "state", "words"),
    [
        ("error", "failed", "There is too little feedback."),
        ("crash", "interrupted", "exit code 7"),
        ("silent", "interrupted", "exit code 0"),
    ],
)
def test_how_a_run_ended_is_said(queue: Queue, end: str, state: str, words: str) -> None:
    run = queue.submit(make_config(end=end), ROWS)
    reaches(run, "failed", "interrupted", "done")
    condition = run.state()
    assert condition.state == state
    assert words in condition.message
    assert condition.hint
    assert condition.resumable


def test_find_by_id_prefix_and_title(workspace: Workspace) -> None:
    queue = Queue(workspace)
    one = RunFolder.create(workspace, make_config("Kind answers"), ROWS)
    two = RunFolder.create(workspace, make_config("Short answers"), ROWS)
    assert queue.find(one.id).id == one.id
    assert queue.find("Short answers").id == two.id
    with pytest.raises(BadInput, match="Several"):
        queue.find(one.id[:6])
    with pytest.raises(NotFound, match="nothing like it"):
        queue.find("nothing like it")


def test_a_damaged_folder_does_not_hide_the_others(workspace: Workspace) -> None:
    queue = Queue(workspace)
    bad = RunFolder.create(workspace, make_config("bad"), ROWS)
    RunFolder.create(workspace, make_config("good"), ROWS)
    bad.config_file.write_text("{")
    assert [(s.title, s.state) for s in queue.runs()] == [("good", "queued"), (bad.id, "failed")]
    assert "damaged" in queue.runs()[1].message


def test_a_cancelled_run_keeps_nothing_and_cannot_go_on(workspace: Workspace) -> None:
    queue = Queue(workspace)
    run = RunFolder.create(workspace, make_config(), ROWS)
    queue.pause(run)
    (run.checkpoints / "step-00000001").mkdir()
    queue.cancel(run)
    condition = run.state()
    assert condition.state == "cancelled"
    assert condition.ended
    assert not condition.resumable
    assert not run.checkpoints.exists()
    with pytest.raises(BadInput, match="cancelled"):
        queue.resume(run)


def ended(workspace: Workspace, title: str) -> RunFolder:
    run = RunFolder.create(workspace, make_config(title), ROWS)
    run.write_status(run.status().model_copy(update={"state": "done"}))
    return run


def test_an_ended_run_is_read_again_only_when_its_files_change(workspace: Workspace, monkeypatch) -> None:
    queue, reads = Queue(workspace), []
    read = queue_module.tail_events
    monkeypatch.setattr(queue_module, "tail_events", lambda path: reads.append(path.parent.name) or read(path))
    old, paused = ended(workspace, "Old"), RunFolder.create(workspace, make_config("Waiting"), ROWS)
    for _ in range(3):
        assert [run.title for run in queue.runs()] == ["Waiting", "Old"]
    assert (reads.count(old.id), reads.count(paused.id)) == (1, 3)
    annotate_run(old, title="Kinder", archived=True)
    assert (queue.summary(old).title, queue.summary(old).archived) == ("Kinder", True)
    append_jsonl(old.events, {"v": 1, "seq": 0, "time": 1.0, "type": "finished", "outcome": "done", "metrics": {"wall_s": 2.0}})
    assert queue.summary(old).result == {"wall_s": 2.0}
    assert reads.count(old.id) == 3
    old.write_status(old.status().model_copy(update={"state": "queued"}))
    assert queue.summary(old).state == "queued"
    old.config_file.write_text("{")
    assert queue.summary(old).state == "failed"
    assert "damaged" in queue.summary(old).message


def test_a_run_whose_process_is_gone_is_looked_at_anew(workspace: Workspace) -> None:
    """What is only concluded is not kept: somebody may take the run up again."""
    queue, run = Queue(workspace), RunFolder.create(workspace, make_config(), ROWS)
    run.write_status(run.status().model_copy(update={"state": "running"}))
    assert queue.summary(run).state == "interrupted"
    run.write_status(run.status().model_copy(update={"state": "queued"}))
    assert queue.summary(run).state == "queued"
