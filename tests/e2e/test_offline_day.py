"""A working day without a network: every process of it under `unshare -rn`, and under strace with offline on.

On a tiny model with the slow tests; on the starter model, whose libraries compute in other ways, by hand (`-m acceptance`).
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rlhf_desktop.hub.library import STARTER, STARTER_PACKAGE
from tests.e2e.loop import PROJECT, rank_by_length, write_examples, write_prompts

QUICK = ["--set", "epochs=1", "--set", "lora_rank=4", "--set", "dtype=float32"]
PPO = ["--set", "episodes=8", "--set", "batch_size=4", "--set", "max_new_tokens=8", "--set", "lora_rank=4"]
CANARY = "hf_canarycanarycanary"
SECRET = "Zanzibar-canary-7731"
OUTSIDE = re.compile(r'sin6?_addr=(?:inet_addr\("(?!127\.)|inet_pton\(AF_INET6, "(?!::1"))|inet_pton\(AF_INET6, "(?!::1")')

models = pytest.mark.parametrize(
    "which",
    [
        pytest.param("tiny", marks=pytest.mark.slow),
        pytest.param("starter", marks=[pytest.mark.acceptance, pytest.mark.timeout(5400)]),
    ],
)


@pytest.fixture
def model(which, tiny_model):
    if which == "starter" and importlib.util.find_spec(STARTER_PACKAGE) is None:
        pytest.skip("the starter model's package is not installed")
    return tiny_model.path if which == "tiny" else "starter"


WINDOW = Path(__file__).with_name("offline_window.py")


def day(root: Path, model: str, prefix: list[str], *flags: str) -> None:
    """Chat and label in a window, train all four, evaluate, export; every process of it runs under `prefix`."""
    environment = {**os.environ, "RLHF_DESKTOP_STATE": str(root / "state"), "HF_TOKEN": CANARY, "OPENAI_API_KEY": CANARY}
    workspace, tiny = root / "ws", model != "starter"
    name = "tiny" if tiny else STARTER

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
    run("evaluate", "reward", "--reward", "Judge", "--data", root / "rankings.jsonl")
    run("evaluate", "policy", "Tuned", "base", "--prompts", prompts, "--reward", "Judge", "--max-new-tokens", "8")
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


@models
@pytest.mark.skipif(not shutil.which("unshare"), reason="no unshare here")
def test_without_any_network(model, tmp_path):
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode:
        pytest.skip("namespaces are not allowed here")
    day(tmp_path, model, ["unshare", "-rn"])
    token_free(tmp_path)
    words_stay_where_feedback_is(tmp_path)


@models
@pytest.mark.skipif(not shutil.which("strace"), reason="no strace here")
def test_the_system_sees_no_connection(model, tmp_path):
    traces = tmp_path / "traces"
    traces.mkdir()
    prefix = ["strace", "-ff", "-qq", "-e", "trace=connect,sendto,sendmsg,bind", "-o", str(traces / "t")]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("tracing is not allowed here")
    (tmp_path / "day").mkdir()
    day(tmp_path / "day", model, prefix, "--offline")
    seen = [line for file in traces.iterdir() for line in file.read_text("utf-8", "replace").splitlines()]
    assert any("AF_UNIX" in line for line in seen)  # the window's own: tracing works
    assert [line for line in seen if OUTSIDE.search(line)] == []
    token_free(tmp_path / "day")


@pytest.mark.slow
def test_the_pattern_finds_what_it_looks_for():
    assert OUTSIDE.search('connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("192.0.2.7")}, 16) = -1')
    assert OUTSIDE.search(
        'connect(3, {sa_family=AF_INET6, sin6_port=htons(80), inet_pton(AF_INET6, "2001:db8::1", &sin6_addr)}, 28)'
    )
    assert not OUTSIDE.search('connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = 0')
    assert not OUTSIDE.search('connect(3, {sa_family=AF_UNIX, sun_path="/run/x"}, 110) = 0')
