"""Chat templates of the kinds in use, in few words, with what each makes of one question."""

from dataclasses import dataclass, field
from typing import Any

from tests.tiny import make_tiny_tokenizer

TURNS = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
NEXT = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + TURNS + NEXT
STRICT = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('must alternate') }}"
    "{% endif %}{% endfor %}" + TURNS + NEXT
)
# Always thinks, and writes an empty thought into an answer that has none.
OPENS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n"
    "{% endif %}{{ m.content.split('</think>')[-1] }}<|im_end|>\n{% endfor %}" + NEXT.replace("assistant\n", "assistant\n<think>\n")
)
# Always thinks, and takes no notice of thoughts in what was said before.
OPENS_ALONE = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}<|user|>{{ m.content }}{% else %}<|assistant|>"
    "{{ m.content.split('</think>')[-1] }}<|im_end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}"
)
SWITCH = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n"
    "{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
# Off by default, and what an answer without a thought looks like is written only before it comes.
CHANNEL = (
    "{% if enable_thinking is defined and enable_thinking %}<|turn>system\n<|think|><turn|>\n{% endif %}"
    "{% for m in messages %}<|turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<turn|>\n"
    "{% endfor %}{% if add_generation_prompt %}"
    "<|turn>model\n{% if not enable_thinking | default(false) %}<|channel>thought\n<channel|>{% endif %}{% endif %}"
)
# The turn ends with the mark of the next one, and a line break belongs to no part of the answer.
NEXT_TURN_ENDS = (
    "{% for m in messages %}<|{{ m.role }}|>\n{% if m.role == 'assistant' %}<think></think>\n{% endif %}{{ m.content }}"
    "{% if m.role == 'user' and enable_thinking is defined and not enable_thinking %}/nothink{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>"
    "{{ '\n<think></think>' if enable_thinking is defined and not enable_thinking }}{% endif %}"
)
HARMONY = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{% if loop.last and not add_generation_prompt %}"
    "{% if 'thinking' in m %}<|start|>assistant<|channel|>analysis<|message|>{{ m.thinking }}<|end|>{% endif %}"
    "<|start|>assistant<|channel|>final<|message|>{{ m.content }}<|return|>{% else %}"
    "<|start|>assistant<|channel|>final<|message|>{{ m.content }}<|end|>{% endif %}{% else %}"
    "<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
WITH_BOS = "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eos_token }}{% endfor %}"
WITH_BOS += "{% if add_generation_prompt %}[assistant]{% endif %}"
LISTS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for part in m.content %}"
    "{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}" + NEXT
)
# A mark of its own before the end, and a space before the answer, which belongs to it.
RESPONSE = (
    "{% for m in messages %}<|turn>{{ m.role }}{{ '<|START|>' if m.role == 'assistant' }}{{ m.content }}"
    "{{ '<|END|>' if m.role == 'assistant' }}<turn|>{% endfor %}{% if add_generation_prompt %}<|turn>assistant<|START|>{% endif %}"
)
SPACED = (
    "{% for m in messages %}{% if m.role == 'user' %}User: {{ m.content }}\n\n{% else %}Assistant: {{ m.content }}{{ eos_token }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)
NO_END = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"

USER = "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"


@dataclass(frozen=True)
class Case:
    """A template, and what is to come of it."""

    template: str | None
    prompt: str  # as it is trained on
    end: str = "<|im_end|>"
    ending: str = ""  # what comes before it
    space: bool = False  # before the answer
    kind: str = "none"
    chat: str = ""  # the prompt of a chat that lets the model think, where it is another
    special: list[str] = field(default_factory=list)  # tokens added to the vocabulary
    plain: list[str] = field(default_factory=list)  # tokens added that are no special ones


THINK = ["<think>", "</think>"]
MARKS = ["<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|return|>"]
GEMMA = ["<|turn>", "<turn|>", "<|channel>", "<channel|>", "<|think|>"]
CASES = {
    "no system role": Case(NO_SYSTEM, USER),
    "strict alternation": Case(STRICT, USER),
    "thinking opened, closed in answers": Case(
        OPENS, f"{USER}<think>\n\n</think>\n\n", kind="always", chat=f"{USER}<think>\n", plain=THINK
    ),
    "thinking opened, left out of answers": Case(
        OPENS_ALONE,
        "<|im_start|><|user|>Why?<|assistant|><think>\n\n</think>\n\n",
        kind="always",
        chat="<|im_start|><|user|>Why?<|assistant|><think>\n",
        special=["<|user|>", "<|assistant|>"],
        plain=THINK,
    ),
    "enable_thinking": Case(SWITCH, f"{USER}<think>\n\n</think>\n\n", kind="switch", chat=USER, plain=THINK),
    "enable_thinking, marks not in the vocabulary": Case(SWITCH, f"{USER}<think>\n\n</think>\n\n", kind="switch", chat=USER),
    "enable_thinking, by channels": Case(
        CHANNEL,
        "<|turn>user\nWhy?<turn|>\n<|turn>model\n<|channel>thought\n<channel|>",
        end="<turn|>",
        kind="switch",
        chat="<|turn>system\n<|think|><turn|>\n<|turn>user\nWhy?<turn|>\n<|turn>model\n",
        special=GEMMA,
    ),
    "enable_thinking, no end but the next turn": Case(
        NEXT_TURN_ENDS,
        "<|user|>\nWhy?/nothink<|assistant|>\n<think></think>\n",
        end="<|user|>",
        kind="switch",
        chat="<|user|>\nWhy?<|assistant|>",
        special=["<|user|>", "<|assistant|>"],
        plain=THINK,
    ),
    "harmony": Case(
        HARMONY,
        "<|start|>user<|message|>Why?<|end|><|start|>assistant<|channel|>final<|message|>",
        end="<|return|>",
        kind="always",
        chat="<|start|>user<|message|>Why?<|end|><|start|>assistant",
        special=MARKS,
    ),
    "beginning token in template and tokenizer": Case(WITH_BOS, "<|im_start|>[user]Why?<|im_end|>[assistant]"),
    "content as a list": Case(LISTS, USER),
    "a mark before the end": Case(
        RESPONSE,
        "<|turn>userWhy?<turn|><|turn>assistant<|START|>",
        end="<turn|>",
        ending="<|END|>",
        special=["<|turn>", "<turn|>", "<|START|>", "<|END|>"],
    ),
    "a space before the answer": Case(SPACED, "User: Why?\n\nAssistant:", space=True),
    "no template": Case(None, "<|im_start|>User: Why?\n\nAssistant:", space=True),
}


def made(case: Case, *, adds_bos: bool = True) -> Any:
    """The tiny tokenizer with this template; its own rule puts a beginning token before every text."""
    from tokenizers.processors import TemplateProcessing

    tokenizer = make_tiny_tokenizer()
    tokenizer.add_tokens(case.special, special_tokens=True)
    tokenizer.add_tokens(case.plain)
    if adds_bos:
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="<|im_start|> $A", special_tokens=[("<|im_start|>", 1)]
        )
    tokenizer.chat_template = case.template
    return tokenizer


def talk(text: str) -> list[dict[str, str]]:
    """One question."""
    return [{"role": "user", "content": text}]
