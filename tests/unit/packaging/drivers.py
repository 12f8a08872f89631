"""Six generations of NVIDIA's driver, imitated: what its tool prints, and the library it brings."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

CARD = {(8, 6): "NVIDIA GeForce RTX 3060"}
OLD = """\
+-----------------------------------------------------------------------------+
| NVIDIA-SMI {driver:<11}  Driver Version: {driver:<11}  CUDA Version: {cuda:<8} |
|-------------------------------+----------------------+----------------------+
|   0  NVIDIA GeForce ...  Off  | 00000000:01:00.0  On |                  N/A |
"""
NEW = """\
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI {driver:<23} Driver Version: {driver:<14} CUDA Version: {cuda:<8} |
+-----------------------------------------+------------------------+----------------------+
|   0  NVIDIA GeForce RTX 3060        Off |   00000000:01:00.0  On |                  N/A |
"""
NEWEST = """\
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI {driver:<22} KMD Version: {driver:<13} CUDA UMD Version: {cuda:<8} |
+-----------------------------------------+------------------------+----------------------+
|   0  NVIDIA GeForce RTX 3060        Off |   00000000:01:00.0  On |                  N/A |
"""


@dataclass(frozen=True)
class Driver:
    """A generation. `knows_capability`: whether its tool can be asked for it."""

    version: str
    cuda: tuple[int, int]
    banner: str
    knows_capability: bool = True

    def banner_text(self) -> str:
        return self.banner.format(driver=self.version, cuda=".".join(map(str, self.cuda)))


DRIVERS = {
    "470": Driver("470.256.02", (11, 4), OLD, knows_capability=False),
    "525": Driver("525.147.05", (12, 0), OLD),
    "570": Driver("570.211.01", (12, 8), NEW),
    "580": Driver("580.126.09", (13, 0), NEW),
    "610": Driver("610.43.02", (13, 3), NEWEST),
    "none": None,
}


def install_tool(driver: Driver | None, folder: Path, capability: str = "8.6") -> str:
    """An `nvidia-smi` of this driver in a folder; returns the search path that finds it alone."""
    folder.mkdir(exist_ok=True)
    if driver is not None:
        (folder / "banner").write_text(driver.banner_text(), "utf-8")
        answer = (
            f"echo {capability}"
            if driver.knows_capability
            else 'echo "Field \\"compute_cap\\" is not a valid field to query."; exit 2'
        )
        script = (
            f'#!/bin/sh\nif [ $# -gt 0 ]; then {answer}; else while read -r line; do echo "$line"; done < {folder}/banner; fi\n'
        )
        tool = folder / "nvidia-smi"
        tool.write_text(script, "utf-8")
        tool.chmod(0o755)
    return str(folder)


LIBRARY = """
static int cards = {cards};
int cuDriverGetVersion(int *version) {{ *version = {number}; return 0; }}
int cuInit(unsigned flags) {{ return cards ? 0 : 100; }}
int cuDeviceGetCount(int *count) {{ *count = cards; return 0; }}
int cuDeviceGetAttribute(int *value, int which, int card) {{
  *value = which == 75 ? {major} : which == 76 ? {minor} : -1;
  return 0;
}}
"""


def build_library(driver: Driver, folder: Path, capability: tuple[int, int] = (8, 6), cards: int = 1) -> Path:
    """A `libcuda.so.1` of this driver."""
    folder.mkdir(exist_ok=True)
    source, library = folder / "cuda.c", folder / "libcuda.so.1"
    number = driver.cuda[0] * 1000 + driver.cuda[1] * 10
    source.write_text(LIBRARY.format(cards=cards, number=number, major=capability[0], minor=capability[1]), "utf-8")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True, env={"PATH": os.defpath})
    return library
