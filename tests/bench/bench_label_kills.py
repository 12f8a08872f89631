"""Kills the window again and again at random while it labels as fast as it can; after each kill everything must be there.

    make bench ARGS="label_kills --work FOLDER [--kills 200] [--limit-s 600] [--seed 0]"

FOLDER keeps the workspace and a line a kill (kills.jsonl): started again, it goes on where it was. Well means: every judgement the
window said was saved is in the database, the database is sound, and the draft on screen is back. When all kills are done, a row is
appended to results.jsonl beside this file.
"""

import argparse
import json
import random
import sys
import time
from dataclasses import asdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from rlhf_desktop.core.files import append_jsonl, read_jsonl  # noqa: E402
from tests.bench.results import keep  # noqa: E402
from tests.e2e.label_kills import check, label_until_killed  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--limit-s", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    diary, log, begun = options.work / "kills.jsonl", options.work / "said.log", time.monotonic()
    done = list(read_jsonl(diary)) if diary.exists() else []
    while len(done) < options.kills and time.monotonic() - begun < options.limit_s:
        label_until_killed(options.work, log, random.Random(f"{options.seed}:{len(done)}"))
        done.append({"kill": len(done) + 1, **asdict(check(options.work, log))})
        append_jsonl(diary, done[-1])
        print(json.dumps(done[-1]), flush=True)
    if len(done) < options.kills:
        return 0
    wrong = [part for kill in done for part in kill["wrong"]]
    row = {"bench": "label_kills", "kills": len(done), "acknowledged": done[-1]["acknowledged"],
           "drafts_back": sum(kill["draft"] for kill in done), "wrong": wrong, "holds": not wrong}  # fmt: skip
    print(json.dumps(row, indent=1))
    keep(row)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
