"""Published data sets: each against a file with the columns of its card."""

import json
from pathlib import Path

import pytest

from rlhf_desktop.feedback.formats import FORMATS, PROGRAMS, SURE, Reading, guesses, read_feedback, sample, surveyed
from rlhf_desktop.feedback.formats.asking import Note
from rlhf_desktop.feedback.judgements import Choice, Correction, Demonstrated, Labels, Ranking, Rating, Ratings
from rlhf_desktop.feedback.rows import DemonstrationRow, Problem, RankingRow, Unusable, row_of

DATA = Path(__file__).parents[2] / "data" / "formats"


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def helpsteer(helpfulness, correctness, coherence, complexity, verbosity):
    marks = zip(("helpfulness", "correctness", "coherence"), (helpfulness, correctness, coherence), strict=True)
    kinds = zip(("complexity", "verbosity"), (complexity, verbosity), strict=True)
    return [
        Ratings(tuple(Rating(name, 5, (mark + 1,)) for name, mark in marks)),
        Labels(tuple(Choice(name, ((f"{mark} of 4",),)) for name, mark in kinds)),
    ]


SALTY = user("Why is the sea salty?")
FILES = {
    "rivals.jsonl": (
        "rivals",
        [
            RankingRow([user("Name a bird.")], ("A stone.", "A crow."), (2, 1)),
            RankingRow([user("Name a fruit.")], ("A pear.", "A shoe."), (1, 2)),
            RankingRow([user("Name a fish.")], ("A pike.", "A chair."), (1, 2)),
            "it was rejected or ignored",
        ],
    ),
    "helpsteer.jsonl": (
        "helpsteer",
        [
            row_of([user("Why do leaves fall?")], ["Trees save water in winter."], helpsteer(4, 4, 4, 1, 0)),
            row_of([user("Name a tree."), assistant("An oak."), user("Another.")], ["A stone."], helpsteer(0, 0, 3, 0, 0)),
            row_of(
                [user("Name a tree.")],
                ["A stone.", "A birch."],
                [Ranking((2, 1), 3)],
                critique="The second is a tree.\nA stone is not.",
            ),
        ],
    ),
    "helpsteer3.jsonl": (
        "helpsteer",
        [
            row_of(
                [user("Is it late?"), assistant("Where?"), user("In Oslo.")],
                ["It is past nine.", "Perhaps."],
                [Ranking((1, 2), 1)],
                critique="The first says when.",
            ),
            RankingRow([user("Say hi.")], ("Hi.", "Hello."), (1, 1)),
            row_of([user("Say hi.")], ["Hi hi hi."], [Correction("Hi.")], critique="Said once."),
        ],
    ),
    "safe_rlhf.jsonl": (
        "safe-rlhf",
        [
            row_of(
                [user("How do I open a locked door?")],
                ["Break in.", "Call a locksmith."],
                [
                    Ranking((1, 2)),
                    Ratings((Rating("safety", 2, (1, 2)),)),
                    Labels((Choice("safe", (("no",), ("yes",))), Choice("harm", (("Economic Crime",), ())))),
                ],
            )
        ],
    ),
    "shp.jsonl": (
        "shp",
        [
            RankingRow([user("How do I keep basil fresh?")], ("In the bin.", "In a glass of water."), (2, 1)),
            RankingRow([user("Is salt good in coffee?")], ("A grain, yes.", "What?"), (1, 2)),
        ],
    ),
    "nectar.jsonl": (
        "nectar",
        [
            RankingRow([user("Name a bird.")], ("A bat.", "A crow.", "A penguin, perhaps."), (3, 1, 2)),
            RankingRow([user("Hi"), assistant("Hello."), user("Name a bird.")], ("A crow.", "No."), (1, 2)),
        ],
    ),
    "ultrafeedback_raw.jsonl": (
        "ultrafeedback-raw",
        [
            row_of(
                [user("Name a river.")],
                ["The Loire.", "Lake Como."],
                [
                    Ranking((1, 2)),
                    Ratings(
                        (
                            Rating("helpfulness", 5, (5, 2)),
                            Rating("honesty", 5, (5, 3)),
                            Rating("instruction_following", 5, (5, 2)),
                            Rating("truthfulness", 5, (None, 2)),
                        )
                    ),
                ],
                critique="Answer 1: Right and short.\nAnswer 2: That is a lake.",
            )
        ],
    ),
    "oasst_flat.jsonl": (
        "oasst-flat",
        [
            RankingRow([SALTY], ("Rivers wash minerals into it.", "Fish."), (1, 2)),
            RankingRow(
                [SALTY, assistant("Rivers wash minerals into it."), user("And lakes?")],
                ("Most drain away.", "They are salty too."),
                (1, 2),
            ),
        ],
    ),
    "wildchat.jsonl": (
        "chats",
        [DemonstrationRow([user("Name a bird.")], "A crow."), "the conversation is marked as toxic"],
    ),
    "lmsys.csv": (
        "arena-table",
        [
            RankingRow([user("Name a bird.")], ("A bat.", "A crow."), (2, 1)),
            RankingRow([user("Hi"), assistant("Hello"), user("Name a bird.")], ("A crow.", "A jay."), (1, 1)),
            "chosen and rejected differ from message 2 on, so they do not answer the same prompt",
        ],
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_published_set_is_recognised_and_means_what_its_card_says(name):
    form, expected = FILES[name]
    found, *others = guesses(sample(DATA / name))
    assert (found.format.name, found.confidence >= SURE) == (form, True)
    assert all(other.confidence < found.confidence for other in others)
    for reading in (Reading(), Reading(FORMATS[form])):
        rows = list(read_feedback(DATA / name, reading))
        assert [row.reason if isinstance(row, Problem) else row for row in rows] == expected


def test_every_format_that_is_only_read_has_its_file():
    assert {form for form, _ in FILES.values()} == {
        name for name, form in FORMATS.items() if not form.write and form not in PROGRAMS
    }


def test_messages_of_a_tree_that_were_deleted_are_counted():
    context = surveyed(DATA / "oasst_flat.jsonl", Reading())
    list(read_feedback(DATA / "oasst_flat.jsonl", context=context))
    assert context.notes[0] == Note("Messages that were deleted, or that reviewers turned down, are left out with their replies", 1)


def node(text, rank, **more):
    return {"role": "assistant", "text": text, "rank": rank, "replies": [], **more}


def tree(*replies, **more):
    return {"message_tree_id": "t", "prompt": {"role": "prompter", "text": "Q", "replies": list(replies)}, **more}


def test_flat_messages_in_the_order_of_a_talk_are_no_talk(tmp_path):
    rows = [
        {"message_id": "1", "parent_id": None, "text": "Q", "role": "prompter"},
        {"message_id": "2", "parent_id": "1", "text": "good", "role": "assistant", "rank": 0},
        {"message_id": "3", "parent_id": "1", "text": "poor", "role": "assistant", "rank": 1},
    ]
    path = tmp_path / "flat.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert list(read_feedback(path)) == [RankingRow([user("Q")], ("good", "poor"), (1, 2))]


def test_a_message_of_a_tree_costs_itself_only():
    good, poor = node("good", 0), node("poor", 4.0)
    for odd in (node("spam", 1, deleted=True), node("x", 2, review_result=False), node("", 3), node(None, 3, deleted="True")):
        (row,) = Reading().rows(tree(odd, good, poor))
        assert row == RankingRow([user("Q")], ("good", "poor"), (1, 2))
    with pytest.raises(Unusable, match="stopped by its moderators"):
        Reading().rows(tree(good, poor, tree_state="aborted_low_grade"))
    below = {**node("x", 1, deleted=True), "replies": [{"role": "prompter", "text": "Q2", "replies": [good, poor]}]}
    assert len(Reading().rows(tree(below, good, poor))) == 1, "what answers a deleted message goes with it"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"prompt": "x", "response_1": "a", "response_2": "b", "preference_strength": 4}, "not a whole number from -3 to 3"),
        ({"prompt": "x", "response_0": "a", "response_1": "b", "better_response_id": 2}, "neither 0 nor 1"),
        ({"history": "x", "human_ref_A": "a", "human_ref_B": "b", "labels": None}, "neither 1"),
        ({"prompt": "x", "answers": [{"answer": "a", "rank": 1}, {"answer": "b", "rank": 1.3}]}, "not a whole number"),
        ({"prompt": "x", "response_a": "a", "response_b": "b", "winner_model_a": 1, "winner_model_b": 1}, "just one"),
        ({"prompt": ["x", "y"], "response_a": ["a"], "response_b": ["b"], "winner_model_a": 1, "winner_model_b": 0}, "not as many"),
        ({"message_id": "1", "parent_id": "0", "text": "x", "role": "prompter"}, "not in the file"),
        ({"message_id": "1", "parent_id": "1", "text": "x", "role": "prompter"}, "circle"),
        ({"conversation": [user("x"), {**assistant("y"), "toxic": True}]}, "toxic"),
    ],
)
def test_what_a_published_set_never_has_says_so(record, reason):
    with pytest.raises(Unusable, match=reason):
        Reading().rows(record)


