"""What must be there before anything is installed, and what pip's failures mean: one sentence each, with the remedy.

Needs nothing but Python's standard library, and reads under older Pythons than the program needs.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch_builds import GIB, TORCH

LEAST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 14)  # the newest that this torch is built for
LEAST_MACOS = 14

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


class Trouble(Exception):
    """Something is missing; the text says what, and the command that mends it."""


def check_python(version: Sequence[int]) -> None:
    """Refuse a Python that is too old, or newer than the packages it would need."""
    have = ".".join(map(str, version[:2]))
    if tuple(version[:2]) < LEAST_PYTHON:
        need = ".".join(map(str, LEAST_PYTHON))
        raise Trouble(
            f"This program needs Python {need} or newer; this is Python {have}.\n"
            f"Install a newer one (on Debian: sudo apt install python{need} python{need}-venv), then: {start_with(need)}"
        )
    if tuple(version[:2]) > NEWEST_PYTHON:
        newest = ".".join(map(str, NEWEST_PYTHON))
        raise Trouble(
            f"torch {TORCH} is not built for Python {have} yet; the newest Python that works is {newest}.\n"
            f"Install Python {newest} beside this one, then: {start_with(newest)}"
        )


def start_with(python: str) -> str:
    """The command that starts with another Python."""
    return f"py -{python} packaging\\setup_env.py run" if platform.system() == "Windows" else f"make PYTHON=python{python} run"


def check_machine(system: str, machine: str, macos: str = "", *, translated: bool = False, bits: int = 64) -> None:
    """Refuse at once a machine that this torch is not built for.

    Args:
        system: `platform.system()`.
        machine: `platform.machine()`: of the Python, which on a Mac may be another than the computer's.
        macos: The version of macOS.
        translated: Whether this is an Intel Python on an Apple-silicon Mac.
        bits: Of the Python.
    """
    if bits < 64:
        raise Trouble(f"This Python has {bits} bits, and torch needs 64.\nInstall the 64-bit Python, then start again.")
    if system == "Darwin" and translated:
        raise Trouble(
            "This Python is made for Intel Macs, and this Mac is not one.\nInstall one for Apple silicon, then start again."
        )
    if system == "Darwin" and machine != "arm64":
        raise Trouble(
            f"torch {TORCH} is not made for Macs with an Intel processor (2.2.2 was the last).\n"
            "Use a Mac with Apple silicon, or a computer with Linux or Windows."
        )
    if system == "Darwin" and macos and int(macos.split(".")[0]) < LEAST_MACOS:
        raise Trouble(f"torch {TORCH} needs macOS {LEAST_MACOS}; this is {macos}.\nUpdate macOS, then start again.")
    if system == "Windows" and machine.upper() == "ARM64":
        raise Trouble(
            f"torch {TORCH} is not made for Windows on ARM.\nInstall the x64 Python, which runs there too, then start again."
        )


def check_this_machine() -> None:
    """`check_machine` of where this runs."""
    system = platform.system()
    bits = 64 if sys.maxsize > 2**32 else 32
    check_machine(system, platform.machine(), platform.mac_ver()[0], translated=system == "Darwin" and is_translated(), bits=bits)


def is_translated() -> bool:
    """Whether macOS translates this Python from Intel's instructions."""
    said = subprocess.run(["sysctl", "-n", "sysctl.proc_translated"], capture_output=True, text=True, check=False)
    return said.stdout.strip() == "1"


def check_writable(folders: Sequence[Path]) -> None:
    """Refuse a folder in which nothing can be written, by trying."""
    for folder in folders:
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as problem:
            raise Trouble(unwritable(folder, problem)) from None


def unwritable(path: Path | str, problem: OSError) -> str:
    """Why a file or folder cannot be written, and what mends it."""
    owner = "" if os.name == "nt" else f", or make it yours: sudo chown -R $USER {path}"
    return (
        f"{path} cannot be written ({problem.strerror or problem}).\n"
        f"Copy the program to a folder of your own and start it there{owner}"
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


def library_in(text: str) -> str | None:
    """The shared library that a loader's message says is missing."""
    found = re.search(r"(lib[\w+.-]+\.so(?:\.\d+)*): cannot open shared object file", text)
    return found[1] if found else None


def has_display(environment: Mapping[str, str], system: str) -> bool:
    """Whether a window can open."""
    return system in ("Windows", "Darwin") or bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


# --- what pip's failures mean -------------------------------------------------------------------------------------------------

# The first that is found in what pip said. A proxy and a certificate come before the network: they look like one another.
REMEDIES = (
    (
        r"No space left on device|not enough space|Errno 28\b|Errno 122\b",
        "The disk is full: free some space, then start again.",
    ),
    (
        r"WinError 32\b",
        "A file is in use: close RLHF Desktop and whatever else runs from its folder, then start again.",
    ),
    (
        r"Errno 13\b|Errno 30\b|WinError 5\b|Permission denied|Read-only file system",
        "The environment cannot be written: close RLHF Desktop, delete the folder .venv (or make it yours), then start again.",
    ),
    (r"Errno 36\b|WinError 206|Long Path", "A path is too long: move the program to a folder with a short path, then start again."),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLCertVerificationError|SSLError",
        "The package index's certificate is not trusted, as behind a network that inspects traffic: set PIP_CERT to the file with "
        "your organisation's certificates, then start again.",
    ),
    (
        r"ProxyError|Tunnel connection failed|407 Proxy|Cannot connect to proxy|Missing dependencies for SOCKS",
        "The proxy did not let this through: set HTTPS_PROXY to http://USER:PASSWORD@HOST:PORT (or unset it), then start again.",
    ),
    (
        r"NewConnectionError|NameResolutionError|Could not fetch URL|Temporary failure in name resolution|getaddrinfo failed"
        r"|Network is unreachable|ConnectTimeout|ReadTimeout|Read timed out|Connection refused|Connection reset|Connection aborted"
        r"|IncompleteRead|Max retries exceeded",
        "The package index could not be reached: check the network or pip's index setting, then start again.",
    ),
    (
        r"HTTP error 40[13]|\b40[13] Client Error",
        "The package index refused: check name and password in pip's index setting.",
    ),
    (
        r"DO NOT MATCH THE HASHES|HashMismatch",
        "A file that was downloaded is not the one this program was tested with, so it was not installed: start again, and if that "
        "does not help, compare your package index or mirror with the public one.",
    ),
    (
        r"No matching distribution found for torch\b",
        f"The package index has no torch {TORCH} for this computer and Python: take another with --torch, or mend pip's settings.",
    ),
)


def explain_failure(log: str, log_file: Path | str) -> str:
    """What went wrong in pip, in its last words and ours."""
    errors = [line for line in log.splitlines() if re.match(r"\s*(ERROR|error|fatal)", line)][-3:] or log.splitlines()[-3:]
    found = [remedy for pattern, remedy in REMEDIES if re.search(pattern, log)]
    remedy = found[0] if found else "Start again to go on from this step."
    return "\n".join([*errors, remedy, f"All of what pip said: {log_file}"])
