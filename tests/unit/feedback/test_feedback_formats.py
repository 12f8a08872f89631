import json
from pathlib import Path

import pytest

from rlhf_desktop.feedback.formats import Reading, read_feedback
from rlhf_desktop.feedback.formats.hh import hh_messages
from rlhf_desktop.feedback.rows import DemonstrationRow, Problem, RankingRow, Unusable

USER = {"role": "user", "content": "My printer broke."}
SORRY = {"role": "assistant", "content": "I'm sorry about your printer."}
NO = {"role": "assistant", "content": "Buy a new one."}
EXPECTED = RankingRow([USER], (SORRY["content"], NO["content"]), (1, 2))


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": [USER], "completions": [{"text": SORRY["content"], "rank": 1}, {"text": NO["content"], "rank": 4}]},
        {"prompt": [USER], "chosen": [SORRY], "rejected": [NO]},
        {"prompt": "My printer broke.", "chosen": SORRY["content"], "rejected": NO["content"]},
        {"prompt": "My printer broke.", "chosen": [USER, SORRY], "rejected": [USER, NO], "score_chosen": 8.0},
        {"chosen": [USER, SORRY], "rejected": [USER, NO]},
        {
            "chosen": "\n\nHuman: My printer broke.\n\nAssistant: I'm sorry about your printer.",
            "rejected": "\n\nHuman: My printer broke.\n\nAssistant: Buy a new one.",
        },
    ],
    ids=["rankings", "trl-explicit", "trl-standard", "ultrafeedback", "trl-implicit", "hh"],
)
def test_preferences_of_every_format_mean_the_same(row):
    assert Reading().rows(row) == [EXPECTED]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [USER, SORRY]},
        {"prompt": "My printer broke.", "completion": SORRY["content"]},
        {"prompt": [USER], "completion": [SORRY]},
    ],
    ids=["messages", "text", "conversational"],
)
def test_demonstrations_of_every_format_mean_the_same(row):
    assert Reading().rows(row) == [DemonstrationRow([USER], SORRY["content"])]


def test_longer_conversations_keep_their_turns():
    transcript = "\n\nHuman: One\n\nAssistant: Two\n\nHuman: Three\n\nHuman: Four\n\nAssistant: "
    (row,) = Reading().rows({"chosen": transcript + "Yes.", "rejected": transcript + "No."})
    assert isinstance(row, RankingRow)
    assert [m["content"] for m in row.prompt] == ["One", "Two", "Three\n\nFour"]
    assert row.completions == ("Yes.", "No.")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"chosen": "Yes.", "rejected": "No."}, "there is no prompt"),
        ({"chosen": [USER, SORRY], "rejected": [{"role": "user", "content": "Hi"}, NO]}, "differ from message 1"),
        ({"chosen": [USER], "rejected": [USER]}, "ends with the assistant's message"),
        ({"chosen": [USER, SORRY], "rejected": "No."}, "not a list of messages"),
        ({"prompt": [USER], "chosen": [USER, SORRY, NO], "rejected": [NO]}, "not one assistant's message"),
        ({"prompt": [USER], "completion": "x", "label": "perhaps"}, "neither true nor false"),
        ({"instruktion": "x", "output": "y"}, "^no format has just these keys: instruktion, output$"),
        ({"messages": [USER]}, "ends with the assistant's message"),
        ({"messages": [SORRY, NO]}, "must end with the user's"),
        ({"prompt": "x" * 32_769, "completion": "y"}, "32,769 characters"),
        ({"prompt": "  ", "completion": "y"}, "prompt is empty"),
        ({}, "it has nothing"),
        ("text", "not a JSON object"),
    ],
)
def test_what_cannot_be_used_says_why(row, reason):
    with pytest.raises(Unusable, match=reason):
        Reading().rows(row)


def test_a_transcript_must_start_with_a_speaker_and_have_no_empty_turn():
    with pytest.raises(Unusable, match="Human:"):
        hh_messages("Hello\n\nHuman: x\n\nAssistant: y")
    with pytest.raises(Unusable, match="assistant message is empty"):
        hh_messages("\n\nHuman: x\n\nAssistant:")


def test_one_file_may_mix_formats(tmp_path):
    path = tmp_path / "f.jsonl"
    rows = [{"messages": [USER, SORRY]}, {"chosen": [USER, SORRY], "rejected": [USER, NO]}, 7]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{half\n")
    assert list(read_feedback(path)) == [
        DemonstrationRow([USER], SORRY["content"]),
        EXPECTED,
        Problem(3, "it is not a JSON object", "7"),
        Problem(4, "it is not JSON", "{half"),
    ]


def test_json_that_is_nested_without_end_is_not_json(tmp_path):
    path = tmp_path / "f.jsonl"
    path.write_text("[" * 100_000 + "\n" + '{"messages": oops}\n')
    assert [problem.reason for problem in read_feedback(path)] == ["it is not JSON"] * 2


HH = Path(__file__).parents[4] / "shared" / "data" / "hh-harmless-dev.jsonl"


@pytest.mark.skipif(not HH.exists(), reason="the public HH-RLHF sample is not on this machine")
def test_real_hh_rows_are_read_but_for_those_with_an_empty_turn():
    rows = list(read_feedback(HH))
    problems = [row for row in rows if isinstance(row, Problem)]
    assert len(rows) == 1800
    assert len(problems) < 10
    assert {p.reason for p in problems} == {"the assistant message is empty"}
