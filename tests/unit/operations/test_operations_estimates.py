"""An estimate says what a run takes and whether it fits, as far as that is known."""

import pytest
from estimates_helpers import CPU, made

from rlhf_desktop.core.errors import NotEnoughFeedback
from rlhf_desktop.core.measures import RowSize
from rlhf_desktop.core.recipes import ALGORITHMS
from rlhf_desktop.operations.estimates import estimate
from rlhf_desktop.operations.workload import RowSizes, RunPlan


def test_without_rates_there_is_memory_but_no_time(smol):
    found = made(smol, rates=None)
    assert found.wall_s is None
    assert found.peak_bytes > 10**9
    assert found.sentence == f"About {found.peak_bytes / 1e9:.1f} GB; 30 GB are free."


def test_it_says_whether_it_fits(smol):
    assert made(smol).fits is True
    assert made(smol, free_bytes=9 * 10**8).fits is False
    assert made(smol, free_bytes=None).fits is None
    assert "and " in made(smol).sentence


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_nothing_to_learn_from_is_said(smol, algorithm):
    held = (RowSize(prompt=9, answers=[9]),)
    with pytest.raises(NotEnoughFeedback, match="nothing to learn from"):
        estimate(RunPlan(algorithm, smol), RowSizes((), held), CPU)
