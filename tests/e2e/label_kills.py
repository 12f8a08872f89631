"""Windows that are killed while they label, and what must be true after each kill."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.people import who_am_i
from tests.trust.rows import DAMAGED, DRAFTS, LOST

SCRIPT = Path(__file__).with_name("labelling_script.py")


@dataclass(frozen=True)
class Found:
    """What was there after a kill, and what was not as it should be."""

    acknowledged: int
    held: int
    draft: bool  # one was on screen, and is back
    wrong: list[tuple[str, str]]  # the kind, and which


def label_until_killed(root: Path, log: Path, chance: random.Random) -> None:
    """Let it label for a random while after its first sign of life."""
    before = log.stat().st_size if log.exists() else 0
    environment = {**os.environ, "RLHF_DESKTOP_STATE": str(root / "state"), "PYTHONPATH": str(SCRIPT.parents[2])}
    window = subprocess.Popen([sys.executable, str(SCRIPT), str(root), str(log)], env=environment)
    try:
        deadline = time.monotonic() + 120
        while not (log.exists() and log.stat().st_size > before):
            assert window.poll() is None, "the window ended by itself"
            assert time.monotonic() < deadline, "the window said nothing for two minutes"
            time.sleep(0.02)  # another process: there is no signal to wait for
        time.sleep(chance.uniform(0, 1.5))
    finally:
        window.send_signal(signal.SIGKILL)
        window.wait()


def check(root: Path, log: Path) -> Found:
    """Every acknowledged judgement is there, the database sound, and the draft that was on screen back."""
    lines = log.read_text().splitlines()
    saved = {line.split()[1] for line in lines if line.startswith("saved ")}
    with Store.open(Workspace(root).database) as store:
        project = store.projects.by_name("Kills")
        held = {judgement.id for judgement in store.judgements.all(project.id)}
        wrong = [(LOST, one) for one in sorted(saved - held)]
        if store.connection.rows("PRAGMA integrity_check") != [{"integrity_check": "ok"}]:
            wrong.append((DAMAGED, "the database"))
        if not lines[-1].startswith("draft "):
            return Found(len(saved), len(held), False, wrong)
        _, key, value = lines[-1].split(" ", 2)
        kept = store.drafts.get(project.id, who_am_i(store), key)
        if kept is None:  # gone only when its judgement was stored between the last line and the end
            return Found(len(saved), len(held), False, wrong if len(held) > len(saved) else [*wrong, (DRAFTS, f"none of {key}")])
        noted = json.loads(value)["ranking"]["placed"]
        if kept["draft"]["ranking"]["placed"][: len(noted)] != noted:
            wrong.append((DRAFTS, f"another of {key}"))
        return Found(len(saved), len(held), True, wrong)
