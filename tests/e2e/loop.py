"""The whole loop as a user's script would run it: real processes, a new workspace, every command with --json."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECT = "Support"
PROMPTS = [
    f"My {thing} {trouble}. What now?"
    for thing in ("printer", "kettle", "lamp", "phone")
    for trouble in ("does not switch on", "arrived broken", "is the wrong colour", "never came")
]
WITHOUT_QT = """
import importlib.machinery as machinery
find = machinery.PathFinder.find_spec
QT = {"PySide6", "shiboken6", "pyqtgraph"}
machinery.PathFinder.find_spec = staticmethod(lambda name, *rest: None if name.partition(".")[0] in QT else find(name, *rest))
"""  # as sitecustomize: Python runs it at every start


def without_qt(folder: Path) -> dict[str, str]:
    """An environment whose processes, and theirs, cannot import Qt, as on a server where it is not installed."""
    (folder / "no-qt").mkdir()
    (folder / "no-qt" / "sitecustomize.py").write_text(WITHOUT_QT)
    path = os.pathsep.join([str(folder / "no-qt"), os.environ.get("PYTHONPATH", "")])
    return {"PYTHONPATH": path, "DISPLAY": "", "WAYLAND_DISPLAY": ""}


@dataclass(frozen=True)
class CommandLine:
    """`rlhf-desktop --workspace W …` as a process of its own."""

    workspace: Path
    model: str | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *words: str | Path, expect: int = 0) -> Any:
        """Run a command with --json and give its one document; fails when stdout holds anything else."""
        done = self.run(*words, "--json")
        assert done.returncode == expect, f"{words}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.stdout.count("\n") == 1, f"{words}: not one line on stdout: {done.stdout!r}"
        return json.loads(done.stdout)

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command and give everything it said."""
        model = ["--model", self.model] if self.model else []
        command = [sys.executable, "-m", "rlhf_desktop", "--workspace", self.workspace, "--project", PROJECT, *model, *words]
        environment = {**os.environ, **self.environment}
        limit_s = 500
        if self.model is None:  # the starter model is large enough for all cores, and how long it takes is the test's to say
            environment.pop("OMP_NUM_THREADS", None)
            limit_s = None
        return subprocess.run(
            [str(w) for w in command], capture_output=True, text=True, timeout=limit_s, check=False, env=environment
        )


def write_prompts(path: Path, count: int) -> Path:
    """The first `count` prompts as a prompt file."""
    path.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS[:count]), encoding="utf-8")
    return path


def rank_by_length(answers: Path, rankings: Path) -> Path:
    """A user's own rule, in a few lines: longer answers are better; equal lengths tie; empty answers are left out."""
    lines = []
    for line in answers.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        texts = sorted({part["text"] for part in row["completions"] if part["text"].strip()}, key=len, reverse=True)
        lengths = sorted({len(text) for text in texts}, reverse=True)
        ranked = [{"text": text, "rank": lengths.index(len(text)) + 1} for text in texts]
        if len(ranked) > 1:
            lines.append(json.dumps({"prompt": row["prompt"], "completions": ranked, "annotator": "length rule"}))
    rankings.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return rankings


def write_examples(path: Path, count: int) -> Path:
    """Written answers to imitate, as {"messages"}."""
    answer = {"role": "assistant", "content": "I am sorry to hear that. We will send a new one."}
    rows = [{"messages": [{"role": "user", "content": prompt}, answer]} for prompt in PROMPTS[:count]]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows_of(path: Path) -> list[Any]:
    """The rows of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
