from pathlib import Path

import pytest


def test_reports_outside_the_workspace_are_remembered_for_an_erase(store, project, tmp_path):
    workspace, outside = tmp_path / "w", tmp_path / "elsewhere" / "report.html"
    for path in (workspace / "reports" / "r.html", outside):
        path.parent.mkdir(parents=True)
        path.write_text("a report")
    store.exports.note_files(project.id, [workspace / "reports" / "r.html", outside], "report", workspace)
    (noted,) = store.exports.since(project.id, 0)
    assert (Path(noted.path), noted.form) == (outside, "report")


def test_a_file_that_cannot_be_noted_is_not_left(store, project, tmp_path, monkeypatch):
    def full(*_arguments, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.exports._audit, "note", full)
    files = [tmp_path / name for name in ("rows.jsonl", "report.html", "report.md")]
    for file in files:
        file.write_text("words of somebody")
    with pytest.raises(OSError, match="No space"):
        store.exports.note(project.id, files[0], "rankings", 0)
    with pytest.raises(OSError, match="No space"):
        store.exports.note_files(project.id, files[1:], "report", tmp_path / "w")
    assert not any(file.exists() for file in files)
    assert store.exports.since(project.id, 0) == []
