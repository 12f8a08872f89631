"""How long the demo takes: slower computers take longer and do less of the quick one, and the parts add up."""

import time

import pytest
from estimates_helpers import CPU, RATES

from rlhf_desktop.core.measures import Line
from rlhf_desktop.operations import demo_time as module
from rlhf_desktop.operations.demo_plan import QUICK, THOROUGH, chosen_prompts, written
from rlhf_desktop.operations.demo_time import ANSWER_TOKENS, EXAMPLES, QUICK_S, SHARES, choose, demo_s, foresee, limit_s

LIMIT_S = limit_s(60.0)
LINES = ("forward", "train", "train_wide", "new_forward", "new_train", "decode")
NUMBERS = ("attention_forward_s", "attention_train_s", "head_forward_s", "head_train_s", "optimizer_s", "checkpoint_s")


def slowed(times):
    """A computer that takes so many times as long for everything."""
    lines = {name: Line(**{part: times * value for part, value in getattr(RATES, name).model_dump().items()}) for name in LINES}
    return RATES.model_copy(update={**lines, **{name: times * getattr(RATES, name) for name in NUMBERS}})


def test_a_fast_computer_does_all_of_it(smol):
    found = choose(QUICK, smol, slowed(0.2), CPU, 60.0)
    assert found.share == 1
    assert found.seconds < LIMIT_S


@pytest.mark.parametrize("times", [1, 2.5, 3, 8])
def test_a_slow_one_does_as_much_as_ends_in_time(smol, times):
    rates = slowed(times)
    found = choose(QUICK, smol, rates, CPU, 60.0)
    assert found.seconds == demo_s(QUICK.scaled(found.share), smol, rates, CPU)
    larger = [share for share in SHARES if share > found.share]
    assert all(demo_s(QUICK.scaled(share), smol, rates, CPU) > LIMIT_S for share in larger)
    assert found.seconds <= LIMIT_S or found.share == SHARES[-1]


def test_some_of_the_shares_are_needed(smol):
    assert {choose(QUICK, smol, slowed(times), CPU, 60.0).share for times in (1, 2.2, 3, 3.5, 8)} == set(SHARES)


def test_what_preparing_took_is_no_longer_to_be_had(smol):
    shares = [choose(QUICK, smol, RATES, CPU, spent_s).share for spent_s in (0.0, 500.0, 750.0)]
    assert shares == sorted(shares, reverse=True)
    assert len(set(shares)) > 1
    assert limit_s(QUICK_S) == 0


def test_the_thorough_one_takes_the_time_it_takes(smol):
    found = choose(THOROUGH, smol, slowed(20), CPU, 60.0)
    assert found.share == 1
    assert found.seconds > LIMIT_S


def test_each_step_counts(smol):
    whole = demo_s(QUICK, smol, RATES, CPU)
    for part in ("forward", "train", "decode", "head_train_s"):
        assert demo_s(QUICK, smol, RATES.model_copy(update={part: getattr(slowed(2), part)}), CPU) > 1.01 * whole


def test_a_share_of_the_demo_has_some_of_everything():
    small = QUICK.scaled(SHARES[-1])
    assert small.name == QUICK.name
    assert (small.feedback_prompts, small.check_prompts, small.heldout_prompts, small.ppo["episodes"]) == (12, 4, 8, 48)
    assert QUICK.scaled(0.5).ppo["episodes"] == 96
    assert small.ppo["learning_rate"] == QUICK.ppo["learning_rate"]
    assert QUICK.scaled(1.0) is QUICK


def test_what_is_known_of_the_prompts_is_so():
    examples = chosen_prompts(QUICK)["sft"]
    assert len(examples) == EXAMPLES
    words = [len(answer.split()) for _, answer in written(examples)]
    assert 1.35 * sum(words) / EXAMPLES == pytest.approx(ANSWER_TOKENS, rel=0.25)  # so many tokens a word


def test_the_device_is_known_before_its_speed_is_kept(smol, monkeypatch):
    """What is measured is kept under the device's name; measured first, it was kept under none and measured again."""
    asked = []
    monkeypatch.setattr(module, "probe_device", lambda: asked.append("device") or CPU)
    monkeypatch.setattr(module, "calibrate", lambda base: asked.append("speed") or RATES)
    assert foresee(QUICK, smol, time.monotonic()).seconds > 0
    assert asked == ["device", "speed"]
