"""Packed files, archives and folders: read where they lie, and refused where they mean harm."""

import bz2
import gzip
import io
import json
import lzma
import os
import zipfile

import pytest
import zstandard

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.feedback.formats import read_feedback
from rlhf_desktop.feedback.formats import unpacking as u
from rlhf_desktop.feedback.formats.containers import read_items, understanding_of
from rlhf_desktop.feedback.formats.parquet import write_parquet
from rlhf_desktop.feedback.rows import RankingRow

ROWS = [{"prompt": f"{n}?", "chosen": "yes", "rejected": "no"} for n in "ABC"]
MEANT = [RankingRow([{"role": "user", "content": f"{n}?"}], ("yes", "no"), (1, 2)) for n in "ABC"]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
TABLE = b"prompt;chosen;rejected\n" + b"".join(f"{row['prompt']};yes;no\n".encode() for row in ROWS)
PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstandard.ZstdCompressor().compress}


def parquet():
    out = io.BytesIO()
    write_parquet(out, ROWS)
    return out.getvalue()


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("name", ["d.jsonl", "d.json", "d.csv", "d.parquet", "d"])
def test_packed_files_are_read_as_what_is_in_them(tmp_path, packer, name):
    content = {"d.json": json.dumps(ROWS, indent=1).encode(), "d.csv": TABLE, "d.parquet": parquet()}.get(name, LINES)
    path = tmp_path / f"{name}.{packer}"
    path.write_bytes(PACKERS[packer](content))
    assert list(read_feedback(path)) == MEANT
    assert max(item.read_bytes for item in read_items(path)) <= path.stat().st_size


def test_frames_and_members_one_after_the_other_are_all_read(tmp_path):
    for kind in ("gz", "zst"):
        path = tmp_path / f"d.jsonl.{kind}"
        path.write_bytes(PACKERS[kind](LINES[:50]) + PACKERS[kind](LINES[50:]))
        assert list(read_feedback(path)) == MEANT


def test_a_zip_with_one_file_is_that_file(tmp_path):
    path = zipped(tmp_path / "d.zip", {"__MACOSX/._d.csv": b"junk", "data/": b"", "data/d.csv": TABLE, "data/picture.png": b"x"})
    assert list(read_feedback(path)) == MEANT


def test_a_zip_with_several_files_is_read_in_the_order_of_names(tmp_path):
    path = zipped(tmp_path / "d.zip", {"b.csv": TABLE, "a.jsonl": LINES + b"oops\n", "c.parquet": parquet()})
    rows = list(read_feedback(path))
    assert [row for row in rows if isinstance(row, RankingRow)] == MEANT * 3
    assert [(row.line, row.reason) for row in rows if not isinstance(row, RankingRow)] == [(4, "a.jsonl: it is not JSON")]
    assert understanding_of(path).notes == ("3 files are read.",)


def test_a_folder_is_read_like_an_archive_and_links_are_not_followed(tmp_path):
    folder = tmp_path / "kept"
    (folder / "deep" / ".hidden").mkdir(parents=True)
    (folder / "deep" / "d.csv").write_bytes(TABLE)
    (folder / "deep" / ".hidden" / "e.csv").write_bytes(TABLE)
    (folder / "a.jsonl").write_bytes(LINES)
    (folder / "photo.jpg").write_bytes(b"x")
    (folder / "round").symlink_to(folder)
    (folder / "z.jsonl").symlink_to(folder / "a.jsonl")
    assert list(read_feedback(folder)) == MEANT * 2


@pytest.mark.parametrize("name", ["../evil.jsonl", "/etc/evil.jsonl", "a/../../evil.jsonl", "C:\\evil.jsonl", "..\\evil.jsonl"])
def test_an_archive_that_names_a_file_outside_itself_is_refused(tmp_path, name):
    with pytest.raises(BadInput, match="outside itself"):
        list(read_items(zipped(tmp_path / "d.zip", {name: LINES})))


def test_an_archive_with_a_link_is_refused(tmp_path):
    link = zipfile.ZipInfo("d.jsonl")
    link.external_attr = (0o120777) << 16
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(BadInput, match="outside itself"):
        list(read_items(tmp_path / "d.zip"))


@pytest.mark.parametrize("packer", PACKERS)
def test_what_grows_beyond_measure_is_given_up(tmp_path, monkeypatch, packer):
    monkeypatch.setattr(u, "_SMALL_BYTES", 100_000)
    path = tmp_path / f"bomb.jsonl.{packer}"
    path.write_bytes(PACKERS[packer](b'{"a": 1}\n' + b" " * 10**7))
    with pytest.raises(BadInput, match="beyond measure"):
        list(read_items(path))


def test_a_zip_or_workbook_that_grows_beyond_measure_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(u, "_SMALL_BYTES", 100_000)
    for files in ({"d.jsonl": b" " * 10**7}, {"xl/workbook.xml": b" " * 10**7}):
        with pytest.raises(BadInput, match="beyond measure"):
            list(read_items(zipped(tmp_path / "d.zip", files)))


@pytest.mark.parametrize("packer", PACKERS)
def test_a_packed_file_that_was_cut_off_is_said_to_be_damaged(tmp_path, packer):
    path = tmp_path / f"d.jsonl.{packer}"
    whole = PACKERS[packer](os.urandom(5000).hex().encode())
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match=r"is damaged|is empty"):
        list(read_items(path))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("f.7z", b"7z\xbc\xaf\x27\x1c....", "7z archive"),
        ("f.rar", b"Rar!\x1a\x07", "RAR archive"),
        ("f.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1...", "old Excel workbook"),
        ("webui.db", b"SQLite format 3\x00...", "database"),
        ("f.pdf", b"%PDF-1.7", "PDF document"),
        ("f.tar.gz", gzip.compress(b"x" * 600, mtime=0), "tar archive"),
    ],
)
def test_what_is_not_read_is_named(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=said) as refused:
        list(read_items(tmp_path / name))
    assert refused.value.hint


def test_opendocument_and_locked_archives_are_named(tmp_path):
    with pytest.raises(BadInput, match="OpenDocument"):
        list(read_items(zipped(tmp_path / "f.ods", {"mimetype": b"x", "content.xml": b"<a/>"})))
    path = zipped(tmp_path / "locked.zip", {"d.jsonl": LINES})
    raw = bytearray(path.read_bytes())
    place = raw.index(b"PK\x01\x02")
    raw[place + 8] |= 1
    path.write_bytes(raw)
    with pytest.raises(BadInput, match="password"):
        list(read_items(path))


def test_a_folder_or_archive_without_data_is_said_to_have_none(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"x")
    for path in (tmp_path, zipped(tmp_path / "d.zip", {"photo.jpg": b"x"})):
        with pytest.raises(BadInput, match="holds no file"):
            list(read_items(path))
