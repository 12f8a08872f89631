import errno
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from store_helpers import ranked, user

from rlhf_desktop.core.errors import NoSpace, StoreTrouble
from rlhf_desktop.store import backups
from rlhf_desktop.store.backups import KEEP_DAYS, back_up, back_up_daily, contents_of
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.driver import Connection


def test_a_backup_of_an_open_database_opens_with_everything(store, project, tmp_path):
    copy = back_up(store.connection, tmp_path / "copies" / "c.db")
    assert [p.name for p in copy.parent.iterdir()] == ["c.db"]
    with Store.open(copy) as opened:
        assert opened.projects.all() == [project]


DAY = datetime(2026, 1, 28, tzinfo=UTC)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def chat(store, project):
    store.conversations.start(project.id, user("Where is my parcel?"))


def test_one_a_day_and_seven_kept(store, project, tmp_path):
    chat(store, project)
    folder = tmp_path / "copies"
    for n in range(KEEP_DAYS + 3):
        assert back_up_daily(store.connection, folder, DAY + timedelta(days=n))
        assert back_up_daily(store.connection, folder, DAY + timedelta(days=n)) is None
    assert len(names_in(folder)) == KEEP_DAYS
    assert (names_in(folder)[0], names_in(folder)[-1]) == ("feedback-2026-01-31.db", "feedback-2026-02-06.db")


def test_days_of_an_empty_database_push_out_none_that_has_feedback(store, project, answers, tmp_path):
    folder = tmp_path / "copies"
    store.judgements.add(ranked(project, answers[:2], 1, 2))
    back_up_daily(store.connection, folder, DAY)
    with Store.open(tmp_path / "other.db") as empty:
        for n in range(1, 3 * KEEP_DAYS):
            back_up_daily(empty.connection, folder, DAY + timedelta(days=n))
    assert names_in(folder) == ["feedback-2026-01-28.db", "feedback-2026-02-17.db"]


def test_the_copy_with_the_most_judgements_outlives_a_database_that_lost_some(store, project, answers, tmp_path):
    folder = tmp_path / "copies"
    for _ in range(3):
        store.judgements.add(ranked(project, answers[:2], 1, 2))
    back_up_daily(store.connection, folder, DAY)
    with Store.open(tmp_path / "other.db") as other:
        chat(other, other.projects.create("Begun anew"))
        for n in range(1, 3 * KEEP_DAYS):
            back_up_daily(other.connection, folder, DAY + timedelta(days=n))
    assert names_in(folder)[0] == "feedback-2026-01-28.db"
    assert len(names_in(folder)) == KEEP_DAYS + 1


def test_a_clock_that_was_wrong_for_a_day_deletes_no_later_copy(store, project, tmp_path):
    chat(store, project)
    folder = tmp_path / "copies"
    for n in range(KEEP_DAYS):
        back_up_daily(store.connection, folder, DAY + timedelta(days=n))
    for n in range(3):
        back_up_daily(store.connection, folder, datetime(2039, 5, 1, tzinfo=UTC) + timedelta(days=n))
    made = [back_up_daily(store.connection, folder, DAY + timedelta(days=KEEP_DAYS + n)) for n in range(5)]
    assert all(path.exists() for path in made[-KEEP_DAYS:])
    assert len([name for name in names_in(folder) if name.startswith("feedback-2039")]) == 3
    assert len([name for name in names_in(folder) if name.startswith("feedback-2026")]) == KEEP_DAYS


def test_a_copy_that_cannot_be_read_is_not_deleted_to_make_room(store, project, tmp_path):
    chat(store, project)
    folder = tmp_path / "copies"
    back_up_daily(store.connection, folder, DAY)
    (folder / "feedback-2026-01-28.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    for n in range(1, 2 * KEEP_DAYS):
        back_up_daily(store.connection, folder, DAY + timedelta(days=n))
    assert names_in(folder)[0] == "feedback-2026-01-28.db"
    assert len(names_in(folder)) == KEEP_DAYS + 1


def test_a_copy_that_came_out_damaged_does_not_take_the_name(store, tmp_path, monkeypatch):
    """The disk writes something else than it was given."""
    whole = backups._copy

    def faulty(connection, target, go_on):
        whole(connection, target, go_on)
        data = bytearray(target.read_bytes())
        data[8192:12288] = b"\xff" * 4096
        target.write_bytes(data)

    monkeypatch.setattr(backups, "_copy", faulty)
    with pytest.raises(StoreTrouble, match="damaged"):
        back_up(store.connection, tmp_path / "copies" / "c.db")
    assert names_in(tmp_path / "copies") == []


def test_what_a_copy_holds_is_told_of_every_project(store, project, answers, tmp_path):
    store.judgements.withdraw(store.judgements.add(ranked(project, answers[:2], 1, 2)).id, "me")
    kept = store.judgements.add(ranked(project, answers[:2], 2, 1))
    store.projects.create("Aside")
    held = contents_of(back_up(store.connection, tmp_path / "c.db"))
    assert (held.judgements, held.conversations, held.newest) == (1, 1, kept.created_at)
    assert held.projects == (("Support", 1), ("Aside", 0))
    assert held.has_data


def test_a_file_that_is_no_database_of_ours_is_told_apart(tmp_path):
    with closing(Connection(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE songs (name TEXT)")
        other.raw.execute("PRAGMA journal_mode=DELETE")
    assert contents_of(tmp_path / "other.db") is None


def test_a_backup_that_cannot_be_written_is_said_plainly(store, tmp_path):
    (tmp_path / "copies").write_text("a file, not a folder")
    with pytest.raises(StoreTrouble, match="could not be backed up"):
        back_up(store.connection, tmp_path / "copies" / "c.db")


def test_a_full_disk_leaves_no_partial_backup_and_the_old_one_whole(store, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    target = back_up(store.connection, tmp_path / "copies" / "c.db")
    before = target.read_bytes()
    store.projects.create("Later")
    monkeypatch.setattr("rlhf_desktop.store.backups.replace", full)
    with pytest.raises(NoSpace, match="could not be backed up"):
        back_up(store.connection, target)
    assert [p.name for p in target.parent.iterdir()] == ["c.db"]
    assert target.read_bytes() == before


def test_without_room_for_a_backup_the_store_opens_and_says_so(tmp_path, monkeypatch):
    Store.open(tmp_path / "f.db").close()

    def full(*_: object, **_more: object) -> None:
        raise NoSpace("The disk is full.", "Free some.")

    monkeypatch.setattr("rlhf_desktop.store.upkeep.back_up_daily", full)
    with Store.open(tmp_path / "f.db") as store:
        assert store.notice == "Today's backup was not made. The disk is full. Free some."
