"""Compiles guard.cpp against torch's headers and loads it, which must come before `import torch`: torch looks its hooks up once."""

import ctypes
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).with_name("guard.cpp")


def missing() -> str:
    """Why there can be no such card here, in a sentence; empty where there can."""
    if not sys.platform.startswith("linux"):
        return "The imitated card needs Linux."
    if not _built_for_cpu():
        return "The imitated card needs a build of torch for the CPU alone."
    if shutil.which("g++") is None:
        return "The imitated card needs g++, which is not installed."
    if not (_torch() / "include" / "ATen" / "detail" / "CUDAHooksInterface.h").is_file():
        return "The imitated card needs torch's headers, which this build lacks."
    return ""


@cache
def _torch() -> Path:
    spec = importlib.util.find_spec("torch")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _version() -> str:
    return (_torch() / "version.py").read_text("utf-8")


def _built_for_cpu() -> bool:
    return all(re.search(rf"^{name}\b.*= None$", _version(), re.MULTILINE) for name in ("cuda", "hip", "xpu"))


def compiled() -> Path:
    """The library, compiled half a minute long the first time, then kept for this source and this torch in the temporary folder.

    The place of this torch belongs to its name, since the library looks for torch's own there: another checkout's may be gone.
    """
    digest = hashlib.sha256(SOURCE.read_bytes() + _version().encode() + str(_torch()).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"rlhf-desktop-fakegpu-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else.")
    library = folder / f"guard-{digest}.so"
    if not library.is_file():
        part = folder / f"guard-{digest}.{os.getpid()}.part"  # tests side by side may compile it at once
        _compile(part)
        part.replace(library)
    return library


def _compile(target: Path) -> None:
    include, lib = _torch() / "include", _torch() / "lib"
    command = ["g++", "-shared", "-fPIC", "-O0", "-std=c++20", f"-I{include}", str(SOURCE), "-o", str(target)]
    subprocess.run([*command, f"-L{lib}", f"-Wl,-rpath,{lib}", "-lc10", "-ltorch_cpu"], check=True)


@cache
def load() -> ctypes.CDLL:
    """The guard, loaded."""
    if "torch" in sys.modules:
        raise ImportError("The imitated card must be imported before torch.")
    return ctypes.CDLL(str(compiled()))
