"""Answer files: read back what was written, and one plain sentence for every file that can't be used."""

import errno
import os
from pathlib import Path

import pytest

from rlhf_desktop.core.errors import BadInput, NoSpace, NotFound
from rlhf_desktop.operations.rows import Answer, AnswerRow, check_output, read_answers, write_answers

ASK = [{"role": "user", "content": "My kettle leaks."}]


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "answers.jsonl"
    path.write_text(text, encoding="utf-8")
    return path


def test_answers_survive_a_round_trip(tmp_path):
    rows = [AnswerRow(ASK, (Answer("Sorry. \u2028 Send it back.", 0.5), Answer(""))), AnswerRow(ASK, (Answer("😀"),))]
    write_answers(tmp_path / "answers.jsonl", rows)
    assert read_answers(tmp_path / "answers.jsonl") == rows


def test_a_rankings_file_can_be_scored(tmp_path):
    path = written(
        tmp_path, '{"prompt": "My kettle leaks.", "completions": [{"text": "A", "rank": 1}, {"text": "B", "rank": 2}]}\n'
    )
    assert read_answers(path) == [AnswerRow(ASK, (Answer("A"), Answer("B")))]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "answers.jsonl is empty."),
        ("hello", "answers.jsonl, line 1: it is not JSON."),
        ("[1]", "answers.jsonl, line 1: it has no “prompt”."),
        ('{"prompt": "x"}', "answers.jsonl, line 1: it has no “completions”."),
        ('{"prompt": "x", "completions": []}', "answers.jsonl, line 1: it has no “completions”."),
        ('{"prompt": "x", "completions": [{"score": 1}]}', "answers.jsonl, line 1: a completion has no “text”."),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence_with_a_remedy(tmp_path, text, said):
    with pytest.raises(BadInput) as trouble:
        read_answers(written(tmp_path, text))
    assert trouble.value.message == said
    assert trouble.value.hint


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(NotFound):
        read_answers(tmp_path / "nowhere.jsonl")


def test_a_full_disk_leaves_the_old_file_and_no_pieces(tmp_path, monkeypatch):
    path = written(tmp_path, "old\n")

    def full(_fd):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NoSpace, match="disk is full") as trouble:
        write_answers(path, [AnswerRow(ASK, (Answer("x"),))])
    assert trouble.value.hint
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_output_is_checked_before_the_work(tmp_path):
    with pytest.raises(BadInput, match="is a folder"):
        check_output(tmp_path)
    with pytest.raises(NoSpace):
        check_output(tmp_path / "a.jsonl", expected_bytes=2**62)
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="could not be written"):
        check_output(tmp_path / "file" / "a.jsonl")
    check_output(tmp_path / "new" / "a.jsonl")
