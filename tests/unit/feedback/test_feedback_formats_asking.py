"""What a file does not say is asked, answered and counted; with a proposal the rows come in, without one they wait."""

import json

import pytest

from rlhf_desktop.feedback.formats import Reading, read_feedback, surveyed
from rlhf_desktop.feedback.formats.asking import Context, Note, Question
from rlhf_desktop.feedback.judgements import Ratings
from rlhf_desktop.feedback.rows import Problem, Unusable
from rlhf_desktop.operations.feedback import preview_import


def write(path, records):
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def marked(question, *marks):
    """Argilla records of one answer each, marked for a question."""
    return [
        {"fields": {"prompt": f"Q{n}", "response": "A"}, "responses": {question: [{"value": mark, "user_id": "u"}]}}
        for n, mark in enumerate(marks)
    ]


def scores(path, **answers):
    reading = Reading(answers=answers)
    rows = [row for row in read_feedback(path, reading) if not isinstance(row, Problem)]
    return [(r.levels, r.scores[0]) for row in rows for v in row.verdicts if isinstance(v, Ratings) for r in v.ratings]


def test_a_proposal_is_taken_counted_once_a_record_and_replaced_by_an_answer():
    context = Context()
    question = Question("k", "Which?", proposal="a")
    for _ in range(2):
        context.next_record()
        assert [context.ask(question), context.ask(question)] == ["a", "a"]
    assert [(q.key, q.rows) for q in context.questions] == [("k", 2)]
    assert Context({"k": "b"}).ask(question) == "b"


def test_without_a_proposal_the_record_waits_and_the_question_stands_first():
    context = Context()
    context.ask(Question("a", "A?", proposal="x"))
    with pytest.raises(Unusable, match=r"^which\? Answer it with the import \(b\)$"):
        context.ask(Question("b", "Which?"))
    assert [q.key for q in context.questions] == ["b", "a"]


def test_notes_are_counted_by_record():
    context = Context()
    for _ in range(2):
        context.next_record()
        context.note("x")
        context.note("x")
    assert context.notes == (Note("x", 2),)


def test_columns_that_nobody_reads_are_named_and_ids_are_not(tmp_path):
    path = tmp_path / "p.jsonl"
    row = {"id": 7, "prompt": "Q", "chosen": "a", "rejected": "b", "source": "x", "empty": None}
    path.write_text("".join(json.dumps({**row, "prompt": f"Q{n}"}) + "\n" for n in range(3)))
    assert preview_import(path).notes == (Note("Columns that are not read: source", 3),)


def test_a_scale_that_all_marks_settle_is_not_asked_for(tmp_path):
    path = write(tmp_path / "r.json", marked("quality", 1, 2, 5))
    assert (preview_import(path).questions, preview_import(path).sure) == ((), True)
    assert scores(path) == [(5, 1), (5, 2), (5, 5)]


def test_a_scale_that_marks_only_suggest_is_asked_for_and_an_answer_holds(tmp_path):
    path = write(tmp_path / "r.json", marked("quality", 2, 4))
    seen = preview_import(path)
    (asked,) = seen.questions
    assert (seen.sure, asked.key, asked.proposal, asked.rows, seen.usable) == (False, "scale:quality", "1-5", 2, 2)
    assert {"1-5", "1-10", "5-1"} <= {value for value, _ in asked.choices}
    assert scores(path) == [(5, 2), (5, 4)]
    assert scores(path, **{"scale:quality": "1-10"}) == [(10, 2), (10, 4)]
    assert scores(path, **{"scale:quality": "5-1"}) == [(5, 4), (5, 2)]
    assert preview_import(path, answers={"scale:quality": "1-10"}).sure


@pytest.mark.parametrize("question", ["rank", "toxicity", "number of errors", "position"])
def test_whether_a_low_mark_is_the_best_is_asked_where_the_name_leaves_it_open(tmp_path, question):
    path = write(tmp_path / "r.json", marked(question, 1, 3, 5))
    seen = preview_import(path)
    (asked,) = seen.questions
    assert (seen.usable, seen.unusable, asked.proposal, asked.rows) == (0, 3, "", 3)
    assert asked.key in seen.reasons[0].text
    assert scores(path, **{asked.key: "5-1"}) == [(5, 5), (5, 3), (5, 1)]


@pytest.mark.parametrize("marks", [(12, 80), (0.25, 0.5), (-3, 4)])
def test_marks_of_no_usual_scale_wait_for_their_scale(tmp_path, marks):
    path = write(tmp_path / "r.json", marked("quality", *marks))
    seen = preview_import(path)
    assert (seen.usable, [(q.key, q.proposal) for q in seen.questions]) == (0, [("scale:quality", "")])


def test_a_scale_of_very_many_steps_is_kept_in_fewer_and_said(tmp_path):
    path = write(tmp_path / "r.json", marked("quality", 0, 50, 100))
    reading = Reading(answers={"scale:quality": "0-100"})
    context = surveyed(path, reading)
    assert [row.verdicts[0].ratings[0].scores[0] for row in read_feedback(path, reading, context=context)] == [1, 10, 20]
    assert context.notes == (Note("The 101 steps of “quality” are kept as 20", 3),)
