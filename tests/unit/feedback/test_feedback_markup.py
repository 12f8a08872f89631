import pytest

from rlhf_desktop.feedback.markup import MarkupCounter, foreign_mark
from rlhf_desktop.feedback.rows import DemonstrationRow, Problem, RankingRow


def asked(text):
    return [{"role": "user", "content": text}]


TEMPLATED = {
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n": "<|im_start|>",
    "<s>[INST] Hi [/INST]": "[INST]",
    "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>": "<|start_header_id|>",
    "<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n": "<start_of_turn>",
    "<|turn>user\nHi<turn|>\n": "<|turn>",
    "<|user|>\nHi</s>\n<|assistant|>\n": "<|user|>",
    "<｜User｜>Hi<｜Assistant｜>": "<｜User｜>",
    "Below is an instruction.\n\n### Instruction:\nHi\n\n### Response:\n": "### Instruction:",
    "A chat. USER: Hi ASSISTANT:": "USER: … ASSISTANT:",
}
PLAIN = [
    "What does <|im_start|> mean?",
    "The USER: field is empty.",
    "Write a heading with ### before Instructions.",
    "INST is short for institute [1].",
    "The user | assistant split.",
]


@pytest.mark.parametrize("text", TEMPLATED)
def test_a_prompt_written_by_another_template_is_known(text):
    assert foreign_mark(DemonstrationRow(asked(text), "Hello.")) == TEMPLATED[text]


def test_an_answer_that_ends_with_another_programs_end():
    for end in ("<|im_end|>", "</s>", "<|eot_id|>\n"):
        assert foreign_mark(RankingRow(asked("Hi"), ("Hello.", f"Go.{end}"), (1, 2))) == end.strip()


@pytest.mark.parametrize("text", PLAIN)
def test_what_only_speaks_of_marks_is_left_alone(text):
    assert foreign_mark(DemonstrationRow(asked(text), f"{text} I see.")) == ""


def test_rows_are_counted_and_said_together():
    counter = MarkupCounter()
    rows = [DemonstrationRow(asked(text), "Hello.") for text in (*TEMPLATED, *PLAIN)]
    assert list(counter.over(iter([*rows, Problem(3, "it is not JSON")])))[: len(rows)] == rows
    assert counter.rows == len(TEMPLATED)
    assert "another program's chat markup (" in counter.sentence
    assert MarkupCounter().sentence == ""
