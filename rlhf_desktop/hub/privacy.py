"""Finds what may tell who somebody is, before feedback is published: a help for the reader's eye, not a guarantee.

Looked for: e-mail addresses, telephone numbers, numbers that identify (accounts, cards, orders), network addresses, keys and
passwords, and words that stand where names stand. Each find can be replaced by its kind in brackets.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rlhf_desktop.core.messages import Messages

FindKind = Literal["e-mail", "phone", "number", "address", "secret", "name"]
LABELS: dict[FindKind, str] = {
    "e-mail": "E-mail addresses",
    "phone": "Telephone numbers",
    "number": "Numbers that identify (accounts, cards, orders)",
    "address": "Network addresses",
    "secret": "Keys and passwords",
    "name": "Words that look like names",
}

_NAME = r"[^\W\d_a-zß-öø-ÿ][\w’'-]{0,40}[^\W\d_]"  # begins with a capital letter
_NAMES = rf"({_NAME}(?: +{_NAME}){{0,2}})"
_TITLES = r"(?:Mr|Mrs|Ms|Mx|Dr|Prof|Herr|Frau|Mme|Monsieur|Madame|Señora?|Sig)"
_INTRODUCED = r"(?i:\b(?:my name is|i am called|this is|mein name ist|ich heiße|je m.appelle|me llamo))"
_GREETED = r"(?i:\b(?:dear|hello|hi|sincerely|regards|thanks|cheers|love|hallo|lieber?|chère?))"
_PATTERNS: tuple[tuple[FindKind, re.Pattern[str]], ...] = (
    ("secret", re.compile(r"\b(?:hf|sk|ghp|gho|xox[bp]|AKIA|eyJ)[_-]?[A-Za-z0-9_.-]{12,200}")),
    (
        "secret",
        re.compile(r"(?i)\b(?:password|passwort|passcode|pin|mot de passe|contraseña)\s{0,3}(?:is|ist|:|=)\s{0,3}(\S{3,64})"),
    ),
    ("e-mail", re.compile(r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")),
    ("address", re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b|\b(?:[0-9a-fA-F]{1,4}:){4,7}[0-9a-fA-F]{1,4}\b")),
    ("number", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")),  # account numbers (IBAN)
    ("number", re.compile(r"\b\d{3}-\d{2}-\d{4}\b")),
    ("phone", re.compile(r"(?<![\w.])(?:\+|00)\d[\d ()./-]{6,18}\d\b")),
    ("phone", re.compile(r"(?<![\w.])\(?0\d{1,5}\)?[ /.-]{1,3}\d[\d ./-]{4,14}\d\b")),
    ("phone", re.compile(r"(?<![\w.-])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}\b")),
    ("number", re.compile(r"(?<![\w-])[A-Z0-9][A-Z0-9-]{4,40}(?![\w-])")),  # codes; see `_is_code`
    ("number", re.compile(r"(?<![\w.,])\d(?:[ -]?\d){8,18}(?![\w.,]\d)")),  # nine digits or more
    ("name", re.compile(rf"\b{_TITLES}\.? +{_NAMES}")),
    ("name", re.compile(rf"{_INTRODUCED} +{_NAMES}")),
    ("name", re.compile(rf"{_GREETED}[ ,]{{1,3}}\s{{0,3}}{_NAMES}")),
    ("name", re.compile(rf"(?<![.!?:\n\"“(] )(?<!^)(?<!\n)\b({_NAME}(?: +{_NAME}){{1,2}})", re.MULTILINE)),
)
_COMMON = frozenset(
    word
    for line in (
        "I The A An It You We They He She My Your Our Their This That These Those Please Thank Thanks Hello Hi Dear Sorry Yes No",
        "Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May June July August September",
        "October November December English German French Spanish Arabic There Team Support Customer Service Sir Madam All Everyone",
    )
    for word in line.split()
)


@dataclass(frozen=True)
class Find:
    """One place in one text. `row` and `field` say which text: the caller's numbering."""

    row: int
    field: str
    kind: FindKind
    start: int
    end: int
    text: str


