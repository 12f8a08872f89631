"""Other users of the computer read nothing: not the workspace, in a folder that was there before, nor what is exported from it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows' folders see to it")


def run(workspace, *words):
    """A command in a process whose user lets everybody read what they make."""
    command = [sys.executable, "-m", "rlhf_desktop", "--workspace", str(workspace), *map(str, words)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], umask=0o022, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def readable(folder):
    """What in a folder other users may read or enter."""
    return [path for path in sorted(folder.rglob("*")) if not path.is_symlink() and path.stat().st_mode & 0o077]


def test_nothing_the_program_makes_can_be_read_by_others(tmp_path):
    workspace, out = tmp_path / "workspace", tmp_path / "out"
    for folder in (workspace, workspace / "runs", out):
        folder.mkdir()
        folder.chmod(0o755)
    (workspace / "feedback.db").touch(0o644)
    rows = tmp_path / "pairs.jsonl"
    rows.write_text(json.dumps({"prompt": "Why?", "chosen": "So.", "rejected": "No."}) + "\n")
    run(workspace, "feedback", "import", rows)
    for name in ("pairs.csv", "pairs.parquet", "project.zip"):
        run(workspace, "feedback", "export", out / name, *(["--format", "bundle"] if name == "project.zip" else []))
    assert len(list(out.iterdir())) == 3
    assert readable(workspace) + readable(out) == []
    assert workspace.stat().st_mode & 0o777 == 0o755  # the user's own folder, which `check` speaks of
