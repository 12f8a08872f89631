"""Answers in columns or lists of any name: who won is read from words, numbers and scores, and asked where they leave it open."""

import json

import pytest

from rlhf_desktop.feedback.formats import Reading, read_feedback
from rlhf_desktop.feedback.judgements import AllBad, Ranking
from rlhf_desktop.feedback.rows import Problem
from rlhf_desktop.operations.feedback import preview_import

AB = {"prompt": "Q", "response_a": "A", "response_b": "B"}
FIRST, SECOND, TIE = Ranking((1, 2)), Ranking((2, 1)), Ranking((1, 1))


def save(folder, *records):
    path = folder / "f.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def verdicts(path, **answers):
    return [None if isinstance(row, Problem) else row.verdicts[0] for row in read_feedback(path, Reading(answers=answers))]


@pytest.mark.parametrize(
    ("columns", "verdict"),
    [
        ({"winner": "B"}, SECOND), ({"preferred": "response_a"}, FIRST), ({"choice": "A is better"}, FIRST),
        ({"winner": "tie"}, TIE),
        ({"vote": "both bad"}, AllBad()), ({"pw": "response_b"}, SECOND), ({"worse": "B"}, FIRST), ({"loser": "a"}, SECOND),
        ({"score_a": 2, "score_b": 5}, SECOND), ({"rating_a": "4,5", "rating_b": "1"}, FIRST), ({"rank_a": 2, "rank_b": 1}, SECOND),
        ({"response_a_score": 1, "response_b_score": 1}, TIE), ({"score_a": 2, "score_b": 5, "winner": "a"}, FIRST),
    ],
)  # fmt: skip
def test_columns_say_who_won(tmp_path, columns, verdict):
    path = save(tmp_path, {**AB, **columns})
    assert verdicts(path) == [verdict]
    assert preview_import(path).sure


@pytest.mark.parametrize("named", ["system_prompt", "sysPrompt"])
def test_a_system_message_that_stands_first_is_not_the_question(tmp_path, named):
    path = save(tmp_path, {named: "Be kind", "task": "Q", "response_a": "A", "response_b": "B", "winner": "A"})
    (row,) = read_feedback(path)
    assert row.prompt == [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "Q"}]


def test_a_winner_may_be_named_by_its_model(tmp_path):
    models = ({"model_a": "x", "model_b": "y"}, {"model_a": "y", "model_b": "x"}, {"model_a": "y", "model_b": "y"})
    path = save(tmp_path, *({**AB, **named, "winner": "y"} for named in models))
    assert verdicts(path) == [SECOND, FIRST, None]
    assert verdicts(save(tmp_path, {**AB, **models[0], "winner": "model_a"})) == [FIRST]


@pytest.mark.parametrize("columns", [{"winner": "A"}, {"score_a": 3, "score_b": 1}, {"rank_a": 1, "rank_b": 2}, {"worse": "B"}])
def test_swapping_the_answers_and_the_verdict_says_the_same(tmp_path, columns):
    other = {name[:-1] + "ba"[name[-1] == "b"] if name[-2] == "_" else name: value for name, value in columns.items()}
    other = {name: {"A": "B", "B": "A"}.get(value, value) for name, value in other.items()}
    swapped = {"prompt": "Q", "response_a": "B", "response_b": "A", **other}
    best = [
        [text for text, rank in zip(row.completions, row.verdicts[0].ranks, strict=True) if rank == 1]
        for row in read_feedback(save(tmp_path, {**AB, **columns}, swapped))
    ]
    assert best == [["A"], ["A"]]


@pytest.mark.parametrize(
    ("names", "numbers", "expected"),
    [
        (("response_0", "response_1"), (0, 1), [FIRST, SECOND]), (("answer 1", "answer 2"), (1.0, 2.0), [FIRST, SECOND]),
        (("response_1", "response_2"), ("2", "1"), [SECOND, FIRST]), (("response_a", "response_b"), (0, 1), None),
        (("response_1", "response_2"), (0, 1), None), (("response_a", "response_b"), (1, 2), None),
    ],
)  # fmt: skip
def test_a_number_means_the_answer_of_that_number_or_is_asked_about(tmp_path, names, numbers, expected):
    path = save(tmp_path, *({"prompt": "Q", names[0]: "A", names[1]: "B", "chosen": number} for number in numbers))
    seen = preview_import(path)
    assert seen.sure == (expected is not None)
    if expected:
        assert verdicts(path) == expected
    else:
        assert {q.key for q in seen.questions} == {f"choice:{number}" for number in numbers}
        assert verdicts(path, **{f"choice:{numbers[0]}": "#1", f"choice:{numbers[1]}": "#2"}) == [FIRST, SECOND]


