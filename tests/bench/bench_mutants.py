"""How many small mistakes in the code its tests notice.

    make bench ARGS="mutants [FILE ...] [--sample 50] [--seed 0] [--work build/mutants] [--report] [--keep]"

Each mutant (`mutating`) is tried in a process forked from one that has already imported torch: a tenth of the time of a new one.
It runs only the tests of its module that reach the changed line, the quickest and the last to have noticed one first, until one
fails. The work folder keeps a line a mutant: started again, it goes on where it was; survivors are tried again when a test has
changed, all when the file has. `mutants_equivalent.json` beside this file lists mutants that change nothing, each with the reason.
With --keep, a row is appended to results.jsonl.

Why no known tool: mutmut leaves out decorated functions, properties and whatever is at the top of a file, runs all the suite first
and draws no sample; cosmic-ray starts a process a mutant, and importing torch alone takes longer than the tests.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))
os.environ.update({"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"})

from rlhf_desktop.core.files import append_jsonl, read_jsonl  # noqa: E402
from tests.bench.mutant_trials import Tests, Unusable, in_child, learn_reach, try_mutant  # noqa: E402
from tests.bench.mutating import Mutant, mutants, sampled  # noqa: E402
from tests.bench.results import keep  # noqa: E402

EQUIVALENT = HERE / "mutants_equivalent.json"
HEAVY = ("torch", "numpy", "transformers", "transformers.models.llama.modeling_llama", "peft")
FIRST = (
    "training/ppo", "training/losses", "training/answers", "training/ranking", "feedback/signals", "evaluation/confidence",
    "inference/sampler", "store/judgements", "store/erasing", "jobs/outcome", "jobs/queue", "training/dpo", "training/sft",
    "training/kto", "training/reward", "training/scale", "training/watchdog",
)  # fmt: skip
PACKAGES = ("training", "evaluation", "store", "jobs")
MORE_TESTS: dict[str, tuple[str, ...]] = {
    "training/ppo": ("training/test_training_ppo", "training/test_training_scale"),
    "training/answers": ("training/test_training_answers", "training/test_training_ppo"),
    "training/losses": ("training/test_training_losses",),
    "training/dpo": ("training/test_training_steps",),
    "training/sft": ("training/test_training_steps",),
    "training/kto": ("training/test_training_kto", "training/test_training_steps"),
    "training/reward": ("training/test_training_reward", "training/test_training_steps"),
    "feedback/signals": ("unit/feedback/test_feedback_signals", "unit/feedback/test_feedback_support_rule"),
}


@dataclass(frozen=True)
class Target:
    """A file and the tests it is held by."""

    name: str  # as "training/ppo"

    @property
    def path(self) -> Path:
        return ROOT / "rlhf_desktop" / f"{self.name}.py"

    @property
    def module(self) -> str:
        return f"rlhf_desktop.{self.name.replace('/', '.')}"

    @property
    def source(self) -> str:
        return self.path.read_text("utf-8")

    @property
    def tests(self) -> list[Path]:
        package, module = self.name.split("/")
        own = (f"training/test_{package}_{module}", f"unit/{package}/test_{package}_{module}")
        paths = (ROOT / "tests" / f"{name}.py" for name in dict.fromkeys((*own, *MORE_TESTS.get(self.name, ()))))
        return [path for path in paths if path.exists()]

    def digests(self) -> dict[str, str]:
        """Its name, its code and its tests."""
        tests = digest(*(path.read_text("utf-8") for path in self.tests))
        return {"file": self.name, "code": digest(self.source), "tests": tests}


def targets() -> list[Target]:
    """All files, those that matter most first."""
    everything = (f"{p}/{path.stem}" for p in PACKAGES for path in sorted((ROOT / "rlhf_desktop" / p).glob("*.py")))
    return [Target(name) for name in dict.fromkeys((*FIRST, *everything)) if not name.endswith("__init__")]


def digest(*texts: str) -> str:
    return sha256("\0".join(texts).encode()).hexdigest()[:12]


Key = tuple[str, str, str, int]


@dataclass(frozen=True)
class Diary:
    """What became of the mutants tried so far."""

    path: Path

    def of(self, target: Target) -> dict[Key, dict[str, Any]]:
        """The rows that still count: the file is the same, and so are the tests of what survived."""
        now, rows = target.digests(), list(read_jsonl(self.path)) if self.path.exists() else []
        same = [row for row in rows if (row["file"], row["code"]) == (now["file"], now["code"])]
        return {
            (row["function"], row["before"], row["after"], row["place"]): row
            for row in same
            if row["result"] in ("killed", "time") or row["tests"] == now["tests"]
        }

    def add(self, began: dict[str, str], mutant: Mutant, result: str, by: str) -> None:
        """A row; `began` says which code and tests it is about, as they were when the run began."""
        row = dict(zip(("function", "before", "after", "place"), mutant.key, strict=True))
        append_jsonl(self.path, {**began, "line": mutant.line, **row, "result": result, "by": by})


def equivalent() -> dict[str, dict[Key, str]]:
    """Reasons, by file and mutant."""
    listed = json.loads(EQUIVALENT.read_text("utf-8")) if EQUIVALENT.exists() else {}
    return {
        name: {(e["function"], e["before"], e["after"], e.get("place", 0)): e["reason"] for e in entries}
        for name, entries in listed.items()
    }


def attempt(target: Target, chosen: Sequence[Mutant], diary: Diary) -> None:
    """Try the mutants that are not in the diary."""
    known, harmless = diary.of(target), equivalent().get(target.name, {})
    todo = [mutant for mutant in chosen if mutant.key not in known and mutant.key not in harmless]
    if not todo or not target.tests:
        return
    began = target.digests()
    try:
        tests = learn_reach(target.module, target.path, target.tests)
    except Unusable as problem:
        print(problem, flush=True)
        return
    print(f"{target.name}: {len(todo)} to try, {len(tests.seconds)} tests of {tests.total_s:.0f} s", flush=True)
    in_child(lambda _: _serve(target, todo, tests, lambda *row: diary.add(began, *row)), limit_s=24 * 3600)


def _serve(target: Target, todo: Sequence[Mutant], tests: Tests, note: Callable[[Mutant, str, str], None]) -> None:
    """In a process of its own, which imports what the mutants leave alone."""
    tests.import_others()
    for mutant in todo:
        result, by = try_mutant(target.module, target.path, mutant, tests)
        tests.noticed(by)
        note(mutant, result, by)
        if result not in ("killed", "time"):
            print(f"  {result} {target.name}:{mutant.line} {mutant.function}: {mutant.before} → {mutant.after}", flush=True)


def summary(target: Target, chosen: Sequence[Mutant], every: Sequence[Mutant], diary: Diary) -> dict[str, Any]:
    """One file's figures, of all that were ever tried; and the equivalent ones whose code is gone, so that their reasons go too."""
    harmless, known = equivalent().get(target.name, {}), diary.of(target)
    tried = [mutant for mutant in every if mutant.key in known and mutant.key not in harmless]
    killed = sum(known[mutant.key]["result"] in ("killed", "time") for mutant in tried)
    left = [m for m in tried if known[m.key]["result"] not in ("killed", "time")]
    return {
        "file": target.name,
        "mutants": len(every),
        "left": sum(mutant.key not in known and mutant.key not in harmless for mutant in chosen),
        "equivalent": sum(mutant.key in harmless for mutant in every),
        "tried": len(tried),
        "killed": killed,
        "share": round(killed / len(tried), 3) if tried else None,
        "survived": [f"{m.line} {m.function}: {_short(m.before)} → {_short(m.after)}" for m in left],
        "stale": [" ".join(map(str, key)) for key in harmless if key not in {mutant.key for mutant in every}],
    }


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"


