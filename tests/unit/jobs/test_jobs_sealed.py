"""Run folders of an encrypted workspace: plain while a run waits or goes on, sealed by whoever ends it, read by whoever may."""

import json

import pytest

from rlhf_desktop.core import encryption
from rlhf_desktop.core.encryption import Locked, forget, new_header, remember, write_header
from rlhf_desktop.core.files import append_jsonl
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.runs import ModelRef, ProcessRef, RunConfig
from rlhf_desktop.core.sealing import is_sealed
from rlhf_desktop.feedback.snapshot import Demonstration, read_snapshot
from rlhf_desktop.jobs.follow import EventReader, tail_events
from rlhf_desktop.jobs.outcome import Outcome
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.jobs.runnotes import annotate_run, run_notes
from rlhf_desktop.jobs.sealed import seal_run, seal_runs
from rlhf_desktop.jobs.supervisor import Supervisor, _record
from tests.encrypted import PASSPHRASE, cheap_kdf, holding

SECRET = "Zaborowska"
BASE = ModelRef(name="tiny", path="/models/tiny", hash="h")


@pytest.fixture(scope="module")
def new():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(encryption, "new_kdf", cheap_kdf)
        return new_header(PASSPHRASE)


@pytest.fixture
def keys(new):
    remember(new[1])
    yield new[1]
    forget(new[1].id)


