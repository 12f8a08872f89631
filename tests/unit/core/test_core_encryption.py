"""The header of an encrypted workspace: what opens it, what does not, and what survives damage."""

import json
import random
import time
from contextlib import suppress

import pytest

from rlhf_desktop.core import ciphers, encryption
from rlhf_desktop.core.encryption import (
    Locked,
    WrongPassphrase,
    forget,
    header_copy,
    header_file,
    keys_in,
    keys_of,
    new_header,
    read_header,
    remember,
    rewrapped,
    root_of,
    write_header,
)
from rlhf_desktop.core.errors import AppError, BadInput
from tests.encrypted import OTHER, PASSPHRASE, cheap_kdf


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    monkeypatch.setattr(encryption, "new_kdf", cheap_kdf)


@pytest.fixture
def made(tmp_path):
    header, keys = new_header(PASSPHRASE)
    write_header(tmp_path, header)
    return header, keys


def test_only_the_passphrase_opens_the_keys(tmp_path, made):
    header = read_header(tmp_path)
    assert keys_in(header, PASSPHRASE) == made[1]
    with pytest.raises(WrongPassphrase, match="not the passphrase"):
        keys_in(header, OTHER)


def test_no_key_shows_itself(made):
    assert made[1].data.hex() not in repr(made[1])
    assert repr(made[1].data) not in repr(made[1])


def test_a_guess_costs_what_it_should(monkeypatch):
    monkeypatch.setattr(ciphers, "_time_of", lambda kdf: 0.1)  # a fast computer
    kdf = ciphers.new_kdf()
    assert kdf.memory_kib >= 64 * 1024
    assert kdf.passes * 0.1 / ciphers.LEAST_PASSES >= 0.3
    begun = time.perf_counter()
    ciphers.key_of(PASSPHRASE, kdf.model_copy(update={"passes": 2 * ciphers.LEAST_PASSES}))
    assert time.perf_counter() > begun


def test_scrypt_serves_where_there_is_no_argon2(monkeypatch):
    class NotThere:
        def __init__(self, **_):
            raise ciphers.UnsupportedAlgorithm("no")

    monkeypatch.setattr(ciphers, "Argon2id", NotThere)
    monkeypatch.setattr(ciphers, "USUAL_KIB", ciphers.LEAST_KIB)
    monkeypatch.setattr(ciphers, "WORTH_S", 0.01)
    kdf = ciphers.new_kdf()
    assert (kdf.name, kdf.passes) == ("scrypt", 1)
    assert ciphers.key_of("a", kdf) != ciphers.key_of("b", kdf)


def test_a_changed_passphrase_opens_the_same_keys_and_the_old_one_nothing(tmp_path, made):
    header, keys = made
    write_header(tmp_path, rewrapped(header, keys, OTHER))
    for file in (header_file(tmp_path), header_copy(tmp_path)):
        found = encryption.Header.model_validate_json(file.read_bytes())
        assert keys_in(found, OTHER) == keys
        with pytest.raises(WrongPassphrase):
            keys_in(found, PASSPHRASE)


def test_a_short_passphrase_is_refused():
    with pytest.raises(BadInput, match="at least 8"):
        new_header("1234567")


@pytest.mark.parametrize("lost", ["missing", "empty", "torn"])
def test_the_copy_serves_where_the_header_is_lost(tmp_path, made, lost):
    file = header_file(tmp_path)
    if lost == "missing":
        file.unlink()
    else:
        file.write_bytes(b"" if lost == "empty" else file.read_bytes()[:200])
    assert keys_in(read_header(tmp_path), PASSPHRASE) == made[1]
    assert root_of(tmp_path / "feedback.db", 2) == tmp_path
    assert root_of(tmp_path / "backups" / "x.db", 2) == tmp_path


def test_a_workspace_called_backups_is_one(tmp_path):
    root = tmp_path / "backups"
    write_header(root, new_header(PASSPHRASE)[0])
    assert root_of(root / "feedback.db", 2) == root
    assert root_of(root / "backups" / "x.db", 2) == root
    assert root_of(tmp_path / "feedback.db", 2) is None


@pytest.mark.parametrize("seed", range(40))
def test_a_header_with_a_flipped_bit_is_refused_in_a_sentence(tmp_path, made, seed):
    """Where both are damaged: nothing raises what is no `AppError`, and nothing opens that is not as it was."""
    content = bytearray(header_file(tmp_path).read_bytes())
    content[random.Random(seed).randrange(len(content))] ^= 1 << random.Random(seed).randrange(8)
    for file in (header_file(tmp_path), header_copy(tmp_path)):
        file.write_bytes(content)
    found = None
    with suppress(AppError):
        found = read_header(tmp_path)
    assert found in (None, made[0])  # the same where only a space between was hit


@pytest.mark.parametrize(
    ("field", "value"),
    [("state", "decrypting"), ("public_key", "00" * 32), ("id", "0" * 32), ("private_key", "00" * 60), ("data_key", "00" * 60)],
)
def test_a_header_that_somebody_changed_with_its_checksum_opens_nothing(made, field, value):
    changed = made[0].model_copy(update={field: value})
    changed = changed.model_copy(update={"checksum": encryption._checksum(changed)})
    with pytest.raises(AppError):
        keys_in(changed, PASSPHRASE)


def test_a_header_may_not_ask_for_any_amount_of_work(tmp_path, made):
    for change in ({"memory_kib": 2**30}, {"passes": 10**9}, {"memory_kib": 8}):
        value = json.loads(made[0].model_dump_json())
        value["kdf"].update(change)
        for file in (header_file(tmp_path), header_copy(tmp_path)):
            file.write_text(json.dumps(value))
        with pytest.raises(AppError, match="damaged"):
            read_header(tmp_path)


def test_keys_are_held_by_this_process_until_they_are_forgotten(tmp_path, made):
    assert keys_of(tmp_path / "elsewhere") is None
    with pytest.raises(Locked):
        keys_of(tmp_path)
    remember(made[1])
    assert keys_of(tmp_path) == made[1]
    forget(made[1].id)
    with pytest.raises(Locked):
        keys_of(tmp_path)
