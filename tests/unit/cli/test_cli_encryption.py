"""`encryption` from the command line: passphrases come from files or the terminal, and a locked workspace says so."""

import getpass

import keyring as system_keyring
import pytest
from keyring.backend import KeyringBackend as Backend

from rlhf_desktop.cli import passphrases
from rlhf_desktop.core import encryption, lockedfile
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.sealing import is_sealed
from rlhf_desktop.jobs.window_lock import WindowLock
from tests.encrypted import OTHER, PASSPHRASE, cheap_kdf, forget_all, holding


@pytest.fixture
def keyring(monkeypatch):
    """A keyring of the test's own: what it holds, by account."""
    held = {}

    class Keyring(Backend):
        priority = 1

        def get_password(self, service, username):
            return held.get(username)

        def set_password(self, service, username, password):
            held[username] = password

        def delete_password(self, service, username):
            del held[username]

    before = system_keyring.get_keyring()
    system_keyring.set_keyring(Keyring())
    yield held
    system_keyring.set_keyring(before)


@pytest.fixture(autouse=True)
def _cheap(monkeypatch, keyring):
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


def test_a_bundle_can_have_a_passphrase_of_its_own(cli, workspace, files, rankings, tmp_path, monkeypatch):
    monkeypatch.setattr(lockedfile, "new_kdf", cheap_kdf)
    assert cli("feedback", "import", rankings).code == 0
    bundle = tmp_path / "for-a-colleague.zip"
    said = cli("feedback", "export", bundle, "--format", "bundle", "--bundle-passphrase-file", files[1], "--json")
    assert said.json["rows"] == 12
    assert lockedfile.is_locked(bundle)
    there = type(cli)(Workspace(tmp_path / "theirs"), cli._capfd)
    said = there("feedback", "merge", bundle)
    assert (said.code, "--bundle-passphrase-file" in said.err) == (1, True)
    said = there("feedback", "merge", bundle, "--bundle-passphrase-file", files[0])
    assert (said.code, "cannot be opened with this passphrase" in said.err) == (1, True)
    done = there("feedback", "merge", bundle, "--bundle-passphrase-file", files[1], "--json")
    assert done.json["added"]["judgements"] == 12
    assert [*workspace.root.glob(".*.tmp"), *there.workspace.root.glob(".*.tmp")] == []


def test_files_inside_are_encrypted_and_said_to_be(cli, encrypted, files, tmp_path):
    given = ("--passphrase-file", files[0])
    said = cli("feedback", "export", encrypted.root / "rows.jsonl", *given)
    assert "rows.jsonl is encrypted as the workspace is." in said.err
    assert is_sealed(encrypted.root / "rows.jsonl")
    said = cli("feedback", "export", tmp_path / "out.jsonl", *given)
    assert "out.jsonl is not encrypted" in said.err
    assert cli("encryption", "open", encrypted.root / "rows.jsonl", tmp_path / "copy.jsonl", *given).code == 0
    assert (tmp_path / "copy.jsonl").read_bytes() == (tmp_path / "out.jsonl").read_bytes()
    assert cli("encryption", "open", tmp_path / "out.jsonl", tmp_path / "copy2.jsonl", *given).code == 1
    cli("feedback", "export", encrypted.root / "b.zip", "--format", "bundle", *given)
    said = cli("feedback", "merge", encrypted.root / "b.zip", *given)
    assert (said.code, "encryption open" in said.err) == (1, True)


def test_the_keyring_has_the_passphrase_only_if_asked(cli, encrypted, files, keyring):
    assert stats(cli, "--passphrase-file", files[0]).code == 0
    assert keyring == {}
    assert cli("encryption", "remember", "--passphrase-file", files[1]).code == 1
    assert keyring == {}
    assert cli("encryption", "remember", "--passphrase-file", files[0]).code == 0
    assert stats(cli).code == 0
    assert cli("encryption", "change", "--passphrase-file", files[0], "--new-passphrase-file", files[1]).code == 0
    assert stats(cli).code == 0
    assert cli("encryption", "forget").code == 0
    assert keyring == {}
    assert stats(cli).code == 1


def test_a_keyring_with_an_old_passphrase_locks_nobody_out(cli, encrypted, files, keyring):
    assert cli("encryption", "remember", "--passphrase-file", files[0]).code == 0
    account = next(iter(keyring))
    keyring[account] = '"something else"'
    said = stats(cli)
    assert (said.code, said.err.startswith("Error: This workspace is encrypted and locked.")) == (1, True)
    assert stats(cli, "--passphrase-file", files[0]).code == 0