def test_who_stood_left_in_a_flat_table_is_asked(tmp_path):
    rows = (
        {"id": n, "prompt": "Q", "answer1": "A", "answer2": "B", "pw": side, "annotator": 1}
        for n, side in enumerate(("left", "right"))
    )
    path = save(tmp_path, *rows)
    assert [(q.key, q.proposal, q.rows) for q in preview_import(path).questions] == [("left", "", 2)]
    assert verdicts(path, left="answer1") == [FIRST, SECOND]
    assert verdicts(path, left="answer2") == [SECOND, FIRST]
    assert [row.annotator for row in read_feedback(path, Reading(answers={"left": "answer1"}))] == ["1", "1"]


@pytest.mark.parametrize(
    ("columns", "verdict"),
    [
        ({"generations": ["A", "B"], "ratings": [2, 5]}, SECOND), ({"completions": ["A", "B"], "scores": [0.9, 0.1]}, FIRST),
        ({"responses": ["A", "B"], "ranks": [2, 1]}, SECOND), ({"generations": ["A", "B"], "rating": [9.0, 9.0]}, TIE),
        ({"answers": [{"text": "A", "pm_score": 1}, {"text": "B", "pm_score": 5}]}, SECOND),
        ({"options": [{"id": 4, "text": "A"}, {"id": 2, "text": "B"}], "accept": [2], "answer": "accept"}, SECOND),
        ({"responses": ["A", "B"], "scores": [1, 3], "ranks": [2, 1]}, SECOND),
        ({"generations": ["An A", "B"], "rating": [9, 3], "chosen_score": 9.0, "chosen": "An A"}, FIRST),
    ],
)  # fmt: skip
def test_lists_of_answers_with_scores(tmp_path, columns, verdict):
    assert verdicts(save(tmp_path, {"input": "Q", **columns})) == [verdict]


def test_an_index_into_a_list_begins_with_0_or_is_asked_about(tmp_path):
    both = save(tmp_path, *({"prompt": "Q", "responses": ["A", "B"], "best": n} for n in (0, 1)))
    assert verdicts(both) == [FIRST, SECOND]
    one = save(tmp_path, {"prompt": "Q", "responses": ["A", "B"], "best": 1})
    assert verdicts(one) == [None]
    assert [q.key for q in preview_import(one).questions] == ["choice:1"]


@pytest.mark.parametrize(
    ("columns", "key", "answers"),
    [
        ({"score_a": 1, "score_b": 5, "rating_a": 5, "rating_b": 1}, "counts", {"score …": SECOND, "rating …": FIRST}),
        ({"winner": "A", "preferred": "B"}, "counts", {"winner": FIRST, "preferred": SECOND}),
        ({"grade_a": 1, "grade_b": 5}, "side:grade …", {"low": FIRST, "high": SECOND}),
    ],
)
def test_what_does_not_agree_or_has_no_side_is_asked_about(tmp_path, columns, key, answers):
    path = save(tmp_path, {**AB, **columns})
    assert (verdicts(path), [q.key for q in preview_import(path).questions]) == ([None], [key])
    for answer, verdict in answers.items():
        assert verdicts(path, **{key: answer}) == [verdict]


@pytest.mark.parametrize(
    "record",
    [
        {**AB}, {**AB, "score_a": 3}, {**AB, "model_a": "x", "model_b": "y", "length_a": 3, "length_b": 9},
        {"prompt": "Q", "completions": ["step 1", "step 2"], "labels": [True, False]},
        {"prompt": "Q", "options": [{"id": 1, "text": "A"}, {"id": 2, "text": "B"}], "accept": [1], "answer": "reject"},
        {"prompt": "Q", "options": [{"id": 1, "text": "A"}, {"id": 2, "text": "B"}], "accept": [], "answer": "accept"},
    ],
)  # fmt: skip
def test_without_a_verdict_nothing_is_learned(tmp_path, record):
    assert verdicts(save(tmp_path, record)) == [None]


def test_a_long_text_beside_answers_is_no_word_for_one_of_them(tmp_path):
    long = "Which is it" + " " * 30_000 + "?"
    assert verdicts(save(tmp_path, {**AB, "prompt": long, "verdict": long})) == [None]
    assert verdicts(save(tmp_path, {**AB, "prompt": long, "winner": "A"})) == [FIRST]
