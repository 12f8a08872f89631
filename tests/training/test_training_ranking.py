import pytest
import torch

from rlhf_desktop.feedback.snapshot import MarkedAnswer, MarkedSpan, RankedAnswers, RankedText, RatedAnswers, RatedText
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.training.batch import Group
from rlhf_desktop.training.encoding import Encoder
from rlhf_desktop.training.ranking import (
    Pairs,
    RankedGroup,
    attributes_of,
    comparisons,
    dominating,
    encode_rankings,
    margin_metrics,
)

ASK = [{"role": "user", "content": "Help me"}]


@pytest.fixture(scope="module")
def base(tiny_model):
    return load_base(tiny_model, dtype="float32")


def test_a_ranking_is_all_its_pairs(base):
    row = RankedAnswers(
        prompt=ASK, completions=[RankedText(text=t, rank=r) for t, r in (("a", 2), ("bb", 1), ("c", 2))], margin=0.4
    )
    (group,) = encode_rankings(Encoder(base, 100), [row], "train")
    assert sorted(group.wins) == [(1, 0), (1, 2)]
    assert group.ties == [(0, 2)]
    assert group.margin == 0.4
    assert encode_rankings(Encoder(base, 100), [row], "heldout") == []


def test_marks_are_ordinal_pairs_by_attribute_and_a_missing_mark_is_no_pair(base):
    marks = ({"kind": 5, "true": 1}, {"kind": 2}, {"kind": 2, "true": 1})
    answers = [RatedText(text="a" * n, ratings=each) for n, each in enumerate(marks, 1)]
    (group,) = encode_rankings(Encoder(base, 100), [RatedAnswers(prompt=ASK, completions=answers)], "train")
    assert group.marks == {"kind": Pairs([(0, 1), (0, 2)], [(1, 2)]), "true": Pairs([], [(0, 2)])}
    assert attributes_of([group]) == ["kind", "true"]


RANKED = RankedAnswers(prompt=ASK, completions=[RankedText(text=t, rank=r) for t, r in (("a", 1), ("bb", 2), ("a", 1), ("c", 3))])


def marks_of(**kind):
    return RatedAnswers(prompt=ASK, completions=[RatedText(text=t, ratings={"kind": mark}) for t, mark in kind.items()])


def test_marks_of_ranked_answers_join_the_ranking_which_alone_speaks_of_the_whole(base):
    (group,) = encode_rankings(Encoder(base, 100), [RANKED, marks_of(c=3, a=1, bb=3)], "train")
    (alone,) = encode_rankings(Encoder(base, 100), [RANKED], "train")
    assert (group.group, group.wins, group.ties) == (alone.group, alone.wins, alone.ties)
    assert group.marks == {"kind": Pairs([(3, 2), (1, 2)], [(3, 1)])}


def test_marks_by_two_people_are_all_learned_from(base):
    (group,) = encode_rankings(Encoder(base, 100), [RANKED, marks_of(a=1, bb=3, c=3), marks_of(a=2, bb=2, c=1)], "train")
    assert group.marks["kind"] == Pairs([(1, 2), (3, 2), (2, 3), (1, 3)], [(1, 3), (2, 1)])


def test_marks_of_other_answers_or_another_prompt_stay_by_themselves(base):
    elsewhere = RatedAnswers(prompt=[{"role": "user", "content": "Oh"}], completions=marks_of(a=1, bb=2, c=3).completions)
    ranked, *others = encode_rankings(Encoder(base, 100), [RANKED, marks_of(a=1, bb=2), elsewhere], "train")
    assert not ranked.marks
    assert [sorted(item.marks) for item in others] == [["kind"], ["kind"]]
    assert all(item.wins for item in others)


def test_a_marked_span_is_the_tokens_it_touches(base):
    row = MarkedAnswer(
        prompt=ASK,
        text="Fine. é😀 bad words, ok",
        spans=[MarkedSpan(start=9, end=18, penalty=2.0), MarkedSpan(start=6, end=7, penalty=0.5)],
    )
    (item,) = encode_rankings(Encoder(base, 100), [row], "train")
    (answer,) = item.group.answers
    assert len(item.penalties) == len(answer)
    assert item.penalties[-1] == 0  # the end of the turn
    said = {p: base.tokenizer.decode([t for t, q in zip(answer, item.penalties, strict=True) if q == p]) for p in (0.5, 2.0)}
    assert said[2.0].strip() == "bad words"
    assert said[0.5].strip() == "é"


