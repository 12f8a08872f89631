"""Kills the window again and again at random while runs go on; after each kill everything must be well.

    make bench ARGS="window_kills --work FOLDER [--kills 50] [--seed 0]"

FOLDER keeps the workspace and a line a kill (kills.jsonl): started again, it goes on where it was. Well means: at most one training
process, every run known before is found by the next window, nothing is called done that has not finished or has no model, and no
run is interrupted by a window's death. At the end a row is appended to results.jsonl beside this file.
"""

import argparse
import json
import os
import random
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from rlhf_desktop.core.files import append_jsonl, read_jsonl  # noqa: E402
from tests.bench.results import keep  # noqa: E402
from tests.e2e.loop import CommandLine, write_examples  # noqa: E402
from tests.e2e.window_kills import Windows  # noqa: E402
from tests.tiny import make_tiny_model  # noqa: E402


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def prepared(work: Path) -> Windows:
    """The workspace, made on the first start."""
    environment = {"RLHF_DESKTOP_STATE": str(work / "state")}
    if not (work / "ready").exists():
        work.mkdir(parents=True, exist_ok=True)
        cli = CommandLine(work / "workspace", model="tiny", environment=environment)
        cli("models", "add", make_tiny_model(work / "tiny").path, "--name", "tiny")
        cli("feedback", "import", write_examples(work / "examples.jsonl", 12))
        (work / "ready").touch()
    os.environ.update(environment)
    return Windows(work / "workspace", environment)


def main() -> None:
    options = arguments()
    windows, diary = prepared(options.work), options.work / "kills.jsonl"
    done = list(read_jsonl(diary)) if diary.exists() else []
    for run in windows.queue.runs():
        if run.state == "interrupted":  # the computer was shut down since: no window's death
            windows.queue.resume(run.folder)
    for number in range(len(done), options.kills):
        before = {run.id for run in windows.queue.runs()}
        kill = windows.kill_one(random.Random(f"{options.seed}:{number}"))
        wrong = windows.check() + [f"lost {run}" for run in before - set(kill.known)]
        row = {"kill": number + 1, "shown": kill.shown, "lived_s": kill.lived_s, "runs": len(before), "wrong": wrong}
        append_jsonl(diary, row)
        done.append(row)
        print(json.dumps(row), flush=True)
    settled = windows.settled()
    wrong = [part for row in done for part in row["wrong"]] + windows.check() + ([] if settled else ["a run never ended"])
    states = [run.state for run in windows.queue.runs()]
    result = {"bench": "window_kills", "kills": len(done), "runs": len(states), "done": states.count("done"), "wrong": wrong}
    result["shown"] = {state: sum(row["shown"] == state for row in done) for state in sorted({row["shown"] for row in done})}
    keep(result)
    print(json.dumps(result, indent=1))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
