"""The whole loop on a graphics card: examples, reward model, PPO with a pause and a resume, export, chat; under 12 minutes.

    make bench ARGS="gpu [--models starter large] [--device cuda] [--peers FOLDER --peer-python PYTHON --pairs FILE]"

Two models: the starter, and one of 1.5 billion random weights in Qwen2's layout, both in bfloat16. For each stage it prints, and
appends to results.jsonl, the examples per second and the peak memory of the card; for the chat the tokens per second, of one answer
and of eight together. With the peers' scripts, TRL's trainers do the same on the same card, one after the other. What does not fit
into `--minutes` is left out and named. `--models tiny --device cpu` tries the script itself where there is no card.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from rlhf_desktop.core.files import append_jsonl, read_jsonl, sha256_file  # noqa: E402
from rlhf_desktop.core.paths import Workspace  # noqa: E402
from rlhf_desktop.core.protocol import Sampling  # noqa: E402
from rlhf_desktop.core.runs import AdapterRef, ModelRef, RunConfig  # noqa: E402
from rlhf_desktop.feedback.snapshot import (  # noqa: E402
    Demonstration,
    PracticePrompt,
    RankedAnswers,
    RankedText,
    SnapshotRow,
    write_snapshot,
)
from rlhf_desktop.hub.library import Library  # noqa: E402
from rlhf_desktop.jobs.chat_client import ChatWorker  # noqa: E402
from rlhf_desktop.operations.exporting import export_adapter  # noqa: E402
from tests.bench.results import keep  # noqa: E402
from tests.tiny import make_tiny_model  # noqa: E402

DEMO = HERE.parents[1] / "resources" / "demo" / "demonstrations.jsonl"
UNKIND = "No. That is your own fault, and we will not do anything about it."
PPO = {"episodes": 64, "batch_size": 32, "samples_per_prompt": 4, "max_new_tokens": 64, "ppo_epochs": 2, "watched_prompts": 0}
LARGE = {
    "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12, "num_key_value_heads": 2,
    "vocab_size": 151_936, "max_position_embeddings": 4096, "tie_word_embeddings": True,
}  # fmt: skip
CHAT_TOKENS = 128


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=["starter", "large", "tiny"], default=["starter", "large"])
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, xpu, mps or cpu; refused when torch does not see it")
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--peers", type=Path, help="folder with trl_reward.py, trl_dpo.py, trl_ppo.py")
    parser.add_argument("--peer-python")
    parser.add_argument("--pairs", type=Path, help="HH-RLHF rows for the peers")
    return parser.parse_args()


# --- models -------------------------------------------------------------------------------------------------------------------


def make_large_model(folder: Path, tokenizer_of: Path) -> ModelRef:
    """1.5 billion random weights in Qwen2's layout, with another model's tokenizer: for speed, not for sense."""
    code = f"""
import sys, torch
from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM
torch.set_default_dtype(torch.bfloat16)
Qwen2ForCausalLM(Qwen2Config(**{LARGE!r})).save_pretrained(sys.argv[1])
AutoTokenizer.from_pretrained(sys.argv[2]).save_pretrained(sys.argv[1])
"""
    subprocess.run([sys.executable, "-c", code, str(folder), str(tokenizer_of)], check=True, stderr=subprocess.DEVNULL)
    return ModelRef(name="random-1.5b", path=str(folder), hash=sha256_file(folder / "config.json"))


def make_model(name: str, library: Library, root: Path) -> ModelRef:
    """The model of that name, made or unpacked now."""
    if name == "tiny":
        return make_tiny_model(root / "tiny")
    starter = library.ensure_starter()
    return starter if name == "starter" else make_large_model(root / "large", Path(starter.path))


# --- the loop -----------------------------------------------------------------------------------------------------------------


def rows_for(algorithm: str) -> list[SnapshotRow]:
    """The demo's own complaints: its answers to imitate or to prefer, its prompts to practise on."""
    found = [({"role": "user", "content": row["prompt"]}, row["answer"]) for row in read_jsonl(DEMO)]
    if algorithm == "sft":
        return [Demonstration(prompt=[ask], completion=answer) for ask, answer in found]
    if algorithm == "ppo":
        return [PracticePrompt(prompt=[ask]) for ask, _ in found]
    ranked = [(ask, [RankedText(text=answer, rank=1), RankedText(text=UNKIND, rank=2)]) for ask, answer in found]
    return [RankedAnswers(prompt=[ask], completions=texts) for ask, texts in ranked]