def find_in(text: str, row: int = 0, field: str = "") -> list[Find]:
    """What is found in one text, in its order, without overlaps; earlier kinds win."""
    found: list[Find] = []
    taken = bytearray(len(text))
    for kind, pattern in _PATTERNS:
        for match in pattern.finditer(text):
            start, end = match.span(1) if match.lastindex else match.span()
            if not any(taken[start:end]) and _counts(kind, text[start:end]):
                taken[start:end] = b"\1" * (end - start)
                found.append(Find(row, field, kind, start, end, text[start:end]))
    return sorted(found, key=lambda find: find.start)


def _counts(kind: FindKind, said: str) -> bool:
    """Whether what a pattern matched is what it looks for: not a weekday, and a code holds digits."""
    if kind == "name":
        return not all(word in _COMMON for word in said.split())
    if kind == "number" and said[:1].isalnum() and not any(part in said for part in " "):
        digits = sum(letter.isdigit() for letter in said)
        return digits >= 9 or (digits >= 3 and (any(letter.isalpha() for letter in said) or said.count("-") > 1))
    return True


def redact(text: str, finds: Iterable[Find]) -> str:
    """The text with each find replaced by its kind: “write to [e-mail]”."""
    for find in sorted(finds, key=lambda find: -find.start):
        text = f"{text[: find.start]}[{find.kind}]{text[find.end :]}"
    return text


@dataclass(frozen=True)
class Review:
    """Everything found in the rows to be published."""

    finds: tuple[Find, ...]

    def counts(self) -> dict[FindKind, int]:
        """Places by kind."""
        return {kind: n for kind in LABELS if (n := sum(find.kind == kind for find in self.finds))}

    def rows(self) -> set[int]:
        """The rows something was found in."""
        return {find.row for find in self.finds}


@dataclass(frozen=True)
class FindGroup:
    """The same words found in several places: decided on together."""

    kind: FindKind
    text: str
    finds: tuple[Find, ...]


def grouped(finds: Iterable[Find]) -> list[FindGroup]:
    """Finds by what they say, in the order of `LABELS`, the most frequent first."""
    groups: dict[tuple[FindKind, str], list[Find]] = {}
    for find in finds:
        groups.setdefault((find.kind, find.text), []).append(find)
    kinds = list(LABELS)
    made = [FindGroup(kind, text, tuple(places)) for (kind, text), places in groups.items()]
    return sorted(made, key=lambda group: (kinds.index(group.kind), -len(group.finds), group.text))


def review(rows: Sequence[Mapping[str, object]], on_row: Callable[[int], None] | None = None) -> Review:
    """Look through rows whose values are texts or messages. `on_row` is told each row's number, and may raise to end it."""
    finds: list[Find] = []
    for number, row in enumerate(rows):
        if on_row:
            on_row(number)
        for field, text in texts_of(row):
            finds += find_in(text, number, field)
    return Review(tuple(finds))


def texts_of(row: Mapping[str, object]) -> Iterable[tuple[str, str]]:
    """The texts of a row with their places: "prompt.0", "chosen.0", "annotator"."""
    for column, value in row.items():
        if isinstance(value, str):
            yield column, value
        elif isinstance(value, list):
            for at, message in enumerate(value):
                if isinstance(message, dict):
                    yield f"{column}.{at}", str(message.get("content", ""))


def redacted(rows: Sequence[Mapping[str, object]], finds: Iterable[Find]) -> list[dict[str, object]]:
    """Copies of the rows with the finds replaced."""
    by_place: dict[tuple[int, str], list[Find]] = {}
    for find in finds:
        by_place.setdefault((find.row, find.field), []).append(find)
    return [
        {column: _redacted_value(value, number, column, by_place) for column, value in row.items()}
        for number, row in enumerate(rows)
    ]


def _redacted_value(value: object, row: int, column: str, by_place: Mapping[tuple[int, str], list[Find]]) -> object:
    if isinstance(value, str):
        return redact(value, by_place.get((row, column), ()))
    if isinstance(value, list):
        messages: Messages = value
        return [
            {**message, "content": redact(message["content"], by_place.get((row, f"{column}.{at}"), ()))}
            for at, message in enumerate(messages)
        ]
    return value