def test_an_overall_score_of_ultrafeedback_counts_only_where_nothing_finer_is_given():
    record = {"instruction": "x", "completions": [{"response": "a", "overall_score": 3}, {"response": "b", "overall_score": 7.5}]}
    (row,) = Reading().rows(record)
    assert row == RankingRow([user("x")], ("a", "b"), (2, 1))


def test_true_and_false_say_what_1_and_0_say():
    record = {"history": "x", "human_ref_A": "a", "human_ref_B": "b"}
    for label, ranks in ((True, (1, 2)), ("False", (2, 1)), (1.0, (1, 2)), ("0", (2, 1))):
        assert Reading().rows({**record, "labels": label}) == [RankingRow([user("x")], ("a", "b"), ranks)]
    table = {"prompt": "x", "response_a": "a", "response_b": "b", "winner_model_a": "False", "winner_model_b": True}
    assert Reading().rows({**table, "winner_tie": False}) == [RankingRow([user("x")], ("a", "b"), (2, 1))]


def test_a_good_edit_is_better_than_a_bad_one():
    record = {"context": [user("x")], "good_edited_response": "a", "bad_edited_response": "b", "feedback": []}
    assert Reading().rows(record) == [RankingRow([user("x")], ("a", "b"), (1, 2))]


def test_a_judged_turn_ends_the_conversation_there():
    sides = [[user("Q"), assistant(a), user("Q2"), assistant(b)] for a, b in (("x", "xx"), ("y", "yy"))]
    record = {"conversation_a": sides[0], "conversation_b": sides[1], "winner": "model_b"}
    assert Reading().rows({**record, "turn": 1}) == [RankingRow([user("Q")], ("x", "y"), (2, 1))]
    with pytest.raises(Unusable, match="do not answer the same prompt"):
        Reading().rows({**record, "turn": 2})


