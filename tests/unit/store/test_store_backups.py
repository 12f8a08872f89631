import errno
from datetime import UTC, datetime, timedelta

import pytest

from rlhf_desktop.core.errors import NoSpace, StoreTrouble
from rlhf_desktop.store.backups import KEEP_DAYS, back_up, back_up_daily
from rlhf_desktop.store.database import Store


def test_a_backup_of_an_open_database_opens_with_everything(store, project, tmp_path):
    copy = back_up(store.connection, tmp_path / "copies" / "c.db")
    assert [p.name for p in copy.parent.iterdir()] == ["c.db"]
    with Store.open(copy) as opened:
        assert opened.projects.all() == [project]


def test_one_a_day_and_seven_kept(store, tmp_path):
    folder = tmp_path / "copies"
    day = datetime(2026, 1, 28, tzinfo=UTC)
    for n in range(KEEP_DAYS + 3):
        assert back_up_daily(store.connection, folder, day + timedelta(days=n))
        assert back_up_daily(store.connection, folder, day + timedelta(days=n)) is None
    names = sorted(p.name for p in folder.iterdir())
    assert len(names) == KEEP_DAYS
    assert (names[0], names[-1]) == ("feedback-2026-01-31.db", "feedback-2026-02-06.db")


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