@pytest.fixture
def queue(tmp_path, new, keys, monkeypatch):
    monkeypatch.setenv("RLHF_DESKTOP_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(Queue, "ensure_supervisor", lambda self: None)
    workspace = Workspace(tmp_path / "workspace").ensure()
    write_header(workspace.root, new[0])
    return Queue(workspace)


@pytest.fixture
def run(queue):
    config = RunConfig(
        run_id="01A", created="2026-01-01T00:00:00Z", title=f"About {SECRET}", project_id="p", algorithm="sft", base=BASE,
        settings={}, data_sha256="",
    )  # fmt: skip
    row = Demonstration(prompt=[{"role": "user", "content": f"{SECRET}?"}], completion=f"{SECRET}.")
    made = queue.submit(config, [row])
    append_jsonl(made.events, {"v": 1, "seq": 0, "time": 1.0, "type": "sample", "step": 1, "prompt": SECRET, "text": SECRET})
    made.log.write_text(f"{SECRET} in a library's words\n")
    step = made.checkpoints / "step-00000001"
    step.mkdir()
    (step / "state.json").write_text(json.dumps({"last": SECRET}))
    (step / "manifest.json").write_text("{}")
    (step / "state.safetensors").write_bytes(bytes(8))
    made.adapter.mkdir()
    (made.adapter / "README.md").write_text(f"# {SECRET}")
    (made.adapter / "adapter_config.json").write_text("{}")
    return made


def end(run, state="done"):
    run.write_status(run.status().model_copy(update={"state": state}))


def test_a_queued_run_stays_plain_and_an_ended_one_is_sealed(queue, run):
    assert seal_run(run) == 0
    end(run)
    assert seal_run(run) == 6
    assert seal_run(run) == 0
    assert holding(run.path, SECRET) == []
    plain = {path.name for path in run.path.rglob("*") if path.is_file() and not is_sealed(path)}
    assert plain - {"control.jsonl", ".claim.lock"} == {
        "status.json", "manifest.json", "state.safetensors", "adapter_config.json"
    }  # fmt: skip


def test_what_is_sealed_is_read_as_before(queue, run):
    before = queue.summary(run), read_snapshot(run.data), EventReader(run.events).read_new()
    end(run)
    seal_run(run)
    after = queue.summary(run), read_snapshot(run.data), EventReader(run.events).read_new()
    assert after[1:] == before[1:]
    assert after[0].title == f"About {SECRET}"
    assert tail_events(run.events) == before[2]
    assert queue.find(f"About {SECRET}").id == run.id


def test_a_reader_goes_on_where_it_was_when_the_file_is_sealed_under_it(queue, run):
    reader = EventReader(run.events)
    assert len(reader.read_new()) == 1
    append_jsonl(run.events, {"v": 1, "seq": 1, "time": 1.0, "type": "log", "message": "end"})
    end(run)
    seal_run(run)
    assert [event.type for event in reader.read_new()] == ["log"]
    assert reader.notes == []


def test_a_locked_process_reads_nothing_and_seals_all_the_same(queue, run, keys):
    end(run)
    forget(keys.id)
    seal_runs([run])
    assert holding(run.path, SECRET) == []
    with pytest.raises(Locked):
        run.config()
    with pytest.raises(Locked):
        read_snapshot(run.data)


def test_resuming_writes_plain_what_the_trainer_reads(queue, run, keys):
    end(run, "paused")
    annotate_run(run, title=f"New {SECRET}", notes=SECRET)
    seal_run(run)
    before = run.status()
    forget(keys.id)
    with pytest.raises(Locked):
        queue.resume(run)
    assert run.status() == before
    assert run.asked() is None
    remember(keys)
    queue.resume(run)
    assert run.status().state == "queued"
    for name in ("run.json", "data.jsonl", "events.jsonl", "log.txt", "checkpoints/step-00000001/state.json"):
        assert not is_sealed(run.path / name), name
    assert is_sealed(run.path / "notes.json")
    assert run_notes(run).title == f"New {SECRET}"
    queue.remove_from_queue(run)
    assert holding(run.path, SECRET) == []


def test_whoever_ends_a_run_seals_it(queue, run, keys):
    forget(keys.id)  # the supervisor has none
    run.write_status(run.status().model_copy(update={"state": "running"}))
    _record(run, run.status(), Outcome("done", "Done.", ""))
    assert run.status().state == "done"
    assert holding(run.path, SECRET) == []


def test_a_supervisor_seals_what_was_left_by_one_that_was_killed(queue, run, keys):
    end(run)
    forget(keys.id)
    Supervisor(queue.workspace, ["false"], lambda: []).work()
    assert holding(run.path, SECRET) == []


@pytest.mark.parametrize("action", ["pause", "stop", "cancel"])
def test_a_queued_run_that_is_taken_back_is_sealed(queue, run, action):
    getattr(queue, action)(run)
    assert run.state().ended
    assert holding(run.path, SECRET) == []


def test_what_a_killed_process_left_goes(queue, run):
    left = run.checkpoints / "step-00000001" / ".state.json.1234.tmp"
    left.write_text(SECRET)
    end(run)
    seal_run(run)
    assert not left.exists()


def test_without_encryption_run_folders_stay_as_they_are(tmp_path, monkeypatch, run, queue):
    for file in (encryption.header_file(queue.workspace.root), encryption.header_copy(queue.workspace.root)):
        file.unlink()
    end(run)
    assert seal_run(run) == 0
    assert holding(run.path, SECRET)


def test_a_run_whose_processes_were_killed_is_recorded_before_it_is_sealed(queue, run, keys):
    """A supervisor that finds it afterwards has no key to read its last words with, and goes on with what waits."""
    append_jsonl(run.events, {"v": 1, "seq": 1, "time": 2.0, "type": "error", "message": "The disk is full.", "hint": "Free some."})
    gone = ProcessRef(pid=2**22 + 1, start_time=1.0)
    end(run, "running")
    run.write_status(run.status().model_copy(update={"worker": gone, "first_seq": 0}))
    before = run.state()
    assert seal_run(run) > 0
    assert run.status().state == before.state
    assert run.status().message == before.message
    forget(keys.id)
    assert run.state().state == before.state
    Supervisor(queue.workspace, ["false"], lambda: []).work()
    assert run.status().state == before.state


def test_a_supervisor_that_meets_a_sealed_run_it_took_for_running_goes_on(queue, run, keys):
    end(run)
    seal_run(run)
    forget(keys.id)
    run.write_status(run.status().model_copy(update={"state": "running", "worker": ProcessRef(pid=2**22 + 1, start_time=1.0)}))
    Supervisor(queue.workspace, ["false"], lambda: []).work()
    assert run.status().state == "interrupted"
