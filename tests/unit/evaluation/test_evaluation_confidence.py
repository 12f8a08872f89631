"""The anytime-valid interval: it keeps its promise under optional stopping, agrees with a plain loop, and says what it decides."""

import math

import numpy as np
import pytest

from rlhf_desktop.evaluation.confidence import MOST_MORE, WinInterval, about, interval, log_capital, sentence

SIMULATIONS, LONGEST, ALPHA = 2000, 500, 0.05
OUTCOMES = np.array([0.0, 0.5, 1.0])


def capital_paths(rate, ties, truth, seed):
    """(SIMULATIONS, LONGEST) log K(truth) after each judgement, and the running means. Equal counts are computed once."""
    rng = np.random.default_rng(seed)
    win = rate - ties / 2
    draws = rng.choice(3, p=[1 - win - ties, ties, win], size=(SIMULATIONS, LONGEST))
    counts = np.stack([(draws == value).cumsum(axis=1) for value in range(3)], axis=-1)  # (R, n, 3)
    key = (counts[..., 0] * (LONGEST + 1) + counts[..., 1]) * (LONGEST + 1) + counts[..., 2]
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    distinct = counts.reshape(-1, 3)[first]
    capital = np.concatenate([log_capital(OUTCOMES, part, truth) for part in np.array_split(distinct, 1 + len(distinct) // 20_000)])
    means = counts @ OUTCOMES / counts.sum(axis=-1)
    return capital[inverse].reshape(key.shape), means


@pytest.mark.parametrize(("rate", "ties"), [(0.5, 0.0), (0.6, 0.0), (0.75, 0.0), (0.5, 0.3), (0.6, 0.3), (0.75, 0.2)])
def test_it_covers_the_truth_at_all_times_together(rate, ties):
    """Whoever looks after each of 500 judgements and stops when he likes is wrong in at most 5 of 100 evaluations."""
    capital, _ = capital_paths(rate, ties, rate, seed=round(100 * rate + 10 * ties))
    ever_outside = (capital >= -math.log(ALPHA)).any(axis=1).mean()
    assert 1 - ever_outside >= 0.95


@pytest.mark.parametrize("ties", [0.0, 0.3])
def test_equal_models_are_rarely_called_better(ties):
    capital, means = capital_paths(0.5, ties, 0.5, seed=17)
    better = ((capital >= -math.log(ALPHA)) & (means > 0.5)).any(axis=1)
    assert better.mean() <= 0.05


@pytest.mark.parametrize(("rate", "enough"), [(0.6, 0.85), (0.75, 0.999)])
def test_a_better_model_is_found_out(rate, enough):
    capital, means = capital_paths(rate, 0.0, 0.5, seed=23)
    assert ((capital >= -math.log(ALPHA)) & (means > 0.5)).any(axis=1).mean() >= enough


def test_a_fixed_size_interval_would_not_keep_the_promise():
    """Why Wilson's interval must not be looked at after every judgement."""
    rng = np.random.default_rng(5)
    means = rng.integers(0, 2, size=(SIMULATIONS, LONGEST)).cumsum(axis=1) / np.arange(1, LONGEST + 1)
    half = 1.96 * np.sqrt(0.25 / np.arange(1, LONGEST + 1))
    assert (np.abs(means - 0.5) > half)[:, 9:].any(axis=1).mean() > 0.2


def test_34_of_48_is_undecided():
    win = interval([1.0] * 34 + [0.0] * 14)
    assert (round(win.low, 2), round(win.high, 2)) == (0.49, 0.88)
    assert win.decision == "undecided"
    assert 1 <= win.more <= 12


def plain_log_capital(outcomes, rate, nodes=4000):
    """The definition, one bet after the other, over an even spread of bets."""
    total = 0.0
    for j in range(nodes):
        theta, capital = (j + 0.5) / nodes, 1.0
        for x in outcomes:
            capital *= x * theta / rate + (1 - x) * (1 - theta) / (1 - rate)
        total += capital / nodes
    return math.log(total)


@pytest.mark.parametrize("outcomes", [[1, 1, 0], [1, 0.5, 0.5, 1, 0], [0.25, 1, 1, 1, 0.5, 1, 1]])
def test_it_agrees_with_the_definition(outcomes):
    values, counts = np.unique(outcomes, return_counts=True)
    for rate in (0.2, 0.5, 0.8):
        assert float(log_capital(values, counts, rate)) == pytest.approx(plain_log_capital(outcomes, rate), abs=2e-4)


def test_without_ties_it_is_the_beta_binomial_mixture():
    wins, losses, rate = 30, 12, 0.55
    beta = math.lgamma(wins + 1) + math.lgamma(losses + 1) - math.lgamma(wins + losses + 2)
    expected = beta - wins * math.log(rate) - losses * math.log(1 - rate)
    assert float(log_capital(np.array([0.0, 1.0]), np.array([losses, wins]), rate)) == pytest.approx(expected, rel=1e-9)


def test_the_ends_of_the_interval_are_where_the_capital_reaches_its_limit():
    win = interval([1.0] * 20 + [0.5] * 6 + [0.0] * 5)
    counts = np.array([5, 6, 20])
    for end in (win.low, win.high):
        assert float(log_capital(OUTCOMES, counts, end)) == pytest.approx(-math.log(ALPHA), abs=1e-6)
    assert win.low < win.rate < win.high
    assert win.ties == pytest.approx(6 / 31)


def test_ties_tell_more_than_coin_tosses():
    tied, tossed = interval([0.5] * 40), interval([1.0, 0.0] * 20)
    assert tied.high - tied.low < tossed.high - tossed.low


@pytest.mark.parametrize(("outcomes", "decision"), [([1.0] * 9, "better"), ([0.0] * 9, "worse"), ([1.0, 0.0], "undecided")])
def test_decisions_mirror(outcomes, decision):
    win, mirrored = interval(outcomes), interval([1 - x for x in outcomes])
    assert win.decision == decision
    assert (win.low, win.high) == pytest.approx((1 - mirrored.high, 1 - mirrored.low))


def test_how_many_more_is_enough_and_not_too_many():
    outcomes = [1.0] * 14 + [0.0] * 6
    more = interval(outcomes).more
    assert interval(outcomes * 40).decision == "better"
    grown = np.array([6.0, 14.0]) * (1 + np.array([more - 1, more])[:, None] / 20)
    before, after = log_capital(np.array([0.0, 1.0]), grown, 0.5)
    assert before < -math.log(ALPHA) <= after


def test_close_models_are_not_foreseen_to_be_decided():
    win = interval([1.0] * 25 + [0.0] * 25)
    assert win.more is None
    assert "the two are close" in sentence(win, "New", "Old")
    assert MOST_MORE >= 1000


def test_a_far_decision_is_said_roughly():
    win = interval([1.0] * 6 + [0.5] * 20 + [0.0] * 4)
    assert win.more > 200
    assert sentence(win, "New", "Old").endswith(f"close; telling them apart would take about {about(win.more):,} more judgements.")
    assert [about(n) for n in (1, 46, 99, 123, 806, 1449)] == [1, 46, 99, 120, 810, 1400]


def test_nothing_judged_says_nothing():
    win = interval([])
    assert (win.low, win.high, win.n, win.decision) == (0, 1, 0, "undecided")
    assert "Nothing is judged yet" in sentence(win, "New", "Old")


def test_the_sentence_says_the_decision():
    assert sentence(interval([1.0] * 30 + [0.0] * 5), "PPO", "Base").endswith("It is better.")
    assert sentence(interval([0.0] * 30 + [1.0] * 5), "PPO", "Base").endswith("It is worse.")
    said = sentence(interval([1.0] * 34 + [0.0] * 14), "PPO", "Base")
    assert said.startswith("On 48 prompts you preferred PPO to Base 71% of the time (49%–88%). Not decided yet: about ")


@pytest.mark.parametrize("outcomes", [[1.2], [0.0, 0.5, 1.01], [-0.01, 1.0]])
def test_an_outcome_out_of_bounds_is_refused(outcomes):
    with pytest.raises(ValueError, match="between 0 and 1"):
        interval(outcomes)


def test_what_is_decided_needs_no_more():
    assert [interval(outcomes).more for outcomes in ([1.0] * 9, [0.0] * 9)] == [0, 0]


def undecided(more, left=None):
    return sentence(WinInterval(0.6, 0.4, 0.8, 20, 0.0, "undecided", more), "New", "Old", left).partition("Not decided yet: ")[2]


def test_what_a_decision_takes_is_said_within_what_there_is():
    assert undecided(None) == undecided(None, 5) == undecided(201, 200) == "the two are close."
    assert undecided(1) == "about 1 more judgement if this holds."
    assert undecided(200) == undecided(200, 200) == "about 200 more judgements if this holds."
    assert undecided(201) == undecided(201, 201) == "the two are close; telling them apart would take about 200 more judgements."
    assert undecided(30, 29) == "about 30 more judgements if this holds, and only 29 prompts are left: add some."
    assert undecided(30, 1) == "about 30 more judgements if this holds, and only 1 prompt is left: add some."
    assert undecided(30, 0) == "about 30 more judgements if this holds, and no prompt is left: add some."
