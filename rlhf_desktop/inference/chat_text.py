"""Conversations as the text a model reads: its own chat template, or a plain form for a model that has none.

What a template does is found out by asking it, with small marked conversations: whether it wants contents as lists, whether it
leaves system messages out, what it writes after an answer, and how it deals with thoughts. Thoughts are left out unless asked for:
with the template's own switch where it has one, else by an empty thought, closed the way the template closes one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.messages import Message
from rlhf_desktop.core.modelfiles import MAX_TEMPLATE_CHARS
from rlhf_desktop.core.thoughts import HARMONY, TAGS, THINK, Kind, Tags
from rlhf_desktop.inference.sandbox import render_template

PLAIN_NAMES = {"system": "System", "user": "User", "assistant": "Assistant"}
PLAIN_STOPS = tuple(f"\n\n{name}:" for name in PLAIN_NAMES.values())
"""Where an answer of a model without a template ends: it would go on and write the next turns itself."""

_SWITCHES = ("enable_thinking", "thinking")
_ASKED, _SAID, _TOLD = "Xq7askedX", "Xq7saidX", "Xq7toldX"  # as no template writes them, and none would change
_MARKS_ONLY = re.compile(r"(?:\s|<[^<>\s]{1,60}>|\[[^\[\]\s]{1,60}\])*")
_Q: list[Message] = [{"role": "user", "content": _ASKED}]
_A: list[Message] = [{"role": "assistant", "content": _SAID}]


@dataclass(frozen=True)
class Thinking:
    """How a template deals with thoughts.

    Attributes:
        kind: See `core.thoughts.Kind`.
        tags: The marks around a thought.
        switch: The template's variable that turns thoughts on and off; "" where there is none.
        opening: What the prompt ends with when the template has opened a thought itself.
        closing: What stands in its place when the answer is to come without a thought.
        close: What ends a thought that has to be cut, and leads over to the answer.
        opened: Whether a prompt that lets the model think opens the thought itself.
    """

    kind: Kind = "none"
    tags: Tags = THINK
    switch: str = ""
    opening: str = ""
    closing: str = ""
    close: str = ""
    opened: bool = False


@dataclass(frozen=True)
class _Template:
    """A chat template and the names of special tokens it sees."""

    source: str
    special: tuple[tuple[str, str], ...]

    def text(self, messages: Sequence[Message], answer_next: bool, parts: bool = False, **more: Any) -> str:
        """What it makes of a conversation; with `parts` each content is a list."""
        told = [{**m, "content": [{"type": "text", "text": m["content"]}]} if parts else m for m in messages]
        seen = {"messages": told, "tools": None, "documents": None, "add_generation_prompt": answer_next}
        return render_template(self.source, {**dict(self.special), **seen, **more})


@dataclass(frozen=True)
class Facts:
    """What asking a template has shown."""

    parts: bool = False
    drops_system: bool = False
    space: bool = False  # between the prompt's end and an answer
    thinking: Thinking = field(default_factory=Thinking)


def _template(tokenizer: Any) -> _Template:
    source = tokenizer.chat_template
    if isinstance(source, dict):
        source = source.get("default") or next(iter(source.values()))
    if len(source) > MAX_TEMPLATE_CHARS:
        raise ModelTrouble("The chat template of this model is too large.", "Choose another model; nothing of it was run.")
    return _Template(source, tuple((name, str(token)) for name, token in tokenizer.special_tokens_map.items()))


def thinking_of(tokenizer: Any) -> Thinking:
    """How the model's template deals with thoughts."""
    return _facts(_template(tokenizer)).thinking if tokenizer.chat_template else Thinking()


