"""Create, unlock, change and remove; what is cut short is finished; restore, erase and merge in an encrypted workspace."""

import pytest
from operations_helpers import user

from rlhf_desktop.core import encryption
from rlhf_desktop.core.encryption import Locked, WrongPassphrase, header_copy, header_file, read_header, write_header
from rlhf_desktop.core.errors import BadInput, StoreTrouble
from rlhf_desktop.core.sealing import seal
from rlhf_desktop.feedback.judgements import Judgement, Ranking
from rlhf_desktop.operations import encryption as encrypting
from rlhf_desktop.operations.erase import erase
from rlhf_desktop.operations.opening import open_store
from rlhf_desktop.operations.restoring import backups_of, current, find_backup, restore
from rlhf_desktop.store.backups import back_up
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.encrypting import is_plain
from tests.encrypted import OTHER, PASSPHRASE, cheap_kdf, forget_all, holding

SECRET = "Zaborowska"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    monkeypatch.setattr(encryption, "new_kdf", cheap_kdf)
    yield
    forget_all()


def judge(store, project, text=SECRET):
    _, question = store.conversations.start(project.id, user(f"{text} asks"))
    ids = tuple(node.id for node in store.conversations.add_answers(question.id, [f"{text} one", f"{text} two"]))
    return store.judgements.add(Judgement(project.id, "me", ids, Ranking((1, 2))))


@pytest.fixture
def filled(workspace):
    """A workspace with feedback and backups, closed."""
    with Store.open(workspace.database) as store:
        project = store.projects.create("Support")
        judge(store, project)
        back_up(store.connection, workspace.backups / "feedback-2026-01-01.db")
        back_up(store.connection, workspace.backups / "by-hand-1.db")
    return workspace


def judged(workspace) -> int:
    with open_store(workspace) as store:
        return sum(len(store.judgements.all(project.id)) for project in store.projects.all())


def test_a_new_workspace_is_encrypted_from_its_first_word(workspace):
    encrypting.create(workspace, PASSPHRASE)
    assert encrypting.status(workspace) == encrypting.Status(True, True, "on", True)
    with open_store(workspace) as store:
        judge(store, store.projects.create("Support"))
        assert holding(workspace.root, SECRET) == []
    forget_all()
    assert encrypting.is_locked(workspace)
    with pytest.raises(Locked):
        open_store(workspace)
    with pytest.raises(WrongPassphrase):
        encrypting.unlock(workspace, OTHER)
    encrypting.unlock(workspace, PASSPHRASE)
    assert judged(workspace) == 1


def test_everything_there_is_follows(filled):
    assert holding(filled.root, SECRET)
    encrypting.create(filled, PASSPHRASE)
    kept = [*filled.root.rglob("*.db"), *filled.root.rglob("*.json"), filled.backups]
    assert {path.stat().st_mode & 0o077 for path in kept} == {0}
    assert holding(filled.root, SECRET) == []
    assert judged(filled) == 1
    assert [backup.contents.judgements for backup in backups_of(filled) if backup.kind != "daily"] == [1]


def test_a_changed_passphrase_opens_everything_and_the_old_one_nothing(filled):
    encrypting.create(filled, PASSPHRASE)
    before = filled.database.read_bytes()
    with pytest.raises(WrongPassphrase):
        encrypting.change(filled, "not this one", OTHER)
    encrypting.change(filled, PASSPHRASE, OTHER)
    after = filled.database.read_bytes()
    changed = sum(after[at : at + 4096] != before[at : at + 4096] for at in range(0, len(before), 4096))
    assert changed < 10 < len(before) // 4096, "all but the audit log's entry is as it was"
    forget_all()
    with pytest.raises(WrongPassphrase):
        encrypting.unlock(filled, PASSPHRASE)
    encrypting.unlock(filled, OTHER)
    assert judged(filled) == 1


