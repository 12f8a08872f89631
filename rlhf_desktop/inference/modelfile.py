"""An Ollama Modelfile for an exported GGUF file: the chat format in Go's template language, found by asking the model's own.

Conversations with marked contents go through the model's chat template; if what comes out is a prefix and a suffix around each
content, with nothing that depends on anything else, the same is written in Go. A template that does more is left to
Ollama, which reads the one inside the GGUF file.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.messages import Message, Role
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.inference.chat_text import render
from rlhf_desktop.inference.model import END_OF_TURN, find_end_ids
from rlhf_desktop.inference.template import exports_bos

_MARK = "\x02{}\x03"


@dataclass(frozen=True)
class ChatForm:
    """A chat format of prefixes and suffixes. `default_system` stands where no system message is given."""

    start: str
    turns: dict[Role, tuple[str, str]]
    default_system: str
    answer: str  # what comes before the answer

    def write(self, messages: Sequence[Message]) -> str:
        """A conversation in this format, up to the answer."""
        text = self.start if messages[0]["role"] == "system" else self.start + self.default_system
        for message in messages:
            before, after = self.turns[message["role"]]
            text += before + message["content"] + after
        return text + self.answer

    def go_template(self) -> str:
        """The same in the template language of Ollama."""
        cases = [
            f'{"{{ if" if place == 0 else "{{ else if"} eq .Role "{role}" }}}}{before}{{{{ .Content }}}}{after}'
            for place, (role, (before, after)) in enumerate(self.turns.items())
        ]
        default = f"{{{{ if not .System }}}}{self.default_system}{{{{ end }}}}" if self.default_system else ""
        return f"{self.start}{default}{{{{ range .Messages }}}}{''.join(cases)}{{{{ end }}}}{{{{ end }}}}{self.answer}"


def chat_form(tokenizer: Any) -> ChatForm | None:
    """The format behind a tokenizer's chat template; None where it is not of this simple kind."""
    try:
        found = _guess(tokenizer)
        simple = found is not None and all(found.write(talk) == _text(tokenizer, talk) for talk in _trials())
    except ModelTrouble:  # it refuses a system message, for one
        return None
    return found if simple else None


def _guess(tokenizer: Any) -> ChatForm | None:
    """The format that would write two marked conversations as the template does."""
    marked = [_message("system", 0), _message("user", 1), _message("assistant", 2), _message("user", 3)]
    pieces = _between(_text(tokenizer, marked), 4)
    bare = _between(_text(tokenizer, marked[1:2]), 1, first=1)
    if pieces is None or bare is None:
        return None
    first, system_user, user_assistant, assistant_user, user_answer = pieces
    user_before = _after_turn_end(_common_end(_common_end(system_user, assistant_user), bare[0]), tokenizer)
    user_after = _through_turn_end(_common_start(user_assistant, user_answer), tokenizer)
    lead = bare[0].removesuffix(user_before)  # before a first user message: nothing, a beginning token, or a default system message
    start, default = (lead, "") if first.startswith(lead) else ("", lead)
    turns: dict[Role, tuple[str, str]] = {
        "system": (first.removeprefix(start), system_user.removesuffix(user_before)),
        "user": (user_before, user_after),
        "assistant": (user_assistant.removeprefix(user_after), assistant_user.removesuffix(user_before)),
    }
    return ChatForm(start, turns, default, user_answer.removeprefix(user_after))


def _after_turn_end(text: str, tokenizer: Any) -> str:
    """What follows the last end of a turn: that belongs to the turn before."""
    for token in (*END_OF_TURN, str(tokenizer.eos_token)):
        if token in text:
            return text.rpartition(token)[2].lstrip()
    return text


def _through_turn_end(text: str, tokenizer: Any) -> str:
    """What ends the turn: the rest begins the next one."""
    for token in (*END_OF_TURN, str(tokenizer.eos_token)):
        if token in text:
            head, _, tail = text.partition(token)
            return head + token + tail[: len(tail) - len(tail.lstrip())]
    return text


def _message(role: Role, number: int) -> Message:
    return {"role": role, "content": _MARK.format(number)}


def _text(tokenizer: Any, messages: Sequence[Message]) -> str:
    text = render(tokenizer, messages)
    return text.removeprefix(tokenizer.bos_token) if exports_bos(tokenizer) else text  # Ollama adds it, told by the GGUF file


def _between(text: str, count: int, first: int = 0) -> list[str] | None:
    """What stands before, between and after the marks; None unless each is there once, in order."""
    pieces = []
    for number in range(first, first + count):
        before, mark, text = text.partition(_MARK.format(number))
        if not mark:
            return None
        pieces.append(before)
    return None if "\x02" in text else [*pieces, text]


def _trials() -> list[list[Message]]:
    """Conversations that show whether a format is more than prefixes and suffixes."""
    talks: list[list[tuple[Role, str]]] = [
        [("user", "Hello")],
        [("user", "  spaces around  ")],
        [("system", "Be kind."), ("user", "Hello\n\nthere")],
        [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("user", "e")],
        [("system", "S"), ("user", "é😀"), ("assistant", "<b>"), ("user", "x")],
    ]
    return [[{"role": role, "content": content} for role, content in talk] for talk in talks]


def _common_start(a: str, b: str) -> str:
    at = 0
    while at < min(len(a), len(b)) and a[at] == b[at]:
        at += 1
    return a[:at]


def _common_end(a: str, b: str) -> str:
    return _common_start(a[::-1], b[::-1])[::-1]


def modelfile(gguf_name: str, tokenizer: Any, adapter_name: str = "") -> str:
    """The Modelfile beside an exported file."""
    lines = [f"FROM ./{gguf_name}"]
    lines += [f"ADAPTER ./{adapter_name}"] if adapter_name else []
    form = chat_form(tokenizer) if tokenizer.chat_template else None
    template = form.go_template() if form else ""
    literal = (
        "".join([form.start, form.default_system, form.answer, *(p for pair in form.turns.values() for p in pair)]) if form else ""
    )
    if template and '"""' not in template and "{{" not in literal:
        lines.append(f'TEMPLATE """{template}"""')
    else:
        lines.append("# The chat template inside the GGUF file is used.")
    vocabulary = tokenizer.get_vocab()
    ends = [tokenizer.convert_ids_to_tokens(token) for token in find_end_ids(tokenizer)]
    stops = dict.fromkeys([*ends, *(t for t in END_OF_TURN if t in vocabulary and t in str(tokenizer.chat_template))])
    lines += [f"PARAMETER stop {json.dumps(token, ensure_ascii=False)}" for token in stops]
    sampling = Sampling()
    lines += [f"PARAMETER temperature {sampling.temperature}", f"PARAMETER top_p {sampling.top_p}"]
    return "\n".join(lines) + "\n"
