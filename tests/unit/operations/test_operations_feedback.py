"""Files of feedback in and out: good rows in, bad rows aside with a reason, and the same feedback back."""

import errno
import json
import os
import re
import time
from pathlib import Path

import pytest
from operations_helpers import example, ranking, write_lines

from rlhf_desktop.core.errors import BadInput, NoSpace
from rlhf_desktop.feedback.columns import propose_columns
from rlhf_desktop.operations.feedback import (
    EXPORT_FORMATS,
    ImportCancelled,
    export_feedback,
    feedback_stats,
    import_feedback,
    preview_import,
)
from rlhf_desktop.operations.writing import write_records


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


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
def test_every_format_is_read_back_by_the_importer(store, project, tmp_path, suffix):
    thumb = {"prompt": "Q3", "completion": "A", "label": False}
    lines = write_lines(tmp_path / "f.jsonl", ranking("Q1", "A", "B", "C"), example("Q2", "A"), thumb)
    import_feedback(store, project, lines)
    rows = {}
    for form in EXPORT_FORMATS:
        other = store.projects.create(form)
        rows[form] = export_feedback(store, project, tmp_path / f"{form}{suffix}", form).records
        if rows[form]:
            assert import_feedback(store, other, tmp_path / f"{form}{suffix}").imported == rows[form], form
    assert rows == {
        "rankings": 1, "preference": 3, "preference-implicit": 3, "unpaired": 1, "prompt-completion": 1, "messages": 1, "hh": 3,
        "ultrafeedback": 3, "oasst": 1, "argilla": 3, "label-studio": 3, "sharegpt": 4, "alpaca": 4, "openai-preference": 3,
        "arena": 0, "demonstrations": 1,
    }  # fmt: skip
    if suffix == ".jsonl":
        first = lines_of(tmp_path / "preference.jsonl")[0]
        assert (first["chosen"][0]["content"], first["rejected"][0]["content"]) == ("A", "B")


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
def test_a_row_that_is_set_aside_can_be_mended_whatever_file_it_came_from(store, project, tmp_path, suffix):
    records = [{"prompt": "Q", "chosen": "a", "rejected": "b"}, {"prompt": "Q2", "chosen": "only this one"}]
    write_records(tmp_path / f"f{suffix}", records)
    report = import_feedback(store, project, tmp_path / f"f{suffix}")
    assert (report.imported, report.rejected) == (1, 1)
    (aside,) = lines_of(report.rejected_file)
    assert "Q2" in aside["text"]
    assert "only this one" in aside["text"]


def test_who_judged_is_a_number_unless_names_are_asked_for(store, project, tmp_path):
    lines = write_lines(tmp_path / "f.jsonl", *[{**ranking(f"Q{n}", "A", "B"), "annotator": who} for n, who in enumerate("bab")])
    import_feedback(store, project, lines)
    found = {}
    for names in (False, True):
        export_feedback(store, project, tmp_path / "out.jsonl", names=names)
        found[names] = [line["annotator"] for line in lines_of(tmp_path / "out.jsonl")]
    assert found == {False: ["annotator 1", "annotator 2", "annotator 1"], True: ["b", "a", "b"]}


def test_a_preview_says_what_a_file_is_and_imports_nothing(store, project, tmp_path):
    path = write_lines(tmp_path / "f.jsonl", *[ranking(f"Q{n}", "A", "B") for n in range(30)], "nonsense")
    seen = preview_import(path)
    assert (seen.guesses[0].format.name, seen.sure, len(seen.rows)) == ("rankings", True, 20)
    assert seen.columns == ("prompt", "completions")
    assert feedback_stats(store, project).judgements == 0


