"""Reports of bugs say where and what kind, and nothing that anybody wrote."""

import subprocess
import sys
from pathlib import Path

import pytest

from rlhf_desktop.core.crash import bug_report

CANARY = "hf_canarycanarycanary and what I wrote to Dr Haddad"


def caught(work):
    with pytest.raises(Exception) as found:  # noqa: PT011 (whichever it is)
        work()
    return found.value


def chained():
    try:
        {}[CANARY]
    except KeyError as problem:
        raise ValueError(CANARY) from problem


def test_the_chain_with_places_and_kinds_and_no_words():
    text = bug_report(caught(chained))
    assert CANARY not in text
    assert "KeyError" in text
    assert text.index("KeyError") < text.index("ValueError")
    assert text.count("in chained") == 2
    assert f"{len(CANARY)} characters" in text


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda: Path("/nowhere", CANARY).read_text(), "FileNotFoundError: No such file or directory"),
        (lambda: object().nothing, "has no attribute 'nothing'"),
        (lambda: __import__("nosuchmodule"), "No module named 'nosuchmodule'"),
    ],
)
def test_what_speaks_about_the_program_is_kept(work, words):
    text = bug_report(caught(work))
    assert words in text
    assert CANARY not in text


def test_a_circle_of_causes_ends():
    problem = ValueError("x")
    problem.__cause__ = KeyError("y")
    problem.__cause__.__cause__ = problem
    assert bug_report(problem).count("which led to") < 20


def test_a_worker_that_dies_says_no_more():
    """Its standard error is the log of a run."""
    script = "import sys; from rlhf_desktop.worker import __main__ as w; "
    script += "w.importlib.import_module = lambda name: {}[sys.argv[1]]; w.main(['train'])"
    done = subprocess.run([sys.executable, "-c", script, CANARY], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "KeyError" in done.stderr
    assert CANARY not in done.stderr
