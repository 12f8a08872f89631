"""Notes beside a frozen run: renamed, annotated and put away without touching run.json."""

import pytest
from jobs_helpers import ROWS, make_config

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.jobs.runnotes import Provenance, RunNotes, annotate_run, provenance, run_notes, write_provenance


@pytest.fixture
def run(workspace) -> RunFolder:
    return RunFolder.create(workspace, make_config("First name"), ROWS)


def test_a_new_run_has_none(run):
    assert run_notes(run) == RunNotes()
    assert provenance(run) is None


def test_each_part_changes_alone(run):
    before = run.config_file.read_bytes()
    annotate_run(run, title="  Kinder,  round 2 ")
    annotate_run(run, notes="Rate was too high.\n")
    assert annotate_run(run, archived=True) == run_notes(run)
    assert run_notes(run) == RunNotes(title="Kinder, round 2", notes="Rate was too high.", archived=True)
    assert run.config_file.read_bytes() == before


@pytest.mark.parametrize("title", ["", "   ", "x" * 121])
def test_a_name_that_does_not_work_changes_nothing(run, title):
    with pytest.raises(BadInput):
        annotate_run(run, title=title)
    assert run_notes(run) == RunNotes()


def test_the_list_of_runs_and_find_go_by_the_new_name(workspace, run):
    annotate_run(run, title="Kinder", notes="why", archived=True)
    queue = Queue(workspace)
    (summary,) = queue.runs()
    assert (summary.title, summary.notes, summary.archived) == ("Kinder", "why", True)
    assert queue.find("Kinder").id == run.id


def test_damaged_notes_do_not_hide_the_run(workspace, run):
    (run.path / "notes.json").write_text("{", "utf-8")
    assert Queue(workspace).runs()[0].title == "First name"


def test_where_the_feedback_came_from_is_kept(run):
    found = Provenance(judgements=["a", "b"], guideline_versions=[1, 2], first="2026-01-01", last="2026-02-01")
    write_provenance(run, found)
    assert provenance(run) == found
