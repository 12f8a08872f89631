"""Label Studio: who stood left, which scale, which status — from the configuration and `to_name`, never from the order of keys."""

import json

import pytest

from rlhf_desktop.feedback.formats import Reading, read_feedback, surveyed
from rlhf_desktop.feedback.formats.declared import label_config
from rlhf_desktop.feedback.formats.scales import Scale
from rlhf_desktop.feedback.judgements import AllBad, Labels, Ranking, Ratings, Thumbs
from rlhf_desktop.feedback.rows import Problem
from rlhf_desktop.operations.feedback import preview_import


def task(data, *results, **more):
    return {"id": 1, "data": data, "annotations": [{"completed_by": 1, "was_cancelled": False, "result": list(results), **more}]}


def pairwise(selected, to_name="answer1,answer2", name="comparison"):
    return {"from_name": name, "to_name": to_name, "type": "pairwise", "value": {"selected": selected}}


def rating(mark, to_name, name="quality", **more):
    return {"from_name": name, "to_name": to_name, "type": "rating", "value": {"rating": mark}, **more}


def choices(name, to_name, *picked):
    return {"from_name": name, "to_name": to_name, "type": "choices", "value": {"choices": list(picked)}}


def ranker(value, to_name="results", name="rank"):
    return {"from_name": name, "to_name": to_name, "type": "ranker", "value": {"ranker": value}}


def save(folder, *tasks, config=""):
    path = folder / "tasks.json"
    path.write_text(json.dumps(tasks), encoding="utf-8")
    if config:
        (folder / "config.xml").write_text(config, encoding="utf-8")
    return path


def wins(rows):
    """Which text beat which, and which were tied."""
    found = set()
    for row in rows:
        assert not isinstance(row, Problem), row
        for verdict in row.verdicts:
            if isinstance(verdict, Ranking):
                ranked = list(zip(verdict.ranks, row.completions, strict=True))
                found |= {(a, b) for x, a in ranked for y, b in ranked if x < y}
                found |= {frozenset((a, b)) for x, a in ranked for y, b in ranked if x == y and a < b}
    return found


def asked(row):
    return row.prompt[-1]["content"]


DATA = {"prompt": "Q", "answer1": "good", "answer2": "poor"}


@pytest.mark.parametrize(
    "data",
    [
        {"prompt": "Q", "ours": "poor", "chatgpt": "good"},
        {"ours": "poor", "chatgpt": "good", "prompt": "Q"},
        {"chatgpt": "good", "source": "web", "ours": "poor", "question": "Q", "id": 7},
        {"ours": "poor", "text": "Q", "chatgpt": "good"},
    ],
)
@pytest.mark.parametrize(("selected", "to_name"), [("left", "chatgpt,ours"), ("right", "ours,chatgpt"), ("right", "ours, chatgpt")])
def test_left_is_the_first_that_to_name_names_whatever_the_keys_order(tmp_path, data, selected, to_name):
    (row,) = read_feedback(save(tmp_path, task(data, pairwise(selected, to_name))))
    assert (wins([row]), asked(row)) == ({("good", "poor")}, "Q")


def test_two_texts_without_a_question_are_compared_and_the_question_is_asked_for(tmp_path):
    path = save(tmp_path, task({"text1": "good", "text2": "poor"}, pairwise("left", "text1,text2")))
    seen = preview_import(path)
    assert (wins(seen.rows), seen.sure) == ({("good", "poor")}, False)
    assert [(q.key, q.proposal, q.rows) for q in seen.questions] == [("question", "(no question)", 1)]
    (row,) = read_feedback(path, Reading(answers={"question": "Say it."}))
    assert asked(row) == "Say it."


CONFIG = """<View>
  <Header value="Compare"/><Text name="q" value="$prompt"/>
  <Text name="a" value="$first"/><Text name="b" value="$second"/>
  <Pairwise name="better" toName="a,b"/>
  <Rating name="tone" toName="a" maxRating="10"/><Rating name="stars" toName="a"/>
  <Number name="points" toName="a" min="0" max="20"/>
</View>"""
OTHER = {"second": "poor", "prompt": "Q", "first": "good", "secret": "not shown"}


def test_the_configuration_beside_the_file_says_what_the_names_on_the_screen_show(tmp_path):
    path = save(tmp_path, task(OTHER, pairwise("left", "a,b", "better")), task(OTHER, pairwise("right", "b,a")), config=CONFIG)
    seen = preview_import(path)
    assert (wins(seen.rows), seen.questions, [asked(row) for row in seen.rows]) == ({("good", "poor")}, (), ["Q", "Q"])
    assert "The field “secret” is not shown to annotators and is left out" in [note.text for note in seen.notes]


