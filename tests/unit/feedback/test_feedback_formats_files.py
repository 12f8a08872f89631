"""Each format against a file written from its documentation: what it is taken for, what it says, and that it comes out again."""

import json
from pathlib import Path

import pytest

from rlhf_desktop.feedback.formats import FORMATS, SURE, Reading, guesses, read_feedback, sample
from rlhf_desktop.feedback.judgements import (
    AllBad,
    Choice,
    Correction,
    Demonstrated,
    Labels,
    Ranking,
    Rating,
    Ratings,
    Span,
    Spans,
    Thumbs,
)
from rlhf_desktop.feedback.rows import DemonstrationRow, Problem, RankingRow, row_of

DATA = Path(__file__).parents[2] / "data" / "formats"


def user(text):
    return {"role": "user", "content": text}


def system(text):
    return {"role": "system", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


SKY = [user("What color is the sky?")]
GPU = [user("What is the difference between OpenCL and CUDA?")]
PEOPLE = [f"{d * 8}-{d * 4}-4{d * 3}-8{d * 3}-{d * 12}" for d in "123"]
FILES = {
    "rankings.jsonl": (
        "rankings",
        [
            RankingRow(
                [user("My blender arrived broken.")],
                ("I'm sorry. We'll send another today.", "Which one?", "Blenders break."),
                (1, 2, 2),
                "Ada",
                0.75,
            )
        ],
    ),
    "trl_preference.jsonl": (
        "preference",
        [
            RankingRow([user("The sky is")], (" blue.", " green."), (1, 2)),
            RankingRow(SKY, ("It is blue.", "It is green."), (1, 2)),
        ],
    ),
    "trl_implicit.jsonl": (
        "preference-implicit",
        [RankingRow([system("Be brief."), *SKY], ("Blue.", "It depends on the time of day, among other things."), (1, 2))],
    ),
    "trl_unpaired.jsonl": (
        "unpaired",
        [
            row_of([user("The sky is")], [" blue."], [Thumbs(True)]),
            row_of(SKY, ["It is green."], [Thumbs(False)]),
        ],
    ),
    "trl_prompt_completion.jsonl": (
        "prompt-completion",
        [DemonstrationRow([user("The sky is")], " blue."), DemonstrationRow(SKY, "It is blue.")],
    ),
    "trl_messages.jsonl": (
        "messages",
        [
            DemonstrationRow(
                [
                    user("Hello, how are you?"),
                    assistant("I'm doing great. How can I help you today?"),
                    user("Book a table."),
                ],
                "For how many?",
            )
        ],
    ),
    "hh.jsonl": (
        "hh",
        [
            RankingRow(
                [
                    user("What are some cuss words in english?"),
                    assistant("Why do you want to know?"),
                    user("For a book."),
                ],
                ("Then ask your editor.", "Here's a list."),
                (1, 2),
            )
        ],
    ),
    "ultrafeedback.jsonl": (
        "ultrafeedback",
        [
            RankingRow([user("Name a river in France.")], ("The Loire.", "The Rhine flows through Cologne."), (1, 2)),
            RankingRow([user("Count to two.")], ("1, 2", "One, two"), (1, 1)),
        ],
    ),
    "oasst.jsonl": (
        "oasst",
        [
            RankingRow([user("Why is the sea salty?")], ("Rivers wash minerals into it.", "Fish."), (1, 2)),
            RankingRow(
                [user("Why is the sea salty?"), assistant("Rivers wash minerals into it."), user("And lakes?")],
                ("Most drain away.", "They are salty too."),
                (1, 2),
            ),
        ],
    ),
    "argilla.json": (
        "argilla",
        [
            row_of(
                [user("Write a haiku about rain.")],
                ["Soft rain on the roof", "Rain is wet water"],
                [Ranking((1, 2))],
                PEOPLE[0],
                critique="It has an image.",
            ),
            row_of(
                [user("Write a haiku about rain.")],
                ["Soft rain on the roof", "Rain is wet water"],
                [Ranking((2, 1))],
                PEOPLE[1],
            ),
            row_of(
                [user("Is aspirin safe?")],
                ["Yes, always."],
                [
                    Ratings((Rating("accuracy", 5, (2,)),)),
                    Labels((Choice("topics", (("medicine", "safety"),)),)),
                    Spans((Span(0, 5, 11, "overconfident"),)),
                ],
                PEOPLE[0],
            ),
        ],
    ),
    "argilla_v1.jsonl": (
        "argilla",
        [RankingRow([user("Name a fruit.")], ("Apple", "Carrot", "Pear"), (1, 2, 1), PEOPLE[2])],
    ),
    "label_studio.json": (
        "label-studio",
        [
            row_of([user("What is 2+2?")], ["4", "5"], [Ranking((1, 2))], "ada@example.org", critique="Arithmetic."),
            row_of(
                [user("Is the earth flat?")],
                ["No, it is round."],
                [
                    Ratings((Rating("quality", 5, (4,)),)),
                    Labels((Choice("tone", (("neutral",),)),)),
                    Spans((Span(0, 10, 15, "imprecise"),)),
                    Correction("No, it is an oblate spheroid."),
                ],
                "2",
            ),
        ],
    ),
    "sharegpt.json": ("sharegpt", [DemonstrationRow([system("Be kind."), user("Hi")], "Hello, dear.")]),
    "sharegpt_preference.json": ("sharegpt", [RankingRow([user("Hi")], ("Hello!", "What?"), (1, 2))]),
    "alpaca.json": (
        "alpaca",
        [
            DemonstrationRow([user("Give three tips for staying healthy.")], "Eat, sleep, move."),
            DemonstrationRow(
                [
                    system("You translate."),
                    user("Are you ready?"),
                    assistant("Yes."),
                    user("Translate into French.\nGood morning"),
                ],
                "Bonjour",
            ),
        ],
    ),
    "alpaca_preference.json": ("alpaca", [RankingRow([user("Say hello.")], ("Hello!", "Hm."), (1, 2))]),
    "openai_sft.jsonl": (
        "messages",
        [
            DemonstrationRow(
                [
                    system("Marv is a factual chatbot that is also sarcastic."),
                    user("What's the capital of France?"),
                ],
                "Paris, as if everyone doesn't know that already.",
            )
        ],
    ),
    "openai_preference.jsonl": (
        "openai-preference",
        [
            RankingRow(
                [user("Hello, can you tell me how cold San Francisco is today?")],
                ("About 10 °C.", "It is not particularly cold."),
                (1, 2),
            )
        ],
    ),
    "arena.jsonl": (
        "arena",
        [
            RankingRow(GPU, ("One is open.", "OpenCL is a standard; CUDA is NVIDIA's."), (2, 1), "arena_user_973"),
            RankingRow(GPU, ("Same.", "Alike."), (1, 1), "arena_user_973"),
            row_of(GPU, ["Dunno.", "?"], [AllBad()], "arena_user_973"),
        ],
    ),
    "trl_preference.csv": (
        "preference",
        [
            RankingRow([user("The sky is")], (" blue, mostly", " green"), (1, 2)),
            RankingRow([user("Hi")], ("Hello", "Go away"), (1, 2)),
        ],
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_documented_file_is_recognised_and_means_what_it_says(name):
    form, rows = FILES[name]
    best = guesses(sample(DATA / name))[0]
    assert (best.format.name, best.confidence >= SURE) == (form, True)
    assert list(read_feedback(DATA / name)) == rows
    assert list(read_feedback(DATA / name, Reading(FORMATS[form]))) == rows


def test_every_format_has_its_file():
    assert {form for form, _ in FILES.values()} == {name for name, form in FORMATS.items() if form.write}


def written(form, rows, path):
    path.write_text("".join(json.dumps(record) + "\n" for row in rows for record in form.write(row)), encoding="utf-8")
    return list(read_feedback(path, Reading(form)))


def without_names(row):
    """Formats without a place for who judged, or how sure they were, leave it out."""
    return row_of(row.prompt, row.completions, row.verdicts, critique=row.critique)


@pytest.mark.parametrize("name", [name for name in FILES if name != "rankings.jsonl"])
def test_what_was_read_is_written_and_read_back_the_same(name, tmp_path):
    form, rows = FORMATS[FILES[name][0]], FILES[name][1]
    again = written(form, rows, tmp_path / "again.jsonl")
    # a winner comes first where the format says "chosen"; our ranks keep the displayed order
    winner_first = [RankingRow(r.prompt, r.completions[::-1], (1, 2)) if getattr(r, "ranks", ()) == (2, 1) else r for r in rows]
    expected = rows if form.name in ("arena", "argilla", "label-studio", "oasst") else winner_first
    assert list(map(without_names, again)) == list(map(without_names, expected))


def test_our_own_rankings_keep_everything(tmp_path):
    rows = FILES["rankings.jsonl"][1]
    assert written(FORMATS["rankings"], rows, tmp_path / "f.jsonl") == rows


RICH = row_of(
    [system("Be kind."), user("Why?")],
    ["Because.", "No idea.", "So."],
    [
        Ranking((2, 1, 2)),
        Thumbs(True, 1),
        Ratings((Rating("accuracy", 5, (3, None, 5)),)),
        Labels((Choice("tone", (("curt",), (), ("curt", "vague"))),)),
        Spans((Span(0, 0, 7, "empty", 3), Span(2, 0, 2, "empty"))),
        Correction("Because it rains.", 0),
    ],
    "Ada",
    critique="The second admits it.",
)


@pytest.mark.parametrize("name", ["argilla", "label-studio"])
def test_tools_for_annotators_take_everything_and_give_it_back(name, tmp_path):
    assert written(FORMATS[name], [RICH], tmp_path / "f.jsonl") == [RICH]
    example = DemonstrationRow([user("Why?")], "Because it rains.", "Ada")
    assert written(FORMATS[name], [example], tmp_path / "g.jsonl") == [example]
    bad = row_of([user("Why?")], ["a", "b"], [AllBad()], "Ada")
    assert written(FORMATS[name], [bad], tmp_path / "h.jsonl") == [bad]


@pytest.mark.parametrize("name", ["preference", "preference-implicit", "hh", "openai-preference", "sharegpt", "alpaca"])
def test_a_correction_goes_out_over_its_original(name):
    row = row_of([user("Why?")], ["Because."], [Correction("Because it rains.")])
    records = [record for record in FORMATS[name].write(row) if "output" not in record]
    assert "it rains" in json.dumps(records)
    assert FORMATS["messages"].write is not None
    assert [r["messages"][-1]["content"] for r in FORMATS["messages"].write(row)] == ["Because it rains."]


def test_what_a_format_cannot_say_is_not_written():
    tie = RankingRow([user("Why?")], ("a", "b"), (1, 1))
    for name in ("preference", "hh", "openai-preference", "unpaired", "messages"):
        assert list(FORMATS[name].write(tie)) == [], name
    told = RankingRow([system("Be kind."), user("Why?")], ("a", "b"), (1, 2))
    assert list(FORMATS["hh"].write(told)) == [], "a transcript has no system message"


def test_columns_under_other_names_are_mapped():
    columns = {"prompt": "question", "completion": "answer", "label": "vote", "annotator": "who"}
    reading = Reading(FORMATS["unpaired"], columns)
    assert list(read_feedback(DATA / "thumbs.tsv", reading)) == [
        row_of([user("Is it late?")], ["No."], [Thumbs(True)], "Ada"),
        row_of([user("Is it late?")], ["So what?"], [Thumbs(False)], "Bo"),
    ]
    unmapped = list(read_feedback(DATA / "thumbs.tsv"))
    assert all(isinstance(row, Problem) for row in unmapped)
    wrong = list(read_feedback(DATA / "thumbs.tsv", Reading(FORMATS["unpaired"], {"prompt": "nowhere"})))
    assert wrong[0].reason == "it has nothing in the column “nowhere”"


def test_a_record_that_is_not_in_the_chosen_format_says_so():
    (problem,) = read_feedback(DATA / "hh.jsonl", Reading(FORMATS["alpaca"]))
    assert problem.reason.startswith("it is not in the format Alpaca")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"conversation_a": [], "conversation_b": [], "winner": "model_c"}, "neither model_a"),
        ({"input": {"messages": [user("x")], "tools": [{}]}, "preferred_output": [], "non_preferred_output": []}, "call tools"),
        ({"input": 7, "preferred_output": [], "non_preferred_output": []}, "the input is not an object"),
        ({"message_tree_id": "t", "prompt": {"text": "x", "role": "prompter", "replies": []}}, "no two answers"),
        ({"prompt": {"text": "x", "role": "ghost", "replies": []}}, "no text and role"),
        ({"fields": {}, "responses": {}}, "no fields"),
        ({"fields": {"prompt": "x", "a": "y"}, "responses": {}}, "nobody has answered"),
        ({"fields": {"prompt": "x", "a": "y"}, "responses": {"q": [{"value": 11}]}}, "which scale has “q”"),
        ({"fields": {"prompt": "x", "a": "y"}, "responses": {"q": [{"value": [{"start": 0, "end": 9, "label": "z"}]}]}}, "outside"),
        ({"data": {"prompt": "x"}, "annotations": []}, "nobody has annotated"),
        ({"data": {"prompt": "x", "a": "y"}, "annotations": [{"result": [{"type": "video", "value": {}}]}]}, "not understood"),
        (
            {"data": {"prompt": "x", "a": "y"}, "annotations": [{"result": [{"type": "pairwise", "value": {"selected": "left"}}]}]},
            "two answers",
        ),
        ({"conversations": [{"from": "alien", "value": "x"}]}, "role “alien”"),
        ({"instruction": "x", "output": "y", "history": [7]}, "history is not"),
        ({"messages": [user("x"), {"role": "assistant", "content": [{"type": "image_url"}]}]}, "something else than text"),
    ],
)
def test_damaged_records_say_what_is_wrong(record, reason):
    from rlhf_desktop.feedback.rows import Unusable

    with pytest.raises(Unusable, match=reason):
        Reading().rows(record)


def test_parts_of_text_are_joined():
    parts = [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]
    (row,) = Reading().rows({"messages": [{"role": "developer", "content": parts}, user("x"), assistant("y")]})
    assert row == DemonstrationRow([system("One.\n\nTwo."), user("x")], "y")
    assert row.verdicts == (Demonstrated(),)
