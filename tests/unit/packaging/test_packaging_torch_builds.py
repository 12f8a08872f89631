"""Each driver gets the build of torch that runs on it: by the table, and by pip's own choice among the wheels there are."""

import json
import os
import subprocess
import sys

import pytest

from tests.unit.packaging.drivers import DRIVERS
from tests.unit.packaging.wheel_index import LINUX, MAC, WINDOWS, indexes

PLATFORM = {"Linux": LINUX, "Windows": WINDOWS, "Darwin": MAC}
AMPERE, PASCAL, BLACKWELL, KEPLER = (8, 6), (6, 1), (12, 0), (3, 5)


@pytest.fixture(scope="module")
def index(packaging, tmp_path_factory):
    """The wheels of torch on this machine: the addresses of the ordinary index and of PyTorch's site."""
    with indexes(tmp_path_factory.mktemp("wheels")) as (ordinary, site), pytest.MonkeyPatch.context() as patched:
        patched.setattr(packaging["torch_builds"], "SITE", site)
        yield ordinary


def resolved(index, plan, system):
    """The wheel pip takes, in a dry run as if on that system."""
    environment = {name: value for name, value in os.environ.items() if not name.upper().startswith("PIP_")}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": index, "PIP_NO_CACHE_DIR": "1", "NO_PROXY": "127.0.0.1"}
    place = ["--target", "nowhere", "--platform", PLATFORM[system], "--python-version", "3.12", "--only-binary", ":all:"]
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--quiet",
        "--no-deps",
        "--disable-pip-version-check",
        "--report",
        "-",
    ]
    result = subprocess.run([*command, *place, *plan.attempts[0]], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    (found,) = json.loads(result.stdout)["install"]
    return found["download_info"]["url"].rpartition("/")[2].replace("%2B", "+")


@pytest.mark.parametrize(
    ("name", "wheel"),
    [
        ("470", "torch-2.13.0+cpu-cp312-cp312-manylinux_2_28_x86_64.whl"),
        ("525", "torch-2.13.0+cu126-cp312-cp312-manylinux_2_28_x86_64.whl"),
        ("570", "torch-2.13.0+cu126-cp312-cp312-manylinux_2_28_x86_64.whl"),
        ("580", "torch-2.13.0-cp312-cp312-manylinux_2_28_x86_64.whl"),  # made with CUDA 13.0
        ("610", "torch-2.13.0-cp312-cp312-manylinux_2_28_x86_64.whl"),
        ("none", "torch-2.13.0+cpu-cp312-cp312-manylinux_2_28_x86_64.whl"),
    ],
)
def test_pip_takes_the_build_that_runs_on_each_driver(index, torch_builds, name, wheel):
    driver = DRIVERS[name]
    plan = torch_builds.plan_torch("Linux", driver and driver.cuda, driver and [AMPERE])
    assert resolved(index, plan, "Linux") == wheel


@pytest.mark.parametrize(
    ("system", "cuda", "wanted", "wheel"),
    [
        ("Windows", None, "auto", "torch-2.13.0-cp312-cp312-win_amd64.whl"),
        ("Windows", (12, 8), "auto", "torch-2.13.0+cu126-cp312-cp312-win_amd64.whl"),
        ("Windows", (13, 3), "auto", "torch-2.13.0+cu130-cp312-cp312-win_amd64.whl"),
        ("Darwin", None, "auto", "torch-2.13.0-cp312-cp312-macosx_14_0_arm64.whl"),
        ("Linux", None, "rocm", "torch-2.13.0+rocm7.2-cp312-cp312-manylinux_2_28_x86_64.whl"),
        ("Windows", None, "xpu", "torch-2.13.0+xpu-cp312-cp312-win_amd64.whl"),
        ("Linux", (13, 0), "cpu", "torch-2.13.0+cpu-cp312-cp312-manylinux_2_28_x86_64.whl"),
    ],
)
def test_pip_takes_the_build_of_each_system_and_request(index, torch_builds, system, cuda, wanted, wheel):
    assert resolved(index, torch_builds.plan_torch(system, cuda, None, wanted), system) == wheel


@pytest.mark.parametrize(
    ("system", "cuda", "cards", "build"),
    [
        ("Linux", (13, 0), [PASCAL], "cu126"),  # CUDA 13 has nothing for it, however new the driver
        ("Linux", (13, 0), [PASCAL, AMPERE], "cu126"),  # both
        ("Linux", (13, 0), [BLACKWELL, PASCAL], "cu130"),  # one of them
        ("Linux", (12, 8), [BLACKWELL], "cu129"),  # CUDA 12.6 does not know it
        ("Windows", (12, 8), [BLACKWELL], "cpu"),  # and 12.9 is not built for Windows
        ("Linux", (12, 8), None, "cu126"),
        ("Linux", (13, 0), [KEPLER], "cpu"),
        ("Linux", (13, 0), [], "cpu"),
    ],
)
def test_the_cards_count_too(torch_builds, system, cuda, cards, build):
    assert torch_builds.plan_torch(system, cuda, cards).build == build


@pytest.mark.parametrize(
    ("system", "cuda", "cards", "remark"),
    [
        ("Linux", (11, 4), None, "supports CUDA 11.4, and torch 2.13.0 needs 12.0 or newer: the processor is used until"),
        ("Windows", (12, 8), [BLACKWELL], "the processor is used until the driver is updated to 580 or newer."),
        ("Linux", (11, 4), [KEPLER], "compute capability 3.5, and torch 2.13.0 needs 5.0: the processor is used."),
        ("Linux", (13, 0), [], "The NVIDIA driver finds no card: the processor is used"),
        ("Linux", None, None, "No NVIDIA driver was found: the processor is used"),
    ],
)  # fmt: skip
def test_why_the_processor_is_used_is_one_true_sentence(torch_builds, system, cuda, cards, remark):
    said = torch_builds.plan_torch(system, cuda, cards).remark
    assert remark in said
    assert said.count(": ") <= 1
    assert "\n" not in said


def test_a_card_that_is_used_needs_no_remark(torch_builds):
    assert torch_builds.plan_torch("Linux", (13, 0), [AMPERE]).remark == ""
    assert torch_builds.plan_torch("Darwin", None).remark == ""


def test_the_processors_build_takes_less_and_has_a_second_way(torch_builds):
    plan = torch_builds.plan_torch("Linux", None)
    assert plan.disk_bytes < torch_builds.plan_torch("Linux", (13, 0)).disk_bytes
    assert plan.attempts[-1] == ("torch==2.13.0",)


def test_the_users_index_wins(torch_builds):
    plan = torch_builds.plan_torch("Linux", (13, 0), None, "https://example.org/simple")
    assert plan.attempts == (("--index-url", "https://example.org/simple", "torch==2.13.0"),)


def test_nvidia_by_request_needs_a_driver_that_is_new_enough_or_none_yet(torch_builds):
    assert torch_builds.plan_torch("Windows", None, None, "cuda").build == "cu130"
    assert torch_builds.plan_torch("Linux", (12, 0), [], "cuda").build == "cu126"
    with pytest.raises(torch_builds.NoBuild, match="updated to 525 or newer"):
        torch_builds.plan_torch("Linux", (11, 4), None, "cuda")


@pytest.mark.parametrize(
    ("system", "wanted", "said"),
    [
        ("Windows", "rocm", "for rocm exists for Linux only"),
        ("Darwin", "xpu", "for xpu exists for Linux and Windows only"),
        ("Darwin", "cuda", "no torch for NVIDIA cards on a Mac"),
        ("Linux", "opencl", "no build “opencl” of torch: choose auto, cpu, cuda, rocm, xpu or the URL"),
    ],
)
def test_what_cannot_be_had_is_said(torch_builds, system, wanted, said):
    with pytest.raises(torch_builds.NoBuild, match=said):
        torch_builds.plan_torch(system, None, None, wanted)


def test_an_amd_card_is_told_how_it_can_be_used(torch_builds, monkeypatch, tmp_path):
    monkeypatch.setattr(torch_builds, "AMD_DRIVER", tmp_path)
    assert "--torch rocm" in torch_builds.plan_torch("Linux", None).remark
