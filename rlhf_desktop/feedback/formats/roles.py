"""Which of a record's named fields is the prompt, which are answers, and which answer a word means.

Told, in this order, by what somebody answered to the preview, by what was said (a ranking names its answers), and by the fields'
names; where neither is enough, it is asked. The order of a record's keys never says who stood where.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.formats.asking import Context, Question
from rlhf_desktop.feedback.formats.base import SYSTEM_NAMES, as_words, chat_of
from rlhf_desktop.feedback.rows import Unusable, prompt_of, text_of

PROMPT_NAMES = (
    "prompt", "instruction", "instructions", "question", "query", "input", "user", "request", "user prompt", "task", "chat",
    "conversation",
    "dialogue", "messages", "history",
)  # fmt: skip
_MAYBE_PROMPT = ("text", "title", "message", "content", "original text", "description", "topic")
_CONTEXT = re.compile(r"^(?:source )?(?:context|document|passage|background|reference|article|history|example)s?(?: \d)?$")
_ANSWER = re.compile(
    r"^(?:(?:model|llm|assistant|ai|generated|bot|candidate|system) )?"
    r"(?P<stem>response|answer|completion|generation|output|reply|candidate|continuation|summary|option|resposta|antwort|réponse|"
    r"respuesta|chosen|rejected)s? ?(?P<which>\d+|[a-z])?$"
)
_NUMBERED = re.compile(r"^(?P<stem>.*?)[ ]?(?P<which>\d+|(?<= )[a-z])$")
NO_QUESTION = "(no question)"


@dataclass(frozen=True)
class Fields:
    """What was shown: the prompt, and the answers by name."""

    prompt: Messages
    answers: Mapping[str, str]

    @property
    def names(self) -> list[str]:
        """The answers' names, in order."""
        return list(self.answers)


def fields_of(values: Any, context: Context, named: Collection[str] = (), everything: bool = True) -> Fields:
    """The prompt and the answers among named fields.

    Args:
        values: The fields.
        context: What is known of the file.
        named: Fields that something was said of, so they are answers.
        everything: Whether all fields were shown, so that what is no answer belongs to the prompt.

    Raises:
        Unusable: there are none, or it is not known which is which.
    """
    if not isinstance(values, dict) or not values:
        raise Unusable("it has no fields")
    shown = {str(name): value for name, value in values.items() if isinstance(value, str | list | dict) and value}
    for name, value in values.items():
        if value == "" and name in named:
            raise Unusable(f"the field {str(name)[:40]} is empty")
    declared = [name for name in context.declared.fields if name in shown]
    if declared:
        for name in shown.keys() - set(declared) - set(named):
            context.note(f"The field “{name}” is not shown to annotators and is left out")
        shown = {name: value for name, value in shown.items() if name in declared or name in named}
    if not shown:
        raise Unusable("none of its fields is a text")
    answers = _answers(shown, named, context)
    empty = next((str(name) for name, value in values.items() if value == "" and is_answer(str(name))), None)
    if not answers and empty is not None:
        raise Unusable(f"the field {empty[:40]} is empty")
    rest = {name: value for name, value in shown.items() if name not in answers}
    only = next(iter(rest.values())) if len(rest) == 1 else None
    if not answers and isinstance(only, list) and _is_chat(only):
        return _ending_with_answer(next(iter(rest)), only)
    return Fields(_prompt(rest, context, everything or bool(declared)), {n: _answer_text(n, shown[n]) for n in answers})


def is_prompt(name: str) -> bool:
    """Whether a field's name says that it is the question, or belongs to it."""
    words = as_words(name)
    return words in PROMPT_NAMES or words in _MAYBE_PROMPT or words in SYSTEM_NAMES or bool(_CONTEXT.match(words))


def is_answer(name: str) -> bool:
    """Whether a field's name says that it is an answer."""
    words = as_words(name)
    return bool(_ANSWER.match(words)) or bool(re.match(r"^(text|model|version) ?(\d+|[a-z])$", words))


