"""An Ollama Modelfile for an exported GGUF file: the chat format in Go's template language, found by asking the model's own.

Conversations with marked contents go through the model's chat template; if what comes out is a prefix and a suffix around each
content, the same is written in Go. Ollama does not run the template inside a GGUF file: it compares it with those it knows, and
where it knows none like it, it sends the bare text. So what cannot be written exactly is said in the file.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.messages import Message, Role
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.inference.chat_text import render
from rlhf_desktop.inference.model import END_OF_TURN, find_end_ids
from rlhf_desktop.inference.template import exports_bos

_MARK = "\x02{}\x03"
_SPACED = [[Message(role="user", content="  spaces around  ")]]


@dataclass(frozen=True)
class ChatForm:
    """A chat format of prefixes and suffixes.

    Attributes:
        start: Before everything.
        turns: Before and after each role's content; without "system" where the model has no such turn.
        default_system: What stands where no system message is given.
        answer: What comes before the answer.
        folded: What stands between a system message and the first question, in one turn; None where they are not put together.
        trims: The model's own template takes spaces off the ends of messages, which Go's cannot.
    """

    start: str
    turns: dict[Role, tuple[str, str]]
    default_system: str
    answer: str
    folded: str | None = None
    trims: bool = False

    def write(self, messages: Sequence[Message]) -> str:
        """A conversation in this format, up to the answer."""
        given = messages[0]["role"] == "system"
        text = self.start if given else self.start + self.default_system
        if given and self.folded is not None:
            first = Message(role="user", content=messages[0]["content"] + self.folded + messages[1]["content"])
            messages = [first, *messages[2:]]
        for message in messages:
            before, after = self.turns[message["role"]]
            text += before + message["content"] + after
        return text + self.answer

    def takes(self, messages: Sequence[Message]) -> bool:
        """Whether the conversation can be said in it."""
        return messages[0]["role"] != "system" or "system" in self.turns or self.folded is not None

    def go_template(self) -> str:
        """The same in the template language of Ollama."""
        default = f"{{{{ if not .System }}}}{self.default_system}{{{{ end }}}}" if self.default_system else ""
        loop = "range .Messages" if self.folded is None else "range $i, $m := .Messages"
        cases = "".join(f'{{{{ {self._when(n)} eq .Role "{role}" }}}}{self._case(role)}' for n, role in enumerate(self.turns))
        return f"{self.start}{default}{{{{ {loop} }}}}{cases}{{{{ end }}}}{{{{ end }}}}{self.answer}"

    @staticmethod
    def _when(place: int) -> str:
        return "if" if place == 0 else "else if"

    def _case(self, role: Role) -> str:
        before, after = self.turns[role]
        folds = role == "user" and self.folded is not None
        system = f"{{{{ if and $.System (le $i 1) }}}}{{{{ $.System }}}}{self.folded}{{{{ end }}}}" if folds else ""
        return f"{before}{system}{{{{ .Content }}}}{after}"


def chat_form(tokenizer: Any) -> ChatForm | None:
    """The format behind a tokenizer's chat template; None where it is not of this simple kind."""
    for guess in (_guess, _guess_without_system):
        try:
            found = guess(tokenizer)
            if found is not None and _writes(found, tokenizer, _trials()):
                return found if _writes(found, tokenizer, _SPACED) else replace(found, trims=True)
        except ModelTrouble:  # it refuses a system message, for one
            continue
    return None


def _writes(form: ChatForm, tokenizer: Any, talks: Sequence[list[Message]]) -> bool:
    return all(form.write(talk) == _text(tokenizer, talk) for talk in talks if form.takes(talk))


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


def _guess_without_system(tokenizer: Any) -> ChatForm | None:
    """The format of a template without a system turn: it refuses one, or puts it before the first question."""
    marked = [_message("user", 0), _message("assistant", 1), _message("user", 2)]
    pieces = _between(_text(tokenizer, marked), 3)
    if pieces is None:
        return None
    first, user_assistant, assistant_user, user_answer = pieces
    user_before = _after_turn_end(_common_end(first, assistant_user), tokenizer)
    user_after = _through_turn_end(_common_start(user_assistant, user_answer), tokenizer)
    turns: dict[Role, tuple[str, str]] = {
        "user": (user_before, user_after),
        "assistant": (user_assistant.removeprefix(user_after), assistant_user.removesuffix(user_before)),
    }
    start, answer = first.removesuffix(user_before), user_answer.removeprefix(user_after)
    return ChatForm(start, turns, "", answer, _between_system_and_question(tokenizer))


def _between_system_and_question(tokenizer: Any) -> str | None:
    try:
        pieces = _between(_text(tokenizer, [_message("system", 0), _message("user", 1)]), 2)
    except ModelTrouble:
        return None
    return pieces[1] if pieces else None


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


_NO_TEMPLATE = "# This model {}: write a TEMPLATE here, or Ollama sends it the bare text of what is typed."


def _template_lines(form: ChatForm | None) -> list[str]:
    """The template, and in what it falls short of the model's own."""
    template = form.go_template() if form else ""
    if form is None or '"""' in template or "{{" in "".join(_literals(form)):
        return [_NO_TEMPLATE.format("has a chat template that does more than Ollama's can")]
    lines = ["# The model's own format takes spaces off the ends of messages; this one keeps them."] if form.trims else []
    if "system" not in form.turns and form.folded is None:
        lines.append("# The model's own format has no system message: one set with SYSTEM is not sent.")
    return [*lines, f'TEMPLATE """{template}"""']


def _literals(form: ChatForm) -> list[str]:
    """What it writes around the messages."""
    around = [part for pair in form.turns.values() for part in pair]
    return [form.start, form.default_system, form.answer, form.folded or "", *around]


def modelfile(gguf_name: str, tokenizer: Any, adapter_name: str = "") -> str:
    """The Modelfile beside an exported file."""
    lines = [f"FROM ./{gguf_name}"]
    lines += [f"ADAPTER ./{adapter_name}"] if adapter_name else []
    lines += _template_lines(chat_form(tokenizer)) if tokenizer.chat_template else [_NO_TEMPLATE.format("has no chat template")]
    vocabulary = tokenizer.get_vocab()
    ends = [tokenizer.convert_ids_to_tokens(token) for token in find_end_ids(tokenizer)]
    stops = dict.fromkeys([*ends, *(t for t in END_OF_TURN if t in vocabulary and t in str(tokenizer.chat_template))])
    lines += [f"PARAMETER stop {json.dumps(token, ensure_ascii=False)}" for token in stops]
    sampling = Sampling()
    lines += [f"PARAMETER temperature {sampling.temperature}", f"PARAMETER top_p {sampling.top_p}"]
    return "\n".join(lines) + "\n"
