"""A working day, every process of it under a command's eyes: chat and label in a window, train all four, evaluate, export.

And what must hold after it: nothing connected outside, words of feedback only where the guide says, a token nowhere.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rlhf_desktop.hub.library import STARTER
from tests.e2e.loop import PROJECT, rank_by_length, write_examples, write_prompts

QUICK = ["--set", "epochs=1", "--set", "lora_rank=4", "--set", "dtype=float32"]
PPO = ["--set", "episodes=8", "--set", "batch_size=4", "--set", "max_new_tokens=8", "--set", "lora_rank=4"]
CANARY = "hf_canarycanarycanary"
SECRET = "Zanzibar-canary-7731"
OUTSIDE = re.compile(r'sin6?_addr=(?:inet_addr\("(?!127\.)|inet_pton\(AF_INET6, "(?!::1"))|inet_pton\(AF_INET6, "(?!::1")')

STRACE = ("strace", "-ff", "--seccomp-bpf", "-qq", "-e", "trace=connect,sendto,sendmsg,bind", "-o")
UNSHARE = ("unshare", "-rn")
WINDOW = Path(__file__).with_name("offline_window.py")


def day(root: Path, model: str, prefix: Sequence[str], *flags: str) -> None:
    """Chat and label in a window, train all four, evaluate, export; every process of it runs under `prefix`."""
    environment = {**os.environ, "RLHF_DESKTOP_STATE": str(root / "state"), "HF_TOKEN": CANARY, "OPENAI_API_KEY": CANARY}
    workspace, tiny = root / "ws", model != "starter"
    name = "tiny" if tiny else STARTER
    if tiny:
        environment["OMP_NUM_THREADS"] = "1"  # a second thread would only wait for the first

    def start(*command: str | Path) -> str:
        words = [*prefix, sys.executable, *map(str, command)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=1500, check=False, env=environment)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def run(*words: str | Path) -> dict:
        return json.loads(start("-m", "rlhf_desktop", "--workspace", workspace, *flags, *words, "--model", name, "--json"))

    run("models", "add", model, *(["--name", "tiny"] if tiny else []))
    assert start(WINDOW, workspace, PROJECT, name, f"{SECRET} does not work", *flags).strip() == "2"
    run("chat", "--prompt", "Hello", "--max-new-tokens", "4")
    prompts, answers = write_prompts(root / "prompts.jsonl", 16 if tiny else 8), root / "answers.jsonl"
    prompts.write_text(json.dumps({"prompt": f"{SECRET} does not work"}) + "\n" + prompts.read_text())
    run("generate", "--prompts", prompts, "-k", "3", "--max-new-tokens", "16", "--out", answers)
    run("feedback", "import", rank_by_length(answers, root / "rankings.jsonl"))
    examples = write_examples(root / "examples.jsonl", 12)
    taught = {"prompt": f"Where is {SECRET}?", "completion": f"{SECRET} is here."}
    examples.write_text(json.dumps(taught) + "\n" + examples.read_text())
    run("feedback", "import", examples)
    run("train", "sft", *QUICK, "--title", "Taught")
    run("train", "reward", *QUICK, "--title", "Judge")
    run("train", "dpo", *QUICK, "--title", "Direct")
    start_from = ("--adapter", "Taught", "--reward", "Judge", "--prompts", prompts)
    run("train", "ppo", *start_from, *PPO, "--title", "Tuned")
    run("evaluate", "reward", "--reward", "Judge", "--data", root / "rankings.jsonl", "--report", root / "marks")
    judged = ("--prompts", prompts, "--reward", "Judge", "--max-new-tokens", "8", "--report", root / "answers")
    run("evaluate", "policy", "Tuned", "base", *judged)
    run("models", "export", "Tuned", "--to", "gguf", "--out", root / "gguf")
    assert (root / "gguf" / "Modelfile").is_file()


def words_stay_where_feedback_is(root: Path) -> None:
    """What was judged is in the files resources/guide/privacy.md names, and in no other that the day has made."""
    runs = root / "ws" / "runs"
    held = {
        file.relative_to(root).as_posix(): file.read_bytes()
        for place in (root / "ws", root / "state", root / "gguf", root / "marks")  # the other report shows answers
        for file in place.rglob("*")
        if file.is_file() and not file.is_symlink() and SECRET.encode() in file.read_bytes()
    }
    assert any(name.startswith("ws/feedback.db") for name in held)
    assert any(name.endswith("/data.jsonl") for name in held)
    watched = 0
    for name, raw in held.items():
        if name.endswith("events.jsonl"):
            lines = [json.loads(line) for line in raw.decode().splitlines() if SECRET in line]
            assert {line["type"] for line in lines} == {"sample"}, name
            watched += len(lines)
        else:
            assert re.fullmatch(r"ws/(feedback\.db.*|backups/.*|runs/[^/]+/(data|prompts)\.jsonl)", name), name
    assert watched, f"no run watched it: {sorted(held)} {len(list(runs.iterdir()))}"


def token_free(root: Path) -> None:
    """A token in the environment is in no file the day has made."""
    hits = [file for file in root.rglob("*") if file.is_file() and not file.is_symlink() and CANARY.encode() in file.read_bytes()]
    assert hits == []


def traced(folder: Path) -> list[str]:
    """Every call that a process of the day has made to connect, send or bind."""
    lines = [line for file in folder.iterdir() for line in file.read_text("utf-8", "replace").splitlines()]
    return [line for line in lines if line[:1].isalpha()]  # not the signals, nor how processes ended


def outside(calls: list[str]) -> list[str]:
    """Those that would leave this computer."""
    return [call for call in calls if OUTSIDE.search(call)]
