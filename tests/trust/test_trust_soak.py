"""After long use there is not more of anything than before: memory, threads, descriptors, processes, widgets."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trust.rows import GROWN

HERE = Path(__file__).parent


def soaked(script: str, *words: object, tmp_path: Path) -> dict:
    """What a script that works for long says at its end."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "RLHF_DESKTOP_STATE": str(tmp_path / "state")}
    command = [sys.executable, str(HERE / script), str(tmp_path / "workspace"), *map(str, words)]
    environment["PYTHONPATH"] = str(HERE.parents[1])
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    print(done.stderr[-20_000:])
    assert done.returncode == 0
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.acceptance  # measures memory or time: alone on the machine, as `make trust` runs it
@pytest.mark.trust("soak-label", 200)
@pytest.mark.timeout(7200)
def test_thousands_of_items_leave_nothing_behind(tmp_path, trust):
    found = soaked("soak_labelling.py", len(trust.numbers), tmp_path=tmp_path)
    assert found["held"] == found["done"]
    trust.tried = len(trust.numbers)
    for name, value in found["growth"].items():
        trust.measured(GROWN[name], value)


@pytest.mark.acceptance  # measures memory or time: alone on the machine, as `make trust` runs it
@pytest.mark.trust("soak-day", 6)
@pytest.mark.timeout(14_000)
def test_a_day_of_chats_rooms_projects_backups_and_runs_leaves_nothing_behind(tmp_path, trust):
    found = soaked("soak_day.py", len(trust.numbers), tmp_path=tmp_path)
    trust.tried = found["done"]
    for name, value in found["growth"].items():
        trust.measured(GROWN[name], value)
