"""Plain conversations: a file each, as a list of turns or as a transcript ("User: …", "## Assistant"), in a folder or by itself.

Nobody has said how good the answers are, so they are no examples: the first question is put to be judged.
"""

import re
from collections.abc import Iterator

from rlhf_desktop.feedback.formats.asking import Context
from rlhf_desktop.feedback.formats.base import Format, Record
from rlhf_desktop.feedback.formats.programs.talk import SPEAKERS, Speaker, Turn, joined, reason, rows_of, thumb, whole
from rlhf_desktop.feedback.rows import FeedbackRow, Unusable

TURNS, TRANSCRIPT = "plain_turns", "transcript"
_NAMES: dict[str, Speaker] = SPEAKERS | {
    "question": "user", "q": "user", "prompt": "user", "nutzer": "user", "benutzer": "user", "ich": "user", "frage": "user",
    "utilisateur": "user", "usuario": "user", "answer": "assistant", "a": "assistant", "response": "assistant",
    "chatgpt": "assistant", "claude": "assistant", "antwort": "assistant", "assistent": "assistant",
    "réponse": "assistant", "asistente": "assistant",
}  # fmt: skip
_SPEAKS = re.compile(
    rf"^[ \t]*(?:#{{1,6}}[ \t]*|>>[ \t]*)?[*_]{{0,2}}({'|'.join(map(re.escape, _NAMES))})"
    r"(?:[*_]{0,2}[ \t]*:[*_]{0,2}[ \t]*|[*_]{1,2}[ \t]*$|[ \t]*$)",
    re.IGNORECASE | re.MULTILINE,
)


def is_transcript(text: str) -> bool:
    """Whether at least two turns with who speaks are in it."""
    return len({_NAMES[found[1].casefold()] for found in _SPEAKS.finditer(text)} & {"user", "assistant"}) == 2


def _fits(record: Record) -> float:
    return 1.0 if isinstance(record.get(TURNS), list) or isinstance(record.get(TRANSCRIPT), str) else 0.0


def _read(record: Record, context: Context) -> Iterator[FeedbackRow]:
    listed = whole(record).get(TURNS)
    turns = _listed(listed) if isinstance(listed, list) else _spoken(str(record.get(TRANSCRIPT)))
    if not turns:
        raise Unusable("no line says who speaks, such as “User:” and “Assistant:”")
    yield from rows_of(turns, context)


def _listed(messages: list[Record]) -> list[Turn]:
    turns = []
    for number, message in enumerate(messages):
        role = str(message.get("role", message.get("from", message.get("sender", "")))).casefold()
        text, only = joined(message.get("content", message.get("value", message.get("text"))))
        rated = next((message[name] for name in ("feedback", "rating", "thumb") if message.get(name) is not None), None)
        parent = str(number - 1) if number else ""
        speaker = "tool" if message.get("tool_calls") else _NAMES.get(role, "tool")
        turns.append(
            Turn(str(number), parent, speaker, text, thumb(rated) if rated is not None else None, reason(rated), whole=only)
        )
    return turns


def _spoken(text: str) -> list[Turn]:
    found = _marks(text)
    ends = [mark.start() for mark in found[1:]] + [len(text)]
    turns: list[Turn] = []
    for number, (mark, end) in enumerate(zip(found, ends, strict=True)):
        said = text[mark.end() : end].strip()
        turns.append(Turn(str(number), str(number - 1) if number else "", _NAMES[mark[1].casefold()], said))
    return turns


def _marks(text: str) -> list[re.Match[str]]:
    """Where somebody begins to speak: under the first name of each, since an answer may hold a line like “Answer:”."""
    found = list(_SPEAKS.finditer(text))
    names: dict[Speaker, str] = {}
    for mark in found:
        names.setdefault(_NAMES[mark[1].casefold()], mark[1].casefold())
    return [mark for mark in found if mark[1].casefold() in names.values()]


PLAIN = Format("conversations", "Plain conversations", "turns with who speaks, or a transcript", _fits, _read)
