"""What every older version of the program wrote is opened by this one, whole; what a newer one wrote is refused and left alone."""

import json
import sqlite3
import zipfile
from functools import cache
from pathlib import Path

import pytest

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.offline import network_rule
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.feedback.bundles import MANIFEST, open_bundle
from rlhf_desktop.hub.library import Library
from rlhf_desktop.jobs.queue import Queue, run_folders
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.operations.bundles import inspect_bundle, merge_bundle
from rlhf_desktop.operations.opening import open_store
from rlhf_desktop.operations.report import run_report
from rlhf_desktop.operations.report_pages import write_report
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.history import HistoryQuery
from rlhf_desktop.store.migrations import MIGRATIONS
from rlhf_desktop.store.shelf import ConversationQuery, Shelf

FOLDER = Path(__file__).parents[1] / "data" / "upgrades"
OLD = sorted(FOLDER.glob("schema-*.zip"))
BUNDLE = "shared.rlhfbundle"
CHANGED = {("judgements", "verdict"), ("judgements_also", "created_at")}
"""Columns whose writing was changed by a later step on purpose; what they say is compared through the store."""


@cache
def expected(archive: Path) -> dict:
    with zipfile.ZipFile(archive) as held:
        return json.loads(held.read("expected.json"))


def unpack(archive: Path, folder: Path) -> Workspace:
    """A workspace as the old program left it."""
    with zipfile.ZipFile(archive) as held:
        held.extractall(folder, [name for name in held.namelist() if name != "expected.json"])
    return Workspace(folder).ensure()


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(params=OLD, ids=lambda path: path.stem)
def archive(request):
    return request.param


@pytest.fixture
def workspace(archive, tmp_path):
    return unpack(archive, tmp_path / "workspace")


@pytest.fixture
def store(workspace):
    with open_store(workspace) as opened:
        yield opened


def test_every_schema_before_this_one_has_a_workspace_here():
    """Appended a migration? Write the newest workspace first: see README.md in the folder."""
    assert [expected(path)["schema"] for path in OLD][: len(MIGRATIONS) - 1] == list(range(1, len(MIGRATIONS)))


def test_every_row_is_still_there(archive, workspace):
    with open_store(workspace):
        pass
    connection = sqlite3.connect(workspace.database)
    connection.row_factory = sqlite3.Row
    compared = 0
    for table, rows in expected(archive)["tables"].items():
        now = [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]
        assert len(now) == len(rows), table
        for row, after in zip(_sorted(rows, rows), _sorted(now, rows), strict=True):
            kept = {name: value for name, value in row.items() if (table, name) not in CHANGED}
            assert {name: after[name] for name in kept} == kept, table
            compared += 1
    assert compared > 100
    assert connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
    assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def _sorted(rows: list[dict], like: list[dict]) -> list[dict]:
    """Rows in an order that depends on the columns the old ones had."""
    names = sorted(like[0]) if like else []
    return sorted(rows, key=lambda row: [str(row.get(name)) for name in names])


def test_the_store_tells_the_same_judgements_texts_and_tags(archive, store):
    tables = expected(archive)["tables"]
    contents = {row["id"]: row["content"] for row in tables["messages"]}
    for project in tables["projects"]:
        wanted = {row["id"]: row for row in tables["judgements"] if row["project_id"] == project["id"]}
        found = {judgement.id: judgement for judgement in store.judgements.all(project["id"])}
        assert set(found) == set(wanted)
        for key, row in wanted.items():
            assert (found[key].who, found[key].kind, found[key].critique) == (row["who"], row["kind"], row["critique"])
            said = {name: value for name, value in json.loads(row["verdict"]).items() if name != "kind"}
            assert [value for value in said.values() if isinstance(value, str) and value not in repr(found[key].verdict)] == []
            shown = [c["message_id"] for c in tables["judged_completions"] if c["judgement_id"] == key]
            assert sorted(found[key].displayed) == sorted(shown)
        for row in (row for row in tables["conversations"] if row["project_id"] == project["id"]):
            assert store.conversations.get(row["id"]).title == row["title"]
            nodes = store.conversations.tree(row["id"]).nodes
            assert {node.id: node.content for node in nodes}.items() <= contents.items()
        sets = {row["name"] for row in tables["prompt_sets"] if row["project_id"] == project["id"]}
        assert {each.name for each in store.prompts.sets(project["id"])} == sets
        assert bool(store.history.page(project["id"], HistoryQuery())[0]) == bool(wanted)
    tags = {(row["judgement_id"], row["tag"]) for row in tables.get("judgement_tags", ())}
    judged = [row["id"] for row in tables["judgements"]]
    assert {(key, tag) for key, some in store.tags.of(judged).items() for tag in some} == tags


