"""JSON as people have it: every layout of the same three records."""

import json

import pytest

from rlhf_desktop.feedback.formats import read_feedback
from rlhf_desktop.feedback.formats.containers import read_items
from rlhf_desktop.feedback.rows import RankingRow

ROWS = [{"prompt": f"{n}?", "chosen": "yes", "rejected": "no"} for n in "ABC"]
MEANT = [RankingRow([{"role": "user", "content": f"{n}?"}], ("yes", "no"), (1, 2)) for n in "ABC"]
PRETTY = json.dumps(ROWS, indent=1)
COLUMNS = {name: [row[name] for row in ROWS] for name in ROWS[0]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("lines.jsonl", "\n".join(json.dumps(row) for row in ROWS)),
        ("lines.ndjson", "\n\n".join(json.dumps(row) for row in ROWS)),
        ("lines.json", "\n".join(json.dumps(row) for row in ROWS)),
        ("a list.jsonl", PRETTY),
        ("a list in one line.jsonl", json.dumps(ROWS)),
        ("a list.txt", PRETTY),
        ("wrapped.json", json.dumps({"version": 1, "data": ROWS}, indent=1)),
        ("wrapped in one line.json", json.dumps({"meta": {"by": "me"}, "data": ROWS})),
        ("wrapped.jsonl", json.dumps({"data": ROWS}, indent=4)),
        ("splits.json", json.dumps({"train": ROWS[:2], "test": ROWS[2:]}, indent=2)),
        ("one unusual name.json", json.dumps({"my preferences": ROWS}, indent=2)),
        ("hub viewer.json", json.dumps({"features": [], "rows": [{"row_idx": n, "row": row} for n, row in enumerate(ROWS)]})),
        ("one after the other.json", "\n".join(json.dumps(row, indent=2) for row in ROWS)),
        ("with commas between.json", ",\n".join(json.dumps(row, indent=2) for row in ROWS)),
        ("columns.json", json.dumps(COLUMNS)),
        ("numbered columns.json", json.dumps({name: dict(enumerate(cells)) for name, cells in COLUMNS.items()})),
        ("split.json", json.dumps({"columns": list(COLUMNS), "index": [0, 1, 2], "data": [list(row.values()) for row in ROWS]})),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_same_records_in_every_layout(tmp_path, name, text, encoding):
    path = tmp_path / name
    path.write_text(text, encoding=encoding)
    assert list(read_feedback(path)) == MEANT


def test_one_object_over_many_lines(tmp_path):
    path = tmp_path / "one.json"
    path.write_text(json.dumps(ROWS[0], indent=2))
    assert list(read_feedback(path)) == MEANT[:1]


@pytest.mark.parametrize(
    "record",
    [
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
        {"data": {"prompt": "Hi"}, "annotations": [{"result": []}]},
        {"prompt": [{"role": "user", "content": "Hi"}], "chosen": [{"role": "assistant", "content": "a"}]},
    ],
)
def test_a_record_by_itself_wraps_nothing(tmp_path, record):
    path = tmp_path / "one.json"
    path.write_text(json.dumps(record, indent=2))
    assert [item.value for item in read_items(path)] == [record]


def test_not_a_number_costs_nothing_where_nobody_reads_it(tmp_path):
    path = tmp_path / "nan.jsonl"
    path.write_text('{"prompt":"A?","chosen":"yes","rejected":"no","margin":NaN}\n'
                    '{"prompt":"B?","chosen":"yes","rejected":"no","margin":-Infinity}\n')  # fmt: skip
    assert list(read_feedback(path)) == MEANT[:2]


def test_a_broken_first_line_costs_only_itself(tmp_path):
    path = tmp_path / "f.jsonl"
    path.write_text('{"prompt": oops}\n' + "\n".join(json.dumps(row) for row in ROWS))
    first, *rest = read_feedback(path)
    assert (first.line, first.reason) == (1, "it is not JSON")
    assert rest == MEANT
