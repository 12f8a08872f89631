"""Nobody else who uses the computer reads what the program writes, nor finds the user's words among the processes."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.e2e.loop import CommandLine, rank_by_length, write_examples, write_prompts

NOBODY = 65534
CANARIES = ("canary-prompt", "Canary title", "canary-note", "Support")  # the last is the project's name

# Runs as somebody else: tries every path it is told, and every folder it can list by itself.
SNOOP = """
import os, sys
root, *told = sys.argv[1:]
os.setgroups([])
os.setresgid(*[%d] * 3)
os.setresuid(*[%d] * 3)
found = set(told) | {os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names}
for path in sorted(found):
    try:
        with open(path, "rb") as file:
            file.read(1)
        print("read", path)
    except OSError:
        pass
    try:
        with open(path, "ab"):
            print("written", path)
    except OSError:
        pass
for folder, folders, _ in os.walk(root):
    print("listed", folder)
""" % (NOBODY, NOBODY)  # noqa: UP031


@pytest.fixture
def place():
    """A folder that others may walk through: pytest's own are closed."""
    folder = Path(tempfile.mkdtemp(prefix="rlhf-others-"))
    folder.chmod(0o755)
    (folder / "workspace").mkdir(mode=0o755)
    (folder / "workspace").chmod(0o755)
    (folder / "out").mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder)


def snooped(folder: Path) -> list[str]:
    """What somebody else got to see of everything under a folder."""
    everything = [str(path) for path in folder.rglob("*") if not path.is_dir()]
    assert everything
    done = subprocess.run(
        [sys.executable, "-I", "-c", SNOOP, str(folder), *everything], cwd="/", capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def check_private(folder: Path) -> None:
    """By the modes of all; and by somebody else's eyes, where root can lend them."""
    out = folder / "out"
    made = [path for part in (folder / "workspace", out, folder / "state") for path in part.rglob("*")]
    kept = [path for path in made if path not in given(folder)]
    assert len(kept) > 5
    assert [f"{path} {path.lstat().st_mode & 0o777:o}" for path in kept if path.lstat().st_mode & 0o077] == []
    if os.geteuid() != 0:
        return
    seen = snooped(folder)
    allowed = {f"listed {each}" for each in (folder, folder / "workspace", out)}  # those were there before, open to all
    allowed |= {f"read {path}" for path in given(folder)}
    assert sorted(set(seen) - allowed) == []


def given(folder: Path) -> set[Path]:
    """The test's own files."""
    return {folder / "out" / name for name in ("prompts.jsonl", "examples.jsonl", "rankings.jsonl")}


def line(place: Path) -> CommandLine:
    environment = {"RLHF_DESKTOP_STATE": str(place / "state"), "TMPDIR": str(place / "out"), "PYTHONDONTWRITEBYTECODE": "1"}
    return CommandLine(place / "workspace", model="tiny", environment=environment)


@pytest.mark.trust("other-users", 1)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps a user's folders to that user")
def test_nobody_else_reads_what_is_judged_exported_or_backed_up(place, trust):
    trust.tried = 1
    cli = line(place)
    examples = write_examples(place / "out" / "examples.jsonl", 6)
    examples.chmod(0o644)
    cli("feedback", "import", examples)
    for name, form in (("a.jsonl", "messages"), ("a.csv", "demonstrations"), ("a.rlhfbundle", "bundle")):
        cli("feedback", "export", place / "out" / name, "--format", form)
    cli("backups", "--now")
    cli("feedback", "import", place / "out" / "missing.jsonl", expect=1)
    check_private(place)
    assert "others" in cli.run("check").stdout.lower()


@pytest.mark.slow
@pytest.mark.trust("other-users", 1)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps a user's folders to that user")
def test_nobody_else_reads_a_whole_round_nor_sees_words_among_the_processes(place, tiny_model, trust):
    trust.tried = 1
    trace = place / "out" / "started"
    tracing = ["strace", "-f", "-qq", "-s", "20000", "-e", "trace=execve", "-o", str(trace)] if shutil.which("strace") else []
    cli, out = line(place), place / "out"
    cli("models", "add", tiny_model.path, "--name", "tiny")
    prompts = write_prompts(out / "prompts.jsonl", 8)
    prompts.chmod(0o644)
    started = []

    def traced(*words, text=""):
        """A command; what its processes were started with is kept, but for the command itself."""
        command = [
            sys.executable,
            "-m",
            "rlhf_desktop",
            "--workspace",
            place / "workspace",
            "--project",
            "Support",
            "--model",
            "tiny",
        ]
        done = subprocess.run(
            [*tracing, *map(str, [*command, *words])], input=text, capture_output=True, text=True, check=False,
            env={**os.environ, **cli.environment}, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        if tracing:
            calls = [each for each in trace.read_text("utf-8", "replace").splitlines() if "execve(" in each]
            started.extend(calls[1:])
            trace.unlink()

    traced("generate", "--prompts", prompts, "-k", "2", "--max-new-tokens", "8", "--out", out / "answers.jsonl")
    rankings = rank_by_length(out / "answers.jsonl", out / "rankings.jsonl")
    rankings.chmod(0o644)
    traced("feedback", "import", rankings)
    traced("feedback", "import", write_examples(out / "examples.jsonl", 12))
    (out / "examples.jsonl").chmod(0o644)
    traced("chat", "--prompt", "-", "--max-new-tokens", "4", text="canary-prompt: who is there?")
    traced("train", "sft", "--set", "epochs=1", "--set", "lora_rank=1", "--title", "Canary title")
    traced("runs", "note", "Canary title", "--notes", "canary-note")
    traced("runs", "report", "Canary title", "--to", out / "report")
    traced("feedback", "export", out / "a.rlhfbundle", "--format", "bundle")
    check_private(place)
    assert not tracing or len(started) > 4
    assert [each for each in started if any(canary in each for canary in CANARIES)] == []
