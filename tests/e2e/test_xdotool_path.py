"""The keyboard's path with keys that an X server delivers: what a test that sends keys to widgets cannot see."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not (shutil.which("xvfb-run") and shutil.which("xdotool")), reason="xvfb-run and xdotool are not installed"),
]


def test_real_keys_judge_pairs_and_items(tmp_path):
    script = Path(__file__).with_name("xdotool_path.py")
    command = ["xvfb-run", "-a", "-s", "-screen 0 1280x800x24", sys.executable, str(script), "--out", str(tmp_path / "out")]
    environment = {**os.environ, "QT_QPA_PLATFORM": "xcb"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "35 judgements"  # 30 pairs, six items, one of them taken back