def test_a_task_that_carries_its_configuration_needs_none_beside_it(tmp_path):
    told = {**task(OTHER, pairwise("left", "a,b")), "project": {"label_config": CONFIG}}
    assert wins(read_feedback(save(tmp_path, told))) == {("good", "poor")}


def test_names_that_nothing_explains_are_asked_for_and_the_answer_holds(tmp_path):
    path = save(tmp_path, task(OTHER, pairwise("left", "a,b")))
    seen = preview_import(path)
    assert (seen.usable, seen.unusable, [(q.key, q.proposal) for q in seen.questions]) == (0, 1, [("column:a", "")])
    rows = list(read_feedback(path, Reading(answers={"column:a": "first", "column:b": "second"})))
    assert wins(rows) == {("good", "poor")}


def test_names_with_the_columns_numbers_are_proposed_not_taken_for_sure(tmp_path):
    path = save(tmp_path, task({"prompt": "Q", "text2": "poor", "text1": "good"}, pairwise("left", "txt-1,txt-2")))
    seen = preview_import(path)
    assert (wins(seen.rows), seen.sure) == ({("good", "poor")}, False)
    assert {q.key: q.proposal for q in seen.questions} == {"column:txt-1": "text1", "column:txt-2": "text2"}


def test_who_stood_left_is_asked_where_no_result_says_it(tmp_path):
    path = save(tmp_path, task({"prompt": "Q", "ours": "poor", "chatgpt": "good"}, rating(4, "ours"), rating(2, "chatgpt"),
                               {"from_name": "c", "type": "pairwise", "value": {"selected": "left"}}))  # fmt: skip
    assert [(q.key, q.proposal) for q in preview_import(path).questions if q.key == "left"] == [("left", "")]
    assert wins(read_feedback(path, Reading(answers={"left": "chatgpt"}))) == {("good", "poor")}


def test_which_is_worse_is_the_other_way_round(tmp_path):
    assert wins(read_feedback(save(tmp_path, task(DATA, pairwise("right", name="worse"))))) == {("good", "poor")}
    assert wins(read_feedback(save(tmp_path, task(DATA, choices("worst answer", "prompt", "answer2"))))) == {("good", "poor")}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("answer1", {("good", "poor")}),
        ("Answer 1", {("good", "poor")}),
        ("Answer 2 is much better", {("poor", "good")}),
        ("A", {("good", "poor")}),
        ("Response B is better", {("poor", "good")}),
        ("left", {("good", "poor")}),
        ("the second", {("poor", "good")}),
        ("A > B", {("good", "poor")}),
        ("B >> A", {("poor", "good")}),
        ("A = B", {frozenset(("good", "poor"))}),
        ("Tie", {frozenset(("good", "poor"))}),
        ("Both are equally good", {frozenset(("good", "poor"))}),
    ],
)
def test_a_chosen_word_names_an_answer_however_it_is_put(tmp_path, word, expected):
    path = save(tmp_path, task(DATA, choices("preference", "prompt", word)))
    assert wins(read_feedback(path)) == expected
    assert preview_import(path).questions == ()


@pytest.mark.parametrize("word", ["Both are bad", "neither", "None of them", "tie (bothbad)"])
def test_neither_will_do_is_no_tie(tmp_path, word):
    (row,) = read_feedback(save(tmp_path, task(DATA, choices("preference", "prompt", word))))
    assert row.verdicts == (AllBad(),)


@pytest.mark.parametrize("word", ["B", "left", "2", "The blue one", "not the first"])
def test_a_word_that_could_be_either_answer_is_asked_for(tmp_path, word):
    told = [rating(5, "ours", "ease"), rating(1, "chatgpt", "ease"), choices("preference", "prompt", word)]
    path = save(tmp_path, task({"prompt": "Q", "ours": "poor", "chatgpt": "good"}, *told))
    open_ones = [q for q in preview_import(path).questions if q.key.startswith("choice:")]
    assert [(q.key, q.proposal) for q in open_ones] == [(f"choice:{word}", "")]
    assert wins(read_feedback(path, Reading(answers={f"choice:{word}": "chatgpt"}))) == {("good", "poor")}


ITEMS = [{"id": "x", "title": "T", "body": "worst"}, {"id": "y", "title": "T", "body": "best"}, {"id": "z", "body": "middle"}]


