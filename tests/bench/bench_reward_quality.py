"""Our reward model's accuracy beside TRL's: the same pairs, split, base, LoRA and epochs, judged on the same held-out pairs.

    make bench ARGS="reward_quality --pairs FILE --peer-python PYTHON --work FOLDER [--sides ours trl] [--seeds 0 1 2] [--limit N]"

FILE holds HH-RLHF rows; PYTHON has trl 1.16. Each half of each seed is a row of results.jsonl beside this file, with its margins on
the held-out pairs, and is not made again while its code is unchanged. Of the seeds that have both halves a row tells the accuracies
and the paired difference (ours − TRL's) with the lower bound of its 95% interval, prompts resampled. On one core of 2026 about an
hour a half of TRL's, half an hour a half of ours.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from rlhf_desktop.core.files import read_jsonl, sha256_text, write_jsonl  # noqa: E402
from rlhf_desktop.core.paths import Workspace  # noqa: E402
from rlhf_desktop.core.recipes import describe, make_settings  # noqa: E402
from rlhf_desktop.core.runs import ModelRef, RunConfig  # noqa: E402
from rlhf_desktop.feedback.formats import read_feedback  # noqa: E402
from rlhf_desktop.feedback.rows import RankingRow  # noqa: E402
from rlhf_desktop.feedback.snapshot import RankedAnswers, RankedText, write_snapshot  # noqa: E402
from rlhf_desktop.feedback.split import prompt_hash, split_of_hash  # noqa: E402
from rlhf_desktop.hub.library import Library  # noqa: E402
from tests.bench.results import commit, find, keep  # noqa: E402

HELDOUT_SHARE = 0.25
RESAMPLES = 10_000
LORA_RANK, LORA_ALPHA = 16, 32
_PPO = [f":!rlhf_desktop/training/{name}.py" for name in ("ppo", "watchdog")]  # no part of a reward model's training
COVERED = {
    "ours": ["rlhf_desktop/training", "rlhf_desktop/inference", *_PPO],
    "trl": ["tests/bench/peer_trl_reward.py"],
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True, help="HH-RLHF rows, one JSON object a line")
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--work", type=Path, required=True, help="for what is trained")
    parser.add_argument("--sides", nargs="+", default=list(COVERED), choices=list(COVERED))
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


def our_settings(o: argparse.Namespace) -> dict:
    """All of them but the seed, so that a row tells them and a changed default counts."""
    asked = {"epochs": o.epochs, "batch_size": o.batch, "max_length": o.max_length, "learning_rate": o.learning_rate}
    asked |= {"dtype": o.dtype, "lora_rank": LORA_RANK, "lora_alpha": LORA_ALPHA}
    whole = make_settings("reward", asked).model_dump(mode="json")
    return {setting.name: whole[setting.name] for setting in describe("reward") if setting.name != "seed"}


def train_ours(root: Path, base: ModelRef, pairs: Sequence[RankedAnswers], seed: int, o: argparse.Namespace) -> dict:
    """Train in a process of its own, then score each held-out answer in another."""
    folder = root / f"{seed}-{commit()[:12]}"  # taken up again, but only by the code that began it
    if not (folder / "adapter").is_dir():
        folder.mkdir(exist_ok=True)
        digest = write_snapshot(folder / "data.jsonl", pairs)
        config = RunConfig(
            run_id=folder.name, created="", title="reward quality", project_id="bench", algorithm="reward", base=base,
            settings={**our_settings(o), "seed": seed}, data_sha256=digest,
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
    from rlhf_desktop.training.encoding import Encoder
    from rlhf_desktop.training.ranking import encode_rankings
    from rlhf_desktop.training.reward_model import RewardModel

    host = AdapterHost(load_base(base, dtype=dtype))
    groups = [item.group for item in encode_rankings(Encoder(host.base, max_length), heldout, "heldout")]
    scores = RewardModel.load(host, adapter).score_groups(groups).mean(0).reshape(-1, 2)
    return (scores[:, 0] - scores[:, 1]).tolist()


def train_theirs(root: Path, base: ModelRef, pairs: Sequence[RankedAnswers], seed: int, o: argparse.Namespace) -> dict:
    """TRL's trainer and its scores, in a process of its own."""
    for split in ("train", "heldout"):
        write_jsonl(root / f"{split}.jsonl", [_trl_row(pair) for pair in pairs if pair.split == split])
    out = root / f"trl-{seed}.part"
    command = [o.peer_python, str(HERE / "peer_trl_reward.py"), "--model", base.path, "--train", str(root / "train.jsonl")]
    command += ["--heldout", str(root / "heldout.jsonl"), "--out", str(out), "--seed", str(seed), "--epochs", str(o.epochs)]
    command += ["--batch", str(o.batch), "--max-length", str(o.max_length), "--rank", str(LORA_RANK), "--alpha", str(LORA_ALPHA)]
    command += ["--learning-rate", str(o.peer_learning_rate), "--dtype", o.dtype]
    quiet = {**os.environ, "HF_HUB_OFFLINE": "1"}
    subprocess.run(command, check=True, env=quiet, stdout=subprocess.DEVNULL)
    return json.loads(out.read_text())


