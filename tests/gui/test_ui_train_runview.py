from pathlib import Path

import numpy as np
import pytest

from rlhf_desktop.core import runs
from rlhf_desktop.core.recipes import ALGORITHMS
from rlhf_desktop.ui.train import wording
from rlhf_desktop.ui.train.runview import RunView, outcome_sentence
from rlhf_desktop.ui.train.series import BUCKETS, Series, smoothed


def progress(seq, step, **more):
    return runs.Progress(seq=seq, time=100.0 + seq, phase="sampling answers", step=step, total=10, **more)


def test_view_folds_progress_and_facts():
    view = RunView()
    view.apply([progress(0, 1), progress(70, 4, eta_s=130.0, tokens_per_s=512.4, peak_rss_bytes=1_900_000_000)])
    assert view.headline() == "Sampling answers · 2 min left"
    assert view.fraction == pytest.approx(0.4)
    assert ("Speed", "512 tokens/s") in view.facts()
    assert ("Memory, peak", "1.9 GB") in view.facts()
    assert ("Time", "1 min") in view.facts()


def test_samples_keep_the_first_answer_as_before():
    view = RunView()
    view.apply([runs.Sample(seq=0, time=0, step=0, prompt="p", text="old", before="old", score=-1.0)])
    view.apply([runs.Sample(seq=1, time=1, step=5, prompt="p", text="new", score=2.0)])
    sample = view.samples["p"]
    newest = sample.at(None)
    assert (sample.before, newest.text, sample.first_score, newest.score) == ("old", "new", -1.0, 2.0)


def sample(step, prompt, text, score=None):
    return runs.Sample(seq=0, time=0, step=step, prompt=prompt, text=text, before="old", score=score)


def test_every_look_at_an_answer_can_be_gone_back_to():
    view = RunView()
    view.apply([sample(step, "p", f"after {step}") for step in (5, 10, 15)])
    assert view.sample_steps() == [5, 10, 15]
    assert view.samples["p"].at(10).text == "after 10"
    view.apply([sample(10, "p", "again")])  # resumed from a checkpoint
    assert view.sample_steps() == [5, 10]
    assert view.samples["p"].at(None).text == "again"


def test_best_and_worst_by_reward_are_named_only_when_marks_differ():
    view = RunView()
    view.apply([sample(5, "a", "x", 1.0), sample(5, "b", "y", 1.0), sample(5, "c", "z")])
    assert view.marks() == {}
    view.apply([sample(9, "a", "x", 2.0), sample(9, "b", "y", -1.0)])
    assert view.marks() == {"a": "Best score", "b": "Lowest score"}


def test_a_resumed_run_repeats_steps_without_going_back_in_its_curve():
    view = RunView()
    view.apply([runs.Metrics(seq=i, time=i, step=i, values={"loss": 1.0}) for i in range(6)])
    view.apply([runs.Failed(seq=6, time=6, message="Out of memory.")])
    view.apply([runs.Started(seq=7, time=7, pid=1, device="cpu", dtype="float32", resumed_step=3, trainable_parameters=9)])
    view.apply([runs.Metrics(seq=8 + i, time=8, step=3 + i, values={"loss": 0.5}) for i in range(2)])
    assert view.series["loss"].x.tolist() == [0, 1, 2, 3, 4]
    assert view.series["loss"].y.tolist() == [1.0, 1.0, 1.0, 0.5, 0.5]
    assert view.failure is None


def test_interrupted_keeps_the_runs_own_words_and_says_where():
    view = RunView()
    view.apply([progress(0, 4)])
    sentence = outcome_sentence("interrupted", "It was killed (signal SIGKILL).", "Press Resume.", view, "a model")
    assert sentence == "It was killed (signal SIGKILL). At step 4 of 10. Press Resume."


def test_failed_uses_the_events_words_before_the_status():
    view = RunView()
    view.apply([runs.Failed(seq=0, time=0, message="The disk is full.", hint="Free 2 GB and resume.")])
    assert outcome_sentence("failed", "exit 1", "", view, "a model") == "The disk is full. Free 2 GB and resume."


def test_every_state_setting_and_recipe_has_words():
    assert set(wording.STATES) == set(runs.RunState.__args__)
    for algorithm in ALGORITHMS:
        assert wording.CHARTS[algorithm]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_curve_is_one_the_trainer_draws(algorithm):
    trainers = Path(wording.__file__).parents[2] / "training"
    source = "".join((trainers / f"{name}.py").read_text() for name in (algorithm, "ranking"))
    metrics = [curve.metric.removeprefix("eval/") for chart in wording.CHARTS[algorithm] for curve in chart.curves]
    assert [name for name in metrics if f'"{name}"' not in source and f'}}{name}"' not in source] == []


def test_series_grows_past_its_first_arrays():
    series = Series()
    for i in range(1000):
        series.add(i, i * 2.0)
    assert len(series) == 1000
    assert series.last() == 1998.0


def grown(values):
    series = Series()
    for step, value in enumerate(values):
        series.add(step, value)
    return series


def test_what_is_drawn_of_a_long_curve_is_short_and_keeps_a_single_spike():
    y = np.zeros(100_000)
    y[54_321] = 9.0
    few_x, few_y = grown(y).drawn()
    assert len(few_x) <= 2 * BUCKETS + 4
    assert few_y.max() == 9.0
    assert (few_x[0], few_x[-1]) == (0.0, 99_999.0)
    assert (np.diff(few_x) >= 0).all()


@pytest.mark.parametrize("n", [1, 5, BUCKETS, BUCKETS + 1, 2 * BUCKETS + 7, 5000])
def test_the_thinned_curve_has_the_lowest_and_highest_of_all_its_points(n):
    y = np.random.default_rng(n).normal(size=n)
    series = grown(y)
    x, few = series.drawn()
    assert (few.min(), few.max(), few[-1], x[-1]) == (y.min(), y.max(), y[-1], n - 1)
    assert set(few) <= set(y)


def test_a_long_curve_that_goes_back_is_drawn_as_if_it_had_never_gone_on():
    y = np.random.default_rng(0).normal(size=9000)
    series = grown(y)
    series.add(1000, y[1000])
    shorter = grown(y[:1001])
    assert len(series) == 1001
    assert [part.tolist() for part in series.drawn()] == [part.tolist() for part in shorter.drawn()]
    assert series.trend()[1].tolist() == shorter.trend()[1].tolist()


def test_the_trend_of_a_long_curve_follows_it():
    x, y = grown(np.linspace(0, 1, 20_000)).trend()
    assert len(x) <= BUCKETS
    assert y[-1] == pytest.approx(x[-1] / 20_000, abs=0.05)


def test_smoothed_is_a_trailing_mean():
    y = np.array([1.0, 3.0, 5.0, 7.0])
    by_hand = [np.mean(y[max(0, i - 1) : i + 1]) for i in range(4)]
    assert smoothed(y, 2).tolist() == by_hand
