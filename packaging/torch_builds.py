"""Which build of torch runs on this machine, and what pip is asked for: a table from driver and card to build.

One version of torch comes in several builds, each made with one CUDA. A build runs on a driver that knows a CUDA of the same major
version or a newer one, and on the cards it has kernels for. On a card it has none for, torch says that there is a GPU and fails
at the first computation, so both are looked at. Needs nothing but Python's standard library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nvidia_driver import Version

TORCH = "2.13.0"
SITE = "https://download.pytorch.org/whl"  # PyTorch's own: a folder for each build
GIB = 1024**3
CPU_DISK_BYTES, CUDA_DISK_BYTES, ROCM_DISK_BYTES = 4 * GIB, 10 * GIB, 18 * GIB
CHOICES = ("auto", "cpu", "cuda", "rocm", "xpu")
AMD_DRIVER = Path("/dev/kfd")


@dataclass(frozen=True)
class Build:
    """A build for NVIDIA cards. Its name is its folder and its local version: 2.13.0+cu126."""

    name: str
    cuda: Version  # the least a driver must support: CUDA 12.x and 13.x each run on every driver of their major version
    driver: int  # the first driver that does
    cards: tuple[Version, Version]  # compute capabilities it has kernels for
    systems: tuple[str, ...]


# In order of preference. 12.6 is the last CUDA for Maxwell, Pascal and Volta and knows no Blackwell; 12.9 is built for Linux alone.
BUILDS = (
    Build("cu130", (13, 0), 580, ((7, 5), (99, 0)), ("Linux", "Windows")),
    Build("cu126", (12, 0), 525, ((5, 0), (9, 9)), ("Linux", "Windows")),
    Build("cu129", (12, 0), 525, ((7, 5), (99, 0)), ("Linux",)),
)
ORDINARY = {"Linux": "cu130", "Windows": "cpu", "Darwin": "cpu"}  # what the ordinary package index has of this version
ON_REQUEST = {"rocm": ("rocm7.2", ROCM_DISK_BYTES, ("Linux",)), "xpu": ("xpu", CUDA_DISK_BYTES, ("Linux", "Windows"))}


class NoBuild(Exception):
    """What was asked for cannot be had here; the text says why and what to do."""


@dataclass(frozen=True)
class TorchPlan:
    """What to install.

    `attempts` are arguments for pip, of which the first that works counts; `index` is where what this build needs is found too.
    """

    build: str
    attempts: tuple[tuple[str, ...], ...]
    disk_bytes: int
    remark: str = ""
    index: str = ""
    any_build: bool = False  # what is installed already will do, whichever build it is


def plan_torch(system: str, cuda: Version | None, cards: Sequence[Version] | None = None, wanted: str = "auto") -> TorchPlan:
    """Choose the build of torch.

    Args:
        system: `platform.system()`.
        cuda: The newest CUDA that the NVIDIA driver supports; None without one.
        cards: Compute capabilities of the cards; None if they are not known.
        wanted: One of `CHOICES`, or the URL of a package index.

    Raises:
        NoBuild: what is wanted cannot be had.
    """
    if "://" in wanted:
        return TorchPlan(wanted, (("--index-url", wanted, f"torch=={TORCH}"),), CUDA_DISK_BYTES, index=wanted)
    if wanted in ON_REQUEST:
        return plan_request(system, wanted)
    if wanted == "cuda":
        return plan_cuda(system, cuda, cards)
    if wanted not in CHOICES:
        raise NoBuild(f"There is no build “{wanted}” of torch: choose {', '.join(CHOICES)} or the URL of a package index.")
    build = None if wanted == "cpu" or not cuda or cards == [] else choose(system, cuda, cards)
    return (
        from_site(build, system)
        if build
        else plan_cpu(system, why_no_card(system, cuda, cards) if wanted == "auto" else "", wanted)
    )


def choose(system: str, cuda: Version, cards: Sequence[Version] | None) -> str | None:
    """The build that runs on this driver and on most of these cards; None if there is none."""
    fitting = [build for build in BUILDS if system in build.systems and cuda >= build.cuda]
    best = max(fitting, key=lambda build: runs_on(build, cards), default=None)
    return best.name if best and (cards is None or runs_on(best, cards)) else None


def runs_on(build: Build, cards: Sequence[Version] | None) -> int:
    """How many of the cards a build has kernels for."""
    least, most = build.cards
    return sum(least <= card <= most for card in cards or ())


def from_site(name: str, system: str) -> TorchPlan:
    """A build for NVIDIA cards: from the ordinary index where that has it, so that a mirror of it serves."""
    if ORDINARY.get(system) == name:
        return TorchPlan(name, ((f"torch=={TORCH}",),), CUDA_DISK_BYTES)
    return TorchPlan(name, (site_arguments(name),), CUDA_DISK_BYTES)


def site_arguments(name: str) -> tuple[str, ...]:
    """For pip: exactly this build, from its folder. Without the local version another index that pip knows might win."""
    return ("--index-url", f"{SITE}/{name}", f"torch=={TORCH}+{name}")


def plan_cpu(system: str, remark: str, wanted: str) -> TorchPlan:
    """The build without a GPU. The ordinary one also computes on the processor, and serves where PyTorch's site is not reached."""
    ordinary = (f"torch=={TORCH}",)
    attempts = (ordinary,) if ORDINARY.get(system) == "cpu" else (site_arguments("cpu"), ordinary)
    return TorchPlan("cpu", attempts, CPU_DISK_BYTES, remark, any_build=wanted == "auto")


