import ast
import os
from pathlib import Path

import pytest

import rlhf_desktop
from rlhf_desktop.core import files, platform
from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.files import append_jsonl, discard, fsync_file, is_disk_full, read_jsonl


def test_a_folder_that_is_held_is_not_removed_and_the_user_is_told(tmp_path, monkeypatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.setattr(files, "rename", lambda *_: (_ for _ in ()).throw(PermissionError("in use")))
    with pytest.raises(BadInput, match="“tiny” is in use"):
        discard(tmp_path / "model", "tiny")
    assert (tmp_path / "model").is_dir()


def test_what_was_left_of_an_earlier_removal_goes_with_the_next(tmp_path) -> None:
    for name in ("model", ".other.removed", ".model.removed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_bytes(b"")
    discard(tmp_path / "model", "model")
    assert list(tmp_path.iterdir()) == []


def test_lines_end_as_they_were_written_where_the_system_would_translate_them(tmp_path, monkeypatch) -> None:
    asked = []
    really = os.open

    def look(path, flags, mode=0o777):
        asked.append(flags)
        return really(path, flags & ~0x8000, mode)

    monkeypatch.setattr(files, "_BINARY", 0x8000)  # as on Windows
    monkeypatch.setattr(files.os, "open", look)
    append_jsonl(tmp_path / "rows", {"a": "é"})
    assert asked[0] & 0x8000
    assert list(read_jsonl(tmp_path / "rows")) == [{"a": "é"}]


def test_a_file_is_made_durable_through_a_handle_that_may_write(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_bytes(b"text")
    monkeypatch.setattr(files.os, "fsync", lambda fd: os.write(fd, b"T"))  # Windows refuses a handle that may only read
    fsync_file(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"Text"


def test_nothing_is_renamed_or_deleted_past_the_helpers_that_insist() -> None:
    """A folder's rename or deletion that Windows refuses for a moment would end a run; core.platform tries again."""
    package = Path(rlhf_desktop.__file__).parent
    for file in sorted(package.rglob("*.py")):
        if file == Path(platform.__file__):
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                called = ast.unparse(node.func)
                assert called not in ("shutil.rmtree", "shutil.move", "os.rename", "os.replace"), f"{file}:{node.lineno}"
                path_like = len(node.args) == 1 and node.func.attr in ("rename", "replace")
                assert not path_like, f"{file}:{node.lineno}: {called}"


def test_a_written_text_has_the_same_bytes_on_every_system() -> None:
    """Windows turns the end of each line into two bytes unless told not to: a Modelfile's template would hold both."""
    for file in sorted(Path(rlhf_desktop.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "write_text":
                told = ast.unparse(node)
                assert "utf-8" in told, f"{file}:{node.lineno}"
                assert "newline" in told or "svg" in told or file.parts[-2:] in (("cli", "main.py"), ("theme", "style.py")), told


def test_a_line_that_a_full_disk_cuts_is_not_there_and_said(tmp_path, monkeypatch):
    append_jsonl(tmp_path / "rows", {"n": 1})
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, line: write(fd, line[:5]))
    with pytest.raises(OSError, match="No space left") as full:
        append_jsonl(tmp_path / "rows", {"n": 2})
    assert is_disk_full(full.value)
    monkeypatch.undo()
    append_jsonl(tmp_path / "rows", {"n": 3})
    assert list(read_jsonl(tmp_path / "rows")) == [{"n": 1}, {"n": 3}]


@pytest.mark.parametrize("said", ["8192 requested and 4016 written", "No space left on device", "x (os error 28)"])
def test_a_full_disk_is_known_by_the_words_of_libraries(said):
    assert is_disk_full(OSError(said))
    assert is_disk_full(RuntimeError(said))
    assert not is_disk_full(OSError("5 requested"))