def _answers(shown: Mapping[str, Any], named: Collection[str], context: Context) -> list[str]:
    given = [part.strip() for part in context.answers.get("answers", "").split(",") if part.strip() in shown]
    if given:
        return given
    found, like = [n for n in shown if n in named], [n for n in shown if is_answer(n)]
    if found:
        stems = {_stem(name) for name in found}
        family = [name for name in shown if name in found or (name in like and _stem(name) in stems)]
        others = [name for name in shown if name not in family and isinstance(shown[name], str) and not is_prompt(name)]
        return family if len(family) > 1 or is_answer(family[0]) or not others else _ask_answers([*family, *others], shown, context)
    if like:
        return like
    strong = [name for name in shown if as_words(name) in PROMPT_NAMES]
    rest = [n for n in shown if n not in strong and isinstance(shown[n], str) and not _CONTEXT.match(as_words(n))]
    rest = [name for name in rest if as_words(name) not in SYSTEM_NAMES]
    if (strong and len(rest) == 1) or not rest:
        return rest
    if not strong and len(rest) == 1:
        return []
    if strong and all(as_words(name) in _MAYBE_PROMPT for name in rest):
        return rest[:1]
    return _ask_answers(rest, shown, context)


def _ask_answers(likely: list[str], shown: Mapping[str, Any], context: Context) -> list[str]:
    names = ", ".join(likely[:6])
    asked = context.ask(Question("answers", f"Which of its fields are the answers? It has {names}. Name them with commas between."))
    return [part.strip() for part in asked.split(",") if part.strip() in shown]


def _stem(name: str) -> str:
    found = _ANSWER.match(as_words(name)) or _NUMBERED.match(as_words(name))
    return found["stem"] if found else as_words(name)


def _answer_text(name: str, value: Any) -> str:
    if isinstance(value, list | dict):
        value = chat_of([value] if isinstance(value, dict) else value, f"field {name}")[-1]["content"]
    return text_of(value, f"field {name}")


def _is_chat(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(turn, dict) for turn in value)


def _chat(value: list[Any]) -> Messages:
    authored = all("author" in turn for turn in value)
    return chat_of(value, "prompt", "author", "text") if authored else chat_of(value, "prompt")


def _ending_with_answer(name: str, value: list[Any]) -> Fields:
    """A conversation alone: its last answer is what is judged."""
    messages = _chat(value)
    if len(messages) > 1 and messages[-1]["role"] == "assistant":
        return Fields(prompt_of(messages[:-1]), {name: messages[-1]["content"]})
    return Fields(prompt_of(messages), {})


# --- the prompt


def _prompt(rest: dict[str, Any], context: Context, everything: bool) -> Messages:
    usable = {name: value for name, value in rest.items() if isinstance(value, str) or _is_chat(value)}
    main = _main(usable, context, everything)
    if main is None:
        text = context.ask(Question("question", "No question is shown with the answers. What were they asked?", (), NO_QUESTION))
        return prompt_of(text)
    before: list[str] = []
    after: list[str] = []
    system = ""
    for name, value in rest.items():
        if name == main:
            before, after = after, []
        elif as_words(name) in SYSTEM_NAMES and isinstance(value, str):
            system = value
        elif isinstance(value, str) and (everything or _CONTEXT.match(as_words(name))):
            after.append(value)
        else:
            context.note(f"The field “{name}” is left out")
    return _put_together(usable[main], system, before, after)


