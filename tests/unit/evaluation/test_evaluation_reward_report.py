import json
import math

import numpy as np
import pytest

from rlhf_desktop.evaluation.reward_report import (
    Heldout,
    Judged,
    RewardReport,
    calibration,
    interval,
    length_bias,
    reliability,
    reward_report,
    temperature,
)


def judged(pairs, tied=None, clarity=None):
    tied = [False] * len(pairs) if tied is None else tied
    clarity = [0.0] * len(pairs) if clarity is None else clarity
    return Judged(np.array(pairs).reshape(-1, 2), np.array(tied, dtype=bool), np.array(clarity, dtype=float))


def answers(scores, pairs, *, prompts=None, lengths=None, members=None, **rest):
    """Two answers a prompt unless said otherwise."""
    prompts = [f"p{i // 2}" for i in range(len(scores))] if prompts is None else prompts
    lengths = [10] * len(scores) if lengths is None else lengths
    scores = np.array([scores] if members is None else members, dtype=float)
    return Heldout(prompts, np.array(lengths), scores, judged(pairs, **rest))


def test_accuracy_counts_equal_scores_as_half():
    report = reward_report(answers([1, 0, 2, 3, 5, 5, 4, 1], [(0, 1), (2, 3), (4, 5), (6, 7)]))
    assert report.accuracy.value == (1 + 0 + 0.5 + 1) / 4
    assert report.accuracy.low < report.accuracy.value < report.accuracy.high
    assert (report.prompts, report.answers, report.pairs, report.ties, report.members) == (4, 8, 4, 0, 1)


def test_the_interval_resamples_prompts_not_pairs():
    """Ten copies of each prompt's pair tell no more than one."""
    generator = np.random.default_rng(1)
    lead = generator.normal(0.5, 1, 40)
    once = interval(lead, np.arange(40))
    copied = interval(np.repeat(lead, 10), np.repeat(np.arange(40), 10))
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high), abs=1e-9)
    apart = interval(np.repeat(lead, 10), np.arange(400))
    assert apart.high - apart.low < 0.5 * (once.high - once.low)


def test_the_interval_covers_the_truth_about_19_times_in_20():
    generator = np.random.default_rng(2)
    covered = 0
    for trial in range(60):
        prompts = np.repeat(np.arange(30), 3)
        easy = np.repeat(generator.uniform(0.4, 1.0, 30), 3)  # prompts differ in how easy they are: 0.7 on average
        lead = np.where(generator.random(90) < easy, 1.0, -1.0)
        found = interval(lead, prompts, seed=trial)
        covered += found.low <= 0.7 <= found.high
    assert covered >= 51


def test_where_nothing_varies_the_interval_is_wilsons_on_prompts():
    found = interval(np.ones(20), np.repeat(np.arange(5), 4))
    assert (found.value, found.high) == (1.0, 1.0)
    assert 0.5 < found.low < 0.6  # of five prompts, not twenty pairs


def test_a_report_without_a_decided_pair_is_refused():
    with pytest.raises(ValueError, match="decided"):
        reward_report(answers([1, 2], [(0, 1)], tied=[True]))


def test_the_temperature_finds_the_scale_of_overconfident_scores():
    generator = np.random.default_rng(3)
    true = np.abs(generator.normal(0, 1.5, 4000))
    lead = np.where(generator.random(4000) < 1 / (1 + np.exp(-true)), true, -true)
    assert temperature(lead) == pytest.approx(1, abs=0.08)
    assert temperature(4 * lead) == pytest.approx(4 * temperature(lead), rel=1e-6)
    assert temperature(np.ones(5)) == pytest.approx(0.01, rel=1e-3)  # always right: as sure as can be
    assert temperature(-np.ones(5)) == pytest.approx(100, rel=1e-3)  # always wrong: no trust at all


def test_calibration_is_mended_by_a_temperature_fitted_on_other_prompts():
    generator = np.random.default_rng(4)
    true = np.abs(generator.normal(0, 1.5, 3000))
    lead = np.where(generator.random(3000) < 1 / (1 + np.exp(-true)), true, -true)
    good, bold = calibration(lead, np.arange(3000)), calibration(5 * lead, np.arange(3000))
    assert good.ece < 0.03
    assert bold.ece > 0.1
    assert bold.ece_tempered < 0.04
    assert bold.nll_tempered < bold.nll
    assert bold.temperature == pytest.approx(5 * good.temperature, rel=1e-6)


def test_the_tempered_numbers_are_not_fitted_on_the_pairs_they_judge():
    """Two prompts of opposite quality: each is judged by the other's temperature, so tempering makes it worse."""
    lead, prompts = np.array([2.0] * 10 + [-2.0] * 10), np.array([0] * 10 + [1] * 10)
    found = calibration(lead, prompts)
    assert found.nll_tempered > found.nll


