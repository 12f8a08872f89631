"""An encrypted database: written anew without loss, read with its key alone, backed up, salvaged."""

import sqlite3
from contextlib import closing

import pytest
from store_helpers import lived

from rlhf_desktop.core import encryption
from rlhf_desktop.core.encryption import Locked, new_header, remember, write_header
from rlhf_desktop.core.errors import StoreTrouble
from rlhf_desktop.store import driver
from rlhf_desktop.store.backups import back_up, contents_of
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.driver import Connection, is_database
from rlhf_desktop.store.encrypting import convert, is_plain
from rlhf_desktop.store.history import HistoryQuery
from rlhf_desktop.store.salvage import readable
from tests.encrypted import PASSPHRASE, cheap_kdf, holding

WORDS = ("Question 1", "judgements", "Support")


@pytest.fixture
def keys(tmp_path, monkeypatch):
    """The folder is an encrypted workspace."""
    monkeypatch.setattr(encryption, "new_kdf", cheap_kdf)
    header, keys = new_header(PASSPHRASE)
    write_header(tmp_path, header)
    remember(keys)
    yield keys
    encryption.forget(keys.id)


def everything(path):
    """Every row of every table, with its rowid where there is one."""
    with closing(Connection.read_only(path)) as connection:
        found = {}
        for row in connection.rows("SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name"):
            rowid = "" if "WITHOUT ROWID" in row["sql"] or "VIRTUAL" in row["sql"] else "rowid AS rowid_, "
            if "fts5" not in row["sql"]:  # without content: what it finds is asked elsewhere
                found[row["name"]] = connection.rows(f'SELECT {rowid}* FROM "{row["name"]}"')
        return found, connection.rows("PRAGMA user_version")


@pytest.fixture
def plain(tmp_path):
    path = tmp_path / "feedback.db"
    with Store.open(path) as store:
        project = store.projects.create("Support")
        lived(store, project, 3)
    return path


def test_a_database_is_the_same_after_it_was_encrypted_and_decrypted(plain, request):
    before = everything(plain)
    keys = request.getfixturevalue("keys")
    assert convert(plain, None, keys.database)
    assert not convert(plain, None, keys.database)
    assert not is_plain(plain)
    assert is_database(plain)
    assert holding(plain.parent, *WORDS) == []
    assert everything(plain) == before
    with Store.open(plain) as store:
        (project,) = store.projects.all()
        assert store.history.count(project.id, HistoryQuery(text="Question")) > 0
    before = everything(plain)
    assert convert(plain, keys.database, None)
    assert is_plain(plain)
    assert everything(plain) == before


def test_a_new_database_and_its_backups_are_encrypted(tmp_path, keys):
    with Store.open(tmp_path / "feedback.db") as store:
        project = store.projects.create("Support")
        lived(store, project, 1)
        copy = back_up(store.connection, tmp_path / "backups" / "by-hand.db")
        assert holding(tmp_path, *WORDS) == []  # its journal too
        judged = len(store.judgements.all(project.id))
    assert contents_of(copy).judgements
    with Store.open(tmp_path / "feedback.db") as store:  # makes the day's
        assert len(store.judgements.all(project.id)) == judged
    assert len(list((tmp_path / "backups").glob("*.db"))) == 2
    assert holding(tmp_path, *WORDS) == []


def test_a_locked_database_says_so(tmp_path, keys):
    with Store.open(tmp_path / "feedback.db") as store:
        store.projects.create("Support")
    encryption.forget(keys.id)
    for use in (Store.open, Connection.read_only, contents_of):
        with pytest.raises(Locked, match="encrypted and locked"):
            use(tmp_path / "feedback.db")


def test_without_sqlcipher_an_encrypted_database_is_refused_in_a_sentence(tmp_path, keys, monkeypatch):
    Store.open(tmp_path / "feedback.db").close()
    with pytest.raises(StoreTrouble, match="sqlcipher3 is missing"):
        Connection(tmp_path / "feedback.db", driver=sqlite3)
    monkeypatch.setattr(driver, "DRIVER", sqlite3)
    with pytest.raises(StoreTrouble, match="sqlcipher3 is missing"):
        Store.open(tmp_path / "feedback.db")


def test_no_error_names_the_key(tmp_path, keys, capfd):
    path = tmp_path / "feedback.db"
    Store.open(path).close()
    path.write_bytes(bytes(4096) + path.read_bytes()[4096:])
    with pytest.raises(StoreTrouble) as trouble:
        Store.open(path)
    assert "damaged" in trouble.value.message
    assert keys.database not in f"{trouble.value!r} {trouble.value.detail} {capfd.readouterr()}"


@pytest.mark.parametrize("place", [3, 7, 20])
def test_what_can_be_read_of_a_damaged_one_is_read(tmp_path, keys, place, capfd):
    path = tmp_path / "feedback.db"
    with Store.open(path) as store:
        project = store.projects.create("Support")
        for seed in range(3):
            lived(store, store.projects.create(f"P{seed}"), seed)
    whole = readable(path)
    content = bytearray(path.read_bytes())
    content[-4096 * place + 50] ^= 1
    path.write_bytes(content)
    assert 0 < readable(path) <= whole
    assert project.id
    assert capfd.readouterr().err == ""


def test_a_database_in_use_is_not_written_anew(plain, keys):
    with Store.open(plain), pytest.raises(StoreTrouble, match="in use"):
        convert(plain, None, keys.database)
    assert is_plain(plain)
    assert [path.name for path in plain.parent.iterdir() if path.name.endswith(".tmp")] == []


def test_a_plain_database_stays_plain_without_a_header(tmp_path):
    with Store.open(tmp_path / "feedback.db") as store:
        store.projects.create("Support")
        assert store.connection.key is None
    assert is_plain(tmp_path / "feedback.db")
