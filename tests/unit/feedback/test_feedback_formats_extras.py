"""What stands beside the texts: bad is never an example to imitate, equal scores are a tie, a system column is kept."""

import json

import pytest

from rlhf_desktop.feedback.formats import FORMATS, Reading, read_feedback, surveyed
from rlhf_desktop.feedback.formats.parquet import write_parquet
from rlhf_desktop.feedback.formats.thumbs import thumb_of
from rlhf_desktop.feedback.judgements import Demonstrated, Ranking, Ratings, Thumbs
from rlhf_desktop.feedback.rows import DemonstrationRow, Problem, RankingRow, Unusable
from rlhf_desktop.operations.feedback import preview_import


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


SYSTEM = {"role": "system", "content": "Be brief."}
EXAMPLES = {
    "messages": {"messages": [user("Q"), assistant("A")]},
    "prompt-completion": {"prompt": "Q", "completion": "A"},
    "conversational": {"prompt": [user("Q")], "completion": [assistant("A")]},
    "alpaca": {"instruction": "Q", "input": "", "output": "A"},
    "sharegpt": {"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]},
    "chats": {"conversation": [user("Q"), assistant("A")]},
}
BAD = [
    {"label": False}, {"label": 0}, {"label": "0"}, {"label": 0.0}, {"label": -1}, {"label": "bad"},
    {"label": "rejected"}, {"Label": "False"}, {"label": "thumbs_down"}, {"label": "Thumbs Down"},
    {"label": "👎🏽"}, {"kto_tag": False}, {"kto-tag": "false"}, {"ktoTag": False}, {"thumb": "down"},
    {"vote": -1}, {"rating": -1}, {"feedback": "thumbs_down"}, {"is_good": False}, {"good": "no"},
    {"accepted": False}, {"thumbs_up": False}, {"thumbs_down": True}, {"rejected": True},
    {"status": "rejected"}, {"liked": False}, {"score": 0}, {"is_correct": False}, {"chosen": False},
    {"reaction": "dislike"}, {"quality": "low"}, {"harmful": True}, {"rating": "poor"}, {"verdict": "fail"},
]  # fmt: skip
GOOD = [
    {"label": True}, {"label": 1}, {"label": "1.0"}, {"label": "chosen"}, {"label": "👍"}, {"kto_tag": True},
    {"vote": "up"}, {"status": "approved"}, {"chosen": True},
]  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_row_that_says_not_this_is_a_thumb_down_in_every_format(name):
    for said in BAD:
        (row,) = Reading().rows({**EXAMPLES[name], **said})
        assert (row.verdicts, row.completions) == ((Thumbs(False),), ("A",)), said
    for said in GOOD:
        (row,) = Reading().rows({**EXAMPLES[name], **said})
        assert row.verdicts == (Thumbs(True),), said


def test_a_rating_that_is_always_1_may_be_the_worst_of_five(tmp_path):
    path = save(tmp_path, *({"messages": [user(f"Q{n}"), assistant("A")], "rating": 1} for n in range(3)))
    seen = preview_import(path)
    assert [(q.key, q.proposal, q.rows) for q in seen.questions] == [("rating", "1-5", 3)]
    assert [row.verdicts[0].ratings[0].scores for row in seen.rows] == [(1,)] * 3
    mixed = save(tmp_path, *({"messages": [user(f"Q{n}"), assistant("A")], "rating": n} for n in (1, -1)))
    assert [row.verdicts for row in read_feedback(mixed)] == [(Thumbs(True),), (Thumbs(False),)]


@pytest.mark.parametrize(
    ("beside", "levels"), [({"rating_max": 10}, 10), ({"max_rating": "7", "min_rating": 0}, 8), ({"rating_scale": "1-4"}, 4)]
)
def test_a_scale_beside_a_mark_is_its_scale(beside, levels):
    (row,) = Reading().rows({**EXAMPLES["messages"], "rating": 1, **beside})
    (rating,) = row.verdicts[0].ratings
    assert rating.levels == levels


def test_neither_thumb_is_no_judgement():
    with pytest.raises(Unusable, match="nobody has said"):
        Reading().rows({**EXAMPLES["messages"], "thumbs_up": False, "thumbs_down": False})
    (row,) = Reading().rows({**EXAMPLES["messages"], "thumbs_up": True, "thumbs_down": False})
    assert row.verdicts == (Thumbs(True),)
    (row,) = Reading().rows({**EXAMPLES["messages"], "toxic": False})
    assert row.verdicts == (Demonstrated(),)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_row_that_says_nothing_is_an_example(name):
    for nothing in (
        {},
        {"kto_tag": None},
        {"rating": ""},
        {"source": "x"},
        {"feedback": "The second sentence could be much shorter, I think."},
    ):
        (row,) = Reading().rows({**EXAMPLES[name], **nothing})
        assert row == DemonstrationRow([user("Q")], "A"), nothing


@pytest.mark.parametrize("said", [{"weight": 0}, {"label": False}, {"rating": -1}])
def test_what_an_answers_own_message_says_counts_too(said):
    for name, key in (
        ("messages", "messages"),
        ("sharegpt", "conversations"),
        ("chats", "conversation"),
        ("conversational", "completion"),
    ):
        record = json.loads(json.dumps(EXAMPLES[name]))
        record[key][-1].update(said)
        if "weight" in said:
            with pytest.raises(Unusable, match="weight"):
                Reading().rows(record)
        else:
            assert [row.verdicts for row in Reading().rows(record)] == [(Thumbs(False),)]


def test_a_label_beside_mapped_columns_still_says_what_it_says():
    reading = Reading(FORMATS["prompt-completion"], {"prompt": "question", "completion": "answer"})
    (row,) = reading.rows({"question": "Q", "answer": "A", "label": False})
    assert row.verdicts == (Thumbs(False),)


def test_two_columns_that_contradict_each_other_are_said():
    with pytest.raises(Unusable, match="another that it is not"):
        Reading().rows({**EXAMPLES["alpaca"], "label": True, "kto_tag": False})


def save(folder, *records):
    path = folder / "f.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.mark.parametrize("marks", [(1, 4, 5), (1, 2), (3, 3)])
def test_marks_beside_an_answer_are_marks_and_no_example(tmp_path, marks):
    path = save(tmp_path, *({"messages": [user(f"Q{n}"), assistant("A")], "rating": mark} for n, mark in enumerate(marks)))
    rows = list(read_feedback(path))
    assert [[type(v) for v in row.verdicts] for row in rows] == [[Ratings]] * len(marks)
    assert [row.verdicts[0].ratings[0].scores[0] for row in rows] == list(marks)


def test_numbers_of_a_label_that_are_more_than_two_are_asked_for(tmp_path):
    path = save(tmp_path, *({"prompt": f"Q{n}", "completion": "A", "label": n} for n in range(1, 6)))
    seen = preview_import(path)
    assert (seen.usable, [(q.key, q.proposal, q.rows) for q in seen.questions]) == (0, [("label", "", 5)])
    rows = list(read_feedback(path, Reading(answers={"label": "4,5"})))
    assert [row.verdicts[0].up for row in rows] == [False, False, False, True, True]


def test_words_of_a_label_that_are_neither_are_asked_for_or_ignored(tmp_path):
    path = save(tmp_path, *({**EXAMPLES["messages"], "label": word} for word in ("sports", "politics")))
    assert [(q.key, q.proposal, q.rows) for q in preview_import(path).questions] == [("label", "", 2)]
    assert [row.verdicts for row in read_feedback(path, Reading(answers={"label": "ignore"}))] == [(Demonstrated(),)] * 2
    told = read_feedback(path, Reading(answers={"label": "sports"}))
    assert [row.verdicts for row in told] == [(Thumbs(True),), (Thumbs(False),)]


def test_nothing_between_a_thumb_up_and_a_thumb_down_is_neither(tmp_path):
    path = save(tmp_path, *({"prompt": f"Q{n}", "completion": "A", "vote": n} for n in (-1, 0, 1)))
    found = list(read_feedback(path))
    assert isinstance(found[1], Problem)
    assert [found[0].verdicts, found[2].verdicts] == [(Thumbs(False),), (Thumbs(True),)]


def test_scores_of_no_known_scale_wait(tmp_path):
    path = save(tmp_path, *({**EXAMPLES["alpaca"], "instruction": f"Q{n}", "score": score} for n, score in enumerate((0.93, 12.5))))
    assert [(q.key, q.proposal, q.rows) for q in preview_import(path).questions] == [("score", "", 2)]
    rows = read_feedback(path, Reading(answers={"score": "ignore"}))
    assert [row.verdicts for row in rows] == [(Demonstrated(),)] * 2


def test_answers_of_weight_0_are_context_and_the_others_examples():
    turns = [user("1"), assistant("A", weight=1), user("2"), assistant("B", weight=0), user("3"), assistant("C")]
    rows = Reading().rows({"messages": turns})
    assert [(row.completion, len(row.prompt)) for row in rows] == [("A", 1), ("C", 5)]
    with pytest.raises(Unusable, match="all its answers have weight 0"):
        Reading().rows({"messages": [user("1"), assistant("A", weight=0)]})


@pytest.mark.parametrize(
    "flag", [{"weight": 0}, {"train": False}, {"training": "false"}, {"loss": 0}, {"masked": True}, {"loss_mask": 0}]
)
def test_a_turn_that_is_not_trained_on_is_none_under_any_name(flag):
    for key, turn in (("messages", {"role": "assistant", "content": "B"}), ("conversations", {"from": "gpt", "value": "B"})):
        ask = [user("1"), user("2")] if key == "messages" else [{"from": "human", "value": "1"}, {"from": "human", "value": "2"}]
        good = {**turn, "content": "A"} if key == "messages" else {**turn, "value": "A"}
        (row,) = Reading().rows({key: [ask[0], good, ask[1], {**turn, **flag}]})
        assert row == DemonstrationRow([user("1")], "A")


@pytest.mark.parametrize(
    "flag", [{"deleted": True}, {"is_deleted": 1}, {"toxic": True}, {"discarded": "true"}, {"Excluded": "yes"}, {"skip": True}]
)
def test_a_row_that_was_deleted_is_nothing(flag):
    for record in (*EXAMPLES.values(), *PAIRS):
        with pytest.raises(Unusable, match="marked as"):
            Reading().rows({**record, **flag})
        assert Reading().rows({**record, **dict.fromkeys(flag, False)})


@pytest.mark.parametrize("sides", [("A", "B"), (assistant("A"), assistant("B"))])
def test_two_answers_beside_messages_answer_them(sides):
    record = {"messages": [SYSTEM, user("Q")], "chosen": sides[0], "rejected": sides[1]}
    assert Reading().rows(record) == [RankingRow([SYSTEM, user("Q")], ("A", "B"), (1, 2))]
    repeated = {**record, "messages": [SYSTEM, user("Q"), assistant("A")]}
    assert Reading().rows(repeated) == [RankingRow([SYSTEM, user("Q")], ("A", "B"), (1, 2))]


def test_a_rejected_response_beside_messages_is_the_worse_answer():
    record = {"messages": [user("Q"), assistant("A")], "rejected_response": "B"}
    assert Reading().rows(record) == [RankingRow([user("Q")], ("A", "B"), (1, 2))]


def test_values_that_say_good_or_bad():
    assert [thumb_of(value) for value in (True, 1, "1", "1.0", "Yes", "+1", "THUMBS-UP", "👍🏿")] == [True] * 8
    assert [thumb_of(value) for value in (False, 0, -1, "-1", "-1.0", "No", "thumbs down", "👎", "Rejected")] == [False] * 9
    assert [thumb_of(value) for value in (None, 2, 0.5, "maybe", [], {}, "not bad")] == [None] * 7


# --- two answers

TEXTS = {"prompt": "Q", "chosen": "A", "rejected": "B"}
WHOLE = {"chosen": [user("Q"), assistant("A")], "rejected": [user("Q"), assistant("B")]}
PAIRS = [TEXTS, WHOLE, {**WHOLE, "prompt": "Q"}, {"instruction": "Q", "chosen": "A", "rejected": "B"},
         {"conversations": [{"from": "human", "value": "Q"}],
          "chosen": {"from": "gpt", "value": "A"}, "rejected": {"from": "gpt", "value": "B"}},
         {"chosen": "\n\nHuman: Q\n\nAssistant: A", "rejected": "\n\nHuman: Q\n\nAssistant: B"}]  # fmt: skip
SCORES = [("score_chosen", "score_rejected"), ("chosen_score", "rejected_score"), ("chosen-rating", "rejected-rating"),
          ("chosen_avg_rating", "rejected_avg_rating"), ("reward_chosen", "reward_rejected")]  # fmt: skip


@pytest.mark.parametrize("record", PAIRS)
@pytest.mark.parametrize(("first", "second"), SCORES)
def test_equal_scores_are_a_tie_under_every_name(record, first, second):
    assert Reading().rows({**record, first: 7.0, second: "7"}) == [RankingRow([user("Q")], ("A", "B"), (1, 1))]
    assert Reading().rows({**record, first: 7.5, second: 7}) == [RankingRow([user("Q")], ("A", "B"), (1, 2))]


def test_what_is_called_chosen_counts_above_its_score_and_that_is_said(tmp_path):
    path = save(tmp_path, {**TEXTS, "score_chosen": 1, "score_rejected": 9})
    context = surveyed(path, Reading())
    assert [row.ranks for row in read_feedback(path, context=context)] == [(1, 2)]
    assert [note.rows for note in context.notes if "lower score" in note.text] == [1]


@pytest.mark.parametrize("record", [*PAIRS, *EXAMPLES.values()])
@pytest.mark.parametrize("name", ["system", "System", "system_prompt", "systemMessage"])
def test_a_system_column_is_the_system_message_in_every_format(record, name):
    (row,) = Reading().rows({**record, name: "Be brief."})
    assert row.prompt == [SYSTEM, user("Q")]


def test_a_system_column_beside_a_system_message_loses_neither():
    (row,) = Reading().rows(
        {"messages": [{"role": "system", "content": "Rhyme."}, user("Q"), assistant("A")], "system": "Be brief."}
    )
    assert row.prompt[0]["content"] == "Be brief.\n\nRhyme."
    (same,) = Reading().rows({"messages": [SYSTEM, user("Q"), assistant("A")], "system": "Be brief."})
    assert same.prompt == [SYSTEM, user("Q")]


@pytest.mark.parametrize(
    ("prompt", "before", "expected"),
    [
        ("Q", [user("Q")], [user("Q")]),
        ("Q", [SYSTEM, user("Q")], [SYSTEM, user("Q")]),
        ("Q2", [user("Q1"), assistant("x"), user("Q2")], [user("Q1"), assistant("x"), user("Q2")]),
        ([SYSTEM, user("Q")], [user("Q")], [SYSTEM, user("Q")]),
        ([SYSTEM], [user("Q")], [SYSTEM, user("Q")]),
        ([user("Q1"), assistant("x")], [user("Q2")], [user("Q1"), assistant("x"), user("Q2")]),
        ([user("Q")], [], [user("Q")]),
    ],
)
def test_a_prompt_beside_whole_conversations_is_joined_with_them(prompt, before, expected):
    record = {"prompt": prompt, "chosen": [*before, assistant("A")], "rejected": [*before, assistant("B")]}
    assert Reading().rows(record) == [RankingRow(expected, ("A", "B"), (1, 2))]


def test_a_prompt_that_is_a_transcript_is_its_turns():
    asked = "\n\nHuman: Q1\n\nAssistant: x\n\nHuman: Q2\n\nAssistant:"
    turns = [user("Q1"), assistant("x"), user("Q2")]
    assert Reading().rows({"prompt": asked, "chosen": " A", "rejected": " B"}) == [RankingRow(turns, (" A", " B"), (1, 2))]
    assert Reading().rows({"prompt": asked, "completion": "A"}) == [DemonstrationRow(turns, "A")]
    mentioned = "What does Human: mean?\n\nAssistant:"
    assert Reading().rows({"prompt": mentioned, "completion": "A"}) == [DemonstrationRow([user(mentioned)], "A")]


def test_a_system_message_that_says_nothing_is_none():
    silent = {"role": "system", "content": ""}
    assert Reading().rows({"messages": [silent, user("Q"), assistant("A")]}) == [DemonstrationRow([user("Q")], "A")]
    rows = Reading().rows({"messages": [silent, user("1"), assistant("A", weight=0), user("2"), assistant("B", weight=1)]})
    assert [row.completion for row in rows] == ["B"], "weights stay with their messages"


def test_conversations_with_other_keys_and_whole_sides_are_read():
    human, gpt = {"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}
    sides = {"chosen": [human, gpt], "rejected": [human, {"from": "gpt", "value": "B"}]}
    assert Reading().rows({"conversations": [human], **sides}) == [RankingRow([user("Q")], ("A", "B"), (1, 2))]
    (row,) = Reading().rows({"conversations": [user("Q"), assistant("A")], "kto_tag": False})
    assert row.verdicts == (Thumbs(False),)


def test_a_prompt_that_says_something_else_is_named(tmp_path):
    path = save(
        tmp_path, {**WHOLE, "prompt": "Nothing of the kind"}, {"messages": [user("Q"), assistant("A")], "prompt": "Nor this"}
    )
    assert [note.rows for note in preview_import(path).notes if "says something else" in note.text] == [2]


@pytest.mark.parametrize(
    "record", [{**TEXTS, "rejected": "A"}, {**TEXTS, "rejected": "A \n"}, {**WHOLE, "rejected": WHOLE["chosen"]}]
)
def test_a_text_that_wins_over_itself_is_no_judgement(record):
    with pytest.raises(Unusable, match="the same text"):
        Reading().rows(record)


def test_the_same_text_twice_as_a_tie_is_kept():
    record = {"conversation_a": [user("Q"), assistant("A")], "conversation_b": [user("Q"), assistant("A")], "winner": "tie"}
    (row,) = Reading().rows(record)
    assert row.verdicts == (Ranking((1, 1)),)


@pytest.mark.parametrize(
    "record",
    [
        {"messages": [user("Q"), assistant("Let me see.", tool_calls=[{"id": "c"}])]},
        {
            "messages": [
                user("Q"),
                assistant(None, function_call={"name": "f"}),
                {"role": "function", "content": "x"},
                assistant("A"),
            ]
        },
        {"messages": [user("Q"), {"role": "tool", "content": "sun"}, assistant("A")]},
        {
            "conversations": [
                {"from": "human", "value": "Q"},
                {"from": "function_call", "value": "{}"},
                {"from": "gpt", "value": "A"},
            ]
        },
        {**WHOLE, "chosen": [user("Q"), assistant("A", tool_calls=[{"id": "c"}])]},
    ],
)
def test_a_conversation_that_calls_tools_says_so(record):
    with pytest.raises(Unusable, match="calls a tool"):
        Reading().rows(record)


def test_what_is_left_out_of_conversations_is_named_with_its_number_of_rows(tmp_path):
    long = [user("1"), assistant("A"), user("2"), assistant("B")]
    rows = [{"messages": long}, {"messages": long[:2], "tools": [{"name": "f"}]},
            {"messages": [user("1"), assistant("A", reasoning_content="Hm.")]}]  # fmt: skip
    notes = {note.text: note.rows for note in preview_import(save(tmp_path, *rows)).notes}
    assert notes == {
        "Of a conversation the last answer is the example; what comes before is its prompt": 1,
        "The tools that the model was offered are left out": 1,
        "What a model thought before it answered is left out": 1,
    }


@pytest.mark.parametrize("who", [7, 7.0, "7", {"id": 7}, {"email": "", "id": "7"}])
def test_an_annotator_is_named_by_a_text_a_number_or_an_object(who):
    (row,) = Reading().rows({**TEXTS, "annotator": who})
    assert row.annotator == "7"


@pytest.mark.parametrize("ranks", [(1, 2), (1.0, 2.0), ("1", "2"), (0, 1), ("1.0", 2), (0.0, 3.0)])
def test_a_rank_is_a_whole_number_however_it_is_written(ranks):
    completions = [{"text": text, "rank": rank} for text, rank in zip("AB", ranks, strict=True)]
    assert Reading().rows({"prompt": "Q", "completions": completions}) == [RankingRow([user("Q")], ("A", "B"), (1, 2))]


@pytest.mark.parametrize(
    "said",
    [
        {"upvotes": 0, "downvotes": 7}, {"Note": "5"}, {"Schulnote": 6}, {"toxicity_score": 0.9}, {"is_safe": False},
        {"human rating": "1"}, {"feedback": {"score": 0}}, {"scores": [{"name": "user-feedback", "value": 0}]},
        {"meta": {"quality": "bad"}}, {"rank": 3}, {"Bewertung": "1,5"}, {"response_quality": False},
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", EXAMPLES)
def test_beside_a_column_that_may_judge_no_answer_is_an_example_unasked(tmp_path, name, said):
    path = save(tmp_path, {**EXAMPLES[name], **said})
    seen = preview_import(path)
    assert not seen.sure
    assert not any(isinstance(verdict, Demonstrated) for row in seen.rows for verdict in row.verdicts)
    asked = [question.key for question in seen.questions]
    assert asked or [verdict.up for row in seen.rows for verdict in row.verdicts] == [False]
    while asked:  # one after the other, as the answers to the first show the next
        answers = dict.fromkeys(asked, "ignore")
        seen = preview_import(path, answers=answers)
        asked = [question.key for question in seen.questions if question.key not in answers] and [
            *answers, *(question.key for question in seen.questions)
        ]  # fmt: skip
    assert seen.usable == 1


def test_what_such_a_column_says_can_be_told(tmp_path):
    path = save(tmp_path, *({"prompt": f"Q{n}", "completion": "A", "Note": n} for n in (1, 6)))
    (question,) = preview_import(path).questions
    assert (question.key, question.proposal, question.rows) == ("note", "", 2)
    grades = [row.verdicts[0].ratings[0].scores for row in read_feedback(path, Reading(answers={"note": "6-1"}))]
    assert grades == [(6,), (1,)]
    thumbs = [row.verdicts for row in read_feedback(path, Reading(answers={"note": "1,2"}))]
    assert thumbs == [(Thumbs(True),), (Thumbs(False),)]
    safe = save(tmp_path, *({"prompt": "Q", "completion": "A", "is_safe": is_safe} for is_safe in (True, False)))
    assert [row.verdicts for row in read_feedback(safe, Reading(answers={"is_safe": "true"}))] == thumbs


def test_words_that_judge_count_under_any_heading(tmp_path):
    path = save(tmp_path, *({"prompt": "Q", "completion": "A", "answer": word} for word in ("accept", "reject", "ignore")))
    good, bad, neither = read_feedback(path)
    assert (good.verdicts, bad.verdicts) == ((Thumbs(True),), (Thumbs(False),))
    assert "does not say" in neither.reason


def test_people_who_do_not_agree_are_no_judgement(tmp_path):
    votes = (["good", "good"], ["good", "bad"])
    path = save(tmp_path, *({"prompt": "Q", "completion": "A", "label": one} for one in votes))
    agreed, split = read_feedback(path)
    assert agreed.verdicts == (Thumbs(True),)
    assert "do not agree" in split.reason


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_empty_mark_among_others_is_no_example(tmp_path, name):
    for empty in ({"rating": None}, {"rating": ""}, {"rating": "-"}, {"rating": "n/a"}):
        path = save(tmp_path, {**EXAMPLES[name], "rating": 1}, {**EXAMPLES[name], "rating": 5}, {**EXAMPLES[name], **empty})
        *marked, unmarked = read_feedback(path)
        assert [row.verdicts[0].ratings[0].scores for row in marked] == [(1,), (5,)]
        assert isinstance(unmarked, Problem), empty
        assert [type(row) for row in read_feedback(path, Reading(answers={"rating": "ignore"}))] == [DemonstrationRow] * 3


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_an_empty_cell_among_marks_is_no_example(tmp_path, suffix):
    path = tmp_path / f"f.{suffix}"
    if suffix == "csv":
        path.write_text("prompt,completion,rating\nQ,A,1\nQ,B,3\nQ,C,5\nQ,D,\n", encoding="utf-8")
    else:
        with path.open("wb") as out:
            write_parquet(
                out, [{"prompt": "Q", "completion": text, "rating": n} for text, n in zip("ABCD", (1, 3, 5, None), strict=True)]
            )
    *marked, unmarked = read_feedback(path)
    assert [row.verdicts[0].ratings[0].scores for row in marked] == [(1,), (3,), (5,)]
    assert "nobody has said" in unmarked.reason


def test_a_dash_is_a_thumb_down_only_beside_a_plus(tmp_path):
    path = save(tmp_path, *({"prompt": "Q", "completion": "A", "vote": word} for word in ("+", "-")))
    assert [row.verdicts for row in read_feedback(path)] == [(Thumbs(True),), (Thumbs(False),)]


def test_marks_with_a_decimal_comma_are_marks(tmp_path):
    path = save(tmp_path, *({"prompt": "Q", "completion": "A", "rating": mark} for mark in ("1,0", "2,5", "5,0")))
    assert [row.verdicts[0].ratings[0].scores for row in read_feedback(path)] == [(1,), (4,), (9,)]


@pytest.mark.parametrize("tie", [{"tie": True}, {"tie": "true"}, {"is_tie": 1}, {"isTie": "1"}, {"Tie": "yes"}])
def test_a_column_that_says_tie_makes_one(tie):
    (row,) = Reading().rows({"prompt": "Q", "chosen": "A", "rejected": "B", **tie})
    assert row.verdicts == (Ranking((1, 1)),)


PAIR = {"prompt": "Q", "chosen": "A", "rejected": "B"}


@pytest.mark.parametrize(
    "said", [{"status": "tie"}, {"label": "tie"}, {"verdict": "both good"}, {"chosen_rank": 2, "rejected_rank": 2}]
)
def test_a_word_beside_two_answers_that_calls_them_equal_makes_a_tie(said):
    (row,) = Reading().rows({**PAIR, **said})
    assert row.verdicts == (Ranking((1, 1)),)


@pytest.mark.parametrize("said", [{"weight": 0}, {"status": "discarded"}, {"status": "rejected"}, {"weight": "0.0"}])
def test_two_answers_that_are_not_to_be_used_are_set_aside(said):
    with pytest.raises(Unusable, match=r"weight|status"):
        Reading().rows({**PAIR, **said})


def test_a_false_label_beside_two_answers_is_asked_about(tmp_path):
    path = save(tmp_path, {**PAIR, "label": 1}, {**PAIR, "label": 0})
    seen = preview_import(path)
    assert (seen.sure, seen.usable, [(q.key, q.proposal) for q in seen.questions]) == (False, 1, [("pair:label", "")])
    for answer, ranks in (("chosen", (1, 2)), ("rejected", (2, 1))):
        _, row = read_feedback(path, Reading(answers={"pair:label": answer}))
        assert row.verdicts == (Ranking(ranks),)
    _, out = read_feedback(path, Reading(answers={"pair:label": "neither"}))
    assert isinstance(out, Problem)


@pytest.mark.parametrize("name", ["grade", "Note", "badness", "toxicity rating", "rank"])
def test_marks_whose_lowest_may_be_the_best_are_asked_about(tmp_path, name):
    path = save(tmp_path, *({**EXAMPLES["messages"], name: mark} for mark in (1, 2, 3, 4, 5)))
    seen = preview_import(path)
    assert (seen.sure, seen.usable, [q.proposal for q in seen.questions]) == (False, 0, [""])


def test_numbers_between_0_and_1_are_offered_their_own_scale(tmp_path):
    path = save(tmp_path, *({**EXAMPLES["messages"], "quality": mark} for mark in (0.95, 0.1, 0.0, 1.0)))
    (question,) = preview_import(path).questions
    assert [value for value, _ in question.choices] == ["0-1 by 0.01", "1-0 by 0.01", "ignore"]


@pytest.mark.parametrize("words", ["wahr falsch", "vrai faux", "verdadero falso", "vero falso", "да нет", "tak nie", "ja nein"])
def test_true_and_false_are_understood_as_each_country_writes_them(words):
    assert [thumb_of(word) for word in words.upper().split()] == [True, False]


def test_each_judged_answer_of_a_conversation_keeps_its_judgement(tmp_path):
    turns = [user("Q1"), assistant("Bad.", rating="thumbs_down"), user("Q2"), assistant("Good.", rating="thumbs_up"), user("Q3")]
    for name, last, count in (("messages", [assistant("Unjudged.")], 2), ("messages", [assistant("C", rating="bad")], 3)):
        path = save(tmp_path, {name: [*turns, *last]})
        rows = list(read_feedback(path))
        assert [(row.completions[0], row.verdicts) for row in rows][:2] == [("Bad.", (Thumbs(False),)), ("Good.", (Thumbs(True),))]
        assert len(rows) == count
    talk = {"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "Bad.", "label": False},
                              {"from": "human", "value": "Q"}, {"from": "gpt", "value": "Unjudged."}]}  # fmt: skip
    (row,) = read_feedback(save(tmp_path, talk))
    assert (row.completions, row.verdicts) == (("Bad.",), (Thumbs(False),))


@pytest.mark.parametrize("said", [{"reaction": "😡"}, {"feedback": "needs work"}, {"is_error": True}, {"hallucination": "yes"}])
def test_a_short_reaction_or_a_fault_beside_an_answer_is_asked_about(tmp_path, said):
    seen = preview_import(save(tmp_path, {**EXAMPLES["messages"], **said}))
    assert (seen.usable, seen.sure, len(seen.questions)) == (0, False, 1)


def test_rejected_messages_are_the_worse_answer():
    (row,) = Reading().rows({"messages": [user("Q"), assistant("A")], "rejected_messages": [user("Q"), assistant("B")]})
    assert row == RankingRow([user("Q")], ("A", "B"), (1, 2))
