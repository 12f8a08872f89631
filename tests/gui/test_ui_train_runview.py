from pathlib import Path

import numpy as np
import pytest

from rlhf_desktop.core import runs
from rlhf_desktop.core.recipes import ALGORITHMS, describe
from rlhf_desktop.ui.train import wording
from rlhf_desktop.ui.train.runview import RunView, outcome_sentence
from rlhf_desktop.ui.train.series import Series, smoothed, thinned


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
    assert (sample.before, sample.now, sample.first_score, sample.score) == ("old", "new", -1.0, 2.0)


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
        assert all(s.name in wording._SETTINGS for s in describe(algorithm))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_curve_is_one_the_trainer_draws(algorithm):
    source = (Path(wording.__file__).parents[2] / "training" / f"{algorithm}.py").read_text()
    metrics = [curve.metric.removeprefix("eval/") for chart in wording.CHARTS[algorithm] for curve in chart.curves]
    assert [name for name in metrics if f'"{name}"' not in source and f'}}{name}"' not in source] == []


def test_series_grows_past_its_first_arrays():
    series = Series()
    for i in range(1000):
        series.add(i, i * 2.0)
    assert len(series) == 1000
    assert series.last() == 1998.0


def test_thinned_keeps_a_single_spike():
    x = np.arange(100_000.0)
    y = np.zeros(100_000)
    y[54_321] = 9.0
    few_x, few_y = thinned(x, y, 600)
    assert len(few_x) <= 602
    assert few_y.max() == 9.0
    assert (few_x[0], few_x[-1]) == (0.0, 99_999.0)


def test_smoothed_is_a_trailing_mean():
    y = np.array([1.0, 3.0, 5.0, 7.0])
    by_hand = [np.mean(y[max(0, i - 1) : i + 1]) for i in range(4)]
    assert smoothed(y, 2).tolist() == by_hand
