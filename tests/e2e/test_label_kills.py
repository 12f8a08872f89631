"""The window dies by SIGKILL at random moments of labelling. Whatever it said was saved is there, and so is the draft on screen.

`RLHF_DESKTOP_KILLS=200` kills it as often as the acceptance asks; a few times tell whether it still works.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.people import who_am_i

KILLS = int(os.environ.get("RLHF_DESKTOP_KILLS", "4"))
SCRIPT = Path(__file__).with_name("labelling_script.py")


def label_until_killed(root: Path, log: Path, chance: random.Random) -> None:
    """Let it label for a random while after its first sign of life."""
    before = log.stat().st_size if log.exists() else 0
    environment = {**os.environ, "RLHF_DESKTOP_STATE": str(root / "state"), "PYTHONPATH": str(SCRIPT.parents[2])}
    window = subprocess.Popen([sys.executable, str(SCRIPT), str(root), str(log)], env=environment)
    deadline = time.monotonic() + 120
    while not (log.exists() and log.stat().st_size > before):
        assert window.poll() is None, "the window ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.02)  # another process: there is no signal to wait for
    time.sleep(chance.uniform(0, 1.5))
    window.send_signal(signal.SIGKILL)
    window.wait()


def check(root: Path, log: Path) -> tuple[int, int]:
    """Every acknowledged judgement is there, and the draft that was on screen. Returns how many judgements and whether a draft."""
    lines = log.read_text().splitlines()
    saved = [line.split()[1] for line in lines if line.startswith("saved ")]
    with Store.open(Workspace(root).database) as store:
        project = store.projects.by_name("Kills")
        held = {judgement.id for judgement in store.judgements.all(project.id)}
        assert held.issuperset(saved)
        assert store.connection.rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        if not lines[-1].startswith("draft "):
            return len(saved), 0
        _, key, value = lines[-1].split(" ", 2)
        kept = store.drafts.get(project.id, who_am_i(store), key)
        if kept is None:  # its judgement was stored between the last line and the end
            assert len(held) > len(set(saved))
            return len(saved), 0
        noted = json.loads(value)["ranking"]["placed"]
        assert kept["draft"]["ranking"]["placed"][: len(noted)] == noted
        return len(saved), 1


@pytest.mark.timeout(120 + 15 * KILLS)
def test_nothing_acknowledged_is_lost_when_the_window_is_killed(tmp_path):
    chance, log, drafts, saved = random.Random(KILLS), tmp_path / "said.log", 0, 0
    for _ in range(KILLS):
        label_until_killed(tmp_path, log, chance)
        saved, with_draft = check(tmp_path, log)
        drafts += with_draft
    print(f"{KILLS} kills: {saved} judgements acknowledged and there, {drafts} drafts back")
    assert saved > 0
