"""A file under a passphrase of its own."""

import random

import pytest

from rlhf_desktop.core import lockedfile
from rlhf_desktop.core.errors import AppError, BadInput
from rlhf_desktop.core.lockedfile import WrongFilePassphrase, is_locked, lock_file, unlocked
from tests.encrypted import OTHER, PASSPHRASE, cheap_kdf


@pytest.fixture
def locked(tmp_path, monkeypatch):
    monkeypatch.setattr(lockedfile, "new_kdf", cheap_kdf)
    plain, target = tmp_path / "plain", tmp_path / "bundle.zip"
    plain.write_bytes(random.Random(1).randbytes(150_000))
    lock_file(plain, target, PASSPHRASE)
    return target


def test_it_is_the_same_for_whoever_knows_the_passphrase(locked, tmp_path):
    assert is_locked(locked)
    assert not is_locked(tmp_path / "plain")
    assert locked.stat().st_mode & 0o077 == 0
    folder = tmp_path / "workspace"
    folder.mkdir()
    with unlocked(locked, PASSPHRASE, folder) as copy:
        assert copy.read_bytes() == (tmp_path / "plain").read_bytes()
        assert copy.stat().st_mode & 0o077 == 0
    assert list(folder.iterdir()) == []


def test_another_passphrase_opens_nothing_and_leaves_nothing(locked, tmp_path):
    folder = tmp_path / "workspace"
    folder.mkdir()
    with pytest.raises(WrongFilePassphrase, match=r"bundle\.zip cannot be opened"), unlocked(locked, OTHER, folder):
        pass
    assert list(folder.iterdir()) == []


def test_a_short_passphrase_is_refused(tmp_path):
    (tmp_path / "plain").write_bytes(b"x")
    with pytest.raises(BadInput, match="at least 8"):
        lock_file(tmp_path / "plain", tmp_path / "target", "short")
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("seed", range(12))
def test_damage_is_refused_in_a_sentence(locked, tmp_path, seed):
    chance, content = random.Random(seed), bytearray(locked.read_bytes())
    if seed % 2:
        del content[chance.randrange(len(content)) :]
    else:
        content[chance.choice([20, 40, 90, 200, len(content) - 1])] ^= 1 << chance.randrange(7)
    locked.write_bytes(content)
    if is_locked(locked):
        with pytest.raises(AppError), unlocked(locked, PASSPHRASE, tmp_path):
            pass
    assert list(tmp_path.glob(".*.tmp")) == []
