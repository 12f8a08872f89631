import itertools
from dataclasses import replace

import pytest

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.feedback.judgements import (
    AllBad,
    Choice,
    Correction,
    Demonstrated,
    Flag,
    Judgement,
    Labels,
    Ranking,
    Rating,
    Ratings,
    Skip,
    Span,
    Spans,
    Thumbs,
    Verdict,
    Withdrawn,
    effective,
    in_order,
    revision,
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
        (Thumbs(True, 2), ("a", "b"), "thumb is not among those shown"),
        (Ratings((Rating("tone", 5, (3,)),)), ("a", "b"), "not as many marks"),
        (Labels((Choice("topic", (("x",),)),)), ("a", "b"), "not as many labelled"),
        (Spans((Span(2, 0, 4, "wrong"),)), ("a", "b"), "marked answer is not among"),
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
    [
        Ranking((1, 2, 2)),
        Ranking((1, 3), 2),
        AllBad(),
        Thumbs(False, 1),
        Ratings((Rating("accuracy", 5, (4, None, 1)), Rating("tone", 3, (None, None, 2)))),
        Labels((Choice("refuses", (("yes",), (), ("partly", "rude"))),)),
        Spans((Span(0, 2, 9, "factual error", 3, "it was 1912"), Span(1, 0, 1, "tone"))),
        Correction("x", 1),
        Demonstrated(),
        Skip("tired"),
        Flag("odd"),
        Withdrawn(),
    ],
    ids=lambda verdict: verdict.kind,
)
def test_every_verdict_survives_json(verdict):
    assert verdict_from_json(verdict_to_json(verdict)) == verdict


def test_a_verdict_of_a_later_version_is_refused_not_guessed():
    with pytest.raises(BadInput, match="does not know"):
        verdict_from_json({"kind": "hologram", "spans": []})
    for damaged in ({"kind": "thumbs"}, {"kind": "spans", "spans": [7]}, {"kind": "spans", "spans": [{"index": 0, "colour": 1}]}):
        with pytest.raises(BadInput, match="damaged"):
            verdict_from_json(damaged)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Ranking((1, 1), 2), "two that differ"),
        (lambda: Ranking((1, 2, 3), 1), "two that differ"),
        (lambda: Ranking((1, 2), 4), "from 1 to 3"),
        (lambda: Rating("tone", 5, (6,)), "from 1 to 5"),
        (lambda: Rating("tone", 1, (1,)), "scale of 1 steps"),
        (lambda: Rating(" ", 5, (1,)), "no usable name"),
        (lambda: Rating("tone", 5, (None, None)), "No answer has a mark"),
        (lambda: Ratings((Rating("a", 5, (1,)), Rating("a", 5, (2,)))), "same attribute"),
        (lambda: Labels(()), "no labels"),
        (lambda: Span(0, 4, 4, "x"), "has no text"),
        (lambda: Span(0, 0, 4, "x", 4), "from 1 to 3"),
        (lambda: Span(-1, 0, 4, "x"), "no answer number"),
        (lambda: Spans(()), "Nothing is marked"),
    ],
)
def test_values_that_mean_nothing_are_refused(make, said):
    with pytest.raises(BadInput, match=said):
        make()


def test_several_forms_are_one_act_with_a_main_form():
    correction, rating = Correction("better", 1), Ratings((Rating("tone", 5, (1, 2)),))
    main, *also = in_order([correction, rating, Ranking((2, 1))])
    given = judgement(main, also=tuple(also))
    assert given.kind == "ranking"
    assert given.kinds == ("ranking", "ratings", "correction")
    assert given.verdicts == (Ranking((2, 1)), rating, correction)


@pytest.mark.parametrize(
    ("also", "said"),
    [
        ((AllBad(),), "ranked, and none is to do"),
        ((Ranking((2, 1)),), "same form"),
        ((Skip(),), "says all there is"),
        ((Thumbs(True, 0), Thumbs(False, 0)), "same form"),
    ],
)
def test_forms_that_contradict_each_other_are_refused(also, said):
    with pytest.raises(BadInput, match=said):
        judgement(Ranking((1, 2)), also=also)
    assert judgement(Thumbs(True, 0), also=(Thumbs(False, 1),)).kinds == ("thumbs",)


def test_a_revision_keeps_what_was_shown_and_replaces():
    old = judgement(critique="hm", confidence=0.5, source="file:x", guideline_version=2)
    new = revision(old, "you", [AllBad(), Correction("better", 0)], confidence=0.9)
    assert (new.displayed, new.who, new.critique, new.confidence, new.guideline_version) == (old.displayed, "you", "hm", 0.9, 2)
    assert (new.kinds, new.supersedes, new.source) == (("all_bad", "correction"), old.id, "")
    assert new.id != old.id
    assert effective([old, new]) == [new]


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
