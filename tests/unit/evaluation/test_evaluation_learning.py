"""The learning curve: fitted where runs say something, a said guess where they don't, and it never promises the impossible."""

import pytest

from rlhf_desktop.evaluation.learning import TYPICAL_N0, WORTH, CurvePoint, LearningCurve, fit_curve


def reached(n0, ceiling, *comparisons, measured_on=400):
    curve = LearningCurve(n0, ceiling, 0)
    return [CurvePoint(n, curve.accuracy(n), measured_on) for n in comparisons]


@pytest.mark.parametrize("n0", [20.0, 60.0, 250.0])
def test_it_finds_the_curve_that_made_the_points(n0):
    fitted = fit_curve(reached(n0, 0.85, 40, 120, 300))
    assert fitted.points == 3
    for n in (60, 200, 500):
        assert fitted.accuracy(n) == pytest.approx(LearningCurve(n0, 0.85, 0).accuracy(n), abs=0.02)


def test_without_runs_it_is_the_typical_one():
    assert fit_curve([]) == LearningCurve(TYPICAL_N0, 0.85, 0)
    assert fit_curve([CurvePoint(100, 0.9, 0)]).points == 0


def test_a_slow_learner_needs_more():
    assert fit_curve(reached(250.0, 0.85, 100, 300)).enough > fit_curve(reached(20.0, 0.85, 100, 300)).enough


def test_enough_is_where_a_hundred_more_bring_less_than_a_point():
    curve = fit_curve([])
    assert curve.gain(curve.enough, 100) < WORTH <= curve.gain(curve.enough - 50, 100)


def test_a_run_above_the_ceiling_raises_it():
    assert fit_curve([CurvePoint(100, 0.93, 200)]).ceiling == pytest.approx(0.95)


def test_a_single_noisy_run_does_not_move_it_to_the_end_of_the_world():
    assert 2 < fit_curve([CurvePoint(100, 0.5, 6)]).n0 <= 2000
    assert fit_curve([CurvePoint(100, 0.5, 6)]).accuracy(0) == 0.5
