import pytest

from rlhf_desktop.inference.chat_text import render
from rlhf_desktop.inference.modelfile import chat_form, modelfile
from tests.go_template import go
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


@pytest.mark.parametrize("template", [LLAMA3, INST, "{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}"])
def test_a_template_that_does_more_is_left_to_the_file(template):
    assert chat_form(tokenizer(template)) is None
    assert "TEMPLATE" not in modelfile("a.gguf", tokenizer(template))


def test_a_modelfile():
    text = modelfile("kinder-F16.gguf", tokenizer(), "kinder-lora.gguf")
    assert text.startswith('FROM ./kinder-F16.gguf\nADAPTER ./kinder-lora.gguf\nTEMPLATE """')
    assert 'PARAMETER stop "<|im_end|>"' in text
    assert "PARAMETER temperature 0.7" in text


def test_text_that_would_break_the_file():
    assert 'TEMPLATE """' not in modelfile("a.gguf", tokenizer(PLAIN3.replace("assistant", '""" SYSTEM evil')))