def _main(usable: Mapping[str, Any], context: Context, everything: bool) -> str | None:
    given = context.answers.get("prompt")
    if given in usable:
        return given
    by_words = {as_words(name): name for name in usable}
    for wanted in (*PROMPT_NAMES, *_MAYBE_PROMPT):
        if wanted in by_words:
            return by_words[wanted]
    likely = [name for name in usable if as_words(name) not in SYSTEM_NAMES]
    likely = [name for name in likely if not (_CONTEXT.match(as_words(name)) and len(usable) > 1)]
    ending = [name for name in likely if as_words(name).split()[-1:] and as_words(name).split()[-1] in PROMPT_NAMES[:8]]
    if not likely:
        return None
    if ending or (everything and len(likely) == 1):
        return (ending or likely)[0]
    if everything:
        return likely[-1]  # all of it is the prompt, in the order shown
    names = tuple((name, str(usable[name])[:40]) for name in likely)
    return context.ask(Question("prompt", "Which column holds the question?", names, likely[0] if len(likely) == 1 else ""))


def _put_together(main: Any, system: str, before: list[str], after: list[str]) -> Messages:
    messages = prompt_of(main) if isinstance(main, str) else _chat(main)
    last = messages[-1]
    if before or after:
        messages[-1] = {"role": last["role"], "content": "\n\n".join([*before, last["content"], *after])}
    if system and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": text_of(system, "system message")})
    return prompt_of(messages)


# --- which answer a word means


def designators(names: Sequence[str]) -> dict[str, int]:
    """The numbers or letters that tell names apart: response-1 and response-2 give {"1": 0, "2": 1}; {} where there are none."""
    found = [_ANSWER.match(as_words(name)) or _NUMBERED.match(as_words(name)) for name in names]
    which = [match["which"] if match else None for match in found]
    stems = {match["stem"] if match else None for match in found}
    if len(names) < 2 or None in which or len(set(which)) != len(which) or len(stems) != 1:
        return {}
    return {str(sign): place for place, sign in enumerate(which)}


def place_of(sign: str, names: Sequence[str]) -> int | None:
    """Which answer a number, a letter or "left" means, where the answers' own names say so."""
    known = designators(names)
    if sign in known:
        return known[sign]
    ordinal = _ORDINALS.get(sign) or (int(sign) if sign.isdecimal() else ord(sign) - 96 if re.fullmatch("[a-z]", sign) else 0)
    in_order = sorted(known, key=lambda one: (len(one), one))
    begins = in_order[:1] and in_order[0] in ("1", "a")
    return known[in_order[ordinal - 1]] if begins and 1 <= ordinal <= len(in_order) else None


_ORDINALS = {
    "left": 1, "first": 1, "1st": 1, "one": 1, "right": 2, "second": 2, "2nd": 2, "two": 2, "third": 3, "3rd": 3, "three": 3,
}  # fmt: skip


def is_sign(word: str) -> bool:
    """Whether a word stands for an answer by its place."""
    return word in _ORDINALS or bool(re.fullmatch(r"\d|[a-h]", word))


_TAIL = re.compile(
    r"^(?P<what>.*?)[-_ .:]*(?P<noun>response|answer|completion|generation|text|output)?[-_ .:]*(?P<which>\d+|(?<=[-_ ])[a-h])$",
    re.IGNORECASE,
)


def pooled(question: str) -> str:
    """The name under which the marks of "rating_1" and "rating_2" are looked at together: one scale holds for both."""
    found = _TAIL.match(question)
    return (found["what"] if found and found["what"] else question).casefold()


def subject(question: str, names: Sequence[str]) -> tuple[str, int | None]:
    """What a question asks and of which answer: "accuracy-response-2" is ("accuracy", 1)."""
    for place, name in enumerate(names):
        own = re.escape(name)
        found = re.match(rf"^(?P<what>.+?)[-_ .:/]+{own}$|^{own}[-_ .:/]+(?P<other>.+)$", question, re.IGNORECASE)
        if found:
            return found["what"] or found["other"], place
    found = _TAIL.match(question)
    if found and found["what"] and len(names) > 1:
        place_meant = place_of(found["which"].casefold(), names)
        if place_meant is not None:
            return found["what"], place_meant
    return question, None