@pytest.mark.parametrize(
    "value", [["y", "z", "x"], {"rank": ["y", "z", "x"]}, {"my-ranker": ["y", "z", "x"]}, {"rank": ["y", "z", "x"], "_": []}]
)
@pytest.mark.parametrize("column", ["items", "answers"])
def test_a_list_is_ranked_by_the_ids_of_its_items(tmp_path, value, column):
    (row,) = read_feedback(save(tmp_path, task({"prompt": "Q", column: ITEMS}, ranker(value, "some-list"))))
    assert wins([row]) == {("best", "middle"), ("best", "worst"), ("middle", "worst")}
    assert asked(row) == "Q"


def test_items_that_nobody_moved_are_not_ranked_and_that_is_said(tmp_path):
    path = save(tmp_path, task({"prompt": "Q", "items": ITEMS}, ranker({"rank": ["y", "z"], "_": ["x"]})))
    seen = preview_import(path)
    assert wins(seen.rows) == {("best", "middle")}
    assert "Items that nobody moved into a ranker's groups are not ranked" in [note.text for note in seen.notes]


def test_groups_are_labels_unless_somebody_says_that_they_are_an_order(tmp_path):
    path = save(tmp_path, task({"prompt": "Q", "items": ITEMS}, ranker({"good": ["y"], "poor": ["x"], "_": ["z"]})))
    seen = preview_import(path)
    assert ([type(v) for row in seen.rows for v in row.verdicts], seen.sure) == ([Labels], False)
    assert wins(read_feedback(path, Reading(answers={"order:rank": "good,poor"}))) == {("best", "worst")}


def marks(rows):
    return [(r.attribute, r.levels, r.scores) for row in rows for v in row.verdicts if isinstance(v, Ratings) for r in v.ratings]


def test_each_question_has_its_own_scale_from_the_configuration(tmp_path):
    data = {"prompt": "Q", "first": "good", "second": "poor"}
    results = [rating(4, "a", "tone"), rating(9.0, "b", "tone"), rating(3, "a", "stars"),
               {"from_name": "points", "to_name": "b", "type": "number", "value": {"number": 7}}]  # fmt: skip
    path = save(tmp_path, task(data, *results), config=CONFIG)
    seen = preview_import(path)
    assert marks(seen.rows) == [("tone", 10, (4, 9)), ("stars", 5, (3, None)), ("points", 20, (None, 7))]
    assert seen.questions == ()


def test_the_scale_of_a_question_is_that_of_all_its_marks_in_the_file(tmp_path):
    tasks = [task(DATA, rating(mark, f"answer{n}")) for mark, n in [(1, 1), (10, 2), (5, 1)]]
    path = save(tmp_path, *tasks)
    assert marks(read_feedback(path)) == [("quality", 10, (1, None)), ("quality", 10, (None, 10)), ("quality", 10, (5, None))]
    assert preview_import(path).sure


def test_a_number_is_left_out_until_somebody_says_its_scale(tmp_path):
    number = {"from_name": "points", "to_name": "answer1", "type": "number", "value": {"number": 7}}
    path = save(tmp_path, task(DATA, pairwise("left"), number))
    seen = preview_import(path)
    assert (wins(seen.rows), marks(seen.rows)) == ({("good", "poor")}, [])
    assert [(q.key, q.proposal) for q in seen.questions] == [("scale:points", "left out")]
    assert marks(read_feedback(path, Reading(answers={"scale:points": "0-10"}))) == [("points", 11, (8, None))]


def test_columns_that_a_choice_names_are_answers_in_every_task(tmp_path):
    data = {"user_prompt": "Q", "llama": "poor", "mistral": "good"}
    tasks = [task(data, choices("better", "user_prompt", word)) for word in ("mistral", "llama")]
    first, second = read_feedback(save(tmp_path, *tasks))
    assert (wins([first]), wins([second])) == ({("good", "poor")}, {("poor", "good")})


@pytest.mark.parametrize(
    ("meta", "levels"), [({"maxRating": 7}, 7), ({"max": 10}, 10), ({"min": 0, "max": 4}, 5), ({"minRating": 1, "maxRating": 3}, 3)]
)
def test_a_scale_that_the_result_itself_declares_counts(tmp_path, meta, levels):
    path = save(tmp_path, task(DATA, rating(3, "answer1", meta=meta)))
    assert [found[:2] for found in marks(read_feedback(path))] == [("quality", levels)]
    assert preview_import(path).questions == ()


def test_an_unknown_control_costs_itself_only_and_is_named(tmp_path):
    odd = {"from_name": "when", "to_name": "answer1", "type": "datetime", "value": {"datetime": "2024"}}
    path = save(tmp_path, task(DATA, pairwise("left"), odd))
    seen = preview_import(path)
    assert wins(seen.rows) == {("good", "poor")}
    assert "“when” is left out: a result of the type “datetime” is not understood" in [note.text for note in seen.notes]