def test_what_was_said_can_be_searched_and_learned_from(store):
    project = store.projects.by_name("Support")
    found, *_ = store.history.page(project.id, HistoryQuery(text="kettle"))
    assert len(found) == 8
    assert len(store.snapshot_rows(project.id, "dpo")) >= 8
    shelf = Shelf(store.connection)
    assert len(shelf.page(project.id, ConversationQuery(text="Question")).rows) > 0
    shelf.close()


def test_its_runs_are_read_reported_and_not_run_again_unasked(workspace, store, tmp_path):
    (run,) = run_folders(workspace)
    assert (run.config().title, run.state().state) == ("Taught", "done")
    queue = Queue(workspace)
    assert [(summary.title, summary.state) for summary in queue.runs()] == [("Taught", "done")]
    page = write_report(run_report(store, workspace, run), tmp_path)
    assert "Taught" in page.html.read_text("utf-8")
    with pytest.raises(AppError, match=r"^This run is complete\."):
        queue.resume(run)


class Quiet(Queue):
    """Nobody works on its runs."""

    def ensure_supervisor(self):
        pass


def test_a_run_that_was_paused_then_is_taken_up_again(workspace):
    (run,) = run_folders(workspace)
    status = json.loads(run.status_file.read_text("utf-8"))
    run.status_file.write_text(json.dumps({**status, "state": "paused", "message": "Paused.", "exit_code": None}), "utf-8")
    assert run.state().resumable
    Quiet(workspace).resume(run)
    assert run.state().state == "queued"
    assert run.asked() == "resume"


def test_its_settings_are_taken(workspace, store):
    project = store.projects.by_name("Support")
    assert store.settings.get("model", project_id=project.id) == "tiny"
    assert store.settings.get("annotator") == "Ada"
    assert network_rule(workspace).offline
    assert [model.name for model in Library(workspace).list()] == ["tiny"]


def test_its_bundle_merges(archive, workspace, tmp_path):
    file = workspace.root / BUNDLE
    if not file.exists():
        assert expected(archive)["schema"] < 4, "bundles came with schema 4"
        return
    with Store.open(tmp_path / "new.db") as store:
        project = store.projects.create("Support")
        told = inspect_bundle(store, project, file)
        merge_bundle(store, project, file)
        wanted = [row for row in expected(archive)["tables"]["judgements"] if row["project_id"] in _project(archive)]
        assert len(store.judgements.all(project.id)) == len(wanted) == told.judgements


def _project(archive: Path) -> set[str]:
    return {row["id"] for row in expected(archive)["tables"]["projects"] if row["name"] == "Support"}


# --- what is newer than this program


@pytest.fixture
def newest(tmp_path):
    return unpack(OLD[-1], tmp_path / "workspace")


def refused(files: Path, work) -> str:
    """What was said; nothing was changed."""
    before = snapshot(files)
    with pytest.raises(AppError) as caught:
        work()
    assert snapshot(files) == before
    assert "\n" not in caught.value.message
    assert caught.value.hint
    return caught.value.message


def test_a_newer_database_is_refused_and_left_as_it_is(newest):
    connection = sqlite3.connect(newest.database)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    assert "newer version" in refused(newest.root, lambda: open_store(newest))


@pytest.mark.parametrize("name", ["run.json", "status.json"])
@pytest.mark.parametrize("change", [{"v": 2}, {"unheard_of": 1}], ids=["version", "fields"])
def test_a_newer_run_is_named_and_the_others_stay(newest, name, change):
    (run,) = run_folders(newest)
    file = run.path / name
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **change}), "utf-8")
    said = refused(newest.root, lambda: RunFolder(run.path).state() if name == "status.json" else RunFolder(run.path).config())
    assert run.id in said
    (summary,) = Queue(newest).runs()
    assert summary.state == "failed"
    assert "newer version" in summary.message + summary.hint


@pytest.mark.parametrize("change", [{"version": 99}, {"version": 99, "unheard_of": 1}], ids=["version", "fields"])
def test_a_newer_bundle_is_refused_for_that(newest, tmp_path, change):
    made = tmp_path / "newer.rlhfbundle"
    with zipfile.ZipFile(newest.root / BUNDLE) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            content = old.read(entry)
            new.writestr(entry, json.dumps({**json.loads(content), **change}) if entry.filename == MANIFEST else content)
    assert "newer version" in refused(tmp_path, lambda: open_bundle(made))


def test_an_event_of_a_newer_kind_does_not_hide_the_run(newest, tmp_path):
    (run,) = run_folders(newest)
    with (run.path / "events.jsonl").open("a", encoding="utf-8") as events:
        events.write(json.dumps({"v": 1, "seq": 999, "time": 1.0, "type": "unheard_of", "more": 1}) + "\n")
    with open_store(newest) as store:
        page = write_report(run_report(store, newest, run), tmp_path)
    assert "Taught" in page.html.read_text("utf-8")
