"""One piece of work at a time, and the newest of what was asked for meanwhile."""

import pytest

from rlhf_desktop.ui.one_at_a_time import OneAtATime


@pytest.fixture
def begun():
    return []


@pytest.fixture
def work(begun):
    return OneAtATime(begun.append)


def test_what_is_asked_for_begins_at_once(work, begun):
    work.ask("first")
    assert (begun, work.busy, work.overtaken) == (["first"], True, False)
    work.done()
    assert (begun, work.busy) == (["first"], False)
    work.ask("second")
    assert begun == ["first", "second"]


def test_of_what_is_asked_for_meanwhile_only_the_newest_follows(work, begun):
    for asked in ("first", "second", "third"):
        work.ask(asked)
    assert (begun, work.overtaken) == (["first"], True)
    work.done()
    assert (begun, work.busy, work.overtaken) == (["first", "third"], True, False)
    work.done()
    assert (begun, work.busy) == (["first", "third"], False)


def test_what_waits_can_be_forgotten_and_what_is_under_way_ends_by_itself(work, begun):
    work.ask("first")
    work.ask("second")
    work.forget()
    assert (work.busy, work.overtaken) == (True, False)
    work.done()
    assert (begun, work.busy) == (["first"], False)


def test_work_may_end_at_once_and_ask_for_more_at_its_end(begun):
    def begin(number, *, last):
        begun.append(number)
        if number < last:
            work.ask(number + 1, last=last)
        work.done()

    work = OneAtATime(begin)
    work.ask(1, last=3)
    assert (begun, work.busy, work.overtaken) == ([1, 2, 3], False, False)


def test_what_could_not_be_begun_stops_nothing_for_good(begun):
    def begin(asked):
        begun.append(asked)
        if asked == "bad":
            raise ValueError(asked)

    work = OneAtATime(begin)
    with pytest.raises(ValueError, match="bad"):
        work.ask("bad")
    work.ask("good")
    assert begun == ["bad", "good"]
