"""An erase that is cut short anywhere is finished later, and then no byte of the words is left in the workspace."""

import json
import os
import random
import shutil
from contextlib import closing

import pytest
from operations_helpers import user

from rlhf_desktop.core.errors import NoSpace, StoreTrouble
from rlhf_desktop.core.platform import FileLock
from rlhf_desktop.operations.erase import erase
from rlhf_desktop.operations.opening import open_store
from rlhf_desktop.store import driver
from rlhf_desktop.store.driver import Connection
from tests.unit.operations.erase_helpers import (
    SECRET,
    Interruption,
    Stop,
    anywhere,
    check_clean,
    disk_full,
    erase_all,
    fresh,
    killed,
    left_of,
    stop,
    with_words_everywhere,
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A kill loses nothing that was written: only a power cut would need it to be forced to the disk."""
    monkeypatch.setattr(driver, "SYNCHRONOUS", "OFF")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return with_words_everywhere(tmp_path_factory.mktemp("erase") / "template")


def steps(template, tmp_path) -> int:
    """How many changes an erase makes."""
    workspace, chosen = fresh(template, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        counted = Interruption(patch, -1, stop)
        erase_all(workspace, chosen)
    check_clean(workspace)
    return counted.count


def test_nothing_is_left_of_the_words_anywhere(template, tmp_path):
    assert steps(template, tmp_path) > 50


@pytest.mark.parametrize("points", [16, pytest.param(1000, marks=pytest.mark.slow)])
def test_an_erase_that_stops_before_any_of_its_changes_is_finished_at_the_next_start(template, tmp_path, points):
    total = steps(template, tmp_path)
    for number in range(1, total + 1, max(1, total // points)):
        workspace, chosen = fresh(template, tmp_path)
        with pytest.MonkeyPatch.context() as patch:
            Interruption(patch, number, stop)
            with pytest.raises(Stop):
                erase_all(workspace, chosen)
        erase_all(workspace, chosen)
        check_clean(workspace)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.trust("erase-kills", 8)
@pytest.mark.timeout(3600)
def test_an_erase_that_is_killed_is_finished_at_the_next_start(template, tmp_path, trust):
    """Before each change of the disk and of the database, and at some moment of it."""
    total = steps(template, tmp_path)
    for number in trust.numbers:
        workspace, chosen = fresh(template, tmp_path)
        assert killed(lambda w=workspace, c=chosen: erase_all(w, c), 1 + number * 37 % total, random.Random(number))
        trust.tried += 1
        erase_all(workspace, chosen)
        for kind, detail in left_of(workspace):
            trust.found(kind, detail)


@pytest.mark.parametrize("points", [16, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_full_disk_is_said_in_one_sentence_and_the_erase_goes_on_when_there_is_room(template, tmp_path, points):
    total, said = steps(template, tmp_path), set()
    for number in sorted({2, *range(1, total + 1, max(1, total // points))}):
        workspace, chosen = fresh(template, tmp_path)
        with open_store(workspace) as store, pytest.MonkeyPatch.context() as patch:
            Interruption(patch, number, disk_full)
            try:
                erase(store, workspace, store.projects.by_name("Support"), [chosen], confirmed=True)
            except NoSpace as trouble:
                said.add(trouble.message)
        erase_all(workspace, chosen)
        check_clean(workspace)
    assert said == {"The disk is full, so nothing was erased.", "The disk is full, so not all copies are erased yet."}


def test_erasing_again_goes_on_where_the_disk_was_full(template, tmp_path):
    workspace, chosen = fresh(template, tmp_path)
    with open_store(workspace) as store:
        project = store.projects.by_name("Support")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shutil, "copyfile", disk_full)
            with pytest.raises(NoSpace, match="not all copies are erased yet"):
                erase(store, workspace, project, [chosen], confirmed=True)
        done = erase(store, workspace, project, [chosen], confirmed=True)
        assert chosen in done.plan.judgements
    check_clean(workspace)


def test_the_start_says_that_it_has_finished_or_cannot_yet(template, tmp_path):
    workspace, chosen = fresh(template, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "copyfile", stop)
        with pytest.raises(Stop):
            erase_all(workspace, chosen)
        patch.setattr(shutil, "copyfile", disk_full)
        with open_store(workspace) as store:
            assert "not finished yet. The disk is full" in store.notice
    said = []
    with open_store(workspace, said.append) as store:
        assert said == ["An erase that was cut short has been finished."]
        assert store.notice == ""
    check_clean(workspace)


def test_two_erases_do_not_run_at_once(template, tmp_path):
    workspace, chosen = fresh(template, tmp_path)
    other = FileLock(workspace.root / ".erasing.lock")
    assert other.acquire()
    with open_store(workspace) as store, pytest.raises(StoreTrouble, match="Another window or command is erasing"):
        erase(store, workspace, store.projects.by_name("Support"), [chosen], confirmed=True)
    other.release()
    erase_all(workspace, chosen)
    check_clean(workspace)


def test_what_killed_backups_left_goes_at_the_next_start_and_what_is_being_written_stays(template, tmp_path):
    workspace, _ = fresh(template, tmp_path)
    living = workspace.backups / f".feedback-2026-01-04.db.{os.getpid()}.tmp"
    living.write_bytes(b"in work")
    open_store(workspace).close()
    assert {path.name for path in workspace.backups.iterdir() if path.suffix != ".db"} == {living.name}
    assert not any(path.name.startswith(".0190") for path in workspace.runs.iterdir())


def the_run(workspace):
    return next(path for path in workspace.runs.iterdir() if not path.name.startswith("."))


def test_a_row_that_quotes_the_words_goes_from_a_runs_data_and_the_run_can_still_be_resumed(template, tmp_path):
    workspace, chosen = fresh(template, tmp_path)
    run = the_run(workspace)
    quoting = {"kind": "demonstration", "prompt": user("Sum up"), "completion": f"She wrote: {SECRET}", "split": "train"}
    with (run / "data.jsonl").open("a") as data:
        data.write(json.dumps(quoting) + "\n")
    erase_all(workspace, chosen)
    check_clean(workspace)
    assert "Sum up" not in (run / "data.jsonl").read_text()


@pytest.mark.parametrize("name", ["run.json", "data.jsonl", "status.json"])
def test_a_damaged_run_keeps_nothing_from_being_erased(template, tmp_path, name):
    workspace, chosen = fresh(template, tmp_path)
    file = the_run(workspace) / name
    file.write_bytes(b'{"torn' + file.read_bytes()[:-20])
    erase_all(workspace, chosen)
    assert anywhere(workspace.root) == []


def test_a_damaged_backup_goes_as_a_whole_and_other_programs_databases_stay(template, tmp_path):
    workspace, chosen = fresh(template, tmp_path)
    backup, other = workspace.backups / "feedback-2026-01-01.db", workspace.root / "others.db"
    content = backup.read_bytes()
    backup.write_bytes(content[: len(content) // 2])
    with closing(Connection(other)) as connection:
        connection.execute("CREATE TABLE mine (id INTEGER)")
    before = other.read_bytes()
    erase_all(workspace, chosen)
    check_clean(workspace)
    assert not backup.exists()
    assert other.read_bytes() == before
