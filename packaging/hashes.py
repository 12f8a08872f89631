"""Writes packaging/hashes.txt: the SHA-256 of every wheel of each version in constraints.txt, for the systems of this program.

    .venv/bin/python packaging/hashes.py

Asks the package index that pip is set up with, by pip's own client, about the pinned packages and no others. Run it after a pin was
changed, and look at the difference: only the packages that were meant may change. Of torch the builds of the ordinary index are
listed.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from pip._internal.commands.download import DownloadCommand
from pip._internal.index.collector import parse_links
from pip._internal.models.link import Link
from pip._vendor.packaging.tags import Tag
from pip._vendor.packaging.utils import InvalidWheelFilename, parse_wheel_filename
from pip._vendor.packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS, HASHES = ROOT / "packaging" / "constraints.txt", ROOT / "packaging" / "hashes.txt"
NEWEST = 14  # Python 3.11 to 3.14
PYTHONS = {"cp311", "cp312", "cp313", "cp314", "py3", "py2.py3", "py311", "py312", "py313", "py314"}
SYSTEMS = re.compile(r"any|(manylinux.*|linux)_(x86_64|aarch64)|win_(amd64|arm64)|macosx_.*")
HEAD = (
    "# Written by packaging/hashes.py: the files of the versions in constraints.txt. packaging/setup_env.py installs no others.\n"
)


def pinned() -> dict[str, str]:
    """Every pinned package with its version."""
    lines = (line.split("#")[0].split(";")[0].strip() for line in CONSTRAINTS.read_text("utf-8").splitlines())
    return dict(line.split("==", 1) for line in lines if "==" in line)


def fits(tag: Tag) -> bool:
    """Whether a wheel for this tag may be installed on one of the systems."""
    older = tag.abi == "abi3" and re.fullmatch(r"cp3\d+", tag.interpreter) and int(tag.interpreter[3:]) <= NEWEST
    return bool((tag.interpreter in PYTHONS or older) and SYSTEMS.fullmatch(tag.platform) and not tag.abi.endswith("t"))


def wanted(link: Link, version: Version) -> bool:
    """Whether a file of the index is a wheel of this version that fits."""
    try:
        _, found, _, tags = parse_wheel_filename(link.filename)
    except InvalidWheelFilename:
        return False
    return found == version and any(map(fits, tags))


def files(command: DownloadCommand, addresses: list[str], name: str) -> Iterator[Link]:
    """What the index has of a package."""
    options, _ = command.parse_args([name])
    with command.main_context():
        session = command.get_default_session(options)
        collector = command._build_package_finder(options, session)._link_collector
        for address in addresses:
            page = collector.fetch_response(Link(f"{address.rstrip('/')}/{re.sub(r'[-_.]+', '-', name).lower()}/"))
            yield from parse_links(page) if page else ()


def hashes(command: DownloadCommand, addresses: list[str], name: str, version: str) -> list[str]:
    """The SHA-256 of each file that fits; of the source where there is no wheel at all."""
    links = list(files(command, addresses, name))
    chosen = [link for link in links if wanted(link, Version(version))]
    source = [link for link in links if link.filename.lower().endswith(f"-{version}.tar.gz")]
    return sorted({link.hash for link in chosen or source if link.hash_name == "sha256" and link.hash})


def main() -> None:
    """Ask for each, then write all."""
    command = DownloadCommand("download", "")
    options, _ = command.parse_args(["nothing"])
    addresses = [options.index_url]
    lines = [HEAD]
    for name, version in sorted(pinned().items(), key=lambda pair: pair[0].lower()):
        found = hashes(command, addresses, name, version)
        if not found:
            raise SystemExit(f"The index has no file of {name} {version}.")
        lines.append(" \\\n    ".join([f"{name}=={version}", *(f"--hash=sha256:{each}" for each in found)]) + "\n")
        print(f"{name} {version}: {len(found)}", file=sys.stderr)
    HASHES.write_text("".join(lines), "utf-8")


if __name__ == "__main__":
    main()
