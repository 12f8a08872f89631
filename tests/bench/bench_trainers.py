"""Our trainers beside TRL's on one machine at one time: same model, data, batch, lengths, epochs and dtype, one after the other.

    make bench ARGS="trainers ppo reward dpo --peers FOLDER --peer-python PYTHON --pairs FILE [--rounds 3] [--n 64]"

FOLDER holds trl_ppo.py, trl_reward.py, trl_dpo.py and common.py; PYTHON has trl 1.12, the last with PPO. A row a round is appended
to results.jsonl beside this file. Compared are examples per second of training (loading and tokenising excluded on both sides) and
the peak resident memory of the process. TRL's PPO trains a whole value model of the policy's size; ours a linear head on the
policy's states. TRL's pair trainers read a pair's prompt twice; ours once.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from rlhf_desktop.core.files import read_jsonl, sha256_file  # noqa: E402
from rlhf_desktop.core.ids import new_id  # noqa: E402
from rlhf_desktop.core.paths import Workspace  # noqa: E402
from rlhf_desktop.core.runs import AdapterRef, ModelRef, RunConfig  # noqa: E402
from rlhf_desktop.feedback.snapshot import PracticePrompt, RankedAnswers, RankedText, write_snapshot  # noqa: E402
from rlhf_desktop.hub.library import Library  # noqa: E402
from tests.bench.results import keep  # noqa: E402

EPISODES, BATCH, ANSWER_TOKENS, PPO_EPOCHS = 32, 16, 48, 2
PAIRS_BATCH, MAX_LENGTH = 8, 512


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("algorithms", nargs="+", choices=["ppo", "reward", "dpo"])
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--pairs", type=Path, required=True, help="HH-RLHF rows, one JSON object a line")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--n", type=int, default=64, help="pairs, for reward and dpo")
    return parser.parse_args()


def train(root: Path, algorithm: str, base: ModelRef, rows: list, reward: AdapterRef | None = None, **settings: object) -> dict:
    """One run in a process of its own. Returns the metrics of its `finished` event."""
    folder = root / f"{algorithm}-{new_id()}"
    folder.mkdir()
    digest = write_snapshot(folder / "data.jsonl", rows)
    shared = {"dtype": "bfloat16"} if algorithm == "reward" else {"dtype": "bfloat16", "watched_prompts": 0}
    config = RunConfig(
        run_id=folder.name, created="", title=algorithm, project_id="bench", algorithm=algorithm, base=base, reward=reward,
        settings={**shared, **settings}, data_sha256=digest,
    )  # fmt: skip
    (folder / "run.json").write_text(config.model_dump_json())
    subprocess.run([sys.executable, "-m", "rlhf_desktop.worker", "train", str(folder)], check=True, stderr=subprocess.DEVNULL)
    finished = [event for event in read_jsonl(folder / "events.jsonl") if event["type"] == "finished"][-1]
    return {**finished["metrics"], "folder": folder}


def _ranking(row: dict) -> RankedAnswers:
    texts = [RankedText(text=row[side][0]["content"], rank=rank) for rank, side in ((1, "chosen"), (2, "rejected"))]
    return RankedAnswers(prompt=row["prompt"], completions=texts)


class Bench:
    """One algorithm, trained by us and by the peer on the same prompts or pairs."""

    def __init__(self, options: argparse.Namespace, root: Path) -> None:
        sys.path.insert(0, str(options.peers))
        from common import pairs

        self.options, self.root = options, root
        self.base = Library(Workspace(root / "workspace").ensure()).ensure_starter()
        self.pairs = pairs(options.pairs, 10_000)

    def ours(self, algorithm: str, seed: int) -> dict:
        """Metrics of our run."""
        if algorithm == "ppo":
            prompts = [row["prompt"][:1] for row in self.pairs if len(row["prompt"][0]["content"]) < 200][:EPISODES]  # as the peer
            rows = [PracticePrompt(prompt=prompt) for prompt in prompts]
            settings = {"episodes": EPISODES, "batch_size": BATCH, "max_new_tokens": ANSWER_TOKENS, "ppo_epochs": PPO_EPOCHS}
            settings |= {"minibatches": 1, "samples_per_prompt": 1, "learning_rate": 1e-5}
            return train(self.root, "ppo", self.base, rows, self._scorer(), seed=seed, **settings)
        rows = [_ranking(row) for row in self.pairs[: self.options.n]]
        settings = {"epochs": 1, "batch_size": PAIRS_BATCH, "learning_rate": 1e-4, "max_length": MAX_LENGTH}
        return train(self.root, algorithm, self.base, rows, seed=seed, **settings)

    def _scorer(self) -> AdapterRef:
        folder = train(self.root, "reward", self.base, [_ranking(row) for row in self.pairs[:8]], epochs=1)["folder"] / "adapter"
        weights = sha256_file(folder / "adapter_model.safetensors")
        return AdapterRef(name="bench", path=str(folder), hash=weights, base_hash=self.base.hash)

    def peers(self, algorithm: str) -> dict:
        """The line that TRL's script prints."""
        command = [self.options.peer_python, f"trl_{algorithm}.py", "--model", self.base.path, "--pairs", str(self.options.pairs)]
        if algorithm == "ppo":
            command += ["--n", str(EPISODES), "--batch", str(BATCH), "--response", str(ANSWER_TOKENS), "--epochs", str(PPO_EPOCHS)]
        else:
            command += ["--n", str(self.options.n), "--batch", str(PAIRS_BATCH), "--max_length", str(MAX_LENGTH)]
        quiet = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
        command += ["--dtype", "bfloat16"]
        done = subprocess.run(command, cwd=self.options.peers, capture_output=True, text=True, check=True, env=quiet)
        return json.loads(done.stdout.strip().splitlines()[-1])

    def round(self, algorithm: str, seed: int) -> dict:
        """One after the other, as a row for results.jsonl."""
        ours, theirs = self.ours(algorithm, seed), self.peers(algorithm)
        return {
            "bench": algorithm,
            "seed": seed,
            "examples_per_s": ours["examples_per_s"],
            "peer_examples_per_s": theirs["examples_per_s"],
            "ratio": ours["examples_per_s"] / theirs["examples_per_s"],
            "peak_rss_gib": ours["peak_rss_bytes"] / 2**30,
            "peer_peak_rss_gib": theirs["peak_rss_gib"],
            "memory_ratio": ours["peak_rss_bytes"] / 2**30 / theirs["peak_rss_gib"],
            "trainable_parameters": ours["trainable_parameters"],
            "tokens": ours["tokens"],
        }


def main() -> None:
    """Rounds of each algorithm, and the medians of their ratios."""
    options = arguments()
    bench = Bench(options, Path(tempfile.mkdtemp()))
    for algorithm in options.algorithms:
        rows = []
        for number in range(options.rounds):
            rows.append(bench.round(algorithm, number))
            keep(rows[-1])
            print(json.dumps(rows[-1]), flush=True)
        ratio, memory = (statistics.median(row[name] for row in rows) for name in ("ratio", "memory_ratio"))
        print(
            f"{algorithm}: {ratio:.2f} times the peer's examples per second, {100 * memory:.0f}% of its memory (medians)",
            flush=True,
        )


if __name__ == "__main__":
    main()