def test_a_change_cut_short_between_the_two_files_is_finished_by_the_next_unlock(filled):
    encrypting.create(filled, PASSPHRASE)
    old = header_copy(filled.root).read_bytes()
    encrypting.change(filled, PASSPHRASE, OTHER)
    header_copy(filled.root).write_bytes(old)
    forget_all()
    encrypting.unlock(filled, OTHER)
    assert header_copy(filled.root).read_bytes() == header_file(filled.root).read_bytes() != old


def test_a_lost_header_is_found_beside_the_backups(filled):
    encrypting.create(filled, PASSPHRASE)
    header_file(filled.root).unlink()
    forget_all()
    with pytest.raises(Locked):
        open_store(filled)
    encrypting.unlock(filled, PASSPHRASE)
    assert header_file(filled.root).exists()
    assert judged(filled) == 1


def test_removing_writes_everything_in_plain(filled):
    encrypting.create(filled, PASSPHRASE)
    with pytest.raises(WrongPassphrase):
        encrypting.remove(filled, OTHER)
    encrypting.remove(filled, PASSPHRASE)
    assert encrypting.status(filled) == encrypting.Status(False, True)
    assert read_header(filled.root) is None
    assert is_plain(filled.database)
    assert judged(filled) == 1
    assert len([backup for backup in backups_of(filled) if backup.contents]) == 3
    encrypting.create(filled, OTHER)  # and again, under other keys
    assert holding(filled.root, SECRET) == []
    assert judged(filled) == 1


class Killed(BaseException):
    """A kill, as far as one process can be killed inside another."""


def kill_at(monkeypatch, name, nth):
    """Break off at the nth call of a function of `operations.encryption`."""
    calls, real = [], getattr(encrypting, name)

    def maybe(*args):
        calls.append(args)
        if len(calls) == nth:
            raise Killed
        return real(*args)

    monkeypatch.setattr(encrypting, name, maybe)


@pytest.mark.parametrize("nth", range(1, 4))
def test_encrypting_that_is_cut_short_is_finished_by_the_next_unlock(filled, monkeypatch, nth):
    with monkeypatch.context() as patched:
        kill_at(patched, "convert", nth)
        with pytest.raises(Killed):
            encrypting.create(filled, PASSPHRASE)
    forget_all()
    assert encrypting.status(filled).state == "encrypting"
    encrypting.unlock(filled, PASSPHRASE)
    assert encrypting.status(filled).state == "on"
    assert holding(filled.root, SECRET) == []
    assert judged(filled) == 1


@pytest.mark.parametrize("nth", range(1, 4))
def test_removing_that_is_cut_short_is_finished_by_the_next_unlock(filled, monkeypatch, nth):
    encrypting.create(filled, PASSPHRASE)
    with monkeypatch.context() as patched:
        kill_at(patched, "convert", nth)
        with pytest.raises(Killed):
            encrypting.remove(filled, PASSPHRASE)
    forget_all()
    with pytest.raises(Locked):
        open_store(filled)
    encrypting.unlock(filled, PASSPHRASE)
    assert not encrypting.status(filled).encrypted
    assert judged(filled) == 1


def test_what_cannot_be_done_now_changes_nothing(filled):
    with open_store(filled), pytest.raises(StoreTrouble, match="in use"):
        encrypting.create(filled, PASSPHRASE)
    assert not encrypting.status(filled).encrypted
    encrypting.create(filled, PASSPHRASE)
    with open_store(filled), pytest.raises(StoreTrouble, match="in use"):
        encrypting.remove(filled, PASSPHRASE)
    assert encrypting.status(filled).state == "on"
    with pytest.raises(BadInput, match="already"):
        encrypting.create(filled, PASSPHRASE)
    encrypting.remove(filled, PASSPHRASE)
    with pytest.raises(BadInput, match="not encrypted"):
        encrypting.change(filled, PASSPHRASE, OTHER)