def render(tokenizer: Any, messages: Sequence[Message], *, answer_next: bool = True, thinking: bool = False) -> str:
    """The text the model reads.

    A model without a chat template (one that was never taught to chat) gets `System: …`, `User: …`, `Assistant: …`, one blank line
    between turns.

    Args:
        tokenizer: Whose template.
        messages: The conversation.
        answer_next: End where the assistant's answer begins.
        thinking: Let the model think before that answer, where it knows how to.

    Raises:
        ModelTrouble: the template refuses the conversation, for example because it knows no system turn, leaves out what was said,
            or had to be stopped.
    """
    if not tokenizer.chat_template:
        return _plain(messages, answer_next)
    template = _template(tokenizer)
    facts = _facts(template)
    if facts.drops_system and messages and messages[0]["role"] == "system":
        raise ModelTrouble("The chat template of this model leaves system messages out.", "Say it in the question instead.")
    thought = facts.thinking
    text = template.text(messages, answer_next, facts.parts, **({thought.switch: thinking} if thought.switch else {}))
    if thinking or not answer_next or not text.endswith(thought.opening):
        return text
    return text.removesuffix(thought.opening) + thought.closing


def _plain(messages: Sequence[Message], answer_next: bool) -> str:
    turns = [f"{PLAIN_NAMES[m['role']]}: {m['content']}" for m in messages]
    return "\n\n".join(turns + ["Assistant:"] * answer_next)


def writes_end(tokenizer: Any, ends: Sequence[str]) -> tuple[str, str]:
    """How the template ends an answer, at once or before the next turn: marks that come first (mostly none), then one of `ends`.

    Two empty texts where it writes none of them.
    """
    return _ended(_template(tokenizer), tuple(ends))


@lru_cache(maxsize=32)
def _ended(template: _Template, ends: tuple[str, ...]) -> tuple[str, str]:
    parts = _facts(template).parts
    for talk in ([*_Q, *_A], [*_Q, *_A, *_Q]):
        try:
            after = template.text(talk, False, parts).partition(_SAID)[2].partition(_ASKED)[0]
        except ModelTrouble:
            continue
        found = [(after.find(end), -len(end), end) for end in ends if end in after]
        if found and _MARKS_ONLY.fullmatch(after[: min(found)[0]]):
            return after[: min(found)[0]].strip(), min(found)[2]
    return "", ""


def leads_with_space(tokenizer: Any) -> bool:
    """Whether a space stands between what a prompt ends with and the answer: it belongs to the answer's first token."""
    if not tokenizer.chat_template:
        return True  # after the plain "Assistant:"
    return _facts(_template(tokenizer)).space and not _writes_spaces(tokenizer)


def _writes_spaces(tokenizer: Any) -> bool:
    """Whether the tokenizer puts a space before every text by itself, as SentencePiece does."""
    first = tokenizer.convert_ids_to_tokens(tokenizer("a", add_special_tokens=False).input_ids[:1])
    return bool(first) and str(first[0]).startswith("\u2581")


def keeps_question(tokenizer: Any, messages: Sequence[Message]) -> bool:
    """Whether a template that knows thoughts writes the same text once it is answered, up to where a thought would stand."""
    thought = thinking_of(tokenizer)
    if thought.kind not in ("switch", "always"):
        return False
    prompt = render(tokenizer, messages)
    answered = render(tokenizer, [*messages, *_A], answer_next=False).partition(_SAID)[0]
    last = messages[-1]["content"].strip()
    end = prompt.rfind(last) + len(last)
    header = re.split("|".join(map(re.escape, thought.tags.marks)), prompt[end:])[0]
    return answered.startswith(prompt[:end] + header)


# --- asking a template ----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _facts(template: _Template) -> Facts:
    parts = _wants_parts(template)
    space = _answered(template, parts, {}) == template.text(_Q, True, parts) + " "
    return Facts(parts, _drops_system(template, parts), space, _thinking(template, parts))


def _wants_parts(template: _Template) -> bool:
    """Whether contents have to be lists, as in templates made for pictures too.

    Raises:
        ModelTrouble: the template writes the question in neither form.
    """
    troubles: list[ModelTrouble] = []
    for parts in (False, True):
        try:
            if _ASKED in template.text(_Q, True, parts):
                return parts
        except ModelTrouble as trouble:
            troubles.append(trouble)
    raise (
        troubles[0]
        if troubles
        else ModelTrouble("The chat template of this model leaves out what is asked.", "Choose another model.")
    )


