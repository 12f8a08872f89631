import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from jobs_helpers import ROWS, make_config, reaches, supervisor_of, wait_until

from rlhf_desktop.jobs.awake import awake
from rlhf_desktop.jobs.commands import package_parent

TOOLS = {"linux": "systemd-inhibit", "darwin": "caffeinate"}


@pytest.fixture
def tool(tmp_path: Path, monkeypatch):
    """Puts an imitated command on PATH; it writes down its words and its end. Returns the file it writes to."""
    folder, told = tmp_path / "bin", tmp_path / "told"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def put(name: str, last: str = '"$last"') -> Path:
        script = folder / name
        script.write_text(f'#!/bin/sh\nfor last; do :; done\necho "began $*" >> {told}\n{last}\necho ended >> {told}\n')
        script.chmod(0o755)
        return told

    return put


@pytest.mark.parametrize("system", TOOLS)
def test_the_computer_is_held_awake_meanwhile_and_let_go_after(system: str, tool, monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", system)
    told = tool(TOOLS[system])
    with awake():
        wait_until(told.exists)
    began, ended = told.read_text("utf-8").splitlines()
    assert began.startswith("began -")
    assert ended == "ended"


def test_it_is_let_go_when_what_goes_on_fails(tool) -> None:
    told = tool("systemd-inhibit")

    def fail() -> None:
        with awake():
            wait_until(told.exists)
            raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"):
        fail()
    assert told.read_text("utf-8").endswith("ended\n")


def test_it_is_let_go_when_the_holding_process_is_killed(tool) -> None:
    told = tool("systemd-inhibit")
    program = "from rlhf_desktop.jobs.awake import awake\nwith awake(): input()"
    process = subprocess.Popen([sys.executable, "-c", program], cwd=package_parent(), stdin=subprocess.PIPE)
    wait_until(told.exists)
    process.kill()
    process.communicate()
    wait_until(lambda: told.read_text("utf-8").endswith("ended\n"))


@pytest.mark.parametrize("last", ["exit 1", "exec sleep 600"])
def test_a_tool_that_refuses_or_hangs_is_no_trouble(tool, last: str, monkeypatch) -> None:
    monkeypatch.setattr("rlhf_desktop.jobs.awake._END_S", 0.01)
    told = tool("systemd-inhibit", last)
    with awake():
        wait_until(told.exists)
    assert "ended" not in told.read_text("utf-8")


def test_a_missing_tool_is_no_trouble(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    reached = False
    with awake():
        reached = True
    assert reached


def test_a_tool_that_cannot_be_started_is_no_trouble(tool, monkeypatch) -> None:
    told = tool("systemd-inhibit")
    Path(told.parent / "bin" / "systemd-inhibit").write_text("#!/does/not/exist\n")
    with awake():
        assert not told.exists()


def test_windows_is_asked_and_then_told_that_it_is_over(monkeypatch) -> None:
    wishes: list[int] = []
    kernel = type("Kernel", (), {"SetThreadExecutionState": staticmethod(wishes.append)})
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "windll", type("Windll", (), {"kernel32": kernel}), raising=False)
    with awake():
        assert wishes == [0x80000001]
    assert wishes == [0x80000001, 0x80000000]


def test_a_run_holds_the_computer_awake_until_it_ends(tool, queue, tmp_path: Path) -> None:
    told, gate = tool("systemd-inhibit"), tmp_path / "gate"
    run = queue.submit(make_config(gate=str(gate)), ROWS)
    reaches(run, "running")
    wait_until(told.exists)
    assert "--what=sleep:idle" in told.read_text("utf-8")
    assert "ended" not in told.read_text("utf-8")
    gate.touch()
    reaches(run, "done")
    wait_until(lambda: told.read_text("utf-8").endswith("ended\n"))


def test_a_killed_supervisor_lets_the_computer_sleep(tool, queue, workspace, tmp_path: Path) -> None:
    told, gate = tool("systemd-inhibit"), tmp_path / "gate"
    run = queue.submit(make_config(gate=str(gate)), ROWS)
    reaches(run, "running")
    wait_until(told.exists)
    os.kill(supervisor_of(workspace).pid, signal.SIGKILL)
    wait_until(lambda: told.read_text("utf-8").endswith("ended\n"))
    gate.touch()
    reaches(run, "done")