def test_a_backup_is_restored_whatever_became_of_the_database(filled):
    encrypting.create(filled, PASSPHRASE)
    for harm in (lambda path: path.unlink(), lambda path: path.write_bytes(bytes(8192)), lambda path: None):
        harm(filled.database)
        restore(filled, find_backup(filled, "by-hand-1.db"))
        assert judged(filled) == 1
        assert not is_plain(filled.database)
    assert current(filled).health == "well"
    assert holding(filled.root, SECRET) == []


def test_a_plain_backup_that_was_copied_here_is_encrypted_as_it_is_restored(filled, tmp_path):
    plain = tmp_path / "copied.db"
    plain.write_bytes((filled.backups / "by-hand-1.db").read_bytes())
    encrypting.create(filled, PASSPHRASE)
    (filled.backups / plain.name).write_bytes(plain.read_bytes())
    filled.database.unlink()
    restore(filled, find_backup(filled, plain.name))
    assert not is_plain(filled.database)
    assert judged(filled) == 1


def test_an_erase_reaches_the_encrypted_backups(filled):
    encrypting.create(filled, PASSPHRASE)
    with open_store(filled) as store:
        (project,) = store.projects.all()
        erase(store, filled, project, [j.id for j in store.judgements.all(project.id)], confirmed=True)
    assert judged(filled) == 0
    assert {backup.contents.judgements for backup in backups_of(filled) if backup.contents} == {0}
    assert not any(is_plain(backup.path) for backup in backups_of(filled))


def test_a_header_that_is_swapped_for_another_workspaces_opens_nothing(filled, tmp_path):
    encrypting.create(filled, PASSPHRASE)
    write_header(filled.root, encryption.new_header(OTHER)[0])
    forget_all()
    with pytest.raises(WrongPassphrase):
        encrypting.unlock(filled, PASSPHRASE)
    encrypting.unlock(filled, OTHER)  # whoever swapped it knows this one, and reads nothing
    with pytest.raises(StoreTrouble, match="damaged"):
        open_store(filled)


def test_a_database_that_was_copied_here_plain_is_encrypted_when_it_is_unlocked(filled, tmp_path):
    plain = (filled.backups / "by-hand-1.db").read_bytes()
    encrypting.create(filled, PASSPHRASE)
    forget_all()
    (filled.backups / "copied.db").write_bytes(plain)
    filled.database.write_bytes(plain)
    encrypting.unlock(filled, PASSPHRASE)
    assert holding(filled.root, SECRET) == []
    assert judged(filled) == 1


@pytest.mark.parametrize("kept", ["database", "runs"])
def test_without_any_header_it_is_said_to_be_lost_and_nothing_begins_anew(filled, kept):
    encrypting.create(filled, PASSPHRASE)
    (filled.runs / "01A").mkdir()
    (filled.runs / "01A" / "run.json").write_text(SECRET)
    assert seal(filled.runs / "01A" / "run.json")
    if kept == "runs":
        filled.database.unlink()
    for file in (header_file(filled.root), header_copy(filled.root)):
        file.unlink()
    forget_all()
    before = filled.database.read_bytes() if kept == "database" else None
    with pytest.raises(StoreTrouble, match=r"encryption\.json\) is missing"):
        open_store(filled)
    assert (filled.database.read_bytes() if kept == "database" else None) == before
    assert filled.database.exists() == (kept == "database")


def test_a_damaged_plain_database_does_not_look_encrypted(filled):
    filled.database.write_bytes(bytes(4096) + filled.database.read_bytes()[4096:])
    with pytest.raises(StoreTrouble, match="damaged"):
        open_store(filled)


def test_the_audit_log_says_when_the_passphrase_was_made_changed_and_removed(filled):
    encrypting.create(filled, PASSPHRASE)
    encrypting.change(filled, PASSPHRASE, f"{PASSPHRASE} anew")
    encrypting.remove(filled, f"{PASSPHRASE} anew")
    with open_store(filled) as store:
        found = [entry.act for entry in reversed(store.audit.entries())]
        assert found[-3:] == ["passphrase created", "passphrase changed", "passphrase removed"]
        assert store.audit.verify().problem == ""
