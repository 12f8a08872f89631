"""Win rates: their arithmetic, and that an interval called 95% holds the truth about that often."""

import numpy as np
import pytest

from rlhf_desktop.evaluation.winrate import all_pairs, wilson, win_rate


def test_ties_count_half():
    result = win_rate([[1], [0], [0.5], [1]])
    assert (result.rate, result.ties, result.prompts, result.comparisons) == (0.625, 0.25, 4, 4)


def test_each_prompt_weighs_the_same():
    assert win_rate([[1], [0, 0, 0]]).rate == 0.5


def test_wilson_agrees_with_the_published_example():
    low, high = wilson(15 / 148, 148)  # Newcombe 1998, table I: 0.0624 to 0.1605
    assert (round(low, 4), round(high, 4)) == (0.0624, 0.1605)


def test_one_comparison_a_prompt_takes_wilson_and_several_the_bootstrap():
    assert win_rate([[1], [0]]).method == "wilson"
    assert win_rate([[1, 0.5], [0, 0]]).method == "bootstrap"


def test_unanimous_prompts_still_leave_doubt():
    result = win_rate([[1, 1]] * 20)
    assert result.method == "wilson"
    assert 0.8 < result.low < result.high == 1


def test_the_bootstrap_repeats_with_its_seed():
    outcomes = [[1, 0], [1, 1], [0, 0.5], [1, 0]]
    assert win_rate(outcomes, seed=3) == win_rate(outcomes, seed=3)


def test_all_pairs_of_points():
    assert all_pairs([5, 3], [3, 4]) == [1, 1, 0.5, 0]


@pytest.mark.parametrize("outcomes", [[], [[1], []]])
def test_nothing_to_compare_is_refused(outcomes):
    with pytest.raises(ValueError, match="at least one comparison"):
        win_rate(outcomes)


@pytest.mark.parametrize(("per_prompt", "truth"), [(1, 0.5), (1, 0.8), (4, 0.6), (4, 0.8)])
def test_intervals_hold_the_truth_about_95_times_in_100(per_prompt, truth):
    """Prompts differ (beta with mean `truth`), comparisons within one share its chance: the case the bootstrap is for."""
    rng = np.random.default_rng(7)
    trials = 400
    held = 0
    for seed in range(trials):
        chances = rng.beta(2 * truth, 2 * (1 - truth), size=64)
        outcomes = [rng.binomial(1, chance, size=per_prompt).tolist() for chance in chances]
        result = win_rate(outcomes, seed=seed)
        held += result.low <= truth <= result.high
    assert 0.915 <= held / trials <= 0.985


def test_treating_comparisons_as_independent_would_hold_it_less_often():
    """The reason for resampling prompts: Wilson on all comparisons is too narrow where prompts differ."""
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(300):
        chances = rng.beta(0.6, 0.4, size=64)
        wins = sum(rng.binomial(4, chance) for chance in chances)
        low, high = wilson(wins / 256, 256)
        held += low <= 0.6 <= high
    assert held / 300 < 0.88
