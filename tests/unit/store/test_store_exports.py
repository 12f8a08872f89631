from pathlib import Path


def test_reports_outside_the_workspace_are_remembered_for_an_erase(store, project, tmp_path):
    workspace, outside = tmp_path / "w", tmp_path / "elsewhere" / "report.html"
    for path in (workspace / "reports" / "r.html", outside):
        path.parent.mkdir(parents=True)
        path.write_text("a report")
    store.exports.note_files(project.id, [workspace / "reports" / "r.html", outside], "report", workspace)
    (noted,) = store.exports.since(project.id, 0)
    assert (Path(noted.path), noted.form) == (outside, "report")
