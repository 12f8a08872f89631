"""Whether a reward model is shown to judge better than a coin, also where there is little to show it on."""

import pytest

from rlhf_desktop.evaluation.winrate import EXACT, beats_a_coin
from rlhf_desktop.operations.agreement import Agreement, agreement, judgements_needed
from rlhf_desktop.operations.amounts import Amount


def measured(rate, low, high, prompts):
    return agreement(
        {"eval/rewards/accuracies": rate, "eval/accuracy_low": low, "eval/accuracy_high": high, "eval/prompts": prompts}
    )


def test_a_coin_is_beaten_only_where_it_would_hardly_come_out_so():
    assert [n for n in range(1, 9) if beats_a_coin(1.0, n)] == [6, 7, 8]
    assert not beats_a_coin(0.5, 100)
    assert (beats_a_coin(0.59, 100), beats_a_coin(0.61, 100)) == (False, True)
    assert (beats_a_coin(0.51, 100 * EXACT), beats_a_coin(0.5, 100 * EXACT)) == (True, False)
    assert not beats_a_coin(1.0, 0)


def test_below_and_around_chance_it_is_said_with_the_interval():
    found = measured(0.3, 0.05, 1.0, 7)
    assert not found.above_chance
    assert found.sentence == "It agrees with 30% of held-out choices (5%–100%); a coin reaches 50%."


def test_an_interval_from_a_handful_of_prompts_is_not_believed():
    found = measured(0.8, 0.6, 1.0, 5)  # what resampling five prompts may say
    assert not found.above_chance
    assert found.sentence.endswith("(60%–100%), on 5 prompts only: too few to tell it from a coin.")


def test_what_beats_a_coin_is_said_plainly():
    found = measured(0.71, 0.6, 0.81, 60)
    assert found.above_chance
    assert found.sentence == "It agrees with 71% of held-out choices (60%–81%)."


def test_without_a_measure_nobody_knows():
    for nothing in (agreement({}), agreement({"eval/rewards/accuracies": None}), Agreement()):
        assert not nothing.above_chance
        assert nothing.sentence.startswith("Nothing was held out to try it on: nobody knows")


def test_what_an_earlier_version_measured_gets_an_interval():
    found = agreement({"eval/rewards/accuracies": 0.75, "eval/pairs": 12})
    assert found.low < 0.5 < found.high
    assert not found.above_chance


@pytest.mark.parametrize(
    ("have", "aside", "fresh", "more"),
    [
        (44, 7, 0, 90),  # as much as it takes to show three in four: 20 held-out prompts, one in seven
        (44, 40, 0, 70),  # for a hundred comparisons
        (150, 40, 0, 30),  # there is enough of everything: something new
        (150, 40, 30, 0),
    ],
)
def test_about_how_many_more_judgements(have, aside, fresh, more):
    there = Amount(have, 100, "comparison", given=have + 10, held_out_prompts=aside, share_trained=0.85)
    assert judgements_needed(Agreement(0.3, 0.05, 1.0, 7), there, fresh) == more
