"""A built package has all it needs: the guide and its pictures, icons, fonts, prompts and probes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rlhf_desktop.core.paths import resources_dir

ROOT = Path(__file__).parents[3]


@pytest.fixture
def built(tmp_path):
    """The package as a wheel would hold it, from a copy: a build leaves files beside what it builds."""
    source, target = tmp_path / "source", tmp_path / "built"
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        (source / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(ROOT / "resources", source / "resources")
    shutil.copytree(ROOT / "rlhf_desktop" / "core", source / "rlhf_desktop" / "core")
    shutil.copy(ROOT / "rlhf_desktop" / "__init__.py", source / "rlhf_desktop")
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(target)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return target


def test_every_resource_is_in_the_package_and_found_there(built):
    inside = built / "rlhf_desktop" / "resources"
    wanted = {file.relative_to(resources_dir()) for file in resources_dir().rglob("*") if file.is_file()}
    assert {file.relative_to(inside) for file in inside.rglob("*") if file.is_file()} == wanted
    assert Path("guide/pictures/chat.png") in wanted
    (built / "resources").mkdir()  # of another package, in the same folder
    say = "from rlhf_desktop.core.paths import resources_dir; print(resources_dir())"
    told = subprocess.run(
        [sys.executable, "-c", say],
        cwd=built,
        env={**os.environ, "PYTHONPATH": str(built)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(told.stdout.strip()) == inside
