"""What becomes of rows that do not fit, that a template refuses, or that say nothing: never silence, never another meaning."""

import json
from pathlib import Path

import pytest

from rlhf_desktop.core.errors import NotEnoughFeedback
from rlhf_desktop.core.measures import CheckRequest, TextRow
from rlhf_desktop.core.recipes import make_settings
from rlhf_desktop.feedback.snapshot import Demonstration, PracticePrompt, RankedAnswers, RankedText, ThumbedAnswer
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.inference.template import prompt_ids
from rlhf_desktop.operations.fitting import fitted
from rlhf_desktop.training.encoding import Encoder
from rlhf_desktop.training.run import RunFiles
from rlhf_desktop.worker.check import check
from rlhf_desktop.worker.train import TRAINERS
from tests.tiny import make_tiny_model
from tests.training.folders import ask, demonstrations, events, make_run, practice, rankings, thumbs

LONG = "We will send a new one. " * 30
STRICT = (
    "{% for m in messages %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('turns must alternate') }}{% endif %}"
    "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
UNEVEN = [RankedText(text="Yes.", rank=1), RankedText(text=LONG, rank=2)]


@pytest.fixture(scope="module")
def base(tiny_model):
    return load_base(tiny_model, dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    model = make_tiny_model(tmp_path_factory.mktemp("strict") / "model")
    (Path(model.path) / "chat_template.jinja").write_text(STRICT)
    return model


def prepared(folder, algorithm, model, rows, **settings):
    """The trainer of a run, and the warnings about its rows."""
    run = RunFiles(make_run(folder, algorithm, model, rows, **settings))
    trainer = TRAINERS[algorithm](run)
    return trainer, [event["message"] for event in events(folder, "warning")]


def test_a_long_answer_to_imitate_is_cut_and_teaches_no_end(base):
    row = Demonstration(prompt=ask("Why?"), completion=LONG)
    encoder = Encoder(base, 100, [row])
    group = encoder.imitated(row, row.completion)
    assert group.prompt == prompt_ids(base.tokenizer, row.prompt)
    assert group.tokens == 100
    assert base.end_ids[0] not in group.answers[0]
    assert encoder.cut == [1]
    whole = Encoder(base, encoder.needed, [row]).imitated(row, row.completion)
    assert whole.answers[0][-1] == base.end_ids[0]


def test_a_long_answer_does_not_take_the_question_of_the_others(base):
    row = RankedAnswers(prompt=ask("Why?"), completions=UNEVEN)
    encoder = Encoder(base, 100, [row])
    assert encoder.compared(row, ["Yes.", LONG]) is None
    assert encoder.aside == {"longer than max_length": [1]}
    group = Encoder(base, encoder.needed).compared(row, ["Yes.", LONG])
    assert group.prompt == prompt_ids(base.tokenizer, row.prompt)
    assert [answer[-1] for answer in group.answers] == [base.end_ids[0]] * 2


def test_old_turns_go_before_anything_of_the_question_or_the_answer(base):
    turns = [*ask("old " * 40), {"role": "assistant", "content": "older " * 40}, *ask("Why?")]
    row = Demonstration(prompt=turns, completion="Because of that.")
    encoder = Encoder(base, 100, [row])
    group = encoder.imitated(row, row.completion)
    assert group.prompt == prompt_ids(base.tokenizer, ask("Why?"))
    assert (encoder.aside, encoder.cut) == ({}, [])


CASES = {
    "sft": (demonstrations, Demonstration(prompt=ask("word " * 80), completion="Yes.")),
    "dpo": (rankings, RankedAnswers(prompt=ask("Q"), completions=UNEVEN)),
    "reward": (
        rankings,
        RankedAnswers(prompt=ask("Q"), completions=UNEVEN),
    ),
    "kto": (thumbs, ThumbedAnswer(prompt=ask("Q"), text=LONG, desirable=True)),
}


@pytest.mark.parametrize("algorithm", CASES)
def test_a_row_that_does_not_fit_is_set_aside_by_its_number_with_the_length_that_keeps_it(tiny_model, tmp_path, algorithm):
    rows_of, odd = CASES[algorithm]
    trainer, said = prepared(tmp_path / "run", algorithm, tiny_model, [*rows_of(), odd], max_length=200)
    assert len(said) == 1
    assert said[0].startswith(f"Row {len(rows_of()) + 1} is set aside: longer than max_length. max_length = ")
    needed = int(said[0].split("= ")[1].split()[0].replace(",", ""))
    again, nothing = prepared(tmp_path / "again", algorithm, tiny_model, [*rows_of(), odd], max_length=needed)
    assert nothing == []
    assert len(again.items) == len(trainer.items) + 1


def test_a_prompt_to_practise_on_that_does_not_fit(tiny_model, tmp_path):
    from rlhf_desktop.training.run import run_loop
    from tests.training.folders import adapter_of

    reward = make_run(tmp_path / "reward", "reward", tiny_model, rankings(), epochs=1)
    run = RunFiles(reward)
    run_loop(run, TRAINERS["reward"](run), "cpu", "float32")
    long = PracticePrompt(prompt=ask("word " * 80))
    folder = make_run(
        tmp_path / "ppo",
        "ppo",
        tiny_model,
        [long, *practice()],
        reward=adapter_of(reward, tiny_model),
        max_length=200,
        max_new_tokens=8,
    )
    trainer = TRAINERS["ppo"](RunFiles(folder))
    assert len(trainer.prompts) == sum(row.split == "train" for row in practice())
    assert events(folder, "warning")[0]["message"].startswith("Row 1 is set aside: longer than max_length.")


@pytest.mark.parametrize("algorithm", ["sft", "dpo", "kto"])
def test_a_row_that_the_template_refuses_does_not_stop_the_run(strict, tmp_path, algorithm):
    twice = [*ask("A"), *ask("B")]
    rows_of, odd = CASES[algorithm]
    refused = type(odd).model_validate_json(json.dumps({**odd.model_dump(), "prompt": twice}))
    trainer, said = prepared(tmp_path / "run", algorithm, strict, [refused, *rows_of()])
    assert said == ["Row 1 is set aside: the chat template of this model refuses the conversation: turns must alternate."]
    assert trainer.items


def test_a_run_of_nothing_but_such_rows_is_refused_in_words(strict, tmp_path):
    twice = [*ask("A"), *ask("B")]
    rows = [Demonstration(prompt=twice, completion="Yes.")] * 3
    with pytest.raises(NotEnoughFeedback, match="None of the rows can be learned from: the chat template"):
        prepared(tmp_path / "run", "sft", strict, rows)


def test_identical_answers_teach_nothing_and_are_counted(tiny_model, tmp_path):
    same = RankedAnswers(prompt=ask("Q"), completions=[RankedText(text="Yes.", rank=1), RankedText(text="Yes.", rank=2)])
    for algorithm in ("dpo", "reward"):
        _, said = prepared(tmp_path / algorithm, algorithm, tiny_model, [*rankings(), same])
        assert said == [f"Row {len(rankings()) + 1} is set aside: the answers are the same text."]
        with pytest.raises(NotEnoughFeedback, match="the same text"):
            prepared(tmp_path / f"{algorithm}-alone", algorithm, tiny_model, [same])


@pytest.mark.parametrize("algorithm", ["sft", "dpo"])
def test_the_preflight_foretells_what_the_trainer_does(base, tiny_model, algorithm):
    texts = ["Yes.", LONG[:60], LONG]
    prompts = [ask("Why?"), ask("word " * 30), [*ask("old " * 40), {"role": "assistant", "content": "A"}, *ask("Why?")]]
    settings = make_settings(algorithm, {"max_length": 120})
    for prompt in prompts:
        for text in texts:
            asked = TextRow(prompt=prompt, answers=[text, "No."] if algorithm == "dpo" else [text])
            row = Demonstration(prompt=prompt, completion=text)
            encoder = Encoder(base, settings.max_length, [row])
            group = encoder.imitated(row, text) if algorithm == "sft" else encoder.compared(row, asked.answers)
            (size,) = check(CheckRequest(base=tiny_model, rows=[asked])).sizes
            told = fitted(size, settings)
            assert (told is None) == (group is None)
            if group is not None:
                assert [len(answer) for answer in group.answers] == told.answers
                assert len(group.prompt) <= told.prompt  # whole turns go, and the estimate counts to the last token
