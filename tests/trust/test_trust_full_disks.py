"""On a disk that fills up: one plain sentence, nothing half done, and it works again when there is room."""

import tempfile
from functools import partial

import pytest

from rlhf_desktop.core.errors import AppError
from tests.trust.full_disk_operations import OPERATIONS, copy_of, get_ready
from tests.trust.rows import HALF, RAW, STUCK
from tests.trust.small_disk import WHY_NOT, small_disk

LEVELS = 25


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    with small_disk(tmp_path_factory.mktemp("disk") / "small") as made:
        if made is None:
            pytest.skip(WHY_NOT)
        get_ready()
        yield made


@pytest.fixture(autouse=True)
def everything_on_it(disk, tmp_path, monkeypatch):
    """What is written beside the workspace, too: on most computers it is the same disk."""
    temporary = disk.folder / "temporary"
    temporary.mkdir(exist_ok=True)
    monkeypatch.setenv("RLHF_DESKTOP_STATE", str(tmp_path / "state"))
    for name in ("TMPDIR", "SQLITE_TMPDIR"):
        monkeypatch.setenv(name, str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.trust(f"full-{name}", 1)) for name in OPERATIONS])
@pytest.mark.timeout(3600)
def test_a_full_disk_is_said_and_nothing_is_half_done(disk, tmp_path, trust, tiny_model, name):
    kind, root, template = OPERATIONS[name], disk.folder / "workspace", tmp_path / "template"
    kind.prepare(template, tiny_model)
    needed = 0
    for form in (0, 1):  # the two may need as much as they like
        copy_of(template, root)
        whole = kind(form)
        needed = max(needed, disk.needs(partial(whole.do, root)))
    assert needed > 0
    for number in trust.numbers:
        level = number * 7 % LEVELS  # so that few of them are spread over all
        tried = kind(level)
        copy_of(template, root)
        disk.leave(needed * level // LEVELS)
        outcome = attempt(tried, root, trust, level)
        disk.make_room()
        trust.tried += 1
        if outcome == "done":
            check(tried.check_done(root), HALF, trust, level)
            continue
        check(tried.check_failed(root), HALF, trust, level)
        if attempt(tried, root, trust, level) != "done":
            trust.found(STUCK, level)
        check(tried.check_done(root), STUCK, trust, level)


def attempt(tried, root, trust, level) -> str:
    """Do it; whether it was done, said, or ended in something raw."""
    try:
        tried.do(root)
    except AppError as trouble:
        if not (trouble.message and trouble.hint and is_about_room(trouble)):
            trust.found(RAW, f"level {level}: {trouble!r} {trouble.hint} {trouble.detail}")
        return "said"
    except Exception as raw:
        trust.found(RAW, f"level {level}: {raw!r}")
        return "raw"
    return "done"


def is_about_room(trouble: AppError) -> bool:
    return any(words in f"{trouble.message} {trouble.hint}".lower() for words in ("disk is full", "space", "backed up"))


def check(wrong, kind, trust, level) -> None:
    for one in wrong:
        trust.found(kind, f"level {level}: {one}")
