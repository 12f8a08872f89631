import pytest

from rlhf_desktop.inference.chat_text import render
from rlhf_desktop.inference.modelfile import chat_form, modelfile
from tests.go_template import go, template_of
from tests.templates import CASES, made
from tests.tiny import make_tiny_tokenizer

LLAMA3 = (
    "{{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + "
    "message['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
INST = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% elif m['role'] == 'assistant' %}{{ m['content'] + '</s>' }}"
    "{% else %}{{ raise_exception('no system') }}{% endif %}{% endfor %}"
)
PLAIN3 = LLAMA3.replace(" | trim", "")
SYSTEM, USER, ASSISTANT = "system", "user", "assistant"
TALKS = [
    [(USER, "Hello")],
    [(SYSTEM, "Be {kind}."), (USER, "Why?\nNow.")],
    [(USER, "a"), (ASSISTANT, "b"), (USER, "c")],
    [(SYSTEM, "s"), (USER, "é😀"), (ASSISTANT, '"q"'), (USER, "c"), (ASSISTANT, "d"), (USER, "e")],
]


def talk(turns):
    return [{"role": role, "content": content} for role, content in turns]


def tokenizer(template=None):
    made = make_tiny_tokenizer()
    made.chat_template = template or made.chat_template
    return made


@pytest.mark.parametrize("template", [None, PLAIN3, PLAIN3.replace("{{ bos_token }}", "")])
@pytest.mark.parametrize("turns", TALKS)
def test_the_go_template_writes_what_the_models_own_writes(template, turns):
    made = tokenizer(template)
    form = chat_form(made)
    assert form is not None
    assert go(form.go_template(), talk(turns)) == render(made, talk(turns)) == form.write(talk(turns))


def test_the_default_system_message_is_kept():
    form = chat_form(tokenizer())
    assert "You are a tiny test." in form.default_system
    assert "{{ if not .System }}" in form.go_template()
    assert form.turns["user"] == ("<|im_start|>user\n", "<|im_end|>\n")


STRICT = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('must alternate') }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set first = messages[0]['content'] + '\n\n' %}"
    "{% set talk = messages[1:] %}{% else %}{% set first = '' %}{% set talk = messages %}{% endif %}{% for message in talk %}"
    "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\n' + (first if loop.first else '') }}"
    "{{ message['content'] + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)


@pytest.mark.parametrize("template", [STRICT, INST])
@pytest.mark.parametrize("turns", [turns for turns in TALKS if turns[0][0] != SYSTEM])
def test_a_model_that_refuses_system_messages_has_a_template_and_says_so(template, turns):
    made = tokenizer(template)
    form = chat_form(made)
    assert go(form.go_template(), talk(turns)) == render(made, talk(turns)) == form.write(talk(turns))
    written = modelfile("a.gguf", made)
    assert go(template_of(written), talk(turns)) == render(made, talk(turns))
    assert "has no system message" in written


@pytest.mark.parametrize("turns", TALKS)
def test_a_system_message_before_the_first_question_is_put_there(turns):
    made = tokenizer(GEMMA)
    written = modelfile("a.gguf", made)
    assert go(template_of(written), talk(turns)) == render(made, talk(turns)) == chat_form(made).write(talk(turns))
    assert "#" not in written


def test_a_template_that_trims_is_written_and_the_difference_said():
    written = modelfile("a.gguf", tokenizer(LLAMA3))
    assert go(template_of(written), talk(TALKS[2])) == render(tokenizer(LLAMA3), talk(TALKS[2]))
    assert "takes spaces off the ends" in written


def test_what_cannot_be_written_is_not_said_to_be_read_from_the_file():
    more = "{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}"
    assert chat_form(tokenizer(more)) is None
    bare = tokenizer()
    bare.chat_template = None
    for written in (modelfile("a.gguf", tokenizer(more)), modelfile("a.gguf", bare)):
        assert 'TEMPLATE "' not in written
        assert "write a TEMPLATE here" in written


def test_a_modelfile():
    text = modelfile("kinder-F16.gguf", tokenizer(), "kinder-lora.gguf")
    assert text.startswith('FROM ./kinder-F16.gguf\nADAPTER ./kinder-lora.gguf\nTEMPLATE """')
    assert 'PARAMETER stop "<|im_end|>"' in text
    assert "PARAMETER temperature 0.7" in text


def test_text_that_would_break_the_file():
    assert 'TEMPLATE """' not in modelfile("a.gguf", tokenizer(PLAIN3.replace("assistant", '""" SYSTEM evil')))


def test_ollama_answers_without_a_thought_as_chat_does_here():
    made_here = made(CASES["enable_thinking"])
    form = chat_form(made_here)
    assert form is not None
    assert form.answer.endswith("<think>\n\n</think>\n\n")
