"""What one may trust the program with, tried and counted: `make trust`, or `TRUST=full make trust`, which takes hours.

Runs the tests of every row of tests/trust/rows.py and prints a table: what was tried, how often, what was found, what may be found.
Ends with 1 if anything falls short, and names it. What was done on this very code is kept in build/trust and not done again; so the
full form goes on where it was. Run in the program's environment, from anywhere.

    trust.py [ROW ...]     only these rows
    trust.py --again       forget what was done on this code
    trust.py --guide       put the table into the guide
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.trust.rows import ROWS, Row  # noqa: E402 (found only now)

BUILD = ROOT / "build" / "trust"
GUIDE = ROOT / "resources" / "guide" / "trust.md"
BEGIN, END = "[//]: # (made by make trust)\n\n", "\n[//]: # (to here)\n"  # comments that no reader of Markdown shows
AT_ONCE = 2  # processes
_NO_TESTS = (4, 5)  # pytest's: no such file or test; none selected
_LIMIT_S = 4 * 3600


@dataclass(frozen=True)
class Job:
    """Some trials of a row, in one process."""

    row: Row
    first: int
    count: int
    folder: Path

    @property
    def results(self) -> Path:
        """What its tests write, and how they ended."""
        return self.folder / f"{self.row.key}-{self.first}-{self.count}.jsonl"

    @property
    def log(self) -> Path:
        """What pytest says."""
        return self.results.with_suffix(".log")


@dataclass
class Sum:
    """All there is to say of a row."""

    row: Row
    wanted: int
    tried: int = 0
    found: Counter[str] = field(default_factory=Counter)
    most: dict[str, float] = field(default_factory=dict)
    skipped: str = ""  # why it was not tried
    failed: list[str] = field(default_factory=list)  # logs of tests that did not pass

    def add(self, line: dict) -> None:
        """Take in a line of a job's results."""
        self.tried += line.get("tried", 0)
        self.found.update(line.get("found", {}))
        for name, value in line.get("most", {}).items():
            self.most[name] = max(value, self.most.get(name, value))
        self.skipped = line.get("skipped", self.skipped)

    @property
    def short_of(self) -> str:
        """What falls short; empty if nothing does. What this machine cannot try (no root, no strace) is said and fails nothing."""
        over = [f"{value:g} {name}" for name, value in self.figures() if value > self.row.may[name]]
        if over:
            return f"{', '.join(over)}, of {self.tried} {self.row.unit}"
        if self.failed:
            return f"its test failed: {', '.join(self.failed)}"
        if self.tried < self.wanted and not (self.skipped and not self.tried):
            return "not run: there is no test of it" if not self.tried else f"{self.tried} tried instead of {self.wanted}"
        return ""

    def figures(self) -> list[tuple[str, float]]:
        """What was found, in the row's order; nothing is said of what was not tried."""
        return [(name, self.most.get(name, self.found.get(name, 0))) for name in self.row.may]

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """Of the table."""
        may = self._may
        if not self.tried:
            return self.row.title, "not run", self.skipped or "no test yet", may
        found = ", ".join(f"{_said(value)} {name}" for name, value in self.figures()) or "all succeeded"
        return self.row.title, f"{self.tried:,} {self.row.unit}", "its test failed" if self.failed else found, may

    @property
    def _may(self) -> str:
        if not self.row.may:
            return "nothing that fails"
        if len(self.row.may) > 1 and not any(self.row.may.values()):
            return "none of these"
        return ", ".join(f"{_said(value)} {name}" for name, value in self.row.may.items())


def _said(value: float) -> str:
    return f"{value:,.1f}" if value != int(value) else f"{int(value):,}"


def jobs_of(row: Row, level: str, folder: Path) -> list[Job]:
    """A row's trials, in portions."""
    whole = row.count(level)
    each = min(row.portion or whole, whole)
    return [Job(row, first, min(each, whole - first), folder) for first in range(0, whole, each)]


def read(job: Job) -> list[dict]:
    """What a job has written; nothing if it has not come to its end."""
    if not job.results.exists():
        return []
    lines = [json.loads(line) for line in job.results.read_text("utf-8").splitlines()]
    return lines if lines and "exit" in lines[-1] else []


def done(job: Job) -> bool:
    """Whether it need not be run again: it ended well, on this code."""
    return bool(read(job)) and read(job)[-1]["exit"] == 0