def test_pairs_of_one_text_with_itself_say_nothing(base):
    texts = [RankedText(text=t, rank=r) for t, r in (("a", 1), ("a", 2), ("b", 3))]
    encoder = Encoder(base, 100)
    (group,) = encode_rankings(encoder, [RankedAnswers(prompt=ASK, completions=texts)], "train")
    assert (group.wins, group.ties) == ([(0, 2), (1, 2)], [])
    assert encode_rankings(encoder, [RankedAnswers(prompt=ASK, completions=texts[:2])], "train") == []
    assert list(encoder.aside) == ["the answers are the same text"]


def test_only_an_answer_at_least_as_good_in_everything_is_better_overall():
    kind, right, neither = (RatedText(text="", ratings=r) for r in ({"k": 5, "t": 1}, {"k": 1, "t": 5}, {"k": 1, "t": 1}))
    assert dominating([kind, right, neither]) == [(0, 2), (1, 2)]
    assert dominating([RatedText(text="", ratings={"k": 5}), RatedText(text="", ratings={"t": 1})]) == []


GROUPS = [
    RankedGroup(Group([1], [[2], [3]]), [(0, 1)], [], margin=0.5),
    RankedGroup(Group([1], [[2], [3], [4]]), [(2, 0)], [(0, 1)], marks={"true": Pairs([(1, 0)], [(0, 2)])}, margin=-0.25),
]


def test_comparisons_are_numbered_over_answers_and_heads():
    found = comparisons(GROUPS, ["kind", "true"], with_ties=True).to(torch.device("cpu"))
    places = [(*pair, tied) for pair, tied in zip((found.pairs // 3).tolist(), found.tied.tolist(), strict=True)]
    assert places == [(0, 1, False), (4, 2, False), (2, 3, True), (3, 2, False), (2, 4, True)]
    assert found.heads.tolist() == [0, 0, 0, 2, 2]
    assert (found.pairs % 3).tolist() == [[h, h] for h in found.heads.tolist()]
    assert found.margins.tolist() == [
        0.5,
        -0.25,
        0,
        0,
        0,
    ]  # ties and marks have none: how clear the ranking was says nothing of them


def test_without_ties_and_attributes_only_wins_are_left():
    found = comparisons(GROUPS, [], with_ties=False)
    assert found.pairs.tolist() == [[0, 1], [4, 2]]
    assert not found.tied.any()
    assert comparisons([], [], with_ties=True).pairs.shape == (0, 2)


def test_a_pair_without_a_lead_is_half_right():
    found = margin_metrics(torch.tensor([2.0, 0.0, -0.5, 0.5]), 8, "eval/")  # four of a batch's eight pairs
    assert {name: float(value) for name, value in found.items()} == {
        "eval/rewards/margins": 0.25,
        "eval/rewards/accuracies": 0.3125,
    }


def test_all_answers_of_a_ranking_have_one_prompt_which_leaves_room_for_the_longest(base):
    turns = [*[{"role": "user", "content": "old " * 20}, {"role": "assistant", "content": "older " * 20}], *ASK]
    texts = [RankedText(text="Yes.", rank=1), RankedText(text="We will send a new one. " * 8, rank=2)]
    row = RankedAnswers(prompt=turns, completions=texts)
    (whole,) = encode_rankings(Encoder(base, 10_000), [row], "train")
    (cut,) = encode_rankings(Encoder(base, whole.group.widest - 1), [row], "train")
    (alone,) = encode_rankings(Encoder(base, 10_000), [RankedAnswers(prompt=ASK, completions=texts)], "train")
    assert (cut.group.prompt, cut.group.answers) == (alone.group.prompt, whole.group.answers)
    assert len(cut.group.prompt) < len(whole.group.prompt)
