import pytest
from pydantic import ValidationError

from rlhf_desktop.feedback.snapshot import (
    Demonstration,
    MarkedAnswer,
    MarkedSpan,
    PracticePrompt,
    RankedAnswers,
    RankedText,
    RatedAnswers,
    RatedText,
    ThumbedAnswer,
    margin_of,
    parse_row,
    read_snapshot,
    with_their_marks,
    write_snapshot,
)

ASK = [{"role": "user", "content": "Où est ma lampe ?"}]
ROWS = [
    Demonstration(prompt=ASK, completion="Là."),
    RankedAnswers(prompt=ASK, completions=[RankedText(text="a", rank=1), RankedText(text="b", rank=2)], confidence=0.9, margin=0.8),
    RatedAnswers(
        prompt=ASK, completions=[RatedText(text="a", ratings={"kind": 5, "true": 2}), RatedText(text="b", ratings={"kind": 1})]
    ),
    ThumbedAnswer(prompt=ASK, text="a", desirable=False, weight=0.5, split="heldout"),
    MarkedAnswer(prompt=ASK, text="It is late, fool.", spans=[MarkedSpan(start=10, end=16, penalty=2)]),
    PracticePrompt(prompt=ASK),
]


def test_every_kind_of_row_comes_back_as_it_was(tmp_path):
    write_snapshot(tmp_path / "data.jsonl", ROWS)
    assert read_snapshot(tmp_path / "data.jsonl") == ROWS


def test_a_ranking_written_by_an_earlier_version_is_read():
    row = {
        "kind": "ranking",
        "prompt": ASK,
        "completions": [{"text": "a", "rank": 1}, {"text": "b", "rank": 1}],
        "confidence": None,
    }
    assert parse_row.validate_python(row).margin == 0


@pytest.mark.parametrize(("confidence", "margin"), [(None, 0), (0.5, 0), (1, 1), (0, -1), (0.75, 0.5)])
def test_the_margin_of_a_confidence(confidence, margin):
    assert margin_of(confidence) == margin


@pytest.mark.parametrize(("start", "end"), [(3, 3), (4, 2), (0, 8)])
def test_a_span_outside_its_answer_is_refused(start, end):
    with pytest.raises(ValidationError, match="outside its answer"):
        MarkedAnswer(prompt=ASK, text="bad one", spans=[MarkedSpan(start=start, end=end)])


def test_rows_that_can_teach_nothing_are_refused():
    with pytest.raises(ValidationError):
        RatedAnswers(prompt=ASK, completions=[RatedText(text="a", ratings={"kind": 1})])
    with pytest.raises(ValidationError):
        RatedText(text="a", ratings={})
    with pytest.raises(ValidationError):
        ThumbedAnswer(prompt=ASK, text="a", desirable=True, weight=0)


def test_marks_of_ranked_answers_are_no_row_of_their_own():
    demonstration, ranking, marks, *others = ROWS
    assert with_their_marks(ROWS) == [(demonstration, []), (ranking, [marks]), *((row, []) for row in others)]
    elsewhere = marks.model_copy(update={"prompt": [{"role": "user", "content": "?"}]})
    assert with_their_marks([elsewhere, ranking]) == [(elsewhere, []), (ranking, [])]
