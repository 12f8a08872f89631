"""Runs the cases of this folder, each file in a process of its own: the imitated card has to be there before torch is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakegpu import guard

HERE = Path(__file__).parent
CASES = sorted(path.name for path in HERE.glob("cases_*.py"))

pytestmark = pytest.mark.skipif(bool(guard.missing()), reason=guard.missing() or "It can be made here.")


@pytest.mark.parametrize("cases", CASES)
def test_on_an_imitated_card(cases):
    _run(cases, "not slow")


@pytest.mark.slow
def test_training_on_an_imitated_card_with_watched_answers():
    _run("cases_training.py", "slow")


def _run(cases: str, which: str) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "tests.fakegpu.plugin", "-p", "no:xdist", "-m", which, str(HERE / cases)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=HERE.parents[1], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-8000:]}\n{done.stderr[-2000:]}"
