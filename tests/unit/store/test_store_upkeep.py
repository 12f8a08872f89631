import threading
from contextlib import closing

import pytest

from rlhf_desktop.core.errors import StoreTrouble
from rlhf_desktop.feedback.judgements import Judgement, Thumbs
from rlhf_desktop.store import backups, database, upkeep
from rlhf_desktop.store.backups import daily_path
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.driver import Connection, plainly


@pytest.fixture
def path(tmp_path):
    with Store.open(tmp_path / "feedback.db") as store:
        project = store.projects.create("Support")
        for n in range(300):
            _, question = store.conversations.start(project.id, [{"role": "user", "content": f"Question {n} " * 20}])
            (answer,) = store.conversations.add_answers(question.id, ["an answer " * 20])
            if n % 50 == 0:
                store.judgements.add(Judgement(project.id, "me", (answer.id,), Thumbs(True)))
    return tmp_path / "feedback.db"


@pytest.fixture
def large(monkeypatch):
    """Every file counts as large."""
    monkeypatch.setattr(database, "LARGE_BYTES", 1)


def damage(path):
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 8192] = b"\xff" * 8192
    path.write_bytes(data)


def test_a_large_file_is_checked_and_backed_up_beside_the_work_once_a_day(path, large):
    with Store.open(path) as store:
        store.upkeep.wait()
        assert daily_path(path.parent / "backups").exists()
        assert store.notice == ""
    with Store.open(path) as store:
        assert store.upkeep._thread.ident is None, "it has been done today"


def test_damage_found_beside_the_work_is_said(path, large):
    damage(path)
    with Store.open(path) as store:
        store.upkeep.wait()
        assert "damaged" in store.notice
    assert not daily_path(path.parent / "backups").exists(), "a damaged file is no backup"


def test_a_small_file_is_checked_before_the_work_begins(path):
    damage(path)
    with pytest.raises(StoreTrouble, match="damaged"):
        Store.open(path)


def test_upkeep_ends_with_the_store(path, large):
    store = Store.open(path)
    store.close()
    assert not store.upkeep._thread.is_alive()


@pytest.mark.parametrize("moment", ["before the check", "during the check", "during the backup"])
def test_closing_waits_for_neither_check_nor_backup(path, large, monkeypatch, moment):
    """Closed at the given moment, which is held until it is asked to end: no backup, nothing half written, nothing said."""
    began, there, said, check, copy = threading.Event(), threading.Event(), [], upkeep.check_health, upkeep.back_up_daily
    monkeypatch.setattr(backups, "_STEPS", 1)
    monkeypatch.setattr(backups, "_PAGES", 1)

    def wait_until_stopped():
        began.set()
        there.wait(30)
        made._ending.wait(30)

    def held(connection, go_on):
        if moment == "before the check":
            wait_until_stopped()
        elif moment == "during the check":
            there.wait(30)
            connection.raw.set_progress_handler(lambda: began.set() or made._ending.is_set(), 1)
            with plainly():
                connection.raw.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")
        check(connection, go_on)

    def late(*arguments, **more):
        wait_until_stopped()
        return copy(*arguments, **more)

    if moment == "during the backup":
        monkeypatch.setattr(upkeep, "back_up_daily", late)
    else:
        monkeypatch.setattr(upkeep, "check_health", held)
    made = upkeep.Upkeep(path, path.parent / "backups", said.append)
    there.set()
    assert began.wait(30)
    made.stop()
    assert not made._thread.is_alive()
    assert said == []
    assert list(path.parent.glob("backups/*")) == [], "neither whole nor in part"


def test_a_backup_in_steps_is_the_file_as_it_was_when_it_began(path, monkeypatch):
    monkeypatch.setattr(backups, "_PAGES", 1)
    steps = []
    with Store.open(path) as store, closing(Connection(path)) as other:
        before = store.projects.all()

        def write():
            steps.append(1)
            if len(steps) % 50 == 1:
                other.execute("UPDATE projects SET name = name || '!'")

        with Store.open(backups.back_up(store.connection, path.parent / "copy.db", write)) as copy:
            assert copy.projects.all() == before != store.projects.all()
    assert len(steps) <= path.stat().st_size // 4096 + 2, "it never began anew"


def test_a_backup_that_cannot_be_made_is_said(path, large, monkeypatch):
    monkeypatch.setattr(upkeep, "back_up_daily", lambda *_, **_more: (_ for _ in ()).throw(StoreTrouble("No place.", "")))
    with Store.open(path) as store:
        store.upkeep.wait()
        assert store.notice == "Today's backup was not made. No place."
