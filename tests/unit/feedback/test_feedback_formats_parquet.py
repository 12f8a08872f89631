"""Parquet: documented records go out and come back as they were, piece by piece; without pyarrow a sentence says what to do."""

import json
import sys
from itertools import islice
from pathlib import Path

import pytest

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.feedback.formats import read_feedback
from rlhf_desktop.feedback.formats.containers import read_items
from rlhf_desktop.feedback.formats.parquet import installed, read_parquet, write_parquet
from rlhf_desktop.feedback.rows import Problem

DATA = Path(__file__).parents[2] / "data" / "formats"
needs_pyarrow = pytest.mark.skipif(not installed(), reason="the parquet extra is not installed")


def written(path, records):
    with path.open("wb") as out:
        write_parquet(out, records)
    return path


def records_of(path):
    return [record for record, _ in read_parquet(path)]


@needs_pyarrow
@pytest.mark.parametrize("file", sorted(DATA.iterdir()), ids=lambda file: file.name)
def test_each_documented_format_says_the_same_in_parquet(tmp_path, file):
    records = [item.value for item in read_items(file) if not isinstance(item.value, Problem)]
    said = [row for row in read_feedback(file) if not isinstance(row, Problem)]
    assert said == [row for row in read_feedback(written(tmp_path / "f.parquet", records)) if not isinstance(row, Problem)]


@needs_pyarrow
def test_records_that_differ_come_back_as_they_were(tmp_path):
    records = [
        {"a": 1, "b": "[not a list", "c": [{"x": 1}, {"y": "two"}], "only here": True},
        {"a": "one", "b": "ж😀", "c": [], "d": {}},
        {"a": [1, {"x": None}], "e": 2**70},
    ]
    back = records_of(written(tmp_path / "f.parquet", records))
    records[2]["a"] = [1, {"x": None}]  # in a column of JSON text a null stays what it was
    assert back == records


@needs_pyarrow
def test_a_kind_that_only_a_later_piece_shows_is_kept(tmp_path):
    records = [{"a": n} for n in range(2500)] + [{"a": "last", "b": 0.5}]
    assert records_of(written(tmp_path / "f.parquet", records)) == records


@needs_pyarrow
def test_other_programs_read_what_is_written(tmp_path):
    import pyarrow.parquet as parquet

    rows = [json.loads(line) for line in (DATA / "trl_preference.jsonl").read_text().splitlines()][1:]
    assert parquet.read_table(written(tmp_path / "f.parquet", rows)).to_pylist() == rows


@needs_pyarrow
def test_a_file_is_read_piece_by_piece(tmp_path):
    path = written(tmp_path / "f.parquet", [{"a": n} for n in range(4000)])
    shares = [share for _, share in islice(read_parquet(path), 1000)]
    assert (shares[0], shares[-1]) == (1 / 4000, 0.25)


@needs_pyarrow
def test_a_damaged_file_is_refused(tmp_path):
    path = written(tmp_path / "f.parquet", [{"a": "x" * 100}])
    whole = path.read_bytes()
    for spoilt in (whole[:-20], whole[:30] + b"\xff" * 40 + whole[70:], b"PAR1" + b"\0" * 50 + b"PAR1"):
        path.write_bytes(spoilt)
        with pytest.raises(BadInput, match="damaged"):
            list(read_items(path))


def test_without_pyarrow_reading_and_writing_say_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "f.parquet").write_bytes(b"PAR1....PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(BadInput, match="Parquet file, which this installation cannot read") as refused:
        list(read_items(tmp_path / "f.parquet"))
    assert "“parquet” extra (pyarrow)" in refused.value.hint
    with pytest.raises(BadInput, match="cannot write Parquet files"):
        written(tmp_path / "out.parquet", [{"a": 1}])