def table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Lines to read."""
    yield f"{'file':28} mutants  left tried killed survived equivalent  share"
    for row in rows:
        share = "" if row["share"] is None else f"{100 * row['share']:.0f}%"
        counts = (
            f"{row['mutants']:7} {row['left']:5} {row['tried']:5} {row['killed']:6} {len(row['survived']):8} {row['equivalent']:10}"
        )
        yield f"{row['file']:28} {counts} {share:>6}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help="as training/ppo; all if none is named")
    parser.add_argument("--sample", type=int, default=50, help="mutants of a file at most, the same for a seed; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "mutants")
    parser.add_argument("--report", action="store_true", help="only say what is known")
    parser.add_argument("--keep", action="store_true", help="append what was found to results.jsonl")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    chosen_targets = [Target(name) for name in args.files] or targets()
    diary = Diary(args.work / "mutants.jsonl")
    rows = []
    if not args.report and any(target.name.startswith(("training", "inference")) for target in chosen_targets):
        for name in HEAVY:
            import_module(name)
    for target in chosen_targets:
        every = mutants(target.source)
        chosen = sampled(every, args.sample, f"{args.seed}/{target.name}")
        if not args.report:
            attempt(target, chosen, diary)
        rows.append(summary(target, chosen, every, diary))
    print("\n".join(table(rows)))
    whole = {"bench": "mutants", "sample": args.sample, "seed": args.seed, "files": rows}
    (args.work / "summary.json").write_text(json.dumps(whole, indent=1, ensure_ascii=False), "utf-8")
    if args.keep:
        keep({**whole, "files": [row for row in rows if row["tried"]]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
