"""PPO beside TRL's on one machine at one time: same model, prompts, batch, answer length, epochs and dtype, one after the other.

    make bench ARGS="ppo --peers FOLDER --peer-python PYTHON --pairs FILE [--rounds 3]"

FOLDER holds trl_ppo.py and common.py; PYTHON has trl 1.12. A row a round is appended to results.jsonl beside this file.
Compared are examples per second of training (loading and tokenising excluded on both sides) and the peak resident memory of the
process. TRL's trains a whole value model of the policy's size; ours a linear head on the policy's states.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from rlhf_desktop.core.files import append_jsonl, read_jsonl, sha256_file  # noqa: E402
from rlhf_desktop.core.ids import new_id  # noqa: E402
from rlhf_desktop.core.paths import Workspace  # noqa: E402
from rlhf_desktop.core.runs import AdapterRef, ModelRef, RunConfig  # noqa: E402
from rlhf_desktop.feedback.snapshot import PracticePrompt, RankedAnswers, RankedText, write_snapshot  # noqa: E402
from rlhf_desktop.hub.library import Library  # noqa: E402

EPISODES, BATCH, ANSWER_TOKENS, PPO_EPOCHS = 32, 16, 48, 2


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--pairs", type=Path, required=True, help="HH-RLHF rows, one JSON object a line")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def train(root: Path, algorithm: str, base: ModelRef, rows: list, reward: AdapterRef | None = None, **settings: object) -> dict:
    """One run in a process of its own. Returns the metrics of its `finished` event."""
    folder = root / f"{algorithm}-{new_id()}"
    folder.mkdir()
    digest = write_snapshot(folder / "data.jsonl", rows)
    shared = {"dtype": "bfloat16", "watched_prompts": 0} if algorithm == "ppo" else {"dtype": "bfloat16"}
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


def main() -> None:
    options = arguments()
    sys.path.insert(0, str(options.peers))
    from common import pairs

    root = Path(tempfile.mkdtemp())
    library = Library(Workspace(root / "workspace").ensure())
    base = library.ensure_starter()
    data = pairs(options.pairs, 10_000)
    prompts = [row["prompt"][:1] for row in data if len(row["prompt"][0]["content"]) < 200][:EPISODES]  # as the peer chooses
    rankings = [_ranking(row) for row in data[:8]]
    scorer = train(root, "reward", base, rankings, epochs=1)["folder"] / "adapter"
    reward = AdapterRef(name="bench", path=str(scorer), hash=sha256_file(scorer / "adapter_model.safetensors"), base_hash=base.hash)
    settings = {"episodes": EPISODES, "batch_size": BATCH, "max_new_tokens": ANSWER_TOKENS, "ppo_epochs": PPO_EPOCHS}
    settings |= {"minibatches": 1, "samples_per_prompt": 1, "learning_rate": 1e-5}
    peer = [options.peer_python, "trl_ppo.py", "--model", base.path, "--pairs", str(options.pairs), "--n", str(EPISODES)]
    peer += ["--batch", str(BATCH), "--response", str(ANSWER_TOKENS), "--epochs", str(PPO_EPOCHS), "--dtype", "bfloat16"]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True, check=True).stdout.strip()
    ratios = []
    for number in range(options.rounds):
        ours = train(root, "ppo", base, [PracticePrompt(prompt=prompt) for prompt in prompts], reward, seed=number, **settings)
        quiet = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(peer, cwd=options.peers, capture_output=True, text=True, check=True, env=quiet)
        theirs = json.loads(done.stdout.strip().splitlines()[-1])
        row = {
            "bench": "ppo",
            "commit": commit,
            "seed": number,
            "cpu": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "examples_per_s": ours["examples_per_s"],
            "peer_examples_per_s": theirs["examples_per_s"],
            "ratio": ours["examples_per_s"] / theirs["examples_per_s"],
            "peak_rss_gib": ours["peak_rss_bytes"] / 2**30,
            "peer_peak_rss_gib": theirs["peak_rss_gib"],
            "trainable_parameters": ours["trainable_parameters"],
            "tokens": ours["tokens"],
        }
        append_jsonl(HERE / "results.jsonl", row)
        print(json.dumps(row), flush=True)
        ratios.append(row["ratio"])
    print(f"median ratio of examples per second: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
