"""Sealed files: opened whole by whoever unlocked the workspace, refused when anything about them was changed."""

import json
import os
import random

import pytest

from rlhf_desktop.core import encryption, sealing
from rlhf_desktop.core.encryption import Locked, forget, header_copy, header_file, in_state, new_header, remember, write_header
from rlhf_desktop.core.errors import AppError, BadInput
from rlhf_desktop.core.sealing import is_sealed, keep, keep_json, open_to_read, read_bytes, read_lines, rewrite, seal, unseal
from tests.encrypted import PASSPHRASE, cheap_kdf, holding


@pytest.fixture(scope="module")
def new():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(encryption, "new_kdf", cheap_kdf)
        return new_header(PASSPHRASE)


@pytest.fixture
def made(tmp_path, new):
    header, keys = new
    write_header(tmp_path, header)
    remember(keys)
    yield header, keys
    forget(keys.id)


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "runs" / "01A"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("size", [0, 1, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 200_000])
def test_a_file_is_the_same_after_it_was_sealed(made, run, size):
    content, path = random.Random(size).randbytes(size), run / "data.jsonl"
    path.write_bytes(content)
    assert seal(path)
    assert not seal(path)
    assert is_sealed(path)
    assert read_bytes(path) == content
    assert size < 64 or content[:64] not in path.read_bytes()  # a byte or two are there by chance
    with open_to_read(path) as file:
        assert file.read() == content
    assert unseal(path)
    assert not unseal(path)
    assert path.read_bytes() == content
    assert [entry.name for entry in run.iterdir()] == ["data.jsonl"]
    assert path.stat().st_mode & 0o077 == 0


def test_sealing_needs_no_passphrase_and_opening_does(made, run):
    path = run / "events.jsonl"
    path.write_text('{"a": 1}\n{"b": "')
    forget(made[1].id)
    assert seal(path)
    for use in (read_bytes, open_to_read, unseal, lambda p: list(read_lines(p))):
        with pytest.raises(Locked):
            use(path)
    remember(made[1])
    assert list(read_lines(path)) == [{"a": 1}]


def test_what_was_there_is_overwritten(made, run):
    path = run / "data.jsonl"
    path.write_text("Zaborowska")
    os.link(path, run / "same-bytes")  # what somebody would find who reads the disk
    seal(path)
    assert (run / "same-bytes").read_bytes() == bytes(10)


def test_outside_of_an_encrypted_workspace_nothing_is_sealed(tmp_path):
    path = tmp_path / "file.json"
    keep_json(path, {"a": "é"})
    assert json.loads(path.read_bytes()) == {"a": "é"}
    assert not seal(path)
    assert read_bytes(path) == path.read_bytes()


def test_what_is_kept_never_lies_plain(made, run):
    keep_json(run / "notes.json", {"title": "Zaborowska"})
    assert holding(run, "Zaborowska") == []
    assert json.loads(read_bytes(run / "notes.json")) == {"title": "Zaborowska"}
    rewrite(run / "notes.json", b"new")
    assert is_sealed(run / "notes.json")
    (run / "plain").write_bytes(b"x")
    rewrite(run / "plain", b"new")
    assert not is_sealed(run / "plain")


def test_nothing_is_sealed_while_encryption_is_being_removed(made, tmp_path, run):
    write_header(tmp_path, in_state(*made, "decrypting"))
    keep(run / "notes.json", "words")
    assert (run / "notes.json").read_text() == "words"
    assert not seal(run / "notes.json")


@pytest.fixture
def sealed(made, run):
    path = run / "data.jsonl"
    path.write_bytes(random.Random(1).randbytes(150_000))
    seal(path)
    return path


@pytest.mark.parametrize("seed", range(30))
def test_a_flipped_bit_is_refused_in_a_sentence(sealed, seed):
    content = bytearray(sealed.read_bytes())
    at = 16 + random.Random(seed).randrange(len(content) - 16)  # within the magic, it would be a file that is not sealed
    content[at] ^= 1 << random.Random(seed).randrange(8)
    sealed.write_bytes(content)
    with pytest.raises(AppError) as refused:
        read_bytes(sealed)
    assert "was changed" in refused.value.message or isinstance(refused.value, Locked)


@pytest.mark.parametrize("left", [16, 17, 63, 64, 65, 80, 64 + 65_552, 64 + 2 * 65_552, -1])
def test_one_that_was_cut_off_is_refused(sealed, left):
    sealed.write_bytes(sealed.read_bytes()[:left])
    with pytest.raises(AppError):
        read_bytes(sealed)


def test_chunks_in_another_order_are_refused(sealed):
    content = sealed.read_bytes()
    first, second = content[64 : 64 + 65_552], content[64 + 65_552 : 64 + 2 * 65_552]
    sealed.write_bytes(content[:64] + second + first + content[64 + 2 * 65_552 :])
    with pytest.raises(BadInput, match="was changed"):
        read_bytes(sealed)


def test_one_in_anothers_place_is_refused(sealed, run):
    other = run.parent / "01B" / "data.jsonl"
    other.parent.mkdir()
    other.write_bytes(sealed.read_bytes())
    with pytest.raises(BadInput, match="another's place"):
        read_bytes(other)


def test_one_of_another_workspace_is_refused(made, sealed, tmp_path, monkeypatch):
    monkeypatch.setattr(encryption, "new_kdf", cheap_kdf)
    write_header(tmp_path, new_header(PASSPHRASE)[0])
    forget(encryption.read_header(tmp_path).id)
    forget(made[1].id)
    with pytest.raises(BadInput, match="was changed"):
        read_bytes(sealed)
    for file in (header_file(tmp_path), header_copy(tmp_path)):
        file.unlink()
    with pytest.raises(AppError):
        read_bytes(sealed)


def test_a_pipe_keeps_nobody_waiting(made, run):
    os.mkfifo(run / "pipe")
    assert not is_sealed(run / "pipe")
    assert sealing.unseal(run / "pipe") is False
