"""Writes resources/NOTICE.md: the licence of every library in constraints.txt, of the fonts, the icons and the starter model.

    .venv/bin/python packaging/licences.py

A library whose licence is not on the reviewed list stops it: read the licence, then add it here with a word on what it asks for.
What is not installed on this system (a library for another one) keeps the row it has.
"""

import importlib.metadata
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTICE = ROOT / "resources" / "NOTICE.md"
CONSTRAINTS = ROOT / "packaging" / "constraints.txt"

REVIEWED = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CNRI-Python",
    "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "Unlicense", "Zlib", "LGPL-2.1-or-later", "LGPL-3.0-only",
    "GPL-3.0-or-later",  # krippendorff alone: who hands the program on together with it does so under the GPL
}  # fmt: skip
"""SPDX names of licences somebody has read. The LGPL ones are used as separate libraries, which anybody may exchange."""

KNOWN = {  # what a package's own data leaves open or says in other words
    "sqlcipher3": "Zlib",
    "click-default-group": "BSD-3-Clause",  # its file; its classifier says Public Domain
    "scipy": "BSD-3-Clause",
    "pywin32-ctypes": "BSD-3-Clause",
    "pyenchant": "LGPL-2.1-or-later",
    "MIT License": "MIT",
    "BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "ISC License (ISCL)": "ISC",
    "Public Domain": "Unlicense",
    "DFSG approved; MIT License": "MIT",
    "LGPL-3.0-only OR GPL-2.0-only OR GPL-3.0-only": "LGPL-3.0-only",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.1-or-later",
}

OURS = (
    ("RLHF Desktop", "", "Apache-2.0"),
    ("SmolLM2-135M-Instruct, the starter model", "", "Apache-2.0"),
    ("Inter, a font", "", "OFL-1.1"),
    ("JetBrains Mono, a font", "", "OFL-1.1"),
    ("Icons, drawn for this program in the manner of Lucide", "", "Apache-2.0"),
)


def pinned() -> dict[str, str]:
    """Every library in constraints.txt with its version."""
    lines = (line.split("#")[0].split(";")[0].strip() for line in CONSTRAINTS.read_text("utf-8").splitlines())
    return dict(line.split("==", 1) for line in lines if "==" in line)


def licence_of(name: str) -> str | None:
    """The SPDX expression of an installed library; None: it is not installed here."""
    if name in KNOWN:
        return KNOWN[name]
    try:
        told = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    classified = "; ".join(
        each.split(" :: ")[-1]
        for each in told.get_all("Classifier") or []
        if each.startswith("License ::") and each.count("::") > 1
    )
    said = told.get("License-Expression") or classified or (told.get("License") or "").splitlines()[0:1]
    said = said if isinstance(said, str) else "".join(said)
    return KNOWN.get(said, said)


def unreviewed(expression: str) -> list[str]:
    """The parts of an SPDX expression that nobody has read. Of an “A OR B” one is enough."""
    choices = [[part for part in re.split(r" AND ", choice) if part not in REVIEWED] for choice in expression.split(" OR ")]
    return min(choices, key=len)


def rows() -> list[tuple[str, str, str]]:
    """Name, version and licence of all."""
    before = dict(re.findall(r"^\| ([^|]+?) \| [^|]* \| ([^|]+?) \|$", NOTICE.read_text("utf-8"), re.M)) if NOTICE.exists() else {}
    found = []
    for name, version in sorted(pinned().items(), key=lambda item: item[0].lower()):
        licence = licence_of(name) or before.get(name, "")
        if not licence or unreviewed(licence):
            raise SystemExit(f"{name}: “{licence}” is not on the reviewed list in {Path(__file__).name}.")
        found.append((name, version, licence))
    return [*OURS, *found]


def notice() -> str:
    """The page."""
    lines = [f"| {name} | {version} | {licence} |" for name, version, licence in rows()]
    head = (
        "# Licences\n\nRLHF Desktop is built on open software, with thanks. `packaging/licences.py` writes this page; the versions "
        "are those the program\nis tested with. krippendorff is under the GPL: who hands the program on together with it does so "
        "under the GPL.\n\n| what | version | licence |\n|---|---|---|\n"
    )
    return head + "\n".join(lines) + "\n"


if __name__ == "__main__":
    NOTICE.write_text(notice(), "utf-8")
    print(f"{len(rows())} rows are in {NOTICE.relative_to(ROOT)}.", file=sys.stderr)
