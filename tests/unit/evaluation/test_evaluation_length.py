"""The length-controlled win rate: it takes away what length alone explains, and nothing else."""

import numpy as np
import pytest

from rlhf_desktop.evaluation.length import LEAST_PROMPTS, _fit, length_controlled


def simulated(n, skill, taste, longer, seed):
    """Outcomes where P(new) = σ(skill + taste·tanh(difference/s)); the new answers are `longer` words longer on average."""
    rng = np.random.default_rng(seed)
    old = rng.integers(30, 90, n)
    new = np.maximum(1, old + rng.normal(longer, 20, n).astype(int))
    z = np.tanh((new - old) / (new - old).std())
    outcomes = rng.random(n) < 1 / (1 + np.exp(-(skill + taste * z)))
    return outcomes.astype(float).tolist(), new.tolist(), old.tolist()


def test_a_win_by_length_alone_is_taken_away():
    outcomes, new, old = simulated(600, skill=0.0, taste=2.0, longer=18, seed=1)
    assert np.mean(outcomes) > 0.68
    found = length_controlled(outcomes, new, old)
    assert found.low < 0.5 < found.high
    assert found.slope > 1
    assert found.mean_words_new > found.mean_words_old + 10


def test_a_win_by_quality_stays():
    outcomes, new, old = simulated(600, skill=1.0, taste=1.0, longer=-10, seed=2)
    found = length_controlled(outcomes, new, old)
    assert found.rate == pytest.approx(1 / (1 + np.exp(-1.0)), abs=0.06)
    assert found.rate > np.mean(outcomes)
    assert found.low > 0.5


def test_without_a_difference_in_length_it_is_the_win_rate():
    outcomes = [1.0] * 13 + [0.0] * 6 + [0.5] * 2
    found = length_controlled(outcomes, [40] * 21, [40] * 21)
    assert found.rate == pytest.approx(np.mean(outcomes), abs=0.01)  # the prior draws it a little towards ½


def test_winning_everything_stays_finite():
    found = length_controlled([1.0] * 20, list(range(40, 60)), [30] * 20)
    assert 0.5 < found.low <= found.rate <= found.high < 1


def test_the_fit_is_where_the_gradient_is_zero():
    outcomes, new, old = simulated(80, skill=0.5, taste=1.5, longer=5, seed=3)
    x, d = np.array(outcomes), np.array(new, dtype=float) - np.array(old)
    z = np.tanh(d / d.std())
    b0, b1 = (float(b[0]) for b in _fit(x[None], z[None]))
    p = 1 / (1 + np.exp(-(b0 + b1 * z)))
    assert abs(float((x - p).sum()) - b0 / 6.25) < 1e-6
    assert abs(float(((x - p) * z).sum()) - b1 / 6.25) < 1e-6


def test_too_few_prompts_say_nothing():
    n = LEAST_PROMPTS - 1
    assert length_controlled([1.0] * n, [10] * n, [5] * n) is None