class Loop:
    """One model through the whole loop on one device; each stage is a process of its own, as in the program."""

    def __init__(self, name: str, base: ModelRef, root: Path, device: str) -> None:
        self.name, self.base, self.root, self.device = name, base, root, device
        self.environment = {**os.environ, "RLHF_DESKTOP_DEVICE": device}
        self.adapters: dict[str, AdapterRef] = {}

    def train(self, algorithm: str, *, start: str = "", reward: str = "", pause: bool = False, **settings: Any) -> dict[str, Any]:
        """One run, with `pause` in two halves. Returns what its `finished` event measured."""
        folder = self.root / f"{self.name}-{algorithm}"
        folder.mkdir()
        dtype = "float32" if self.name == "tiny" else "bfloat16"
        config = RunConfig(
            run_id=folder.name, created="", title=algorithm, project_id="bench", algorithm=algorithm, base=self.base,
            start=self.adapters.get(start), reward=self.adapters.get(reward), settings={"dtype": dtype, **settings},
            data_sha256=write_snapshot(folder / "data.jsonl", rows_for(algorithm)),
        )  # fmt: skip
        (folder / "run.json").write_text(config.model_dump_json(), "utf-8")
        for action in ("pause", "resume") if pause else ("resume",):
            append_jsonl(folder / "control.jsonl", {"v": 1, "seq": 0, "time": time.time(), "action": action})
            self._work(folder)
        events = list(read_jsonl(folder / "events.jsonl"))
        outcomes = [event["outcome"] for event in events if event["type"] == "finished"]
        assert outcomes == (["paused", "done"] if pause else ["done"]), outcomes
        self.adapters[algorithm] = self._adapter(folder)
        return [event for event in events if event["type"] == "finished"][-1]["metrics"]

    def _work(self, folder: Path) -> None:
        command = [sys.executable, "-m", "rlhf_desktop.worker", "train", str(folder)]
        with (folder / "log.txt").open("ab") as log:
            done = subprocess.run(command, stderr=log, check=False, env=self.environment)
        if done.returncode != 0:
            raise SystemExit(f"{folder.name} ended with {done.returncode}:\n{(folder / 'log.txt').read_text('utf-8')[-4000:]}")

    def _adapter(self, folder: Path) -> AdapterRef:
        weights = sha256_file(folder / "adapter" / "adapter_model.safetensors")
        return AdapterRef(name=folder.name, path=str(folder / "adapter"), hash=weights, base_hash=self.base.hash)

    def stages(self, library: Library) -> dict[str, Callable[[], dict[str, Any]]]:
        """What there is to do, in order; the later ones need the earlier."""
        return {
            "sft": lambda: _figures(self.train("sft", epochs=1, watched_prompts=0)),
            "reward": lambda: _figures(self.train("reward", epochs=1)),
            "ppo, paused and resumed": lambda: _figures(self.train("ppo", start="sft", reward="reward", pause=True, **PPO)),
            "export": lambda: self.export(library),
            "chat": self.chat,
        }

    def export(self, library: Library) -> dict[str, Any]:
        """The practised adapter as a whole model for transformers."""
        begun = time.monotonic()
        made = export_adapter(library, self.base, self.adapters["ppo"], "merged", self.root / f"{self.name}-merged")
        return {"wall_s": time.monotonic() - begun, "gib": made.size_bytes / 2**30}

    def chat(self) -> dict[str, Any]:
        """Tokens a second with the practised adapter: one answer, and eight together; medians of three."""
        sampling = Sampling(max_new_tokens=CHAT_TOKENS)
        ask = rows_for("ppo")[0].prompt
        with ChatWorker(env=self.environment) as worker:
            loaded = worker.load(self.base)
            worker.generate([ask], 1, self.adapters["ppo"], sampling)
            return {"device": loaded.device, "dtype": loaded.dtype, **{
                f"tokens_per_s_of_{k}": self._pace(worker, ask, k, sampling) for k in (1, 8)
            }}  # fmt: skip

    def _pace(self, worker: ChatWorker, ask: Any, k: int, sampling: Sampling) -> float:
        paces = []
        for seed in range(3):
            begun = time.monotonic()
            answers = worker.generate([ask], k, self.adapters["ppo"], sampling, seed)
            paces.append(sum(answer.tokens for answer in answers[0]) / (time.monotonic() - begun))
        return statistics.median(paces)


