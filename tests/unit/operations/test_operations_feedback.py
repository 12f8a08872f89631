"""Files of feedback in and out: good rows in, bad rows aside with a reason, and the same feedback back."""

import errno
import json
import os

import pytest
from operations_helpers import example, ranking, write_lines

from rlhf_desktop.core.errors import BadInput, NoSpace
from rlhf_desktop.operations.feedback import EXPORT_FORMATS, export_feedback, feedback_stats, import_feedback


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_good_rows_come_in_and_bad_ones_are_set_aside_with_line_and_reason(store, project, tmp_path):
    path = write_lines(tmp_path / "f.jsonl", ranking("Q1", "A", "B"), "not JSON", example("Q2", "A"), {"prompt": "Q3"})
    report = import_feedback(store, project, path)
    assert (report.rankings, report.demonstrations, report.duplicates, report.rejected) == (1, 1, 0, 2)
    aside = lines_of(report.rejected_file)
    assert [row["line"] for row in aside] == [2, 4]
    assert aside[0]["text"] == "not JSON"
    assert all(row["reason"] for row in aside)
    assert report.first_reason.startswith("line 2: ")


def test_importing_again_changes_nothing(store, project, tmp_path):
    path = write_lines(tmp_path / "f.jsonl", ranking("Q1", "A", "B"))
    import_feedback(store, project, path)
    before = feedback_stats(store, project)
    again = import_feedback(store, project, path)
    assert (again.imported, again.duplicates, again.rejected_file) == (0, 1, None)
    assert feedback_stats(store, project) == before


def test_a_file_without_one_usable_row_is_an_error_and_leaves_nothing(store, project, tmp_path):
    path = write_lines(tmp_path / "f.jsonl", "nonsense", "more")
    with pytest.raises(BadInput, match=r"No row of f\.jsonl can be used: line 1: it is not JSON"):
        import_feedback(store, project, path)
    assert list(tmp_path.glob("*.rejected.jsonl")) == []
    assert feedback_stats(store, project).judgements == 0


def test_counts_are_of_feedback_in_effect(store, project, tmp_path):
    tied = {**ranking("Q1", "A", "B", "C")}
    tied["completions"] = [{"text": "A", "rank": 1}, {"text": "B", "rank": 2}, {"text": "C", "rank": 2}]
    import_feedback(store, project, write_lines(tmp_path / "f.jsonl", tied, example("Q2", "A")))
    found = feedback_stats(store, project)
    assert (found.judgements, found.comparisons, found.ties, found.judged_prompts) == (2, 2, 1, 2)
    assert found.by_kind == {"ranking": 1, "demonstration": 1}
    store.judgements.withdraw(store.judgements.effective(project.id)[0].id, "me")
    assert feedback_stats(store, project).judgements == 1


def test_every_format_is_read_back_by_the_importer(store, project, tmp_path):
    import_feedback(store, project, write_lines(tmp_path / "f.jsonl", ranking("Q1", "A", "B", "C"), example("Q2", "A")))
    rows = {}
    for form in EXPORT_FORMATS:
        other = store.projects.create(form)
        rows[form] = export_feedback(store, project, tmp_path / f"{form}.jsonl", form)
        assert import_feedback(store, other, tmp_path / f"{form}.jsonl").imported == rows[form]
    assert rows == {"rankings": 1, "demonstrations": 1, "preference": 3, "prompt-completion": 1}
    first = lines_of(tmp_path / "preference.jsonl")[0]
    assert (first["chosen"][0]["content"], first["rejected"][0]["content"]) == ("A", "B")


def test_an_unknown_format_is_refused(store, project, tmp_path):
    with pytest.raises(BadInput, match="no export format called “pdf”"):
        export_feedback(store, project, tmp_path / "x.pdf", "pdf")


def test_a_full_disk_keeps_the_earlier_export(store, project, tmp_path, monkeypatch):
    out = tmp_path / "out.jsonl"
    out.write_text("earlier\n")

    def full(_fd):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NoSpace, match="disk is full"):
        export_feedback(store, project, out)
    assert out.read_text() == "earlier\n"
