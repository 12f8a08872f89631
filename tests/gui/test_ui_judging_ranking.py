"""The ranking state machine, apart from any widget."""

from itertools import permutations

import pytest

from rlhf_desktop.ui.judging.ranking import RankingState, place_name


def test_three_keys_rank_four_answers_and_the_last_places_itself():
    state = RankingState(4).place(2).place(0)
    assert not state.complete
    state = state.place(3)
    assert state.complete
    assert state.ranks() == (2, 4, 1, 3)
    assert state.describe() == "C > A > D > B"
    assert state.outcome() == "6 comparisons"


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_every_order_of_keys_gives_its_ranks(order):
    state = RankingState(3)
    for answer in order:
        state = state.place(answer)
    assert [state.ranks()[answer] for answer in order] == [1, 2, 3]


def test_tie_joins_the_next_answer_to_the_last_one():
    state = RankingState(3).place(0).tie().place(2)
    assert state.describe() == "A = C > B"
    assert state.ranks() == (1, 2, 1)
    assert state.outcome() == "2 comparisons, 1 tie"
    assert [place_name(state, n) for n in range(3)] == ["=1st", "2nd", "=1st"]


def test_tie_at_the_end_joins_the_one_left_over():
    assert RankingState(3).place(1).place(0).tie().ranks() == (2, 1, 2)


def test_a_pair_is_decided_by_one_key():
    assert RankingState(2).place(1).ranks() == (2, 1)
    assert RankingState(2).tie().ranks() == (1, 1)


def test_none_will_do_is_not_a_tie():
    state = RankingState(2).reject_all()
    assert state.complete
    assert state.buckets == ()
    assert state.back() == RankingState(2)


def test_back_takes_back_one_key_at_a_time():
    state = RankingState(4).place(0).tie()
    assert state.back() == RankingState(4).place(0)
    assert state.back().back() == RankingState(4)
    assert RankingState(4).back() == RankingState(4)


def test_placing_twice_changes_nothing():
    state = RankingState(4).place(0)
    assert state.place(0) == state


def test_dragging_beside_ties_and_between_makes_a_place():
    state = RankingState(4).place(0).place(1).place(2)  # A > B > C > D
    assert state.drop(3, 0, beside=True).describe() == "A = D > B > C"
    assert state.drop(3, 1, beside=False).describe() == "A > D > B > C"
    assert state.drop(0, 4, beside=False).describe() == "B > C > D > A"


def test_dragging_before_all_are_placed_leaves_the_rest_unplaced():
    state = RankingState(4).drop(2, 0, beside=False)
    assert state.buckets == ((2,),)
    assert state.unplaced == (0, 1, 3)
