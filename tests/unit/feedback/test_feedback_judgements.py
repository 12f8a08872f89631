import itertools
from dataclasses import replace

import pytest

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.feedback.judgements import (
    AllBad,
    Correction,
    Demonstrated,
    Flag,
    Judgement,
    Ranking,
    Skip,
    Thumbs,
    Verdict,
    Withdrawn,
    effective,
    verdict_from_json,
    verdict_to_json,
    withdrawal,
)


def judgement(verdict: Verdict = Ranking((1, 2)), displayed: tuple[str, ...] = ("a", "b"), **fields: object) -> Judgement:  # noqa: B008
    return Judgement("p", "me", displayed, verdict, **fields)  # type: ignore[arg-type]


def test_ranks_are_made_dense_and_keep_ties():
    assert Ranking.of([7, 2, 7, 3]).ranks == (3, 1, 3, 2)


@pytest.mark.parametrize("ranks", [(1,), (), (0, 1), (1, True), (1, 1.5)])
def test_ranks_that_mean_nothing_are_refused(ranks):
    with pytest.raises(BadInput):
        Ranking(ranks)


@pytest.mark.parametrize(
    ("verdict", "displayed", "said"),
    [
        (Ranking((1, 2, 3)), ("a", "b"), "2 answers were shown but 3 were ranked"),
        (Ranking((1, 2)), ("a", "a"), "shown twice"),
        (AllBad(), (), "needs an answer"),
        (Correction("better", 2), ("a", "b"), "not among those shown"),
        (Correction("  ", 0), ("a",), "correction is empty"),
        (Thumbs(True), ("a", "b"), "about one answer"),
        (Demonstrated(), ("a", "b"), "about one answer"),
        (Withdrawn(), (), "nothing to take back"),
    ],
)
def test_parts_that_do_not_fit_are_refused_in_plain_words(verdict, displayed, said):
    with pytest.raises(BadInput, match=said) as caught:
        judgement(verdict, displayed)
    assert caught.value.hint


@pytest.mark.parametrize("fields", [{"confidence": 1.2}, {"confidence": float("nan")}, {"seconds_spent": -1.0}])
def test_numbers_out_of_bounds_are_refused(fields):
    with pytest.raises(BadInput):
        judgement(**fields)


@pytest.mark.parametrize(
    "verdict",
    [Ranking((1, 2, 2)), AllBad(), Correction("x", 1), Demonstrated(), Thumbs(False), Skip("tired"), Flag("odd"), Withdrawn()],
)
def test_every_verdict_survives_json(verdict):
    assert verdict_from_json(verdict_to_json(verdict)) == verdict


def test_a_verdict_of_a_later_version_is_refused_not_guessed():
    with pytest.raises(BadInput, match="does not know"):
        verdict_from_json({"kind": "spans", "spans": []})
    with pytest.raises(BadInput, match="damaged"):
        verdict_from_json({"kind": "thumbs"})


def all_orders_agree(events: list[Judgement]) -> set[str]:
    """`effective` of every order of the same events, which must be one and the same set."""
    found = {frozenset(e.id for e in effective(order)) for order in itertools.permutations(events)}
    assert len(found) == 1
    return set(next(iter(found)))


def test_an_edit_replaces_and_an_edit_of_an_edit_replaces_both():
    first = judgement()
    second = judgement(Ranking((2, 1)), supersedes=first.id)
    third = judgement(Ranking((1, 1)), supersedes=second.id)
    assert all_orders_agree([first, second]) == {second.id}
    assert all_orders_agree([first, second, third]) == {third.id}


def test_undo_redo_and_undo_again():
    first = judgement()
    undo = withdrawal(first, "me")
    redo = withdrawal(undo, "me")
    again = withdrawal(redo, "me")
    assert all_orders_agree([first, undo]) == set()
    assert all_orders_agree([first, undo, redo]) == {first.id}
    assert all_orders_agree([first, undo, redo, again]) == set()


def test_undoing_an_edit_brings_the_original_back():
    first = judgement()
    edit = judgement(Ranking((2, 1)), supersedes=first.id)
    assert all_orders_agree([first, edit, withdrawal(edit, "me")]) == {first.id}


def test_undoing_the_original_leaves_its_edit():
    first = judgement()
    edit = judgement(Ranking((2, 1)), supersedes=first.id)
    assert all_orders_agree([first, edit, withdrawal(first, "me")]) == {edit.id}


def test_two_workstations_withdrawing_the_same_judgement_both_have_to_redo():
    first = judgement()
    here, there = withdrawal(first, "me"), withdrawal(first, "you")
    assert all_orders_agree([first, here, there, withdrawal(here, "me")]) == set()
    assert all_orders_agree([first, here, there, withdrawal(here, "me"), withdrawal(there, "you")]) == {first.id}


def test_forged_circles_end():
    one, two = judgement(), judgement()
    circle = [replace(one, supersedes=two.id), replace(two, supersedes=one.id)]
    assert effective(circle) == []
    w1, w2 = withdrawal(one, "x"), withdrawal(two, "x")
    assert effective([one, replace(w1, supersedes=w2.id), replace(w2, supersedes=w1.id)]) == [one]


def test_ids_are_uuid_version_7():
    import uuid

    assert uuid.UUID(judgement().id).version == 7
