"""Our reward model's accuracy beside TRL's: the same pairs, split, base, LoRA and epochs, judged on the same held-out pairs.

    make bench ARGS="reward_quality --pairs FILE --peer-python PYTHON --work FOLDER [--seeds 0 1 2] [--limit N]"

FILE holds HH-RLHF rows; PYTHON has trl 1.16. Each half of each seed leaves its margins in FOLDER, so the script can be stopped and
started again. A row a seed is appended to results.jsonl beside this file: accuracies on the held-out pairs, and the paired
difference (ours − TRL's) over all seeds so far with the lower bound of its 95% interval, prompts resampled.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from rlhf_desktop.core.files import read_jsonl, sha256_text, write_json, write_jsonl  # noqa: E402
from rlhf_desktop.core.paths import Workspace  # noqa: E402
from rlhf_desktop.core.runs import ModelRef, RunConfig  # noqa: E402
from rlhf_desktop.feedback.formats import read_feedback  # noqa: E402
from rlhf_desktop.feedback.rows import RankingRow  # noqa: E402
from rlhf_desktop.feedback.snapshot import RankedAnswers, RankedText, write_snapshot  # noqa: E402
from rlhf_desktop.feedback.split import prompt_hash, split_of_hash  # noqa: E402
from rlhf_desktop.hub.library import Library  # noqa: E402
from tests.bench.results import keep  # noqa: E402

HELDOUT_SHARE = 0.25
RESAMPLES = 10_000


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True, help="HH-RLHF rows, one JSON object a line")
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--work", type=Path, required=True, help="where finished halves are kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--limit", type=int, default=1800, help="pairs used in all")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--max-length", type=int, default=1024, help="tokens; TRL drops longer pairs, so neither side sees them")
    parser.add_argument("--learning-rate", type=float, default=2e-4, help="ours; the recipe's default")
    parser.add_argument("--peer-learning-rate", type=float, default=1e-4, help="TRL's; its own default")
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--results", type=Path, default=HERE / "results.jsonl")
    return parser.parse_args()


def load_pairs(path: Path, limit: int) -> list[RankedAnswers]:
    """The pairs of a file, each in its half by the hash of its first prompt."""
    found: list[RankedAnswers] = []
    for row in read_feedback(path):
        if isinstance(row, RankingRow) and len(found) < limit:
            texts = [RankedText(text=text, rank=rank) for text, rank in zip(row.completions, row.ranks, strict=True)]
            found.append(
                RankedAnswers(
                    prompt=row.prompt,
                    completions=sorted(texts, key=lambda text: text.rank),
                    split=split_of_hash(prompt_hash(row.prompt), HELDOUT_SHARE),
                )
            )
    return found


def fitting(pairs: Sequence[RankedAnswers], base: ModelRef, max_length: int) -> list[RankedAnswers]:
    """The pairs both of whose sides fit."""
    from rlhf_desktop.inference.model import load_tokenizer
    from rlhf_desktop.inference.template import completion_ids, prompt_ids

    tokenizer = load_tokenizer(Path(base.path), base.name)
    end_id = tokenizer.eos_token_id
    return [
        pair
        for pair in pairs
        if len(prompt_ids(tokenizer, pair.prompt))
        + max(len(completion_ids(tokenizer, answer.text, end_id)) for answer in pair.completions)
        <= max_length
    ]


def train_ours(root: Path, base: ModelRef, pairs: Sequence[RankedAnswers], seed: int, o: argparse.Namespace) -> dict:
    """Train in a process of its own, then score each held-out answer in another."""
    folder = root / f"ours-{seed}-run"
    if not (folder / "adapter").is_dir():
        folder.mkdir(exist_ok=True)
        digest = write_snapshot(folder / "data.jsonl", pairs)
        settings = {"epochs": o.epochs, "batch_size": o.batch, "max_length": o.max_length, "learning_rate": o.learning_rate}
        config = RunConfig(
            run_id=folder.name, created="", title="reward quality", project_id="bench", algorithm="reward", base=base,
            settings={**settings, "seed": seed, "dtype": o.dtype, "lora_rank": 16, "lora_alpha": 32}, data_sha256=digest,
        )  # fmt: skip
        (folder / "run.json").write_text(config.model_dump_json())
        subprocess.run([sys.executable, "-m", "rlhf_desktop.worker", "train", str(folder)], check=True, stderr=subprocess.DEVNULL)
    finished = [event for event in read_jsonl(folder / "events.jsonl") if event["type"] == "finished"][-1]["metrics"]
    heldout = [pair for pair in pairs if pair.split == "heldout"]
    margins = score_ours(folder / "adapter", base, heldout, o.max_length, o.dtype)
    return {"margins": margins, "wall_s": finished["wall_s"], "peak_rss_bytes": finished["peak_rss_bytes"]}


def score_ours(adapter: Path, base: ModelRef, heldout: Sequence[RankedAnswers], max_length: int, dtype: str) -> list[float]:
    """By how much each chosen answer is scored higher, by the saved adapter."""
    from rlhf_desktop.inference.adapters import AdapterHost
    from rlhf_desktop.inference.model import load_base
    from rlhf_desktop.training.ranking import encode_rankings
    from rlhf_desktop.training.reward_model import RewardModel

    host = AdapterHost(load_base(base, dtype=dtype))
    groups = [item.group for item in encode_rankings(host.base, heldout, "heldout", max_length)]
    scores = RewardModel.load(host, adapter).score_groups(groups).mean(0).reshape(-1, 2)
    return (scores[:, 0] - scores[:, 1]).tolist()


def train_theirs(root: Path, base: ModelRef, pairs: Sequence[RankedAnswers], seed: int, o: argparse.Namespace) -> dict:
    for split in ("train", "heldout"):
        write_jsonl(root / f"{split}.jsonl", [_trl_row(pair) for pair in pairs if pair.split == split])
    out = root / f"trl-{seed}.part"
    command = [o.peer_python, str(HERE / "peer_trl_reward.py"), "--model", base.path, "--train", str(root / "train.jsonl")]
    command += ["--heldout", str(root / "heldout.jsonl"), "--out", str(out), "--seed", str(seed), "--epochs", str(o.epochs)]
    command += ["--batch", str(o.batch), "--max-length", str(o.max_length), "--rank", "16", "--alpha", "32", "--dtype", o.dtype]
    command += ["--learning-rate", str(o.peer_learning_rate)]
    quiet = {**os.environ, "HF_HUB_OFFLINE": "1"}
    subprocess.run(command, check=True, env=quiet, stdout=subprocess.DEVNULL)
    return json.loads(out.read_text())


def _trl_row(pair: RankedAnswers) -> dict:
    chosen, rejected = ([{"role": "assistant", "content": answer.text}] for answer in pair.completions)
    return {"prompt": pair.prompt, "chosen": chosen, "rejected": rejected}


def kept(path: Path, make: Callable[[], dict]) -> dict:
    """What an earlier start has left, else made now."""
    if not path.exists():
        write_json(path, make())
    return json.loads(path.read_text())


def right(margins: Sequence[float]) -> np.ndarray:
    found = np.asarray(margins)
    return np.where(found == 0, 0.5, found > 0)


def paired_lower_bound(difference: np.ndarray, prompts: Sequence[str]) -> float:
    """Lower end of the 95% interval of a mean over pairs; whole prompts are resampled."""
    _, where = np.unique(np.asarray(prompts), return_inverse=True)
    totals, counts = np.bincount(where, weights=difference), np.bincount(where)
    generator = np.random.default_rng(0)
    draws = (generator.integers(0, len(counts), len(counts)) for _ in range(RESAMPLES))
    return float(np.quantile([totals[d].sum() / counts[d].sum() for d in draws], 0.025))


def main() -> None:
    o = arguments()
    base = Library(Workspace(o.work / "workspace").ensure()).ensure_starter()
    pairs = fitting(load_pairs(o.pairs, o.limit), base, o.max_length)
    prompts = [prompt_hash(pair.prompt) for pair in pairs if pair.split == "heldout"]
    setup = [o.limit, o.epochs, o.batch, o.max_length, o.learning_rate, o.peer_learning_rate, o.dtype]
    root = o.work / sha256_text(json.dumps(setup))[:12]  # another set-up does not take this one's halves
    root.mkdir(parents=True, exist_ok=True)
    differences = []
    for seed in o.seeds:
        ours = kept(root / f"ours-{seed}.json", lambda: train_ours(root, base, pairs, seed, o))  # noqa: B023
        theirs = kept(root / f"trl-{seed}.json", lambda: train_theirs(root, base, pairs, seed, o))  # noqa: B023
        differences.append(right(ours["margins"]) - right(theirs["margins"]))
        mean = np.mean(differences, axis=0)
        row = {
            "bench": "reward_quality",
            "seed": seed,
            "pairs": {"train": len(pairs) - len(prompts), "heldout": len(prompts), "heldout_prompts": len(set(prompts))},
            "epochs": o.epochs,
            "dtype": o.dtype,
            "accuracy": float(right(ours["margins"]).mean()),
            "peer_accuracy": float(right(theirs["margins"]).mean()),
            "seeds_so_far": len(differences),
            "difference": float(mean.mean()),
            "difference_lower_95": paired_lower_bound(mean, prompts),
            "wall_s": ours["wall_s"],
            "peer_wall_s": theirs["wall_s"],
        }
        keep(row, o.results)
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