def _figures(metrics: dict[str, Any]) -> dict[str, Any]:
    peak = metrics.get("peak_cuda_bytes")
    return {
        "examples": metrics["examples"],
        "examples_per_s": metrics["examples_per_s"],
        "tokens_per_s": metrics["tokens_per_s"],
        "peak_device_gib": peak / 2**30 if peak else None,
        "peak_rss_gib": metrics["peak_rss_bytes"] / 2**30,
    }


# --- beside it, and all together ------------------------------------------------------------------------------------------------


def peer(options: argparse.Namespace, algorithm: str, base: ModelRef) -> dict[str, Any]:
    """The line that TRL's script prints for the same number of examples on the same card."""
    size = {"ppo": ["--n", "64", "--batch", "32", "--response", "64"], "reward": ["--n", "64", "--batch", "4"]}[algorithm]
    command = [options.peer_python, f"trl_{algorithm}.py", "--model", base.path, "--pairs", str(options.pairs.resolve()), *size]
    quiet = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [*command, "--device", "cuda", "--dtype", "bfloat16"],
        cwd=options.peers,
        capture_output=True,
        text=True,
        check=True,
        env=quiet,
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def check_device(wanted: str) -> str:
    """The device's name as the program finds it; ends with one sentence where torch does not see it."""
    command = [sys.executable, "-m", "rlhf_desktop.worker", "probe"]
    asked = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "RLHF_DESKTOP_DEVICE": wanted}, check=False)
    if asked.returncode != 0:
        raise SystemExit(f"torch does not see {wanted}: this bench needs a graphics card.\n{asked.stderr[-1000:]}")
    found = json.loads(asked.stdout)
    if found["device"] != wanted.split(":")[0]:
        raise SystemExit(f"torch sees no {wanted} here, only {found['device']} ({found['name']}).")
    return str(found["name"])


def main() -> None:
    """Each model's stages until the time is up."""
    options = arguments()
    deadline = time.monotonic() + 60 * options.minutes
    device_name = check_device(options.device)
    root = Path(tempfile.mkdtemp())
    library = Library(Workspace(root / "workspace").ensure())
    for name in options.models:
        base = make_model(name, library, root)
        stages = Loop(name, base, root, options.device).stages(library)
        if options.peers and name != "tiny":
            stages |= {f"peer {a}": lambda a=a, base=base: peer(options, a, base) for a in ("reward", "ppo")}
        for stage, work in stages.items():
            if time.monotonic() > deadline:
                print(f"{name}: {stage} left out: {options.minutes:.0f} minutes are over.", flush=True)
                continue
            row = {"bench": "gpu", "device_name": device_name, "model": name, "stage": stage, **work()}
            print(json.dumps(keep(row) if name != "tiny" else row), flush=True)


if __name__ == "__main__":
    main()
