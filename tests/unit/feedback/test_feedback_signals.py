from dataclasses import replace
from typing import get_args

import pytest

from rlhf_desktop.core.errors import NotEnoughFeedback
from rlhf_desktop.core.paths import resources_dir
from rlhf_desktop.feedback.judgements import (
    AllBad,
    Choice,
    Correction,
    Demonstrated,
    Flag,
    Judgement,
    Kind,
    Labels,
    Ranking,
    Rating,
    Ratings,
    Skip,
    Span,
    Spans,
    Thumbs,
)
from rlhf_desktop.feedback.signals import SIGNALS, Judged, SplitPrompt, signals_table, snapshot_rows
from rlhf_desktop.feedback.snapshot import Demonstration, PracticePrompt, RankedAnswers, ThumbedAnswer

USER = [{"role": "user", "content": "My printer broke."}]


def judged(verdict, texts=("good", "bad"), split="train", **fields) -> Judged:
    displayed = tuple(f"id {i}" for i in range(len(texts)))
    return Judged(Judgement("p", "me", displayed, verdict, **fields), USER, texts, split)


def ranked(row) -> list[tuple[str, int]]:
    assert isinstance(row, RankedAnswers)
    return [(answer.text, answer.rank) for answer in row.completions]


EVERYTHING = [
    judged(Ranking((1, 3, 3)), ("a", "b", "c"), confidence=0.8),
    judged(Correction("better", 1)),
    judged(Demonstrated(), ("example",), "heldout"),
    judged(AllBad()),
    judged(Thumbs(True), ("one",)),
    judged(Ratings((Rating("tone", 5, (5, 1)),))),
    judged(Labels((Choice("refuses", (("no",), ("yes",))),))),
    judged(Spans((Span(1, 0, 2, "rude", 3),))),
    judged(Skip()),
    judged(Flag()),
]
TRAINERS = ("sft", "reward", "dpo", "kto")


def rows_of(algorithm, items) -> list:
    """The snapshot's rows: none where there is nothing of use to the trainer."""
    try:
        return snapshot_rows(algorithm, items)
    except NotEnoughFeedback:
        return []


def test_the_table_has_each_form_once():
    assert sorted(signal.kind for signal in SIGNALS) == sorted(get_args(Kind))


@pytest.mark.parametrize("signal", [s for s in SIGNALS if s.kind != "withdrawn"], ids=lambda s: s.kind)
def test_each_form_reaches_the_trainers_the_table_names_and_no_other(signal):
    (item,) = (replace(item, split="train") for item in EVERYTHING if item.judgement.kind == signal.kind)
    ranked_too = [judged(Ranking((1, 2)), ("x", "y")), item]  # marked parts alone are no reward model's data
    reached = [name for name in TRAINERS if len(rows_of(name, ranked_too)) > len(rows_of(name, ranked_too[:1]))]
    assert tuple(reached) == signal.trainers


def test_what_is_said_beside_a_ranking_counts_too():
    also = (Ratings((Rating("tone", 5, (5, 1)),)), Spans((Span(0, 0, 4, "x"),)), Correction("better", 1))
    item = judged(Ranking((1, 2)), also=also)
    kinds = [row.kind for row in snapshot_rows("reward", [item])]
    assert sorted(kinds) == ["marked", "ranking", "ranking", "rating"]
    assert [row.completion for row in snapshot_rows("sft", [item])] == ["better"]


@pytest.mark.parametrize(
    ("confidence", "strength", "margin"),
    [(None, None, 0.0), (1.0, None, 1.0), (0.0, None, -1.0), (None, 3, 1.0), (None, 1, -0.5), (1.0, 2, 0.5)],
)
def test_confidence_and_strength_make_the_margin(confidence, strength, margin):
    (row,) = snapshot_rows("dpo", [judged(Ranking((2, 1), strength), confidence=confidence)])
    assert row.margin == margin


def test_none_will_do_is_undesirable_for_each_with_a_share_of_the_weight_and_never_a_tie():
    refused = judged(AllBad(), ("a", "b"))
    assert snapshot_rows("kto", [refused]) == [
        ThumbedAnswer(prompt=USER, text=text, desirable=False, weight=0.5, split="train") for text in ("a", "b")
    ]
    with pytest.raises(NotEnoughFeedback):
        snapshot_rows("reward", [refused])


def test_thumbs_are_about_the_answer_they_point_at():
    rows = snapshot_rows("kto", [judged(Thumbs(True, 1), also=(Thumbs(False, 0),))])
    assert [(row.text, row.desirable, row.weight) for row in rows] == [("bad", True, 1.0), ("good", False, 1.0)]


