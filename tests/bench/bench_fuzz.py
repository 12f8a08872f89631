"""A hundred thousand wrong records, files and bundles through every importer.

    make bench ARGS="fuzz --work FOLDER [--count 100000] [--limit-s 600] [--seed 0]"

Each must give rows or a sentence, within two seconds. Of every hundred, 77 are records, nine are files that are read, five are
documented files with a record spoilt, which are previewed as well, three are files of prompts, three are files and three are
bundles that go into a store, which must take all or nothing. FOLDER keeps a line
a portion (portions.jsonl): started again, it goes on where it was. When all is done, a row is appended to results.jsonl beside this
file.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from rlhf_desktop.core.errors import AppError  # noqa: E402
from rlhf_desktop.core.files import append_jsonl, read_jsonl  # noqa: E402
from rlhf_desktop.feedback.formats import Reading, read_feedback  # noqa: E402
from rlhf_desktop.feedback.prompt_files import read_prompts  # noqa: E402
from rlhf_desktop.feedback.rows import Problem, Unusable  # noqa: E402
from rlhf_desktop.operations.bundles import export_bundle, merge_bundle  # noqa: E402
from rlhf_desktop.operations.feedback import import_feedback, preview_import  # noqa: E402
from rlhf_desktop.store.database import Store  # noqa: E402
from tests.bench.results import keep  # noqa: E402
from tests.fuzzing import DATA, real_shaped_file, wrong_bundle, wrong_file, wrong_record  # noqa: E402

LONGEST_S = 2.0
TABLES = (
    "judgements",
    "messages",
    "conversations",
    "prompts",
    "judgement_tags",
    "tombstones",
    "profiles",
    "guidelines",
    "split_exceptions",
)


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


def try_real(chance: random.Random, folder: Path) -> str:
    """A file of one of the formats, somewhat changed: previewed, and read with some answer to what the preview asks."""
    name, data = real_shaped_file(chance)
    path = folder / name
    path.write_bytes(data)
    try:
        seen = preview_import(path)
        said = {question.key: chance.choice(["", "1-5", "ignore", "x", *dict(question.choices)]) for question in seen.questions}
        list(read_feedback(path, Reading(answers=said)))
    except AppError:
        return "shaped file refused"
    finally:
        path.unlink()
    return "shaped file asks" if seen.questions else "shaped file read"


def try_prompts(chance: random.Random, folder: Path) -> str:
    name, data = wrong_file(chance)
    path = folder / name
    path.write_bytes(data)
    try:
        read_prompts(path)
    except AppError:
        return "prompts refused"
    finally:
        path.unlink()
    return "prompts read"


class Target:
    """A store and a folder that files are imported from; nothing else may change."""

    def __init__(self, root: Path) -> None:
        self.root, self.files = root, root / "files"
        self.files.mkdir()
        self.store = Store.open(root / "feedback.db")
        self.store.connection.raw.execute("PRAGMA synchronous=OFF")
        self.project = self.store.projects.create("Fuzz")
        self.good = self._a_bundle()

    def _a_bundle(self) -> bytes:
        with TemporaryDirectory() as folder, Store.open(Path(folder) / "colleague.db") as store:
            project = store.projects.create("Fuzz")
            import_feedback(store, project, DATA / "rankings.jsonl", annotator="Ada")
            import_feedback(store, project, DATA / "trl_unpaired.jsonl", annotator="Ben")
            store.prompts.create_set(project.id, "asked", [[{"role": "user", "content": "Why?"}]])
            store.guidelines.save(project.id, "Be kind.", "Ada")
            store.tags.add([store.judgements.effective(project.id)[0].id], "hard")
            export_bundle(store, project, Path(folder) / "good.zip")
            return (Path(folder) / "good.zip").read_bytes()

    def counts(self) -> dict[str, int]:
        rows = self.store.connection.rows
        return {table: rows(f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in TABLES}

    def strays(self, name: str) -> set[str]:
        allowed = {"files", "feedback.db", "feedback.db-wal", "feedback.db-shm", f"files/{name}", f"files/{name}.rejected.jsonl"}
        found = {path.relative_to(self.root).as_posix() for path in self.root.rglob("*")} - allowed
        for path in self.files.iterdir():
            path.unlink()
        return found

    def sound(self) -> bool:
        rows = self.store.connection.rows
        return rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}] and rows("PRAGMA foreign_key_check") == []


def try_import(chance: random.Random, target: Target) -> str:
    name, data = wrong_file(chance)
    (target.files / name).write_bytes(data)
    before, held, imported = target.counts(), target.store.judgements.last_row(), 0
    try:
        imported = import_feedback(target.store, target.project, target.files / name).imported
    except AppError:
        assert target.counts() == before, (name, data)
    assert target.store.judgements.last_row() == held + imported, (name, data)
    assert not (strays := target.strays(name)), strays
    return "imported" if imported else "import refused"


def try_bundle(chance: random.Random, target: Target, number: int) -> str:
    data = wrong_bundle(chance, target.good, number)
    (target.files / "b.zip").write_bytes(data)
    before, merged = target.counts(), True
    try:
        merge_bundle(target.store, target.project, target.files / "b.zip")
    except AppError:
        merged = False
        assert target.counts() == before, number
    assert not (strays := target.strays("b.zip")), strays
    return "merged" if merged else "bundle refused"


def one(number: int, chance: random.Random, target: Target) -> str:
    """Try one thing. Returns what became of it."""
    kind = number % 100
    if kind < 3:
        return try_import(chance, target)
    if kind < 6:
        return try_bundle(chance, target, number)
    if kind < 9:
        return try_prompts(chance, target.files)
    if kind < 23:
        return try_file(chance, target.files) if kind < 18 else try_real(chance, target.files)
    return try_record(chance)


def portion(begin: int, count: int, limit_s: float, seed: int) -> dict[str, Any]:
    """Try the numbers after `begin`, until the last one or the time limit."""
    outcomes: Counter[str] = Counter()
    slowest, begun, number = (0.0, 0), time.monotonic(), begin
    with TemporaryDirectory() as folder:
        target = Target(Path(folder))
        while number < count and time.monotonic() - begun < limit_s:
            number += 1
            started = time.process_time()
            outcomes[one(number, random.Random(seed * 10**9 + number), target)] += 1
            slowest = max(slowest, (time.process_time() - started, number))
        sound = target.sound()
        target.store.close()
    return {"from": begin + 1, "to": number, "slowest_s": round(slowest[0], 3), "slowest": slowest[1], "outcomes": dict(outcomes),
            "sound": sound, "wall_s": round(time.monotonic() - begun)}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--limit-s", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    diary = args.work / "portions.jsonl"
    done = list(read_jsonl(diary)) if diary.exists() else []
    if not done or done[-1]["to"] < args.count:
        done.append(portion(done[-1]["to"] if done else 0, args.count, args.limit_s, args.seed))
        append_jsonl(diary, done[-1])
        print(json.dumps(done[-1]), flush=True)
    if done[-1]["to"] < args.count:
        return 0
    slowest = max(part["slowest_s"] for part in done)
    outcomes = sum((Counter(part["outcomes"]) for part in done), Counter())
    holds = slowest < LONGEST_S and all(part["sound"] for part in done)
    row = {"bench": "fuzz", "tried": args.count, "slowest_s": slowest, "outcomes": dict(outcomes),
           "wall_s": sum(part["wall_s"] for part in done), "holds": holds}  # fmt: skip
    print(json.dumps(row, indent=1))
    keep(row)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
