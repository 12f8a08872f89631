import csv

import pytest

from rlhf_desktop.feedback.formats import format_named, read_feedback
from rlhf_desktop.feedback.rows import DemonstrationRow, RankingRow
from rlhf_desktop.operations.writing import write_records

RUN = (
    "=1+1",
    "+49 30 1234",
    "-2 is it",
    "@SUM(A1)",
    "\t=cmd|' /C calc'!A0",
    "\r=1",
    "＝1+1",
    "'=1",
    "''+",
    "'quoted'",
    '{"a": 1}',
    "[2, 3]",
)


@pytest.mark.parametrize("text", RUN)
@pytest.mark.parametrize("form", ["alpaca", "preference", "rankings"])
def test_a_spreadsheet_runs_nothing_and_reading_gives_the_text_back(tmp_path, text, form):
    prompt = [{"role": "user", "content": text}]
    rows = [RankingRow(prompt, (text, "no"), (1, 2))] + ([DemonstrationRow(prompt, text)] if form == "alpaca" else [])
    path = tmp_path / "f.csv"
    write_records(path, [record for row in rows for record in format_named(form).write(row)])
    with path.open(encoding="utf-8", newline="") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    assert not [cell for cell in cells if cell[:1] in tuple("=+-@\t\r\n＝＋－＠") and cell]
    assert list(read_feedback(path)) == rows
