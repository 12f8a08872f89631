"""A trainer without torch: real events, controlled by the run's settings.

`steps`: how many; `gate`: a file it waits for after its first step, obeying control meanwhile; `end`: "finished" (default),
"error", "silent" (exit 0 without a word), "crash" (exit 7). Each process adds a line to `alive.jsonl` in the folder of `runs`
when it begins and when it ends, and to one in the user's state for all workspaces, so that tests can see whether two were ever
alive together on a device.
"""

import json
import os
import sys
import time
from pathlib import Path

from rlhf_desktop.core.devices import DEVICE
from rlhf_desktop.core.files import append_jsonl, read_jsonl
from rlhf_desktop.core.paths import state_dir


def main(folder: Path) -> int:
    settings = json.loads((folder / "run.json").read_text())["settings"]
    diaries = folder.parent / "alive.jsonl", state_dir() / "alive.jsonl"

    def note(what: str) -> None:
        for diary in diaries:
            append_jsonl(diary, {"pid": os.getpid(), "run": folder.name, "what": what, "device": os.environ.get(DEVICE)})

    note("begin")
    try:
        return train(folder, settings)
    finally:
        note("end")


def train(folder: Path, settings: dict) -> int:
    events = folder / "events.jsonl"
    if events.exists():  # as the real one: a torn line is cut off
        os.truncate(events, events.read_bytes().rfind(b"\n") + 1)
    seq = sum(1 for _ in read_jsonl(events))

    def say(**event: object) -> None:
        nonlocal seq
        append_jsonl(events, {"v": 1, "seq": seq, "time": time.time(), **event})
        seq += 1

    resumed = seq or None
    say(type="started", pid=os.getpid(), device="cpu", dtype="float32", resumed_step=resumed, trainable_parameters=1)
    print("hello from the trainer", flush=True)
    for step in range(1, settings.get("steps", 2) + 1):
        say(type="progress", phase="learning", step=step, total=settings.get("steps", 2), eta_s=1.0)
        say(type="metrics", step=step, values={"loss": 1.0 / step})
        (folder / "heartbeat").touch()
        gate = settings.get("gate")
        while gate and not Path(gate).exists():
            wish = [row["action"] for row in read_jsonl(folder / "control.jsonl")][-1:]
            if wish in (["pause"], ["stop"]):
                say(type="finished", outcome={"pause": "paused", "stop": "stopped"}[wish[0]])
                return 0
            time.sleep(0.02)
    end = settings.get("end", "finished")
    if end == "error":
        say(type="error", message="There is too little feedback.", hint="Rank a few more answers.")
        return 1
    if end == "crash":
        return 7
    if end == "finished":
        say(type="finished", outcome="done", metrics={"examples": 3})
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
