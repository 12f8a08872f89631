"""A working day without a network: every command under `unshare -rn`, and under strace with offline on, on the tiny model."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.loop import rank_by_length, write_examples, write_prompts

QUICK = ["--set", "epochs=1", "--set", "lora_rank=4", "--set", "dtype=float32"]
PPO = ["--set", "episodes=8", "--set", "batch_size=4", "--set", "max_new_tokens=8", "--set", "lora_rank=4"]
CANARY = "hf_canarycanarycanary"
SECRET = "Zanzibar-canary-7731"
OUTSIDE = re.compile(r'sin6?_addr=(?:inet_addr\("(?!127\.)|inet_pton\(AF_INET6, "(?!::1"))|inet_pton\(AF_INET6, "(?!::1")')

pytestmark = pytest.mark.slow


def day(root: Path, tiny: str, prefix: list[str], *flags: str) -> None:
    """Chat, label, train all four, evaluate, export; every process of it runs under `prefix`."""
    environment = {**os.environ, "RLHF_DESKTOP_STATE": str(root / "state"), "HF_TOKEN": CANARY, "OPENAI_API_KEY": CANARY}

    def run(*words: str | Path) -> dict:
        command = [
            *prefix,
            sys.executable,
            "-m",
            "rlhf_desktop",
            "--workspace",
            str(root / "ws"),
            *flags,
            *map(str, words),
            "--json",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False, env=environment)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    run("models", "add", tiny, "--name", "tiny")
    run("chat", "--model", "tiny", "--prompt", "Hello", "--max-new-tokens", "4")
    prompts, answers = write_prompts(root / "prompts.jsonl", 16), root / "answers.jsonl"
    prompts.write_text(json.dumps({"prompt": f"{SECRET} does not work"}) + "\n" + prompts.read_text())
    run("generate", "--model", "tiny", "--prompts", prompts, "-k", "3", "--max-new-tokens", "16", "--out", answers)
    run("feedback", "import", rank_by_length(answers, root / "rankings.jsonl"))
    examples = write_examples(root / "examples.jsonl", 12)
    examples.write_text(
        json.dumps({"prompt": f"Where is {SECRET}?", "completion": f"{SECRET} is here."}) + "\n" + examples.read_text()
    )
    run("feedback", "import", examples)
    run("train", "sft", "--model", "tiny", *QUICK, "--title", "Taught")
    run("train", "reward", "--model", "tiny", *QUICK, "--title", "Judge")
    run("train", "dpo", "--model", "tiny", *QUICK, "--title", "Direct")
    run(
        "train",
        "ppo",
        "--model",
        "tiny",
        "--adapter",
        "Taught",
        "--reward",
        "Judge",
        "--prompts",
        prompts,
        *PPO,
        "--title",
        "Tuned",
    )
    run("evaluate", "reward", "--model", "tiny", "--reward", "Judge", "--data", root / "rankings.jsonl")
    run("models", "export", "Tuned", "--to", "gguf", "--out", root / "gguf")
    assert (root / "gguf" / "Modelfile").is_file()


def words_stay_where_feedback_is(root: Path) -> None:
    """What was judged is in the files resources/guide/privacy.md names, and in no other that the day has made."""
    runs = root / "ws" / "runs"
    held = {
        file.relative_to(root).as_posix(): file.read_bytes()
        for place in (root / "ws", root / "state", root / "gguf")
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


@pytest.mark.skipif(not shutil.which("unshare"), reason="no unshare here")
def test_without_any_network(tiny_model, tmp_path):
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode:
        pytest.skip("namespaces are not allowed here")
    day(tmp_path, tiny_model.path, ["unshare", "-rn"])
    token_free(tmp_path)
    words_stay_where_feedback_is(tmp_path)


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace here")
def test_the_system_sees_no_connection(tiny_model, tmp_path):
    traces = tmp_path / "traces"
    traces.mkdir()
    prefix = ["strace", "-ff", "-qq", "-e", "trace=connect,sendto,sendmsg,bind", "-o", str(traces / "t")]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("tracing is not allowed here")
    (tmp_path / "day").mkdir()
    day(tmp_path / "day", tiny_model.path, prefix, "--offline")
    seen = [line for file in traces.iterdir() for line in file.read_text("utf-8", "replace").splitlines()]
    assert [line for line in seen if OUTSIDE.search(line)] == []
    token_free(tmp_path / "day")


def test_the_pattern_finds_what_it_looks_for():
    assert OUTSIDE.search('connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("192.0.2.7")}, 16) = -1')
    assert OUTSIDE.search(
        'connect(3, {sa_family=AF_INET6, sin6_port=htons(80), inet_pton(AF_INET6, "2001:db8::1", &sin6_addr)}, 28)'
    )
    assert not OUTSIDE.search('connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = 0')
    assert not OUTSIDE.search('connect(3, {sa_family=AF_UNIX, sun_path="/run/x"}, 110) = 0')
