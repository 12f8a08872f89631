from typing import get_args

import pytest

from rlhf_desktop.core.errors import NotEnoughFeedback
from rlhf_desktop.feedback.judgements import AllBad, Correction, Demonstrated, Flag, Judgement, Kind, Ranking, Skip, Thumbs
from rlhf_desktop.feedback.signals import SIGNALS, Judged, SplitPrompt, snapshot_rows
from rlhf_desktop.feedback.snapshot import Demonstration, PracticePrompt, RankedAnswers

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
    judged(Skip()),
    judged(Flag()),
]


def test_the_table_has_each_form_once():
    assert sorted(signal.kind for signal in SIGNALS) == sorted(get_args(Kind))


@pytest.mark.parametrize("signal", [s for s in SIGNALS if s.kind != "withdrawn"], ids=lambda s: s.kind)
def test_the_table_says_what_the_functions_do(signal):
    (item,) = (item for item in EVERYTHING if item.judgement.kind == signal.kind)
    from rlhf_desktop.feedback.signals import demonstrations, rankings

    assert bool(list(demonstrations([item]))) == bool(signal.sft)
    assert bool(list(rankings([item]))) == bool(signal.comparisons)


@pytest.mark.parametrize("algorithm", ["reward", "dpo"])
def test_comparisons_keep_ties_order_confidence_and_split(algorithm):
    first, second = snapshot_rows(algorithm, EVERYTHING)
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
        ("reward", [judged(Ranking((1, 2)), split="heldout")], "held out"),
        ("dpo", [judged(Ranking((1, 1))), judged(Ranking((1, 2)), split="heldout")], "ties"),
    ],
)
def test_too_little_feedback_says_what_is_missing_and_how_to_get_it(algorithm, items, said):
    with pytest.raises(NotEnoughFeedback, match=said) as caught:
        snapshot_rows(algorithm, items)
    assert caught.value.hint
