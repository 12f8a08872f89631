"""What a file does not say: questions with their answers, what was left out (counted), and all marks of each question.

A reader that needs to know something (a scale, which answer stood left) looks at the format's own declaration, then at the whole
file, and then asks here. With a proposal it goes on and says so; without one its rows are set aside until somebody answers.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rlhf_desktop.feedback.formats.declared import Declared
from rlhf_desktop.feedback.rows import Unusable

_OF_COURSE = re.compile(  # columns that say nothing of what was asked, answered or judged
    r"^_?(?:id|idx|index|uuid|hash|sha256|timestamp|tstamp|split|server_id)$"
    r"|^(?:prompt|message|question|conversation|post|external|record|row|task|parent|tree|message_tree)_id$|_(?:at|hash|time)$|^__"
)
_NAMED = 12  # columns in one note
_MANY = 1000  # different values of one question that are kept: beyond, they are no scale


@dataclass(frozen=True)
class Question:
    """What a preview asks.

    Attributes:
        key: Its name, for `--answer KEY=VALUE`.
        text: The question, in words.
        choices: Values and what each means; without any, the answer is a text.
        proposal: What holds without an answer; "" where the rows are set aside until there is one.
        rows: How many records need it.
    """

    key: str
    text: str
    choices: tuple[tuple[str, str], ...] = ()
    proposal: str = ""
    rows: int = 0


@dataclass(frozen=True)
class Note:
    """What is left out or taken in a way worth saying, and how many records it concerns."""

    text: str
    rows: int = 0


@dataclass
class Context:
    """What is known of one file while it is read.

    Attributes:
        answers: Given to questions, by their keys.
        declared: What the file, or a file beside it, says of itself.
    """

    answers: Mapping[str, str] = field(default_factory=dict)
    declared: Declared = field(default_factory=Declared)
    _values: dict[str, dict[Any, None]] = field(default_factory=dict)
    _kept: dict[str, Any] = field(default_factory=dict)
    _asked: dict[str, Question] = field(default_factory=dict)
    _noted: dict[str, Note] = field(default_factory=dict)
    _unread: Counter[str] = field(default_factory=Counter)
    _now: set[str] = field(default_factory=set)  # what this record has counted for already

    def next_record(self) -> None:
        """From here on it is about another record."""
        self._now.clear()

    # --- looking the whole file through

    def saw(self, question: str, value: Any) -> None:
        """One value of a question, in whatever record."""
        values = self._values.setdefault(question, {})
        if len(values) < _MANY:
            values[value] = None

    def values(self, question: str) -> list[Any]:
        """All the different values of a question that were seen."""
        return list(self._values.get(question, ()))

    def store(self, what: str, make: type[Any]) -> Any:
        """What a reader keeps between records: made at the first call."""
        return self._kept.setdefault(what, make())

    # --- asking and saying

    def ask(self, question: Question) -> str:
        """The answer given, else the proposal.

        Raises:
            Unusable: there is neither.
        """
        if question.key in self.answers:
            return self.answers[question.key]
        known = self._asked.get(question.key, question)
        count = known.rows + (f"?{question.key}" not in self._now)
        self._asked[question.key] = replace(question, rows=count)
        self._now.add(f"?{question.key}")
        if not question.proposal:
            raise Unusable(f"{question.text[:1].lower()}{question.text[1:]} Answer it with the import ({question.key})")
        return question.proposal

    def note(self, text: str) -> None:
        """Something is left out, or taken in a way worth saying; counted once a record."""
        known = self._noted.get(text, Note(text))
        if text not in self._now:
            self._noted[text] = replace(known, rows=known.rows + 1)
        self._now.add(text)

    def left_unread(self, record: "Watched") -> None:
        """The columns of a record that its reader did not look at; said together, as they mostly are the same."""
        for name in list(record):
            if name not in record.looked_at and record.holds(name) and not _OF_COURSE.search(str(name)):
                self._unread[str(name)[:40]] += 1

    @property
    def questions(self) -> tuple[Question, ...]:
        """What nobody has answered: those that hold rows back first, then the proposals."""
        return tuple(sorted(self._asked.values(), key=lambda question: bool(question.proposal)))

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was left out, what concerns most rows first."""
        found = sorted(self._noted.values(), key=lambda note: -note.rows)
        names = [name for name, _ in self._unread.most_common()]
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            found.append(Note(f"Columns that are not read: {', '.join(names[:_NAMED])}{more}", max(self._unread.values())))
        return tuple(found)


class Watched(dict[str, Any]):
    """A record that keeps which of its columns were looked at."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        super().__init__(record)
        self.looked_at: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.looked_at.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """A column's value."""
        self.looked_at.add(name)
        return super().get(name, default)

    def holds(self, name: str) -> bool:
        """Whether a column has a value; asking is not looking."""
        return super().get(name) not in (None, "", [], {})
