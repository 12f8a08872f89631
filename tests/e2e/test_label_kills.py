"""The window dies by SIGKILL at random moments of labelling. Whatever it said was saved is there, and so is the draft on screen.

`RLHF_DESKTOP_KILLS` kills it as often as wanted; `tests/bench/bench_label_kills.py` does so in portions.
"""

import os
import random

import pytest

from tests.e2e.label_kills import check, label_until_killed

KILLS = int(os.environ.get("RLHF_DESKTOP_KILLS", "4"))


@pytest.mark.timeout(120 + 15 * KILLS)
def test_nothing_acknowledged_is_lost_when_the_window_is_killed(tmp_path):
    chance, log, drafts = random.Random(KILLS), tmp_path / "said.log", 0
    for _ in range(KILLS):
        label_until_killed(tmp_path, log, chance)
        found = check(tmp_path, log)
        assert found.wrong == []
        drafts += found.draft
    print(f"{KILLS} kills: {found.acknowledged} judgements acknowledged and there, {drafts} drafts back")
    assert found.acknowledged > 0
