"""Finds what may tell who somebody is, before feedback is published: a help for the reader's eye, not a guarantee.

Looked for: e-mail addresses, telephone numbers, numbers that identify (accounts, orders, birthdays), postal and network addresses,
keys and passwords, and words that stand where names stand. Each find can be replaced by its kind in brackets. A name alone in
the middle of a sentence, or in a script without capital letters, is found only where the words around it introduce it.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rlhf_desktop.core.messages import Messages

FindKind = Literal["e-mail", "phone", "number", "place", "address", "secret", "name"]
LABELS: dict[FindKind, str] = {
    "e-mail": "E-mail addresses",
    "phone": "Telephone numbers",
    "number": "Numbers that identify (accounts, orders, birthdays)",
    "place": "Postal addresses",
    "address": "Network addresses",
    "secret": "Keys and passwords",
    "name": "Words that look like names",
}


def _capitals() -> str:
    """A class of the capital letters of all alphabets that have them, as ranges."""
    letters = [code for code in range(0x41, 0x2C00) if chr(code).isupper()]
    starts = [code for code in letters if code - 1 not in letters]
    ends = [code for code in letters if code + 1 not in letters]
    return "".join(f"{chr(a)}-{chr(b)}" for a, b in zip(starts, ends, strict=True))


_CAPITAL = f"[{_capitals()}]"
_NAME = rf"{_CAPITAL}[\w’'-]{{0,40}}[^\W\d_]"
_NAMES = rf"((?:(?:van|von|de|der|den|del|di|da|la|al|bin|ter) ){{0,2}}{_NAME}(?: +(?:{_CAPITAL}\.? +)?{_NAME}){{0,2}})"
_TITLES = (
    r"(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Nurse|Judge|Officer|Pastor|Herrn?|Frau|M|Mme|Mlle|Monsieur|Madame|Señora?|Doña?"
    r"|Sig|Signora?)"
)
_INTRODUCED = (
    r"(?i:\b(?:my name is|name was|i am called|called|call me|named|this is|it[’']s|i[’']m|i am|mein name ist|ich heiße|ich bin"
    r"|je m[’']appelle|je suis|me llamo|soy|mi chiamo|меня зовут|told|asked|met|e?mailed|phoned|texted|contacted|visited|married"
    r"|spoken? (?:to|with)|talk(?:ed)? (?:to|with)|ask for|sent to|on behalf of|customer|client|patient|tenant|claimant|witness))"
)
_RELATED = (
    r"(?i:\b(?:my|his|her|our|their) (?:wife|husband|partner|son|daughter|child|mother|father|mum|mom|dad|brother|sister|uncle"
    r"|aunt|cousin|friend|colleague|boss|manager|doctor|neighbou?r|landlord|lawyer)(?:-in-law)?)"
)
_GREETED = (
    r"(?i:\b(?:dear|hello|hi|best|sincerely|faithfully|regards|wishes|thanks|thank you|cheers|love|hallo|lieber?|grüßen?|chère?"
    r"|cordialement|saludos|estimad[oa]))"
)
_LABELLED = (
    r"(?i:\b(?:account|acct|sort code|customer|client|order|invoice|policy|case|ticket|claim|member(?:ship)?|patient|contract"
    r"|serial|passport|licen[cs]e(?: plate)?|tracking|reference|ref|id|konto|kunden|rechnungs?|vertrags?|aktenzeichen)"
    r"[ -]?(?:numbers?|nummer|no|nr|id)?\b[ .:#]{0,3}(?:is |ist )?)"
)
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}"
_DATE = rf"(?:\d{{1,4}}[./-]\d{{1,2}}[./-]\d{{1,4}}|{_MONTH} \d{{1,2}},? \d{{4}}|\d{{1,2}}\.? {_MONTH} \d{{4}})"
_WAYS = r"(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Close|Court|Ct|Way|Boulevard|Blvd|Square|Terrace|Crescent|Gardens)"
_LABELLED_NUMBER = re.compile(rf"{_LABELLED}([A-Za-z]{{0,4}}[-/]?\d[\w/-]{{3,24}})\b")
_CODE = re.compile(r"(?<![\w-])[A-Z0-9][A-Z0-9/-]{4,40}(?![\w-])")
_PATTERNS: tuple[tuple[FindKind, re.Pattern[str]], ...] = (
    ("secret", re.compile(r"\b(?:hf|sk|ghp|gho|xox[bp]|AKIA|eyJ)[_-]?[A-Za-z0-9_.-]{12,200}")),
    (
        "secret",
        re.compile(r"(?i)\b(?:password|passwort|passcode|pin|mot de passe|contraseña)\s{0,3}(?:is|ist|:|=)\s{0,3}(\S{3,64})"),
    ),
    ("e-mail", re.compile(r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")),
    ("address", re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b|\b(?:[0-9a-fA-F]{1,4}:){4,7}[0-9a-fA-F]{1,4}\b")),
    ("address", re.compile(r"(?<![\w:])[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4}){0,6}::(?:[0-9a-fA-F]{1,4}:){0,6}[0-9a-fA-F]{1,4}\b")),
    ("place", re.compile(rf"\b\d{{1,5}}[A-Za-z]? (?:{_NAME} ){{1,3}}{_WAYS}\b(?:, {_NAME})?")),
    (
        "place",
        re.compile(
            rf"\b{_CAPITAL}[\wß-]{{2,30}}(?:straße|strasse|str\.|weg|platz|gasse|allee) \d{{1,4}}[a-z]?\b(?:, ?\d{{4,5}} {_NAME})?"
        ),
    ),
    ("place", re.compile(rf"\b\d{{1,4}},? (?:rue|avenue|boulevard|place|chemin)(?: (?:de|du|des|la|le|d[’']))* ?{_NAME}")),
    ("place", re.compile(r"\b[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}\b")),  # postcodes (United Kingdom)
    ("number", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")),  # account numbers (IBAN)
    ("number", re.compile(r"\b\d{3}-\d{2}-\d{4}\b")),
    ("number", re.compile(rf"(?i:\b(?:born|birth|birthday|dob|geboren|naissance|née?|nacid[oa]|nacimiento)\b)\D{{0,12}}({_DATE})")),
    ("phone", re.compile(r"(?<![\w.])(?:\+|00)\d[\d ()./-]{6,18}\d\b")),
    ("phone", re.compile(r"(?<![\w.])\(?0\d{1,5}\)?[ /.-]{1,3}\d[\d ./-]{4,14}\d\b")),
    ("phone", re.compile(r"(?<![\w.-])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}\b")),
    ("number", _LABELLED_NUMBER),
    ("number", re.compile(r"(?<!\w)#(\d{4,20})\b")),
    ("number", re.compile(r"\b([A-ZÄÖÜ]{1,3}-[A-Z]{1,2} \d{1,4})\b")),  # number plates (Germany)
    ("number", _CODE),
    ("number", re.compile(r"(?<![\w.,])\d(?:[ -]?\d){8,18}(?![\w.,]\d)")),  # nine digits or more
    ("name", re.compile(rf"\b{_TITLES}\.? +{_NAMES}")),
    ("name", re.compile(rf"(?:{_INTRODUCED}|{_RELATED}),? +{_NAMES}")),
    ("name", re.compile(rf"{_GREETED}[ ,]{{0,3}}\s{{1,3}}{_NAMES}")),
    ("name", re.compile(r"(?im)^[ \t>*-]{0,8}(?:(?:full |first |last |sur)?name|from|to|patient|contact|nom|von|an)[ \t]*:[ \t]*"
                        r"([^\W\d_][\w’'.-]{0,40}(?: [^\W\d_][\w’'.-]{0,40}){0,3})")),
    ("name", re.compile(r"(?:اسمي|أنا اسمي|我叫|我的名字是|私の名前は) ?([^\W\d_]{2,20}(?: [^\W\d_]{2,20})?)")),
    ("name", re.compile(rf"(?<![\w’'-])({_NAME}(?: +(?:{_CAPITAL}\.? +)?{_NAME}){{1,2}})")),
    ("name", re.compile(rf"(?<![\w’'-])({_NAME})(?= (?:said|says|told|called|wrote|asked|replied|phoned|signed)\b)")),
)  # fmt: skip
_COMMON = frozenset(
    word
    for line in (
        "I The A An It You We They He She My Your Our Their His Her This That These Those Please Thank Thanks Hello Hi Dear Sorry",
        "Yes No Not Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May June July August",
        "September October November December English German French Spanish Arabic There Team Support Customer Service Sir Madam",
        "All Everyone OK Best Kind Regards Also Only Just Very Here Now Then Today Tomorrow Yesterday Well So Too Still Sure",
        "And But Or If In On At As By To Of For From With Without After Before Because While Since Until Once Both Each Every",
        "Some Any Many Most Other Another Such Same What When Where Which Who Whose Why How Is Are Was Were Be Do Does Did Have",
        "Has Had Can Could Would Should Will Shall May Might Must Let Write Explain Give Tell Describe List Make Use Try Take Keep",
        "Mr Mrs Ms Miss Mx Dr Prof Professor Nurse Judge Officer Herr Herrn Frau Madame Monsieur",
        "Good Morning Evening Afternoon Happy New Next Last First Second Question Answer",
        "Der Die Das Den Dem Ein Eine Einen Mein Meine Ihr Ihre Ich Wir Sie Es Und Oder Aber Bitte Danke Wie Was Wo Wann Warum Wer",
        "Ist Sind Hat Haben Kann Können Le La Les Un Une Des Mon Ma Je Il Elle Nous Vous Et Est Que Qui El Los Las Una Mi Yo",
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
            if kind == "name":
                start = _past_common(text, start, end)
            if not any(taken[start:end]) and _counts(kind, pattern, text[start:end]):
                taken[start:end] = b"\1" * (end - start)
                found.append(Find(row, field, kind, start, end, text[start:end]))
    return sorted(found, key=lambda find: find.start)


def _past_common(text: str, start: int, end: int) -> int:
    """Where a name begins that other words stand before: at the start of a sentence each has a capital letter. `end`: nowhere."""
    begins = start == 0 or text[:start].rstrip(" ")[-1:] in '.!?:\n"“('
    words, at = text[start:end].split(" "), start
    while words and words[0] in _COMMON:
        at += len(words.pop(0)) + 1
    alone = begins and at > start and len(words) == 1  # “Use Python”
    return end if alone else min(at, end)


def _counts(kind: FindKind, pattern: re.Pattern[str], said: str) -> bool:
    """Whether what a pattern matched is what it looks for: not a weekday or a shout, and a code holds digits."""
    if kind == "name":
        return bool(said) and not (said.isupper() and " " not in said)
    digits = sum(letter.isdigit() for letter in said)
    if pattern is _LABELLED_NUMBER:
        return digits >= 4
    if pattern is _CODE:
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
