"""How far work is, foretold from its steps and a clock."""

import pytest

from rlhf_desktop.core.progress import Pace, Step, watched


class Clock:
    now = 50.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_step_is_its_sentence():
    assert Step("reading", 0.2, 0.5) == "reading"
    assert (Step("reading").done, Step("reading").until) == (0.0, 1.0)


def test_a_slow_beginning_foretells_a_slow_rest(clock):
    pace = Pace(clock)
    pace.step(Step("starting", 0.0, 0.2))
    clock.now += 10
    assert (pace.fraction, pace.left_s) == (None, None)
    pace.step(Step("reading", 0.2, 0.8))
    assert pace.fraction == pytest.approx(0.2)
    assert pace.left_s == pytest.approx(40)
    clock.now += 20
    assert pace.fraction == pytest.approx(0.6)  # between two steps the clock counts
    assert pace.left_s == pytest.approx(20)


def test_a_step_that_takes_too_long_is_not_called_done_and_foretells_nothing(clock):
    pace = Pace(clock)
    clock.now += 10
    pace.step(Step("reading", 0.2, 0.5))
    clock.now += 100
    assert pace.fraction == 0.5
    assert pace.left_s is None
    assert pace.elapsed_s == 110


def test_a_moment_foretells_nothing(clock):
    pace = Pace(clock)
    clock.now += 0.5
    pace.step(Step("reading", 0.5, 0.6))
    assert pace.fraction == 0.5
    assert pace.left_s is None


def test_plain_words_say_nothing_of_how_far_it_is(clock):
    pace = Pace(clock)
    clock.now += 10
    pace.step("thinking")
    assert (pace.fraction, pace.left_s) == (None, None)


@pytest.mark.parametrize("count", [0, 1, 7, 1000])
def test_items_are_counted_as_they_are_gone_through(count):
    told = []
    assert list(watched(range(count), told.append)) == list(range(count))
    assert len(told) <= 101
    assert told == sorted(set(told))
    assert (told[-1:] or [1.0]) == [1.0]
