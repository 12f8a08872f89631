"""Projects on the command line do what the window does: made, renamed, copied, put away, deleted, brought back, erased."""

import pytest

from rlhf_desktop.cli.main import _public
from rlhf_desktop.operations.projects import open_project
from rlhf_desktop.store.database import Store


def listed(cli, *more):
    return {found["name"]: found["state"] for found in cli("projects", "list", "--json", *more).json["projects"]}


def test_a_project_goes_from_its_preset_to_the_bin_and_back(cli, workspace, rankings):
    made = cli("projects", "new", "Ward round", "--preset", "summaries", "--json")
    assert made.json["name"] == "Ward round"
    assert cli("feedback", "import", rankings).code == 0
    with Store.open(workspace.database) as store:
        assert store.protocols.get(open_project(store).id).name == "Summaries"
    assert cli("projects", "rename", "ward round", "Ward & round").out == "It is called “Ward & round” now.\n"
    refused = cli("projects", "delete", "Ward & round")
    assert (refused.code, "holds 12 judgements" in refused.err, "--yes" in refused.err) == (1, True, True)
    assert "restore" in cli("projects", "delete", "Ward & round", "--yes").out
    assert listed(cli) == {}
    assert listed(cli, "--all") == {"Ward & round": "deleted"}
    named = cli("feedback", "stats", "--project", "Ward & round")
    assert (named.code, "was deleted" in named.err) == (1, True)
    assert cli("projects", "restore", "ward & round").out == "“Ward & round” is back as it was.\n"
    assert cli("feedback", "stats", "--project", "Ward & round", "--json").json["judgements"] == 12


def test_a_project_is_archived_with_its_runs_and_taken_back(cli, model, rankings):
    cli("projects", "new", "One")
    cli("feedback", "import", rankings)
    run = cli("train", "reward", "--json", "--model", model, "--detach").json["run"]
    refused = cli("projects", "archive", "One")
    assert (refused.code, "is not over" in refused.err, "Stop the run" in refused.err) == (1, True, True)
    cli("runs", "stop", run)
    assert cli("projects", "archive", "One").code == 0
    assert cli("runs", "list", "--json").json == {"runs": []}
    assert len(cli("runs", "list", "--all", "--json").json["runs"]) == 1
    assert "is archived" in cli("runs", "resume", run).err
    assert "is archived" in cli("feedback", "stats", "--project", "one").err
    assert cli("projects", "unarchive", "One").code == 0
    assert cli("runs", "resume", run).code == 0


def test_a_copy_has_the_settings_and_is_used_next(cli):
    cli("projects", "new", "One", "--preset", "safety")
    assert cli("projects", "duplicate", "One", "--json").json["name"] == "One 2"
    assert cli("projects", "duplicate", "One", "Three", "--json").json["name"] == "Three"
    found = cli("projects", "list", "--json").json["projects"]
    assert [(project["name"], project["last_used"]) for project in found] == [("One", False), ("One 2", False), ("Three", True)]


def test_erased_at_once_nothing_can_be_restored(cli, workspace, rankings):
    cli("projects", "new", "One")
    cli("feedback", "import", rankings)
    done = cli("projects", "delete", "One", "--yes", "--now", "--json")
    assert done.json["erased"] == {"judgements": 12}
    assert listed(cli, "--all") == {}
    assert b"Question 3" not in workspace.database.read_bytes()
    assert "No deleted project is kept here" in cli("projects", "restore", "One").err


def test_projects_whose_time_is_over_are_erased_by_the_next_command_about_projects(cli, workspace):
    cli("projects", "new", "Old")
    with Store.open(workspace.database) as store:
        store.projects.delete(store.projects.find("Old").id, at="2020-01-01T00:00:00.000+00:00")
    said = cli("projects", "list", "--all", "--json")
    assert said.json == {"projects": []}
    assert "now erased for good: “Old”" in said.err


@pytest.mark.parametrize("name", ["", "x" * 200, "bell\x07"], ids=["empty", "long", "bell"])
def test_a_name_that_cannot_be_used_is_one_sentence_and_one_remedy(cli, name):
    said = cli("projects", "new", name)
    assert said.code == 1
    assert len(said.err.splitlines()) == 2


def test_presets_say_what_is_asked_and_what_works_offline(cli):
    said = cli("projects", "presets")
    assert "summaries: Short versions" in said.out
    assert "Which of two answers is better" in said.out
    assert "Works offline" in said.out
    assert [known["preset"] for known in cli("projects", "presets", "--json").json["presets"]] == [
        "support", "safety", "summaries", "clinical", "blank",
    ]  # fmt: skip


def test_a_report_of_a_bug_has_no_projects_name():
    assert _public(["--json", "projects", "rename", "Mrs A", "--offline", "Mrs B"]) == [
        "--json", "projects", "rename", "…", "--offline", "…",
    ]  # fmt: skip
