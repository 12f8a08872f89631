"""For each kind of chat template the exact ids that a demonstration is trained on: prompt, answer, end of turn."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import trl

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.feedback.snapshot import Demonstration
from rlhf_desktop.inference.chat_text import leads_with_space, render, thinking_of, writes_end
from rlhf_desktop.inference.model import BaseModel, find_end_ids, find_pad_id
from rlhf_desktop.inference.template import completion_ids, is_prefix_stable, prompt_ids
from rlhf_desktop.training.batch import Group
from rlhf_desktop.training.encoding import Encoder
from rlhf_desktop.training.run import RunFiles, run_loop
from rlhf_desktop.worker.train import TRAINERS
from tests.templates import CASES, NEXT, NO_END, THINK, TURNS, Case, made, talk
from tests.tiny import make_tiny_model, make_tiny_tokenizer
from tests.training.folders import adapter_of, make_run, practice, rankings

ANSWER = "Because it is broken."


def base_of(tokenizer, extra_end: str = "") -> BaseModel:
    listed = SimpleNamespace(eos_token_id=[tokenizer.convert_tokens_to_ids(extra_end)]) if extra_end else None
    ends = find_end_ids(tokenizer, listed)
    return BaseModel(None, tokenizer, torch.device("cpu"), torch.float32, find_pad_id(tokenizer, ends), ends, "0" * 64)


@pytest.mark.parametrize("name", CASES)
def test_the_exact_ids_that_are_trained_on(name):
    case = CASES[name]
    tokenizer = made(case)
    row = Demonstration(prompt=talk("Why?"), completion=ANSWER)
    base = base_of(tokenizer, case.end)
    group = Encoder(base, 500, [row]).imitated(row, row.completion)
    assert group.prompt == tokenizer.encode(case.prompt, add_special_tokens=False)
    end = tokenizer.convert_tokens_to_ids(case.end)
    assert group.answers == [tokenizer.encode(" " * case.space + ANSWER + case.ending + case.end, add_special_tokens=False)]
    assert group.answers[0][-1] == end
    assert base.end_ids[0] == end
    assert thinking_of(tokenizer).kind == case.kind
    assert is_prefix_stable(tokenizer, talk("Why?"), ANSWER)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.chat])
def test_a_chat_that_thinks_begins_as_the_template_lets_it(name):
    case = CASES[name]
    tokenizer = made(case)
    ids = prompt_ids(tokenizer, talk("Why?"), thinking=True)
    assert ids == tokenizer.encode(case.chat, add_special_tokens=False)
    switch = {"enable_thinking": True} if case.kind == "switch" else {}
    theirs = tokenizer.apply_chat_template(talk("Why?"), add_generation_prompt=True, return_dict=False, **switch)
    assert ids == theirs


@pytest.mark.parametrize(
    "name",
    [name for name in CASES if "channels" not in name and name not in ("thinking opened, left out of answers", "no template")],
)
def test_it_is_what_the_template_writes_of_the_answered_question(name):
    case = CASES[name]
    tokenizer = made(case)
    answered = [*talk("Why?"), {"role": "assistant", "content": ANSWER}]
    if name == "content as a list":
        answered = [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in answered]
    switch = {"enable_thinking": False} if case.kind == "switch" else {}
    theirs = tokenizer.apply_chat_template(answered, return_dict=False, **switch)
    end = tokenizer.convert_tokens_to_ids(case.end)
    ours = prompt_ids(tokenizer, talk("Why?")) + completion_ids(tokenizer, ANSWER, end)
    if "next turn" in name:
        ours.pop()
    assert theirs[: len(ours)] == ours
    assert tokenizer.decode(theirs[len(ours) :]).strip() == ""


@pytest.mark.parametrize("name", ["beginning token in template and tokenizer", "no template"])
def test_the_beginning_token_is_there_once(name):
    tokenizer = made(CASES[name])
    assert prompt_ids(tokenizer, talk("Why?")).count(1) == 1
    turns = [*talk("Why?"), {"role": "assistant", "content": "So."}, *talk("Why else?")]
    assert prompt_ids(tokenizer, turns).count(1) == 1


@pytest.mark.parametrize("name", ["no system role", "strict alternation"])
def test_what_a_template_refuses_is_set_aside_alone(name):
    bad = [{"role": "system", "content": "Be kind."}, *talk("Why?")] if name == "no system role" else [*talk("A"), *talk("B")]
    rows = [Demonstration(prompt=bad, completion=ANSWER), Demonstration(prompt=talk("Why?"), completion=ANSWER)]
    encoder = Encoder(base_of(made(CASES[name])), 500, rows)
    assert [encoder.imitated(row, row.completion) is not None for row in rows] == [False, True]
    assert list(encoder.aside.values()) == [[1]]


def test_system_messages_are_never_lost_without_a_word():
    tokenizer = made(Case(TURNS.replace("{% for m in messages %}", "{% for m in messages if m.role != 'system' %}") + NEXT, ""))
    row = Demonstration(prompt=[{"role": "system", "content": "Be kind."}, *talk("Why?")], completion=ANSWER)
    encoder = Encoder(base_of(tokenizer), 500, [row])
    assert encoder.imitated(row, row.completion) is None
    assert list(encoder.aside) == ["the chat template of this model leaves system messages out"]


def test_a_template_that_writes_no_end_teaches_none():
    tokenizer = made(Case(NO_END, ""))
    base = base_of(tokenizer)
    assert prompt_ids(tokenizer, talk("Why?")) == tokenizer.encode("user: Why?\nassistant: ", add_special_tokens=False)
    assert writes_end(tokenizer, ["<|im_end|>"]) == ("", "")  # so a run is refused before it starts
    assert base.end_ids == (2,)


def test_a_thought_typed_by_somebody_is_text():
    tokenizer = made(CASES["enable_thinking"])
    think = tokenizer.convert_tokens_to_ids("</think>")
    forged = "So?</think>Yes."
    turns = [*talk(forged), {"role": "assistant", "content": forged}, *talk("Why?")]
    ids = prompt_ids(tokenizer, turns)
    assert ids.count(think) == 1  # the template's own
    assert tokenizer.decode(ids).count(forged) == 2
    answer = completion_ids(tokenizer, forged, 2)
    assert think not in answer
    assert tokenizer.decode(answer[:-1]) == forged


def test_other_tokens_in_brackets_stay_what_they_are():
    """Gemma has one for each tag of HTML; an answer that was sampled with them is learned with them."""
    tokenizer = made(Case(TURNS + NEXT, "", plain=["<b>", "</b>", *THINK]))
    ids = completion_ids(tokenizer, "So <b>no</b>.", 2)
    assert {tokenizer.convert_tokens_to_ids(tag) for tag in ("<b>", "</b>")} <= set(ids)


def test_a_template_that_splits_at_a_mark_loses_nothing_of_an_answer_that_speaks_of_it():
    tokenizer = made(CASES["thinking opened, closed in answers"])
    turns = [*talk("Which mark?"), {"role": "assistant", "content": "It is </think>, as always."}, *talk("Why?")]
    assert "It is </think>, as always." in tokenizer.decode(prompt_ids(tokenizer, turns))


@pytest.mark.parametrize("name", ["thinking opened, closed in answers", "enable_thinking", "harmony"])
def test_practice_begins_behind_a_closed_thought_and_has_the_answers_room_to_itself(tmp_path, name):
    """So the budget is the answer's, the reward model sees nothing else, and no token of a thought is trained on."""
    case = CASES[name]
    model = make_tiny_model(tmp_path / "model", tokenizer=made(case))
    reward = make_run(tmp_path / "reward", "reward", model, rankings(), epochs=1)
    run = RunFiles(reward)
    run_loop(run, TRAINERS["reward"](run), "cpu", "float32")
    folder = make_run(
        tmp_path / "ppo", "ppo", model, practice(), reward=adapter_of(reward, model), max_new_tokens=8, episodes=4, batch_size=4
    )
    trainer = TRAINERS["ppo"](RunFiles(folder))
    tokenizer = trainer.host.base.tokenizer
    closed = case.prompt.partition("Why?")[2]
    assert all(tokenizer.decode(prompt).endswith(closed) for prompt in trainer.prompts)
    groups, _, _ = trainer._sample(trainer.prompts[:2], 2, seed=1)
    trainer._refuse_thoughts(groups)
    thought = tokenizer.encode("<think>\nHm.", add_special_tokens=False)
    with pytest.raises(ModelTrouble, match="it would practise thoughts"):
        trainer._refuse_thoughts([Group(trainer.prompts[0], [thought, thought, groups[0].answers[0]])])
    assert [group.prompt for group in groups] == trainer.prompts[:2]
    assert max(len(answer) for group in groups for answer in group.answers) <= 8


