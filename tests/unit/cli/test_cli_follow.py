"""Following a run: what is said on the way, what came of it, and Ctrl+C."""

import time

import pytest

from rlhf_desktop.core.files import append_jsonl
from rlhf_desktop.core.platform import process_ref
from rlhf_desktop.core.runs import RunStatus, Signs
from rlhf_desktop.jobs import queue as queue_module
from rlhf_desktop.jobs.runfolder import RunFolder


@pytest.fixture
def run(cli, workspace, model, rankings):
    cli("feedback", "import", rankings)
    said = cli("train", "dpo", "--model", model, "--detach", "--title", "Kinder", "--json")
    return RunFolder(workspace.runs / said.json["run"])


def tell(run, *events):
    for seq, event in enumerate(events):
        append_jsonl(run.events, {"v": 1, "seq": seq, "time": time.time(), **event})


def end(run, state, **more):
    run.write_status(RunStatus(state=state, queued_at=time.time(), **more))


STARTED = {"type": "started", "pid": 1, "device": "cpu", "dtype": "float32", "resumed_step": None, "trainable_parameters": 10}
PROGRESS = {"type": "progress", "phase": "learning", "step": 3, "total": 12, "eta_s": 120.0}
METRICS = {"type": "metrics", "step": 3, "values": {"loss": 0.5, "rewards/margins": 1.0}}
FINISHED = {"type": "finished", "outcome": "done", "metrics": {"examples": 12, "wall_s": 65.0, "peak_cuda_bytes": None}}


def test_a_run_that_is_done_ends_with_run_adapter_and_metrics(cli, run):
    run.adapter.mkdir()
    tell(run, STARTED, METRICS, PROGRESS, {"type": "warning", "code": "short", "message": "Answers get short."}, FINISHED)
    end(run, "done", exit_code=0)
    said = cli("runs", "follow", run.id, "--json")
    assert said.json == {"run": run.id, "adapter": str(run.adapter), "metrics": FINISHED["metrics"]}
    assert "Training on cpu in float32." in said.err
    assert " 25%  learning, 2 min left  ·  loss 0.5" in said.err
    assert "Answers get short." in said.err
    words = cli("runs", "follow", "Kinder")
    assert words.out.splitlines()[0] == f"“Kinder” is done in 65 s. The result is in {run.adapter}."
    assert words.out.splitlines()[1] == "Compare it blind to see whether it is better."


@pytest.mark.parametrize(
    ("state", "more", "message"),
    [
        ("failed", {"message": "The disk is full.", "hint": "Free some space.", "exit_code": 1}, "The disk is full."),
        (
            "interrupted",
            {"message": "The training process was killed (signal SIGKILL).", "signal": "SIGKILL"},
            "killed (signal SIGKILL)",
        ),
        ("done", {"exit_code": 0}, "The run is done."),
    ],
)
def test_a_run_without_a_result_is_a_trouble_with_its_reason(cli, run, state, more, message):
    end(run, state, **more)
    said = cli("runs", "follow", run.id, "--json")
    assert said.code == 1
    assert message in said.json["error"]["message"]
    assert said.json["error"]["hint"]


def test_what_follows_the_last_update_is_not_a_hundred_percent(cli, run):
    tell(run, STARTED, {"type": "progress", "phase": "measuring the result", "step": 12, "total": 12})
    end(run, "failed", message="The disk is full.", exit_code=1)
    said = cli("runs", "follow", run.id).err
    assert "measuring the result" in said
    assert "100%" not in said


def test_a_pause_says_when_it_takes_effect(cli, run):
    tell(run, STARTED, PROGRESS)
    me = process_ref()
    end(run, "running", supervisor=me, worker=me)
    said = cli("runs", "pause", run.id)
    assert said.out == "Asked to pause: it writes a checkpoint and waits. It will after this update, usually within 20 s.\n"
    assert "pausing" in cli("runs", "list").out
    assert cli("runs", "show", run.id, "--json").json["asked"] == "pause"


def test_a_run_without_a_step_for_long_is_slow_and_one_that_stands_still_does_not_respond(cli, run):
    me = process_ref()
    end(run, "running", supervisor=me, worker=me, signs=Signs(silent_s=150.0))
    assert "slow" in cli("runs", "list").out
    end(run, "running", supervisor=me, worker=me, signs=Signs(silent_s=150.0, idle_s=150.0))
    assert "not responding" in cli("runs", "list").out


def test_show_names_the_signal(cli, run):
    tell(run, STARTED, METRICS, PROGRESS)
    end(run, "interrupted", message="The training process was killed (signal SIGKILL).", signal="SIGKILL")
    shown = cli("runs", "show", run.id, "--json").json
    assert (shown["state"], shown["signal"], shown["resumable"]) == ("interrupted", "SIGKILL", True)
    assert shown["last_metrics"] == METRICS["values"]
    assert "SIGKILL" in cli("runs", "show", run.id).out


def test_ctrl_c_leaves_the_run_going_and_says_so(cli, run, monkeypatch):
    def interrupted(*_args, **_more):
        raise KeyboardInterrupt

    monkeypatch.setattr(queue_module, "follow", interrupted)
    said = cli("runs", "follow", run.id, "--json")
    assert said.code == 1
    assert said.json["error"]["message"] == "You stopped watching; the run goes on."
    assert run.id in said.json["error"]["hint"]
    assert run.asked() is None
    assert run.state().state == "queued"
