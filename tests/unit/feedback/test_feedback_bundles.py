"""What somebody else's archive may try."""

import hashlib
import io
import json
import stat
import struct
import warnings
import zipfile
from pathlib import Path

import pytest

from rlhf_desktop.core.errors import AppError, BadInput, NotFound
from rlhf_desktop.feedback.bundles import MANIFEST, ROWS, VERSION, MessageRow, ProfileRow, TombstoneRow, open_bundle, write_bundle

AN_ID = "01900000-0000-7000-8000-000000000000"


def rows(**files):
    return {name: files.get(name.split(".")[0], []) for name in ROWS}


@pytest.fixture
def bundle(tmp_path) -> Path:
    write_bundle(tmp_path / "good.zip", "Support", 0.15, rows(tombstones=[TombstoneRow(id=AN_ID)]))
    return tmp_path / "good.zip"


def everything(path):
    found = open_bundle(path)
    return {name: list(found.rows(name)) for name in ROWS}


def remade(bundle: Path, change) -> Path:
    """The bundle with its entries changed: a dict from name to (bytes, ZipInfo)."""
    with zipfile.ZipFile(bundle) as archive:
        entries = [(entry, archive.read(entry)) for entry in archive.infolist()]
    path = bundle.with_name("forged.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name twice is what we want to try
        for entry, data in change(entries):
            archive.writestr(entry, data)
    return path


def test_the_same_feedback_makes_the_same_bytes(bundle, tmp_path):
    write_bundle(tmp_path / "again.zip", "Support", 0.15, rows(tombstones=[TombstoneRow(id=AN_ID)]))
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()
    assert everything(bundle)["tombstones.jsonl"] == [TombstoneRow(id=AN_ID)]
    assert open_bundle(bundle).manifest.project == "Support"


def test_a_bundle_from_before_thoughts_is_read(tmp_path):
    message = MessageRow(
        id=AN_ID, conversation_id=AN_ID, parent_id=None, position=0, role="user", content="Hi",
        created_at="2026-01-01T00:00:00+00:00", generator_id=None, seed=None, finish=None, tokens=None,
    )  # fmt: skip
    write_bundle(tmp_path / "new.zip", "Support", 0.15, rows(messages=[message]))

    def aged(entries):
        lines = json.dumps({k: v for k, v in message.model_dump(mode="json").items() if "thought" not in k}).encode() + b"\n"
        manifest = json.loads(next(data for entry, data in entries if entry.filename == MANIFEST))
        manifest["version"] = 1
        manifest["files"]["messages.jsonl"] |= {"sha256": hashlib.sha256(lines).hexdigest(), "bytes": len(lines)}
        return swapped(MANIFEST, json.dumps(manifest).encode())(swapped("messages.jsonl", lines)(entries))

    assert everything(remade(tmp_path / "new.zip", aged))["messages.jsonl"] == [message]


def named(name):
    return lambda entries: [*entries, (zipfile.ZipInfo(name), b"x")]


def linked(entries):
    info = zipfile.ZipInfo(entries[0][0].filename)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return [(info, b"/etc/passwd"), *entries[1:]]


def swapped(name, data):
    return lambda entries: [(entry, data if entry.filename == name else old) for entry, old in entries]


def with_manifest(**changes):
    def change(entries):
        value = json.loads(next(data for entry, data in entries if entry.filename == MANIFEST))
        return swapped(MANIFEST, json.dumps({**value, **changes}).encode())(entries)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (named("../../evil.jsonl"), "only those"),
        (named("/etc/cron.d/evil"), "only those"),
        (named("C:\\evil"), "only those"),
        (named("messages.jsonl"), "only those"),
        (lambda entries: entries[1:], "only those"),
        (lambda entries: [*entries, *[(zipfile.ZipInfo(f"{n}.jsonl"), b"") for n in range(5000)]], "only those"),
        (linked, "no ordinary file"),
        (swapped("profiles.jsonl", b"\n" * 30_000_000), "unpack to far more"),
        (swapped("tombstones.jsonl", b'{"id":"' + AN_ID.replace("1", "2").encode() + b'"}\n'), "not the file that was packed"),
        (swapped("tombstones.jsonl", b""), "not as long"),
        (swapped(MANIFEST, b"[1]"), "manifest is not one"),
        (swapped(MANIFEST, b"[" * 100_000), "manifest is not one"),
        (with_manifest(version=VERSION + 1), "newer version"),
        (with_manifest(files={}), "does not name its files"),
        (with_manifest(extra=1), "manifest is not one"),
    ],
)
def test_an_archive_that_is_not_what_we_pack_is_refused_in_a_sentence(bundle, change, said):
    with pytest.raises(BadInput, match=said) as caught:
        everything(remade(bundle, change))
    assert caught.value.message.count(".") <= 3
    assert [p.name for p in bundle.parent.iterdir()] == ["good.zip", "forged.zip"] or len(list(bundle.parent.iterdir())) == 2