def test_unknown_columns_are_proposed_mapped_and_imported(store, project, tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("Question,Better,Worse,Rater\nQ1,A,B,Ada\n")
    seen = preview_import(path)
    assert (seen.guesses, seen.sure, seen.rows) == ((), False, ())
    columns = propose_columns("preference", seen.columns)
    assert columns == {"prompt": "Question", "chosen": "Better", "rejected": "Worse", "annotator": "Rater"}
    assert preview_import(path, form="preference", columns=columns).sure
    assert import_feedback(store, project, path, form="preference", columns=columns).rankings == 1
    assert store.judgements.effective(project.id)[0].who == "Ada"


def test_a_cancelled_import_leaves_nothing(store, project, tmp_path):
    path = write_lines(tmp_path / "f.jsonl", "nonsense", *[ranking(f"Q{n}", "A", "B") for n in range(1200)])
    shares, rows = [], []
    with pytest.raises(ImportCancelled):
        import_feedback(store, project, path, on_share=shares.append, on_progress=rows.append, cancelled=lambda: len(shares) == 1)
    assert rows == [500]
    assert 0.3 < shares[0] < 0.6
    assert feedback_stats(store, project).judgements == 0
    assert [file.name for file in tmp_path.iterdir() if "rejected" in file.name] == []


HH = Path(__file__).parents[4] / "shared" / "data" / "hh-harmless-dev.jsonl"
TURNS = re.compile(r"\n\n(Human|Assistant): ?")


def turns(transcript):
    """A transcript's turns, stripped; a speaker's turns in a row are one, as they are imported."""
    parts = TURNS.split(transcript)
    found = []
    for who, text in zip(parts[1::2], parts[2::2], strict=True):
        if found and found[-1][0] == who:
            found[-1][1] += f" {text}"
        else:
            found.append([who, text])
    return [(who, " ".join(text.split())) for who, text in found]


@pytest.mark.skipif(not HH.exists(), reason="the public HH-RLHF sample is not on this machine")
def test_the_public_pairs_come_in_quickly_and_go_out_as_they_came(store, project, tmp_path):
    path = tmp_path / "hh.jsonl"
    path.write_bytes(HH.read_bytes())
    begun = time.process_time()
    report = import_feedback(store, project, path)
    assert time.process_time() - begun < 5
    assert report.rankings + report.duplicates >= 1791
    assert report.rankings + report.duplicates + report.rejected == 1800
    aside = {row["line"] for row in lines_of(report.rejected_file)}
    export_feedback(store, project, tmp_path / "out.jsonl", "hh")
    kept = [row for n, row in enumerate(lines_of(path), 1) if n not in aside]
    distinct = list({json.dumps([turns(row["chosen"]), turns(row["rejected"])]): row for row in kept}.values())
    out = lines_of(tmp_path / "out.jsonl")
    assert len(out) == len(distinct) == report.rankings
    for before, after in zip(distinct, out, strict=True):
        assert [turns(before[side]) for side in ("chosen", "rejected")] == [turns(after[side]) for side in ("chosen", "rejected")]


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


def test_an_import_says_what_it_took_as_likely_and_an_answer_settles_it(store, project, tmp_path):
    marks = {"fields": {"prompt": "Q", "response": "A"}, "responses": {"quality": [{"value": 4, "user_id": "u"}]}}
    path = write_lines(tmp_path / "r.jsonl", marks)
    report = import_feedback(store, project, path)
    assert (report.imported, [(q.key, q.proposal) for q in report.questions]) == (1, [("scale:quality", "1-5")])
    other = store.projects.create("other")
    report = import_feedback(store, other, path, answers={"scale:quality": "1-10"})
    assert (report.questions, store.judgements.effective(other.id)[0].verdict.ratings[0].levels) == ((), 10)


def test_rows_with_another_programs_template_are_said_before_and_after(store, project, tmp_path):
    doubled = {
        "prompt": "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
        "chosen": "Hello<|im_end|>",
        "rejected": "Go<|im_end|>",
    }
    plain = {"prompt": "Hi", "chosen": "Hello", "rejected": "Go"}
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (doubled, plain, {**doubled, "chosen": "Hey"})))
    for told in (preview_import(path), import_feedback(store, project, path)):
        (note,) = [note for note in told.notes if "markup" in note.text]
        assert note.rows == 2
        assert "<|im_start|>" in note.text
        assert "plain questions and answers" in note.text  # the remedy
