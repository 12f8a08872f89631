"""Argilla 1 and 2: rankings, scales and statuses from what the format declares; suggestions and drafts are no judgement."""

import json

import pytest

from rlhf_desktop.feedback.formats import Reading, read_feedback
from rlhf_desktop.feedback.judgements import AllBad, Labels, Ranking, Ratings, Thumbs
from rlhf_desktop.feedback.rows import Problem
from rlhf_desktop.operations.feedback import preview_import

FIELDS = {"prompt": "Q", "response-1": "worst", "response-2": "best", "response-3": "middle"}
PAIR = {"prompt": "Q", "response_a": "good", "response_b": "poor"}
IN_ORDER = {("best", "middle"), ("best", "worst"), ("middle", "worst")}


def record(fields, **said):
    """A 2.x record in which one person answered each question."""
    return {"fields": fields, "responses": {name: [{"value": value, "user_id": "u"}] for name, value in said.items()}}


def old(fields, *people):
    """A 1.x record: (status, {question: value}) of each person."""
    responses = [
        {"user_id": f"u{n}", "status": status, "values": {name: {"value": value} for name, value in said.items()}}
        for n, (status, said) in enumerate(people)
    ]
    return {"fields": fields, "responses": responses, "suggestions": []}


def save(folder, *records, settings=None):
    path = folder / "records.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    if settings:
        (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    return path


def wins(rows):
    found = set()
    for row in rows:
        assert not isinstance(row, Problem), row
        for verdict in row.verdicts:
            if isinstance(verdict, Ranking):
                ranked = list(zip(verdict.ranks, row.completions, strict=True))
                found |= {(a, b) for x, a in ranked for y, b in ranked if x < y}
    return found


def marks(rows):
    return [(r.attribute, r.levels, r.scores) for row in rows for v in row.verdicts if isinstance(v, Ratings) for r in v.ratings]


RANKED = ["response-2", "response-3", "response-1"]


@pytest.mark.parametrize(
    "one",
    [
        record(FIELDS, ranking=RANKED),
        record(FIELDS, preference=RANKED),
        record(dict(reversed(FIELDS.items())), ranking=RANKED),
        record(FIELDS, ranking={"response-1": 3, "response-2": 1, "response-3": 2}),
        old(FIELDS, ("submitted", {"ranking": [{"value": name, "rank": n} for n, name in enumerate(RANKED, 1)]})),
        old(FIELDS, ("submitted", {"ranking": [{"value": name, "rank": float(n)} for n, name in enumerate(RANKED, 1)]})),
        {**FIELDS, "ranking.responses": [RANKED], "ranking.responses.users": ["u"], "ranking.responses.status": ["submitted"]},
        {
            **FIELDS,
            "ranking": [{"user_id": "u", "value": {"rank": [3, 1, 2], "value": RANKED[2:] + RANKED[:2]}, "status": "submitted"}],
        },
        {**FIELDS, "ranking": {"user_id": ["u"], "value": [{"rank": [1, 2, 3], "value": RANKED}], "status": ["submitted"]}},
    ],
    ids=[
        "2-names",
        "2-other-name",
        "2-keys-reversed",
        "names-to-ranks",
        "1-ranks",
        "1-floats",
        "2-flat",
        "1-flat",
        "1-flat-columns",
    ],
)
def test_a_ranking_is_its_order_in_every_shape_it_is_exported_in(tmp_path, one):
    path = save(tmp_path, one)
    assert wins(read_feedback(path)) == IN_ORDER
    assert preview_import(path).guesses[0].format.name == "argilla"


def test_a_ranking_with_ties_keeps_them(tmp_path):
    ranks = [{"value": "response-1", "rank": 2}, {"value": "response-2", "rank": 1}, {"value": "response-3", "rank": 2}]
    (row,) = read_feedback(save(tmp_path, record(FIELDS, ranking=ranks)))
    assert row.ranks == (2, 1, 2)


def test_a_ranking_that_names_what_was_not_shown_is_no_label(tmp_path):
    (problem,) = read_feedback(save(tmp_path, record(FIELDS, ranking=["response-2", "response-9"])))
    assert problem.reason == "the ranking “ranking” names an answer that was not shown"


def test_several_ticked_answers_are_labels_where_the_settings_say_so(tmp_path):
    question = {"name": "good ones", "settings": {"type": "multi_label_selection", "options": []}}
    (row,) = read_feedback(save(tmp_path, record(FIELDS, **{"good ones": RANKED}), settings={"questions": [question]}))
    (labels,) = row.verdicts
    assert isinstance(labels, Labels)
    assert labels.choices[0].chosen == (("yes",),) * 3


@pytest.mark.parametrize(
    "fields",
    [
        {**PAIR, "context": "C"},
        {"context": "C", "response_b": "poor", "response_a": "good", "question": "Q"},
        {"response_a": "good", "response_b": "poor", "instruction": "Q", "background": "C"},
        {"generation_model": "m", "prompt": "Q", "context": "C", "response_a": "good", "response_b": "poor"},
    ],
)
def test_what_is_no_answer_belongs_to_the_prompt(tmp_path, fields):
    (row,) = read_feedback(save(tmp_path, record(fields, preference="response_a")))
    assert wins([row]) == {("good", "poor")}
    assert {"Q", "C"} <= set(row.prompt[-1]["content"].split("\n\n"))
    assert len(row.completions) == 2


def test_a_system_field_is_the_system_message(tmp_path):
    (row,) = read_feedback(save(tmp_path, record({**PAIR, "system_prompt": "Be brief."}, preference="response_a")))
    assert row.prompt == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Q"}]


@pytest.mark.parametrize(
    "value", ["response_a", "Response A", "response_a is better", "A", "I prefer A", "The first is much better"]
)
def test_a_choice_names_an_answer_however_it_is_put(tmp_path, value):
    assert wins(read_feedback(save(tmp_path, record(PAIR, preference=value)))) == {("good", "poor")}


def test_neither_and_thumbs_and_booleans_are_what_they_say(tmp_path):
    single = {"prompt": "Q", "response": "a"}
    rows = read_feedback(save(tmp_path, record(PAIR, preference="both bad"), record(single, thumb="👎"), record(single, ok=True)))
    assert [row.verdicts[0] for row in rows] == [AllBad(), Thumbs(False), Thumbs(True)]


@pytest.mark.parametrize("status", ["discarded", "draft", "pending"])
def test_only_submitted_responses_count_in_every_shape(tmp_path, status):
    shapes = [
        old(PAIR, (status, {"preference": "response_b"}), ("submitted", {"preference": "response_a"})),
        {"fields": PAIR, "responses": {"preference": [{"value": "response_b", "user_id": "v", "status": status},
                                                      {"value": "response_a", "user_id": "u", "status": "submitted"}]}},
        {**PAIR, "preference.responses": ["response_b", "response_a"], "preference.responses.users": ["v", "u"],
         "preference.responses.status": [status, "submitted"]},
        {**PAIR, "preference": [{"user_id": "v", "value": "response_b", "status": status},
                                {"user_id": "u", "value": "response_a", "status": "submitted"}]},
    ]  # fmt: skip
    path = save(tmp_path, *shapes)
    assert wins(read_feedback(path)) == {("good", "poor")}
    notes = {note.text: note.rows for note in preview_import(path).notes}
    assert notes["Responses that were discarded or are drafts are left out"] == 4


def test_a_suggestion_is_a_models_and_no_judgement(tmp_path):
    shapes = [
        {"fields": PAIR, "responses": {}, "suggestions": {"preference": {"value": "response_b", "agent": "gpt", "score": None}}},
        {"fields": PAIR, "responses": [], "suggestions": [{"question_name": "preference", "value": "response_b", "agent": "gpt"}]},
        {**PAIR, "preference.responses": None, "preference.suggestion": "response_b", "preference.suggestion.agent": "gpt"},
    ]
    problems = list(read_feedback(save(tmp_path, *shapes)))
    assert [problem.reason.split(";")[0] for problem in problems] == ["nobody has answered it"] * 3
    both = {**record(PAIR, preference="response_a"), "suggestions": {"preference": {"value": "response_b"}}}
    assert wins(read_feedback(save(tmp_path, both))) == {("good", "poor")}


SETTINGS = {
    "fields": [{"name": name, "settings": {"type": "text"}} for name in ("prompt", "response_a", "response_b")],
    "questions": [
        {"name": "quality", "settings": {"type": "rating", "options": [{"value": n} for n in range(11)]}},
        {"name": "tone-response_a", "settings": {"type": "rating", "options": [{"value": n} for n in range(1, 8)]}},
    ],
}


def test_the_settings_beside_the_records_declare_each_questions_scale(tmp_path):
    one = record({"prompt": "Q", "response_a": "x"}, quality=0)
    two = record(PAIR, **{"quality-response_b": 10, "tone-response_a": 2})
    path = save(tmp_path, one, two, settings=SETTINGS)
    seen = preview_import(path)
    assert set(marks(seen.rows)) == {("quality", 11, (1,)), ("quality", 11, (None, 11)), ("tone", 7, (2, None))}
    assert (seen.questions, seen.sure) == ((), True)


def test_settings_around_the_records_declare_the_same(tmp_path):
    path = tmp_path / "all.json"
    path.write_text(json.dumps({"settings": SETTINGS, "records": [record({"prompt": "Q", "response_a": "x"}, quality=3)]}))
    assert marks(read_feedback(path)) == [("quality", 11, (4,))]


def test_what_one_persons_answer_lacks_costs_nobody_else(tmp_path):
    one = old(PAIR, ("submitted", {"preference": "response_a"}), ("submitted", {}), ("submitted", {"preference": "response_9"}))
    path = save(tmp_path, one)
    assert wins(preview_import(path).rows) == {("good", "poor")}
    assert [note.rows for note in preview_import(path).notes if note.text.startswith("One person's answers")] == [1]


def test_a_label_of_what_is_shown_is_no_example(tmp_path):
    path = save(tmp_path, record({"text": "I love it"}, sentiment="positive"))
    assert [(q.key, q.proposal) for q in preview_import(path).questions] == [("text:sentiment", "")]
    written = save(
        tmp_path, record({"prompt": "Q"}, answer="A"), record({"prompt": "Q"}, **{"text": "A longer one.\nOf two lines."})
    )
    assert [row.completions[0] for row in read_feedback(written)] == ["A", "A longer one.\nOf two lines."]


def test_each_question_has_its_own_scale_from_all_its_marks(tmp_path):
    said = [
        {"accuracy-response_a": a, "accuracy-response_b": b, "tone-response_a": c} for a, b, c in [(1, 5, 10), (3, 2, 1), (4, 5, 6)]
    ]
    path = save(tmp_path, *(record({**PAIR, "prompt": f"Q{n}"}, **one) for n, one in enumerate(said)))
    found = marks(read_feedback(path))
    assert {(name, levels) for name, levels, _ in found} == {("accuracy", 5), ("tone", 10)}
    assert preview_import(path).sure


def test_nine_of_ten_is_above_five_of_ten_wherever_they_stand(tmp_path):
    path = save(tmp_path, *(record({"prompt": "Q", "response": text}, quality=mark) for text, mark in [("bat", 5), ("crow", 9)]))
    assert marks(read_feedback(path)) == [("quality", 10, (5,)), ("quality", 10, (9,))]


def test_a_field_whose_name_ends_a_question_is_not_what_it_asks_about(tmp_path):
    """“quality” is not the question “qualit” about the field “y”."""
    path = save(tmp_path, record({"prompt": "Q", "y": "a"}, quality=1), record({"prompt": "Q", "y": "b"}, quality=5))
    assert {name for name, _, _ in marks(read_feedback(path))} == {"quality"}


def test_a_field_that_wins_in_another_record_is_an_answer_in_all(tmp_path):
    fields = {"instruction": "Q", "gpt4": "good", "llama": "poor"}
    path = save(tmp_path, record(fields, preference="gpt4"), record({**fields, "instruction": "Q2"}, preference="llama"))
    first, second = read_feedback(path)
    assert (wins([first]), wins([second])) == ({("good", "poor")}, {("poor", "good")})
    alone = save(tmp_path, record(fields, preference="gpt4"))
    assert [(q.key, q.proposal) for q in preview_import(alone).questions] == [("answers", "")], "llama may belong to the prompt"
    assert wins(read_feedback(alone, Reading(answers={"answers": "gpt4, llama"}))) == {("good", "poor")}


def test_questions_numbered_as_the_answers_share_one_scale(tmp_path):
    fields = {"instruction": "Q", "completion_1": "poor", "completion_2": "good"}
    (row,) = read_feedback(save(tmp_path, record(fields, rating_1=2, rating_2=9)))
    assert marks([row]) == [("rating", 10, (2, 9))]


def test_fields_of_which_nothing_tells_the_answers_are_asked_for(tmp_path):
    path = save(tmp_path, record({"title": "Q", "left column": "a", "right column": "b", "body": "c"}, score=3))
    (asked,) = preview_import(path).questions
    assert (asked.key, asked.proposal) == ("answers", "")
    rows = list(read_feedback(path, Reading(answers={"answers": "body"})))
    assert [row.completions for row in rows] == [("c",)]


def test_a_conversation_alone_is_judged_by_its_last_answer(tmp_path):
    chat = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "a"}]
    (row,) = read_feedback(save(tmp_path, record({"chat": chat}, quality=4)))
    assert (row.prompt, row.completions) == (chat[:1], ("a",))
