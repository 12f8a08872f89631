"""Time and memory foreseen before a run, beside what the run then takes: twelve settings on the starter model.

    make bench ARGS="estimates [--keep FOLDER] [--only NAME …]"

The computer is calibrated with the model first (`worker calibrate`), then each setting runs in a process of its own, one after the
other, on a machine where nothing else runs. With `--keep` the model, the reward model to practise against and the calibration stay
for the next go, so that the settings can be measured a few at a time; `--only` without names prepares them and no more. A row a
setting is appended to results.jsonl beside this file; the aim is 0.75 to 1.25 for both.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from rlhf_desktop.core.files import read_jsonl, sha256_file  # noqa: E402
from rlhf_desktop.core.ids import new_id  # noqa: E402
from rlhf_desktop.core.paths import Workspace, resources_dir  # noqa: E402
from rlhf_desktop.core.recipes import Algorithm  # noqa: E402
from rlhf_desktop.core.runs import AdapterRef, ModelRef, RunConfig  # noqa: E402
from rlhf_desktop.feedback.snapshot import (  # noqa: E402
    Demonstration,
    PracticePrompt,
    RankedAnswers,
    RankedText,
    SnapshotRow,
    Split,
    write_snapshot,
)  # fmt: skip
from rlhf_desktop.hub.library import Library  # noqa: E402
from rlhf_desktop.jobs.device import probe_device  # noqa: E402
from rlhf_desktop.jobs.measuring import calibrate, check_model  # noqa: E402
from rlhf_desktop.operations.estimates import estimate  # noqa: E402
from rlhf_desktop.operations.preflight import as_text_row, row_sizes  # noqa: E402
from rlhf_desktop.operations.workload import RunPlan  # noqa: E402
from tests.bench.results import keep  # noqa: E402

Rows = Callable[["Texts"], list[SnapshotRow]]


class Texts:
    """Prompts of the demo, and answers of any length made of their words."""

    def __init__(self, seed: str = "") -> None:
        self.prompts = [row["prompt"] for row in read_jsonl(resources_dir() / "demo" / "prompts.jsonl")]
        self._words = " ".join(self.prompts).split()
        self._chance = Random(seed)

    def answer(self, words: int) -> str:
        """About so many words."""
        return " ".join(self._chance.choice(self._words) for _ in range(self._chance.randint(words * 2 // 3, words * 4 // 3)))

    def examples(self, count: int, words: int = 45) -> list[SnapshotRow]:
        """Demonstrations, one in seven held out."""
        return [Demonstration(prompt=_user(p), completion=self.answer(words), split=_half(n)) for n, p in self._some(count)]

    def rankings(self, count: int, k: int, words: int = 45) -> list[SnapshotRow]:
        """Rankings of k answers, one in seven held out."""
        return [
            RankedAnswers(
                prompt=_user(p), split=_half(n), completions=[RankedText(text=self.answer(words), rank=j + 1) for j in range(k)]
            )
            for n, p in self._some(count)
        ]

    def practice(self, count: int) -> list[SnapshotRow]:
        """Prompts to practise on."""
        return [PracticePrompt(prompt=_user(p)) for _, p in self._some(count)]

    def _some(self, count: int) -> list[tuple[int, str]]:
        return list(enumerate(self.prompts[:count]))


def _user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def _half(n: int) -> Split:
    return "heldout" if n % 7 == 0 else "train"


@dataclass(frozen=True)
class Case:
    """One of the twelve."""

    name: str
    algorithm: Algorithm
    rows: Rows
    settings: dict[str, Any] = field(default_factory=dict)


CASES = (
    Case("sft", "sft", lambda t: t.examples(60)),
    Case("sft-one-at-a-time", "sft", lambda t: t.examples(40), {"batch_size": 1, "epochs": 1}),
    Case("sft-long-wide", "sft", lambda t: t.examples(40, 300), {"lora_rank": 64, "batch_size": 8, "epochs": 1}),
    Case("sft-float32", "sft", lambda t: t.examples(30), {"dtype": "float32", "epochs": 1}),
    Case("reward", "reward", lambda t: t.rankings(50, 4)),
    Case("reward-ensemble", "reward", lambda t: t.rankings(30, 4), {"ensemble": 3, "epochs": 1, "lora_rank": 8}),
    Case("dpo-pairs", "dpo", lambda t: t.rankings(60, 2)),
    Case("dpo-rankings", "dpo", lambda t: t.rankings(30, 4), {"epochs": 1, "batch_size": 4}),
    Case("dpo-long", "dpo", lambda t: t.rankings(30, 2, 250), {"epochs": 1}),
    Case("ppo", "ppo", lambda t: t.practice(48), {"episodes": 96}),
    Case("ppo-groups", "ppo", lambda t: t.practice(48), {"episodes": 96, "samples_per_prompt": 4, "baseline": "rloo"}),
    Case("ppo-short", "ppo", lambda t: t.practice(48), {"episodes": 128, "batch_size": 32, "max_new_tokens": 32, "ppo_epochs": 1}),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", help="Names of settings; none of them: only prepare.")
    parser.add_argument("--keep", type=Path, help="Where models and calibration are kept between goes.")
    parser.add_argument("--again", action="store_true", help="Calibrate again, as the first to use this computer would.")
    options = parser.parse_args()
    root = options.keep or Path(tempfile.mkdtemp())
    os.environ["RLHF_DESKTOP_STATE"] = str(root / "state")
    base = Library(Workspace(root / "workspace").ensure()).ensure_starter()
    device = probe_device()
    judge = _judge(root, base)
    fresh: set[str] = set()  # number types calibrated in this go
    for case in CASES:
        if options.only is not None and case.name not in options.only:
            continue
        texts = Texts(case.name)
        rows = case.rows(texts)
        reward = judge if case.algorithm == "ppo" else None
        dtype = case.settings.get("dtype", "auto")
        rates = calibrate(base, dtype, refresh=options.again and dtype not in fresh)
        fresh.add(dtype)
        sizes = row_sizes(rows, check_model(base, [as_text_row(row) for row in rows]))
        assert sizes is not None
        found = estimate(RunPlan(case.algorithm, base, case.settings, reward=reward), sizes, device, rates)
        took = train(root, case.algorithm, base, rows, reward, case.settings)
        peak = took["peak_cuda_bytes"] or took["peak_rss_bytes"]
        row = {
            "bench": "estimates",
            "case": case.name,
            "device": device["device"],
            "wall_s": took["wall_s"],
            "foreseen_s": found.wall_s,
            "time_ratio": (found.wall_s or 0.0) / took["wall_s"],
            "peak_bytes": peak,
            "foreseen_bytes": found.peak_bytes,
            "memory_ratio": found.peak_bytes / peak,
            "rates": rates.model_dump(mode="json"),
            "phases": found.phases,
            "parts": found.parts,
        }
        keep(row)
        print(json.dumps(row), flush=True)


def _judge(root: Path, base: ModelRef) -> AdapterRef:
    """A reward model of a few updates, for PPO to practise against."""
    folder = next(root.glob("reward-*/judge"), None)
    if folder is None:
        made = Path(train(root, "reward", base, Texts().rankings(8, 4), None, {"epochs": 1})["folder"])
        folder = (made / "adapter").rename(made / "judge")
    weights = sha256_file(folder / "adapter_model.safetensors")
    return AdapterRef(name="bench", path=str(folder), hash=weights, base_hash=base.hash)


def train(
    root: Path, algorithm: Algorithm, base: ModelRef, rows: list[SnapshotRow], reward: AdapterRef | None, settings: dict[str, Any]
) -> dict[str, Any]:
    """One run in a process of its own. Returns the metrics of its `finished` event."""
    folder = root / f"{algorithm}-{new_id()}"
    folder.mkdir()
    digest = write_snapshot(folder / "data.jsonl", rows)
    config = RunConfig(
        run_id=folder.name, created="", title=algorithm, project_id="bench", algorithm=algorithm, base=base, reward=reward,
        settings=settings, data_sha256=digest,
    )  # fmt: skip
    (folder / "run.json").write_text(config.model_dump_json())
    subprocess.run([sys.executable, "-m", "rlhf_desktop.worker", "train", str(folder)], check=True, stderr=subprocess.DEVNULL)
    finished = [event for event in read_jsonl(folder / "events.jsonl") if event["type"] == "finished"][-1]
    return {**finished["metrics"], "folder": str(folder)}


if __name__ == "__main__":
    main()
