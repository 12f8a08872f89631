import pytest
from jobs_helpers import ROWS, make_config, most_alive_together, reaches, supervisor_of, wait_until

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.core.files import append_jsonl
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import process_ref
from rlhf_desktop.core.runs import Finished
from rlhf_desktop.jobs import queue as queue_module
from rlhf_desktop.jobs.queue import Queue, needs_work, run_folders, working_status
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
    damaged = queue.runs()[1]
    assert "damaged" in damaged.message
    assert [damaged.slow, damaged.hung, damaged.resumable, damaged.archived] == [False] * 4


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


# --- without a supervisor -----------------------------------------------------------------------------------------------------


class Unsupervised(Queue):
    """Counts how often it would have started a supervisor."""

    started = 0

    def ensure_supervisor(self) -> None:
        self.started += 1


def in_state(workspace: Workspace, state: str, **more: object) -> RunFolder:
    """A run in this state; of one under way this process is the supervisor."""
    run = RunFolder.create(workspace, make_config(), ROWS)
    me = {"supervisor": process_ref()} if state == "running" else {}
    run.write_status(run.status().model_copy(update={"state": state, "message": "as it was", "hint": "its hint", **me, **more}))
    return run


@pytest.mark.parametrize(
    ("button", "state", "then", "is_asked"),
    [
        ("pause", "queued", "paused", True),
        ("pause", "running", "running", True),
        ("pause", "paused", "paused", False),
        ("pause", "done", "done", False),
        ("stop", "queued", "stopped", True),
        ("stop", "paused", "stopped", True),
        ("stop", "interrupted", "stopped", True),
        ("stop", "running", "running", True),
        ("stop", "failed", "failed", False),
        ("stop", "done", "done", False),
        ("cancel", "queued", "cancelled", True),
        ("cancel", "paused", "cancelled", True),
        ("cancel", "interrupted", "cancelled", True),
        ("cancel", "failed", "cancelled", True),
        ("cancel", "running", "running", True),
        ("cancel", "done", "done", False),
        ("cancel", "stopped", "stopped", False),
    ],
)
def test_what_each_button_does_in_each_state(workspace: Workspace, button: str, state: str, then: str, is_asked: bool) -> None:
    """At once where nobody works on the run; a wish where somebody does; nothing where it has ended."""
    run = in_state(workspace, state)
    (run.checkpoints / "step-00000001").mkdir()
    getattr(Queue(workspace), button)(run)
    status = run.status()
    assert status.state == then
    assert (run.asked() == button) is is_asked
    if then == state:
        assert (status.message, status.hint) == ("as it was", "its hint")
    else:
        assert status.message.split()[0] == {"pause": "Paused", "stop": "Stopped", "cancel": "Cancelled"}[button]
        assert status.hint == ""
    assert run.checkpoints.exists() is (then != "cancelled")


@pytest.mark.parametrize(
    ("state", "queued"), [("paused", True), ("stopped", True), ("interrupted", True), ("failed", True), ("running", False)]
)
def test_resume_queues_what_has_ended_and_takes_back_a_wish(workspace: Workspace, state: str, queued: bool) -> None:
    queue, run = Unsupervised(workspace), in_state(workspace, state)
    queue.resume(run)
    assert run.status().state == ("queued" if queued else state)
    assert (run.asked(), queue.started) == ("resume", 1)


def test_a_complete_run_is_not_resumed(workspace: Workspace) -> None:
    queue, run = Unsupervised(workspace), in_state(workspace, "done")
    with pytest.raises(BadInput, match="complete"):
        queue.resume(run)
    assert (run.asked(), queue.started, run.status().state) == (None, 0, "done")


def test_what_is_submitted_is_queued_and_somebody_is_to_work_on_it(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    queue, sealed = Unsupervised(workspace), []
    monkeypatch.setattr(queue_module, "seal_run", sealed.append)
    run = queue.submit(make_config("Kind answers"), ROWS)
    assert (run.status().state, queue.started) == ("queued", 1)
    queue.remove_from_queue(run)
    assert (run.status().state, run.status().message, run.status().hint) == ("stopped", "Taken out of the queue.", "")
    assert sealed == [run]


@pytest.mark.parametrize(
    ("state", "works"), [("queued", True), ("starting", True), ("running", True), ("paused", False), ("done", False)]
)
def test_a_supervisor_is_started_where_there_is_work_and_nobody_looks(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, state: str, works: bool
) -> None:
    spawned: list[object] = []
    monkeypatch.setattr(queue_module, "spawn_detached", lambda command, **options: spawned.append(command))
    run = in_state(workspace, state)
    Queue(workspace).ensure_supervisor()
    assert len(spawned) == works
    assert (working_status(run) is not None) is needs_work(run) is works
    lock = queue_module.supervisor_lock(workspace)
    lock.acquire()
    lock.say()
    Queue(workspace).ensure_supervisor()
    lock.release()
    assert len(spawned) == works  # whose name is in the lock will see it


def test_a_summary_is_of_the_newest_words(workspace: Workspace) -> None:
    run = in_state(workspace, "running")
    for seq, words in enumerate(
        [
            {"type": "progress", "phase": "learning", "step": 1, "total": 9, "eta_s": 80.0},
            {"type": "metrics", "step": 1, "values": {"loss": 2.0}},
            {"type": "progress", "phase": "learning", "step": 2, "total": 9, "eta_s": 70.0},
            {"type": "metrics", "step": 2, "values": {"loss": 1.0}},
        ]
    ):
        append_jsonl(run.events, {"v": 1, "seq": seq, "time": 1.0, **words})
    found = Queue(workspace).summary(run)
    assert (found.phase, found.step, found.total, found.eta_s, found.metrics) == ("learning", 2, 9, 70.0, {"loss": 1.0})
    assert (found.result, found.asked, found.state, found.resumable) == ({}, "", "running", False)
    Queue(workspace).pause(run)
    assert Queue(workspace).summary(run).asked == "pause"
    run.write_status(run.status().model_copy(update={"state": "paused"}))
    found = Queue(workspace).summary(run)
    assert (found.phase, found.step, found.eta_s, found.metrics, found.resumable) == ("", 2, None, {"loss": 1.0}, True)


def test_of_runs_with_one_title_the_newest_is_meant(workspace: Workspace) -> None:
    runs = [RunFolder.create(workspace, make_config("Kind answers"), ROWS) for _ in range(7)]
    assert Queue(workspace).find("Kind answers").id == runs[-1].id
    with pytest.raises(NotFound):
        Queue(workspace).find("")
    with pytest.raises(BadInput) as caught:
        Queue(workspace).find("0")
    assert [run.id in caught.value.hint for run in runs] == [False] * 2 + [True] * 5


def test_folders_that_are_being_made_and_files_are_no_runs(workspace: Workspace) -> None:
    run = RunFolder.create(workspace, make_config(), ROWS)
    (workspace.runs / ".hidden.1.tmp").mkdir()
    (workspace.runs / "notes.txt").touch()
    assert [found.id for found in run_folders(workspace)] == [run.id]
    assert run_folders(Workspace(workspace.root / "elsewhere")) == []
