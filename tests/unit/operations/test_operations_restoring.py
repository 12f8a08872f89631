"""A database that is gone is not taken for a new one; what is restored is whole; what was there before is kept."""

import os
import random
import shutil
import signal
import time
from contextlib import closing

import pytest
from operations_helpers import user

from rlhf_desktop.core.errors import BadInput, Damaged, NoSpace, NotFound, StoreTrouble
from rlhf_desktop.core.files import write_json
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.feedback.judgements import Judgement, Ranking
from rlhf_desktop.operations import restoring
from rlhf_desktop.operations.erase import erase
from rlhf_desktop.operations.opening import open_store
from rlhf_desktop.operations.restoring import (
    DatabaseGone,
    backups_of,
    current,
    find_backup,
    open_without_journal,
    restore,
)
from rlhf_desktop.store.backups import JournalTrouble, back_up, check_health, daily_path
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.driver import Connection
from tests.trust.rows import DAMAGED, LEFT, LOST

PAGE = 4096


def judge(store, project, n):
    _, question = store.conversations.start(project.id, user(f"Question {n} " * 30))
    answers = store.conversations.add_answers(question.id, [f"good {n} " * 30, f"bad {n} " * 30])
    return store.judgements.add(Judgement(project.id, "me", tuple(a.id for a in answers), Ranking((1, 2))))


def fill(workspace, first, last, name="Support"):
    with open_store(workspace) as store:
        project = store.projects.ensure(name)
        return [judge(store, project, n) for n in range(first, last)]


def count(workspace):
    with open_store(workspace) as store:
        check_health(store.connection)
        assert store.connection.rows("PRAGMA foreign_key_check") == []
        return sum(len(store.judged(project.id)) for project in store.projects.all())