def _trl_row(pair: RankedAnswers) -> dict:
    chosen, rejected = ([{"role": "assistant", "content": answer.text}] for answer in pair.completions)
    return {"prompt": pair.prompt, "chosen": chosen, "rejected": rejected}


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


def tell(halves: dict[str, dict[int, dict]], prompts: Sequence[str]) -> dict:
    """What the seeds with both halves say together."""
    seeds = sorted(halves["ours"].keys() & halves["trl"].keys())
    ours, theirs = (np.stack([right(halves[side][seed]["margins"]) for seed in seeds]) for side in ("ours", "trl"))
    return {
        "bench": "reward_quality",
        "seeds": seeds,
        "heldout": {"pairs": len(prompts), "prompts": len(set(prompts))},
        "accuracy": ours.mean(1).round(4).tolist(),
        "peer_accuracy": theirs.mean(1).round(4).tolist(),
        "difference": float((ours - theirs).mean()),
        "difference_lower_95": paired_lower_bound((ours - theirs).mean(0), prompts),
    }


def main() -> None:
    """Makes the halves that are missing, then tells."""
    o = arguments()
    base = Library(Workspace(o.work / "workspace").ensure()).ensure_starter()
    pairs = fitting(load_pairs(o.pairs, o.limit), base, o.max_length)
    prompts = [prompt_hash(pair.prompt) for pair in pairs if pair.split == "heldout"]
    theirs = {"epochs": o.epochs, "batch": o.batch, "max_length": o.max_length, "dtype": o.dtype}
    theirs |= {"learning_rate": o.peer_learning_rate, "lora_rank": LORA_RANK, "lora_alpha": LORA_ALPHA}
    setups = {"ours": {"pairs": len(pairs), **our_settings(o)}, "trl": {"pairs": len(pairs), **theirs}}
    halves: dict[str, dict[int, dict]] = {side: {} for side in COVERED}
    for seed in o.seeds:
        for side, train in (("ours", train_ours), ("trl", train_theirs)):
            wanted = {"bench": f"reward_quality, {side}", "seed": seed, "setup": setups[side]}
            row = find(wanted, COVERED[side], o.results)
            if row is None and side in o.sides:
                root = o.work / sha256_text(json.dumps(setups[side]))[:12]  # another set-up does not take this one's runs
                root.mkdir(parents=True, exist_ok=True)
                row = train(root, base, pairs, seed, o)
                row["margins"] = [round(margin, 5) for margin in row["margins"]]
                row = keep({**wanted, "accuracy": float(right(row["margins"]).mean()), **row}, o.results)
                print(seed, side, f"{row['accuracy']:.1%}", flush=True)
            if row is not None:
                halves[side][seed] = row
    if halves["ours"].keys() & halves["trl"].keys():
        print(json.dumps(keep(tell(halves, prompts), o.results)), flush=True)


if __name__ == "__main__":
    main()
