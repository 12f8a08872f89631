"""What keys and clicks make of a judgement, apart from any widget."""

import json

import pytest

from rlhf_desktop.feedback.judgements import (
    AllBad,
    Choice,
    Correction,
    Judgement,
    Labels,
    Ranking,
    Ratings,
    Span,
    Spans,
    Thumbs,
    in_order,
)
from rlhf_desktop.feedback.protocol import PRESETS, Protocol
from rlhf_desktop.ui.judging.draft import Draft, saves_at_once

MEDICINE = PRESETS["Medicine"].model_copy(update={"answers": 2})


def full() -> Draft:
    draft = Draft.blank(2).press(1, MEDICINE)
    draft = draft.scored("accuracy", 0, 2).scored("accuracy", 1, 5).labelled("Refers to care", 1, ("rightly",))
    return draft.marked(Span(0, 3, 9, "unsafe advice", 3)).corrected(1, "better still").thumbed(0, False)


def test_everything_said_becomes_verdicts():
    assert full().verdicts(MEDICINE) == [
        Ranking((2, 1)),
        Thumbs(False, 0),
        Ratings((MEDICINE.attributes[0].rating((2, 5)),)),
        Labels((Choice("Refers to care", ((), ("rightly",))),)),
        Spans((Span(0, 3, 9, "unsafe advice", 3),)),
        Correction("better still", 1),
    ]
    assert full().outcome(MEDICINE) == "1 comparison, 1 thumb, 2 ratings, 1 label, 1 mark, 1 correction"


def test_a_draft_survives_json():
    assert Draft.from_json(json.loads(json.dumps(full().to_json()))) == full()
    assert Draft.from_json(json.loads(json.dumps(Draft.blank(4).to_json()))) == Draft.blank(4)


def test_a_stored_judgement_can_be_taken_up_again():
    main, *also = in_order(full().verdicts(MEDICINE))
    stored = Judgement("p", "me", ("a", "b"), main, also=tuple(also), critique="why", confidence=0.7)
    taken_up = Draft.of(stored)
    assert taken_up.verdicts(MEDICINE) == full().verdicts(MEDICINE)
    assert (taken_up.why, taken_up.confidence) == ("why", 0.7)


def test_the_same_number_again_means_more():
    protocol = PRESETS["Pairs with strength"]
    draft = Draft.blank(2).press(0, protocol)
    strengths = [draft.strength]
    for _ in range(3):
        draft = draft.press(0, protocol)
        strengths.append(draft.strength)
    assert strengths == [1, 2, 3, 1]
    assert draft.press(1, protocol).verdicts(protocol) == [Ranking((2, 1), 1)]
    assert draft.ranked(draft.ranking.back().back().tie()).strength == 0  # a tie has none


def test_a_decided_pair_is_turned_by_the_other_number_and_a_full_ranking_is_not():
    pair = Draft.blank(2).press(0, Protocol())
    assert pair.press(1, Protocol()).verdicts(Protocol()) == [Ranking((2, 1))]
    assert pair.press(0, Protocol()) == pair
    four = Draft.blank(4).press(0, Protocol()).press(1, Protocol()).press(2, Protocol())
    assert four.press(3, Protocol()).verdicts(Protocol()) == four.verdicts(Protocol())  # the last one had placed itself


def test_groups_are_ranks_with_gaps():
    protocol = PRESETS["Sorting into groups"]
    draft = Draft.blank(3).grouped(0, 3).grouped(2, 1)
    assert not draft.compared(protocol)
    assert draft.best(protocol) == -1
    draft = draft.grouped(1, 3)
    assert draft.verdicts(protocol) == [Ranking((3, 3, 1))]
    assert draft.best(protocol) == 2


def test_none_will_do_is_complete_and_has_no_best():
    draft = Draft.blank(4).ranked(Draft.blank(4).ranking.reject_all())
    assert draft.verdicts(Protocol()) == [AllBad()]
    assert draft.best(Protocol()) == -1


def test_marking_the_same_part_again_replaces_its_mark():
    first, second = Span(0, 1, 4, "rude"), Span(0, 1, 4, "wrong", 3)
    assert Draft.blank(1).marked(first).marked(second).spans == (second,)
    assert Draft.blank(1).marked(first).unmarked(first).empty


def test_a_rating_taken_back_is_no_rating():
    assert Draft.blank(2).scored("accuracy", 0, 3).scored("accuracy", 0, None).verdicts(MEDICINE) == []


@pytest.mark.parametrize(
    ("preset", "at_once"), [("Quick pairs", True), ("Pairs with strength", False), ("Medicine", False), ("General", True)]
)
def test_only_a_bare_comparison_saves_on_its_key(preset, at_once):
    assert saves_at_once(PRESETS[preset]) is at_once
