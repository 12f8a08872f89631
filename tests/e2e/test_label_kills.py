"""The window dies by SIGKILL at random moments of labelling. Whatever it said was saved is there, and so is the draft on screen.

`make trust` kills it as often as wanted; `tests/bench/bench_label_kills.py` does so on a workspace that is kept.
"""

import random

import pytest

from tests.e2e.label_kills import check, label_until_killed


@pytest.mark.trust("label-kills", 4)
@pytest.mark.timeout(7200)
def test_nothing_acknowledged_is_lost_when_the_window_is_killed(tmp_path, trust):
    log, drafts = tmp_path / "said.log", 0
    for number in trust.numbers:
        label_until_killed(tmp_path, log, random.Random(number))
        found = check(tmp_path, log)
        trust.tried += 1
        for kind, detail in found.wrong:
            trust.found(kind, detail)
        drafts += found.draft
    print(f"{trust.tried} kills: {found.acknowledged} judgements acknowledged and there, {drafts} drafts back")
    assert found.acknowledged > 0
