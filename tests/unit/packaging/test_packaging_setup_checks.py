"""What must be there is checked at once, and what pip's failures mean is said in one sentence with the remedy."""

import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("environment", "system", "expected"),
    [
        ({}, "Linux", False),
        ({"DISPLAY": ""}, "Linux", False),
        ({"DISPLAY": ":0"}, "Linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "Linux", True),
        ({}, "Darwin", True),
    ],
)
def test_display(setup_checks, environment, system, expected):
    assert setup_checks.has_display(environment, system) is expected


def test_an_old_python_is_refused_with_the_command_that_mends_it(setup_checks):
    setup_checks.check_python((3, 11, 0))
    with pytest.raises(setup_checks.Trouble, match=r"needs Python 3\.11 or newer; this is Python 3\.9(.|\n)*apt install"):
        setup_checks.check_python((3, 9, 2))


def test_too_little_disk_is_said_in_numbers(setup_checks, tmp_path):
    setup_checks.check_disk(4 * setup_checks.GIB, 4 * setup_checks.GIB, tmp_path)
    with pytest.raises(setup_checks.Trouble, match=r"about 4\.0 GB; .* has 1\.5 GB free"):
        setup_checks.check_disk(int(1.5 * setup_checks.GIB), 4 * setup_checks.GIB, tmp_path)


def test_a_missing_library_is_found_in_the_loaders_words_and_named_by_its_package(setup_checks):
    said = "ImportError: libEGL.so.1: cannot open shared object file: No such file or directory"
    assert setup_checks.library_in(said) == "libEGL.so.1"
    assert setup_checks.library_in("Segmentation fault") is None
    assert setup_checks.packages_for(["libEGL.so.1", "libxcb-cursor.so.0"]) == ["libegl1", "libxcb-cursor0"]


def test_a_missing_qt_library_is_said_with_the_command_that_installs_it(setup_checks, monkeypatch):
    monkeypatch.setattr(setup_checks, "missing_libraries", lambda wanted: [name for name in wanted if name == "libGL.so.1"])
    with pytest.raises(setup_checks.Trouble, match=r"libGL\.so\.1\.\nInstall them: sudo apt install libgl1$"):
        setup_checks.check_qt(with_window=False)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux leaves these libraries to the system")
def test_libraries_are_really_opened(setup_checks):
    assert setup_checks.missing_libraries(["libc.so.6", "libnothing-of-the-kind.so.9"]) == ["libnothing-of-the-kind.so.9"]


def test_a_python_too_new_is_refused_and_the_newest_that_works_is_named(setup_checks):
    setup_checks.check_python((3, 14, 2))
    with pytest.raises(setup_checks.Trouble, match=r"not built for Python 3\.15 yet; the newest Python that works is 3\.14"):
        setup_checks.check_python((3, 15, 0))


@pytest.mark.parametrize(
    ("system", "expected"), [("Windows", "py -3.14 packaging\\setup_env.py run"), ("Linux", "make PYTHON=python3.14 run")]
)
def test_the_command_for_another_python_is_that_of_the_system(setup_checks, monkeypatch, system, expected):
    monkeypatch.setattr(setup_checks.platform, "system", lambda: system)
    assert setup_checks.start_with("3.14") == expected


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        ({"system": "Darwin", "machine": "x86_64"}, "not made for Macs with an Intel processor"),
        ({"system": "Darwin", "machine": "x86_64", "translated": True}, "Install one for Apple silicon"),
        ({"system": "Darwin", "machine": "arm64", "macos": "13.6.1"}, "needs macOS 14; this is 13.6.1"),
        ({"system": "Windows", "machine": "ARM64"}, "Install the x64 Python"),
        ({"system": "Windows", "machine": "x86", "bits": 32}, "Install the 64-bit Python"),
    ],
)
def test_a_machine_this_torch_is_not_made_for_is_refused_at_once(setup_checks, machine, said):
    with pytest.raises(setup_checks.Trouble, match=said):
        setup_checks.check_machine(**machine)


@pytest.mark.parametrize("machine", [("Linux", "x86_64"), ("Linux", "aarch64"), ("Windows", "AMD64"), ("Darwin", "arm64", "14.0")])
def test_a_machine_it_is_made_for_passes(setup_checks, machine):
    setup_checks.check_machine(*machine)


def test_a_folder_that_cannot_be_written_is_named_with_what_mends_it(setup_checks, tmp_path, monkeypatch):
    setup_checks.check_writable([tmp_path])

    def refuse(**_):
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(setup_checks.tempfile, "TemporaryFile", refuse)
    with pytest.raises(setup_checks.Trouble) as refused:
        setup_checks.check_writable([tmp_path])
    assert str(refused.value).startswith(
        f"{tmp_path} cannot be written (Permission denied).\nCopy the program to a folder of your own"
    )


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: '/x/.venv/lib'", "cannot be written"),
        ("ERROR: Could not install packages due to an OSError: [WinError 5] Access is denied: 'c:\\\\x'", "cannot be written"),
        ("ERROR: [WinError 32] The process cannot access the file", "close RLHF Desktop"),
        ("WARNING: broken by 'NewConnectionError'\nERROR: No matching distribution found for torch", "could not be reached"),
        ("WARNING: broken by 'ReadTimeoutError(\"Read timed out.\")'\nERROR: No matching distribution", "could not be reached"),
        ("WARNING: broken by 'ProxyError('Unable to connect to proxy', NewConnectionError('refused'))'", "set HTTPS_PROXY"),
        ("WARNING: 'OSError('Tunnel connection failed: 407 Proxy Authentication Required')'", "HTTPS_PROXY"),
        ("WARNING: 'SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] self-signed'))'", "set PIP_CERT"),
        ("ERROR: HTTP error 403 while getting x", "check name and password"),
        ("ERROR: No matching distribution found for torch==2.13.0+cu126", "no torch 2.13.0 for this computer"),
        ("ERROR: something else", "Start again"),
    ],
)  # fmt: skip
def test_a_failed_installation_is_explained(setup_checks, log, expected):
    said = setup_checks.explain_failure(log, Path("build/setup.log"))
    remedy = said.splitlines()[-2]
    assert expected in remedy
    assert said.endswith("setup.log")
