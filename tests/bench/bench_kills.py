"""Trainers killed with SIGKILL at random moments, then started again: do they go on, and to the very same weights?

    make bench ARGS="kills [--algorithms reward ppo sft dpo] [--trials 50] [--seed 0]"

Each trial starts a run on a tiny model, kills it (every other one in the middle of writing a checkpoint), starts it once more and
lets it end. Its adapter is compared, byte for byte, with that of a run nobody disturbed. A row an algorithm is appended to
results.jsonl.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # children are forked: no thread may live before
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from rlhf_desktop.core.files import read_jsonl  # noqa: E402
from rlhf_desktop.core.runs import ModelRef  # noqa: E402
from rlhf_desktop.training import checkpoint  # noqa: E402
from rlhf_desktop.worker.train import main as train  # noqa: E402
from tests.bench.results import keep  # noqa: E402
from tests.tiny import make_tiny_model  # noqa: E402
from tests.training.folders import adapter_of, demonstrations, make_run, practice, rankings  # noqa: E402

ROWS = {"sft": demonstrations, "dpo": rankings, "reward": rankings, "ppo": practice}
SETTINGS = {
    "sft": {"epochs": 20, "watched_prompts": 0},
    "dpo": {"epochs": 20, "watched_prompts": 0},
    "reward": {"epochs": 20, "ensemble": 2},
    "ppo": {"episodes": 160, "batch_size": 8, "samples_per_prompt": 2, "max_new_tokens": 12, "watched_prompts": 0},
}


def start(folder: Path, pipe: int | None = None) -> int:
    """Train a folder in a child of this process, which has torch loaded already. A byte on the pipe says a checkpoint begins."""
    child = os.fork()
    if child:
        return child
    if pipe is not None:
        save = checkpoint.save

        def announced(*args: object) -> Path:
            os.write(pipe, b".")
            return save(*args)  # type: ignore[arg-type]

        checkpoint.save = announced
    os._exit(train([str(folder)]))


def finish(child: int) -> int:
    """Wait for a child; its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_somewhere(folder: Path, rng: random.Random, usual_s: float, in_checkpoint: bool) -> bool:
    """Start a run and kill it. Returns whether it was still alive."""
    reader, writer = os.pipe()
    child = start(folder, writer)
    os.close(writer)
    if in_checkpoint:
        for _ in range(rng.randint(1, 9)):
            os.read(reader, 1)  # b"" at the end of a run that has ended
        time.sleep(rng.uniform(0, 0.03))
    else:
        time.sleep(rng.uniform(0, usual_s))
    os.kill(child, signal.SIGKILL)
    os.close(reader)
    return finish(child) == -signal.SIGKILL


def forget(folder: Path) -> None:
    """A run folder as if the run had not begun."""
    for path in folder.iterdir():
        if path.name not in ("run.json", "data.jsonl"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def digest(folder: Path) -> str:
    """Of the result's weights."""
    return hashlib.sha256((folder / "adapter" / "adapter_model.safetensors").read_bytes()).hexdigest()


def undisturbed(root: Path, algorithm: str, base: ModelRef) -> tuple[Path, float]:
    """A run that nobody kills, and how long it takes."""
    reward = None
    if algorithm == "ppo":
        scorer = make_run(root / "scorer", "reward", base, rankings(), epochs=2)
        assert finish(start(scorer)) == 0
        reward = adapter_of(scorer, base)
    whole = make_run(root / "whole", algorithm, base, ROWS[algorithm](), reward=reward, **SETTINGS[algorithm])
    began = time.monotonic()
    assert finish(start(whole)) == 0
    return whole, time.monotonic() - began


def trials(root: Path, algorithm: str, options: argparse.Namespace) -> dict:
    """All trials of one algorithm, as a row for results.jsonl."""
    whole, usual_s = undisturbed(root, algorithm, make_tiny_model(root / "model"))
    rng = random.Random(options.seed)
    counts = dict.fromkeys(("killed", "resumed", "identical", "from_a_checkpoint"), 0)
    for number in range(options.trials):
        folder = root / f"trial-{number}"
        folder.mkdir()
        for name in ("run.json", "data.jsonl"):
            shutil.copy(whole / name, folder)
        while not kill_somewhere(folder, rng, usual_s, in_checkpoint=number % 2 == 1):
            forget(folder)  # it had ended before
        counts["killed"] += 1
        counts["resumed"] += finish(start(folder)) == 0
        counts["identical"] += digest(folder) == digest(whole)
        starts = [event for event in read_jsonl(folder / "events.jsonl") if event["type"] == "started"]
        counts["from_a_checkpoint"] += starts[-1]["resumed_step"] is not None
        shutil.rmtree(folder)
    return {
        "bench": "kills",
        "algorithm": algorithm,
        "seed": options.seed,
        "trials": options.trials,
        **counts,
    }


def main() -> None:
    """Trials of each algorithm asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithms", nargs="+", choices=list(SETTINGS), default=["reward", "ppo"])
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for algorithm in options.algorithms:
        with tempfile.TemporaryDirectory() as root:
            row = trials(Path(root), algorithm, options)
        keep(row)
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
