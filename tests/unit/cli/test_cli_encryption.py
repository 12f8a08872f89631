"""`encryption` from the command line: passphrases come from files or the terminal, and a locked workspace says so."""

import getpass

import pytest

from rlhf_desktop.cli import passphrases
from rlhf_desktop.core import encryption
from rlhf_desktop.jobs.window_lock import WindowLock
from tests.encrypted import OTHER, PASSPHRASE, cheap_kdf, forget_all, holding


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    monkeypatch.setattr(encryption, "new_kdf", cheap_kdf)
    yield
    forget_all()


@pytest.fixture
def files(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text(PASSPHRASE + "\n")
    new.write_text(OTHER)
    return old, new


@pytest.fixture
def encrypted(cli, workspace, files, rankings):
    assert cli("feedback", "import", rankings).code == 0
    assert cli("encryption", "create", "--yes", "--passphrase-file", files[0]).code == 0
    forget_all()
    return workspace


def stats(cli, *words):
    forget_all()  # each command is a process of its own
    return cli("feedback", "stats", *words)


def test_a_locked_workspace_says_so_in_a_sentence_with_a_remedy(cli, encrypted, files):
    for words in (("feedback", "stats"), ("runs", "list"), ("backups",), ("restore", "--yes"), ("projects", "list")):
        said = cli(*words)
        assert said.code == 1
        assert said.err.startswith("Error: This workspace is encrypted and locked.\n")
        assert "--passphrase-file" in said.err
    assert stats(cli, "--passphrase-file", files[0]).code == 0
    wrong = stats(cli, "--passphrase-file", files[1])
    assert wrong.code == 1
    assert wrong.err.startswith("Error: This is not the passphrase of this workspace.\n")


def test_change_and_remove(cli, encrypted, files):
    assert cli("encryption", "status", "--json").json == {"encrypted": True, "state": "on", "possible": True, "plain_files": []}
    said = cli("encryption", "change", "--passphrase-file", files[0], "--new-passphrase-file", files[1])
    assert (said.code, "keep the old one" in said.out) == (0, True)
    assert stats(cli, "--passphrase-file", files[0]).code == 1
    assert stats(cli, "--passphrase-file", files[1]).code == 0
    assert cli("encryption", "remove", "--passphrase-file", files[1]).code == 1  # nobody confirmed it
    assert cli("encryption", "remove", "--yes", "--passphrase-file", files[1]).code == 0
    assert stats(cli).code == 0
    assert cli("encryption", "status").out == "This workspace is not encrypted.\n"


def test_no_passphrase_stays_in_a_file_or_is_said(cli, encrypted, files):
    assert holding(encrypted.root, PASSPHRASE) == []
    said = stats(cli, "--passphrase-file", files[0])
    assert PASSPHRASE not in said.out + said.err


def test_encrypting_is_confirmed_and_wants_the_window_closed(cli, workspace, files):
    said = cli("encryption", "create", "--passphrase-file", files[0])
    assert (said.code, "Add --yes." in said.err) == (1, True)
    lock = WindowLock(workspace)
    assert lock.acquire() is None
    try:
        said = cli("encryption", "create", "--yes", "--passphrase-file", files[0])
    finally:
        lock.release()
    assert (said.code, "open in a window" in said.err) == (1, True)
    assert not encryption.is_encrypted(workspace.root)


def test_a_passphrase_file_that_is_none_is_refused(cli, encrypted, tmp_path):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for name in ("missing", "empty", "bytes"):
        said = stats(cli, "--passphrase-file", tmp_path / name)
        assert (said.code, said.err.count("\n")) == (1, 2), said.err


def test_on_a_terminal_it_is_asked_for_three_times(cli, encrypted, monkeypatch):
    typed = iter(["wrong one", PASSPHRASE, "wrong one", "wrong one", "wrong one"])
    monkeypatch.setattr(passphrases, "can_ask", lambda: True)
    monkeypatch.setattr(getpass, "getpass", lambda prompt, stream: next(typed))
    assert stats(cli).code == 0
    said = stats(cli)
    assert said.code == 1
    assert next(typed, None) is None


def test_a_new_passphrase_is_typed_twice(cli, workspace, monkeypatch):
    typed = iter([PASSPHRASE, OTHER, PASSPHRASE, PASSPHRASE])
    monkeypatch.setattr(passphrases, "can_ask", lambda: True)
    monkeypatch.setattr(getpass, "getpass", lambda prompt, stream: next(typed))
    said = cli("encryption", "create", "--yes")
    assert (said.code, "not the same" in said.err) == (1, True)
    assert cli("encryption", "create", "--yes").code == 0