def test_marks_of_one_person_on_one_prompt_are_ordered_together():
    items = [
        judged(Ratings((Rating("tone", 5, (5,)), Rating("accuracy", 3, (2,)))), ("a",)),
        judged(Ratings((Rating("tone", 5, (1, None)),)), ("b", "c")),
        Judged(Judgement("p", "someone else", ("x",), Ratings((Rating("tone", 5, (3,)),))), USER, ("alone",), "train"),
    ]
    (row,) = snapshot_rows("reward", items)
    assert [(answer.text, answer.ratings) for answer in row.completions] == [
        ("a", {"tone": 1.0, "accuracy": 0.5}),
        ("b", {"tone": 0.0}),
    ]


def test_marked_parts_become_penalties_by_severity_and_lie_in_the_text():
    spans = Spans((Span(0, 2, 4, "x", 3), Span(0, 0, 1, "x", 1), Span(0, 1, 2, "x", 2), Span(1, 0, 99, "forged")))
    _, row = snapshot_rows("reward", [judged(Ranking((1, 2))), judged(spans)])
    assert row.text == "good"
    assert [(span.start, span.end, span.penalty) for span in row.spans] == [(0, 1, 0.5), (1, 2, 1.0), (2, 4, 2.0)]


def test_repeats_are_for_measuring_only():
    assert rows_of("reward", [judged(Ranking((1, 2)), purpose="repeat")]) == []


def test_an_adjudication_speaks_for_all_others_on_the_same_answers():
    split_vote = [judged(Ranking((1, 2))), judged(Ranking((2, 1)))]
    decision = judged(Ranking((2, 1)), purpose="adjudication", confidence=1.0)
    other = judged(Ranking((1, 2, 3)), ("a", "b", "c"))
    first, second = snapshot_rows("dpo", [*split_vote, decision, other])
    assert (first.confidence, ranked(first)) == (1.0, [("good", 2), ("bad", 1)])
    assert len(second.completions) == 3


def test_the_guide_shows_the_table():
    guide = (resources_dir() / "guide" / "signals.md").read_text(encoding="utf-8")
    assert signals_table() in guide


@pytest.mark.parametrize("algorithm", ["reward", "dpo"])
def test_comparisons_keep_ties_order_confidence_and_split(algorithm):
    first, second = [row for row in snapshot_rows(algorithm, EVERYTHING) if isinstance(row, RankedAnswers)]
    assert ranked(first) == [("a", 1), ("b", 2), ("c", 2)]
    assert first.confidence == 0.8
    assert ranked(second) == [("better", 1), ("bad", 2)]


def test_examples_and_corrections_are_imitated():
    rows = snapshot_rows("sft", EVERYTHING)
    assert rows == [
        Demonstration(prompt=USER, completion="better", split="train"),
        Demonstration(prompt=USER, completion="example", split="heldout"),
    ]


def test_a_correction_that_changes_nothing_compares_nothing():
    with pytest.raises(NotEnoughFeedback):
        snapshot_rows("reward", [judged(Correction("good", 0))])


def test_each_prompt_is_practised_once():
    other = [{"role": "user", "content": "Other"}]
    prompts = [SplitPrompt(USER, "train"), SplitPrompt(other, "heldout"), SplitPrompt(list(USER), "train")]
    assert snapshot_rows("ppo", [], prompts) == [
        PracticePrompt(prompt=USER, split="train"),
        PracticePrompt(prompt=other, split="heldout"),
    ]


@pytest.mark.parametrize(
    ("algorithm", "items", "said"),
    [
        ("sft", [], "no examples to imitate yet"),
        ("reward", [], "no rankings yet"),
        ("dpo", [judged(AllBad())], "no rankings yet"),
        ("ppo", [], "no prompts to practise on yet"),
        ("reward", [judged(Spans((Span(0, 0, 1, "rude"),)))], "no rankings yet"),  # parts alone say nothing of the whole
        ("reward", [judged(Ranking((1, 2)), split="heldout")], "held out"),
        ("dpo", [judged(Ranking((1, 1))), judged(Ranking((1, 2)), split="heldout")], "ties"),
    ],
)
def test_too_little_feedback_says_what_is_missing_and_how_to_get_it(algorithm, items, said):
    with pytest.raises(NotEnoughFeedback, match=said) as caught:
        snapshot_rows(algorithm, items)
    assert caught.value.hint
