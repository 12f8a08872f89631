"""The driver is recognised in every generation, from its tool and from its library."""

import shutil
import sys

import pytest

from tests.unit.packaging.drivers import DRIVERS, build_library, install_tool

THERE = [name for name in DRIVERS if name != "none"]
posix = pytest.mark.skipif(sys.platform == "win32", reason="the imitated tool is a shell script")
compiled = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler builds the imitated library")


@posix
@pytest.mark.parametrize("name", DRIVERS)
def test_the_tool_of_each_generation_is_understood(nvidia_driver, monkeypatch, tmp_path, name):
    driver = DRIVERS[name]
    monkeypatch.setenv("PATH", install_tool(driver, tmp_path / "bin"))
    assert nvidia_driver.driver_cuda() == (driver.cuda if driver else None)
    assert nvidia_driver.card_capabilities() == ([(8, 6)] if driver and driver.knows_capability else None)


@compiled
@pytest.mark.parametrize("name", THERE)
def test_without_the_tool_the_library_is_asked(nvidia_driver, monkeypatch, tmp_path, name):
    monkeypatch.setattr(
        nvidia_driver, "LIBRARIES", {nvidia_driver.platform.system(): (str(build_library(DRIVERS[name], tmp_path)),)}
    )
    assert nvidia_driver.driver_cuda() == DRIVERS[name].cuda
    assert nvidia_driver.card_capabilities() == [(8, 6)]


@compiled
def test_a_driver_without_a_card_is_known_to_have_none(nvidia_driver, monkeypatch, tmp_path):
    library = build_library(DRIVERS["580"], tmp_path, cards=0)
    monkeypatch.setattr(nvidia_driver, "LIBRARIES", {nvidia_driver.platform.system(): (str(library),)})
    assert nvidia_driver.card_capabilities() == []


@posix
def test_a_tool_that_fails_or_is_no_program_is_no_driver(nvidia_driver, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", install_tool(DRIVERS["580"], tmp_path))
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho CUDA Version: 13.0\nexit 9\n")
    assert nvidia_driver.driver_cuda() is None
    (tmp_path / "nvidia-smi").write_text("no program")
    assert nvidia_driver.driver_cuda() is None


@posix
def test_a_tool_that_hangs_is_left(nvidia_driver, monkeypatch, tmp_path):
    monkeypatch.setattr(nvidia_driver, "TOOL_SECONDS", 0.05)
    monkeypatch.setenv("PATH", install_tool(DRIVERS["580"], tmp_path))
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nwhile :; do :; done\n")
    assert nvidia_driver.driver_cuda() is None


def test_a_tool_that_cannot_say_is_none(nvidia_driver):
    assert nvidia_driver.parse_cuda("| NVIDIA-SMI 580.126.09   Driver Version: 580.126.09   CUDA Version: N/A |") is None
    assert nvidia_driver.parse_cuda("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.") is None
    assert nvidia_driver.parse_capabilities("8.6\n12.0\n") == [(8, 6), (12, 0)]
    assert nvidia_driver.parse_capabilities("[N/A]\n") is None