def test_a_bomb_that_lies_about_its_size_is_refused(bundle):
    data = bytearray(remade(bundle, swapped("profiles.jsonl", b"\n" * 30_000_000)).read_bytes())
    place = data.rindex(b"profiles.jsonl") - 46  # its entry in the central directory: claim 10 bytes
    data[place + 24 : place + 28] = struct.pack("<I", 10)
    bundle.write_bytes(bytes(data))
    with pytest.raises(AppError):
        everything(bundle)


@pytest.mark.parametrize("keep", [0, 10, 300, -30])
def test_torn_and_foreign_files_are_refused(bundle, keep):
    bundle.write_bytes(bundle.read_bytes()[:keep])
    with pytest.raises(BadInput, match="damaged"):
        everything(bundle)


def test_flipped_bytes_never_pass_and_never_crash(bundle):
    good, expected = bundle.read_bytes(), everything(bundle)
    for place in range(0, len(good), 7):
        bundle.write_bytes(good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1 :])
        try:
            assert everything(bundle) == expected
        except AppError:
            continue


def test_a_name_that_is_no_text_is_refused(bundle):
    data = bytearray(remade(bundle, named("ж.jsonl")).read_bytes())
    place = data.rindex("ж".encode())
    data[place : place + 2] = b"\xc1\xc1"
    bundle.write_bytes(bytes(data))
    with pytest.raises(BadInput, match="damaged"):
        everything(bundle)


def test_lines_that_do_not_fit_their_model_are_refused_with_their_place(tmp_path):
    bad = ProfileRow.model_construct(name="x" * 400, role="", credentials="", updated_at="2026-01-01T00:00:00Z")
    write_bundle(tmp_path / "b.zip", "Support", 0.15, rows(profiles=[bad]))
    with pytest.raises(BadInput, match=r"profiles\.jsonl, line 1 does not fit"):
        everything(tmp_path / "b.zip")


@pytest.mark.parametrize(
    "moment",
    ["2026-99-99T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T25:00:00Z", "9999-01-01T00:00:00Z", "0001-01-01T00:00:00Z"],
)
def test_a_date_that_does_not_exist_or_lies_far_away_is_refused(tmp_path, moment):
    bad = ProfileRow.model_construct(name="Ada", role="", credentials="", updated_at=moment)
    write_bundle(tmp_path / "b.zip", "Support", 0.15, rows(profiles=[bad]))
    with pytest.raises(BadInput, match=r"profiles\.jsonl, line 1 does not fit"):
        everything(tmp_path / "b.zip")


@pytest.mark.parametrize("moment", ["1970-01-01T00:00:00Z", "2026-02-28T23:59:59.5+00:00", "2099-12-31T23:59:59.999999Z"])
def test_a_date_that_there_is_passes(tmp_path, moment):
    row = ProfileRow(name="Ada", role="", credentials="", updated_at=moment)
    write_bundle(tmp_path / "b.zip", "Support", 0.15, rows(profiles=[row]))
    assert everything(tmp_path / "b.zip")["profiles.jsonl"] == [row]


def test_what_is_not_there_or_no_archive_is_said(tmp_path):
    with pytest.raises(NotFound):
        open_bundle(tmp_path / "nowhere.zip")
    (tmp_path / "text.zip").write_text("hello")
    with pytest.raises(BadInput, match="damaged"):
        open_bundle(tmp_path / "text.zip")
    other = io.BytesIO()
    zipfile.ZipFile(other, "w").close()
    (tmp_path / "empty.zip").write_bytes(other.getvalue())
    with pytest.raises(BadInput, match="only those"):
        open_bundle(tmp_path / "empty.zip")
