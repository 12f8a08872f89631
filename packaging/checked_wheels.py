"""Which files pip may install: those whose SHA-256 is in packaging/hashes.txt. Needs nothing but Python's standard library.

pip is first asked what it would install (a report, without installing), each file is looked up in the list, and only then is pip
told to install exactly these files, checking what it downloads. Libraries that belong to one build of torch (NVIDIA's, AMD's,
Intel's) differ from build to build and are on no list: they are taken as the index gives them, and the set-up says so.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setup_checks import Trouble

ROOT = Path(__file__).resolve().parent.parent
HASHES = ROOT / "packaging" / "hashes.txt"
TORCHS_OWN = re.compile(r"(nvidia|cuda|triton|pytorch-triton|intel|onemkl|oneccl|dpcpp|mkl|tbb|umf|tcmlib|impi|rocm)\b.*")
BUILD_TOOL = "setuptools"


@dataclass(frozen=True)
class Checked:
    """What is to be installed: lines for pip, and the names of those that are on no list."""

    lines: tuple[str, ...]
    unlisted: tuple[str, ...] = ()


def plain(name: str) -> str:
    """A package's name as indexes write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def known(text: str) -> dict[str, tuple[str, frozenset[str]]]:
    """For each package of the list its version and the hashes of its files."""
    entries = re.findall(r"^([\w.-]+)==(\S+)((?:\s*\\\n\s+--hash=sha256:[0-9a-f]{64})+)", text, re.MULTILINE)
    return {plain(name): (version, frozenset(re.findall(r"sha256:(\w+)", rest))) for name, version, rest in entries}


def wanted(project: str, extras: Iterable[str]) -> list[str]:
    """What the program needs, as pyproject.toml has it, and what it is installed with."""
    import tomllib  # not in the Pythons that are told to be too old

    told = tomllib.loads(project)["project"]
    return [*told["dependencies"], *(each for extra in extras for each in told["optional-dependencies"][extra]), BUILD_TOOL]


def lines_for(name: str, hashes: Mapping[str, tuple[str, frozenset[str]]]) -> str:
    """The line by which pip installs a package of the list, and checks its file."""
    version, files = hashes[plain(name)]
    return " ".join([f"{name}=={version}", *(f"--hash=sha256:{each}" for each in sorted(files))])


def check(
    report: Mapping[str, Any], hashes: Mapping[str, tuple[str, frozenset[str]]], without: Collection[str] = ("torch", "pip")
) -> Checked:
    """Look up each file that pip would install.

    Args:
        report: pip's, as JSON.
        hashes: The list.
        without: What is installed apart.

    Raises:
        Trouble: a file is another than the list has, or the list has none for a package.
    """
    lines, unlisted = [], []
    for item in report["install"]:
        name, version = item["metadata"]["name"], item["metadata"]["version"]
        if plain(name) in without:
            continue
        found = item["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256", "")
        pinned, files = hashes.get(plain(name), ("", frozenset()))
        if pinned == version and (not found or found in files):
            lines.append(lines_for(name, hashes))
            continue
        if pinned == version or (not pinned and not TORCHS_OWN.fullmatch(plain(name))):
            raise Trouble(_refused(name, version, bool(pinned)))
        lines.append(f"{name}=={version}" + (f" --hash=sha256:{found}" if found else ""))
        unlisted.append(name)
    return Checked(tuple(lines), tuple(unlisted))


def _refused(name: str, version: str, listed: bool) -> str:
    what = "is another than the one this program was tested with" if listed else "is on no list of tested files"
    return (
        f"The file of {name} {version} that the package index offers {what}, so nothing was installed.\n"
        "If you use a mirror, compare it with the public index; otherwise report this before you go on."
    )