def _drops_system(template: _Template, parts: bool) -> bool:
    """Whether a system message vanishes without a word; a template that refuses one says so itself."""
    try:
        return _TOLD not in template.text([{"role": "system", "content": _TOLD}, *_Q], True, parts)
    except ModelTrouble:
        return False


def _thinking(template: _Template, parts: bool) -> Thinking:
    found = next((tags for tags in TAGS if any(part in template.source for part in _traces(tags))), None)
    switch, tags = _switch(template, parts), found or THINK
    off = {switch: False} if switch else {}
    prompt = template.text(_Q, True, parts, **off)
    answered = _answered(template, parts, off)
    opening = _opening(prompt, tags)
    kind: Kind = "always" if opening or tags is HARMONY else "switch" if switch else "free" if _mentions(prompt, tags) else "none"
    if kind in ("none", "free"):
        return Thinking(kind, tags, closing=_header(prompt, answered), close=_cut_short(tags))
    closing = _closing(tags, prompt.removesuffix(opening), answered, opening)
    on = template.text(_Q, True, parts, **{switch: True}) if switch else prompt
    return Thinking(kind, tags, switch, opening, closing, _cut_short(tags), bool(_opening(on, tags)))


def _header(prompt: str, answered: str) -> str:
    """What the template writes between a prompt's end and an answer: whom it is for, or a line break; no space, and no thought."""
    own = answered.removeprefix(prompt) if answered.startswith(prompt) else ""
    return "" if own == " " or any(mark in own for tags in TAGS for mark in tags.opens) else own


def _opening(prompt: str, tags: Tags) -> str:
    """What a prompt ends with from where it opens a thought; "" where none is open."""
    header = prompt.partition(_ASKED)[2]
    at = max(map(header.rfind, tags.opens))
    return header[at:] if at > header.rfind(tags.close) else ""


def _cut_short(tags: Tags) -> str:
    """What ends a thought whose room is used up."""
    return f"\n{tags.close}\n\n" if tags is THINK else tags.close + "".join(tags.leads)


def _traces(tags: Tags) -> tuple[str, ...]:
    """What betrays a format in a template's source; GPT-OSS's puts its marks together from parts."""
    return ("<|channel|>analysis",) if tags is HARMONY else tuple(mark.strip() for mark in (*tags.opens, tags.close))


def _mentions(prompt: str, tags: Tags) -> bool:
    """Whether a fresh conversation speaks of thoughts, as instructions to think do."""
    return any(mark in prompt for mark in tags.opens)


def _switch(template: _Template, parts: bool) -> str:
    """The variable that changes the prompt when it is turned on; "" where none does."""
    named = (name for name in _SWITCHES if re.search(rf"\b{name}\b", template.source))
    return next((name for name in named if _changes(template, parts, name)), "")


def _changes(template: _Template, parts: bool, name: str) -> bool:
    try:
        return len({template.text(_Q, True, parts, **{name: value}) for value in (True, False)}) == 2
    except ModelTrouble:
        return False


def _answered(template: _Template, parts: bool, off: Mapping[str, bool]) -> str:
    """What the template writes before an answer once it is there; "" where it does not say."""
    try:
        before, mark, _ = template.text([*_Q, *_A], False, parts, **off).partition(_SAID)
    except ModelTrouble:
        return ""
    return before if mark else ""


def _closing(tags: Tags, head: str, answered: str, opening: str) -> str:
    """What leads from `head` to an answer without a thought: the template's own way, else an empty thought."""
    own = answered.removeprefix(head) if answered.startswith(head) else ""
    if not opening and tags is not HARMONY:
        return own if not own.strip() else ""  # the prompt is closed already; at most a line break is missing
    if tags is HARMONY or tags.close in own:
        return own
    return f"{opening.rstrip()}\n\n{tags.close}\n\n"
