"""`backups` and `restore` from the command line."""

import pytest

from rlhf_desktop.jobs.window_lock import WindowLock


@pytest.fixture
def filled(cli, workspace, rankings):
    assert cli("feedback", "import", rankings).code == 0
    assert cli("backups", "--now").code == 0
    return workspace


def test_backups_say_what_they_hold(cli, filled):
    said = cli("backups", "--json").json
    assert said["database"] == "well"
    assert [(b["kind"], b["judgements"], b["projects"]) for b in said["backups"] if b["kind"] != "daily"] == [
        ("made by hand", 12, [{"name": "My project", "judgements": 12}])
    ]
    words = cli("backups").out
    assert "The database is in order: 12 judgements, 0 conversations (My project: 12)." in words
    assert "made by hand" in words


def test_a_missing_database_is_restored(cli, filled):
    filled.database.unlink()
    said = cli("feedback", "stats")
    assert said.code == 1
    assert "is missing, but the workspace has 2 backups." in said.err
    assert "rlhf-desktop restore" in said.err
    assert not filled.database.exists()
    done = cli("restore", "--yes", "--json")
    assert done.code == 0
    assert done.json == {"judgements": 12, "conversations": 0, "salvaged": 0, "kept": None}
    assert cli("feedback", "stats").code == 0


def test_nothing_is_restored_unasked(cli, filled):
    said = cli("restore")
    assert said.code == 1
    assert "it has to be confirmed" in said.err
    assert "In its place comes by-hand-" in said.err


def test_an_open_window_keeps_it_from_being_restored(cli, filled):
    lock = WindowLock(filled)
    assert lock.acquire() is None
    try:
        said = cli("restore", "--yes")
    finally:
        lock.release()
    assert (said.code, "open in a window" in said.err) == (1, True)


def test_a_restore_keeps_what_was_there(cli, filled, rankings):
    first = cli("restore", "--start-empty", "--yes", "--json").json
    assert first["judgements"] == 0
    back = cli("restore", first["kept"], "--yes")
    assert "The database now holds 12 judgements" in back.out


def test_what_excludes_each_other_is_a_usage_error(cli, filled):
    assert cli("restore", "x.db", "--start-empty").code == 2
    assert cli("restore", "nothing-like-it.db", "--yes").code == 1