def test_cancelled_annotations_and_predictions_are_no_judgement(tmp_path):
    skipped = task(DATA, pairwise("right"), was_cancelled=True)
    skipped["predictions"] = [{"result": [pairwise("left")]}]
    (problem,) = read_feedback(save(tmp_path, skipped))
    assert problem.reason == "nobody has annotated it"
    both = task(DATA, pairwise("left"))
    both["annotations"] += skipped["annotations"]
    assert wins(read_feedback(save(tmp_path, both))) == {("good", "poor")}


def test_what_one_person_left_empty_costs_nobody_else(tmp_path):
    both = task(DATA, pairwise("left"))
    both["annotations"] += [{"completed_by": 2, "result": []}]
    path = save(tmp_path, both)
    seen = preview_import(path)
    assert wins(seen.rows) == {("good", "poor")}
    assert [note.rows for note in seen.notes if note.text.startswith("One person's answers")] == [1]


@pytest.mark.parametrize("name", ["label_config", "config"])
def test_a_configuration_around_the_tasks_is_read(tmp_path, name):
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps({name: CONFIG, "tasks": [task(OTHER, pairwise("left", "a,b"), rating(9, "a", "tone"))]}))
    rows = list(read_feedback(path))
    assert (wins(rows), marks(rows)) == ({("good", "poor")}, [("tone", 10, (None, 9))])  # in the columns' order


def test_a_configuration_that_is_none_declares_nothing():
    for text in ("", "<View", "<!DOCTYPE x [<!ENTITY a 'b'>]><View/>", '<View><Rating name="x" maxRating="much"/></View>'):
        assert label_config(text).scales in ({}, {"x": Scale(1, 5)})


def test_a_broken_file_beside_changes_nothing(tmp_path):
    path = save(tmp_path, task(DATA, pairwise("left")), config="<View>")
    (tmp_path / "settings.json").write_text("[")
    assert not surveyed(path, Reading()).declared
    assert wins(read_feedback(path)) == {("good", "poor")}


TWO = {"prompt": "Q", "response_a": "A", "response_b": "B"}


@pytest.mark.parametrize(
    ("name", "ranks"),
    [
        ("preference", (2, 1)), ("more_helpful", (2, 1)), ("less_harmful", (2, 1)), ("least_toxic", (2, 1)),
        ("more_harmful", (1, 2)), ("most_toxic", (1, 2)), ("least_helpful", (1, 2)), ("not_preferred", (1, 2)), ("worse", (1, 2)),
        ("which_is_incorrect", (1, 2)), ("more biased", (1, 2)),
    ],
)  # fmt: skip
def test_who_is_chosen_for_something_bad_has_lost(tmp_path, name, ranks):
    path = save(tmp_path, task(TWO, choices(name, "prompt", "Response B")))
    assert [row.verdicts for row in read_feedback(path)] == [(Ranking(ranks),)]
    pair = save(tmp_path, task(TWO, pairwise("right", "response_a,response_b", name)))
    assert [row.verdicts for row in read_feedback(pair)] == [(Ranking(ranks),)]


def test_neither_is_worse_is_a_tie(tmp_path):
    path = save(tmp_path, task(TWO, choices("which_is_worse", "prompt", "Neither")))
    assert [row.verdicts for row in read_feedback(path)] == [(Ranking((1, 1)),)]


def test_a_choice_of_the_longer_answer_is_asked_about(tmp_path):
    path = save(tmp_path, task(TWO, choices("which_is_longer", "prompt", "Response B")))
    seen = preview_import(path)
    assert (seen.sure, [(q.key, q.proposal) for q in seen.questions]) == (False, [("direction:which_is_longer", "")])
    for answer, verdict in (("best", Ranking), ("label", Labels)):
        reading = Reading(answers={"direction:which_is_longer": answer})
        assert [type(row.verdicts[0]) for row in read_feedback(path, reading)] == [verdict]


def test_good_and_bad_of_one_answer_are_labels_unless_somebody_says_they_are_thumbs(tmp_path):
    data = {"prompt": "Q", "answer": "A"}
    path = save(tmp_path, *(task(data, choices("quality", "answer", word)) for word in ("Good", "Bad")))
    seen = preview_import(path)
    assert (seen.sure, [(q.key, q.proposal) for q in seen.questions]) == (False, [("thumb:quality", "label")])
    rows = read_feedback(path, Reading(answers={"thumb:quality": "thumb"}))
    assert [row.verdicts for row in rows] == [(Thumbs(True),), (Thumbs(False),)]
