import ast
import re
import sys
import time
from pathlib import Path

import pytest
from PySide6.QtGui import QKeySequence

from rlhf_desktop.ui import words
from rlhf_desktop.ui.frame import keymap


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59, "59 s"), (61, "1 min"), (3540, "59 min"), (3600, "1 h"), (4800, "1 h 20 min"), (200_000, "2 days")],
)
def test_duration(seconds, said):
    assert words.duration(seconds) == said


@pytest.mark.parametrize(("n", "said"), [(12, "12 B"), (98_000_000, "98 MB"), (1_900_000_000, "1.9 GB"), (999_600_000, "1.0 GB")])
def test_size(n, said):
    assert words.size(n) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [(97_728, "97,728 parameters"), (134_515_008, "135 million parameters"), (1_540_000_000, "1.5 billion parameters")],
)
def test_parameters(count, said):
    assert words.parameters(count) == said


def test_ago_and_moment_know_today():
    now = time.mktime((2026, 3, 14, 15, 0, 0, 0, 0, -1))
    assert words.ago(now - 10, now) == "just now"
    assert words.ago(now - 300, now) == "5 min ago"
    assert words.ago(now - 86_400, now) == "yesterday"
    assert words.ago(now - 10 * 86_400, now) == "4 March 2026"
    assert words.moment(now, now) == "15:00"
    assert words.moment(now - 86_400, now) == "13 Mar 15:00"


def test_count_and_shortened():
    assert words.count(1, "ranking") == "1 ranking"
    assert words.count(1240, "reply", "replies") == "1,240 replies"
    assert words.shortened("one\n two", 20) == "one two"
    assert words.shortened("word " * 40, 20) == "word word word…"


def test_ordinal():
    assert [words.ordinal(n) for n in (1, 2, 3, 4, 11, 21)] == ["1st", "2nd", "3rd", "4th", "11th", "21st"]


def test_a_day_of_a_plot():
    assert words.day("2026-11-07") == "7 Nov"


def test_keys_in_texts_are_written_as_the_system_writes_them():
    """“Ctrl+F” is right on no Mac: texts take it from the key map."""
    for file in sorted(Path(words.__file__).parent.rglob("*.py")):
        tree = ast.parse(file.read_text("utf-8"))
        documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
                text = node.value
                assert (
                    re.search(r"\b(Ctrl|Alt|Shift)\+", text) is None
                    or re.fullmatch(r"(\w+\+)+\S", text)
                    or re.fullmatch(r"(\w+\+)+\w+", text)
                ), f"{file}: {text}"


def test_keys_are_native(qapp):
    assert keymap.written(QKeySequence("Ctrl+F")) == ("⌘F" if sys.platform == "darwin" else "Ctrl+F")
