"""A hundred thousand wrong records and files through every importer, within a time limit.

    make bench ARGS="fuzz [--count 100000] [--limit-s 600] [--seed 0]"

Each must give rows or a sentence, within two seconds. Of every hundred, ninety are records, nine are files that are read, and one
is a file that is imported into a store, which must take all or nothing. A row is appended to results.jsonl beside this file.
"""

import argparse
import contextlib
import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from rlhf_desktop.core.errors import AppError  # noqa: E402
from rlhf_desktop.core.files import append_jsonl  # noqa: E402
from rlhf_desktop.feedback.formats import Reading, read_feedback  # noqa: E402
from rlhf_desktop.feedback.rows import Problem, Unusable  # noqa: E402
from rlhf_desktop.operations.feedback import import_feedback  # noqa: E402
from rlhf_desktop.store.database import Store  # noqa: E402
from tests.fuzzing import wrong_file, wrong_record  # noqa: E402

LONGEST_S = 2.0


def try_record(chance: random.Random) -> str:
    try:
        return "rows" if Reading().rows(wrong_record(chance)) else "nothing"
    except Unusable:
        return "set aside"


def try_file(chance: random.Random, folder: Path) -> str:
    name, data = wrong_file(chance)
    path = folder / name
    path.write_bytes(data)
    try:
        kinds = {isinstance(row, Problem) for row in read_feedback(path)}
    except AppError:
        return "file refused"
    finally:
        path.unlink()
    return "file read" if False in kinds else "file without a usable row"


def try_import(chance: random.Random, folder: Path, store: Store, project_id: str) -> str:
    name, data = wrong_file(chance)
    path = folder / name
    path.write_bytes(data)
    before = store.judgements.last_row()
    imported = 0
    with contextlib.suppress(AppError):
        imported = import_feedback(store, store.projects.get(project_id), path).imported
    assert store.judgements.last_row() == before + imported, (name, data)
    strays = {file.name for file in folder.iterdir()} - {name, f"{name}.rejected.jsonl"}
    assert not strays, strays
    for file in folder.iterdir():
        file.unlink()
    return "imported" if imported else "import refused"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--limit-s", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    outcomes: Counter[str] = Counter()
    slowest, begun, number = 0.0, time.monotonic(), 0
    with TemporaryDirectory() as folder, Store.open(Path(folder) / "feedback.db") as store:
        store.connection.raw.execute("PRAGMA synchronous=OFF")
        project = store.projects.create("Fuzz")
        files = Path(folder) / "files"
        files.mkdir()
        for number in range(1, args.count + 1):
            chance = random.Random(args.seed * 10**9 + number)
            started = time.process_time()
            if number % 100 == 0:
                outcomes[try_import(chance, files, store, project.id)] += 1
            else:
                outcomes[try_file(chance, files) if number % 100 > 90 else try_record(chance)] += 1
            slowest = max(slowest, time.process_time() - started)
            if time.monotonic() - begun > args.limit_s:
                break
        sound = store.connection.rows("PRAGMA quick_check") == [{"quick_check": "ok"}]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=HERE, check=True).stdout.strip()
    holds = number == args.count and slowest < LONGEST_S and sound
    row = {"bench": "fuzz", "commit": commit, "tried": number, "slowest_s": round(slowest, 3), "outcomes": dict(outcomes),
           "wall_s": round(time.monotonic() - begun), "holds": holds}  # fmt: skip
    print(json.dumps(row, indent=1))
    append_jsonl(HERE / "results.jsonl", row)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