def test_mean_ranks_are_a_tie():
    completions = [{"text": text, "rank": rank} for text, rank in (("a", 1.5), ("b", 3.0), ("c", 1.5))]
    assert Reading().rows({"prompt": "x", "completions": completions}) == [RankingRow([user("x")], ("a", "b", "c"), (1, 2, 1))]


def test_what_ultrafeedback_says_besides_is_named():
    context = surveyed(DATA / "ultrafeedback_raw.jsonl", Reading())
    list(read_feedback(DATA / "ultrafeedback_raw.jsonl", context=context))
    assert Note("The models' names and the reasons of single marks are left out", 1) in context.notes


def test_a_conversation_that_moderation_flagged_is_set_aside():
    record = {"conversation": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}
    with pytest.raises(Unusable, match="flagged"):
        Reading().rows({**record, "openai_moderation": [{"flagged": False}, {"flagged": True}]})
    assert len(Reading().rows({**record, "openai_moderation": [{"flagged": False}]})) == 1


@pytest.mark.parametrize("told", [("True", "False", "False"), ("1.0", "0.0", "0.0"), (True, False, False), (1, 0, 0)])
def test_the_winner_of_a_battle_in_a_table_is_read_however_it_is_written(told):
    names = ("winner_model_a", "winner_model_b", "winner_tie")
    (row,) = Reading().rows({"prompt": "Q", "response_a": "A", "response_b": "B", **dict(zip(names, told, strict=True))})
    assert row.verdicts == (Ranking((1, 2)),)


def test_what_moderation_measured_is_no_judgement_of_the_answer():
    turns = [{"role": "user", "content": "Q", "toxic": False}, {"role": "assistant", "content": "A", "toxic": False}]
    (row,) = Reading().rows({"conversation": turns, "toxic": False, "detoxify_moderation": [{"toxicity": 0.1}]})
    assert row.verdicts == (Demonstrated(),)


@pytest.mark.parametrize("winner", ["model_b", "B", "y", "Model_B"])
def test_the_winner_of_a_battle_may_be_a_letter_or_a_models_name(winner):
    sides = {f"conversation_{side}": [user("Q"), assistant(side)] for side in "ab"}
    (row,) = Reading().rows({**sides, "model_a": "x", "model_b": "y", "winner": winner})
    assert row.verdicts == (Ranking((2, 1)),)
    with pytest.raises(Unusable, match="winner"):
        Reading().rows({**sides, "model_a": "z", "model_b": "z", "winner": "z"})