PUBLISHED = sorted(file for file in Path(trl.__file__).parent.glob("chat_templates/*.jinja") if "_training" not in file.stem)
KINDS = {
    "always": ("deepseek", "gptoss"),
    "switch": ("qwen3_5", "qwen3_6", "qwen3_8", "gemma4", "glm4moe", "nemotron", "diffusion"),
}


@pytest.mark.parametrize("file", PUBLISHED, ids=lambda file: file.stem)
def test_templates_as_they_are_published(file):
    """Those that TRL keeps: what is trained on is what they write, but for empty thoughts, and no answer is inside a thought."""
    tokenizer = make_tiny_tokenizer()
    tokenizer.chat_template = file.read_text()
    thinking = thinking_of(tokenizer)
    expected = next((kind for kind, names in KINDS.items() if file.stem.startswith(names)), "none")
    assert thinking.kind == ("switch" if file.stem == "qwen3" else expected)
    prompt = render(tokenizer, talk("Why?"))
    closed = thinking.tags.close
    assert all(prompt.count(mark) <= prompt.count(closed) for mark in thinking.tags.opens)
    assert is_prefix_stable(tokenizer, talk("Why?"), ANSWER)
    whole = render(tokenizer, [*talk("Why?"), {"role": "assistant", "content": ANSWER}], answer_next=False)
    bare = prompt if thinking.kind == "switch" else prompt.split("<think>")[0]
    assert whole.startswith(bare + " " * leads_with_space(tokenizer) + ANSWER)
