import json
import os

import pytest

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.feedback.formats import documents
from rlhf_desktop.feedback.formats.containers import container_of, read_items
from rlhf_desktop.feedback.rows import Problem


def values(path):
    return [item.value for item in read_items(path)]


TRICKY = [{"a": 'br]ack"et, {'}, {"b": ["\\", {"c": '\\"'}]}, {"d": "ü😀"}, {}]


@pytest.mark.parametrize("block", [1, 2, 3, 7, 65536])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_list_is_cut_at_its_own_commas_wherever_blocks_end(tmp_path, monkeypatch, block, indent):
    monkeypatch.setattr(documents, "_BLOCK", block)
    path = tmp_path / "f.json"
    path.write_text(json.dumps(TRICKY, indent=indent, ensure_ascii=False))
    found = values(path)
    assert found == TRICKY or block < 3  # the byte order mark is looked for in the first block only
    assert found == TRICKY


def test_one_bad_element_does_not_cost_the_others(tmp_path):
    path = tmp_path / "f.json"
    path.write_text('[{"a": 1}, {"b": oops}, {"c": NaN}, {"d": 4}]')
    first, bad, third, last = values(path)
    assert (first, third, last) == ({"a": 1}, {"c": None}, {"d": 4})
    assert (bad.line, bad.reason, bad.text) == (2, "it is not JSON", '{"b": oops}')


def test_a_list_that_was_cut_off_gives_what_is_whole(tmp_path):
    path = tmp_path / "f.json"
    path.write_text('[{"a": 1}, {"b": 2')
    first, rest = values(path)
    assert first == {"a": 1}
    assert rest.reason == "it is not JSON"


def test_elements_and_lines_without_end_are_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "MAX_RECORD_BYTES", 1000)
    monkeypatch.setattr(documents, "_BLOCK", 100)
    path = tmp_path / "f.json"
    path.write_text("[" + '"' + "x" * 100_000)
    assert [type(value) for value in values(path)] == [Problem]
    path = tmp_path / "f.jsonl"
    path.write_text('{"a": "' + "x" * 5000 + '"}\n{"b": 2}\n')
    endless, after = values(path)
    assert endless.reason == "the line is longer than 16 MiB"
    assert after == {"b": 2}


def test_lines_have_their_numbers_and_how_far_they_reach(tmp_path):
    path = tmp_path / "f.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n\xff\n' + b"[" * 100_000 + b'\n{"b": 2}')
    items = list(read_items(path))
    assert [item.number for item in items] == [1, 3, 4, 5]
    assert items[0].value == {"a": 1}
    assert [item.value.reason[:15] for item in items[1:3]] == ["it is not UTF-8", "it is not JSON"]
    assert items[-1].read_bytes == path.stat().st_size


@pytest.mark.parametrize("name", ["f.jsonl", "f.json", "f.csv", "f.parquet"])
def test_an_empty_file_is_said_to_be_empty(tmp_path, name):
    (tmp_path / name).write_text(" \n")
    with pytest.raises(BadInput, match="is empty"):
        values(tmp_path / name)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(NotFound):
        values(tmp_path / "nowhere.jsonl")
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(BadInput, match="no ordinary file"):
        values(tmp_path / "pipe.jsonl")


def test_the_kind_of_file_follows_from_name_and_content(tmp_path):
    for name, text, kind in (
        ("a.json", "[1]", "json"),
        ("b.json", "{}\n", "json"),
        ("c.jsonl", "[1]\n", "json"),
        ("d.txt", "{}", "json"),
        ("e.TSV", "a\tb", "csv"),
        ("f.bin", "PAR1", "parquet"),
        ("g.txt", "prompt\tanswer\nq\ta\n", "csv"),
    ):
        (tmp_path / name).write_text(text)
        assert container_of(tmp_path / name) == kind