def test_one_prompt_has_no_tempered_numbers():
    found = calibration(np.array([1.0, -1.0]), np.array([0, 0]))
    assert found.ece_tempered is None
    assert found.nll_tempered is None
    assert found.reliability_tempered == []


def test_reliability_by_literal_numbers():
    sure = math.log(0.93 / 0.07)  # in the bin from 0.9 to 0.95
    bins = reliability(np.array([sure, sure, sure, -sure, 0.0]))
    assert [(round(b.low, 2), round(b.high, 2), b.pairs) for b in bins] == [(0.5, 0.55, 1), (0.9, 0.95, 4)]
    assert bins[1].predicted == pytest.approx(0.93)
    assert bins[1].observed == 0.75
    assert (bins[0].predicted, bins[0].observed) == (0.5, 0.5)
    found = calibration(np.array([sure, sure, sure, -sure, 0.0]), np.arange(5))
    assert found.ece == pytest.approx(0.8 * 0.18)
    assert found.nll == pytest.approx((-3 * math.log(0.93) - math.log(0.07) + math.log(2)) / 5)


def test_accuracy_by_lead_and_by_clarity():
    scores = [1, 0, 0, 2, 3, 0, 4, 0]
    report = reward_report(answers(scores, [(0, 1), (2, 3), (4, 5), (6, 7)], clarity=[-1, 0, 0.2, 1]))
    assert sum(band.pairs for band in report.by_lead) == 4
    assert [band.value for band in report.by_lead if band.low >= 3] == [1.0]
    assert [(band.value, band.pairs) for band in report.by_clarity] == [(1.0, 1), (0.5, 2), (1.0, 1)]


def test_one_pair_is_one_band():
    report = reward_report(answers([2.0, 1.0], [(0, 1)]))
    assert [(band.low, band.high, band.value, band.pairs) for band in report.by_lead] == [(1.0, 1.0, 1.0, 1)]


def test_ties_are_told_apart_from_decided_pairs():
    report = reward_report(answers([1.0, 0.9, 3.0, 0.0], [(0, 1), (2, 3)], tied=[True, False]))
    assert (report.ties, report.pairs) == (1, 1)
    assert report.tie_lead.ties == pytest.approx(0.1)
    assert report.tie_lead.decided == 3.0


def test_a_model_that_scores_length_is_found_out():
    """The expert prefers the longer answer 3 times in 4; the model always does."""
    lengths = [20, 10, 30, 10, 40, 10, 10, 50, 100, 101]
    pairs = [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
    heldout = answers(list(np.log(lengths)), pairs, lengths=lengths)
    found = length_bias(heldout, heldout.scores[0], heldout.overall.pairs)
    assert found.correlation == pytest.approx(1)
    assert (found.longer_preferred, found.longer_scored) == (0.75, 1.0)
    assert (found.accuracy_longer.value, found.accuracy_shorter.value, found.balanced) == (1.0, 0.0, 0.5)
    assert (found.accuracy_alike.value, found.accuracy_alike.pairs) == (0.0, 1)


def test_the_correlation_with_length_is_within_prompts():
    """Prompts that ask for long answers may have other scores; only the choice between answers to one prompt counts."""
    heldout = answers([0, 1, 100, 101], [(0, 1)], lengths=[20, 10, 2000, 1000])
    assert length_bias(heldout, heldout.scores[0], heldout.overall.pairs).correlation == pytest.approx(-1)
    constant = answers([0, 1], [(0, 1)])
    assert length_bias(constant, constant.scores[0], constant.overall.pairs).correlation is None


def test_an_ensemble_reports_each_member_and_their_spread():
    report = reward_report(answers([0, 0], [(0, 1)], members=[[1, 0], [0, 1], [3, 0]]))
    assert report.member_accuracy == [1.0, 0.0, 1.0]
    assert report.accuracy.value == 1.0
    assert report.spread == pytest.approx(np.std([[1, 0], [0, 1], [3, 0]], axis=0).mean())
    assert reward_report(answers([1, 0], [(0, 1)])).spread is None


def test_attributes_have_their_own_accuracy():
    kind = (np.array([1.0, 0.0, 0.0, 1.0]), judged([(0, 1), (2, 3)]))
    tied = (np.zeros(4), judged([(0, 1)], tied=[True]))
    heldout = Heldout(
        ["a", "a", "b", "b"], np.full(4, 9), np.array([[1.0, 0, 1, 0]]), judged([(0, 1)]), {"kind": kind, "safe": tied}
    )
    report = reward_report(heldout)
    assert report.attributes.keys() == {"kind"}
    assert report.attributes["kind"].value == 0.5
    assert report.metrics()["eval/attributes/kind"] == 0.5


def test_the_file_holds_no_nan_and_comes_back():
    report = reward_report(answers([1, 0], [(0, 1)]))
    text = json.dumps(report.model_dump(mode="json"), allow_nan=False)
    assert RewardReport.model_validate_json(text) == report
    assert all(math.isfinite(value) for value in report.metrics().values())