def plan_cuda(system: str, cuda: Version | None, cards: Sequence[Version] | None) -> TorchPlan:
    """NVIDIA by request: what fits the driver, and without one (it may come later) the newest."""
    if system == "Darwin":
        raise NoBuild("There is no torch for NVIDIA cards on a Mac; the ordinary one uses Apple's GPU: --torch auto.")
    if cuda is None:
        return from_site(BUILDS[0].name, system)
    build = choose(system, cuda, cards or None)
    if build is None:
        raise NoBuild(why_no_card(system, cuda, cards))
    return from_site(build, system)


def plan_request(system: str, wanted: str) -> TorchPlan:
    """AMD's and Intel's builds."""
    name, disk_bytes, systems = ON_REQUEST[wanted]
    if system not in systems:
        raise NoBuild(f"torch {TORCH} for {wanted} exists for {' and '.join(systems)} only: use --torch auto.")
    return TorchPlan(name, (site_arguments(name),), disk_bytes, index=f"{SITE}/{name}")


def why_no_card(system: str, cuda: Version | None, cards: Sequence[Version] | None) -> str:
    """One sentence: why the processor is used, and what would change that."""
    if system == "Darwin":
        return ""  # the ordinary build has Apple's GPU in it
    if cuda is None or cards == []:
        what = "No NVIDIA driver was found" if cuda is None else "The NVIDIA driver finds no card"
        amd = "; for an AMD card start once with --torch rocm" if AMD_DRIVER.exists() else ""
        return f"{what}: the processor is used{amd}."
    oldest = min(build.cards[0] for build in BUILDS)
    if cards and max(cards) < oldest:
        have = f"This NVIDIA card has compute capability {said(max(cards))}"
        return f"{have}, and torch {TORCH} needs {said(oldest)}: the processor is used."
    need = least_build(system, cards)
    return (
        f"This NVIDIA driver supports CUDA {said(cuda)}, and torch {TORCH} needs {said(need.cuda)} or newer: "
        f"the processor is used until the driver is updated to {need.driver} or newer."
    )


def least_build(system: str, cards: Sequence[Version] | None) -> Build:
    """The build with the least demands on the driver that would run on one of the cards."""
    able = [build for build in BUILDS if system in build.systems and (not cards or runs_on(build, cards))]
    return min(able, key=lambda build: build.driver)


def said(version: Version) -> str:
    """A version as one writes it."""
    return ".".join(map(str, version))
