"""The pure parts of the set-up: which torch, what is missing, what it says."""

import importlib.util
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[3] / "packaging" / "setup_env.py"


@pytest.fixture(scope="module")
def setup_env():
    spec = importlib.util.spec_from_file_location("setup_env", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["setup_env"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["setup_env"]


def test_without_a_gpu_the_ordinary_build_is_taken_and_the_smaller_one_named(setup_env):
    plan = setup_env.plan_torch("Linux", None)
    assert plan.options == ()
    assert setup_env.INDEX_VARIABLE in plan.remark


def test_a_gpu_that_fits_needs_no_remark(setup_env):
    assert setup_env.plan_torch("Linux", (13, 0)).remark == ""
    assert setup_env.plan_torch("Darwin", None).disk_bytes < setup_env.plan_torch("Linux", (13, 0)).disk_bytes


def test_an_old_driver_is_told_what_it_lacks(setup_env):
    plan = setup_env.plan_torch("Linux", (11, 8))
    assert "CUDA 11.8" in plan.remark
    assert "12.6 or newer" in plan.remark


def test_windows_with_a_gpu_is_told_how_to_choose_the_build(setup_env):
    assert setup_env.INDEX_VARIABLE in setup_env.plan_torch("Windows", (12, 8)).remark


def test_the_users_index_wins(setup_env):
    assert setup_env.plan_torch("Linux", None, "https://example.org/simple").options == (
        "--index-url",
        "https://example.org/simple",
    )


def test_the_drivers_cuda_is_read(setup_env):
    assert setup_env.parse_cuda("| Driver Version: 570.86   CUDA Version: 12.8     |") == (12, 8)
    assert setup_env.parse_cuda("NVIDIA-SMI has failed") is None


def test_the_fingerprint_changes_with_any_input_and_with_python(setup_env):
    first = setup_env.fingerprint([b"a", b"b"], "3.11.7")
    others = [([b"a", b"c"], "3.11.7"), ([b"ab", b""], "3.11.7"), ([b"a", b"b"], "3.12.1")]
    assert first == setup_env.fingerprint([b"a", b"b"], "3.11.7")
    assert first not in {setup_env.fingerprint(contents, python) for contents, python in others}


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
def test_display(setup_env, environment, system, expected):
    assert setup_env.has_display(environment, system) is expected


def test_an_old_python_is_refused_with_the_command_that_mends_it(setup_env):
    setup_env.check_python((3, 11, 0))
    with pytest.raises(setup_env.Trouble, match=r"needs Python 3\.11 or newer; this is Python 3\.9(.|\n)*apt install"):
        setup_env.check_python((3, 9, 2))


def test_too_little_disk_is_said_in_numbers(setup_env, tmp_path):
    setup_env.check_disk(4 * setup_env.GIB, 4 * setup_env.GIB, tmp_path)
    with pytest.raises(setup_env.Trouble, match=r"about 4\.0 GB; .* has 1\.5 GB free"):
        setup_env.check_disk(int(1.5 * setup_env.GIB), 4 * setup_env.GIB, tmp_path)


def test_a_missing_library_is_found_in_the_loaders_words_and_named_by_its_package(setup_env):
    said = "ImportError: libEGL.so.1: cannot open shared object file: No such file or directory"
    assert setup_env.library_in(said) == "libEGL.so.1"
    assert setup_env.library_in("Segmentation fault") is None
    assert setup_env.packages_for(["libEGL.so.1", "libxcb-cursor.so.0"]) == ["libegl1", "libxcb-cursor0"]


def test_a_missing_qt_library_is_said_with_the_command_that_installs_it(setup_env, monkeypatch):
    monkeypatch.setattr(setup_env, "missing_libraries", lambda wanted: [name for name in wanted if name == "libGL.so.1"])
    with pytest.raises(setup_env.Trouble, match=r"libGL\.so\.1\.\nInstall them: sudo apt install libgl1$"):
        setup_env.check_qt(with_window=False)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux leaves these libraries to the system")
def test_libraries_are_really_opened(setup_env):
    assert setup_env.missing_libraries(["libc.so.6", "libnothing-of-the-kind.so.9"]) == ["libnothing-of-the-kind.so.9"]


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "disk is full"),
        ("WARNING: NewConnectionError\nERROR: No matching distribution found for torch", "could not be reached"),
        ("ERROR: something else", "Start again"),
    ],
)
def test_a_failed_installation_is_explained(setup_env, log, expected):
    said = setup_env.explain_failure(log)
    assert expected in said
    assert "ERROR" in said


def test_a_failed_step_leaves_the_last_words_and_a_log(setup_env, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(setup_env, "LOG", tmp_path / "setup.log")
    monkeypatch.setattr(setup_env, "ROOT", tmp_path)
    with pytest.raises(setup_env.Trouble, match="ERROR: no such thing"):
        setup_env.step("1/1 Trying", [[sys.executable, "-c", "print('ERROR: no such thing'); raise SystemExit(1)"]])
    assert "failed" in capsys.readouterr().out


def test_a_step_takes_the_first_command_that_works(setup_env, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(setup_env, "LOG", tmp_path / "setup.log")
    setup_env.step("1/1 Trying", [[sys.executable, "-c", "raise SystemExit(1)"], [sys.executable, "-c", "print('well')"]])
    assert "done" in capsys.readouterr().out
    assert "well" in (tmp_path / "setup.log").read_text()


def test_an_unknown_command_is_a_wrong_usage(setup_env, capsys):
    assert setup_env.main(["dance"]) == 2
    assert "run|test|lint|bench" in capsys.readouterr().err


def test_every_library_the_ci_script_installs_is_one_qt_needs(setup_env):
    script = (FILE.parents[1] / ".ci" / "run").read_text("utf-8")
    assert f'qt="{" ".join(setup_env.QT_LIBRARIES.values())}"' in script


def test_who_only_uses_the_program_gets_no_tools_of_its_developers(setup_env):
    assert "dev" not in setup_env.extras_for("run")
    assert all(setup_env.extras_for("run") < setup_env.extras_for(command) for command in ("test", "lint", "bench"))


def test_an_environment_that_is_there_stays_for_a_command_that_needs_less(setup_env, monkeypatch, tmp_path):
    stamp = tmp_path / "stamp"
    monkeypatch.setattr(setup_env, "STAMP", stamp)
    monkeypatch.setattr(setup_env, "venv_python", lambda: sys.executable)
    monkeypatch.setattr(setup_env, "check_venv_module", lambda: pytest.fail("it sets up again"))
    stamp.write_text(f"{setup_env.current_fingerprint()}\ndev gui parquet\n")
    setup_env.ensure_environment("run")
    setup_env.ensure_environment("test")
    stamp.write_text(f"{setup_env.current_fingerprint()}\ngui parquet\n")
    setup_env.ensure_environment("run")
    with pytest.raises(pytest.fail.Exception, match="again"):
        setup_env.ensure_environment("test")


def test_a_stamp_of_before_there_were_extras_has_none(setup_env):
    assert setup_env.read_stamp("abc\n") == ("abc", frozenset())