def damage(path, seed=0, pages=3):
    data = bytearray(path.read_bytes())
    for page in random.Random(seed).sample(range(1, len(data) // PAGE), pages):
        data[page * PAGE : (page + 1) * PAGE] = b"\xff" * PAGE
    path.write_bytes(data)


@pytest.fixture
def lived(workspace):
    """A day of 30 judgements with its backup, and ten more since."""
    fill(workspace, 0, 30)
    daily_path(workspace.backups).unlink(missing_ok=True)
    with open_store(workspace):
        pass  # the day's backup
    fill(workspace, 30, 40)
    return workspace


# --- nothing is begun anew by mistake -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", ["nothing", "an empty file", "a database of another program"])
def test_a_database_that_is_gone_is_not_taken_for_a_new_workspace(lived, left):
    lived.database.unlink()
    if left == "an empty file":
        lived.database.touch()
    elif left != "nothing":
        with closing(Connection(lived.database)) as other:
            other.execute("CREATE TABLE songs (name TEXT)")
    before = lived.database.read_bytes() if lived.database.exists() else None
    with pytest.raises(DatabaseGone, match="has 1 backup") as caught:
        open_store(lived)
    assert "restore" in caught.value.hint
    assert (lived.database.read_bytes() if lived.database.exists() else None) == before
    assert restore(lived, find_backup(lived)).contents.judgements == 30
    assert count(lived) == 30


def test_runs_alone_say_that_there_was_a_database(workspace):
    (workspace.runs / "r1").mkdir()
    write_json(workspace.runs / "r1" / "run.json", {})
    with pytest.raises(DatabaseGone, match="has 1 run"):
        open_store(workspace)


def test_a_new_folder_and_backups_of_nothing_are_a_new_workspace(workspace):
    with open_store(workspace):
        pass
    with open_store(workspace):
        pass
    assert backups_of(workspace)
    workspace.database.unlink()
    with open_store(workspace) as store:
        assert store.projects.all() == []


def test_who_wants_to_can_begin_with_an_empty_one(lived):
    lived.database.unlink()
    assert not restore(lived, None).contents.has_data
    assert count(lived) == 0
    assert [backup.contents.judgements for backup in backups_of(lived)] == [30]


# --- restoring ----------------------------------------------------------------------------------------------------------------


def test_backups_are_listed_with_what_they_hold(lived):
    (lived.backups / "feedback-2020-01-01.db").write_bytes(b"SQLite format 3\0" + b"x" * 9000)
    newest, broken = backups_of(lived)
    assert (newest.kind, newest.contents.judgements, newest.contents.projects, newest.problem) == (
        "daily",
        30,
        (("Support", 30),),
        "",
    )
    assert broken.contents is None
    assert broken.problem == "It is damaged."
    assert broken.made_at.year == 2020
    with pytest.raises(BadInput, match="cannot be restored"):
        find_backup(lived, broken.path.name)
    with pytest.raises(NotFound):
        find_backup(lived, "feedback-1999-01-01.db")
    assert find_backup(lived).path == newest.path


def test_a_well_database_is_kept_before_a_backup_takes_its_place(lived):
    done = restore(lived, find_backup(lived))
    assert (done.contents.judgements, count(lived)) == (30, 30)
    back = restore(lived, find_backup(lived, done.kept.name))
    assert (back.contents.judgements, count(lived)) == (40, 40)


def test_who_has_the_database_open_sees_the_backup_and_writes_into_it(lived):
    with open_store(lived) as other:
        project = other.projects.all()[0]
        restore(lived, find_backup(lived))
        assert len(other.judged(project.id)) == 30
        judge(other, project, 99)
    assert count(lived) == 31


def test_a_database_in_use_is_left_alone_and_said(lived, monkeypatch):
    monkeypatch.setattr(restoring, "BUSY_TIMEOUT_S", 0.1)
    with open_store(lived) as other, other.connection.transaction():
        other.projects.create("Half done")
        with pytest.raises(StoreTrouble, match="in use"):
            restore(lived, find_backup(lived))
    assert count(lived) == 40


@pytest.mark.trust("restores", 1)
@pytest.mark.parametrize("seed", range(40))
def test_forty_restores_over_damaged_databases_all_succeed(lived, seed, trust):
    """With its journal, as a kill leaves it: copying a backup over the file by hand would mix the two."""
    with open_store(lived) as store:
        judge(store, store.projects.all()[0], 40)
        for ending in ("", "-wal"):
            shutil.copyfile(f"{lived.database}{ending}", f"{lived.root / 'killed'}{ending}")
    for ending in ("", "-wal"):
        (lived.root / f"killed{ending}").replace(f"{lived.database}{ending}")
    for more in range(50):  # a page that nothing uses is no damage
        damage(lived.database, seed + 100 * more)
        if current(lived).health != "well":
            break
    with pytest.raises(Damaged, match="damaged"):
        open_store(lived)
    assert current(lived).health == "damaged"
    before = lived.database.read_bytes()
    done = restore(lived, find_backup(lived))
    trust.tried += 1
    assert 30 <= done.contents.judgements == 30 + done.salvaged <= 41
    assert count(lived) == done.contents.judgements
    assert done.kept.read_bytes() == before
    assert done.kept.with_name(f"{done.kept.name}-wal").exists()


def test_without_salvage_the_backup_alone_is_restored(lived):
    damage(lived.database)
    assert restore(lived, find_backup(lived), with_salvage=False).salvaged == 0
    assert count(lived) == 30


def test_an_older_backup_comes_with_the_newest_schema(lived):
    with closing(Connection(lived.database)) as connection:
        connection.raw.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreTrouble, match="newer version"):
        open_store(lived)
    restore(lived, find_backup(lived))
    assert count(lived) == 30


def test_a_backup_of_a_newer_version_is_not_restored(lived):
    with closing(Connection(find_backup(lived).path)) as connection:
        connection.raw.execute("PRAGMA user_version = 99")
        connection.raw.execute("PRAGMA journal_mode=DELETE")
    with pytest.raises(NotFound):
        find_backup(lived)


@pytest.mark.parametrize("place", ["copyfile", "back_up", "fsync_file", "replace"])
@pytest.mark.parametrize("damaged", [False, True])
def test_a_full_disk_leaves_the_database_and_no_temporary(lived, monkeypatch, place, damaged):
    if damaged:
        damage(lived.database)
    before, files = lived.database.read_bytes(), {path for path in lived.root.rglob("*") if "-shm" not in path.name}
    full = lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left on device"))  # noqa: E731
    monkeypatch.setattr(restoring.shutil if place == "copyfile" else restoring, place, full)
    if place in ("fsync_file", "replace") and not damaged:
        pytest.skip("a well database is overwritten in a transaction")
    if place == "back_up" and damaged:
        pytest.skip("a damaged database is set aside")
    with pytest.raises((NoSpace, StoreTrouble), match="disk is full"):
        restore(lived, find_backup(lived))
    assert lived.database.read_bytes() == before
    left = {path for path in lived.root.rglob("*") if "-shm" not in path.name and "-wal" not in path.name}
    assert {path.name for path in left - files if not path.name.startswith("damaged-")} <= {".restoring.lock"}
    monkeypatch.undo()
    restore(lived, find_backup(lived))
    assert count(lived) >= 30


# --- the journal of another file ----------------------------------------------------------------------------------------------


@pytest.fixture
def mixed(lived):
    """A backup was copied by hand over the database of a killed window, whose journal is still there."""
    with open_store(lived) as store:
        for n in range(100, 160):
            judge(store, store.projects.all()[0], n)
        shutil.copyfile(f"{lived.database}-wal", lived.root / "wal")
    shutil.copyfile(find_backup(lived).path, lived.database)
    (lived.root / "wal").replace(f"{lived.database}-wal")
    return lived


def test_a_journal_of_another_file_is_never_written_into_the_database(mixed):
    before = mixed.database.read_bytes()
    with pytest.raises(JournalTrouble, match="journal"):
        open_store(mixed)
    assert mixed.database.read_bytes() == before
    assert current(mixed).health == "journal"
    done = open_without_journal(mixed)
    assert (done.contents.judgements, count(mixed)) == (30, 30)
    assert done.kept.with_name(f"{done.kept.name}-wal").exists()


def test_a_journal_that_belongs_to_it_is_not_set_aside(lived):
    with pytest.raises(BadInput, match="as it should be"):
        open_without_journal(lived)


# --- erased stays erased ------------------------------------------------------------------------------------------------------


def test_an_erase_reaches_what_was_set_aside(lived):
    damage(lived.database)
    restore(lived, find_backup(lived))
    with open_store(lived) as store:
        project = store.projects.all()[0]
        back_up(store.connection, lived.backups / "before-restore-x.db")
        first = next(each for each in store.judged(project.id) if each.prompt[0]["content"].startswith("Question 7 "))
        erase(store, lived, project, [first.judgement.id], confirmed=True)
    found = [path.name for path in lived.root.rglob("*") if path.is_file() and b"Question 7 Question 7" in path.read_bytes()]
    assert found == []
    restore(lived, find_backup(lived, "before-restore-x.db"))
    with open_store(lived) as store:
        assert len(store.judged(project.id)) == count(lived)
        assert not any(each.prompt[0]["content"].startswith("Question 7 ") for each in store.judged(project.id))


@pytest.mark.parametrize("harm", ["the beginning", "a page"])
def test_an_erase_takes_a_damaged_database_that_no_one_can_clean(lived, harm):
    """Its texts go over several pages, in pieces that no search for the whole text would find."""
    with open_store(lived) as store:
        project = store.projects.all()[0]
        secret = " ".join(f"word{n}" for n in range(2_000))
        _, question = store.conversations.start(project.id, user(secret))
        answers = store.conversations.add_answers(question.id, ["good", "bad"])
        judged = store.judgements.add(Judgement(project.id, "me", tuple(a.id for a in answers), Ranking((1, 2))))
    content = bytearray(lived.database.read_bytes())
    place = 0 if harm == "the beginning" else 2
    content[place * PAGE : (place + 1) * PAGE] = b"\xff" * PAGE
    (lived.backups / "damaged-2026-01-01.db").write_bytes(content)
    with open_store(lived) as store:
        erase(store, lived, project, [judged.id], confirmed=True)
    assert [path.name for path in lived.root.rglob("*") if path.is_file() and b"word1500 word1501" in path.read_bytes()] == []


def test_a_backup_calls_a_deleted_project_by_its_name(lived):
    with open_store(lived) as store:
        store.projects.delete(store.projects.all()[0].id)
        back_up(store.connection, lived.backups / "by-hand-x.db")
    held = find_backup(lived, "by-hand-x.db").contents
    assert [name for name, _ in held.projects] == ["Support, deleted"]


def test_one_restore_at_a_time(lived):
    with restoring.alone(lived, *restoring._LOCK), pytest.raises(StoreTrouble, match="Another window or command is restoring"):
        restore(lived, find_backup(lived))


def test_a_store_of_its_own_is_not_needed_to_look(lived):
    with Store.open(lived.database) as store, store.connection.transaction():
        store.projects.create("Under way")
        assert current(lived).contents.judgements == 40


# --- kills --------------------------------------------------------------------------------------------------------------------

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def killed_at(share, do):
    """Do something in a process of its own, and kill it after this share of the time it takes."""
    took = duration(do)
    child = os.fork()
    if child == 0:
        try:
            do()
        finally:
            os._exit(0)
    time.sleep(share * took)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


_took: dict[str, float] = {}


def duration(do) -> float:
    """How long it takes, found once in a process of its own."""
    name = do.__qualname__
    if name not in _took:
        began, child = time.monotonic(), os.fork()
        if child == 0:
            try:
                do(dry=True)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        _took[name] = time.monotonic() - began
    return _took[name]


@needs_fork
@pytest.mark.trust("restore-kills", 16)
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("harmed", [False, True], ids=["well", "damaged"])
def test_a_restore_that_is_killed_leaves_the_one_or_the_other(lived, tmp_path, trust, harmed):
    if harmed:
        damage(lived.database)
    numbers = trust.share(int(harmed), 2)
    for number in numbers:
        here = Workspace(tmp_path / f"{number}")
        shutil.copytree(lived.root, here.root)
        shutil.copytree(lived.root, tmp_path / f"dry {number}")

        def do(dry=False, here=here, number=number):
            workspace = Workspace(tmp_path / f"dry {number}") if dry else here
            restore(workspace, find_backup(workspace))

        killed_at((number - numbers[0]) / len(trust.numbers), do)
        trust.tried += 1
        if current(here).health != "well":
            if not harmed:  # a database that was well is never left damaged
                trust.found(DAMAGED, number)
            restore(here, find_backup(here))
        if count(here) not in ((30, 40) if not harmed else range(30, 41)):
            trust.found(LOST, f"{number}: {count(here)} judgements")
        for path in here.root.iterdir():
            if path.name.startswith(".restored."):
                trust.found(LEFT, path.name)
        for backup in backups_of(here):
            if backup.problem:
                trust.found(DAMAGED, backup.path.name)


@needs_fork
@pytest.mark.trust("backup-kills", 8)
@pytest.mark.timeout(3600)
def test_a_backup_that_is_killed_is_whole_or_not_there(lived, trust):
    for number in trust.numbers:

        def do(dry=False, number=number):
            with open_store(lived) as store:
                back_up(store.connection, lived.backups / f"by-hand-{'dry' if dry else number}.db")

        killed_at((number - trust.numbers.start) / len(trust.numbers), do)
        trust.tried += 1
        with open_store(lived):
            pass  # what a killed process has left goes
        for path in lived.backups.iterdir():
            if path.name.startswith("."):
                trust.found(LEFT, path.name)
        for backup in backups_of(lived):
            if backup.problem:
                trust.found(DAMAGED, backup.path.name)
    if count(lived) != 40:
        trust.found(LOST, count(lived))
