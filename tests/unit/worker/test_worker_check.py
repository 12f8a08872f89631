"""`worker check` on a real tokenizer: the template, the end of a turn, and the tokens a trainer will see."""

import io
import json

import pytest

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.measures import CheckRequest, TextRow
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.inference.template import encode_pair
from rlhf_desktop.worker.answer import answer
from rlhf_desktop.worker.check import check
from tests.tiny import make_tiny_tokenizer

PROMPT = [{"role": "user", "content": "My printer broke. What now?"}]


@pytest.fixture
def model(tiny_model, tmp_path):
    """A copy of the tiny model's folder whose template may be changed."""

    def change(**fields):
        tokenizer = make_tiny_tokenizer()
        for name, value in fields.items():
            setattr(tokenizer, name, value)
        tokenizer.save_pretrained(tmp_path / "changed")
        return tiny_model.model_copy(update={"path": str(tmp_path / "changed")})

    return change


def test_a_sound_model(tiny_model):
    found = check(CheckRequest(base=tiny_model))
    assert (found.has_template, found.template_trouble, found.system_trouble, found.prefix_stable) == (True, "", "", True)
    assert (found.end_token, found.end_is_trained) == ("<|im_end|>", True)


def test_sizes_are_what_the_trainer_encodes(tiny_model):
    base = load_base(tiny_model, dtype="float32", device="cpu")
    texts = ["We will send a new one.", "", "x" * 50]
    (size,) = check(CheckRequest(base=tiny_model, rows=[TextRow(prompt=PROMPT, answers=texts)])).sizes
    pairs = [encode_pair(base.tokenizer, PROMPT, text, 500, end_id=base.end_ids[0]) for text in texts]
    assert size.prompt == len(pairs[0][0])
    assert size.answers == [len(ids) for _, ids in pairs]
    assert size.tokens == size.prompt + sum(size.answers)


def test_a_template_that_writes_no_end_is_found(model):
    turns = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
    template = turns + "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    found = check(CheckRequest(base=model(chat_template=template)))
    assert found.end_is_trained is False


def test_a_template_that_rewrites_the_question_is_found(model):
    turns = "{% for m in messages %}{{ m['content'] + '<|im_end|>' }}{% endfor %}"
    template = "{% if add_generation_prompt %}{{ 'Q ' }}{% else %}{{ 'A ' }}{% endif %}" + turns
    assert check(CheckRequest(base=model(chat_template=template))).prefix_stable is False


def test_a_template_that_refuses_is_said(model):
    whole = "{{ raise_exception('no talk') }}"
    assert "no talk" in check(CheckRequest(base=model(chat_template=whole))).template_trouble
    system = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        + make_tiny_tokenizer().chat_template
    )
    found = check(CheckRequest(base=model(chat_template=system)))
    assert (found.template_trouble, found.end_is_trained) == ("", True)
    assert "no system" in found.system_trouble


def test_a_model_without_a_template_gets_the_plain_one(model):
    found = check(CheckRequest(base=model(chat_template=None)))
    assert (found.has_template, found.prefix_stable, found.end_is_trained) == (False, True, True)


def test_troubles_and_bugs_are_answered_as_json():
    def fail(problem):
        def work():
            raise problem

        out = io.BytesIO()
        assert answer(out, work) == 1
        return json.loads(out.getvalue())["error"]

    assert fail(ModelTrouble("Gone.", "Find it."))["message"] == "Gone."
    assert "not enough memory" in fail(RuntimeError("CUDA out of memory"))["message"]
    assert "ZeroDivisionError" in fail(ZeroDivisionError())["detail"]
