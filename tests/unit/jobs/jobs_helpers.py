"""What the tests of `jobs` share: a stub trainer to start, runs to queue, and waiting for a condition."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rlhf_desktop.core.files import read_jsonl
from rlhf_desktop.core.ids import new_id
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import is_alive
from rlhf_desktop.core.runs import ModelRef, ProcessRef, RunConfig
from rlhf_desktop.feedback.snapshot import PracticePrompt
from rlhf_desktop.jobs.queue import needs_work, run_folders, supervisor_lock
from rlhf_desktop.jobs.runfolder import RunFolder

STUB = [sys.executable, str(Path(__file__).with_name("stub_trainer.py"))]
ROWS = [PracticePrompt(prompt=[{"role": "user", "content": "Where is my parcel?"}])]


def wait_until(condition: Callable[[], object], timeout_s: float = 120.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def make_config(title: str = "A run", **settings: object) -> RunConfig:
    base = ModelRef(name="tiny", path="/nowhere", hash="b" * 64)
    return RunConfig(
        run_id=new_id(),
        created="2026-01-01T00:00:00Z",
        title=title,
        project_id="p",
        algorithm="sft",
        base=base,
        settings=settings,
        data_sha256="",
    )


def reaches(run: RunFolder, *states: str) -> None:
    wait_until(lambda: run.state().state in states)


def supervisor_of(workspace: Workspace) -> ProcessRef | None:
    holder = supervisor_lock(workspace).holder()
    return ProcessRef(**holder) if holder else None


def most_alive_together(workspace: Workspace) -> int:
    """How many stub trainers ever lived at once; one that was killed wrote no end, so its pid says whether it lives."""
    alive: set[int] = set()
    most = 0
    for row in read_jsonl(workspace.runs / "alive.jsonl"):
        alive = alive | {row["pid"]} if row["what"] == "begin" else alive - {row["pid"]}
        most = max(most, len(alive))
    return most


def live_processes(workspace: Workspace) -> list[ProcessRef]:
    statuses = [run.status() for run in run_folders(workspace) if needs_work(run)]
    found = [supervisor_of(workspace), *(s.worker for s in statuses), *(s.supervisor for s in statuses)]
    return [ref for ref in found if is_alive(ref) and ref.pid != os.getpid()]
