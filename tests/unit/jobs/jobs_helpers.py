"""What the tests of `jobs` share: a stub trainer to start, runs to queue, and waiting for a condition."""

import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from rlhf_desktop.core.files import read_jsonl, write_json
from rlhf_desktop.core.ids import new_id
from rlhf_desktop.core.paths import Workspace, state_dir
from rlhf_desktop.core.platform import is_alive
from rlhf_desktop.core.runs import DeviceRef, ModelRef, ProcessRef, RunConfig
from rlhf_desktop.feedback.snapshot import PracticePrompt
from rlhf_desktop.jobs.device import installation_key
from rlhf_desktop.jobs.queue import needs_work, run_folders, supervisor_lock
from rlhf_desktop.jobs.runfolder import RunFolder

STUB = [sys.executable, str(Path(__file__).with_name("stub_trainer.py"))]
ROWS = [PracticePrompt(prompt=[{"role": "user", "content": "Where is my parcel?"}])]
PROCESSOR = {"id": "cpu", "kind": "cpu", "index": 0, "name": "Test CPU", "uuid": "", "fast_dtype": "float32"}
CARDS = [
    {
        "id": f"cuda:{index}",
        "kind": "nvidia",
        "index": index,
        "name": name,
        "uuid": f"GPU-{index}{index}{index}-a/b",
        "memory_total_bytes": size,
        "memory_available_bytes": size - 10**9,
        "fast_dtype": "bfloat16",
    }
    for index, (name, size) in enumerate([("Test Card Large", 24 * 10**9), ("Test Card Small", 8 * 10**9)])
]


def remember(*devices: dict) -> None:
    """As if the probe had found these devices."""
    write_json(state_dir() / "device.json", {"key": installation_key(), "device": {"device": "cpu", "devices": list(devices)}})


def drive(*cards: dict) -> None:
    """As if NVIDIA's driver told of these cards: what a probe says, "free" bytes now, and "processes" as (pid, bytes)."""
    told = [{**card, "free": card.get("free", card["memory_available_bytes"])} for card in cards]
    write_json(state_dir() / "nvml.json", told)


def wait_until(condition: Callable[[], object], timeout_s: float = 120.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def make_config(title: str = "A run", device: DeviceRef | None = None, **settings: object) -> RunConfig:
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
        device=device,
    )


def reaches(run: RunFolder, *states: str) -> None:
    wait_until(lambda: run.state().state in states)


def supervisor_of(workspace: Workspace) -> ProcessRef | None:
    holder = supervisor_lock(workspace).holder()
    return ProcessRef(**holder) if holder else None


def most_alive_together(workspace: Workspace) -> int:
    """How many stub trainers ever lived at once; one that was killed wrote no end, so its pid says whether it lives."""
    return _most_together(read_jsonl(workspace.runs / "alive.jsonl"))


def most_alive_on(device: dict) -> int:
    """The same for one device over all workspaces."""
    return _most_together(row for row in read_jsonl(state_dir() / "alive.jsonl") if row["device"] == key_of(device))


def devices_of_runs() -> dict[str, str]:
    """The device each run was last started on, by run."""
    return {row["run"]: row["device"] for row in read_jsonl(state_dir() / "alive.jsonl")}


def _most_together(rows: Iterable[dict]) -> int:
    alive: set[int] = set()
    most = 0
    for row in rows:
        alive = alive | {row["pid"]} if row["what"] == "begin" else alive - {row["pid"]}
        most = max(most, len(alive))
    return most


def key_of(device: dict) -> str:
    return device["uuid"] or device["id"]


def ref_of(device: dict) -> DeviceRef:
    return DeviceRef(id=device["id"], uuid=device["uuid"], name=device["name"])


def live_processes(workspace: Workspace) -> list[ProcessRef]:
    statuses = [run.status() for run in run_folders(workspace) if needs_work(run)]
    found = [supervisor_of(workspace), *(s.worker for s in statuses), *(s.supervisor for s in statuses)]
    return [ref for ref in found if is_alive(ref) and ref.pid != os.getpid()]