def run(job: Job, level: str) -> None:
    """Run a row's tests for some of its trials."""
    if done(job):
        return
    job.results.unlink(missing_ok=True)
    began = time.monotonic()
    with job.log.open("w", encoding="utf-8") as log:
        code = subprocess.run(_command(job), cwd=ROOT, env=_environment(job, level), stdout=log, stderr=log, check=False).returncode
    took_s = round(time.monotonic() - began, 1)
    with job.results.open("a", encoding="utf-8") as results:
        results.write(json.dumps({"exit": code, "took_s": took_s}) + "\n")
    print(
        f"  {job.row.key} {job.first}–{job.first + job.count}: {'done' if code == 0 else f'exit code {code}'} ({took_s:.0f} s)",
        flush=True,
    )


def _command(job: Job) -> list[str]:
    return [sys.executable, "-m", "pytest", "-n", "0", "-rs", "--timeout", str(_LIMIT_S), "-m", "trust", *job.row.tests.split()]


def _environment(job: Job, level: str) -> dict[str, str]:
    own = {
        "TRUST": level,
        "RLHF_DESKTOP_TRUST_FIRST": str(job.first),
        "RLHF_DESKTOP_TRUST_COUNT": str(job.count),
        "RLHF_DESKTOP_TRUST_RESULTS": str(job.results),
    }
    return {"QT_QPA_PLATFORM": "offscreen", **os.environ, **own}


def summed(jobs: Iterable[Job], level: str) -> list[Sum]:
    """What all jobs have found, row by row."""
    sums: dict[str, Sum] = {}
    for job in jobs:
        total = sums.setdefault(job.row.key, Sum(job.row, job.row.count(level)))
        for line in read(job):
            total.add(line)
            if line.get("exit", 0) not in (0, *_NO_TESTS):
                total.failed.append(str(job.log.relative_to(ROOT)))
    return list(sums.values())


def table(sums: Sequence[Sum]) -> str:
    """As Markdown."""
    rows = [("What was tried", "How often", "What was found", "What may be found"), ("---",) * 4, *(total.cells for total in sums)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def code_now() -> str:
    """What tells this code from any other: the commit and what was changed since."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    try:
        changed = git("diff", "HEAD") + git("ls-files", "--others", "--exclude-standard", "-s")
        return git("rev-parse", "--short=12", "HEAD").strip() + (
            f"-{hashlib.sha256(changed.encode()).hexdigest()[:8]}" if changed else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return "without-git"


def into_guide(made: str, level: str) -> None:
    """Put the table where the guide's page has one."""
    where = f"{'The full form' if level == 'full' else 'The short form'}, on {platform.system()}, {time.strftime('%Y-%m-%d')}:\n\n"
    before, _, rest = GUIDE.read_text("utf-8").partition(BEGIN)
    GUIDE.write_text(f"{before}{BEGIN}{where}{made}{END}{rest.partition(END)[2]}", "utf-8")


def main(arguments: Sequence[str]) -> int:
    """Run what is wanted, print the table, say what falls short."""
    level = "full" if os.environ.get("TRUST") == "full" else "short"
    names = [argument for argument in arguments if not argument.startswith("-")]
    if unknown := set(names) - {row.key for row in ROWS}:
        print(f"There is no row {', '.join(sorted(unknown))}. The rows: {' '.join(row.key for row in ROWS)}", file=sys.stderr)
        return 2
    folder = BUILD / code_now() / level
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [job for row in ROWS if not names or row.key in names for job in jobs_of(row, level, folder)]
    if "--again" in arguments or folder.parent.name == "without-git":
        for job in jobs:
            job.results.unlink(missing_ok=True)
    for together, at_once in ((False, AT_ONCE), (True, 1)):
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(lambda job: run(job, level), (job for job in jobs if job.row.alone is together)))
    sums = summed(jobs, level)
    made = table(sums)
    print(f"\n{made}")
    (folder / "table.md").write_text(made, "utf-8")
    if "--guide" in arguments:
        into_guide(made, level)
    short = [f"{total.row.title}: {total.short_of}" for total in sums if total.short_of]
    print("\n".join(["Falls short:", *(f"  {one}" for one in short)]) if short else "Nothing falls short.")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
