"""How long things take, in words; tables; and where progress goes."""

import json

import pytest

from rlhf_desktop.cli.common import Console, duration, table
from rlhf_desktop.operations.generation import BatchProgress


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "1 s"), (40, "40 s"), (89, "89 s"), (90, "2 min"), (3540, "59 min"), (4800, "1 h 20 min")]
)
def test_durations_read_as_people_say_them(seconds, said):
    assert duration(seconds) == said


def test_a_table_is_as_wide_as_its_words():
    assert table([("a", "long cell", "x"), ("bb", "c", "")], ("ONE", "TWO", "3")) == "ONE  TWO        3\na    long cell  x\nbb   c"


def test_with_json_everything_but_the_result_goes_to_stderr(capfd):
    console = Console(as_json=True)
    console.batch("Scoring:")(BatchProgress(1, 4, 30))
    console.say("a word")
    console.note("a note")
    console.result({"text": "“é”\n"}, "in words")
    said = capfd.readouterr()
    assert json.loads(said.out) == {"text": "“é”\n"}
    assert said.out.count("\n") == 1
    assert said.err == "Scoring: 1 of 4, 30 s left\na word\na note\n"


def test_without_json_the_result_is_in_words(capfd):
    Console(as_json=False).result({"a": 1}, "in words")
    assert capfd.readouterr().out == "in words\n"


def test_where_nobody_watches_progress_is_rare(capfd):
    console = Console(as_json=False)
    for done in range(1, 100):
        console.batch("Writing:")(BatchProgress(done, 100, None))
    assert capfd.readouterr().err == "Writing: 1 of 100\n"


def test_on_a_terminal_the_line_is_replaced(capfd, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    console = Console(as_json=False)
    console.progress("a long line of words")
    console._drawn_s = 0.0
    console.progress("short")
    console.say("done")
    said = capfd.readouterr()
    assert said.err == "\ra long line of words\rshort               \n"
    assert said.out == "done\n"


def test_no_words_move_the_terminals_cursor(capsys):
    """A colleague's name, a file's text or a model's answer may hold escapes; a terminal would obey them."""
    evil = "Anna\x1b]0;owned\x07\x1b[2J\r\x9b31m\nnext\tline"
    for write in (Console(False).say, Console(False).note, Console(False).progress, lambda text: Console(False).result({}, text)):
        write(evil)
    shown = "".join(capsys.readouterr())
    assert "Anna" in shown
    assert "\nnext\tline" in shown
    assert not set(shown) & set("\x1b\x07\r\x9b")
