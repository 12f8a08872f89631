"""Answers that somebody wrote to stop the window: Markdown that nests, never ends, has a thousand columns, points everywhere."""

import random
from collections.abc import Callable

LONGEST = 16_000  # characters: about what a model writes at most

_WORDS = (
    "answer", "the", "é", "naïve", "漢字", "שלום", "مرحبا", "👩‍👩‍👧‍👦", "🇩🇪", "a̐éö̲", "\u202eevil\u202c", "\ufeff", "x" * 60,
)  # fmt: skip
_ADDRESSES = (
    "/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:9/x", "//host/share", "data:image/png;base64,AAAA", "qrc:/x",
    "javascript:alert(1)", ":/x", "smb://h/x",
)  # fmt: skip
_MARKS = (*"*_`[]()<>|#-+~\\!&;\t\n$^=\x00\u2028", "\n\n")


def _filled(chance: random.Random, piece: Callable[[int], str], most: int = LONGEST) -> str:
    """Pieces one after the other, up to a length of chance."""
    wanted, text, number = chance.randint(1, most), "", 0
    while len(text) < wanted:
        text += piece(number)
        number += 1
    return text[:most]


def _noise(c: random.Random) -> str:
    return _filled(c, lambda _: c.choice(_MARKS) if c.random() < 0.6 else c.choice(_WORDS))


def _nested_quotes(c: random.Random) -> str:
    return "\n".join(f"{'>' * min(n, c.randint(1, 200))} {c.choice(_WORDS)}" for n in range(1, c.randint(2, 80)))


def _nested_lists(c: random.Random) -> str:
    mark = c.choice(("-", "1.", "*", "- [ ]", "999999999."))
    return _filled(c, lambda n: f"{' ' * 2 * min(n, 100)}{mark} {c.choice(_WORDS)}\n")


def _table(c: random.Random) -> str:
    columns = c.choice((2, 10, 100, 500))
    cells = lambda: "|".join(c.choice(_WORDS) for _ in range(columns))  # noqa: E731
    return f"|{cells()}|\n|{'|'.join('-' * columns)}|\n{_filled(c, lambda _: f'|{cells()}|' + chr(10))}"[:LONGEST]


def _html(c: random.Random) -> str:
    tag = c.choice(("table", "tr", "div", "b", "font size=99", "img src=/etc/passwd", "script", "style", "svg", "!--"))
    return _filled(c, lambda _: f"<{tag}><td>{c.choice(_WORDS)}")


def _links(c: random.Random) -> str:
    def link(n: int) -> str:
        named = f"[r{n}]\n\n[r{n}]: {c.choice(_ADDRESSES)}\n"
        return f"{'!' * c.randint(0, 2)}[{c.choice(_WORDS)}]({c.choice(_ADDRESSES)}) {named}"

    return _filled(c, link)


def _unclosed(c: random.Random) -> str:
    mark = c.choice(("**", "__", "`", "```", "~~~", "[", "![", "[[](", "<a ", "&", "*_", "~~", "***a** b*"))
    return _filled(c, lambda _: mark)


def _one_word(c: random.Random) -> str:
    return c.choice(("x", "漢", "\u0301", "ا", "\u200b", "👩‍👩‍👧‍👦", "\u202e", "W\u00ad")) * c.randint(1, LONGEST // 12)


def _code(c: random.Random) -> str:
    fence = c.choice(("```", "~~~~", "```html\n```"))
    return f"{fence}\n{_filled(c, lambda _: c.choice(_WORDS) + c.choice((' ', chr(10), chr(9))))}"


def _headings(c: random.Random) -> str:
    return _filled(c, lambda n: f"{'#' * c.randint(1, 8)} {c.choice(_WORDS)}\n{'=' * c.randint(0, 9)}\n---\n")


FORMS = (_noise, _nested_quotes, _nested_lists, _table, _html, _links, _unclosed, _one_word, _code, _headings)


def hostile(number: int) -> str:
    """The text of this number, the same each time; its form goes round."""
    return FORMS[number % len(FORMS)](random.Random(number))
