"""`make trust`: what falls short fails and is named, what was not tried is not called well, what was done is not done again."""

import json
import sys
from dataclasses import replace

import pytest

from tests.trust.rows import ROWS, Row

ROW = Row("some", "kills of something", "kills", "tests/no_such.py", short=4, full=10, may={"lost": 0, "stall ms": 200}, portion=4)


@pytest.fixture
def tool(packaging, tmp_path, monkeypatch):
    made = packaging["trust"]
    monkeypatch.setattr(made, "ROOT", tmp_path)
    return made


def sums(tool, tmp_path, *lines, row=ROW, level="short"):
    jobs = tool.jobs_of(row, level, tmp_path)
    jobs[0].results.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (total,) = tool.summed(jobs, level)
    return total


def test_the_full_form_is_done_in_portions(tool, tmp_path):
    assert [(job.first, job.count) for job in tool.jobs_of(ROW, "full", tmp_path)] == [(0, 4), (4, 4), (8, 2)]
    assert [(job.first, job.count) for job in tool.jobs_of(replace(ROW, portion=0), "full", tmp_path)] == [(0, 10)]


def test_a_row_that_holds_says_so_in_figures(tool, tmp_path):
    lines = [{"tried": 3, "found": {}, "most": {"stall ms": 120.25}}, {"tried": 1, "most": {"stall ms": 80}}, {"exit": 0}]
    total = sums(tool, tmp_path, *lines)
    assert total.short_of == ""
    assert tool.table([total]).splitlines()[2] == "| kills of something | 4 kills | 0 lost, 120.2 stall ms | 0 lost, 200 stall ms |"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([{"tried": 4, "found": {"lost": 1}}, {"exit": 1}], "1 lost, of 4 kills"),
        ([{"tried": 4, "most": {"stall ms": 201}}, {"exit": 0}], "201 stall ms, of 4 kills"),
        ([{"tried": 3}, {"exit": 0}], "3 tried instead of 4"),
        ([{"tried": 4}, {"exit": 1}], "its test failed: some-0-4.log"),
        ([{"exit": 4}], "not run: there is no test of it"),
        ([{"tried": 4}], "not run: there is no test of it"),  # killed before it came to its end
    ],
)
def test_whatever_falls_short_is_named(tool, tmp_path, lines, said):
    assert sums(tool, tmp_path, *lines).short_of == said


def test_what_this_machine_cannot_try_is_said_and_not_called_well(tool, tmp_path):
    total = sums(tool, tmp_path, {"skipped": "needs root"}, {"exit": 0})
    assert total.short_of == ""
    assert total.cells[1:3] == ("not run", "needs root")


def test_what_ended_well_on_this_code_is_not_done_again(tool, tmp_path):
    job = tool.jobs_of(ROW, "short", tmp_path)[0]
    assert not tool.done(job)
    job.results.write_text('{"tried": 4}\n')
    assert not tool.done(job)
    job.results.write_text('{"tried": 4}\n{"exit": 1}\n')
    assert not tool.done(job)
    job.results.write_text('{"tried": 4}\n{"exit": 0}\n')
    tool.run(job, "short")
    assert not job.log.exists()


def test_a_row_without_a_test_ends_with_1(tool, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tool, "BUILD", tmp_path)
    monkeypatch.setattr(tool, "ROWS", (ROW,))
    monkeypatch.setattr(tool, "_command", lambda _: [sys.executable, "-S", "-c", "raise SystemExit(4)"])  # as pytest without a test
    assert tool.main([]) == 1
    assert "kills of something: not run" in capsys.readouterr().out
    assert tool.main(["other"]) == 2


def test_the_table_takes_its_place_in_the_guide(tool, tmp_path, monkeypatch):
    page = tmp_path / "trust.md"
    page.write_text(f"# Trust\n\n{tool.BEGIN}old\n{tool.END}after\n")
    monkeypatch.setattr(tool, "GUIDE", page)
    tool.into_guide("| new |\n", "full")
    tool.into_guide("| newer |\n", "full")
    text = page.read_text()
    assert text.startswith("# Trust\n\n")
    assert text.endswith("after\n")
    assert "newer" in text
    assert "old" not in text
    assert text.count("| new") == 1


def test_rows_have_keys_of_their_own():
    assert len({row.key for row in ROWS}) == len(ROWS)
    assert all(0 < row.short <= row.full for row in ROWS)
